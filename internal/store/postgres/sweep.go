package postgres

import (
	"context"
	"log/slog"
	"sync"

	"github.com/harkhq/hark/internal/store"
)

// sweeper removes the queue rows of deleted endpoints, a few at a time, so that nobody waits while
// a million of them go. Until they are gone no read shows them; after a crash it starts again.
type sweeper struct {
	store  *Store
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// sweepRows is how many rows one transaction removes: a few milliseconds.
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

const sweepQueueSQL = `DELETE FROM queue WHERE shard = $1 AND endpoint = $2 AND (due, message) IN
  (SELECT due, message FROM queue WHERE shard = $1 AND endpoint = $2 ORDER BY due, message LIMIT $3)`

func (w *sweeper) sweep(ctx context.Context) error {
	all, err := w.store.backlogs(ctx, allShards())
	if err != nil {
		return err
	}
	for _, b := range all {
		for more := b.Deleted; more; {
			err := w.store.change(ctx, func(c *conn) error {
				n, err := c.exec(sweepQueueSQL, store.ShardOf(b.EndpointRef), b.EndpointRef, sweepRows)
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
