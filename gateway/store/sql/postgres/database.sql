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

-- The name of this transaction, by which its end can be asked for when the answer to it was lost.
-- name: transaction_name
SELECT pg_current_xact_id()::text;

-- The same, and locks that are held until its end. In the order in which they are given.
-- name: transaction_locks
SELECT pg_current_xact_id()::text, count(pg_advisory_xact_lock($1, one)) FROM unnest($2::int[]) one;

-- name: transaction_end
SELECT pg_xact_status($1::text::xid8);

-- name: ping
UPDATE pulse SET beat_at = clock_timestamp() WHERE id = 1;

-- name: announce
SELECT pg_notify($1, '');

-- name: server_life
SELECT life FROM server_life;

-- name: server_life_begin
INSERT INTO server_life VALUES (1, gen_random_uuid()::text) ON CONFLICT DO NOTHING;
