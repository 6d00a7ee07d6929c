-- What people were told of this database being older than it was, or of the future: nobody is told
-- the same twice. See deploy/docs/decisions/0033-the-file.md.
CREATE TABLE doubts (
    what   text COLLATE "C" PRIMARY KEY,
    value  text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    at     double precision NOT NULL
);
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
-- Who did what: see gateway/core/audit.py and deploy/docs/decisions/0035-who-did-what.md. One row an
-- act and thing, however many transactions it took: they add to `affected`. `user_word` and
-- `custom_word` stand for the ids of the person whom it was about, and are empty elsewhere.
CREATE TABLE audit (
    at          double precision NOT NULL,
    who         text COLLATE "C" NOT NULL,
    what        text COLLATE "C" NOT NULL,
    object      text COLLATE "C" NOT NULL,
    user_word   text COLLATE "C" NOT NULL,
    custom_word text COLLATE "C" NOT NULL,
    affected    bigint NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    remote      text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    routine     integer NOT NULL,
    PRIMARY KEY (at, who, what, object, user_word, custom_word)
);
CREATE INDEX audit_user ON audit (user_word) WHERE user_word <> '';
CREATE INDEX audit_custom ON audit (custom_word) WHERE custom_word <> '';
CREATE INDEX audit_reason ON audit (at) WHERE reason <> '';
-- What each process thinks of its machine's clock, and what a person said of it (name 'a person').
CREATE TABLE clocks (
    name   text COLLATE "C" PRIMARY KEY,
    at     double precision NOT NULL,
    ahead  double precision NOT NULL,
    doubt  text NOT NULL,
    told   text NOT NULL,
    since  double precision
);
