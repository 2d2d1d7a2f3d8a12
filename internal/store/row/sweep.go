package row

import (
	"context"
	"log/slog"
	"sync"
)

// SweepRows is how many rows one transaction of a sweep removes: a few milliseconds of a writer's time.
const SweepRows = 1000

// Sweeper removes the queue rows of deleted endpoints, a few at a time, so that nobody waits while a
// million of them go. Until they are gone no read shows them; after a crash it starts again.
type Sweeper struct {
	wake   chan struct{}
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// StartSweeper sweeps once, and then whenever it is nudged.
func StartSweeper(log *slog.Logger, sweep func(context.Context) error) *Sweeper {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Sweeper{wake: make(chan struct{}, 1), cancel: cancel}
	w.Nudge()
	w.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			if err := sweep(ctx); err != nil && ctx.Err() == nil {
				log.LogAttrs(ctx, slog.LevelWarn, "sweep queue", slog.Any("err", err))
			}
		}
	})
	return w
}

// Nudge says that there is something to sweep.
func (w *Sweeper) Nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Stop ends it, and waits for that.
func (w *Sweeper) Stop() {
	w.cancel()
	w.done.Wait()
}
