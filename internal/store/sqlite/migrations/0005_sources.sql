ALTER TABLE payload ADD COLUMN head BLOB; -- of an inbound message: what its request said besides the body

CREATE TABLE source (
  ref           INTEGER PRIMARY KEY AUTOINCREMENT,
  environment   TEXT NOT NULL,
  application   INTEGER NOT NULL,
  id            TEXT NOT NULL,
  uid           TEXT, -- NULL when there is none, or the source is deleted
  settings      TEXT NOT NULL, -- JSON
  sealed        BLOB NOT NULL, -- tokens, secrets and params as JSON
  disabled      INTEGER NOT NULL,
  failing_since INTEGER NOT NULL,
  failing_cause TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  deleted_at    INTEGER NOT NULL -- kept after that, because its requests are there
);
CREATE UNIQUE INDEX source_id ON source (environment, id);
CREATE UNIQUE INDEX source_uid ON source (environment, uid) WHERE uid IS NOT NULL;
CREATE INDEX source_application ON source (application);

CREATE TABLE source_token (
  hash   BLOB PRIMARY KEY, -- SHA-256
  source INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX source_token_source ON source_token (source);

-- Requests are history: one narrow row each, in the order in which a source's list shows them. What a
-- request that became a message brought is in payload; what others brought is in request_content.
CREATE TABLE request (
  source      INTEGER NOT NULL,
  id          BLOB NOT NULL, -- 20 bytes of KSUID: they sort by time
  received_at INTEGER NOT NULL,
  outcome     INTEGER NOT NULL, -- 0 accepted, 1 rejected, 2 duplicate
  cause       TEXT,
  detail      TEXT,
  secret      INTEGER NOT NULL,
  event_id    TEXT,
  event_type  INTEGER NOT NULL, -- a term
  message     BLOB, -- its id
  status      INTEGER NOT NULL,
  took        INTEGER NOT NULL, -- microseconds
  size        INTEGER NOT NULL,
  method      TEXT NOT NULL,
  remote      TEXT NOT NULL,
  expunged    INTEGER NOT NULL,
  PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX request_refused ON request (source, id) WHERE outcome <> 0;

CREATE TABLE request_content (
  source INTEGER NOT NULL,
  id     BLOB NOT NULL,
  head   BLOB,
  body   BLOB
);
CREATE UNIQUE INDEX request_content_id ON request_content (source, id);
