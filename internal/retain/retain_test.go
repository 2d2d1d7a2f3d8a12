package retain_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark/internal/retain"
)

// pile has so many pieces to reclaim, and may fail.
type pile struct {
	pieces int
	calls  []time.Time
	err    error
}

func (p *pile) Reclaim(_ context.Context, now time.Time, limit int) (bool, error) {
	p.calls = append(p.calls, now)
	if p.err != nil {
		return false, p.err
	}
	if limit <= 0 || limit > 10_000 {
		return false, errors.New("not one bounded piece")
	}
	time.Sleep(20 * time.Millisecond)
	p.pieces = max(p.pieces-1, 0)
	return p.pieces > 0, nil
}

// watch runs a Keeper over a pile for a time.
func watch(t *testing.T, p *pile, howLong time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	keeper := retain.New(retain.Options{Store: p, Logger: slog.New(slog.DiscardHandler)})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := keeper.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(howLong)
	cancel()
	wg.Wait()
}

func TestKeeper_TakesThePileDownAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pile{pieces: 100}
		watch(t, p, 59*time.Minute)
		if len(p.calls) != 100 {
			t.Errorf("%d pieces, want 100", len(p.calls))
		}
		for i := 1; i < len(p.calls); i++ {
			if gap := p.calls[i].Sub(p.calls[i-1]); gap < 40*time.Millisecond {
				t.Fatalf("only %v from piece to piece: others get no turn", gap)
			}
		}
		if took := p.calls[99].Sub(p.calls[0]); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestKeeper_LooksAgainEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pile{}
		watch(t, p, 5*time.Hour)
		if n := len(p.calls); n != 5 {
			t.Errorf("%d looks in five hours", n)
		}
	})
}

func TestKeeper_IsNeverHotWhenTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pile{err: errors.New("disk full")}
		watch(t, p, 10*time.Minute)
		if n := len(p.calls); n < 9 || n > 11 {
			t.Errorf("%d tries in ten minutes", n)
		}
	})
}
