package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbox"
	"github.com/harkhq/hark/internal/store"
)

// table is an outbox, and what publishes from it.
type table struct {
	mu       sync.Mutex
	rows     []store.OutboxRow
	next     int64
	locked   int64          // this row is nobody's for now
	refuse   map[int64]bool // these cannot be accepted
	away     error
	readCost time.Duration // of a look from the beginning
	reads    []int64       // after which row
	took     []int64
	tookAt   map[int64]time.Time
	why      map[int64]string
}

func (b *table) ReadOutbox(_ context.Context, after int64, limit, maxBytes int) (page []store.OutboxRow, err error) {
	if after == 0 {
		time.Sleep(b.readCost)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads = append(b.reads, after)
	for _, r := range b.rows {
		if r.ID > after && len(page) < limit && b.why[r.ID] == "" {
			page = append(page, r)
		}
	}
	return page, nil
}

func (b *table) RefuseOutbox(_ context.Context, refusals []store.OutboxRefusal, _ time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range refusals {
		b.why[r.ID] = r.Reason
	}
	return nil
}

func (b *table) PublishFromOutbox(_ context.Context, rows []store.OutboxRow) (accepted int, refused []store.OutboxRefusal, err error) {
	time.Sleep(time.Millisecond) // not with the lock: the bubble's time would stand still
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return 0, nil, b.away
	}
	for _, r := range rows {
		if b.refuse[r.ID] {
			refused = append(refused, store.OutboxRefusal{ID: r.ID, Reason: "wrong"})
			continue
		}
		for i := range b.rows {
			if b.rows[i].ID == r.ID && r.ID != b.locked {
				b.rows = append(b.rows[:i:i], b.rows[i+1:]...)
				accepted++
				b.took = append(b.took, r.ID)
				b.tookAt[r.ID] = time.Now()
				break
			}
		}
	}
	return accepted, refused, nil
}

// put commits n rows.
func (b *table) put(n int) (last int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		b.next++
		b.rows = append(b.rows, store.OutboxRow{ID: b.next, CreatedAt: time.Now()})
	}
	return b.next
}

func (b *table) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// seen is what has happened so far.
func (b *table) seen() *table {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &table{reads: slices.Clone(b.reads), took: slices.Clone(b.took), tookAt: maps.Clone(b.tookAt), why: maps.Clone(b.why)}
}

// run starts takers over a table, in a bubble.
func run(t *testing.T, f func(*table, func(outbox.Options) *outbox.Taker)) {
	synctest.Test(t, func(t *testing.T) {
		b := &table{refuse: map[int64]bool{}, tookAt: map[int64]time.Time{}, why: map[int64]string{}}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		f(b, func(opt outbox.Options) *outbox.Taker {
			opt.Store, opt.Publisher = b, b
			taker := outbox.New(opt)
			running.Go(func() {
				if err := taker.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			return taker
		})
		cancel()
		running.Wait()
	})
}

func TestTaker_TakesAtOnceWhenItIsRung(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		taker := start(outbox.Options{})
		for range 20 {
			time.Sleep(3 * time.Second) // idle
			at, id := time.Now(), b.put(1)
			taker.Ring()
			synctest.Wait()
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if took, ok := b.seen().tookAt[id]; !ok || took.Sub(at) > time.Millisecond {
				t.Fatalf("row %d was not taken at once", id)
			}
		}
	})
}

func TestTaker_FindsWhatNobodyRangFor(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		start(outbox.Options{})
		time.Sleep(10 * time.Second)
		for i, most := range []time.Duration{251 * time.Millisecond, 26 * time.Millisecond, 26 * time.Millisecond} {
			at, id := time.Now(), b.put(1)
			time.Sleep(time.Second)
			if took := b.seen().tookAt[id].Sub(at); took < 0 || took > most {
				t.Errorf("%d: taken after %v, want at most %v", i, took, most)
			}
		}
		b.set(func() { b.reads = nil })
		time.Sleep(time.Minute)
		if n := len(b.seen().reads); n > 4*60+80 {
			t.Errorf("%d looks in a minute without rows", n)
		}
	})
}

func TestTaker_KeepsTheOrderOverManyPages(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		b.put(1234)
		b.refuse[3], b.refuse[700] = true, true
		metrics := prometheus.NewRegistry()
		start(outbox.Options{Metrics: metrics})
		time.Sleep(100 * time.Millisecond)
		seen := b.seen()
		if len(seen.took) != 1232 {
			t.Fatalf("%d taken", len(seen.took))
		}
		if !slices.IsSorted(seen.took) {
			t.Errorf("taken in this order: %v", seen.took)
		}
		if diff := cmp.Diff(map[int64]string{3: "wrong", 700: "wrong"}, seen.why); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
		time.Sleep(2 * time.Second)
		if got := gathered(t, metrics); got != "hark_outbox_lag_seconds 0, hark_outbox_refused_total 2, hark_outbox_taken_total 1232" {
			t.Error(got)
		}
	})
}

