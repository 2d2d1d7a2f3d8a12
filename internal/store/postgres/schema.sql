-- The schema after all migrations, written by TestSchema_IsTheGoldenFile. To change it, add a migration.

CREATE TABLE answer (
  expires_at bigint NOT NULL,
  status bigint NOT NULL,
  hash bytea NOT NULL,
  fingerprint bytea NOT NULL,
  header bytea,
  body bytea
);
CREATE UNIQUE INDEX answer_pkey ON answer USING btree (hash);
CREATE INDEX answer_expiry ON answer USING btree (expires_at);

CREATE TABLE api_key (
  environment text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  scope text NOT NULL,
  application text NOT NULL,
  prefix text NOT NULL,
  hash bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  revoked_at bigint NOT NULL
);
CREATE UNIQUE INDEX api_key_pkey ON api_key USING btree (environment, id);
CREATE UNIQUE INDEX api_key_hash ON api_key USING btree (hash);

CREATE TABLE application (
  ref bigint NOT NULL,
  environment text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  uid text COLLATE "C",
  name text NOT NULL,
  throttle_rate bigint NOT NULL,
  metadata text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  tokens_not_before bigint NOT NULL,
  version bigint NOT NULL,
  deleted_at bigint NOT NULL
);
CREATE UNIQUE INDEX application_pkey ON application USING btree (ref);
CREATE UNIQUE INDEX application_id ON application USING btree (environment, id);
CREATE UNIQUE INDEX application_uid ON application USING btree (environment, uid) WHERE (uid IS NOT NULL);

CREATE TABLE attempt (
  message bigint NOT NULL,
  endpoint bigint NOT NULL,
  started_at bigint NOT NULL,
  next_attempt bigint NOT NULL,
  duration integer NOT NULL,
  dns integer NOT NULL,
  connect integer NOT NULL,
  tls integer NOT NULL,
  first_byte integer NOT NULL,
  number integer NOT NULL,
  status_code smallint NOT NULL,
  status smallint NOT NULL,
  manual smallint NOT NULL,
  id bytea NOT NULL,
  url text NOT NULL,
  error text,
  response bytea,
  response_header bytea
) PARTITION BY RANGE (message);
CREATE UNIQUE INDEX attempt_pkey ON ONLY attempt USING btree (message, endpoint, id);
CREATE INDEX attempt_endpoint ON ONLY attempt USING btree (endpoint, id) INCLUDE (status);
CREATE INDEX attempt_failed_delivery ON ONLY attempt USING btree (endpoint, message) WHERE (status <> 0);
CREATE INDEX attempt_failure ON ONLY attempt USING btree (endpoint, id) WHERE (status <> 0);

CREATE TABLE change (
  seq bigint NOT NULL,
  application bigint NOT NULL,
  at bigint NOT NULL
);
CREATE UNIQUE INDEX change_pkey ON change USING btree (seq);

CREATE TABLE counter (
  name text NOT NULL,
  next bigint NOT NULL
);
CREATE UNIQUE INDEX counter_pkey ON counter USING btree (name);

CREATE TABLE cursor (
  consumer bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  updated_at bigint NOT NULL
) WITH (fillfactor=50);
CREATE UNIQUE INDEX cursor_pkey ON cursor USING btree (consumer, name);

CREATE TABLE day (
  day bigint NOT NULL
);
CREATE UNIQUE INDEX day_pkey ON day USING btree (day);

CREATE TABLE endpoint (
  ref bigint NOT NULL,
  application bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  uid text COLLATE "C",
  url text NOT NULL,
  description text NOT NULL,
  version bigint NOT NULL,
  metadata text,
  headers bytea,
  secrets bytea,
  event_types text,
  channels text,
  filter text,
  disabled boolean NOT NULL,
  disabled_reason text NOT NULL,
  disabled_at bigint NOT NULL,
  paused boolean NOT NULL,
  throttle_rate bigint NOT NULL,
  concurrency bigint NOT NULL,
  timeout bigint NOT NULL,
  retry_schedule text,
  ordering text NOT NULL,
  skip_tls_verify boolean NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  deleted_at bigint NOT NULL,
  rules text,
  transformation text,
  variables bytea
);
CREATE UNIQUE INDEX endpoint_pkey ON endpoint USING btree (ref);
CREATE UNIQUE INDEX endpoint_id ON endpoint USING btree (application, id);
CREATE UNIQUE INDEX endpoint_uid ON endpoint USING btree (application, uid) WHERE (uid IS NOT NULL);

CREATE TABLE environment (
  id text COLLATE "C" NOT NULL,
  name text NOT NULL,
  created_at bigint NOT NULL,
  retention bigint NOT NULL
);
CREATE UNIQUE INDEX environment_pkey ON environment USING btree (id);
CREATE UNIQUE INDEX environment_name ON environment USING btree (name);

