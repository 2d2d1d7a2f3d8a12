package sqlite

import (
	"context"
	"errors"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
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

// eachBacklog visits the endpoints that have queue rows.
func eachBacklog(c *conn, visit func(row.Backlog)) error {
	last := hark.Ref(-1)
	for {
		b, err := row.Find(c.query, row.ScanBacklog, nextBacklogSQL, last)
		if errors.Is(err, hark.ErrNotFound) {
			return nil
		}
		if err != nil {
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
		return eachBacklog(c, func(b row.Backlog) {
			if !b.Deleted {
				all = append(all, b.Backlog)
			}
		})
	})
	return all, err
}

// ReadQueue reads an endpoint's rows behind a position, in order.
func (s *Store) ReadQueue(ctx context.Context, endpoint hark.Ref, after store.Position, limit int) ([]hark.Delivery, error) {
	return row.List(ctx, s.lend, row.ScanDelivery(endpoint), readQueueSQL, endpoint, after.Due, after.MessageRef, limit)
}
