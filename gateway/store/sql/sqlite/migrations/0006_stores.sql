-- How many devices of a lane went, by the second: what the prune brake counts, also of earlier lives.
-- `devices` is how many the lane had then. See deploy/docs/decisions/0034-one-window-for-all.md.
CREATE TABLE brake_window (
    app      TEXT NOT NULL,
    provider TEXT NOT NULL,
    at       REAL NOT NULL,
    gone     INTEGER NOT NULL,
    devices  INTEGER NOT NULL,
    PRIMARY KEY (app, provider, at)
) WITHOUT ROWID;
-- What the version before let go within the last day, as far as it is still known.
INSERT INTO brake_window (app, provider, at, gone, devices)
SELECT app, provider, CAST(state_at AS INTEGER) + 1.0, count(*), 0 FROM devices
WHERE state <> 'active' AND state_at > strftime('%s', 'now') - 86400
GROUP BY 1, 2, 3;

-- What the vendor said when it asked for silence.
ALTER TABLE lanes ADD COLUMN quiet_reason TEXT NOT NULL DEFAULT '';
