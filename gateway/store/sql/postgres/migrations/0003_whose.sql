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
