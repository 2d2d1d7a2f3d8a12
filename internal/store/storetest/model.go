package storetest

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// place is the key of a queue row.
type place struct {
	endpoint hark.Ref
	due      int64
	message  hark.Ref
}

// model is what a store should hold, in maps.
type model struct {
	f         *fixture
	endpoints []hark.Endpoint
	dead      map[hark.Ref]bool
	messages  map[hark.Ref]hark.Message
	order     []hark.Ref
	events    map[string]hark.MessageID
	queue     map[place]hark.Delivery
	attempts  map[hark.Ref]int
}

// testModel does random things to a store and to a model of it, and compares them.
func testModel(t *testing.T, open Open) {
	// One store for all runs: opening one takes longer than a run. Each run has an environment of
	// its own, and what it leaves behind must not matter to the next.
	f := newFixture(t, open)
	// Each step waits for the disk, so fewer runs than usual, unless -rapid.checks asks for more.
	if checks := flag.Lookup("rapid.checks"); checks != nil && checks.Value.String() == checks.DefValue {
		runs := "8"
		if os.Getenv("HARK_TESTS") == "all" {
			runs = "20"
		}
		f.ok(checks.Value.Set(runs))
	}
	rapid.Check(t, func(rt *rapid.T) {
		f.env = f.newEnvironment()
		f.app = f.newApplication(f.env, "app")
		defer func() { f.ok(f.DeleteApplication(f.ctx, f.env, "app", f.tick())) }()
		m := &model{f: f, dead: map[hark.Ref]bool{}, messages: map[hark.Ref]hark.Message{}, events: map[string]hark.MessageID{},
			queue: map[place]hark.Delivery{}, attempts: map[hark.Ref]int{}}
		for i := range 3 {
			m.endpoints = append(m.endpoints, f.newEndpoint(f.app, fmt.Sprint(i)))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"accept":  m.accept,
			"settle":  m.settle,
			"enqueue": m.enqueue,
			"delete":  m.delete,
			"expunge": m.expunge,
			"reclaim": m.reclaim,
			"reopen":  m.reopen,
		})
	})
}

func (m *model) accept(t *rapid.T) {
	var eps []hark.Endpoint
	for _, ep := range m.endpoints {
		if !m.dead[ep.Ref] && rapid.Bool().Draw(t, "to") {
			eps = append(eps, ep)
		}
	}
	var batch []*store.Acceptance
	for range rapid.IntRange(1, 10).Draw(t, "messages") {
		a := m.f.message("t", eps...)
		a.Message.EventID = rapid.SampledFrom([]string{"", "", "x", "y", "z"}).Draw(t, "event id")
		batch = append(batch, a)
	}
	m.f.ok(m.f.Accept(m.f.ctx, batch))
	for _, a := range batch {
		if id := a.Message.EventID; id != "" {
			if first, ok := m.events[id]; ok {
				if a.Outcome != store.DuplicateEvent || a.Existing != first {
					t.Fatalf("outcome %d of %s", a.Outcome, first)
				}
				continue
			}
			m.events[id] = a.Message.ID
		}
		if a.Outcome != store.Accepted {
			t.Fatalf("outcome %d", a.Outcome)
		}
		m.messages[a.Message.Ref] = a.Message
		m.order = append(m.order, a.Message.Ref)
		for _, d := range a.Deliveries {
			m.queue[place{d.EndpointRef, d.Due, d.MessageRef}] = d
		}
	}
}

func (m *model) places() []place {
	return slices.SortedFunc(maps.Keys(m.queue), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.due, b.due), cmp.Compare(a.message, b.message))
	})
}

func (m *model) settle(t *rapid.T) {
	if len(m.queue) == 0 {
		t.Skip("nothing is queued")
	}
	p := rapid.SampledFrom(m.places()).Draw(t, "row")
	d := m.queue[p]
	var s store.Settlement
	switch rapid.SampledFrom([]string{"success", "retry", "fail", "put off", "drop"}).Draw(t, "outcome") {
	case "success":
		s = m.f.attempt(d, 200, 0)
		for q := range m.queue {
			if q.endpoint == p.endpoint && q.message == p.message {
				delete(m.queue, q)
			}
		}
	case "retry":
		s = m.f.attempt(d, 500, time.Duration(rapid.IntRange(1, 1000).Draw(t, "wait"))*time.Second)
	case "fail":
		s = m.f.attempt(d, 500, 0)
	case "put off":
		next := d
		next.Due += rapid.Int64Range(0, 1000).Draw(t, "put off by")
		s = store.Settlement{Delivery: d, Retry: &next}
	case "drop":
		s = store.Settlement{Delivery: d}
	}
	delete(m.queue, p)
	if s.Retry != nil {
		m.queue[place{s.Retry.EndpointRef, s.Retry.Due, s.Retry.MessageRef}] = *s.Retry
	}
	if s.Attempt != nil {
		m.attempts[d.MessageRef]++
	}
	m.f.ok(m.f.Settle(m.f.ctx, []store.Settlement{s}))
}

