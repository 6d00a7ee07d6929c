-- When something last came from the app that is no registration: a receipt. 0: nothing did. It is no
-- word about the address, so proof of death is not held against it.
ALTER TABLE devices ADD COLUMN heard_at double precision NOT NULL DEFAULT 0;

-- What registrations said for sending stands in `stated` as well, as bits: 4, their person lets the app
-- show nothing; 8, the app shows data messages by itself.
UPDATE devices SET stated = stated | CASE notifications WHEN 'denied' THEN 4 ELSE 0 END
    | CASE WHEN can LIKE '%data_messages%' THEN 8 ELSE 0 END
WHERE notifications = 'denied' OR can LIKE '%data_messages%';
