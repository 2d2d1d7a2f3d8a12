-- The schema after all migrations, written by TestSchema_IsTheGoldenFile. To change it, add a migration.

CREATE TABLE migration (
  name   TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE counter (
  -- The next ref to give out, kept where deleting rows could make a ref come back.
  name TEXT PRIMARY KEY,
  next INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE environment (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL, -- milliseconds since 1970, as every time here; 0 is never
  retention  INTEGER NOT NULL  -- nanoseconds; 0 is the default
) WITHOUT ROWID;

CREATE TABLE application (
  ref           INTEGER PRIMARY KEY AUTOINCREMENT,
  environment   TEXT NOT NULL,
  id            TEXT NOT NULL,
  uid           TEXT, -- NULL when there is none, or the application is deleted
  name          TEXT NOT NULL,
  throttle_rate INTEGER NOT NULL,
  metadata      TEXT, -- JSON
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  deleted_at    INTEGER NOT NULL
, tokens_not_before INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT 1);
CREATE UNIQUE INDEX application_id ON application (environment, id);
CREATE UNIQUE INDEX application_uid ON application (environment, uid) WHERE uid IS NOT NULL;

CREATE TABLE endpoint (
  ref             INTEGER PRIMARY KEY AUTOINCREMENT,
  application     INTEGER NOT NULL,
  id              TEXT NOT NULL,
  uid             TEXT, -- NULL when there is none, or the endpoint is deleted
  url             TEXT NOT NULL,
  description     TEXT NOT NULL,
  version         INTEGER NOT NULL,
  metadata        TEXT, -- JSON
  headers         BLOB, -- JSON, sealed
  secrets         BLOB, -- JSON, sealed
  event_types     TEXT, -- JSON
  channels        TEXT, -- JSON
  filter          TEXT, -- JSON
  disabled        INTEGER NOT NULL,
  disabled_reason TEXT NOT NULL,
  disabled_at     INTEGER NOT NULL,
  paused          INTEGER NOT NULL,
  throttle_rate   INTEGER NOT NULL,
  concurrency     INTEGER NOT NULL,
  timeout         INTEGER NOT NULL, -- nanoseconds
  retry_schedule  TEXT, -- JSON, nanoseconds
  ordering        TEXT NOT NULL,
  skip_tls_verify INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  deleted_at      INTEGER NOT NULL -- kept after that, because history names it
, rules TEXT, transformation TEXT, variables BLOB);
CREATE UNIQUE INDEX endpoint_id ON endpoint (application, id);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application, uid) WHERE uid IS NOT NULL;

CREATE TABLE event_type (
  environment   TEXT NOT NULL,
  name          TEXT NOT NULL,
  description   TEXT NOT NULL,
  group_name    TEXT NOT NULL,
  archived      INTEGER NOT NULL,
  deprecated    INTEGER NOT NULL,
  schemas       TEXT, -- JSON
  feature_flags TEXT, -- JSON
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX event_type_name ON event_type (environment, name);

CREATE TABLE api_key (
  environment TEXT NOT NULL,
  id          TEXT NOT NULL,
  name        TEXT NOT NULL,
  scope       TEXT NOT NULL,
  application TEXT NOT NULL, -- its id, or '' for all
  prefix      TEXT NOT NULL,
  hash        BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  revoked_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX api_key_id ON api_key (environment, id);
CREATE UNIQUE INDEX api_key_hash ON api_key (hash);

CREATE TABLE task (
  environment TEXT NOT NULL,
  id          TEXT NOT NULL,
  kind        TEXT NOT NULL,
  status      TEXT NOT NULL,
  data        TEXT, -- JSON
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX task_environment ON task (environment, id);
CREATE UNIQUE INDEX task_id ON task (id);
CREATE INDEX task_running ON task (id) WHERE status = 'running';

CREATE TABLE term (
  -- Words that come again and again in millions of rows: names of event types, URLs.
  ref  INTEGER PRIMARY KEY,
  text TEXT NOT NULL
);
CREATE UNIQUE INDEX term_text ON term (text);

CREATE TABLE message (
  ref                INTEGER PRIMARY KEY,
  application        INTEGER NOT NULL,
  id                 BLOB NOT NULL,    -- 20 bytes of KSUID: they sort by time
  event_type         INTEGER NOT NULL, -- a term
  created_at         INTEGER NOT NULL,
  deliver_at         INTEGER NOT NULL,
  payload_expires_at INTEGER NOT NULL,
  expunged           INTEGER NOT NULL,
  event_id           TEXT,
  channels           TEXT, -- JSON
  tags               TEXT, -- JSON
  matched            BLOB, -- endpoints' refs: varints of the differences
  listed             INTEGER NOT NULL -- it stands in the indexes (listing.go)
);
CREATE INDEX message_id ON message (application, id) WHERE listed = 1;
CREATE INDEX message_type ON message (application, event_type, id) WHERE listed = 1;

CREATE TABLE payload (
  message INTEGER PRIMARY KEY,
  body    BLOB,
  raw     BLOB
, head BLOB);

CREATE TABLE payload_expiry (
  -- Only messages whose payload goes before they do.
  expires_at INTEGER NOT NULL,
  message    INTEGER NOT NULL,
  PRIMARY KEY (expires_at, message)
) WITHOUT ROWID;

CREATE TABLE queue (
  endpoint INTEGER NOT NULL,
  due      INTEGER NOT NULL,
  message  INTEGER NOT NULL,
  retry_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  line     INTEGER NOT NULL,
  manual   INTEGER NOT NULL, -- the Trigger
  PRIMARY KEY (endpoint, due, message)
) WITHOUT ROWID;

CREATE TABLE stray (
  -- Queue rows whose due cannot be told from the message and its attempts: resends, replays and
  -- deliveries that were put off without an attempt. With it, "is this message queued at this
  -- endpoint?" is a few exact look-ups, and the queue needs no second index.
  message  INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  due      INTEGER NOT NULL,
  PRIMARY KEY (message, endpoint, due)
) WITHOUT ROWID;

CREATE TABLE attempt (
  ref          INTEGER PRIMARY KEY,
  endpoint     INTEGER NOT NULL,
  message      INTEGER NOT NULL,
  id           BLOB NOT NULL, -- 20 bytes of KSUID
  number       INTEGER NOT NULL,
  manual       INTEGER NOT NULL, -- the Trigger
  status       INTEGER NOT NULL, -- 0 succeeded, 2 failed, 3 failed and to be tried again
  status_code  INTEGER NOT NULL,
  started_at   INTEGER NOT NULL,
  duration     INTEGER NOT NULL, -- microseconds, as the phases
  dns          INTEGER NOT NULL,
  connect      INTEGER NOT NULL,
  tls          INTEGER NOT NULL,
  first_byte   INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  due          INTEGER NOT NULL, -- of the queue row that this attempt left behind; 0: none
  url          INTEGER NOT NULL, -- a term
  error        TEXT,
  response     BLOB,
  listed       INTEGER NOT NULL -- it stands in the indexes (listing.go)
, response_header BLOB);
CREATE INDEX attempt_endpoint ON attempt (endpoint, id, status, message) WHERE listed = 1;
CREATE INDEX attempt_failure ON attempt (endpoint, id) WHERE listed = 1 AND status <> 0;
CREATE INDEX attempt_failed_delivery ON attempt (endpoint, message) WHERE listed = 1 AND status <> 0;
CREATE INDEX attempt_delivery ON attempt (message, endpoint);

CREATE TABLE event_id (
  application INTEGER NOT NULL,
  event_id    TEXT NOT NULL,
  message     INTEGER NOT NULL,
  PRIMARY KEY (application, event_id)
) WITHOUT ROWID;

CREATE TABLE message_key (
  -- Idempotency keys of requests that carried a message.
  hash        BLOB PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  message     BLOB NOT NULL, -- its id
  expires_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX message_key_expiry ON message_key (expires_at);

CREATE TABLE answer (
  -- Idempotency keys of other requests, with what was answered.
  hash        BLOB NOT NULL,
  fingerprint BLOB NOT NULL,
  status      INTEGER NOT NULL,
  header      BLOB,
  body        BLOB,
  expires_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX answer_hash ON answer (hash);
CREATE INDEX answer_expiry ON answer (expires_at);
CREATE UNIQUE INDEX environment_name ON environment (name);

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

CREATE TABLE poller (
  ref         INTEGER PRIMARY KEY AUTOINCREMENT,
  application INTEGER NOT NULL,
  id          TEXT NOT NULL UNIQUE,
  uid         TEXT, -- NULL when there is none
  settings    TEXT NOT NULL, -- JSON
  sealed      BLOB NOT NULL, -- headers and secret as JSON
  state       TEXT NOT NULL, -- JSON
  revision    INTEGER NOT NULL,
  due         INTEGER NOT NULL, -- 0 when no run is due
  paused      INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL
);
CREATE UNIQUE INDEX poller_application ON poller (application, id);
CREATE UNIQUE INDEX poller_uid ON poller (application, uid) WHERE uid IS NOT NULL;
CREATE INDEX poller_due ON poller (due) WHERE paused = 0 AND due > 0;

CREATE TABLE poller_item (
  poller  INTEGER NOT NULL,
  item    BLOB NOT NULL, -- SHA-256 of its id
  content BLOB NOT NULL, -- SHA-256 of what counts as a change
  version INTEGER NOT NULL, -- how many contents it has had
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (poller, item)
) WITHOUT ROWID;

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
