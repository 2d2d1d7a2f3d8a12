package webhook

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// SQLStore is a Store in a table of any SQL database: what was answered 2xx is worked on after a crash,
// and several processes share the work. It uses plain statements only, so that SQLite, PostgreSQL, MySQL
// and others will do.
type SQLStore struct {
	db    *sql.DB
	query map[string]string
}

// SQLOptions say how to speak to the database.
type SQLOptions struct {
	// Table is the table's name; "" means webhook_event.
	Table string
	// Dollar is set for databases whose placeholders are $1, $2, … (PostgreSQL) instead of ?.
	Dollar bool
}

// The states of a row.
const (
	rowOpen = iota
	rowDone
	rowFailed
)

// sqlStatements are what a SQLStore consists of; % stands for the table.
var sqlStatements = map[string]string{
	"accept": `INSERT INTO % (event_key, provider, event_id, event_type, signed_at, received_at, header, body, state, due_at, attempts, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0, '')`,
	"known":  `SELECT count(*) FROM % WHERE event_key = ?`,
	"due":    `SELECT event_key, provider, event_id, event_type, signed_at, received_at, header, body, due_at, attempts FROM % WHERE state = 0 AND due_at <= ? ORDER BY due_at LIMIT `,
	"claim":  `UPDATE % SET due_at = ?, attempts = attempts + 1 WHERE event_key = ? AND state = 0 AND due_at = ?`,
	"next":   `SELECT min(due_at) FROM % WHERE state = 0`,
	"retry":  `UPDATE % SET due_at = ?, reason = ? WHERE event_key = ? AND state = 0`,
	"end":    `UPDATE % SET state = ?, due_at = ?, reason = ?, body = ?, header = '' WHERE event_key = ? AND state = 0`,
	"fail":   `UPDATE % SET state = ?, due_at = ?, reason = ? WHERE event_key = ? AND state = 0`,
	"forget": `DELETE FROM % WHERE state = 1 AND due_at < ?`,
}

var sqlTableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// NewSQLStore makes a SQLStore over a table that SQLSchema has made.
func NewSQLStore(db *sql.DB, o SQLOptions) (*SQLStore, error) {
	table := o.Table
	if table == "" {
		table = "webhook_event"
	}
	if !sqlTableName.MatchString(table) {
		return nil, fmt.Errorf("webhook: %q is no table's name", table)
	}
	s := &SQLStore{db: db, query: map[string]string{}}
	for name, text := range sqlStatements {
		s.query[name] = placeholders(strings.Replace(text, "%", table, 1), o.Dollar)
	}
	return s, nil
}

