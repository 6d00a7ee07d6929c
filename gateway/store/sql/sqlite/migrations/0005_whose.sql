-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- When the device last came from another user; NULL where no other is known.
ALTER TABLE devices ADD COLUMN user_changed_at REAL;

-- What went, and when: installations, addresses, and people who were erased, each as a number that
-- stands for it (gateway/store/forgetting.py). With it whose it was, by the same numbers.
CREATE TABLE forgotten (
    hash            INTEGER PRIMARY KEY,
    at              REAL NOT NULL,
    -- 0: never by an erase
    erased_at       REAL NOT NULL,
    user_hash       INTEGER,
    custom_hash     INTEGER,
    user_changed_at REAL
);
CREATE INDEX forgotten_at ON forgotten (at);
