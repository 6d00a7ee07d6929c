-- Columns in the order of `core.suppressing.Done`, here and below.
-- name: suppressions_insert
INSERT INTO suppressions (
    event_id, path, source, who_user, who_custom, at, within_s, received_at
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[], $7::float8[],
    $8::float8[]
)
ON CONFLICT DO NOTHING;

-- name: suppressions_of
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE who_user = ANY($1::text[]) AND who_user <> '' AND path = ANY($2::text[])
UNION
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE who_custom = ANY($1::text[]) AND who_custom <> '' AND path = ANY($2::text[]);

-- name: suppressions_recent
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at FROM suppressions
WHERE received_at >= $1 ORDER BY received_at, event_id, path;

-- name: suppressions_erase
DELETE FROM suppressions
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '');

-- What was done since the erase was asked is of somebody who came back, and stays.
-- name: suppressions_unname
DELETE FROM suppressions
WHERE ((who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> ''))
  AND received_at <= (
      SELECT max(asked_at) FROM erasures WHERE who_user = $1 AND who_custom = $2
  );

-- name: held_suppressions
SELECT event_id, path, at FROM suppressions
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '')
ORDER BY at, event_id, path;

-- Leftovers that hold a delivery which waits, of somebody whom this event names. A chunk's number is
-- told by its items' places, less those that were rejected before it.
-- name: suppressions_hasten
UPDATE queue SET lane = '', part = '', due_at = 0
WHERE id = ANY(ARRAY(
    SELECT id FROM queue WHERE id IN (
        SELECT q.id FROM (
            SELECT d.event_id, d.item_index FROM event_people p
            JOIN deliveries d ON d.user_id = p.person
            WHERE p.event_id = $1 AND d.state = 'pending'
            UNION
            SELECT d.event_id, d.item_index FROM event_people p
            JOIN deliveries d ON d.custom_id = p.person
            WHERE p.event_id = $1 AND d.state = 'pending'
        ) w
        JOIN events e ON e.event_id = w.event_id
        JOIN queue q ON q.event_id = w.event_id
        WHERE q.number BETWEEN (w.item_index - e.rejected) / $3::int AND w.item_index / $3
          AND q.lease_id IS NULL AND (q.lane <> '' OR q.due_at > $2::float8)
    )
    ORDER BY id FOR UPDATE SKIP LOCKED
))
RETURNING id;
