-- What people have done already: see gateway/core/suppressing.py and
-- deploy/docs/decisions/0042-said-already-done.md. A person is two keyed words, those of `erasures`. A row
-- lives as long as its event.
CREATE TABLE suppressions (
    event_id    TEXT NOT NULL,
    path        TEXT NOT NULL,
    source      TEXT NOT NULL,
    who_user    TEXT NOT NULL,
    who_custom  TEXT NOT NULL,
    at          REAL NOT NULL,
    within_s    REAL NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (event_id, path)
) WITHOUT ROWID;
CREATE INDEX suppressions_user ON suppressions (who_user, path) WHERE who_user <> '';
CREATE INDEX suppressions_custom ON suppressions (who_custom, path) WHERE who_custom <> '';
CREATE INDEX suppressions_received ON suppressions (received_at);
