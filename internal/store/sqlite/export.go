package sqlite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

var _ store.Mover = (*Store)(nil)

const (
	countMessagesSQL = `SELECT count(*) FROM message`

	everyEventTypeSQL = eventTypeColumns + `ORDER BY environment, name`

	everyKeySQL = keyColumns + `ORDER BY environment, id`

	everyTaskSQL = taskColumns + `ORDER BY id`

	everyMessageKeySQL = `SELECT hash, fingerprint, message, expires_at FROM message_key ORDER BY hash`

	everyAnswerSQL = `SELECT hash, fingerprint, status, header, body, expires_at FROM answer ORDER BY hash`

	everyApplicationSQL = `SELECT ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at
FROM application ORDER BY environment, id`

	everyEndpointSQL = endpointColumns + `WHERE application = ? ORDER BY id`

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
		e := &exporter{store: s, c: c, applications: row.Numbers{}, endpoints: row.Numbers{}, visit: func(r store.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return visit(&r)
		}}
		for _, step := range [...]func() error{e.configuration, e.guards, e.places, e.messages} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
}

// exporter is an export under way.
type exporter struct {
	store                   *Store
	c                       *conn
	applications, endpoints row.Numbers
	visit                   func(store.Record) error
}

// each visits the rows of a query.
func each[T any](e *exporter, scan func(row.Row) (T, error), record func(*T) store.Record, query string, args ...any) error {
	return e.c.query(func(r row.Row) error {
		v, err := scan(r)
		if err != nil {
			return err
		}
		return e.visit(record(&v))
	}, query, args...)
}

func (e *exporter) configuration() error {
	envs, err := row.Collect(e.c.query, row.ScanEnvironment, listEnvironmentsSQL)
	if err != nil {
		return err
	}
	slices.SortFunc(envs, func(a, b hark.Environment) int { return cmp.Compare(a.ID, b.ID) })
	for i := range envs {
		if err := e.visit(store.Record{Environment: &envs[i]}); err != nil {
			return err
		}
	}
	if err := each(e, row.ScanEventType, func(t *hark.EventType) store.Record { return store.Record{EventType: t} }, everyEventTypeSQL); err != nil {
		return err
	}
	if err := each(e, row.ScanKey, func(k *hark.Key) store.Record { return store.Record{Key: k} }, everyKeySQL); err != nil {
		return err
	}
	return each(e, row.ScanTask, func(t *hark.Task) store.Record { return store.Record{Task: t} }, everyTaskSQL)
}

func (e *exporter) guards() error {
	if err := each(e, row.ScanMessageKey, func(k *store.MessageKey) store.Record { return store.Record{MessageKey: k} }, everyMessageKeySQL); err != nil {
		return err
	}
	return each(e, row.ScanAnswer, func(a *store.Answer) store.Record { return store.Record{Answer: a} }, everyAnswerSQL)
}

// places visits applications, and then their endpoints.
func (e *exporter) places() error {
	var refs []hark.Ref
	err := each(e, row.ScanMovedApplication, func(app *store.MovedApplication) store.Record {
		refs = append(refs, app.Ref)
		app.Ref = e.applications.Add(app.Ref)
		return store.Record{Application: app}
	}, everyApplicationSQL)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := each(e, e.store.seal.ScanEndpoint, func(ep *hark.Endpoint) store.Record {
			ep.Ref, ep.ApplicationRef = e.endpoints.Add(ep.Ref), e.applications[ep.ApplicationRef]
			return store.Record{Endpoint: ep}
		}, everyEndpointSQL, ref); err != nil {
			return err
		}
	}
	return nil
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
		return e.visit(store.Record{Message: moved})
	}, everyMessageSQL)
}

// complete adds what belongs to a message, and makes it a record's.
func (e *exporter) complete(m *store.MovedMessage) (err error) {
	ref := m.Ref
	if err := loadPayload(e.c, &m.Message); err != nil {
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
	row.Renumber(m, e.applications, e.endpoints)
	return nil
}
