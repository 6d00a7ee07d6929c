-- For a queue that is no part of the store: when a dead letter was taken for a replay through it, and
-- the events whose chunks are not all in it yet.
ALTER TABLE dead_letters ADD COLUMN taken_at REAL;
CREATE INDEX events_accepting ON events (received_at) WHERE status = 'accepting';
