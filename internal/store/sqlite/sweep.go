package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	sweepStraySQL = `DELETE FROM stray WHERE (message, endpoint, due) IN
  (SELECT message, endpoint, due FROM queue WHERE endpoint = ? ORDER BY due, message LIMIT ?)`

	sweepQueueSQL = `DELETE FROM queue WHERE (endpoint, due, message) IN
  (SELECT endpoint, due, message FROM queue WHERE endpoint = ? ORDER BY due, message LIMIT ?)`
)

// sweep removes the queue rows of deleted endpoints.
func (s *Store) sweep(ctx context.Context) error {
	var deleted []hark.Ref
	err := s.view(ctx, func(c *conn) error {
		return eachBacklog(c, func(b row.Backlog) {
			if b.Deleted {
				deleted = append(deleted, b.EndpointRef)
			}
		})
	})
	if err != nil {
		return err
	}
	for _, endpoint := range deleted {
		for more := true; more; {
			err := s.change(ctx, func(c *conn) error {
				if _, err := c.exec(sweepStraySQL, endpoint, row.SweepRows); err != nil {
					return err
				}
				n, err := c.exec(sweepQueueSQL, endpoint, row.SweepRows)
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
