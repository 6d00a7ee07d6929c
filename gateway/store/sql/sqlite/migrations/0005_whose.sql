-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
