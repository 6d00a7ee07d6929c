-- See deploy/docs/decisions/0033-the-file.md. Relays that may have leases: one that works on the file, and those of before that are not known
-- to be gone. `boot` is the id of the running system, `path` the name by which it had the file.
CREATE TABLE relays (
    name  TEXT PRIMARY KEY,
    pid   TEXT NOT NULL,
    host  TEXT NOT NULL,
    boot  TEXT NOT NULL,
    since REAL NOT NULL,
    path  TEXT NOT NULL
) WITHOUT ROWID;

-- What people were told of this database being older than it was, or of the future: nobody is told
-- the same twice.
CREATE TABLE doubts (
    what   TEXT PRIMARY KEY,
    value  TEXT NOT NULL,
    reason TEXT NOT NULL,
    at     REAL NOT NULL
) WITHOUT ROWID;
