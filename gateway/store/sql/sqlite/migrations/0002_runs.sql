-- The journal is written in runs of some thousand rows, and looked through by user run by run: see
-- deploy/docs/decisions/0014-journal-runs.md. What was written before is run 0.
DROP INDEX deliveries_user;
DROP INDEX deliveries_custom;
-- The day on which the event was received, counted from 1970 in UTC.
ALTER TABLE deliveries ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_user ON deliveries (run, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX deliveries_custom ON deliveries (run, custom_id) WHERE custom_id IS NOT NULL;

ALTER TABLE queue ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
UPDATE queue SET day = CAST(first_seen / 86400 AS INTEGER);
