-- What a dead letter says beside its columns, in a form with a version (gateway/core/stored.py); and of
-- what nobody could read, the bytes as they were queued and the version that they say. Such a letter
-- has item_index -1, and the number of its row or message in the queue for a device.
ALTER TABLE dead_letters ADD COLUMN later text COLLATE "C";
ALTER TABLE dead_letters ADD COLUMN raw bytea;
ALTER TABLE dead_letters ADD COLUMN form integer;

-- Up to which version a process reads the forms of gateway/core/stored.py, and which one it writes. A
-- release that does not say so reads the first one alone.
ALTER TABLE replicas ADD COLUMN reads integer NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN writes integer NOT NULL DEFAULT 0;

-- What tells a chunk that ends processes from one that was beside it: how many ended while it was
-- tried alone, whether its last claim was such a trial, and when that was (epoch seconds). The
-- version before claims by its own queries: it counts tries, and leaves these as they are.
ALTER TABLE queue ADD COLUMN IF NOT EXISTS lone_ends integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN IF NOT EXISTS alone integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN IF NOT EXISTS claimed_at double precision NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS queue_suspects ON queue ((lone_ends + alone), due_at, id) WHERE tries >= 2;

-- A lane has parts, which fail apart: see deploy/docs/decisions/0020-parts.md. What the version before
-- queued waits for the lane as a whole: its part is ''.
ALTER TABLE queue ADD COLUMN IF NOT EXISTS part text COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE lanes ADD COLUMN IF NOT EXISTS resumed_at double precision;
ALTER TABLE lanes ADD COLUMN IF NOT EXISTS quiet_until double precision;

-- What a person or the relay decided about a part of a lane, and what the relay says of it.
CREATE TABLE IF NOT EXISTS lane_parts (
    app            text COLLATE "C" NOT NULL,
    provider       text COLLATE "C" NOT NULL,
    part           text COLLATE "C" NOT NULL,
    held           text COLLATE "C" NOT NULL DEFAULT '',
    reason         text COLLATE "C" NOT NULL DEFAULT '',
    hint           text COLLATE "C" NOT NULL DEFAULT '',
    held_at        double precision,
    resumed_at     double precision,
    trouble        text COLLATE "C" NOT NULL DEFAULT '',
    trouble_reason text COLLATE "C" NOT NULL DEFAULT '',
    trouble_hint   text COLLATE "C" NOT NULL DEFAULT '',
    trouble_at     double precision,
    errors         double precision NOT NULL DEFAULT 0,
    waiting        integer NOT NULL DEFAULT 0,
    seen_at        double precision,
    PRIMARY KEY (app, provider, part)
);
