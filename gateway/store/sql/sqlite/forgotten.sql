-- What went once more was the last one's who had it; an erase is never forgotten for it.
-- name: forgotten_keep
INSERT INTO forgotten (hash, at, erased_at, user_hash, custom_hash, user_changed_at)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (hash) DO UPDATE SET
    at = max(at, excluded.at), erased_at = max(erased_at, excluded.erased_at),
    user_hash = excluded.user_hash, custom_hash = excluded.custom_hash,
    user_changed_at = excluded.user_changed_at;

-- name: forgotten_find
SELECT hash, at, erased_at, user_hash, custom_hash, user_changed_at FROM forgotten
WHERE hash IN (SELECT value FROM json_each(:hashes));

-- name: forgotten_purge
DELETE FROM forgotten WHERE hash IN (
    SELECT hash FROM forgotten WHERE at < :before ORDER BY at LIMIT :limit
);
