-- A queue that is no part of the store goes with PostgreSQL alone: what 0003 brought for it on this engine
-- goes, but for the column `taken_at`, which holds nothing and whose dropping would write the table anew.
-- One process works on a file, and no older one opens it after this: nobody misses the index.
DROP INDEX events_accepting;
