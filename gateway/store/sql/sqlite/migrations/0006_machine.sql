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
-- How many devices of a lane went, by the second: what the prune brake counts, also of earlier lives.
-- `devices` is how many the lane had then. See deploy/docs/decisions/0034-one-window-for-all.md.
CREATE TABLE brake_window (
    app      TEXT NOT NULL,
    provider TEXT NOT NULL,
    at       REAL NOT NULL,
    gone     INTEGER NOT NULL,
    devices  INTEGER NOT NULL,
    PRIMARY KEY (app, provider, at)
) WITHOUT ROWID;
-- What the version before let go within the last day, as far as it is still known.
INSERT INTO brake_window (app, provider, at, gone, devices)
SELECT app, provider, CAST(state_at AS INTEGER) + 1.0, count(*), 0 FROM devices
WHERE state <> 'active' AND state_at > strftime('%s', 'now') - 86400
GROUP BY 1, 2, 3;

-- What the vendor said when it asked for silence.
ALTER TABLE lanes ADD COLUMN quiet_reason TEXT NOT NULL DEFAULT '';
-- Who did what: see gateway/core/audit.py and deploy/docs/decisions/0035-who-did-what.md. One row an
-- act and thing, however many transactions it took: they add to `affected`. `user_word` and
-- `custom_word` stand for the ids of the person whom it was about, and are empty elsewhere.
CREATE TABLE audit (
    at          REAL NOT NULL,
    who         TEXT NOT NULL,
    what        TEXT NOT NULL,
    object      TEXT NOT NULL,
    user_word   TEXT NOT NULL,
    custom_word TEXT NOT NULL,
    affected    INTEGER NOT NULL,
    origin      TEXT NOT NULL,
    remote      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    routine     INTEGER NOT NULL,
    PRIMARY KEY (at, who, what, object, user_word, custom_word)
) WITHOUT ROWID;
CREATE INDEX audit_user ON audit (user_word) WHERE user_word <> '';
CREATE INDEX audit_custom ON audit (custom_word) WHERE custom_word <> '';
CREATE INDEX audit_reason ON audit (at) WHERE reason <> '';
-- What each process thinks of its machine's clock, and what a person said of it (name 'a person').
CREATE TABLE clocks (
    name   TEXT PRIMARY KEY,
    at     REAL NOT NULL,
    ahead  REAL NOT NULL,
    doubt  TEXT NOT NULL,
    told   TEXT NOT NULL,
    since  REAL
) WITHOUT ROWID;
