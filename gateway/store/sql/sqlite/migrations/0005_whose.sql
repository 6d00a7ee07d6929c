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

-- Which ids the latest registration stated or proved (1: user_id, 2: custom_id), and the words of
-- both ids: see gateway/core/words.py. Of a row of before nothing is known: it contradicts nobody,
-- and its words are made at every look-up until it registers again.
ALTER TABLE devices ADD COLUMN stated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN user_word TEXT;
ALTER TABLE devices ADD COLUMN custom_word TEXT;

-- Who sent an event, and what that source's pushes might reach when it came (gateway/core/stored.py);
-- what came before there were sources is LearnInk's, without limits.
ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT 'learnink';
ALTER TABLE events ADD COLUMN limits TEXT NOT NULL DEFAULT '';

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
