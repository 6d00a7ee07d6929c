-- name: schema_create
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The tables beside the table of migrations, or where it would come to; but for those that extensions
-- brought.
-- name: schema_tables
SELECT c.relname::text FROM pg_class c
WHERE c.relkind IN ('r', 'p')
  AND c.relnamespace = coalesce(
      (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migrations')),
      to_regnamespace(quote_ident(current_schema())))
  AND NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');

-- name: schema_version
SELECT coalesce(max(version), 0) FROM schema_migrations;

-- name: schema_applied
INSERT INTO schema_migrations (version) VALUES ($1);

-- name: schema_lock
SELECT pg_advisory_xact_lock($1, 0);

-- The schema of our tables, where new ones would come to another one.
-- name: schema_elsewhere
SELECT n.nspname::text, current_schema()::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('schema_migrations') AND n.nspname IS DISTINCT FROM current_schema();

-- Who has had tables locked for a second or more, the longest first.
-- name: lock_holders
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'a program') AS name,
       extract(epoch FROM now() - a.xact_start)::int AS seconds
FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_class c ON c.oid = l.relation
WHERE l.granted AND a.pid <> pg_backend_pid() AND a.datname = current_database()
  AND c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::regnamespace
  AND a.xact_start < now() - interval '1 second'
GROUP BY 1, 2, a.xact_start ORDER BY a.xact_start LIMIT 3;

-- What there is beside the table of migrations, with the size of tables: of a partitioned one, that of
-- its parts.
-- name: schema_relations
SELECT relname AS name, coalesce(indisvalid, true) AS is_valid,
       CASE relkind WHEN 'r' THEN pg_relation_size(c.oid)
       WHEN 'p' THEN (SELECT coalesce(sum(pg_relation_size(inhrelid)), 0)
                      FROM pg_inherits WHERE inhparent = c.oid)
       ELSE 0 END::bigint AS bytes
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'i', 'I')
  AND c.relnamespace = coalesce(
      (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('schema_migrations')),
      to_regnamespace(quote_ident(current_schema())));

-- The name of this transaction, by which its end can be asked for when the answer to it was lost.
-- name: transaction_name
SELECT pg_current_xact_id()::text;

-- The same, and locks that are held until its end. In the order in which they are given.
-- name: transaction_locks
SELECT pg_current_xact_id()::text, count(pg_advisory_xact_lock($1, one)) FROM unnest($2::int[]) one;

-- name: transaction_end
SELECT pg_xact_status($1::text::xid8);

-- name: ping
INSERT INTO pulse VALUES (1, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at;

-- name: trial_write
INSERT INTO trial VALUES ($1);

-- Gives its disk back at once, unlike DELETE.
-- name: trial_end
TRUNCATE trial;

-- name: announce
SELECT pg_notify($1, '');

-- Where the database's default is not to; one that waits for more (standbys) stays.
-- name: wait_for_the_disk
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off';

-- name: server_life
SELECT life FROM server_life;

-- name: server_life_begin
INSERT INTO server_life VALUES (1, gen_random_uuid()::text) ON CONFLICT DO NOTHING;
