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
