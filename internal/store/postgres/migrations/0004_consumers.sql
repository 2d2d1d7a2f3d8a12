-- What consumers read: numbered per consumer, in the order of the commits. Not by day, as messages are:
-- a reader goes on across days, and would have to look into each.
CREATE TABLE feed (
  consumer bigint NOT NULL,
  seq      bigint NOT NULL,
  message  bigint NOT NULL,
  at       bigint NOT NULL,
  PRIMARY KEY (consumer, seq)
);
CREATE INDEX feed_message ON feed (message, consumer);

-- The last number given out, also when retention has taken everything.
CREATE TABLE feed_end (
  consumer bigint PRIMARY KEY,
  seq      bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- How far a group of readers has come.
CREATE TABLE cursor (
  consumer   bigint NOT NULL,
  name       text COLLATE "C" NOT NULL,
  seq        bigint NOT NULL,
  updated_at bigint NOT NULL,
  PRIMARY KEY (consumer, name)
) WITH (fillfactor = 50);