func gathered(t *testing.T, metrics *prometheus.Registry) string {
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		m := f.GetMetric()[0]
		all = append(all, fmt.Sprint(f.GetName(), " ", m.GetCounter().GetValue()+m.GetGauge().GetValue()))
	}
	return strings.Join(all, ", ")
}

func TestTaker_DoesNotHurryAStoreThatIsAway(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		b.away = &hark.Error{Code: hark.Overloaded}
		metrics := prometheus.NewRegistry()
		taker := start(outbox.Options{Metrics: metrics})
		b.put(1)
		for range 1000 {
			taker.Ring()
			time.Sleep(30 * time.Millisecond)
		}
		if n := len(b.seen().reads); n < 8 || n > 20 {
			t.Errorf("%d looks in half a minute", n)
		}
		if got := gathered(t, metrics); !strings.HasPrefix(got, "hark_outbox_lag_seconds 2") { // twenty-some
			t.Error(got)
		}
		b.set(func() { b.away = nil })
		time.Sleep(5 * time.Second)
		if len(b.seen().took) != 1 {
			t.Error("it did not take up again")
		}
		b.set(func() { b.away = errors.New("something else") })
		id := b.put(1)
		time.Sleep(time.Minute)
		if b.seen().why[id] != "" {
			t.Errorf("a row was refused for what does not lie in it: %s", b.seen().why[id])
		}
	})
}

func TestTaker_IsNotStoppedByALockedRow(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		b.locked = 1
		b.put(10)
		start(outbox.Options{})
		time.Sleep(50 * time.Millisecond)
		if len(b.seen().took) != 9 {
			t.Errorf("%d taken beside the locked one", len(b.seen().took))
		}
		b.set(func() { b.reads = nil })
		time.Sleep(time.Minute)
		if n := len(b.seen().reads); n > 4*60+20 {
			t.Errorf("%d looks in a minute with nothing but a locked row", n)
		}
		b.set(func() { b.locked = 0 })
		time.Sleep(time.Second)
		if len(b.seen().took) != 10 {
			t.Error("the locked one was not taken afterwards")
		}
	})
}

func TestTaker_LeavesTheRowsToWhoseTurnItIs(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		var mu sync.Mutex
		turn, calls := 0, [2]int{}
		for node := range 2 {
			start(outbox.Options{Mine: func() bool {
				mu.Lock()
				defer mu.Unlock()
				calls[node]++
				return turn == node
			}})
		}
		time.Sleep(10 * time.Second)
		// The second is asked about every other second, and the first takes all.
		mu.Lock()
		if calls[1] > 8 {
			t.Errorf("the second looked %d times in 10 s", calls[1])
		}
		mu.Unlock()
		for range 200 {
			b.put(3)
			time.Sleep(50 * time.Millisecond)
		}
		if len(b.seen().took) != 600 {
			t.Errorf("%d taken", len(b.seen().took))
		}

		// Nobody's turn: somebody helps all the same, and then goes on.
		mu.Lock()
		turn = 9
		mu.Unlock()
		at, last := time.Now(), b.put(1600)
		time.Sleep(10 * time.Second)
		if took := b.seen().tookAt[last].Sub(at); took < 0 || took > 5*time.Second {
			t.Errorf("nobody's rows were taken after %v", took)
		}
	})
}

// A row that was committed long after it got its id is found, although usually only what is new is
// looked at.
func TestTaker_FindsWhatWasCommittedLate(t *testing.T) {
	run(t, func(b *table, start func(outbox.Options) *outbox.Taker) {
		b.readCost = 50 * time.Millisecond // there is much that was taken, and not cleaned up
		taker := start(outbox.Options{})
		const late = 100
		for i := range 600 {
			if i == late {
				b.set(func() { b.next++ }) // taken by a transaction that stays open
			}
			b.put(1)
			taker.Ring()
			time.Sleep(100 * time.Millisecond)
		}
		whole := 0
		b.set(func() {
			for _, after := range b.reads[len(b.reads)/2:] {
				if after == 0 {
					whole++
				}
			}
			if len(b.reads) < 1000 || whole > 62 {
				t.Errorf("%d of the last %d looks were from the beginning", whole, len(b.reads)/2)
			}
			b.rows = append([]store.OutboxRow{{ID: late + 1}}, b.rows...)
		})
		at := time.Now()
		time.Sleep(3 * time.Second)
		if took, ok := b.seen().tookAt[late+1]; !ok || took.Sub(at) > 1100*time.Millisecond {
			t.Errorf("the late row was taken after %v", took.Sub(at))
		}
	})
}
