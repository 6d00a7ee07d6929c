-- What a dead letter says beside its columns, in a form with a version (gateway/core/stored.py); and of
-- what nobody could read, the bytes as they were queued and the version that they say. Such a letter
-- has item_index -1, and the number of its row or message in the queue for a device.
ALTER TABLE dead_letters ADD COLUMN later TEXT;
ALTER TABLE dead_letters ADD COLUMN raw BLOB;
ALTER TABLE dead_letters ADD COLUMN form INTEGER;
