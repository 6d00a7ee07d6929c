-- When something last came from the app that is no registration: a receipt. 0: nothing did. It is no
-- word about the address, so proof of death is not held against it.
ALTER TABLE devices ADD COLUMN heard_at REAL NOT NULL DEFAULT 0;
