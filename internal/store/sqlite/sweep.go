package sqlite

import (
	"context"
	"log/slog"
	"sync"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// sweeper removes the queue rows of deleted endpoints, a few at a time, so that nobody waits while
// a million of them go. Until they are gone no read shows them; after a crash it starts again.
type sweeper struct {
	store  *Store
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// sweepRows is how many rows one transaction removes: a few milliseconds of the writer's time.
const sweepRows = 1000

func startSweeper(s *Store) *sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	w := &sweeper{store: s, wake: make(chan struct{}, 1), cancel: cancel}
	w.nudge()
	w.done.Go(func() { w.run(ctx) })
	return w
}

func (w *sweeper) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *sweeper) stop() {
	w.cancel()
	w.done.Wait()
}

func (w *sweeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		if err := w.sweep(ctx); err != nil && ctx.Err() == nil {
			w.store.log.LogAttrs(ctx, slog.LevelWarn, "sweep queue", slog.Any("err", err))
		}
	}
}

const (
	sweepStraySQL = `DELETE FROM stray WHERE (message, endpoint, due) IN
  (SELECT message, endpoint, due FROM queue WHERE endpoint = ? ORDER BY due, message LIMIT ?)`

	sweepQueueSQL = `DELETE FROM queue WHERE (endpoint, due, message) IN
  (SELECT endpoint, due, message FROM queue WHERE endpoint = ? ORDER BY due, message LIMIT ?)`
)

func (w *sweeper) sweep(ctx context.Context) error {
	var deleted []hark.Ref
	err := w.store.view(ctx, func(c *conn) error {
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
			err := w.store.change(ctx, func(c *conn) error {
				if _, err := c.exec(sweepStraySQL, endpoint, sweepRows); err != nil {
					return err
				}
				n, err := c.exec(sweepQueueSQL, endpoint, sweepRows)
				more = n == sweepRows
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
