-- An older release writes events without what was found in them: they are chained all the same.
-- What is found in a learning event when it comes in, and its place in the chain once it is chained;
-- see deploy/docs/decisions/0047-one-chain-of-learning-events.md. 0: it was not kept, for it repeats another.
ALTER TABLE events ADD COLUMN learnt_user text COLLATE "C";
ALTER TABLE events ADD COLUMN learnt_custom text COLLATE "C";
ALTER TABLE events ADD COLUMN learnt_object text COLLATE "C";
ALTER TABLE events ADD COLUMN learnt_salt bytea;
ALTER TABLE events ADD COLUMN learnt_digest bytea;
ALTER TABLE events ADD COLUMN learnt_number bigint;
CREATE INDEX IF NOT EXISTS events_unchained ON events (received_at, event_id)
    WHERE status = 'ignored' AND learnt_number IS NULL;

-- The chain: learning events, emptied ones, and the entries which say so (`erases`: whose number).
-- `at` is when it happened, else when it came in. `remade`: its digest was made when it was chained.
CREATE TABLE learning (
    number      bigint PRIMARY KEY,
    kind        text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C",
    id_hash     bytea,
    source      text COLLATE "C" NOT NULL,
    type        text COLLATE "C" NOT NULL,
    occurred_at double precision,
    received_at double precision NOT NULL,
    at          double precision NOT NULL,
    user_id     text COLLATE "C",
    custom_id   text COLLATE "C",
    object      text COLLATE "C",
    digest      bytea NOT NULL,
    salt        bytea,
    head        bytea NOT NULL,
    remade      bigint NOT NULL,
    erases      bigint,
    erased_by   bigint,
    body        bytea
);
CREATE UNIQUE INDEX learning_event ON learning (event_id) WHERE event_id IS NOT NULL;
CREATE UNIQUE INDEX learning_hash ON learning (id_hash) WHERE id_hash IS NOT NULL;
CREATE INDEX learning_type ON learning (type, number) WHERE kind = 'event';
CREATE INDEX learning_source ON learning (source, number) WHERE kind = 'event';
CREATE INDEX learning_user ON learning (user_id, number) WHERE user_id IS NOT NULL;
CREATE INDEX learning_custom ON learning (custom_id, number) WHERE custom_id IS NOT NULL;

-- Where the chain ends, up to where it is sealed, and of the open hour (UTC) what its seal will say. One row, or none yet.
CREATE TABLE learning_chain (
    id     bigint PRIMARY KEY,
    number bigint NOT NULL,
    head   bytea NOT NULL,
    sealed bigint NOT NULL,
    hour   bigint NOT NULL,
    events bigint NOT NULL,
    earliest double precision,
    latest double precision
);

-- Hours that are closed. `events` are its events, `earliest` and `latest` are of them.
CREATE TABLE learning_seals (
    last     bigint PRIMARY KEY,
    hour     bigint NOT NULL,
    first    bigint NOT NULL,
    events   bigint NOT NULL,
    head     bytea NOT NULL,
    earliest double precision,
    latest   double precision
);

-- What stays of days whose events are over their time.
CREATE TABLE learning_days (
    last   bigint PRIMARY KEY,
    day    bigint NOT NULL,
    first  bigint NOT NULL,
    events bigint NOT NULL,
    head   bytea NOT NULL
);

-- Who learnt what and when, of the types that experiments count; `person` is a keyed hash.
CREATE TABLE learning_outcomes (
    person      text COLLATE "C" NOT NULL,
    type        text COLLATE "C" NOT NULL,
    occurred_at double precision NOT NULL,
    seq         bigint NOT NULL,
    object      text COLLATE "C" NOT NULL,
    PRIMARY KEY (person, type, occurred_at, seq)
);
CREATE INDEX learning_outcomes_seq ON learning_outcomes (seq);
