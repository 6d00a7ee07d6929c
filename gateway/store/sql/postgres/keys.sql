-- name: key_insert
INSERT INTO api_keys (id, digest, name, scopes, created_at, expires_at, sources, types)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: key_find
SELECT id, name, scopes, created_at, revoked_at, expires_at, sources, types
FROM api_keys WHERE digest = $1;

-- name: keys_all
SELECT id, name, scopes, created_at, revoked_at, expires_at, sources, types
FROM api_keys ORDER BY created_at DESC, id;

-- name: key_revoke
UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL;