func (m *model) enqueue(t *rapid.T) {
	if len(m.order) == 0 {
		t.Skip("no message")
	}
	ep := rapid.SampledFrom(m.endpoints).Draw(t, "endpoint")
	if m.dead[ep.Ref] {
		t.Skip("deleted")
	}
	d := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: m.f.app.Ref, MessageRef: rapid.SampledFrom(m.order).Draw(t, "message"),
		Due: m.f.tick().UnixMilli(), Trigger: hark.Trigger(rapid.IntRange(0, 1).Draw(t, "trigger"))}
	m.f.ok(m.f.Enqueue(m.f.ctx, []hark.Delivery{d}))
	m.queue[place{d.EndpointRef, d.Due, d.MessageRef}] = d
}

func (m *model) delete(t *rapid.T) {
	i := rapid.IntRange(0, 20).Draw(t, "endpoint") // seldom
	if i >= len(m.endpoints) || m.dead[m.endpoints[i].Ref] {
		t.Skip("not this time")
	}
	ep := m.endpoints[i]
	m.f.ok(m.f.DeleteEndpoint(m.f.ctx, m.f.app.Ref, string(ep.ID), m.f.tick()))
	m.dead[ep.Ref] = true
	for p := range m.queue {
		if p.endpoint == ep.Ref {
			delete(m.queue, p)
		}
	}
}

func (m *model) expunge(t *rapid.T) {
	if len(m.order) == 0 {
		t.Skip("no message")
	}
	ref := rapid.SampledFrom(m.order).Draw(t, "message")
	msg := m.messages[ref]
	m.f.ok(m.f.ExpungePayload(m.f.ctx, m.f.app.Ref, string(msg.ID)))
	msg.Expunged, msg.Payload = true, nil
	m.messages[ref] = msg
}

// reclaim drops the messages that are older than one that is drawn. Rows of a deleted endpoint may
// still be there for a moment, so only what is not queued anywhere, and never was at one, is sure.
func (m *model) reclaim(t *rapid.T) {
	if len(m.order) == 0 || len(m.dead) > 0 {
		t.Skip("nothing to reclaim for sure")
	}
	edge := m.messages[rapid.SampledFrom(m.order).Draw(t, "edge")].CreatedAt
	m.f.reclaimAll(edge.Add(hark.DefaultRetention), rapid.IntRange(1, 20).Draw(t, "limit"))
	queued := make(map[hark.Ref]bool)
	for p := range m.queue {
		queued[p.message] = true
	}
	m.order = slices.DeleteFunc(m.order, func(ref hark.Ref) bool {
		msg := m.messages[ref]
		if queued[ref] || !msg.CreatedAt.Before(edge) {
			return false
		}
		delete(m.messages, ref)
		delete(m.events, msg.EventID)
		delete(m.attempts, ref)
		return true
	})
}

func (m *model) reopen(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "reopen") > 0 {
		t.Skip("not this time")
	}
	m.f.reopen()
}

func (m *model) compare(t *rapid.T) {
	f := m.f
	var want []hark.Delivery
	for _, p := range m.places() {
		want = append(want, m.queue[p])
	}
	var got []hark.Delivery
	for _, ep := range m.endpoints {
		got = append(got, f.queue(ep)...)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("queue (-want +got):\n%s", diff)
	}
	backlogs, err := f.Backlogs(f.ctx)
	f.ok(err)
	with := make(map[hark.Ref]bool)
	for p := range m.queue {
		with[p.endpoint] = true
	}
	if len(backlogs) != len(with) {
		t.Fatalf("%d backlogs, want %d", len(backlogs), len(with))
	}
	list, err := f.ListMessages(f.ctx, f.app.Ref, store.MessageFilter{WithPayload: true}, store.Page{Limit: 10_000})
	f.ok(err)
	var messages []hark.Message
	for _, ref := range slices.Backward(m.order) {
		messages = append(messages, m.messages[ref])
	}
	if diff := gocmp.Diff(messages, list); diff != "" {
		t.Fatalf("messages (-want +got):\n%s", diff)
	}
	for _, ref := range m.order {
		attempts, err := f.AttemptsByMessage(f.ctx, ref, store.AttemptFilter{}, store.Page{Limit: 1000})
		f.ok(err)
		if len(attempts) != m.attempts[ref] {
			t.Fatalf("message %d has %d attempts, want %d", ref, len(attempts), m.attempts[ref])
		}
	}
}
