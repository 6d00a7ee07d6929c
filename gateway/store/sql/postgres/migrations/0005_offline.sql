-- For apps whose pushes replace each other by path or by person: when the event was received of which
-- a push to this device, with this key, may have started last. `holder` is the delivery that may start
-- until then, alone. See gateway/ports/starts.py.
CREATE TABLE starts (
    device_id   bigint NOT NULL,
    key         text COLLATE "C" NOT NULL,
    received_at double precision NOT NULL,
    holder      text COLLATE "C" NOT NULL,
    until       double precision NOT NULL,
    PRIMARY KEY (device_id, key)
);
