-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);
