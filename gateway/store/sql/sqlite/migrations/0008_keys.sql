-- Until when an API key holds, and to which sources and types of events it is limited: words with a
-- blank between, none for all.
ALTER TABLE api_keys ADD COLUMN expires_at REAL;
ALTER TABLE api_keys ADD COLUMN sources TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN types TEXT NOT NULL DEFAULT '';
