package storetest

import (
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func testQueue(t *testing.T, f *fixture) {
	a, b := f.newEndpoint(f.app, "a"), f.newEndpoint(f.app, "b")
	f.newEndpoint(f.app, "idle")
	var want []hark.Delivery
	for i := range 5 {
		m := f.message("t", a, b)
		m.Deliveries[0].Line = 1<<63 + uint64(i)
		f.ok(f.Accept(f.ctx, []*store.Acceptance{m}))
		want = append(want, m.Deliveries[0])
	}
	f.same("queue", f.queue(a), want)
	backlogs, err := f.Backlogs(f.ctx)
	f.ok(err)
	if len(backlogs) != 2 {
		t.Fatalf("backlogs: %+v", backlogs)
	}
	f.same("backlog", backlogs[0], store.Backlog{ApplicationRef: f.app.Ref, EndpointRef: a.Ref,
		First: store.Position{Due: want[0].Due, MessageRef: want[0].MessageRef}})
	some, err := f.ReadQueue(f.ctx, a.Ref, store.Position{Due: want[1].Due, MessageRef: want[1].MessageRef}, 2)
	f.ok(err)
	f.same("behind a position", some, want[2:4])
	some, err = f.ReadQueue(f.ctx, a.Ref, store.Position{Due: want[1].Due, MessageRef: want[1].MessageRef - 1}, 1)
	f.ok(err)
	f.same("same due, smaller ref", some, want[1:2])

	// A row whose key exists is left as it is.
	changed := want[0]
	changed.Attempts = 9
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{changed}))
	f.same("after enqueue of an existing row", f.queue(a), want)
}

func testSettle(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	m := f.accept("t", ep)
	d := f.try(m.Deliveries[0], 500, time.Minute)
	f.same("after a failure", f.queue(ep), []hark.Delivery{d})

	// Ordered: it keeps its place and waits.
	s := f.attempt(d, 503, time.Minute)
	s.Retry.Due, s.Retry.RetryAt = d.Due, s.Attempt.NextAttempt.UnixMilli()
	f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	f.same("after an ordered failure", f.queue(ep), []hark.Delivery{*s.Retry})

	// Put off without an attempt.
	put := *s.Retry
	put.Due += 5000
	f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: *s.Retry, Retry: &put}}))
	f.same("put off", f.queue(ep), []hark.Delivery{put})
	status, _ := f.state(m.Message.Ref, ep)
	f.same("state when put off", status, hark.Sending)

	// A row that is gone stays gone; the attempt is kept.
	gone := f.attempt(d, 500, time.Minute)
	f.ok(f.Settle(f.ctx, []store.Settlement{gone}))
	f.same("settling a row that moved", f.queue(ep), []hark.Delivery{put})
	f.try(put, 500, 0)
	f.same("after the last failure", len(f.queue(ep)), 0)
	attempts, err := f.AttemptsByMessage(f.ctx, m.Message.Ref, store.AttemptFilter{}, store.Page{Limit: 10})
	f.ok(err)
	f.same("attempts", len(attempts), 4)

	// A batch of all kinds is one transaction.
	var batch []store.Settlement
	for i := range 150 {
		m := f.accept("t", ep)
		batch = append(batch, f.attempt(m.Deliveries[0], []int{200, 500, 404}[i%3], time.Duration(i%3)*(time.Duration(2-i%3))*time.Hour))
	}
	broken := batch[149]
	bad := *broken.Attempt
	bad.ID = "nonsense"
	broken.Attempt = &bad
	if err := f.Settle(f.ctx, append(batch[:149:149], broken)); err == nil {
		t.Error("a nonsense id was kept")
	}
	f.same("queue after a refused batch", len(f.queue(ep)), 150)
	f.ok(f.Settle(f.ctx, batch))
	f.same("queue after the batch", len(f.queue(ep)), 50)
}

