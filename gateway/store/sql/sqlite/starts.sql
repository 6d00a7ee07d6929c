-- Whether one may start, as a row. A time that no event can have was written by a wrong clock.
-- name: starts_ask
INSERT INTO starts (device_id, key, received_at, holder, until)
SELECT :device_id, :key,
       coalesce((SELECT received_at FROM events WHERE event_id = :event_id), :first_seen),
       :holder, :now + :for_s
WHERE true
ON CONFLICT (device_id, key) DO UPDATE SET
    received_at = excluded.received_at, holder = excluded.holder, until = excluded.until
WHERE starts.holder = excluded.holder
   OR ((starts.received_at <= excluded.received_at OR starts.received_at > :latest)
       AND NOT starts.until BETWEEN :now + 1e-6 AND :now + 2 * :for_s)
RETURNING 1;

-- name: starts_newer
SELECT received_at > coalesce(
           (SELECT received_at FROM events WHERE event_id = :event_id), :first_seen)
       AND received_at <= :latest
FROM starts WHERE device_id = :device_id AND key = :key;

-- name: starts_release
UPDATE starts SET until = 0 WHERE device_id = :device_id AND key = :key AND holder = :holder;

-- name: starts_last
SELECT max(device_id) FROM starts;

-- A stretch of devices at a time: the table has no index by time, for every push would write it.
-- name: starts_purge
DELETE FROM starts WHERE device_id > :after AND device_id <= :upto AND until < :before
    AND received_at < :before;
