package deliver

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// modelQueue is the store's queue of one endpoint, as a sorted slice.
type modelQueue []hark.Delivery

func (q *modelQueue) add(d hark.Delivery) (added bool) {
	i, found := slices.BinarySearchFunc(*q, place(&d), func(d hark.Delivery, p store.Position) int { return compare(place(&d), p) })
	if !found {
		*q = slices.Insert(*q, i, d)
	}
	return !found
}

func (q *modelQueue) remove(at store.Position) (had bool) {
	n := len(*q)
	*q = slices.DeleteFunc(*q, func(d hark.Delivery) bool { return place(&d) == at })
	return len(*q) < n
}

func (q modelQueue) read(after store.Position, limit int) []hark.Delivery {
	var rows []hark.Delivery
	for _, d := range q {
		if compare(place(&d), after) > 0 && len(rows) < limit {
			rows = append(rows, d)
		}
	}
	return rows
}

// laneMachine drives a lane as the owner does, against a model of the store: rows are committed
// and offered, pages are read and come back late, attempts end and are settled late.
type laneMachine struct {
	lane    *lane
	stored  modelQueue
	flying  []*job // taken, not ended
	ended   []*job // ended, not committed
	page    *page  // read, not come back
	now     int64
	nextRef hark.Ref
	taken   map[store.Position]bool // rows in flight or waiting to be settled
	loose   map[hark.Ref]bool       // messages that were in flight while nothing was ordered
}

func newLaneMachine(ordering hark.Ordering) *laneMachine {
	m := &laneMachine{now: 1_000_000, taken: map[store.Position]bool{}, loose: map[hark.Ref]bool{}}
	m.lane = newLane(1, 2, &memory{mostRows: 200, mostBytes: 1 << 20})
	m.lane.ep = &directory.Endpoint{Endpoint: hark.Endpoint{Ref: 2, Ordering: ordering}}
	return m
}

func (m *laneMachine) clock() time.Time { return time.UnixMilli(m.now) }

// accept commits rows and offers them, in batches that reach beyond what a lane holds.
func (m *laneMachine) accept(t *rapid.T) {
	n := rapid.SampledFrom([]int{1, 3, 40, 400}).Draw(t, "rows")
	late := rapid.Bool().Draw(t, "deliverAt")
	var rows []hark.Delivery
	for range n {
		m.nextRef++
		d := hark.Delivery{EndpointRef: 2, MessageRef: m.nextRef, Due: m.now, Line: uint64(m.nextRef % 3)}
		if late && m.nextRef%7 == 0 {
			d.Due += 5_000
		}
		m.stored.add(d)
		rows = append(rows, d)
	}
	for i := range rows {
		m.lane.push(rows[i], m.clock())
	}
}

// elsewhere commits rows through another node, which wakes the lane.
func (m *laneMachine) elsewhere(t *rapid.T) {
	for range rapid.SampledFrom([]int{1, 3, 400}).Draw(t, "rows") {
		m.nextRef++
		m.stored.add(hark.Delivery{EndpointRef: 2, MessageRef: m.nextRef, Due: m.now, Line: uint64(m.nextRef % 3)})
	}
	m.lane.lookAgain(m.clock())
}

// resend queues a message once more, by hand, and as a replay does.
func (m *laneMachine) resend(t *rapid.T) {
	if m.nextRef == 0 {
		return
	}
	ref := rapid.Int64Range(max(1, m.nextRef-20), m.nextRef).Draw(t, "message")
	d := hark.Delivery{EndpointRef: 2, MessageRef: ref, Due: m.now, Line: uint64(ref % 3)}
	if rapid.Bool().Draw(t, "by hand") {
		d.Trigger, d.Line = hark.Manual, 0
	}
	if m.stored.add(d) {
		m.lane.push(d, m.clock())
	}
}

