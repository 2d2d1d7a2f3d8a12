package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/harkhq/hark"
)

// journal writes down executions of transformations, behind everything else: it holds up nothing, and what
// comes faster than it can be written is counted and forgotten.
type journal struct {
	engine *Engine
	wake   chan struct{}

	mu    sync.Mutex
	ready []hark.Execution
}

const (
	mostUnlogged = 1024 // executions in memory
	// logEvery lets some come together; each write is a transaction of its own.
	logEvery = 200 * time.Millisecond
)

func (l *journal) init(e *Engine) {
	l.engine = e
	l.wake = make(chan struct{}, 1)
}

func (l *journal) add(x *hark.Execution) {
	l.mu.Lock()
	full := len(l.ready) >= mostUnlogged
	if !full {
		l.ready = append(l.ready, *x)
	}
	l.mu.Unlock()
	if full {
		l.engine.metrics.unlogged.Inc()
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// start begins writing; stop returns when everything added before was written, or could not be.
func (l *journal) start(ctx context.Context) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-l.wake:
			case <-quit:
				l.write(ctx)
				return
			}
			l.write(ctx)
			select {
			case <-time.After(logEvery):
			case <-quit:
				l.write(ctx)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (l *journal) write(ctx context.Context) {
	l.mu.Lock()
	some := l.ready
	l.ready = nil
	l.mu.Unlock()
	if len(some) == 0 {
		return
	}
	if err := l.engine.opt.Store.LogExecutions(context.WithoutCancel(ctx), some); err != nil {
		l.engine.metrics.unlogged.Add(float64(len(some)))
		l.engine.opt.Log.LogAttrs(ctx, slog.LevelError, "executions not logged", slog.Int("executions", len(some)), slog.Any("err", err))
	}
}
