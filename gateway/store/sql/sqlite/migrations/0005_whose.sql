-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Who was erased, and when it was asked: see deploy/docs/decisions/0026-erase-in-the-background.md.
-- `who_...` are keyed words of the ids, empty where the erase named none of that kind. The ids
-- themselves stand here until nothing else names them; `done_at` is set once no byte of the file
-- does. `holder` works on it until `held_until`.
CREATE TABLE erasures (
    who_user   TEXT NOT NULL,
    who_custom TEXT NOT NULL,
    asked_at   REAL NOT NULL,
    done_at    REAL,
    user_id    TEXT,
    custom_id  TEXT,
    holder     TEXT NOT NULL DEFAULT '',
    held_until REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (who_user, who_custom)
) WITHOUT ROWID;
CREATE INDEX erasures_custom ON erasures (who_custom);
CREATE INDEX erasures_asked ON erasures (asked_at);
-- Events whose messages at a broker may still name somebody who is being erased.
CREATE TABLE erased_events (
    who_user   TEXT NOT NULL,
    who_custom TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    PRIMARY KEY (who_user, who_custom, event_id)
) WITHOUT ROWID;
-- The ids that an event names and the journal will not: of events that are not pushes, were not
-- understood, or had items rejected.
CREATE TABLE event_people (
    person   TEXT NOT NULL,
    event_id TEXT NOT NULL,
    PRIMARY KEY (person, event_id)
) WITHOUT ROWID;
CREATE INDEX event_people_event ON event_people (event_id);
CREATE INDEX dead_letters_user ON dead_letters (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX dead_letters_custom ON dead_letters (custom_id) WHERE custom_id IS NOT NULL;
-- When the device's user was erased before they registered again: nothing that was received until
-- then is for it.
ALTER TABLE devices ADD COLUMN erased_at REAL NOT NULL DEFAULT 0;
