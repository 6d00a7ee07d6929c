-- The registry: one row per installation and app; an address has one owner.
-- AUTOINCREMENT, because a delivery is named after its device's id: ids must never come back.
CREATE TABLE devices (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    app             TEXT NOT NULL,
    provider        TEXT NOT NULL,
    installation_id TEXT NOT NULL,
    user_id         TEXT,
    custom_id       TEXT,
    address         TEXT NOT NULL,
    address_kind    TEXT NOT NULL,
    platform        TEXT NOT NULL,
    environment     TEXT NOT NULL,
    state           TEXT NOT NULL,
    state_reason    TEXT NOT NULL DEFAULT '',
    state_at        REAL NOT NULL,
    registered_at   REAL NOT NULL,
    last_seen_at    REAL NOT NULL,
    locale          TEXT,
    timezone        TEXT,
    app_version     TEXT,
    os_version      TEXT,
    device_model    TEXT
);
CREATE UNIQUE INDEX devices_installation ON devices (installation_id, app);
CREATE UNIQUE INDEX devices_address ON devices (address, provider, app);
CREATE INDEX devices_user ON devices (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX devices_custom ON devices (custom_id) WHERE custom_id IS NOT NULL;
CREATE INDEX devices_state ON devices (provider, app, state);
CREATE INDEX devices_pruned ON devices (state_at) WHERE state = 'pruned';

-- What was received. The primary key is the svix-id: it is what makes a repeat a duplicate.
CREATE TABLE events (
    event_id      TEXT PRIMARY KEY,
    type          TEXT NOT NULL,
    status        TEXT NOT NULL,
    received_at   REAL NOT NULL,
    occurred_at   REAL,
    notifications INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    rejections    TEXT NOT NULL,
    chunks        INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    body          BLOB NOT NULL
);
CREATE INDEX events_received ON events (received_at);

-- Which of an event's original chunks were worked through.
CREATE TABLE chunks_done (
    event_id TEXT NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (event_id, number)
) WITHOUT ROWID;

-- The journal: one row per delivery (event, item, device); device 0 stands for "reached none".
CREATE TABLE deliveries (
    event_id     TEXT NOT NULL,
    item_index   INTEGER NOT NULL,
    device_id    INTEGER NOT NULL,
    state        TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    at           REAL NOT NULL,
    user_id      TEXT,
    custom_id    TEXT,
    app          TEXT NOT NULL,
    provider     TEXT NOT NULL,
    address_hash TEXT NOT NULL,
    reason       TEXT NOT NULL,
    vendor_id    TEXT NOT NULL,
    next_at      REAL,
    PRIMARY KEY (event_id, item_index, device_id)
) WITHOUT ROWID;
CREATE INDEX deliveries_user ON deliveries (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX deliveries_custom ON deliveries (custom_id, at) WHERE custom_id IS NOT NULL;

CREATE TABLE dead_letters (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id   TEXT NOT NULL,
    item_index INTEGER NOT NULL,
    device_id  INTEGER NOT NULL,
    app        TEXT NOT NULL,
    provider   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    died_at    REAL NOT NULL,
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    path       TEXT,
    user_id    TEXT,
    custom_id  TEXT,
    UNIQUE (event_id, item_index, device_id)
);

-- The queue. A leased chunk is one whose due_at lies at the end of its lease.
CREATE TABLE queue (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id   TEXT NOT NULL,
    number     INTEGER NOT NULL,
    lane       TEXT NOT NULL,
    first_seen REAL NOT NULL,
    deadline   REAL NOT NULL,
    due_at     REAL NOT NULL,
    lease_id   TEXT,
    tries      INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    items      BLOB NOT NULL
);
-- Wide, so that neither a claim that skips lanes nor the depth reads the rows with their texts.
CREATE INDEX queue_due ON queue (due_at, id, lane, deadline, first_seen, size);
CREATE INDEX queue_event ON queue (event_id);

-- What a person or the relay decided about a lane, and what the relay says of it.
CREATE TABLE lanes (
    app      TEXT NOT NULL,
    provider TEXT NOT NULL,
    held     TEXT NOT NULL DEFAULT '',
    reason   TEXT NOT NULL DEFAULT '',
    hint     TEXT NOT NULL DEFAULT '',
    held_at  REAL,
    brake_at REAL,
    rate     REAL NOT NULL DEFAULT 0,
    errors   REAL NOT NULL DEFAULT 0,
    waiting  INTEGER NOT NULL DEFAULT 0,
    seen_at  REAL,
    PRIMARY KEY (app, provider)
) WITHOUT ROWID;

-- Removals that the prune brake stopped, with the proof they stand on.
CREATE TABLE held_removals (
    device_id INTEGER PRIMARY KEY,
    address   TEXT NOT NULL,
    seen_at   REAL NOT NULL,
    app       TEXT NOT NULL,
    provider  TEXT NOT NULL,
    state     TEXT NOT NULL,
    reason    TEXT NOT NULL
);

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    created_at REAL NOT NULL,
    revoked_at REAL
) WITHOUT ROWID;
