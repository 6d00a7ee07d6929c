-- name: clock_report
INSERT INTO clocks (name, at, ahead, doubt, told) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (name) DO UPDATE SET
    at = excluded.at, ahead = excluded.ahead, doubt = excluded.doubt, told = excluded.told;

-- name: clocks_old
DELETE FROM clocks WHERE name IN (
    SELECT name FROM clocks WHERE at < $1 ORDER BY name FOR UPDATE SKIP LOCKED
);

-- name: clocks_all
SELECT name, at, ahead, doubt, told FROM clocks ORDER BY name;

-- name: clock_leave
DELETE FROM clocks WHERE name = $1;
