-- Columns in the order of `core.drawn.Kept`.
-- name: experiments_all
SELECT id, stage, terms, key, dry_at, started_at, ends_at, ended_at, reason FROM experiments
ORDER BY id;

-- name: experiment_begin
INSERT INTO experiments (
    id, stage, terms, key, dry_at, started_at, ends_at, ended_at, reason
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    stage = excluded.stage, terms = excluded.terms, key = excluded.key, dry_at = excluded.dry_at,
    started_at = excluded.started_at, ends_at = excluded.ends_at, ended_at = excluded.ended_at,
    reason = excluded.reason
WHERE stage = 'dry';

-- name: experiment_stage
SELECT stage FROM experiments WHERE id = :id;

-- name: experiment_end
UPDATE experiments SET stage = 'ended', key = x'', ended_at = :at, reason = :reason
WHERE id = :id;

-- Whoever is held is let go: of an experiment that ends, and people who are exempt, also those whom
-- what is held back of them names by another id.
-- name: experiment_let_go
UPDATE experiment_members SET until = :at
WHERE experiment = :id AND held = 1 AND until > :at;

-- name: experiment_let_people_go
UPDATE experiment_members SET until = :at
FROM (
    SELECT experiment, person FROM experiment_members
    WHERE person IN (SELECT value FROM json_each(:words))
    UNION
    SELECT experiment, person FROM experiment_held
    WHERE who_user IN (SELECT value FROM json_each(:words)) AND who_user <> ''
    UNION
    SELECT experiment, person FROM experiment_held
    WHERE who_custom IN (SELECT value FROM json_each(:words)) AND who_custom <> ''
) found
WHERE experiment_members.experiment = found.experiment
  AND experiment_members.person = found.person AND held = 1 AND until > :at;

-- name: experiment_member_let_go
UPDATE experiment_members SET until = :at
WHERE experiment = :experiment AND person = :person AND held = 1 AND until > :at;

-- name: experiment_members_delete
DELETE FROM experiment_members WHERE experiment = :id;

-- name: experiment_left_out_delete
DELETE FROM experiment_left_out WHERE experiment = :id;

-- name: experiment_also_delete
DELETE FROM experiment_also WHERE experiment = :id;

-- name: experiment_held_delete
DELETE FROM experiment_held WHERE experiment = :id;

-- name: experiment_standings
SELECT id, stage, ended_at FROM experiments
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: experiment_members_of
SELECT experiment, person, held, since, until FROM experiment_members
WHERE person IN (SELECT value FROM json_each(:words)) ORDER BY experiment, person;

-- name: experiment_exempt_of
SELECT person, since FROM experiment_exempt
WHERE person IN (SELECT value FROM json_each(:words));

-- name: experiment_devices
SELECT id, user_changed_at, platform FROM devices
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: experiment_exempt_put
INSERT INTO experiment_exempt (person, since) SELECT value, :at FROM json_each(:words) WHERE true
ON CONFLICT (person) DO NOTHING;

-- name: experiment_exempt_delete
DELETE FROM experiment_exempt WHERE person IN (SELECT value FROM json_each(:words));

-- What is held back of people who were let go, the longest ago first, behind a place. One without a
-- member was let go when it was seen.
-- name: experiment_due
SELECT h.experiment, h.person, h.event_id, h.item, h.seen_at, d.until, h.content
FROM (
    SELECT waits.experiment, waits.person, coalesce(m.until, waits.seen_at) AS until
    FROM experiment_held waits LEFT JOIN experiment_members m
        ON m.experiment = waits.experiment AND m.person = waits.person AND m.held = 1
    WHERE m.until IS NULL OR m.until <= :now
) d CROSS JOIN experiment_held h ON h.experiment = d.experiment AND h.person = d.person
WHERE (d.until, d.experiment, d.person) > (:until, :experiment, :person)
ORDER BY d.until, d.experiment, d.person LIMIT :limit;

-- name: experiment_sent
DELETE FROM experiment_held
WHERE experiment = :experiment AND person = :person AND event_id = :event_id AND item = :item;

-- name: experiment_counts
SELECT coalesce(sum(held = 0), 0), coalesce(sum(held = 1), 0),
    coalesce(sum(held = 1 AND EXISTS (
        SELECT 1 FROM experiment_also a
        WHERE a.experiment = m.experiment AND a.person = m.person
    )), 0),
    (SELECT count(*) FROM experiment_held WHERE experiment = :id)
FROM experiment_members m WHERE m.experiment = :id;

-- name: experiment_left_out_counts
SELECT reason, count(*) FROM experiment_left_out l
WHERE experiment = :id AND NOT EXISTS (
    SELECT 1 FROM experiment_members m WHERE m.experiment = l.experiment AND m.person = l.person
)
GROUP BY reason ORDER BY reason;

-- name: drawn_members
INSERT INTO experiment_members (
    experiment, person, held, since, until, app, platform, source
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: drawn_held
INSERT INTO experiment_held (
    experiment, person, event_id, item, seen_at, content, who_user, who_custom
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (experiment, person) DO UPDATE SET
    event_id = excluded.event_id, item = excluded.item, seen_at = excluded.seen_at,
    content = excluded.content, who_user = excluded.who_user, who_custom = excluded.who_custom
WHERE (excluded.seen_at, excluded.event_id, excluded.item)
    > (experiment_held.seen_at, experiment_held.event_id, experiment_held.item);

-- name: drawn_left_out
INSERT INTO experiment_left_out (experiment, person, reason, since) VALUES (?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: drawn_also
INSERT INTO experiment_also (experiment, person) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: erase_left_out
DELETE FROM experiment_left_out WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: erase_also
DELETE FROM experiment_also WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: erase_exempt
DELETE FROM experiment_exempt WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: erase_held_back
DELETE FROM experiment_held
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '');

-- name: erase_held_items
DELETE FROM experiment_held
WHERE event_id = :event_id AND item IN (SELECT value FROM json_each(:indexes));

-- name: held_left_out
SELECT experiment, reason, since FROM experiment_left_out
WHERE person IN (:who_user, :who_custom) AND person <> '' ORDER BY since, experiment;

-- name: held_exempt
SELECT min(since) FROM experiment_exempt
WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: held_reminders
SELECT h.experiment, h.person, h.event_id, h.item, h.seen_at, coalesce(m.until, h.seen_at),
       h.content
FROM experiment_held h LEFT JOIN experiment_members m
    ON m.experiment = h.experiment AND m.person = h.person AND m.held = 1
WHERE (h.who_user = :who_user AND h.who_user <> '')
   OR (h.who_custom = :who_custom AND h.who_custom <> '')
ORDER BY h.seen_at, h.experiment;
