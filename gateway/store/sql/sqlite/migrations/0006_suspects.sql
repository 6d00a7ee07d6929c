-- What tells a chunk that ends processes from one that was beside it: how many ended while it was
-- tried alone, whether its last claim was such a trial, and when that was (epoch seconds).
ALTER TABLE queue ADD COLUMN lone_ends INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN claimed_at REAL NOT NULL DEFAULT 0;
-- With `tries`, for a claim leaves suspects alone, and reads no row for that.
DROP INDEX queue_due;
CREATE INDEX queue_due ON queue (due_at, id, lane, deadline, first_seen, size, tries);
CREATE INDEX queue_suspects ON queue (lone_ends + alone, due_at, id, lane, deadline) WHERE tries >= 2;
