-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- When the device last came from another user; NULL where no other is known.
ALTER TABLE devices ADD COLUMN user_changed_at double precision;

-- What went, and when: installations, addresses, and people who were erased, each as a number that
-- stands for it (gateway/store/forgetting.py). With it whose it was, by the same numbers.
CREATE TABLE forgotten (
    hash            bigint PRIMARY KEY,
    at              double precision NOT NULL,
    -- 0: never by an erase
    erased_at       double precision NOT NULL,
    user_hash       bigint,
    custom_hash     bigint,
    user_changed_at double precision
);
CREATE INDEX forgotten_at ON forgotten (at);

-- Which ids the latest registration stated or proved (1: user_id, 2: custom_id), and the words of
-- both ids: see gateway/core/words.py. Of a row of before nothing is known: it contradicts nobody,
-- and its words are made at every look-up until it registers again.
ALTER TABLE devices ADD COLUMN stated integer NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN user_word text COLLATE "C";
ALTER TABLE devices ADD COLUMN custom_word text COLLATE "C";

-- Who sent an event, and what that source's pushes might reach when it came (gateway/core/stored.py);
-- what came before there were sources is LearnInk's, without limits.
ALTER TABLE events ADD COLUMN source text COLLATE "C" NOT NULL DEFAULT 'learnink';
ALTER TABLE events ADD COLUMN limits text COLLATE "C" NOT NULL DEFAULT '';

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
