package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// A row of the outbox becomes a message exactly once because it leaves in the transaction that keeps
// the message. Of two nodes that take the same row the second finds it locked, or gone.

const (
	// The size of a payload is known without reading it. Times may be infinite, which these are not.
	readOutboxSQL = `SELECT p.id, p.environment,
  (SELECT e.id FROM environment AS e WHERE p.environment IN (e.id, e.name) ORDER BY e.name = p.environment LIMIT 1),
  p.application, p.event_type, p.event_id, CASE WHEN p.size <= $3 THEN p.payload END,
  array_to_json(p.channels)::text, array_to_json(p.tags)::text,
  (extract(epoch FROM least(greatest(p.deliver_at, 'epoch'), '9999-12-31')) * 1000)::bigint,
  (extract(epoch FROM least(greatest(p.created_at, 'epoch'), '9999-12-31')) * 1000)::bigint
FROM (
  SELECT *, octet_length(payload) AS size, sum(octet_length(payload)) OVER (ORDER BY id) AS until
  FROM (SELECT * FROM outbox WHERE reason IS NULL AND id > $1 ORDER BY id LIMIT $2) AS waiting
) AS p
WHERE p.until - p.size < $3 ORDER BY p.id`

	// If one of the rows is not to be had, dividing by zero ends the transaction, and it is asked which.
	// Nothing here waits for a lock: an application's open transaction must not stop the hot path.
	takeOutboxSQL = `WITH free AS (` + lockOutboxSQL + `), gone AS (DELETE FROM outbox USING free WHERE outbox.id = free.id RETURNING outbox.id)
SELECT 1 / (CASE WHEN count(*) = cardinality($1::bigint[]) THEN 1 ELSE 0 END) FROM gone`

	lockOutboxSQL = `SELECT id FROM outbox WHERE id = ANY ($1::bigint[]) FOR UPDATE SKIP LOCKED`

	refuseOutboxSQL = `UPDATE outbox SET reason = v.reason, refused_at = to_timestamp($3::bigint / 1000.0)
FROM unnest($1::bigint[], $2::text[]) AS v (id, reason) WHERE outbox.id = v.id AND outbox.reason IS NULL`

	expireOutboxSQL = `DELETE FROM outbox WHERE id IN
  (SELECT id FROM outbox WHERE reason IS NOT NULL AND refused_at <= to_timestamp($1::bigint / 1000.0) ORDER BY refused_at LIMIT $2)`
)

// refusedLife is how long refused rows of the outbox can be looked at: as long as messages.
const refusedLife = hark.DefaultRetention

// OnOutbox names the function that is told of rows in the outbox.
func (s *Store) OnOutbox(f func()) { s.listeners.outbox = f }

// ReadOutbox reads rows that wait.
func (s *Store) ReadOutbox(ctx context.Context, after int64, limit, maxBytes int) (rows []store.OutboxRow, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		rows, err = row.Collect(c.query, scanOutbox, readOutboxSQL, after, limit, maxBytes)
		return err
	})
	return rows, err
}

func scanOutbox(r row.Row) (o store.OutboxRow, err error) {
	o = store.OutboxRow{
		ID: r.Int(0), Environment: r.Text(1), EnvironmentID: hark.EnvironmentID(r.Text(2)), Application: r.Text(3),
		EventType: r.Text(4), EventID: r.Text(5), Payload: r.Blob(6), DeliverAt: r.Time(9), CreatedAt: r.Time(10),
	}
	if err := r.Decode(7, &o.Channels); err != nil {
		return o, err
	}
	return o, r.Decode(8, &o.Tags)
}

// RefuseOutbox notes why rows cannot be accepted.
func (s *Store) RefuseOutbox(ctx context.Context, refusals []store.OutboxRefusal, now time.Time) error {
	if len(refusals) == 0 {
		return nil
	}
	ids, reasons := make([]int64, len(refusals)), make([]string, len(refusals))
	for i, r := range refusals {
		ids[i], reasons[i] = r.ID, r.Reason
	}
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(refuseOutboxSQL, ids, reasons, now)
		return err
	})
}

// lockOutbox asks for the rows that the group's messages come from, and keeps those that it gets. It answers which result says so, -1 if there are no such messages.
func (w *writer) lockOutbox(b *batch) (result int) {
	rows := &column{oid: oidInt8}
	for _, a := range w.group.accept {
		if a.OutboxRow != 0 {
			rows.int8(a.OutboxRow)
		}
	}
	if rows.n == 0 {
		return -1
	}
	b.add("lock outbox", rows.param())
	return b.n - 1
}

// noteTaken leaves out the messages whose rows are not to be had. One that is named twice is there once.
func (w *writer) noteTaken(locked *pgconn.Result) {
	there := make(map[int64]bool, len(locked.Rows))
	for _, r := range locked.Rows {
		there[wireInt(r[0])] = true
	}
	for _, a := range w.group.accept {
		if a.OutboxRow == 0 {
			continue
		}
		if !there[a.OutboxRow] {
			a.Outcome = store.Taken
		}
		delete(there, a.OutboxRow)
	}
}
