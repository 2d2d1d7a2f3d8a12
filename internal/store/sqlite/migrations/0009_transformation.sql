ALTER TABLE endpoint ADD COLUMN transformation TEXT; -- JSON; NULL when there was never any
ALTER TABLE endpoint ADD COLUMN variables BLOB; -- of the transformation, sealed JSON

CREATE TABLE transformation_version (
  -- Code that was saved once.
  endpoint   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  hash       TEXT NOT NULL,
  code       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (endpoint, version)
);

CREATE TABLE execution (
  -- Runs of transformations that are worth remembering.
  endpoint   INTEGER NOT NULL,
  id         BLOB NOT NULL, -- of the attempt
  message    BLOB NOT NULL, -- its id
  version    INTEGER NOT NULL,
  outcome    INTEGER NOT NULL, -- 0 done, 1 failed, 2 canceled
  started_at INTEGER NOT NULL,
  duration   INTEGER NOT NULL, -- microseconds
  error      TEXT NOT NULL,
  log        TEXT, -- JSON
  log_cut    INTEGER NOT NULL,
  PRIMARY KEY (endpoint, id)
);
CREATE INDEX execution_age ON execution (started_at);