// reconfigure changes how the endpoint wants its messages ordered.
func (m *laneMachine) reconfigure(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
		return
	}
	ordering := rapid.SampledFrom([]hark.Ordering{hark.Unordered, hark.OrderByEndpoint, "/customer"}).Draw(t, "ordering")
	if ordering == hark.Unordered {
		for _, d := range m.stored {
			m.loose[d.MessageRef] = true
		}
	}
	m.lane.use(&directory.Endpoint{Endpoint: hark.Endpoint{Ref: 2, Ordering: ordering}})
}

// claim takes the next row as the owner does; if there is none, wake says when to look again.
func (m *laneMachine) claim(t *rapid.T) (taken bool, wake time.Time) {
	if m.lane.wantsPage(m.clock()) {
		m.read()
	}
	d, wake, _ := m.lane.next(m.clock(), true)
	if d == nil {
		read, later := m.lane.beyond(m.clock())
		if read {
			m.read()
		}
		if !later.IsZero() {
			wake = earlier(wake, later.UnixMilli())
		}
		return false, wake
	}
	m.fly(t, d)
	return true, wake
}

// fly checks a row that was taken.
func (m *laneMachine) fly(t *rapid.T, d *hark.Delivery) {
	at := place(d)
	if m.taken[at] {
		t.Fatalf("row %v was taken twice", at)
	}
	if d.Due > m.now || d.RetryAt > m.now {
		t.Fatalf("row %v was taken before its time", at)
	}
	if !m.lane.ordered() {
		m.loose[d.MessageRef] = true
	}
	for i := range m.stored {
		before := &m.stored[i]
		if !m.lane.ordered() || d.Trigger == hark.Manual || compare(place(before), at) >= 0 {
			break
		}
		if before.Line == d.Line && before.Trigger == hark.Scheduled && !m.loose[before.MessageRef] {
			t.Fatalf("row %v was taken before %v of its line; lane: %s", at, place(before), m.describe())
		}
	}
	m.taken[at] = true
	m.lane.inflight++
	m.flying = append(m.flying, &job{lane: m.lane, endpoint: m.lane.ep, delivery: d})
}

func (m *laneMachine) read() {
	l := m.lane
	l.reading = &reading{after: l.horizon, settled: map[store.Position]struct{}{}}
	limit := min(l.most(), pageRows)
	rows := m.stored.read(l.horizon, limit)
	m.page = &page{lane: l, after: l.horizon, rows: rows, full: len(rows) == limit}
}

func (m *laneMachine) finishRead(*rapid.T) {
	if m.page != nil {
		m.lane.read(*m.page, m.clock())
		m.page = nil
	}
}

func (m *laneMachine) take(t *rapid.T) {
	for range rapid.IntRange(1, 50).Draw(t, "takes") {
		if taken, _ := m.claim(t); !taken {
			return
		}
	}
}

func (m *laneMachine) end(t *rapid.T) {
	if len(m.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.flying)-1).Draw(t, "which")
	j := m.flying[i]
	m.flying = slices.Delete(m.flying, i, i+1)
	j.settlement = store.Settlement{Delivery: *j.delivery}
	fails := rapid.Bool().Draw(t, "fails")
	switch {
	case j.delivery.Trigger == hark.Manual:
		j.settlement.Succeeded = !fails
	case fails && j.delivery.Attempts < 3:
		wait := rapid.SampledFrom([]int64{0, 1_000, 1_000_000}).Draw(t, "wait")
		j.settlement.Retry = retryRow(j.delivery, j.endpoint.Ordering != hark.Unordered, m.now+wait)
	}
	m.hasEnded(j)
}

func (m *laneMachine) hasEnded(j *job) {
	m.lane.inflight--
	m.lane.unrecorded++
	m.ended = append(m.ended, j)
}

// unsent ends an attempt that did not take place.
func (m *laneMachine) unsent(*rapid.T) {
	if len(m.flying) == 0 {
		return
	}
	j := m.flying[0]
	m.flying = m.flying[1:]
	m.lane.inflight--
	delete(m.taken, place(j.delivery))
	m.lane.unsent(j)
}

