package sqlite

import (
	"context"
	"errors"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

var _ store.Mover = (*Store)(nil)

const (
	countMessagesSQL = `SELECT count(*) FROM message`

	everyRequestSQL = requestColumns + `FROM request r` + requestJoins + `WHERE r.source = ? ORDER BY r.id`

	everyMessageSQL = messageColumns + `ORDER BY m.ref`

	everyAttemptSQL = attemptColumns + `FROM attempt a INDEXED BY attempt_delivery` + attemptJoins + `WHERE a.message = ? ORDER BY a.id`

	// The queue has no index by message, and does not need one but here. What belongs to deleted
	// endpoints is about to be swept away.
	sortQueueSQL = `CREATE TEMP TABLE moving (
  message INTEGER NOT NULL, endpoint INTEGER NOT NULL, due INTEGER NOT NULL,
  retry_at INTEGER NOT NULL, attempts INTEGER NOT NULL, line INTEGER NOT NULL, manual INTEGER NOT NULL,
  PRIMARY KEY (message, endpoint, due)
) WITHOUT ROWID`

	fillMovingSQL = `INSERT INTO temp.moving (message, endpoint, due, retry_at, attempts, line, manual)
SELECT q.message, q.endpoint, q.due, q.retry_at, q.attempts, q.line, q.manual
FROM queue q JOIN endpoint e ON e.ref = q.endpoint WHERE e.deleted_at = 0 ORDER BY q.message`

	fedOfMessageSQL = `SELECT consumer, seq, at FROM feed WHERE message = ?`

	queuedOfMessageSQL = `SELECT endpoint, due, retry_at, attempts, line, manual FROM temp.moving WHERE message = ?`
)

// CountMessages says how many messages there are.
func (s *Store) CountMessages(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		n, err = c.int(countMessagesSQL)
		return err
	})
	return n, err
}

// Export visits everything in the file, inside one read transaction. Until it ends the log cannot be
// moved into the file beyond the moment it began: a server that goes on meanwhile makes the log grow.
func (s *Store) Export(ctx context.Context, visit func(*store.Record) error) error {
	return s.apart(func(c *conn) (err error) {
		if _, err := c.exec(sortQueueSQL); err != nil {
			return err
		}
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		defer func() {
			_, end := c.exec("COMMIT")
			err = errors.Join(err, end)
		}()
		e := &exporter{c: c, Export: row.NewExport(&s.kinds, c.query, func(r *store.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return visit(r)
		})}
		if err := e.Do(); err != nil {
			return err
		}
		if err := e.messages(); err != nil {
			return err
		}
		return e.requests()
	})
}

// exporter is an export under way.
type exporter struct {
	row.Export
	c *conn
}

func (e *exporter) messages() error {
	if _, err := e.c.exec(fillMovingSQL); err != nil {
		return err
	}
	return e.c.query(func(r row.Row) error {
		m, err := row.ScanMessage(r)
		if err != nil {
			return err
		}
		moved := &store.MovedMessage{Message: m}
		if err := e.complete(moved); err != nil {
			return err
		}
		return e.Visit(&store.Record{Message: moved})
	}, everyMessageSQL)
}

// requests visits the requests of one source after the other.
func (e *exporter) requests() error {
	for _, ref := range e.SourceRefs {
		err := e.c.query(func(r row.Row) error {
			q, err := row.ScanRequest(r)
			if err != nil {
				return err
			}
			if err := e.c.query(func(r row.Row) error { q.Head, q.Body = r.Blob(0), r.Blob(1); return nil }, requestSQL.Content, ref, r.Blob(2)); err != nil {
				return err
			}
			return e.Request(&q)
		}, everyRequestSQL, ref)
		if err != nil {
			return err
		}
	}
	return nil
}

// complete adds what belongs to a message, and makes it a record's.
func (e *exporter) complete(m *store.MovedMessage) (err error) {
	ref := m.Ref
	if err := loadPayload(e.c.query, &m.Message); err != nil {
		return err
	}
	if m.Attempts, err = row.Collect(e.c.query, row.ScanAttempt, everyAttemptSQL, ref); err != nil {
		return err
	}
	if m.Queue, err = row.Collect(e.c.query, func(r row.Row) (hark.Delivery, error) {
		return hark.Delivery{
			EndpointRef: r.Int(0), Due: r.Int(1), RetryAt: r.Int(2), Attempts: int(r.Int(3)),
			Line: uint64(r.Int(4)), Trigger: hark.Trigger(r.Int(5)),
		}, nil
	}, queuedOfMessageSQL, ref); err != nil {
		return err
	}
	if m.Fed, err = row.Collect(e.c.query, func(r row.Row) (store.Fed, error) {
		return store.Fed{EndpointRef: r.Int(0), Seq: r.Int(1), At: r.Time(2)}, nil
	}, fedOfMessageSQL, ref); err != nil {
		return err
	}
	row.Renumber(m, e.Applications, e.Endpoints)
	return nil
}
