-- Columns in the order of `core.suppressing.Done`, here and below.
-- name: suppressions_insert
INSERT INTO suppressions (
    event_id, path, source, who_user, who_custom, at, within_s, received_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: suppressions_of
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE who_user IN (SELECT value FROM json_each(:words)) AND who_user <> ''
  AND path IN (SELECT value FROM json_each(:paths))
UNION
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE who_custom IN (SELECT value FROM json_each(:words)) AND who_custom <> ''
  AND path IN (SELECT value FROM json_each(:paths));

-- name: suppressions_recent
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE received_at >= :since ORDER BY received_at, event_id, path;

-- name: suppressions_erase
DELETE FROM suppressions
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '');

-- name: suppressions_delete
DELETE FROM suppressions WHERE event_id = :event_id;

-- name: held_suppressions
SELECT event_id, path, at FROM suppressions
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '')
ORDER BY at, event_id, path;

-- Leftovers that hold a delivery which waits, of somebody whom this event names. A chunk's number is
-- told by its items' places, less those that were rejected before it.
-- name: suppressions_waiting
WITH RECURSIVE runs(run) AS (
    SELECT min(run) FROM deliveries
    UNION ALL
    SELECT run + 1 FROM runs WHERE run < (SELECT max(run) FROM deliveries)
), waiting AS (
    SELECT d.event_id, d.item_index FROM event_people p CROSS JOIN runs
    CROSS JOIN deliveries d ON d.run = runs.run AND d.user_id = p.person
    WHERE p.event_id = :event_id AND d.state = 'pending'
    UNION
    SELECT d.event_id, d.item_index FROM event_people p CROSS JOIN runs
    CROSS JOIN deliveries d ON d.run = runs.run AND d.custom_id = p.person
    WHERE p.event_id = :event_id AND d.state = 'pending'
)
SELECT DISTINCT q.id FROM waiting w
CROSS JOIN events e ON e.event_id = w.event_id
CROSS JOIN queue q ON q.event_id = w.event_id
WHERE q.number BETWEEN (w.item_index - e.rejected) / :size AND w.item_index / :size
  AND q.lease_id IS NULL AND (q.lane <> '' OR q.due_at > :now);

-- name: suppressions_hasten
UPDATE queue SET lane = '', part = '', due_at = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND lease_id IS NULL;
