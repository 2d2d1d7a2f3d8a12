package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	// A skip scan: in each shard, from each endpoint one seek to the next.
	backlogsSQL = `WITH RECURSIVE heads (shard, endpoint, due, message) AS (
  SELECT s.shard, q.endpoint, q.due, q.message
  FROM unnest($1::smallint[]) AS s (shard) CROSS JOIN LATERAL (
    SELECT endpoint, due, message FROM queue WHERE shard = s.shard
    ORDER BY endpoint, due, message LIMIT 1) AS q
  UNION ALL
  SELECT h.shard, q.endpoint, q.due, q.message
  FROM heads AS h CROSS JOIN LATERAL (
    SELECT endpoint, due, message FROM queue WHERE shard = h.shard AND endpoint > h.endpoint
    ORDER BY endpoint, due, message LIMIT 1) AS q
)
SELECT h.endpoint, h.due, h.message, e.application, e.deleted_at
FROM heads AS h LEFT JOIN endpoint AS e ON e.ref = h.endpoint`

	readQueueSQL = `SELECT q.due, q.message, q.retry_at, q.attempts, q.line, q.manual, e.application
FROM endpoint AS e JOIN queue AS q ON q.endpoint = e.ref
WHERE e.ref = $2 AND e.deleted_at = 0 AND q.shard = $1 AND q.endpoint = $2 AND (q.due, q.message) > ($3, $4)
ORDER BY q.due, q.message LIMIT $5`

	readQueuesSQL = `SELECT q.due, q.message, q.retry_at, q.attempts, q.line, q.manual, e.application, r.n
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS r (shard, endpoint, due, message, n)
JOIN endpoint AS e ON e.ref = r.endpoint AND e.deleted_at = 0
CROSS JOIN LATERAL (
  SELECT * FROM queue WHERE shard = r.shard AND endpoint = r.endpoint AND (due, message) > (r.due, r.message)
  ORDER BY due, message LIMIT $5) AS q
ORDER BY r.n, q.due, q.message`
)

// backlogs lists the endpoints of some shards that have queue rows.
func (s *Store) backlogs(ctx context.Context, shards []int) (all []row.Backlog, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		all, err = row.Collect(c.query, row.ScanBacklog, backlogsSQL, shards)
		return err
	})
	slices.SortFunc(all, func(a, b row.Backlog) int { return cmp.Compare(a.EndpointRef, b.EndpointRef) })
	return all, err
}

func allShards() []int {
	shards := make([]int, store.Shards)
	for i := range shards {
		shards[i] = i
	}
	return shards
}

// Backlogs lists the endpoints that have queued deliveries.
func (s *Store) Backlogs(ctx context.Context) ([]store.Backlog, error) {
	return s.BacklogsOf(ctx, allShards())
}

// BacklogsOf lists those of some shards.
func (s *Store) BacklogsOf(ctx context.Context, shards []int) ([]store.Backlog, error) {
	found, err := s.backlogs(ctx, shards)
	var all []store.Backlog
	for _, b := range found {
		if !b.Deleted {
			all = append(all, b.Backlog)
		}
	}
	return all, err
}

// ReadQueue reads an endpoint's rows behind a position, in order.
func (s *Store) ReadQueue(ctx context.Context, endpoint hark.Ref, after store.Position, limit int) ([]hark.Delivery, error) {
	return row.List(ctx, s.lend, row.ScanDelivery(endpoint), readQueueSQL, store.ShardOf(endpoint), endpoint, after.Due, after.MessageRef, limit)
}

// ReadQueues reads the rows of many endpoints.
func (s *Store) ReadQueues(ctx context.Context, starts []store.QueueStart, limit int) (all [][]hark.Delivery, err error) {
	shards, refs := make([]int, len(starts)), make([]hark.Ref, len(starts))
	due, messages := make([]int64, len(starts)), make([]hark.Ref, len(starts))
	for i, start := range starts {
		shards[i], refs[i] = store.ShardOf(start.EndpointRef), start.EndpointRef
		due[i], messages[i] = start.After.Due, start.After.MessageRef
	}
	err = s.read(ctx, func(c *conn) error {
		all = make([][]hark.Delivery, len(starts))
		return c.query(func(r row.Row) error {
			i := r.Int(7) - 1
			d, err := row.ScanDelivery(refs[i])(r)
			all[i] = append(all[i], d)
			return err
		}, readQueuesSQL, shards, refs, due, messages, limit)
	})
	return all, err
}
