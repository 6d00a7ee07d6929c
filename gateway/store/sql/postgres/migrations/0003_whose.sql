-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- Who was erased, and when it was asked: see deploy/docs/decisions/0026-erase-in-the-background.md.
-- `who_...` are keyed words of the ids, empty where the erase named none of that kind. The ids
-- themselves stand here until nothing else names them; `done_at` is set once nothing does.
-- `holder` works on it until `held_until`.
CREATE TABLE erasures (
    who_user   text COLLATE "C" NOT NULL,
    who_custom text COLLATE "C" NOT NULL,
    asked_at   double precision NOT NULL,
    done_at    double precision,
    user_id    text COLLATE "C",
    custom_id  text COLLATE "C",
    holder     text COLLATE "C" NOT NULL DEFAULT '',
    held_until double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (who_user, who_custom)
);
CREATE INDEX erasures_custom ON erasures (who_custom);
CREATE INDEX erasures_asked ON erasures (asked_at);
-- Events whose messages at a broker may still name somebody who is being erased.
CREATE TABLE erased_events (
    who_user   text COLLATE "C" NOT NULL,
    who_custom text COLLATE "C" NOT NULL,
    event_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (who_user, who_custom, event_id)
);
-- The ids that an event names and the journal will not: of events that are not pushes, were not
-- understood, or had items rejected.
CREATE TABLE event_people (
    person   text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (person, event_id)
);
CREATE INDEX event_people_event ON event_people (event_id);
CREATE INDEX IF NOT EXISTS dead_letters_user ON dead_letters (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead_letters_custom ON dead_letters (custom_id) WHERE custom_id IS NOT NULL;
-- When the device's user was erased before they registered again: nothing that was received until
-- then is for it.
ALTER TABLE devices ADD COLUMN IF NOT EXISTS erased_at double precision NOT NULL DEFAULT 0;
