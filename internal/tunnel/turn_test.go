package tunnel

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
)

// places are the cursors of one consumer.
type places struct {
	Store
	at map[string]int64
}

func (p *places) Cursor(_ context.Context, _ hark.Ref, group string) (int64, error) {
	if at, ok := p.at[group]; ok {
		return at, nil
	}
	return 0, hark.ErrNotFound
}

func (p *places) MoveCursor(_ context.Context, _ hark.Ref, group string, seq int64, _ time.Time) error {
	p.at[group] = max(seq, p.at[group])
	return nil
}

func TestTurn_IsTheNewestsUntilItIsGivenBackOrItsOwnerIsDead(t *testing.T) {
	ctx, p := t.Context(), &places{at: map[string]int64{}}
	now := time.Unix(1_000_000, 0)
	yes := func(what string, got bool, err error) {
		t.Helper()
		if err != nil || !got {
			t.Fatalf("%s: %v, %v", what, got, err)
		}
	}
	no := func(what string, got bool, err error) {
		t.Helper()
		if err != nil || got {
			t.Fatalf("%s: %v, %v", what, got, err)
		}
	}
	check := func(f func(string, bool, error), what string) func(bool, error) {
		return func(got bool, err error) { t.Helper(); f(what, got, err) }
	}
	a, b := newTurn(p, 1, "g"), newTurn(p, 1, "g")
	check(yes, "nobody has it")(a.isFree(ctx, now))
	if err := a.take(ctx, now); err != nil {
		t.Fatal(err)
	}
	check(yes, "a has it")(a.renew(ctx, now))
	if err := b.take(ctx, now.Add(-time.Minute)); err != nil { // whose clock is behind
		t.Fatal(err)
	}
	check(no, "a has lost it")(a.isOurs(ctx))
	check(no, "and finds out")(a.renew(ctx, now.Add(renewEvery)))
	if err := a.write(ctx, now); err != nil { // which had looked before
		t.Fatal(err)
	}
	check(yes, "it does not get it back by that")(b.isOurs(ctx))
	for range 20 { // a living owner keeps it, whatever its clock says
		now = now.Add(renewEvery)
		check(no, "b lives")(a.isFree(ctx, now.Add(-time.Hour)))
		check(yes, "b renews")(b.renew(ctx, now))
	}
	now = now.Add(-time.Hour)
	check(no, "seen now")(a.isFree(ctx, now))
	check(no, "not for long enough")(a.isFree(ctx, now.Add(deadAfter-time.Second)))
	check(yes, "b is dead")(a.isFree(ctx, now.Add(deadAfter)))
	if err := a.take(ctx, now); err != nil {
		t.Fatal(err)
	}
	b.giveBack(ctx, now) // too late: it is not its own any more
	check(yes, "a has it again")(a.isOurs(ctx))
	for range 2 << countBits { // for hours
		now = now.Add(renewEvery)
		check(yes, "a lives")(a.renew(ctx, now))
		check(no, "and has it")(b.isFree(ctx, now))
	}
	a.giveBack(ctx, now)
	check(yes, "given back")(b.isFree(ctx, now))
}

func TestTurn_IsAskedForByAnswersWhileItIsRenewed(t *testing.T) {
	ctx, now := t.Context(), time.Unix(1_000_000, 0)
	own := newTurn(&lockedPlaces{places: places{at: map[string]int64{}}}, 1, "g")
	if err := own.take(ctx, now); err != nil {
		t.Fatal(err)
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		for range givenBack - 1 {
			if ours, err := own.isOurs(ctx); err != nil || !ours {
				t.Errorf("%v, %v", ours, err)
			}
		}
	})
	for range givenBack - 1 { // as often as one number lasts
		now = now.Add(renewEvery)
		if ours, err := own.renew(ctx, now); err != nil || !ours {
			t.Errorf("%v, %v", ours, err)
		}
	}
	answers.Wait()
}

// lockedPlaces are places for several goroutines.
type lockedPlaces struct {
	places
	mu sync.Mutex
}

func (p *lockedPlaces) Cursor(ctx context.Context, consumer hark.Ref, group string) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places.Cursor(ctx, consumer, group)
}

func (p *lockedPlaces) MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.places.MoveCursor(ctx, consumer, group, seq, now)
}
