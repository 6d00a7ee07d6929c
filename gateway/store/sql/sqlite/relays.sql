-- Who is gone (it ran under this system, or on a machine of this name), or has no lease any more.
-- name: relays_gone
DELETE FROM relays
WHERE (boot = :boot AND boot <> '') OR host = :host
   OR NOT EXISTS (SELECT 1 FROM queue
                  WHERE substr(lease_id, 1, length(relays.name) + 1) = relays.name || '-');

-- name: relays_all
SELECT name, pid, host, boot, since FROM relays;

-- name: relays_enter
INSERT INTO relays (name, pid, host, boot, since, path)
VALUES (:name, :pid, :host, :boot, :since, :path);

-- name: relays_leave
DELETE FROM relays WHERE name = ?;
