-- What is found in a learning event when it comes in, and its place in the chain once it is chained;
-- see deploy/docs/decisions/0047-one-chain-of-learning-events.md. 0: it was not kept, for it repeats another.
ALTER TABLE events ADD COLUMN learnt_user TEXT;
ALTER TABLE events ADD COLUMN learnt_custom TEXT;
ALTER TABLE events ADD COLUMN learnt_object TEXT;
ALTER TABLE events ADD COLUMN learnt_salt BLOB;
ALTER TABLE events ADD COLUMN learnt_digest BLOB;
ALTER TABLE events ADD COLUMN learnt_number INTEGER;
CREATE INDEX events_unchained ON events (received_at, event_id)
    WHERE status = 'ignored' AND learnt_number IS NULL;

-- The chain: learning events, emptied ones, and the entries which say so (`erases`: whose number).
-- `at` is when it happened, else when it came in. `remade`: its digest was made when it was chained.
CREATE TABLE learning (
    number      INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL,
    event_id    TEXT,
    id_hash     BLOB,
    source      TEXT NOT NULL,
    type        TEXT NOT NULL,
    occurred_at REAL,
    received_at REAL NOT NULL,
    at          REAL NOT NULL,
    user_id     TEXT,
    custom_id   TEXT,
    object      TEXT,
    digest      BLOB NOT NULL,
    salt        BLOB,
    head        BLOB NOT NULL,
    remade      INTEGER NOT NULL,
    erases      INTEGER,
    erased_by   INTEGER,
    body        BLOB
);
CREATE UNIQUE INDEX learning_event ON learning (event_id) WHERE event_id IS NOT NULL;
CREATE UNIQUE INDEX learning_hash ON learning (id_hash) WHERE id_hash IS NOT NULL;
CREATE INDEX learning_type ON learning (type, number) WHERE kind = 'event';
CREATE INDEX learning_source ON learning (source, number) WHERE kind = 'event';
CREATE INDEX learning_user ON learning (user_id, number) WHERE user_id IS NOT NULL;
CREATE INDEX learning_custom ON learning (custom_id, number) WHERE custom_id IS NOT NULL;

-- Where the chain ends, up to where it is sealed, and of the open hour (UTC) what its seal will say. One row, or none yet.
CREATE TABLE learning_chain (
    id     INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    head   BLOB NOT NULL,
    sealed INTEGER NOT NULL,
    hour   INTEGER NOT NULL,
    events INTEGER NOT NULL,
    earliest REAL,
    latest REAL
);

-- Hours that are closed. `events` are its events, `earliest` and `latest` are of them.
CREATE TABLE learning_seals (
    last     INTEGER PRIMARY KEY,
    hour     INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    events   INTEGER NOT NULL,
    head     BLOB NOT NULL,
    earliest REAL,
    latest   REAL
);

-- What stays of days whose events are over their time.
CREATE TABLE learning_days (
    last   INTEGER PRIMARY KEY,
    day    INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    events INTEGER NOT NULL,
    head   BLOB NOT NULL
);

-- Who learnt what and when, of the types that experiments count; `person` is a keyed hash.
CREATE TABLE learning_outcomes (
    person      TEXT NOT NULL,
    type        TEXT NOT NULL,
    occurred_at REAL NOT NULL,
    seq         INTEGER NOT NULL,
    object      TEXT NOT NULL,
    PRIMARY KEY (person, type, occurred_at, seq)
) WITHOUT ROWID;
CREATE INDEX learning_outcomes_seq ON learning_outcomes (seq);
