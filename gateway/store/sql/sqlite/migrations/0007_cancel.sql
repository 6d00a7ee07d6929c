-- Events that were cancelled: see gateway/core/cancelling.py and deploy/docs/decisions/0039-stop-and-correct.md.
-- `cancelled`, `taken` and `until` are the answer, which stays the same; `deadline` is the end of the
-- event's life. `digest` stands for the correction that was asked, and `replacement` is its text until
-- that is queued.
CREATE TABLE cancelled (
    event_id    TEXT PRIMARY KEY,
    at          REAL NOT NULL,
    cancelled   INTEGER NOT NULL,
    taken       INTEGER NOT NULL,
    until       REAL,
    deadline    REAL NOT NULL,
    digest      TEXT NOT NULL,
    replacement TEXT
) WITHOUT ROWID;
CREATE INDEX cancelled_at ON cancelled (at);
CREATE INDEX cancelled_open ON cancelled (event_id) WHERE replacement IS NOT NULL;
