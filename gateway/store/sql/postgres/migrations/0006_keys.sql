-- Until when an API key holds, and to which sources and types of events it is limited: words with a
-- blank between, none for all. The version before does not know the scope of keys with limits.
ALTER TABLE api_keys ADD COLUMN expires_at double precision;
ALTER TABLE api_keys ADD COLUMN sources text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN types text COLLATE "C" NOT NULL DEFAULT '';
