-- When something last came from the app that is no registration: a receipt. 0: nothing did. It is no
-- word about the address, so proof of death is not held against it.
ALTER TABLE devices ADD COLUMN heard_at double precision NOT NULL DEFAULT 0;

-- What registrations said for sending stands in `stated` as well, as bits: 4, their person lets the app
-- show nothing; 8, the app shows data messages by itself; 16, their person lets receipts be kept; 32,
-- does not.
UPDATE devices SET stated = stated | CASE notifications WHEN 'denied' THEN 4 ELSE 0 END
    | CASE WHEN can LIKE '%data_messages%' THEN 8 ELSE 0 END
    | CASE measure WHEN 'granted' THEN 16 WHEN 'denied' THEN 32 ELSE 0 END
WHERE notifications = 'denied' OR can LIKE '%data_messages%' OR measure IN ('granted', 'denied');

-- What phones told of pushes: see gateway/core/receipts.py and
-- deploy/docs/decisions/0037-receipts.md. A row lives as long as its delivery; `day` is its event's.
CREATE TABLE receipts (
    event_id   text COLLATE "C" NOT NULL,
    item_index integer NOT NULL,
    device_id  bigint NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    at         double precision NOT NULL,
    clock      text COLLATE "C" NOT NULL,
    day        integer NOT NULL,
    PRIMARY KEY (event_id, item_index, device_id, kind)
);
CREATE INDEX receipts_day ON receipts (day);

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

-- Events that were cancelled: see gateway/core/cancelling.py and deploy/docs/decisions/0039-stop-and-correct.md.
-- `cancelled`, `taken` and `until` are the answer, which stays the same; `deadline` is the end of the
-- event's life. `digest` stands for the correction that was asked, and `replacement` is its text until
-- that is queued.
CREATE TABLE cancelled (
    event_id    text COLLATE "C" PRIMARY KEY,
    at          double precision NOT NULL,
    cancelled   integer NOT NULL,
    taken       integer NOT NULL,
    until       double precision,
    deadline    double precision NOT NULL,
    digest      text NOT NULL,
    replacement text
);
CREATE INDEX cancelled_at ON cancelled (at);
CREATE INDEX cancelled_open ON cancelled (event_id) WHERE replacement IS NOT NULL;

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
