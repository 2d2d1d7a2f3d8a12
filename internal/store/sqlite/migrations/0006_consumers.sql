CREATE TABLE feed (
  -- What consumers read: numbered per consumer, in the order of the commits.
  consumer INTEGER NOT NULL,
  seq      INTEGER NOT NULL,
  message  INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (consumer, seq)
) WITHOUT ROWID;
CREATE INDEX feed_message ON feed (message, consumer);

CREATE TABLE feed_end (
  -- The last number given out, also when retention has taken everything.
  consumer INTEGER PRIMARY KEY,
  seq      INTEGER NOT NULL
);

CREATE TABLE cursor (
  -- How far a group of readers has come.
  consumer   INTEGER NOT NULL,
  name       TEXT NOT NULL,
  seq        INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (consumer, name)
) WITHOUT ROWID;
