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
