-- The first one that is kept stays.
-- name: secret_keep
INSERT INTO secrets (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING;

-- name: secret_find
SELECT value FROM secrets WHERE name = :name;
