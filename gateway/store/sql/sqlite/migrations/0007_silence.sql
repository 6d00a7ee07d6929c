-- When something last came from the app that is no registration: a receipt. 0: nothing did. It is no
-- word about the address, so proof of death is not held against it.
ALTER TABLE devices ADD COLUMN heard_at REAL NOT NULL DEFAULT 0;

-- What phones told of pushes: see gateway/core/receipts.py and
-- deploy/docs/decisions/0037-receipts.md. A row lives as long as its delivery; `day` is its event's.
CREATE TABLE receipts (
    event_id   TEXT NOT NULL,
    item_index INTEGER NOT NULL,
    device_id  INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         REAL NOT NULL,
    clock      TEXT NOT NULL,
    day        INTEGER NOT NULL,
    PRIMARY KEY (event_id, item_index, device_id, kind)
) WITHOUT ROWID;

-- The last attempts of a delivery that failed, newest first, a line each (gateway/core/attempts.py), and how
-- many there were. A push that succeeds at once has no row.
CREATE TABLE failed_attempts (
    event_id   TEXT NOT NULL,
    item_index INTEGER NOT NULL,
    device_id  INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    said       TEXT NOT NULL,
    PRIMARY KEY (event_id, item_index, device_id)
) WITHOUT ROWID;
