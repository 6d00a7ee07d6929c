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
