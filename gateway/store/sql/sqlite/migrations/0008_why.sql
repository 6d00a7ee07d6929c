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
