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

-- What was done since the erase was asked is of somebody who came back, and stays.
-- name: suppressions_unname
DELETE FROM suppressions
WHERE ((who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> ''))
  AND received_at <= (
      SELECT max(asked_at) FROM erasures WHERE who_user = :who_user AND who_custom = :who_custom
  );

-- name: suppressions_delete
DELETE FROM suppressions WHERE event_id = :event_id;

-- name: held_suppressions
SELECT event_id, path, at FROM suppressions
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '')
ORDER BY at, event_id, path;

-- name: suppressions_people
SELECT person FROM event_people WHERE event_id = :event_id ORDER BY person;

-- name: suppressions_pending
WITH RECURSIVE runs(run) AS (
    SELECT :oldest
    UNION ALL
    SELECT run + 1 FROM runs WHERE run < :newest
)
SELECT event_id, item_index FROM runs CROSS JOIN deliveries USING (run)
WHERE user_id = :person AND state = 'pending'
UNION
SELECT event_id, item_index FROM runs CROSS JOIN deliveries USING (run)
WHERE custom_id = :person AND state = 'pending';

-- Leftovers that hold an item. A chunk's number is told by its items' places, less those that were
-- rejected before it.
-- name: suppressions_waiting
SELECT id FROM queue
WHERE event_id = :event_id AND lease_id IS NULL AND (lane <> '' OR due_at > :now)
  AND number BETWEEN
      (:index - coalesce((SELECT rejected FROM events WHERE event_id = :event_id), 0)) / :size
      AND :index / :size;

-- name: suppressions_hasten
UPDATE queue SET lane = '', part = '', due_at = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND lease_id IS NULL;
