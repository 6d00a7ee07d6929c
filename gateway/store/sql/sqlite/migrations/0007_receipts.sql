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
