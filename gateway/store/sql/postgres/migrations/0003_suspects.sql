-- What tells a chunk that ends processes from one that was beside it: how many ended while it was
-- tried alone, whether its last claim was such a trial, and when that was (epoch seconds). The
-- version before claims by its own queries: it counts tries, and leaves these as they are.
ALTER TABLE queue ADD COLUMN IF NOT EXISTS lone_ends integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN IF NOT EXISTS alone integer NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN IF NOT EXISTS claimed_at double precision NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS queue_suspects ON queue ((lone_ends + alone), due_at, id) WHERE tries >= 2;