CREATE TABLE event_id (
  application bigint NOT NULL,
  message bigint NOT NULL,
  event_id text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX event_id_pkey ON event_id USING btree (application, event_id);
CREATE INDEX event_id_message ON event_id USING btree (message);

CREATE TABLE event_type (
  environment text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  description text NOT NULL,
  group_name text NOT NULL,
  archived boolean NOT NULL,
  deprecated boolean NOT NULL,
  schemas text,
  feature_flags text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE UNIQUE INDEX event_type_pkey ON event_type USING btree (environment, name);

CREATE TABLE execution (
  endpoint bigint NOT NULL,
  id bytea NOT NULL,
  message bytea NOT NULL,
  version bigint NOT NULL,
  outcome smallint NOT NULL,
  started_at bigint NOT NULL,
  duration bigint NOT NULL,
  error text NOT NULL,
  log text,
  log_cut boolean NOT NULL
);
CREATE UNIQUE INDEX execution_pkey ON execution USING btree (endpoint, id);
CREATE INDEX execution_age ON execution USING btree (started_at);

CREATE TABLE feed (
  consumer bigint NOT NULL,
  seq bigint NOT NULL,
  message bigint NOT NULL,
  at bigint NOT NULL
);
CREATE UNIQUE INDEX feed_pkey ON feed USING btree (consumer, seq);
CREATE INDEX feed_message ON feed USING btree (message, consumer);

CREATE TABLE feed_end (
  consumer bigint NOT NULL,
  seq bigint NOT NULL
) WITH (fillfactor=10, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_cost_delay=0);
CREATE UNIQUE INDEX feed_end_pkey ON feed_end USING btree (consumer);

CREATE TABLE installation (
  name text NOT NULL,
  value bytea NOT NULL
);
CREATE UNIQUE INDEX installation_pkey ON installation USING btree (name);

CREATE TABLE lease (
  shard smallint NOT NULL,
  epoch bigint NOT NULL,
  node text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX lease_pkey ON lease USING btree (shard);

CREATE TABLE message (
  ref bigint NOT NULL,
  application bigint NOT NULL,
  created_at bigint NOT NULL,
  deliver_at bigint NOT NULL,
  payload_expires_at bigint NOT NULL,
  expunged boolean NOT NULL,
  id bytea NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  event_id text COLLATE "C",
  channels text,
  tags text,
  matched bytea
) PARTITION BY RANGE (ref);
CREATE UNIQUE INDEX message_pkey ON ONLY message USING btree (ref);
CREATE INDEX message_id ON ONLY message USING btree (application, id);
CREATE INDEX message_type ON ONLY message USING btree (application, event_type, id);

CREATE TABLE message_key (
  expires_at bigint NOT NULL,
  hash bytea NOT NULL,
  fingerprint bytea NOT NULL,
  message bytea NOT NULL
);
CREATE UNIQUE INDEX message_key_pkey ON message_key USING btree (hash);
CREATE INDEX message_key_expiry ON message_key USING btree (expires_at);

CREATE TABLE migration (
  name text COLLATE "C" NOT NULL,
  sha256 text NOT NULL
);
CREATE UNIQUE INDEX migration_pkey ON migration USING btree (name);

CREATE TABLE node (
  id text COLLATE "C" NOT NULL,
  addr text NOT NULL,
  version text NOT NULL,
  started_at bigint NOT NULL,
  seen_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE UNIQUE INDEX node_pkey ON node USING btree (id);

CREATE TABLE outbox (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  environment character varying(256) NOT NULL DEFAULT 'live'::character varying,
  application character varying(256) NOT NULL,
  event_type character varying(256) NOT NULL,
  event_id character varying(256),
  payload text NOT NULL,
  channels character varying(128)[],
  tags character varying(128)[],
  deliver_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  reason text,
  refused_at timestamp with time zone,
  CONSTRAINT outbox_channels_are_a_short_list CHECK (((array_ndims(channels) = 1) AND (cardinality(channels) <= 10))),
  CONSTRAINT outbox_payload_is_an_object CHECK ((json_typeof((payload)::json) = 'object'::text)),
  CONSTRAINT outbox_tags_are_a_short_list CHECK (((array_ndims(tags) = 1) AND (cardinality(tags) <= 5)))
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_scale_factor=0.2, autovacuum_analyze_threshold=20000);
CREATE UNIQUE INDEX outbox_pkey ON outbox USING btree (id);
CREATE INDEX outbox_refused ON outbox USING btree (refused_at) WHERE (reason IS NOT NULL);
CREATE INDEX outbox_waiting ON outbox USING btree (id) WHERE (reason IS NULL);
CREATE TRIGGER outbox_ring AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION outbox_ring();

CREATE TABLE outcome (
  token bytea NOT NULL,
  at bigint NOT NULL
);
CREATE UNIQUE INDEX outcome_pkey ON outcome USING btree (token);
CREATE INDEX outcome_at ON outcome USING btree (at);

CREATE TABLE payload (
  message bigint NOT NULL,
  body bytea,
  raw bytea,
  head bytea
) PARTITION BY RANGE (message);
CREATE UNIQUE INDEX payload_pkey ON ONLY payload USING btree (message);

CREATE TABLE payload_expiry (
  expires_at bigint NOT NULL,
  message bigint NOT NULL
);
CREATE UNIQUE INDEX payload_expiry_pkey ON payload_expiry USING btree (expires_at, message);
CREATE INDEX payload_expiry_message ON payload_expiry USING btree (message);

CREATE TABLE poller (
  ref bigint NOT NULL,
  application bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  uid text COLLATE "C",
  settings text NOT NULL,
  sealed bytea NOT NULL,
  state text NOT NULL,
  revision bigint NOT NULL,
  due bigint NOT NULL,
  paused boolean NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
) WITH (fillfactor=50);
CREATE UNIQUE INDEX poller_pkey ON poller USING btree (ref);
CREATE INDEX poller_due ON poller USING btree (due) WHERE ((NOT paused) AND (due > 0));
CREATE UNIQUE INDEX poller_application ON poller USING btree (application, id);
CREATE UNIQUE INDEX poller_id_key ON poller USING btree (id);
CREATE UNIQUE INDEX poller_uid ON poller USING btree (application, uid) WHERE (uid IS NOT NULL);

CREATE TABLE poller_item (
  poller bigint NOT NULL,
  item bytea NOT NULL,
  content bytea NOT NULL,
  version bigint NOT NULL,
  seen_at bigint NOT NULL
);
CREATE UNIQUE INDEX poller_item_pkey ON poller_item USING btree (poller, item);

CREATE TABLE queue (
  shard smallint NOT NULL,
  manual smallint NOT NULL,
  attempts integer NOT NULL,
  endpoint bigint NOT NULL,
  due bigint NOT NULL,
  message bigint NOT NULL,
  retry_at bigint NOT NULL,
  line bigint NOT NULL
) WITH (fillfactor=60, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_scale_factor=0.2, autovacuum_analyze_threshold=20000);
CREATE UNIQUE INDEX queue_pkey ON queue USING btree (shard, endpoint, due, message);
CREATE INDEX queue_message ON queue USING btree (message, endpoint);

CREATE TABLE request (
  day bigint NOT NULL,
  source bigint NOT NULL,
  received_at bigint NOT NULL,
  secret integer NOT NULL,
  took integer NOT NULL,
  size integer NOT NULL,
  status smallint NOT NULL,
  outcome smallint NOT NULL,
  expunged boolean NOT NULL,
  id bytea NOT NULL,
  message bytea,
  event_type text COLLATE "C",
  event_id text COLLATE "C",
  cause text COLLATE "C",
  detail text,
  method text,
  remote text
) PARTITION BY RANGE (day);
CREATE UNIQUE INDEX request_pkey ON ONLY request USING btree (source, id, day);
CREATE INDEX request_refused ON ONLY request USING btree (source, id) WHERE (outcome <> 0);

CREATE TABLE request_content (
  day bigint NOT NULL,
  source bigint NOT NULL,
  id bytea NOT NULL,
  head bytea,
  body bytea
) PARTITION BY RANGE (day);
CREATE UNIQUE INDEX request_content_pkey ON ONLY request_content USING btree (source, id, day);

CREATE TABLE source (
  ref bigint NOT NULL,
  environment text COLLATE "C" NOT NULL,
  application bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  uid text COLLATE "C",
  settings text NOT NULL,
  sealed bytea NOT NULL,
  disabled boolean NOT NULL,
  failing_since bigint NOT NULL,
  failing_cause text NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  deleted_at bigint NOT NULL
);
CREATE UNIQUE INDEX source_pkey ON source USING btree (ref);
CREATE INDEX source_application ON source USING btree (application);
CREATE UNIQUE INDEX source_id ON source USING btree (environment, id);
CREATE UNIQUE INDEX source_uid ON source USING btree (environment, uid) WHERE (uid IS NOT NULL);

CREATE TABLE source_token (
  hash bytea NOT NULL,
  source bigint NOT NULL
);
CREATE UNIQUE INDEX source_token_pkey ON source_token USING btree (hash);
CREATE INDEX source_token_source ON source_token USING btree (source);

CREATE TABLE task (
  id text COLLATE "C" NOT NULL,
  environment text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  status text NOT NULL,
  data text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL
);
CREATE UNIQUE INDEX task_pkey ON task USING btree (id);
CREATE INDEX task_environment ON task USING btree (environment, id);
CREATE INDEX task_running ON task USING btree (id) WHERE (status = 'running'::text);

CREATE TABLE transformation_version (
  endpoint bigint NOT NULL,
  version bigint NOT NULL,
  hash text COLLATE "C" NOT NULL,
  code text NOT NULL,
  created_at bigint NOT NULL
);
CREATE UNIQUE INDEX transformation_version_pkey ON transformation_version USING btree (endpoint, version);

CREATE TABLE writer (
  id text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  version bigint NOT NULL,
  at bigint NOT NULL
) WITH (fillfactor=10, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_cost_delay=0);
CREATE UNIQUE INDEX writer_pkey ON writer USING btree (id);
CREATE INDEX writer_node ON writer USING btree (node);
