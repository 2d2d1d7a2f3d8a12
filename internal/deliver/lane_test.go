package deliver

import (
	"fmt"
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

func (q *modelQueue) add(d hark.Delivery) {
	i, found := slices.BinarySearchFunc(*q, place(&d), func(d hark.Delivery, p store.Position) int { return compare(place(&d), p) })
	if !found {
		*q = slices.Insert(*q, i, d)
	}
}

func (q *modelQueue) remove(at store.Position) {
	*q = slices.DeleteFunc(*q, func(d hark.Delivery) bool { return place(&d) == at })
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
	taken   map[hark.Ref]bool // messages in flight or waiting to be settled
	lines   map[uint64]hark.Ref
}

func newLaneMachine(ordering hark.Ordering) *laneMachine {
	m := &laneMachine{now: 1_000_000, taken: map[hark.Ref]bool{}}
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

func (m *laneMachine) startRead(*rapid.T) {
	l := m.lane
	if m.page != nil || l.reading != nil || compare(l.horizon, lastPlace) == 0 || len(l.rows) >= l.most() {
		return
	}
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
		d, _, _ := m.lane.next(m.clock(), true)
		if d == nil {
			return
		}
		if m.taken[d.MessageRef] {
			t.Fatalf("message %d was taken twice", d.MessageRef)
		}
		if d.Due > m.now || d.RetryAt > m.now {
			t.Fatalf("message %d was taken before its time", d.MessageRef)
		}
		m.taken[d.MessageRef] = true
		m.flying = append(m.flying, &job{lane: m.lane, endpoint: m.lane.ep, delivery: d})
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
	if j.delivery.Attempts < 3 && rapid.Bool().Draw(t, "fails") {
		j.settlement.Retry = retryRow(j.delivery, m.lane.ordered(), m.now+rapid.Int64Range(0, 2_000).Draw(t, "wait"))
	}
	m.ended = append(m.ended, j)
}

// commit settles everything that has ended.
func (m *laneMachine) commit(*rapid.T) {
	for _, j := range m.ended {
		m.stored.remove(place(j.delivery))
		if r := j.settlement.Retry; r != nil {
			m.stored.add(*r)
		}
	}
	for _, j := range m.ended {
		delete(m.taken, j.delivery.MessageRef)
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

// finish lets everything come to its end and checks that nothing is left behind.
func (m *laneMachine) finish(t *rapid.T) {
	for round := 0; len(m.stored) > 0 || len(m.ended)+len(m.flying) > 0; round++ {
		if round > 20_000 {
			t.Fatalf("%d rows are stuck in the store; lane: %s", len(m.stored), m.describe())
		}
		m.finishRead(t)
		m.now += 1_000
		for {
			d, _, _ := m.lane.next(m.clock(), true)
			if d == nil {
				break
			}
			if m.taken[d.MessageRef] {
				t.Fatalf("message %d was taken twice", d.MessageRef)
			}
			m.flying = append(m.flying, &job{lane: m.lane, endpoint: m.lane.ep, delivery: d})
			m.taken[d.MessageRef] = true
		}
		for _, j := range m.flying {
			j.settlement = store.Settlement{Delivery: *j.delivery}
			m.ended = append(m.ended, j)
		}
		m.flying = nil
		m.commit(t)
		m.startRead(t)
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
	for _, ordering := range []hark.Ordering{hark.Unordered, hark.OrderByEndpoint, "/customer"} {
		t.Run("ordering "+string(ordering), rapid.MakeCheck(func(t *rapid.T) {
			m := newLaneMachine(ordering)
			if ordering == hark.OrderByEndpoint {
				defer func() { m.lines = nil }()
			}
			t.Repeat(map[string]func(*rapid.T){
				"accept":     m.accept,
				"startRead":  m.startRead,
				"finishRead": m.finishRead,
				"take":       m.take,
				"end":        m.end,
				"commit":     m.commit,
				"forget":     m.forget,
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
