-- A lane has parts, which fail apart: see deploy/docs/decisions/0020-parts.md. What the version before
-- queued waits for the lane as a whole: its part is ''.
ALTER TABLE queue ADD COLUMN part TEXT NOT NULL DEFAULT '';
DROP INDEX queue_due;
CREATE INDEX queue_due ON queue (due_at, id, lane, part, deadline, first_seen, size, tries);
DROP INDEX queue_suspects;
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
