-- All rows that a registration may touch, locked in the order of their ids.
-- name: devices_touched
SELECT * FROM devices
WHERE (installation_id = $1 AND app = $2)
   OR (address = ANY($4::text[]) AND provider = $3 AND app = $2)
ORDER BY id FOR UPDATE;

-- name: device_insert
INSERT INTO devices (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at,
    locale, timezone, app_version, os_version, device_model, notifications, measure, can,
    user_changed_at, stated, user_word, custom_word, erased_at, heard_at
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10, $11, $12, $13, $14, $15, $16, $17,
    $18, $19, $20, $21, $22, $23, $24, $25, $26
)
RETURNING *;

-- New devices whose installations and addresses nobody has, which `devices_in_the_way` tells.
-- name: devices_insert
INSERT INTO devices (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at,
    locale, timezone, app_version, os_version, device_model, notifications, measure, can,
    user_changed_at, stated, user_word, custom_word, erased_at, heard_at
)
SELECT app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
       environment, 'active', state_at, registered_at, last_seen_at,
       locale, timezone, app_version, os_version, device_model, notifications, measure, can,
       user_changed_at, stated, user_word, custom_word, erased_at, heard_at
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::float8[], $11::float8[], $12::float8[], $13::text[],
    $14::text[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[],
    $21::float8[], $22::int[], $23::text[], $24::text[], $25::float8[],
    $26::float8[]
) AS asked (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state_at, registered_at, last_seen_at, locale, timezone, app_version,
    os_version, device_model, notifications, measure, can, user_changed_at, stated, user_word,
    custom_word, erased_at, heard_at
);

-- The rows that a batch meets by an installation or an address, locked in the order of their ids.
-- Joins, here and below: in a table that was just filled, of which the planner knows nothing, each
-- row would be compared with each name of an array.
-- name: devices_in_the_way
SELECT * FROM devices WHERE id IN (
    SELECT d.id FROM unnest($1::text[]) AS asked (name)
    JOIN devices d ON d.installation_id = asked.name
    UNION
    SELECT d.id FROM unnest($2::text[]) AS asked (name) JOIN devices d ON d.address = asked.name
)
ORDER BY id FOR UPDATE;

-- How many rows there are of each user of a batch.
-- name: devices_of_users
SELECT 'user', user_id, count(*)
FROM unnest($1::text[]) AS asked (name) JOIN devices ON user_id = asked.name GROUP BY user_id
UNION ALL
SELECT 'custom', custom_id, count(*)
FROM unnest($2::text[]) AS asked (name) JOIN devices ON custom_id = asked.name GROUP BY custom_id;

-- name: device_update
UPDATE devices SET
    app = $1, provider = $2, installation_id = $3, user_id = $4, custom_id = $5, address = $6,
    address_kind = $7, platform = $8, environment = $9, state = 'active', state_reason = '',
    state_at = CASE state WHEN 'active' THEN state_at ELSE $10 END,
    registered_at = $11, last_seen_at = $12, locale = $13, timezone = $14, app_version = $15,
    os_version = $16, device_model = $17, notifications = $18, measure = $19, can = $20,
    user_changed_at = $21, stated = $22, user_word = $23, custom_word = $24, erased_at = $25,
    heard_at = $26
WHERE id = $27
RETURNING *;

-- name: devices_delete
DELETE FROM devices WHERE id = ANY($1::bigint[]);

-- name: devices_of_installation
SELECT * FROM devices WHERE installation_id = $1 ORDER BY app;

-- name: devices_of_installation_locked
SELECT * FROM devices WHERE installation_id = $1 ORDER BY id FOR UPDATE;

-- name: devices_of_user
SELECT * FROM devices WHERE user_id = $1
UNION
SELECT * FROM devices WHERE custom_id = $2;

-- Two searches by index and each device once: one condition with OR costs twice at a million rows.
-- name: targets
SELECT id, app, provider, address, address_kind, platform, environment, user_id, custom_id,
       stated, user_word, custom_word, last_seen_at, erased_at,
       trunc(CASE greatest(last_seen_at, heard_at) WHEN 0 THEN -registered_at
             ELSE greatest(last_seen_at, heard_at) END)
FROM devices WHERE user_id = ANY($1::text[]) AND state = 'active'
UNION
SELECT id, app, provider, address, address_kind, platform, environment, user_id, custom_id,
       stated, user_word, custom_word, last_seen_at, erased_at,
       trunc(CASE greatest(last_seen_at, heard_at) WHEN 0 THEN -registered_at
             ELSE greatest(last_seen_at, heard_at) END)
FROM devices WHERE custom_id = ANY($2::text[]) AND state = 'active';

-- What is known to the hour is not written again. Rows are locked in the order of their ids.
-- name: devices_heard
UPDATE devices SET heard_at = new.at
FROM (
    SELECT d.id, asked.at
    FROM unnest($1::bigint[], $2::float8[]) AS asked (id, at) JOIN devices d ON d.id = asked.id
    WHERE greatest(d.last_seen_at, d.heard_at) <= asked.at - 3600.0
    ORDER BY d.id FOR UPDATE OF d
) AS new
WHERE devices.id = new.id;

-- name: device_remember_environment
UPDATE devices SET environment = $3 WHERE id = $1 AND address = $2;

-- name: devices_page
SELECT * FROM devices
WHERE id > $1 AND ($2::text IS NULL OR app = $2) AND ($3::text IS NULL OR state = $3)
  AND ($5::float8 IS NULL OR $5 >
       CASE greatest(last_seen_at, heard_at) WHEN 0 THEN registered_at
       ELSE greatest(last_seen_at, heard_at) END)
  AND (NOT $6::boolean OR notifications = 'denied')
ORDER BY id LIMIT $4;

-- name: devices_count
SELECT provider, app, state, count(*) FROM devices GROUP BY provider, app, state;

-- `$1` to `$5` are the spans of core.staleness.WITHIN, from when on a device was seen within each.
-- name: devices_audience
SELECT app, platform, count(*) FILTER (WHERE notifications = 'denied'),
       count(*) FILTER (WHERE seen >= $1), count(*) FILTER (WHERE seen >= $2),
       count(*) FILTER (WHERE seen >= $3), count(*) FILTER (WHERE seen >= $4),
       count(*) FILTER (WHERE seen >= $5)
FROM (
    SELECT app, platform, notifications, greatest(last_seen_at, heard_at) AS seen
    FROM devices WHERE state = 'active'
) AS active
GROUP BY app, platform;

-- name: devices_purge
DELETE FROM devices WHERE id = ANY(ARRAY(
    SELECT id FROM devices WHERE state = 'pruned' AND state_at < $1
    ORDER BY state_at LIMIT $2 FOR UPDATE SKIP LOCKED
)) RETURNING *;

-- What the rows of these proofs are like now, locked in the order of their ids.
-- name: devices_proven
SELECT id, address, last_seen_at, state FROM devices
WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE;

-- name: devices_remove
UPDATE devices SET state = r.state, state_reason = r.reason, state_at = r.at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[]) AS r (id, state, reason, at)
WHERE devices.id = r.id;
