-- How many devices of a lane went, by the second: what the prune brake counts, for all relays. `devices`
-- is how many the lane had then. See deploy/docs/decisions/0034-one-window-for-all.md.
CREATE TABLE brake_window (
    app      text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    at       double precision NOT NULL,
    gone     integer NOT NULL,
    devices  integer NOT NULL,
    PRIMARY KEY (app, provider, at)
);
-- What the version before let go within the last day, as far as it is still known.
INSERT INTO brake_window (app, provider, at, gone, devices)
SELECT app, provider, ceil(state_at), count(*), 0 FROM devices
WHERE state <> 'active' AND state_at > extract(epoch FROM now()) - 86400
GROUP BY 1, 2, 3;

-- In which JetStream stream events wait: one that was made at another time is another one, and what
-- waited in this one is lost.
CREATE TABLE streams (
    name    text COLLATE "C" PRIMARY KEY,
    created text COLLATE "C" NOT NULL
);

-- What the vendor said when it asked for silence.
ALTER TABLE lanes ADD COLUMN quiet_reason text COLLATE "C" NOT NULL DEFAULT '';

-- Empty but for a moment: a row of 1 MiB is written and deleted here after something could not be
-- stored, for a small one may still fit on a full disk. As it is, without being packed.
CREATE TABLE trial (
    data bytea NOT NULL
);
ALTER TABLE trial ALTER COLUMN data SET STORAGE EXTERNAL;
