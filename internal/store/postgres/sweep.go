package postgres

import (
	"context"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const sweepQueueSQL = `DELETE FROM queue WHERE shard = $1 AND endpoint = $2 AND (due, message) IN
  (SELECT due, message FROM queue WHERE shard = $1 AND endpoint = $2 ORDER BY due, message LIMIT $3)`

// sweep removes the queue rows of deleted endpoints.
func (s *Store) sweep(ctx context.Context) error {
	all, err := s.backlogs(ctx, allShards())
	if err != nil {
		return err
	}
	for _, b := range all {
		for more := b.Deleted; more; {
			err := s.change(ctx, func(c *conn) error {
				n, err := c.exec(sweepQueueSQL, store.ShardOf(b.EndpointRef), b.EndpointRef, row.SweepRows)
				more = n == row.SweepRows
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
