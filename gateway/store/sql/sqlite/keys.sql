-- name: key_insert
INSERT INTO api_keys (id, digest, name, scopes, created_at, expires_at, sources, types)
VALUES (:id, :digest, :name, :scopes, :created_at, :expires_at, :sources, :types);

-- name: key_find
SELECT id, name, scopes, created_at, revoked_at, expires_at, sources, types
FROM api_keys WHERE digest = :digest;

-- name: keys_all
SELECT id, name, scopes, created_at, revoked_at, expires_at, sources, types
FROM api_keys ORDER BY created_at DESC, id;

-- name: key_revoke
UPDATE api_keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL;
