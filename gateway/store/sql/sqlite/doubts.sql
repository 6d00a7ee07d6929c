-- Devices: the last ten thousand, for no index leads to the latest.
-- name: doubts_newest
SELECT max(at) FROM (
    SELECT max(received_at) AS at FROM events
    UNION ALL
    SELECT max(last_seen_at) FROM (SELECT last_seen_at FROM devices ORDER BY id DESC LIMIT 10000)
    UNION ALL
    SELECT max(seen_at) FROM lanes
);

-- name: doubt_tell
INSERT INTO doubts (what, value, reason, at) VALUES (:what, :value, :reason, :at)
ON CONFLICT (what) DO UPDATE SET value = excluded.value, reason = excluded.reason, at = excluded.at
WHERE doubts.value <> excluded.value;

-- name: doubts_told
SELECT what, value, reason, at FROM doubts ORDER BY at;

-- The largest id that each table ever gave: these never fall.
-- name: ids_given
SELECT name, seq FROM sqlite_sequence;
