package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	// A skip scan: from each endpoint one seek to the next.
	nextBacklogSQL = `SELECT q.endpoint, q.due, q.message, e.application, e.deleted_at
FROM (SELECT endpoint, due, message FROM queue WHERE endpoint > ? ORDER BY endpoint, due, message LIMIT 1) q
LEFT JOIN endpoint e ON e.ref = q.endpoint`

	readQueueSQL = `SELECT q.due, q.message, q.retry_at, q.attempts, q.line, q.manual, e.application
FROM endpoint e CROSS JOIN queue q ON q.endpoint = e.ref
WHERE e.ref = ?1 AND e.deleted_at = 0 AND q.endpoint = ?1 AND (q.due, q.message) > (?2, ?3)
ORDER BY q.due, q.message LIMIT ?4`
)

// backlog is a store.Backlog, of a deleted endpoint maybe.
type backlog struct {
	store.Backlog
	deleted bool
}

func scanBacklog(r row) backlog {
	return backlog{
		Backlog: store.Backlog{
			EndpointRef: r.int(0), ApplicationRef: r.int(3),
			First: store.Position{Due: r.int(1), MessageRef: r.int(2)},
		},
		deleted: r.int(4) != 0 || r.null(3),
	}
}

// eachBacklog visits the endpoints that have queue rows.
func eachBacklog(c *conn, visit func(backlog)) error {
	last := hark.Ref(-1)
	for {
		var b backlog
		found, err := c.one(func(r row) error { b = scanBacklog(r); return nil }, nextBacklogSQL, last)
		if err != nil || !found {
			return err
		}
		visit(b)
		last = b.EndpointRef
	}
}

// Backlogs lists the endpoints that have queued deliveries.
func (s *Store) Backlogs(ctx context.Context) (all []store.Backlog, err error) {
	err = s.view(ctx, func(c *conn) error {
		all = nil
		return eachBacklog(c, func(b backlog) {
			if !b.deleted {
				all = append(all, b.Backlog)
			}
		})
	})
	return all, err
}

// ReadQueue reads an endpoint's rows behind a position, in order.
func (s *Store) ReadQueue(ctx context.Context, endpoint hark.Ref, after store.Position, limit int) (all []hark.Delivery, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		all, err = collect(c, func(r row) (hark.Delivery, error) {
			return hark.Delivery{
				EndpointRef: endpoint, Due: r.int(0), MessageRef: r.int(1), RetryAt: r.int(2), Attempts: int(r.int(3)),
				Line: uint64(r.int(4)), Trigger: hark.Trigger(r.int(5)), ApplicationRef: r.int(6),
			}, nil
		}, readQueueSQL, endpoint, after.Due, after.MessageRef, limit)
		return err
	})
	return all, err
}
