-- The days that have a partition, and how many rows about: -1 where nobody counted yet.
-- name: partition_days
SELECT substring(child.relname FROM 'deliveries_d(\d+)')::int AS day, child.reltuples::bigint AS rows,
       -- NULL: another replica has just dropped it
       coalesce(pg_relation_size(child.oid), 0) AS bytes
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = 'deliveries'::regclass AND child.relname ~ '^deliveries_d\d+$'
ORDER BY day;

-- By name in the catalog's rows: `to_regclass` may remember what was so before a lock was had.
-- name: partition_exists
SELECT EXISTS (
    SELECT 1 FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'deliveries'::regclass AND child.relname = 'deliveries_d' || $1::int
);

-- A day's table that somebody has detached: it still has what it had.
-- name: partition_is_apart
SELECT EXISTS (
    SELECT 1 FROM pg_class
    WHERE relname = 'deliveries_d' || $1::int
      AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'deliveries'::regclass)
);

-- Where the journal is, and its partitions belong.
-- name: partition_place
SELECT quote_ident(nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = 'deliveries'::regclass;

-- name: day_is_queued
SELECT EXISTS (SELECT 1 FROM queue WHERE day = $1);

-- name: partition_lock
SELECT pg_advisory_xact_lock($1, 0);

-- name: partition_rows
SELECT count(*) FROM deliveries WHERE day = $1;

-- name: partition_today
SELECT floor(extract(epoch FROM now()) / 86400)::int;
