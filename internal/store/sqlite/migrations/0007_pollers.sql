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

-- What a poller knows of items, so that only what is new or has changed becomes a message.
CREATE TABLE poller_item (
  poller  INTEGER NOT NULL,
  item    BLOB NOT NULL, -- SHA-256 of its id
  content BLOB NOT NULL, -- SHA-256 of what counts as a change
  version INTEGER NOT NULL, -- how many contents it has had
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (poller, item)
) WITHOUT ROWID;
