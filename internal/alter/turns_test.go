package alter

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/harkhq/hark"
)

const (
	quickRun = time.Millisecond
	slowRun  = time.Second
)

// run takes a turn, and gives it back after a while.
func (t *turns) run(tt *testing.T, app, ep hark.Ref, took time.Duration) {
	own, err := t.take(tt.Context(), app, ep, [32]byte{1}, time.Hour)
	if err != nil {
		tt.Errorf("%d/%d: %v", app, ep, err)
		return
	}
	time.Sleep(took)
	own.done(took)
}

// counts are how many run, and how many of them are slow.
func (t *turns) counts() [2]int {
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return [2]int{t.running, t.runningSlow}
}

// empty says that nothing is left behind.
func (t *turns) empty(tt *testing.T) {
	tt.Helper()
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != 0 || t.runningSlow != 0 || len(t.applications) != 0 || len(t.waiting) != 0 {
		tt.Errorf("left behind: %d run, %d of them slow, of %d applications, and %d wait", t.running, t.runningSlow, len(t.applications), len(t.waiting))
	}
}

func TestTurns_WhatIsQuickDoesNotWaitForTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(4)
		all.run(t, 1, 1, quickRun)
		for app := range hark.Ref(20) { // twenty tenants with five endless loops each
			for ep := range hark.Ref(5) {
				go all.run(t, 100+app, ep, slowRun)
			}
		}
		go all.run(t, 1, 2, slowRun) // and one of its own application
		if got := all.counts(); got != [2]int{2, 2} {
			t.Errorf("%v run; want half of the places", got)
		}
		for range 1000 {
			before := time.Now()
			all.run(t, 1, 1, quickRun)
			if took := time.Since(before); took != quickRun {
				t.Fatalf("a quick run took %v", took)
			}
		}
		time.Sleep(5 * time.Minute)
		all.empty(t)
	})
}

func TestTurns_ApplicationsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(1)
		all.run(t, 1, 1, quickRun)
		all.run(t, 2, 1, quickRun)
		var order []hark.Ref
		note := func(app, ep hark.Ref) {
			own, err := all.take(t.Context(), app, ep, [32]byte{1}, time.Hour)
			if err != nil {
				t.Error(err)
				return
			}
			order = append(order, app)
			time.Sleep(quickRun)
			own.done(quickRun)
		}
		for range 5 {
			go note(1, 1)
		}
		synctest.Wait()
		go note(2, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(order, []hark.Ref{1, 1, 2, 1, 1, 1}) && !slices.Equal(order, []hark.Ref{1, 2, 1, 1, 1, 1}) {
			t.Errorf("order of applications: %v", order)
		}
		all.empty(t)
	})
}

func TestTurns_OneApplicationHasHalfOfThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(4)
		for ep := range hark.Ref(4) {
			all.run(t, 1, ep, quickRun)
		}
		for ep := range hark.Ref(4) {
			go all.run(t, 1, ep, quickRun)
		}
		if got := all.counts(); got != [2]int{2, 0} {
			t.Errorf("%v run", got)
		}
		time.Sleep(time.Second)
		all.empty(t)
	})
}

func TestTurns_PatienceAndContextsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(2)
		own, err := all.take(t.Context(), 1, 1, [32]byte{}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.take(t.Context(), 1, 1, [32]byte{}, time.Second); !errors.Is(err, ErrBusy) {
			t.Errorf("after its patience: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := all.take(ctx, 2, 1, [32]byte{}, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after its context: %v", err)
		}
		own.done(0)
		all.empty(t)
		all.run(t, 1, 1, quickRun)
		all.run(t, 1, 1, slowRun)
		if !all.isSlow(&turn{lane: lane{1, 1}, key: [32]byte{1}}, time.Now()) {
			t.Error("a slow endpoint is not slow")
		}
		time.Sleep(slowFor)
		all.run(t, 1, 1, quickRun)
		for key, want := range map[[32]byte]bool{{1}: false, {2}: true} { // other code is not known
			if got := all.isSlow(&turn{lane: lane{1, 1}, key: key}, time.Now()); got != want {
				t.Errorf("slow: %v with %v", got, key[0])
			}
		}
	})
}

// TestTurns_NothingIsLeftBehind: whatever comes, waits and goes, the counts end at nothing, and nobody has more
// than the rules say.
func TestTurns_NothingIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		all.init(6)
		random := rand.New(rand.NewPCG(3, 4))
		for range 2000 {
			app, ep, key := hark.Ref(random.IntN(5)), hark.Ref(random.IntN(4)), [32]byte{byte(random.IntN(2))}
			took := []time.Duration{quickRun, quickRun, slowRun}[random.IntN(3)]
			patience := time.Duration(random.IntN(3000)) * time.Millisecond
			go func() {
				own, err := all.take(t.Context(), app, ep, key, patience)
				if err != nil {
					return
				}
				all.mu.Lock()
				if own.app.running > 3 || all.running > 6 || all.runningSlow > 3 || own.app.runningSlow > 1 {
					t.Errorf("too many run: %+v of %d, %d of them slow", own.app, all.running, all.runningSlow)
				}
				all.mu.Unlock()
				time.Sleep(took)
				own.done(took)
			}()
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		}
		time.Sleep(time.Minute)
		all.empty(t)
	})
}

func TestHeld_BoundsEveryApplication(t *testing.T) {
	h := held{most: 100, byApp: map[hark.Ref]int64{}}
	release := h.add(1, 30)
	if h.hasRoom(1) || !h.hasRoom(2) {
		t.Error("one application has taken more than a quarter, or another has no room")
	}
	for app := range hark.Ref(4) {
		defer h.add(2+app, 20)()
	}
	if h.hasRoom(9) {
		t.Error("there is room for more than all")
	}
	release()
	if !h.hasRoom(1) || len(h.byApp) != 4 {
		t.Errorf("after release: %+v", h.byApp)
	}
}
