-- The last attempts of a delivery that failed, newest first, a line each (gateway/core/attempts.py), and how
-- many there were. A push that succeeds at once has no row.
CREATE TABLE failed_attempts (
    event_id   text COLLATE "C" NOT NULL,
    item_index integer NOT NULL,
    device_id  bigint NOT NULL,
    failures   integer NOT NULL,
    said       text COLLATE "C" NOT NULL,
    PRIMARY KEY (event_id, item_index, device_id)
);
