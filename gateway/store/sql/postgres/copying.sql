-- How far a copy into this database is: no part of the schema, for a gateway has no use for it.
-- name: copy_create
CREATE TABLE IF NOT EXISTS store_copy (
    name        text PRIMARY KEY,
    source      text NOT NULL,
    last_key    text NOT NULL,
    rows        bigint NOT NULL DEFAULT 0,
    verified_at double precision
);

-- name: copy_begun
SELECT to_regclass('store_copy') IS NOT NULL;

-- name: copy_lock
SELECT pg_advisory_xact_lock($1, 0);

-- name: copy_progress
SELECT name, source, last_key, rows, verified_at FROM store_copy;

-- name: copy_begin
INSERT INTO store_copy (name, source, last_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- Only from where it was read: of two copies at once the slower one finds out, and writes nothing.
-- name: copy_advance
UPDATE store_copy SET last_key = $3, rows = rows + $4
WHERE name = $1 AND last_key = $2 AND verified_at IS NULL;

-- name: copy_verified
UPDATE store_copy SET verified_at = $1;

-- name: copy_occupied
SELECT name FROM (VALUES
    ('devices', EXISTS (SELECT 1 FROM devices)),
    ('api_keys', EXISTS (SELECT 1 FROM api_keys)),
    ('secrets', EXISTS (SELECT 1 FROM secrets)),
    ('forgotten', EXISTS (SELECT 1 FROM forgotten)),
    ('erasures', EXISTS (SELECT 1 FROM erasures)),
    ('erased_events', EXISTS (SELECT 1 FROM erased_events)),
    ('audit', EXISTS (SELECT 1 FROM audit)),
    ('hooks', EXISTS (SELECT 1 FROM hooks)),
    ('hook_told', EXISTS (SELECT 1 FROM hook_told)),
    ('hook_batches', EXISTS (SELECT 1 FROM hook_batches)),
    ('lanes', EXISTS (SELECT 1 FROM lanes)),
    ('brake_window', EXISTS (SELECT 1 FROM brake_window)),
    ('held_removals', EXISTS (SELECT 1 FROM held_removals)),
    ('starts', EXISTS (SELECT 1 FROM starts)),
    ('effect_marks', EXISTS (SELECT 1 FROM effect_marks)),
    ('effect_days', EXISTS (SELECT 1 FROM effect_days)),
    ('effect_reasons', EXISTS (SELECT 1 FROM effect_reasons)),
    ('effect_phones', EXISTS (SELECT 1 FROM effect_phones)),
    ('effect_terms', EXISTS (SELECT 1 FROM effect_terms)),
    ('effect_outcomes', EXISTS (SELECT 1 FROM effect_outcomes)),
    ('experiment_members', EXISTS (SELECT 1 FROM experiment_members)),
    ('experiments', EXISTS (SELECT 1 FROM experiments)),
    ('experiment_left_out', EXISTS (SELECT 1 FROM experiment_left_out)),
    ('experiment_also', EXISTS (SELECT 1 FROM experiment_also)),
    ('experiment_exempt', EXISTS (SELECT 1 FROM experiment_exempt)),
    ('experiment_held', EXISTS (SELECT 1 FROM experiment_held)),
    ('events', EXISTS (SELECT 1 FROM events)),
    ('learning', EXISTS (SELECT 1 FROM learning)),
    ('learning_chain', EXISTS (SELECT 1 FROM learning_chain)),
    ('learning_seals', EXISTS (SELECT 1 FROM learning_seals)),
    ('learning_days', EXISTS (SELECT 1 FROM learning_days)),
    ('learning_outcomes', EXISTS (SELECT 1 FROM learning_outcomes)),
    ('event_people', EXISTS (SELECT 1 FROM event_people)),
    ('cancelled', EXISTS (SELECT 1 FROM cancelled)),
    ('suppressions', EXISTS (SELECT 1 FROM suppressions)),
    ('chunks_done', EXISTS (SELECT 1 FROM chunks_done)),
    ('deliveries', EXISTS (SELECT 1 FROM deliveries)),
    ('failed_attempts', EXISTS (SELECT 1 FROM failed_attempts)),
    ('receipts', EXISTS (SELECT 1 FROM receipts)),
    ('dead_letters', EXISTS (SELECT 1 FROM dead_letters)),
    ('queue', EXISTS (SELECT 1 FROM queue))
) AS tables (name, has_rows)
WHERE has_rows;

-- name: copy_replicas
SELECT count(*) FROM replicas WHERE seen_at > clock_timestamp() - make_interval(secs => $1);

-- name: copy_give_ids_behind
SELECT setval(pg_get_serial_sequence($1, 'id'), $2);

-- Statistics at once: autovacuum looks a minute later, and never at a partitioned table as a whole.
-- name: copy_analyze
ANALYZE devices, events, learning, chunks_done, deliveries, receipts, dead_letters, hook_batches, queue;
