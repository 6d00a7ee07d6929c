-- name: device_by_installation
SELECT * FROM devices WHERE installation_id = :installation_id AND app = :app;

-- name: device_by_address
SELECT * FROM devices WHERE address = :address AND provider = :provider AND app = :app;

-- name: device_insert
INSERT INTO devices (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at, heard_at, erased_at,
    locale, timezone, app_version, os_version, device_model, notifications, measure, can,
    user_changed_at, stated, user_word, custom_word
) VALUES (
    :app, :provider, :installation_id, :user_id, :custom_id, :address, :address_kind, :platform,
    :environment, 'active', :now, :now, :seen_at, :heard_at, :erased_at,
    :locale, :timezone, :app_version, :os_version, :device_model, :notifications, :measure, :can,
    :user_changed_at, :stated, :user_word, :custom_word
) RETURNING *;

-- name: device_update
UPDATE devices SET
    provider = :provider, installation_id = :installation_id, user_id = :user_id,
    custom_id = :custom_id, address = :address, address_kind = :address_kind,
    platform = :platform, environment = :environment, state = 'active', state_reason = '',
    state_at = CASE state WHEN 'active' THEN state_at ELSE :now END,
    registered_at = :registered_at, last_seen_at = :seen_at, heard_at = :heard_at,
    erased_at = :erased_at,
    locale = :locale, timezone = :timezone, app_version = :app_version,
    os_version = :os_version, device_model = :device_model, notifications = :notifications,
    measure = :measure, can = :can,
    user_changed_at = :user_changed_at, stated = :stated, user_word = :user_word,
    custom_word = :custom_word
WHERE id = :id
RETURNING *;

-- name: device_delete
DELETE FROM devices WHERE id = :id;

-- name: devices_of_installation
SELECT * FROM devices WHERE installation_id = :installation_id ORDER BY app;

-- name: devices_of_user
SELECT * FROM devices WHERE user_id = :user_id
UNION
SELECT * FROM devices WHERE custom_id = :custom_id;

-- All devices in one row, and each once although it is found by two ids: the driver gives up the
-- interpreter's lock at every row, and a busy event loop is slow to give it back.
-- JSON writes 15 digits of a number, and a proof of death is held against the exact last_seen_at:
-- it travels as two integers, whole seconds and what is left in units of 2^-52.
-- CROSS JOIN keeps the order: an IN would sort the ids first, which takes as long as the search.
-- name: targets
SELECT json_group_array(json_array(
    id, app, provider, address, address_kind, platform, environment, user_id, custom_id,
    stated, user_word, custom_word,
    CAST(last_seen_at AS INTEGER),
    CAST((last_seen_at - CAST(last_seen_at AS INTEGER)) * 4503599627370496.0 AS INTEGER),
    CASE erased_at WHEN 0 THEN 0 ELSE printf('%!.17g', erased_at) END,
    CASE heard_at
        WHEN 0 THEN CASE last_seen_at WHEN 0 THEN -CAST(registered_at AS INTEGER) ELSE 0 END
        ELSE CAST(max(last_seen_at, heard_at) AS INTEGER)
    END
))
FROM devices
WHERE id IN (
    SELECT d.id FROM json_each(:user_ids) asked CROSS JOIN devices d ON d.user_id = asked.value
    UNION ALL
    SELECT d.id FROM json_each(:custom_ids) asked CROSS JOIN devices d ON d.custom_id = asked.value
) AND state = 'active';

-- What is known to the hour is not written again.
-- name: device_heard
UPDATE devices SET heard_at = :at
WHERE id = :id AND max(last_seen_at, heard_at) <= :at - 3600.0;

-- name: device_remember_environment
UPDATE devices SET environment = :environment WHERE id = :id AND address = :address;

-- name: devices_page
SELECT * FROM devices
WHERE id > :after AND (:app IS NULL OR app = :app) AND (:state IS NULL OR state = :state)
  AND (:silent_since IS NULL OR :silent_since >
       CASE max(last_seen_at, heard_at) WHEN 0 THEN registered_at ELSE max(last_seen_at, heard_at) END)
  AND (NOT :denied OR notifications = 'denied')
ORDER BY id LIMIT :limit;

-- name: devices_count
SELECT provider, app, state, count(*) FROM devices GROUP BY provider, app, state;

-- `since_1` to `since_5` are the spans of core.staleness.WITHIN.
-- name: devices_audience
SELECT app, platform, sum(notifications IS 'denied'),
       sum(seen >= :since_1), sum(seen >= :since_2), sum(seen >= :since_3),
       sum(seen >= :since_4), sum(seen >= :since_5)
FROM (
    SELECT app, platform, notifications, max(last_seen_at, heard_at) AS seen
    FROM devices WHERE state = 'active'
)
GROUP BY app, platform;

-- name: devices_purge
DELETE FROM devices WHERE id IN (
    SELECT id FROM devices WHERE state = 'pruned' AND state_at < :before
    ORDER BY state_at LIMIT :limit
) RETURNING *;

-- name: device_standing
SELECT id, address, last_seen_at, state FROM devices WHERE id = ?;

-- name: device_remove
UPDATE devices SET state = ?, state_reason = ?, state_at = ? WHERE id = ?;

