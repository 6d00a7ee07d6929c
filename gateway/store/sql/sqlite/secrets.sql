-- The first one that is kept stays.
-- name: secret_keep
INSERT INTO secrets (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING;

-- name: secret_find
SELECT value FROM secrets WHERE name = :name;

-- A row that is no secret, written and deleted to see whether there is room: the table has none else
-- that is written often.
-- name: trial_write
INSERT INTO secrets (name, value) VALUES ('trial', ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: trial_end
DELETE FROM secrets WHERE name = 'trial';
