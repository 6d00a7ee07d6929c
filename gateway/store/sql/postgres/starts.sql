-- Those that may start have a row of `may`; rows are locked in the order of their keys. The server's
-- clock says until when: it is the same for all replicas. It is looked at once the row is locked. What
-- is told of others that may not is of before: who is told to wait asks again. A time later than $7
-- was written by a wrong clock.
-- name: starts_ask
WITH asked AS (
    SELECT a.place, a.device_id, a.key, a.holder,
           coalesce(e.received_at, a.first_seen) AS received_at
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::text[])
        WITH ORDINALITY AS a (device_id, key, event_id, first_seen, holder, place)
    LEFT JOIN events e ON e.event_id = a.event_id
), may AS (
    INSERT INTO starts (device_id, key, received_at, holder, until)
    SELECT device_id, key, received_at, holder,
           extract(epoch FROM clock_timestamp())::float8 + $6::float8
    FROM asked ORDER BY device_id, key
    ON CONFLICT (device_id, key) DO UPDATE SET
        received_at = excluded.received_at, holder = excluded.holder, until = excluded.until
    WHERE starts.holder = excluded.holder
       OR ((starts.received_at <= excluded.received_at
            OR starts.received_at > $7::float8)
           AND NOT starts.until BETWEEN extract(epoch FROM clock_timestamp())::float8 + 1e-6
               AND extract(epoch FROM clock_timestamp())::float8 + 2 * $6::float8)
    RETURNING device_id, key
)
SELECT may.key IS NOT NULL,
       coalesce(before.received_at > asked.received_at AND before.received_at <= $7::float8, false)
FROM asked
LEFT JOIN may ON may.device_id = asked.device_id AND may.key = asked.key
LEFT JOIN starts before ON before.device_id = asked.device_id AND before.key = asked.key
ORDER BY asked.place;

-- name: starts_release
UPDATE starts SET until = 0
FROM (
    SELECT s.device_id, s.key FROM starts s
    JOIN unnest($1::bigint[], $2::text[], $3::text[]) AS ended (device_id, key, holder)
        ON ended.device_id = s.device_id AND ended.key = s.key AND ended.holder = s.holder
    ORDER BY s.device_id, s.key FOR UPDATE OF s
) AS mine
WHERE starts.device_id = mine.device_id AND starts.key = mine.key;

-- name: starts_last
SELECT max(device_id) FROM starts;

-- A stretch of devices at a time: the table has no index by time, for every push would write it.
-- SKIP LOCKED: another replica may be at the same.
-- name: starts_purge
DELETE FROM starts WHERE (device_id, key) IN (
    SELECT device_id, key FROM starts
    WHERE device_id > $1 AND device_id <= $2 AND until < $3 AND received_at < $3
    ORDER BY device_id, key FOR UPDATE SKIP LOCKED
);
