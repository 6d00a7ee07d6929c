-- Experiments: see deploy/docs/decisions/0047-experiments.md.
-- `terms` is what was fixed, as JSON; `key` is the lot's, empty once it has ended.
CREATE TABLE experiments (
    id         text COLLATE "C" PRIMARY KEY,
    stage      text COLLATE "C" NOT NULL,
    terms      text COLLATE "C" NOT NULL,
    key        bytea NOT NULL,
    dry_at     double precision NOT NULL,
    started_at double precision NOT NULL,
    ends_at    double precision NOT NULL,
    ended_at   double precision NOT NULL,
    reason     text COLLATE "C" NOT NULL
);

-- Of the held, who also got something else within their window.
CREATE TABLE experiment_also (
    experiment text COLLATE "C" NOT NULL,
    person     text COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment, person)
);
CREATE INDEX experiment_also_person ON experiment_also (person);

-- Who did not enter, and why, as of the first time; one who enters later counts as a member.
CREATE TABLE experiment_left_out (
    experiment text COLLATE "C" NOT NULL,
    person     text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    since      double precision NOT NULL,
    PRIMARY KEY (experiment, person)
);
CREATE INDEX experiment_left_out_person ON experiment_left_out (person);

-- Of whom nothing is ever held, by the word of an id.
CREATE TABLE experiment_exempt (
    person text COLLATE "C" PRIMARY KEY,
    since  double precision NOT NULL
);

-- The newest reminder that is held back of each person, with its content, in the stored form of
-- `gateway/core/stored.py`; its time comes with `until` of the member, or at once where there is none.
-- `who_user` and `who_custom` are the words of both ids that the content names, "" for none.
CREATE TABLE experiment_held (
    experiment text COLLATE "C" NOT NULL,
    person     text COLLATE "C" NOT NULL,
    event_id   text COLLATE "C" NOT NULL,
    item       integer NOT NULL,
    seen_at    double precision NOT NULL,
    content    bytea NOT NULL,
    who_user   text COLLATE "C" NOT NULL,
    who_custom text COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment, person)
);
CREATE INDEX experiment_held_user ON experiment_held (who_user) WHERE who_user <> '';
CREATE INDEX experiment_held_custom ON experiment_held (who_custom) WHERE who_custom <> '';
CREATE INDEX experiment_held_event ON experiment_held (event_id, item);