func testSettleSucceeded(t *testing.T, f *fixture) {
	a, b := f.newEndpoint(f.app, "a"), f.newEndpoint(f.app, "b")
	manual := func(ref hark.Ref, ep hark.Endpoint) hark.Delivery {
		d := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: f.app.Ref, MessageRef: ref, Due: f.tick().UnixMilli(), Trigger: hark.Manual}
		f.ok(f.Enqueue(f.ctx, []hark.Delivery{d}))
		return d
	}
	for _, tries := range []int{0, 2} { // a resend cancels the first delivery, or a planned retry
		m := f.accept("t", a, b)
		d := m.Deliveries[0]
		for range tries {
			d = f.try(d, 500, time.Hour)
		}
		resend := manual(m.Message.Ref, a)
		f.same("before", len(f.queue(a)), 2)
		f.try(resend, 200, 0)
		f.same("after a resend that worked", len(f.queue(a)), 0)
		f.same("the other endpoint", len(f.queue(b)), 1)
		f.try(m.Deliveries[1], 200, 0)
	}
	// And the other way round; other messages stay.
	m, other := f.accept("t", a), f.accept("t", a)
	manual(m.Message.Ref, a)
	manual(m.Message.Ref, a)
	f.try(m.Deliveries[0], 200, 0)
	f.same("after a delivery that worked", f.queue(a), []hark.Delivery{other.Deliveries[0]})
	// Without an attempt that was recorded, too.
	put := other.Deliveries[0]
	put.Due += 100
	f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: other.Deliveries[0], Retry: &put}}))
	f.try(manual(other.Message.Ref, a), 200, 0)
	f.same("after it was put off", len(f.queue(a)), 0)
	// A failed resend leaves the plan alone.
	m = f.accept("t", a)
	f.try(manual(m.Message.Ref, a), 500, 0)
	f.same("after a resend that failed", f.queue(a), []hark.Delivery{m.Deliveries[0]})
	status, _ := f.state(m.Message.Ref, a)
	f.same("its state", status, hark.Sending)
}

func testStates(t *testing.T, f *fixture) {
	ep, other := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "other")
	check := func(what string, m *store.Acceptance, want hark.AttemptStatus) {
		t.Helper()
		if got, ok := f.state(m.Message.Ref, ep); !ok || got != want {
			t.Errorf("%s: %v (%v), want %v", what, got, ok, want)
		}
	}
	m := f.message("t", ep)
	m.Message.DeliverAt = start.Add(time.Hour)
	m.Deliveries[0].Due = m.Message.DeliverAt.UnixMilli()
	f.ok(f.Accept(f.ctx, []*store.Acceptance{m}))
	check("nothing attempted", m, hark.Pending)
	states, err := f.DeliveryStates(f.ctx, m.Message.Ref, []hark.Ref{ep.Ref, other.Ref})
	f.ok(err)
	if _, ok := states[other.Ref]; ok || !states[ep.Ref].NextAttempt.Equal(m.Message.DeliverAt) || states[ep.Ref].Endpoint.ID != ep.ID {
		t.Errorf("states: %+v", states)
	}
	d := f.try(m.Deliveries[0], 500, time.Hour)
	check("one failure", m, hark.Sending)
	d = f.try(d, 500, time.Hour)
	check("two failures", m, hark.Sending)
	f.try(d, 500, 0)
	check("the last failure", m, hark.Failed)
	again := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: f.app.Ref, MessageRef: m.Message.Ref, Due: f.tick().UnixMilli()}
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{again}))
	check("sent again", m, hark.Sending)
	f.try(again, 200, 0)
	check("success", m, hark.Succeeded)

	dropped := f.accept("t", ep)
	f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: dropped.Deliveries[0]}}))
	check("dropped without an attempt", dropped, hark.Canceled)
	late := f.accept("t", ep)
	d = f.try(late.Deliveries[0], 500, time.Hour)
	f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: d}}))
	check("a planned retry dropped", late, hark.Canceled)
	pending, retrying := f.accept("t", ep), f.accept("t", ep)
	f.try(retrying.Deliveries[0], 500, time.Hour)
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "e", f.tick()))
	check("endpoint deleted before the first attempt", pending, hark.Canceled)
	check("endpoint deleted before a retry", retrying, hark.Canceled)
	check("endpoint deleted after success", m, hark.Succeeded)
}
