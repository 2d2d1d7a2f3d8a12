-- Refs, and numbers that only rise. Changing a row orders the transactions that do.

CREATE TABLE counter (
  name text PRIMARY KEY,
  next bigint NOT NULL
);
INSERT INTO counter (name, next) VALUES ('application', 1), ('endpoint', 1), ('message', 1), ('change', 1), ('lease', 1), ('day', 1);

CREATE TABLE installation (
  -- What all nodes must agree on, such as the master key.
  name  text PRIMARY KEY,
  value bytea NOT NULL
);

-- Configuration: small, read often, changed by people. What is sorted by is compared byte by byte.

CREATE TABLE environment (
  id         text COLLATE "C" PRIMARY KEY,
  name       text NOT NULL,
  created_at bigint NOT NULL, -- milliseconds since 1970, as every time here; 0 is never
  retention  bigint NOT NULL  -- nanoseconds; 0 is the default
);
CREATE UNIQUE INDEX environment_name ON environment (name);

CREATE TABLE application (
  ref               bigint PRIMARY KEY,
  environment       text COLLATE "C" NOT NULL,
  id                text COLLATE "C" NOT NULL,
  uid               text COLLATE "C", -- NULL when there is none, or the application is deleted
  name              text NOT NULL,
  throttle_rate     bigint NOT NULL,
  metadata          text, -- JSON
  created_at        bigint NOT NULL,
  updated_at        bigint NOT NULL,
  tokens_not_before bigint NOT NULL, -- customers' tokens issued until then are refused
  version           bigint NOT NULL, -- rises with every change of it or of one of its endpoints
  deleted_at        bigint NOT NULL
);
CREATE UNIQUE INDEX application_id ON application (environment, id);
CREATE UNIQUE INDEX application_uid ON application (environment, uid) WHERE uid IS NOT NULL;

CREATE TABLE endpoint (
  ref             bigint PRIMARY KEY,
  application     bigint NOT NULL,
  id              text COLLATE "C" NOT NULL,
  uid             text COLLATE "C", -- NULL when there is none, or the endpoint is deleted
  url             text NOT NULL,
  description     text NOT NULL,
  version         bigint NOT NULL,
  metadata        text,  -- JSON
  headers         bytea, -- JSON, sealed
  secrets         bytea, -- JSON, sealed
  event_types     text,  -- JSON
  channels        text,  -- JSON
  filter          text,  -- JSON
  disabled        boolean NOT NULL,
  disabled_reason text NOT NULL,
  disabled_at     bigint NOT NULL,
  paused          boolean NOT NULL,
  throttle_rate   bigint NOT NULL,
  concurrency     bigint NOT NULL,
  timeout         bigint NOT NULL, -- nanoseconds
  retry_schedule  text, -- JSON, nanoseconds
  ordering        text NOT NULL,
  skip_tls_verify boolean NOT NULL,
  created_at      bigint NOT NULL,
  updated_at      bigint NOT NULL,
  deleted_at      bigint NOT NULL -- kept after that, because history names it
);
CREATE UNIQUE INDEX endpoint_id ON endpoint (application, id);
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application, uid) WHERE uid IS NOT NULL;

CREATE TABLE event_type (
  environment   text COLLATE "C" NOT NULL,
  name          text COLLATE "C" NOT NULL,
  description   text NOT NULL,
  group_name    text NOT NULL,
  archived      boolean NOT NULL,
  deprecated    boolean NOT NULL,
  schemas       text, -- JSON
  feature_flags text, -- JSON
  created_at    bigint NOT NULL,
  updated_at    bigint NOT NULL,
  PRIMARY KEY (environment, name)
);

CREATE TABLE api_key (
  environment text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  name        text NOT NULL,
  scope       text NOT NULL,
  application text NOT NULL, -- its id, or '' for all
  prefix      text NOT NULL,
  hash        bytea NOT NULL,
  created_at  bigint NOT NULL,
  expires_at  bigint NOT NULL,
  revoked_at  bigint NOT NULL,
  PRIMARY KEY (environment, id)
);
CREATE UNIQUE INDEX api_key_hash ON api_key (hash);

CREATE TABLE task (
  id          text COLLATE "C" PRIMARY KEY,
  environment text COLLATE "C" NOT NULL,
  kind        text NOT NULL,
  status      text NOT NULL,
  data        text, -- JSON
  created_at  bigint NOT NULL,
  updated_at  bigint NOT NULL
);
CREATE INDEX task_environment ON task (environment, id);
CREATE INDEX task_running ON task (id) WHERE status = 'running';

-- Messages and history: append only. A message's ref begins with the day of its id, so that all of a
-- day can be kept apart, found by ref, and dropped whole (partition.go).

CREATE TABLE message (
  ref                bigint NOT NULL,
  application        bigint NOT NULL,
  created_at         bigint NOT NULL,
  deliver_at         bigint NOT NULL,
  payload_expires_at bigint NOT NULL,
  expunged           boolean NOT NULL,
  id                 bytea NOT NULL, -- 20 bytes of KSUID: they sort by time
  event_type         text COLLATE "C" NOT NULL,
  event_id           text COLLATE "C",
  channels           text,  -- JSON
  tags               text,  -- JSON
  matched            bytea, -- endpoints' refs: varints of the differences
  PRIMARY KEY (ref)
) PARTITION BY RANGE (ref);
CREATE INDEX message_id ON message (application, id);
CREATE INDEX message_type ON message (application, event_type, id);

