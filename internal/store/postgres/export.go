package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

var _ store.Mover = (*Store)(nil)

const (
	countMessagesSQL = `SELECT count(*) FROM message`

	someRequestsSQL = requestColumns + `WHERE r.source = $1 AND r.id > $2 ORDER BY r.id LIMIT $3`

	// With the size of the payload, so that not too much is loaded at once.
	someMessagesSQL = `SELECT m.ref, m.application, m.id, m.event_type, m.created_at, m.deliver_at, m.payload_expires_at, m.expunged,
  m.event_id, m.channels, m.tags, m.matched,
  (SELECT coalesce(octet_length(p.body), 0) + coalesce(octet_length(p.raw), 0) FROM payload p WHERE p.message = m.ref)
FROM message m WHERE m.ref > $1 ORDER BY m.ref LIMIT $2`

	attemptsBetweenSQL = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.message >= $1 AND a.message <= $2 ORDER BY a.message, a.id`

	fedBetweenSQL = `SELECT message, consumer, seq, at FROM feed WHERE message >= $1 AND message <= $2`

	// What belongs to deleted endpoints is about to be swept away.
	queuedRowsBetweenSQL = `SELECT q.message, q.endpoint, q.due, q.retry_at, q.attempts, q.line, q.manual
FROM queue q JOIN endpoint e ON e.ref = q.endpoint
WHERE q.message >= $1 AND q.message <= $2 AND e.deleted_at = 0`

	// A day's tables that are not read yet are not to be dropped meanwhile.
	keepDaysSQL = `LOCK TABLE message, payload, attempt, request, request_content IN ACCESS SHARE MODE`
)

// What an export holds in memory at once.
const (
	movedMessages = 512
	movedBytes    = 8 << 20
)

// CountMessages says how many messages there are.
func (s *Store) CountMessages(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		n, err = c.int(countMessagesSQL)
		return err
	})
	return n, err
}

// Export visits everything in the database, inside one read transaction that sees one moment. While
// it is open, the server keeps what others delete.
func (s *Store) Export(ctx context.Context, visit func(*store.Record) error) error {
	raw, err := s.connect(ctx, "hark export")
	if err != nil {
		return explain(err, s.config)
	}
	defer func() { _ = raw.Close(context.WithoutCancel(ctx)) }() // there is nothing to lose
	// The settings are the hot path's: walk the keys. A visit may take long.
	_, _ = raw.PgConn().Exec(ctx, hotSettingsSQL+`; SET idle_in_transaction_session_timeout = 0`).ReadAll()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return translate(pgx.BeginTxFunc(ctx, raw, options, func(tx pgx.Tx) error {
		c := &conn{ctx: ctx, raw: tx}
		if s.byDay {
			if _, err := c.exec(keepDaysSQL); err != nil {
				return err
			}
		}
		e := &exporter{c: c, Export: row.NewExport(&s.kinds, c.query, visit)}
		if err := e.Do(); err != nil {
			return err
		}
		if err := e.messages(); err != nil {
			return err
		}
		return e.requests()
	}))
}

// exporter is an export under way.
type exporter struct {
	row.Export
	c *conn
}

// sized is a message with the size of its payload.
type sized struct {
	store.MovedMessage
	bytes int64
}

func (e *exporter) messages() error {
	var last hark.Ref
	for {
		some, err := row.Collect(e.c.query, func(r row.Row) (sized, error) {
			m, err := row.ScanMessage(r)
			return sized{store.MovedMessage{Message: m}, r.Int(12)}, err
		}, someMessagesSQL, last, movedMessages)
		if err != nil || len(some) == 0 {
			return err
		}
		n, bytes := 1, some[0].bytes
		for n < len(some) && bytes+some[n].bytes <= movedBytes {
			bytes += some[n].bytes
			n++
		}
		some = some[:n]
		last = some[n-1].Ref
		if err := e.complete(some); err != nil {
			return err
		}
		for i := range some {
			if err := e.Visit(&store.Record{Message: &some[i].MovedMessage}); err != nil {
				return err
			}
		}
	}
}

// requests visits the requests of one source after the other, some at a time.
func (e *exporter) requests() error {
	for _, ref := range e.SourceRefs {
		for last, more := []byte{}, true; more; {
			some, err := row.Collect(e.c.query, row.ScanRequest, someRequestsSQL, ref, last, movedMessages)
			if err != nil {
				return err
			}
			more = len(some) == movedMessages
			for i := range some {
				q := &some[i]
				k, err := hark.ParseID(string(q.ID), hark.RequestPrefix)
				if err != nil {
					return err
				}
				last = k[:]
				if err := e.c.query(func(r row.Row) error { q.Head, q.Body = r.Blob(0), r.Blob(1); return nil },
					requestSQL.Content, ref, last, dayOf(k)<<dayShift); err != nil {
					return err
				}
				if err := e.Request(q); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// complete adds what belongs to messages, and makes them records.
func (e *exporter) complete(some []sized) error {
	byRef := make(map[hark.Ref]*store.MovedMessage, len(some))
	for i := range some {
		byRef[some[i].Ref] = &some[i].MovedMessage
	}
	first, last := some[0].Ref, some[len(some)-1].Ref
	if err := loadPayloads(e.c.query, some, func(m *sized) *hark.Message { return &m.Message }); err != nil {
		return err
	}
	attempts, err := row.Collect(e.c.query, row.ScanAttempt, attemptsBetweenSQL, first, last)
	if err != nil {
		return err
	}
	for _, a := range attempts {
		if m := byRef[a.MessageRef]; m != nil {
			m.Attempts = append(m.Attempts, a)
		}
	}
	if err := e.c.query(func(r row.Row) error {
		if m := byRef[r.Int(0)]; m != nil {
			m.Queue = append(m.Queue, hark.Delivery{
				EndpointRef: r.Int(1), Due: r.Int(2), RetryAt: r.Int(3), Attempts: int(r.Int(4)),
				Line: uint64(r.Int(5)), Trigger: hark.Trigger(r.Int(6)),
			})
		}
		return nil
	}, queuedRowsBetweenSQL, first, last); err != nil {
		return err
	}
	if err := e.c.query(func(r row.Row) error {
		if m := byRef[r.Int(0)]; m != nil {
			m.Fed = append(m.Fed, store.Fed{EndpointRef: r.Int(1), Seq: r.Int(2), At: r.Time(3)})
		}
		return nil
	}, fedBetweenSQL, first, last); err != nil {
		return err
	}
	for i := range some {
		row.Renumber(&some[i].MovedMessage, e.Applications, e.Endpoints)
	}
	return nil
}
