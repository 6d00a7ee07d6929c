-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- What the app tells of its person's consent, and what its build can do: words with a blank between.
ALTER TABLE devices ADD COLUMN notifications TEXT;
ALTER TABLE devices ADD COLUMN measure TEXT;
ALTER TABLE devices ADD COLUMN can TEXT;
