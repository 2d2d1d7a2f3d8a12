-- Outbox: messages that applications put here in their own transactions. It is the one table that is
-- not Hark's alone; docs/outbox.md is its documentation, and columns keep their names and meanings.
-- A row leaves when its message is accepted. Its times are the database's, because it is not Hark who
-- makes it.

CREATE TABLE outbox (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  environment varchar(256) NOT NULL DEFAULT 'live', -- name or id
  application varchar(256) NOT NULL,                -- id or uid
  event_type  varchar(256) NOT NULL,
  event_id    varchar(256),
  -- Text, because it comes out byte for byte as it went in, which jsonb does not promise, and because
  -- everything can be assigned to it: text, json and jsonb.
  payload     text NOT NULL,
  channels    varchar(128)[],
  tags        varchar(128)[],
  deliver_at  timestamptz,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  reason      text, -- why the message cannot be accepted; NULL while the row waits
  refused_at  timestamptz,
  -- What can be said without knowing Hark's configuration is said at once, while the application can
  -- still do something about it.
  CONSTRAINT outbox_payload_is_an_object CHECK (json_typeof(payload::json) = 'object'),
  CONSTRAINT outbox_channels_are_a_short_list CHECK (array_ndims(channels) = 1 AND cardinality(channels) <= 10),
  CONSTRAINT outbox_tags_are_a_short_list CHECK (array_ndims(tags) = 1 AND cardinality(tags) <= 5)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 20000);
CREATE INDEX outbox_waiting ON outbox (id) WHERE reason IS NULL;
CREATE INDEX outbox_refused ON outbox (refused_at) WHERE reason IS NOT NULL;

-- NOTIFY
-- It says that there are rows, once for each transaction. Hark looks by itself as well, so the trigger
-- may be dropped: that costs some milliseconds of delay, and spares the application's commits the lock
-- that databases take for notifications.
CREATE FUNCTION outbox_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.pg_notify('hark_' || TG_TABLE_SCHEMA, 'o');
  RETURN NULL;
END $$;
CREATE TRIGGER outbox_ring AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_ring();
