-- Columns in the order of `core.drawn.Kept`.
-- name: experiments_all
SELECT id, stage, terms, key, dry_at, started_at, ends_at, ended_at, reason FROM experiments
ORDER BY id;

-- Of two at once the second waits, and finds the first.
-- name: experiment_begin
INSERT INTO experiments (
    id, stage, terms, key, dry_at, started_at, ends_at, ended_at, reason
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET
    stage = excluded.stage, terms = excluded.terms, key = excluded.key, dry_at = excluded.dry_at,
    started_at = excluded.started_at, ends_at = excluded.ends_at, ended_at = excluded.ended_at,
    reason = excluded.reason
WHERE experiments.stage = 'dry';

-- name: experiment_stage
SELECT stage FROM experiments WHERE id = $1 FOR UPDATE;

-- name: experiment_end
UPDATE experiments SET stage = 'ended', key = ''::bytea, ended_at = $2, reason = $3
WHERE id = $1;

-- Nobody enters, and nothing more is held back, until this transaction has ended.
-- name: experiments_alone
SELECT id FROM experiments ORDER BY id FOR UPDATE;

-- Whoever is held is let go: of an experiment that ends, and people who are exempt, also those whom
-- what is held back of them names by another id.
-- name: experiment_let_go
UPDATE experiment_members SET until = $2
WHERE experiment = $1 AND held = 1 AND until > $2;

-- name: experiment_let_people_go
UPDATE experiment_members m SET until = $2
FROM (
    SELECT experiment, person FROM experiment_members WHERE person = ANY($1::text[])
    UNION
    SELECT experiment, person FROM experiment_held
    WHERE who_user = ANY($1::text[]) AND who_user <> ''
    UNION
    SELECT experiment, person FROM experiment_held
    WHERE who_custom = ANY($1::text[]) AND who_custom <> ''
) found
WHERE m.experiment = found.experiment AND m.person = found.person AND held = 1 AND until > $2;

-- name: experiment_members_let_go
UPDATE experiment_members m SET until = told.at
FROM unnest($1::text[], $2::text[], $3::float8[]) AS told (experiment, person, at)
WHERE m.experiment = told.experiment AND m.person = told.person AND held = 1 AND until > told.at;

-- name: experiment_members_delete
DELETE FROM experiment_members WHERE experiment = $1;

-- name: experiment_left_out_delete
DELETE FROM experiment_left_out WHERE experiment = $1;

-- name: experiment_also_delete
DELETE FROM experiment_also WHERE experiment = $1;

-- name: experiment_held_delete
DELETE FROM experiment_held WHERE experiment = $1;

-- They stay as they are until this transaction has ended.
-- name: experiment_standings
SELECT id, stage, ended_at FROM experiments WHERE id = ANY($1::text[]) ORDER BY id FOR SHARE;

-- name: experiment_members_of
SELECT experiment, person, held, since, until FROM experiment_members
WHERE person = ANY($1::text[]) ORDER BY experiment, person;

-- name: experiment_exempt_of
SELECT person, since FROM experiment_exempt WHERE person = ANY($1::text[]);

-- name: experiment_devices
SELECT id, user_changed_at, platform FROM devices WHERE id = ANY($1::bigint[]);

-- name: experiment_exempt_put
INSERT INTO experiment_exempt (person, since) SELECT unnest($1::text[]), $2
ON CONFLICT (person) DO NOTHING;

-- name: experiment_exempt_delete
DELETE FROM experiment_exempt WHERE person = ANY($1::text[]);

-- What is held back of people who were let go, the longest ago first, behind a place. One without a
-- member was let go when it was seen.
-- name: experiment_due
SELECT h.experiment, h.person, h.event_id, h.item, h.seen_at, d.until, h.content
FROM (
    SELECT waits.experiment, waits.person, coalesce(m.until, waits.seen_at) AS until
    FROM experiment_held waits LEFT JOIN experiment_members m
        ON m.experiment = waits.experiment AND m.person = waits.person AND m.held = 1
    WHERE m.until IS NULL OR m.until <= $1
) d JOIN experiment_held h ON h.experiment = d.experiment AND h.person = d.person
WHERE (d.until, d.experiment, d.person) > ($2, $3, $4)
ORDER BY d.until, d.experiment, d.person LIMIT $5;

-- name: experiment_sent
DELETE FROM experiment_held
WHERE experiment = $1 AND person = $2 AND event_id = $3 AND item = $4;

-- name: experiment_counts
SELECT count(*) FILTER (WHERE held = 0), count(*) FILTER (WHERE held = 1),
    count(*) FILTER (WHERE held = 1 AND EXISTS (
        SELECT 1 FROM experiment_also a
        WHERE a.experiment = m.experiment AND a.person = m.person
    )),
    (SELECT count(*) FROM experiment_held WHERE experiment = $1)
FROM experiment_members m WHERE m.experiment = $1;

-- name: experiment_left_out_counts
SELECT reason, count(*) FROM experiment_left_out l
WHERE experiment = $1 AND NOT EXISTS (
    SELECT 1 FROM experiment_members m WHERE m.experiment = l.experiment AND m.person = l.person
)
GROUP BY reason ORDER BY reason;

-- name: drawn_members
INSERT INTO experiment_members (experiment, person, held, since, until, app, platform, source)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::int[], $4::float8[], $5::float8[], $6::text[], $7::text[],
    $8::text[]
)
ON CONFLICT DO NOTHING;

-- name: drawn_held
INSERT INTO experiment_held (
    experiment, person, event_id, item, seen_at, content, who_user, who_custom
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::int[], $5::float8[], $6::bytea[], $7::text[],
    $8::text[]
)
ON CONFLICT (experiment, person) DO UPDATE SET
    event_id = excluded.event_id, item = excluded.item, seen_at = excluded.seen_at,
    content = excluded.content, who_user = excluded.who_user, who_custom = excluded.who_custom
WHERE (excluded.seen_at, excluded.event_id, excluded.item)
    > (experiment_held.seen_at, experiment_held.event_id, experiment_held.item);

-- name: drawn_left_out
INSERT INTO experiment_left_out (experiment, person, reason, since)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[])
ON CONFLICT DO NOTHING;

-- name: drawn_also
INSERT INTO experiment_also (experiment, person) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT DO NOTHING;

-- name: erase_left_out
DELETE FROM experiment_left_out WHERE person IN ($1, $2) AND person <> '';

-- name: erase_also
DELETE FROM experiment_also WHERE person IN ($1, $2) AND person <> '';

-- name: erase_exempt
DELETE FROM experiment_exempt WHERE person IN ($1, $2) AND person <> '';

-- name: erase_held_back
DELETE FROM experiment_held
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '');

-- name: erase_held_items
DELETE FROM experiment_held WHERE event_id = $1 AND item = ANY($2::int[]);

-- name: held_left_out
SELECT experiment, reason, since FROM experiment_left_out
WHERE person IN ($1, $2) AND person <> '' ORDER BY since, experiment;

-- name: held_exempt
SELECT min(since) FROM experiment_exempt WHERE person IN ($1, $2) AND person <> '';

-- name: held_reminders
SELECT h.experiment, h.person, h.event_id, h.item, h.seen_at, coalesce(m.until, h.seen_at),
       h.content
FROM experiment_held h LEFT JOIN experiment_members m
    ON m.experiment = h.experiment AND m.person = h.person AND m.held = 1
WHERE (h.who_user = $1 AND h.who_user <> '') OR (h.who_custom = $2 AND h.who_custom <> '')
ORDER BY h.seen_at, h.experiment;
