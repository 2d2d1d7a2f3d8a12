INSERT INTO counter (name, next) VALUES ('poller', 1);

CREATE TABLE poller (
  ref         bigint PRIMARY KEY,
  application bigint NOT NULL,
  id          text COLLATE "C" NOT NULL UNIQUE,
  uid         text COLLATE "C", -- NULL when there is none
  settings    text NOT NULL,  -- JSON
  sealed      bytea NOT NULL, -- headers and secret as JSON
  state       text NOT NULL,  -- JSON
  revision    bigint NOT NULL,
  due         bigint NOT NULL, -- 0 when no run is due
  paused      boolean NOT NULL,
  created_at  bigint NOT NULL,
  updated_at  bigint NOT NULL
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX poller_application ON poller (application, id);
CREATE UNIQUE INDEX poller_uid ON poller (application, uid) WHERE uid IS NOT NULL;
CREATE INDEX poller_due ON poller (due) WHERE NOT paused AND due > 0;

-- What a poller knows of items, so that only what is new or has changed becomes a message.
CREATE TABLE poller_item (
  poller  bigint NOT NULL,
  item    bytea NOT NULL, -- SHA-256 of its id
  content bytea NOT NULL, -- SHA-256 of what counts as a change
  version bigint NOT NULL, -- how many contents it has had
  seen_at bigint NOT NULL,
  PRIMARY KEY (poller, item)
);