// commit settles everything that has ended.
func (m *laneMachine) commit(*rapid.T) {
	for _, j := range m.ended {
		if had := m.stored.remove(place(j.delivery)); had && j.settlement.Retry != nil {
			m.stored.add(*j.settlement.Retry)
		}
		if j.settlement.Succeeded {
			m.stored = slices.DeleteFunc(m.stored, func(d hark.Delivery) bool { return d.MessageRef == j.delivery.MessageRef })
		}
	}
	for _, j := range m.ended {
		delete(m.taken, place(j.delivery))
		m.lane.unrecorded--
		m.lane.release(j)
		m.lane.settle(j, m.clock())
	}
	m.ended = nil
}

func (m *laneMachine) forget(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
		m.lane.forget()
	}
}

func (m *laneMachine) wait(t *rapid.T) { m.now += rapid.Int64Range(1, 3_000).Draw(t, "ms") }

// finish lets everything come to its end and checks that nothing is left behind. Time goes on only
// to the moments that the lane asks for.
func (m *laneMachine) finish(t *rapid.T) {
	for round := 0; len(m.stored) > 0 || len(m.ended)+len(m.flying) > 0; round++ {
		if round > 20_000 {
			t.Fatalf("%d rows are stuck in the store; lane: %s", len(m.stored), m.describe())
		}
		m.finishRead(t)
		taken, wake := true, time.Time{}
		for taken {
			taken, wake = m.claim(t)
		}
		for _, j := range m.flying {
			j.settlement = store.Settlement{Delivery: *j.delivery}
			m.hasEnded(j)
		}
		m.flying = nil
		if len(m.ended) > 0 {
			m.commit(t)
		} else if m.page == nil && len(m.stored) > 0 {
			if wake.IsZero() {
				t.Fatalf("%d rows wait in the store and nobody looks again; lane: %s", len(m.stored), m.describe())
			}
			m.now = max(m.now, wake.UnixMilli())
		}
	}
	m.finishRead(t)
	if len(m.lane.known) != 0 || m.lane.memory.rows != 0 || m.lane.memory.bytes != 0 {
		t.Fatalf("the lane still knows of rows that are gone: %s", m.describe())
	}
}

func (m *laneMachine) describe() string {
	l := m.lane
	return fmt.Sprintf("rows %d fresh %d known %d horizon %v reading %v memory %+v", len(l.rows), len(l.fresh), len(l.known), l.horizon, l.reading != nil, *l.memory)
}

func TestLane_TakesEveryRowAndNoneTwice(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); os.Getenv("HARK_TESTS") != "all" && checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("30"); err != nil { // of a hundred
			t.Fatal(err)
		}
	}
	for _, ordering := range []hark.Ordering{hark.Unordered, hark.OrderByEndpoint, "/customer"} {
		t.Run("ordering "+string(ordering), rapid.MakeCheck(func(t *rapid.T) {
			m := newLaneMachine(ordering)
			t.Repeat(map[string]func(*rapid.T){
				"accept":     m.accept,
				"elsewhere":  m.elsewhere,
				"finishRead": m.finishRead,
				"take":       m.take,
				"end":        m.end,
				"commit":     m.commit,
				"forget":     m.forget,
				"unsent":     m.unsent,
				"resend":     m.resend,
				"order":      m.reconfigure,
				"wait":       m.wait,
				"": func(t *rapid.T) {
					if len(m.lane.rows) > m.lane.most() && len(m.lane.rows) > pageRows {
						t.Fatalf("%d rows in memory", len(m.lane.rows))
					}
				},
			})
			m.finish(t)
		}))
	}
}

func TestTurns_ApplicationsShareEquallyWhateverTheirEndpoints(t *testing.T) {
	ts := turns{byApp: map[hark.Ref]*appTurn{}}
	mem := &memory{}
	for i := range hark.Ref(100) {
		ts.add(newLane(1, i, mem))
	}
	ts.add(newLane(2, 1000, mem))
	got := map[hark.Ref]int{}
	for range 20 {
		l := ts.next()
		got[l.app]++
		ts.add(l)
	}
	if got[1] != 10 || got[2] != 10 {
		t.Errorf("turns by application = %v, want 10 each", got)
	}
}
