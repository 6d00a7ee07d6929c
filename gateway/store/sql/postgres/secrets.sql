-- The first one that is kept stays.
-- name: secret_keep
INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: secret_find
SELECT value FROM secrets WHERE name = $1;