// placeholders numbers the question marks where the database wants them so.
func placeholders(text string, dollar bool) string {
	if !dollar {
		return text
	}
	var b strings.Builder
	n := 0
	for _, c := range text {
		if c == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

// SQLSchema is the statement that makes the table, and the one that makes its index. bytes is the
// database's type for bytes: BLOB (SQLite), BYTEA (PostgreSQL), LONGBLOB (MySQL).
func SQLSchema(table, bytes string) (create, index string) {
	create = `CREATE TABLE ` + table + ` (
  event_key   VARCHAR(512) PRIMARY KEY,
  provider    VARCHAR(64) NOT NULL,
  event_id    VARCHAR(512) NOT NULL,
  event_type  VARCHAR(512) NOT NULL,
  signed_at   BIGINT NOT NULL, -- milliseconds since 1970, as every time here; 0 is never
  received_at BIGINT NOT NULL,
  header      TEXT NOT NULL,   -- JSON
  body        ` + bytes + ` NOT NULL,
  state       SMALLINT NOT NULL, -- 0 open, 1 done, 2 failed
  due_at      BIGINT NOT NULL,   -- open: not before, or when the lease ends; else: when it ended
  attempts    INTEGER NOT NULL,
  reason      TEXT NOT NULL
)`
	name := table[strings.LastIndexByte(table, '.')+1:]
	return create, `CREATE INDEX ` + name + `_due ON ` + table + ` (state, due_at)`
}

func sqlMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func sqlMoment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// maxSQLText is what the columns of a key, an id and a type hold.
const maxSQLText = 512

// Accept keeps an event.
func (s *SQLStore) Accept(ctx context.Context, e *Event) (bool, error) {
	if len(e.Key) > maxSQLText || len(e.ID) > maxSQLText || len(e.Type) > maxSQLText {
		return false, fmt.Errorf("webhook: keep an event: its id or type has more than %d bytes", maxSQLText)
	}
	header, err := json.Marshal(e.Header)
	if err != nil {
		return false, fmt.Errorf("webhook: keep an event: %w", err)
	}
	at := sqlMillis(e.ReceivedAt)
	_, err = s.db.ExecContext(ctx, s.query["accept"], e.Key, e.Provider, e.ID, e.Type, sqlMillis(e.Timestamp), at, string(header), e.Body, at)
	if err == nil {
		return true, nil
	}
	// Drivers say in their own ways that a key is taken; whether it is can be asked of all alike.
	var n int
	if asked := s.db.QueryRowContext(ctx, s.query["known"], e.Key).Scan(&n); asked == nil && n > 0 {
		return false, nil
	}
	return false, fmt.Errorf("webhook: keep an event: %w", err)
}

// Claim takes events that are due. Of several processes that want the same one, one gets it.
func (s *SQLStore) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) (events []*Event, next time.Time, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("webhook: claim events: %w", err)
		}
	}()
	due, places, err := s.due(ctx, now, limit)
	if err != nil {
		return nil, next, err
	}
	until := sqlMillis(now.Add(lease))
	for i, e := range due {
		res, err := s.db.ExecContext(ctx, s.query["claim"], until, e.Key, places[i])
		if err != nil {
			return events, next, err
		}
		if n, err := res.RowsAffected(); err != nil {
			return events, next, err
		} else if n == 1 {
			e.Attempt++
			events = append(events, e)
		}
	}
	var first sql.NullInt64
	if err := s.db.QueryRowContext(ctx, s.query["next"]).Scan(&first); err != nil {
		return events, next, err
	}
	return events, sqlMoment(first.Int64), nil
}

func (s *SQLStore) due(ctx context.Context, now time.Time, limit int) (events []*Event, places []int64, err error) {
	rows, err := s.db.QueryContext(ctx, s.query["due"]+strconv.Itoa(limit), sqlMillis(now))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		e := &Event{Header: http.Header{}}
		var signed, received, place int64
		var header string
		if err := rows.Scan(&e.Key, &e.Provider, &e.ID, &e.Type, &signed, &received, &header, &e.Body, &place, &e.Attempt); err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal([]byte(header), &e.Header); err != nil {
			return nil, nil, err
		}
		e.Timestamp, e.ReceivedAt = sqlMoment(signed), sqlMoment(received)
		events, places = append(events, e), append(places, place)
	}
	return events, places, rows.Err()
}

func (s *SQLStore) exec(ctx context.Context, what, statement string, args ...any) error {
	if _, err := s.db.ExecContext(ctx, s.query[statement], args...); err != nil {
		return fmt.Errorf("webhook: %s an event: %w", what, err)
	}
	return nil
}

// Finish says that an event's work is done. Its key is remembered until Forget, its content is not.
func (s *SQLStore) Finish(ctx context.Context, key string, now time.Time) error {
	return s.exec(ctx, "finish", "end", rowDone, sqlMillis(now), "", []byte{}, key)
}

// Retry makes an event due again.
func (s *SQLStore) Retry(ctx context.Context, key string, due time.Time, reason string) error {
	return s.exec(ctx, "put off", "retry", sqlMillis(due), reason, key)
}

// Fail gives an event up. It stays with its content and the reason; setting its state to 0 has it
// worked on again.
func (s *SQLStore) Fail(ctx context.Context, key string, now time.Time, reason string) error {
	return s.exec(ctx, "fail", "fail", rowFailed, sqlMillis(now), reason, key)
}

// Forget drops the keys of events whose work was done before a moment. Call it now and then, with a
// moment that lies further back than providers repeat themselves: some days.
func (s *SQLStore) Forget(ctx context.Context, before time.Time) error {
	return s.exec(ctx, "forget", "forget", sqlMillis(before))
}
