package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// settler records the ends of attempts: whatever has come together while the last batch was being
// committed becomes the next one. An endpoint with as much unrecorded as it may have in flight gets
// nothing more, so that a store which cannot write soon stops the sending.
type settler struct {
	engine *Engine
	mu     sync.Mutex
	ready  []*job
	wake   chan struct{} // capacity one
}

func (s *settler) init(e *Engine) {
	s.engine = e
	s.wake = make(chan struct{}, 1)
}

func (s *settler) add(j *job) {
	s.mu.Lock()
	s.ready = append(s.ready, j)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// start runs the settler until the returned function is called, which returns when everything
// added before has been recorded (or ctx has ended while the store could not write).
func (s *settler) start(ctx context.Context) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.wake:
				s.settleAll(ctx)
			case <-quit:
				s.settleAll(ctx)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

func (s *settler) settleAll(ctx context.Context) {
	for {
		s.mu.Lock()
		batch := s.ready
		s.ready = nil
		s.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		s.settle(ctx, batch)
	}
}

// settleEvery is how long the settler waits at most before it tries again: endpoints stand still
// meanwhile.
const settleEvery = time.Second

// settle records a batch, trying until it works: a result that is lost would be sent again.
func (s *settler) settle(ctx context.Context, batch []*job) {
	settlements := make([]store.Settlement, len(batch))
	for i, j := range batch {
		settlements[i] = j.settlement
	}
	e := s.engine
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, settleEvery) {
		err := e.opt.Store.Settle(context.WithoutCancel(ctx), settlements)
		if err == nil {
			break
		}
		e.opt.Log.LogAttrs(ctx, slog.LevelError, "attempts not recorded yet", slog.Int("attempts", len(batch)), slog.Any("err", err))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return // shutting down: they will be sent again after the restart
		}
	}
	for i, j := range batch {
		if j.settlement.Fenced = settlements[i].Fenced; j.settlement.Fenced {
			continue // nothing of it was kept: it is another node's now
		}
		e.metrics.settled(j.settlement.Attempt)
		if j.execution != nil {
			e.journal.add(j.execution)
		}
		if d := j.settlement.Attempt; d != nil && e.opt.Watch != nil {
			e.opt.Watch(*d)
		}
	}
	e.mailbox.send(func(in *mail) { in.settled = append(in.settled, batch...) })
}

// retryRow is the next state of a delivery that will be tried again.
func retryRow(d *hark.Delivery, ordered bool, at int64) *hark.Delivery {
	next := *d
	next.Message = nil // read again when it is due: retries must not hold payloads
	next.Attempts++
	if ordered {
		next.RetryAt = at
	} else {
		next.Due, next.RetryAt = at, 0
	}
	return &next
}
