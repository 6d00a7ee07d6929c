-- When a dead letter was taken for a replay through a queue that is no part of the store.
ALTER TABLE dead_letters ADD COLUMN taken_at REAL;
