-- What went once more was the last one's who had it; an erase is never forgotten for it. All write
-- in the order of the numbers.
-- name: forgotten_keep
INSERT INTO forgotten AS f (hash, at, erased_at, user_hash, custom_hash, user_changed_at)
SELECT * FROM unnest(
    $1::bigint[], $2::float8[], $3::float8[], $4::bigint[], $5::bigint[], $6::float8[]
)
ON CONFLICT (hash) DO UPDATE SET
    at = greatest(f.at, excluded.at), erased_at = greatest(f.erased_at, excluded.erased_at),
    user_hash = excluded.user_hash, custom_hash = excluded.custom_hash,
    user_changed_at = excluded.user_changed_at;

-- name: forgotten_find
SELECT hash, at, erased_at, user_hash, custom_hash, user_changed_at
FROM unnest($1::bigint[]) AS asked (hash) JOIN forgotten USING (hash);

-- name: forgotten_purge
DELETE FROM forgotten WHERE hash = ANY(ARRAY(
    SELECT hash FROM forgotten WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
));
