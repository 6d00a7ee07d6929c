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

-- name: held_suppressions
SELECT event_id, path, at FROM suppressions
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '')
ORDER BY at, event_id, path;
