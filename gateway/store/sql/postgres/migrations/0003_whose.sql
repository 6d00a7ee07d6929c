-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- What the app tells of its person's consent, and what its build can do: words with a blank between.
ALTER TABLE devices ADD COLUMN notifications text COLLATE "C";
ALTER TABLE devices ADD COLUMN measure text COLLATE "C";
ALTER TABLE devices ADD COLUMN can text COLLATE "C";
