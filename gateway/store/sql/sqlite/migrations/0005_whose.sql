-- What keyed hashes are made with: see gateway/core/hashes.py.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- Who sent an event, and what that source's pushes might reach when it came (gateway/core/stored.py);
-- what came before there were sources is LearnInk's, without limits.
ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT 'learnink';
ALTER TABLE events ADD COLUMN limits TEXT NOT NULL DEFAULT '';
