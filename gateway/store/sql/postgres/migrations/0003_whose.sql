-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- Which ids the latest registration stated or proved (1: user_id, 2: custom_id), and the words of
-- both ids: see gateway/core/words.py. Of a row of before nothing is known: it contradicts nobody,
-- and its words are made at every look-up until it registers again.
ALTER TABLE devices ADD COLUMN stated integer NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN user_word text COLLATE "C";
ALTER TABLE devices ADD COLUMN custom_word text COLLATE "C";
