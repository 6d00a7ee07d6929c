-- What a dead letter says beside its columns, in a form with a version (gateway/core/stored.py); and of
-- what nobody could read, the bytes as they were queued and the version that they say. Such a letter
-- has item_index -1, and the number of its row or message in the queue for a device.
ALTER TABLE dead_letters ADD COLUMN later TEXT;
ALTER TABLE dead_letters ADD COLUMN raw BLOB;
ALTER TABLE dead_letters ADD COLUMN form INTEGER;

-- A queue that is no part of the store goes with PostgreSQL alone: what 0003 brought for it on this engine
-- goes, but for the column `taken_at`, which holds nothing and whose dropping would write the table anew.
-- One process works on a file, and no older one opens it after this: nobody misses the index.
DROP INDEX events_accepting;

-- What tells a chunk that ends processes from one that was beside it: how many ended while it was
-- tried alone, whether its last claim was such a trial, and when that was (epoch seconds).
ALTER TABLE queue ADD COLUMN lone_ends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN claimed_at REAL NOT NULL DEFAULT 0;

-- A lane has parts, which fail apart: see deploy/docs/decisions/0020-parts.md. What the version before
-- queued waits for the lane as a whole: its part is ''.
ALTER TABLE queue ADD COLUMN part TEXT NOT NULL DEFAULT '';
-- With `tries`, for a claim leaves suspects alone, and reads no row for that.
DROP INDEX queue_due;
CREATE INDEX queue_due ON queue (due_at, id, lane, part, deadline, first_seen, size, tries);
CREATE INDEX queue_suspects ON queue (lone_ends + alone, due_at, id, lane, part, deadline)
    WHERE tries >= 2;

ALTER TABLE lanes ADD COLUMN resumed_at REAL;
ALTER TABLE lanes ADD COLUMN quiet_until REAL;

-- What a person or the relay decided about a part of a lane, and what the relay says of it.
CREATE TABLE lane_parts (
    app            TEXT NOT NULL,
    provider       TEXT NOT NULL,
    part           TEXT NOT NULL,
    held           TEXT NOT NULL DEFAULT '',
    reason         TEXT NOT NULL DEFAULT '',
    hint           TEXT NOT NULL DEFAULT '',
    held_at        REAL,
    resumed_at     REAL,
    trouble        TEXT NOT NULL DEFAULT '',
    trouble_reason TEXT NOT NULL DEFAULT '',
    trouble_hint   TEXT NOT NULL DEFAULT '',
    trouble_at     REAL,
    errors         REAL NOT NULL DEFAULT 0,
    waiting        INTEGER NOT NULL DEFAULT 0,
    seen_at        REAL,
    PRIMARY KEY (app, provider, part)
) WITHOUT ROWID;
