-- Hooks: see gateway/core/hooks.py and deploy/docs/decisions/0043-hooks.md. How each stands: `held` by whom
-- ('operator', or 'gone' after a 410), what `trouble` it has and since when, how many failures in a row, and until
-- when it is left alone. `holder` posts until `held_until`, alone. `silent_at`: silence of before is told;
-- `learnt` and `sealed`: so far learning events, and the seals of their chain, are followed.
CREATE TABLE hooks (
    id          TEXT PRIMARY KEY,
    held        TEXT NOT NULL DEFAULT '',
    reason      TEXT NOT NULL DEFAULT '',
    held_at     REAL,
    trouble     TEXT NOT NULL DEFAULT '',
    trouble_at  REAL,
    failures    INTEGER NOT NULL DEFAULT 0,
    quiet_until REAL NOT NULL DEFAULT 0,
    holder      TEXT NOT NULL DEFAULT '',
    held_until  REAL NOT NULL DEFAULT 0,
    silent_at   REAL,
    learnt      TEXT NOT NULL DEFAULT '',
    sealed      TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

-- What waits for hooks, and their dead letters (`died_at`): some events a row, a line each in `lines`, and in
-- `people` when it happened and the words for whom it names. Once it has a `name`, its webhook-id, it is never
-- another batch. `at` is when the oldest happened, `since` when it began to wait. `must`: it gets neither too old
-- nor too many.
CREATE TABLE hook_batches (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    hook    TEXT NOT NULL,
    name    TEXT NOT NULL DEFAULT '',
    at      REAL NOT NULL,
    since   REAL NOT NULL,
    due_at  REAL NOT NULL DEFAULT 0,
    size    INTEGER NOT NULL,
    tries   INTEGER NOT NULL DEFAULT 0,
    must    INTEGER NOT NULL DEFAULT 0,
    lines   BLOB NOT NULL,
    people  TEXT NOT NULL,
    reason  TEXT NOT NULL DEFAULT '',
    died_at REAL
);
CREATE INDEX hook_batches_waiting ON hook_batches (hook, due_at, id, size, since, must)
    WHERE died_at IS NULL;
CREATE INDEX hook_batches_dead ON hook_batches (hook, died_at, size) WHERE died_at IS NOT NULL;

-- Which hooks were ever told of whom: words that stand for ids, and whether by the ids themselves.
CREATE TABLE hook_told (
    word  TEXT NOT NULL,
    hook  TEXT NOT NULL,
    named INTEGER NOT NULL,
    PRIMARY KEY (word, hook)
) WITHOUT ROWID;
