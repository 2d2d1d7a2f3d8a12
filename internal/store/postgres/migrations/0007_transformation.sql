ALTER TABLE endpoint ADD COLUMN transformation text; -- JSON; NULL when there was never any
ALTER TABLE endpoint ADD COLUMN variables bytea; -- of the transformation, sealed JSON

-- Code that was saved once.
CREATE TABLE transformation_version (
  endpoint   bigint NOT NULL,
  version    bigint NOT NULL,
  hash       text COLLATE "C" NOT NULL,
  code       text NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (endpoint, version)
);

-- Runs of transformations that are worth remembering.
CREATE TABLE execution (
  endpoint   bigint NOT NULL,
  id         bytea NOT NULL, -- of the attempt
  message    bytea NOT NULL, -- its id
  version    bigint NOT NULL,
  outcome    smallint NOT NULL, -- 0 done, 1 failed, 2 canceled
  started_at bigint NOT NULL,
  duration   bigint NOT NULL, -- microseconds
  error      text NOT NULL,
  log        text, -- JSON
  log_cut    boolean NOT NULL,
  PRIMARY KEY (endpoint, id)
);
CREATE INDEX execution_age ON execution (started_at);
