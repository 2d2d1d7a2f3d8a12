ALTER TABLE payload ADD COLUMN head bytea; -- of an inbound message: what its request said besides the body

INSERT INTO counter (name, next) VALUES ('source', 1);

CREATE TABLE source (
  ref           bigint PRIMARY KEY,
  environment   text COLLATE "C" NOT NULL,
  application   bigint NOT NULL,
  id            text COLLATE "C" NOT NULL,
  uid           text COLLATE "C", -- NULL when there is none, or the source is deleted
  settings      text NOT NULL,  -- JSON
  sealed        bytea NOT NULL, -- tokens, secrets and params as JSON
  disabled      boolean NOT NULL,
  failing_since bigint NOT NULL,
  failing_cause text NOT NULL,
  created_at    bigint NOT NULL,
  updated_at    bigint NOT NULL,
  deleted_at    bigint NOT NULL -- kept after that, because its requests are there
);
CREATE UNIQUE INDEX source_id ON source (environment, id);
CREATE UNIQUE INDEX source_uid ON source (environment, uid) WHERE uid IS NOT NULL;
CREATE INDEX source_application ON source (application);

CREATE TABLE source_token (
  hash   bytea PRIMARY KEY, -- SHA-256
  source bigint NOT NULL
);
CREATE INDEX source_token_source ON source_token (source);

-- Requests are history: one narrow row each, in the order in which a source's list shows them. What a
-- request that became a message brought is in payload; what others brought is in request_content. Both
-- are kept by the day of the request's id, in the form in which the day stands in a message's ref.
CREATE TABLE request (
  day         bigint NOT NULL,
  source      bigint NOT NULL,
  received_at bigint NOT NULL,
  secret      integer NOT NULL,
  took        integer NOT NULL, -- microseconds
  size        integer NOT NULL,
  status      smallint NOT NULL,
  outcome     smallint NOT NULL, -- 0 accepted, 1 rejected, 2 duplicate
  expunged    boolean NOT NULL,
  id          bytea NOT NULL, -- 20 bytes of KSUID: they sort by time
  message     bytea, -- its id
  event_type  text COLLATE "C",
  event_id    text COLLATE "C",
  cause       text COLLATE "C",
  detail      text,
  method      text,
  remote      text,
  PRIMARY KEY (source, id, day)
) PARTITION BY RANGE (day);
CREATE INDEX request_refused ON request (source, id) WHERE outcome <> 0;

CREATE TABLE request_content (
  day    bigint NOT NULL,
  source bigint NOT NULL,
  id     bytea NOT NULL,
  head   bytea,
  body   bytea,
  PRIMARY KEY (source, id, day)
) PARTITION BY RANGE (day);

-- The days that have tables already get these two as well; without partitions there are no days.
DO $$
DECLARE
  d bigint;
  t text;
  n text;
BEGIN
  FOR d IN SELECT day.day FROM day LOOP
    FOREACH t IN ARRAY ARRAY['request', 'request_content'] LOOP
      n := t || '_' || to_char(to_timestamp(d * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD');
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)', n, t, d * 17592186044416, (d + 1) * 17592186044416);
    END LOOP;
  END LOOP;
END $$;