CREATE TABLE payload (
  message bigint NOT NULL,
  body    bytea,
  raw     bytea,
  PRIMARY KEY (message)
) PARTITION BY RANGE (message);

CREATE TABLE attempt (
  message      bigint NOT NULL,
  endpoint     bigint NOT NULL,
  started_at   bigint NOT NULL,
  next_attempt bigint NOT NULL,
  duration     integer NOT NULL, -- microseconds, as the phases
  dns          integer NOT NULL,
  connect      integer NOT NULL,
  tls          integer NOT NULL,
  first_byte   integer NOT NULL,
  number       integer NOT NULL,
  status_code  smallint NOT NULL,
  status       smallint NOT NULL, -- 0 succeeded, 2 failed, 3 failed and to be tried again
  manual       smallint NOT NULL, -- the Trigger
  id           bytea NOT NULL, -- 20 bytes of KSUID
  url          text NOT NULL,
  error        text,
  response     bytea,
  PRIMARY KEY (message, endpoint, id)
) PARTITION BY RANGE (message);
CREATE INDEX attempt_endpoint ON attempt (endpoint, id) INCLUDE (status);
CREATE INDEX attempt_failure ON attempt (endpoint, id) WHERE status <> 0;
CREATE INDEX attempt_failed_delivery ON attempt (endpoint, message) WHERE status <> 0;

CREATE TABLE day (
  -- The days that have tables of their own.
  day bigint PRIMARY KEY
);

CREATE TABLE payload_expiry (
  -- Only messages whose payload goes before they do.
  expires_at bigint NOT NULL,
  message    bigint NOT NULL,
  PRIMARY KEY (expires_at, message)
);
CREATE INDEX payload_expiry_message ON payload_expiry (message);

-- Queue: small and hot. Rows come and go, so pages keep room, and what is dead is cleaned up at once.

CREATE TABLE queue (
  shard    smallint NOT NULL,
  manual   smallint NOT NULL, -- the Trigger
  attempts integer NOT NULL,
  endpoint bigint NOT NULL,
  due      bigint NOT NULL,
  message  bigint NOT NULL,
  retry_at bigint NOT NULL,
  line     bigint NOT NULL,
  PRIMARY KEY (shard, endpoint, due, message)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 20000);
CREATE INDEX queue_message ON queue (message, endpoint);

-- Guards: what must not happen twice.

CREATE TABLE event_id (
  application bigint NOT NULL,
  message     bigint NOT NULL,
  event_id    text COLLATE "C" NOT NULL,
  PRIMARY KEY (application, event_id)
);
CREATE INDEX event_id_message ON event_id (message);

CREATE TABLE message_key (
  -- Idempotency keys of requests that carried a message.
  expires_at  bigint NOT NULL,
  hash        bytea PRIMARY KEY,
  fingerprint bytea NOT NULL,
  message     bytea NOT NULL -- its id
);
CREATE INDEX message_key_expiry ON message_key (expires_at);

CREATE TABLE answer (
  -- Idempotency keys of other requests, with what was answered.
  expires_at  bigint NOT NULL,
  status      bigint NOT NULL,
  hash        bytea PRIMARY KEY,
  fingerprint bytea NOT NULL,
  header      bytea,
  body        bytea
);
CREATE INDEX answer_expiry ON answer (expires_at);

-- Nodes: who delivers, and who has written what.

CREATE TABLE node (
  id         text COLLATE "C" PRIMARY KEY,
  addr       text NOT NULL,
  version    text NOT NULL,
  started_at bigint NOT NULL,
  seen_at    bigint NOT NULL,
  expires_at bigint NOT NULL -- of its leases
);

CREATE TABLE lease (
  shard smallint PRIMARY KEY,
  epoch bigint NOT NULL,                -- rises with every change of owner
  node  text COLLATE "C" NOT NULL       -- '' when nobody holds it
);
INSERT INTO lease (shard, epoch, node) SELECT shard, 0, '' FROM generate_series(0, 255) AS s (shard);

CREATE TABLE writer (
  -- A row for every goroutine that writes. Each of its transactions ends by changing this row, if its
  -- version is as expected: so it can find out later whether a commit took place, and whoever takes
  -- over its node's shards waits for it, and stops it by raising the version.
  id      text COLLATE "C" PRIMARY KEY,
  node    text COLLATE "C" NOT NULL, -- '' before the first Beat
  seq     bigint NOT NULL,
  version bigint NOT NULL,
  at      bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX writer_node ON writer (node);

CREATE TABLE outcome (
  -- Changes that were committed, so that one whose commit was interrupted can find out.
  token bytea PRIMARY KEY,
  at    bigint NOT NULL
);
CREATE INDEX outcome_at ON outcome (at);

CREATE TABLE change (
  -- What other nodes must read again; numbered in the order of the commits.
  seq         bigint PRIMARY KEY,
  application bigint NOT NULL, -- 0: something that belongs to none
  at          bigint NOT NULL
);
