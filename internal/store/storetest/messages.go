package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func testAccept(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	a := f.message("invoice.paid", ep)
	a.Message.EventID, a.Message.Channels, a.Message.Tags = "ev-1", []string{"c1", "c2"}, []string{}
	a.Message.RawBody = []byte{}
	a.Message.PayloadExpiresAt = start.Add(240 * time.Hour)
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	if a.Message.Ref == 0 || a.Deliveries[0].MessageRef != a.Message.Ref {
		t.Fatalf("refs: message %d, delivery %d", a.Message.Ref, a.Deliveries[0].MessageRef)
	}
	for _, name := range []string{string(a.Message.ID), "ev-1"} {
		got, err := f.Message(f.ctx, f.app.Ref, name, true)
		f.ok(err)
		f.same("by "+name, got, a.Message)
	}
	bare, err := f.Message(f.ctx, f.app.Ref, "ev-1", false)
	f.ok(err)
	if bare.Payload != nil || bare.Expunged {
		t.Errorf("without payload: %+v", bare)
	}
	all, err := f.MessagesByRef(f.ctx, []hark.Ref{999_999, a.Message.Ref})
	f.ok(err)
	f.same("by ref", all, []hark.Message{a.Message})
	f.same("queue", f.queue(ep), []hark.Delivery{a.Deliveries[0]})
	_, err = f.Message(f.ctx, f.app.Ref, "nothing", false)
	f.wantCode(err, hark.NotFound, "unknown")

	// A batch is one transaction; one that cannot be kept spoils all of itself, and nothing else.
	good, bad := f.message("t", ep), f.message("t", ep)
	bad.Message.ID = "msg_nonsense"
	if err := f.Accept(f.ctx, []*store.Acceptance{good, bad}); err == nil {
		t.Error("nonsense was accepted as an id")
	}
	_, err = f.Message(f.ctx, f.app.Ref, string(good.Message.ID), false)
	f.wantCode(err, hark.NotFound, "half of a failed batch")
	f.same("queue after a failed batch", len(f.queue(ep)), 1)
	f.accept("t", ep)
}

func testAcceptGuards(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	first := f.message("t", ep)
	first.Message.EventID = "ev"
	first.Key = &store.IdempotencyKey{Hash: key("k"), Fingerprint: key("body"), ExpiresAt: start.Add(time.Hour)}
	again := f.message("t", ep)
	again.Message.EventID = "ev"
	repeat := f.message("t", ep)
	repeat.Key = first.Key
	reuse := f.message("t", ep)
	reuse.Key = &store.IdempotencyKey{Hash: key("k"), Fingerprint: key("other body"), ExpiresAt: start.Add(time.Hour)}
	check := func(what string, a *store.Acceptance, outcome store.Outcome, existing hark.MessageID) {
		t.Helper()
		if a.Outcome != outcome || a.Existing != existing {
			t.Errorf("%s: outcome %d, existing %q; want %d, %q", what, a.Outcome, a.Existing, outcome, existing)
		}
	}
	// Earlier ones in the slice count as existing, and so do committed ones.
	for _, when := range []string{"in the same call", "later"} {
		f.ok(f.Accept(f.ctx, []*store.Acceptance{again, repeat, reuse}[:0]))
		batch := []*store.Acceptance{again, repeat, reuse}
		if when == "in the same call" {
			batch = append([]*store.Acceptance{first}, batch...)
		}
		f.ok(f.Accept(f.ctx, batch))
		check(when+": first", first, store.Accepted, "")
		check(when+": event id", again, store.DuplicateEvent, first.Message.ID)
		check(when+": same request", repeat, store.Repeated, first.Message.ID)
		check(when+": other request", reuse, store.KeyReused, "")
	}
	f.same("queued", len(f.queue(ep)), 1)

	// A key whose message was refused is not used up.
	fresh := f.message("t", ep)
	fresh.Message.EventID = "ev"
	fresh.Key = &store.IdempotencyKey{Hash: key("k2"), Fingerprint: key("b"), ExpiresAt: start.Add(time.Hour)}
	f.ok(f.Accept(f.ctx, []*store.Acceptance{fresh}))
	check("event id with a fresh key", fresh, store.DuplicateEvent, first.Message.ID)
	fresh.Message.EventID = ""
	f.ok(f.Accept(f.ctx, []*store.Acceptance{fresh}))
	check("the fresh key again", fresh, store.Accepted, "")

	// An expired key is as good as new; an event id is not.
	late := f.message("t", ep)
	late.Key = &store.IdempotencyKey{Hash: key("k"), Fingerprint: key("late"), ExpiresAt: start.Add(5 * time.Hour)}
	late.Message.CreatedAt = start.Add(2 * time.Hour)
	f.ok(f.Accept(f.ctx, []*store.Acceptance{late}))
	check("expired key", late, store.Accepted, "")
	other := f.newApplication(f.env, "other")
	theirs := f.message("t")
	theirs.Message.ApplicationRef, theirs.Message.EventID = other.Ref, "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{theirs}))
	check("another application's event id", theirs, store.Accepted, "")
}

func testAcceptConcurrently(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	for _, by := range []string{"event id", "idempotency key"} {
		var accepted atomic.Int32
		outcomes := make([]*store.Acceptance, 64)
		var wg sync.WaitGroup
		for i := range outcomes {
			a := f.message("t", ep)
			if by == "event id" {
				a.Message.EventID = "once"
			} else {
				a.Key = &store.IdempotencyKey{Hash: key("once"), Fingerprint: key("same"), ExpiresAt: start.Add(time.Hour)}
			}
			outcomes[i] = a
			wg.Go(func() {
				if err := f.Accept(f.ctx, []*store.Acceptance{a}); err != nil {
					t.Error(err)
				}
				if a.Outcome == store.Accepted {
					accepted.Add(1)
				}
			})
		}
		wg.Wait()
		if n := accepted.Load(); n != 1 {
			t.Errorf("%s: %d accepted, want 1", by, n)
		}
		winner := outcomes[slices.IndexFunc(outcomes, func(a *store.Acceptance) bool { return a.Outcome == store.Accepted })]
		for _, a := range outcomes {
			if a != winner && a.Existing != winner.Message.ID {
				t.Fatalf("%s: existing %q, want %q", by, a.Existing, winner.Message.ID)
			}
		}
	}
	f.same("queued", len(f.queue(ep)), 2)
}

func testAcceptStale(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	version := func() int64 {
		t.Helper()
		app, err := f.ApplicationByRef(f.ctx, f.app.Ref)
		f.ok(err)
		return app.Version
	}
	publish := func(what string, version int64, want store.Outcome) {
		t.Helper()
		a := f.message("t", ep)
		a.ConfigVersion = version
		f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
		if a.Outcome != want {
			t.Errorf("%s: outcome %d, want %d", what, a.Outcome, want)
		}
		_, err := f.Message(f.ctx, f.app.Ref, string(a.Message.ID), false)
		if kept := err == nil; kept != (want == store.Accepted) {
			t.Errorf("%s: kept: %v", what, err)
		}
	}
	at := version()
	publish("with the version", at, store.Accepted)
	publish("without a version", 0, store.Accepted)
	f.newEndpoint(f.app, "less")
	at = version()
	for _, c := range []struct {
		what   string
		change func() error
	}{
		{"an endpoint more", func() error {
			_, err := f.InsertEndpoint(f.ctx, hark.Endpoint{ID: hark.NewEndpointID(f.tick()), ApplicationRef: f.app.Ref})
			return err
		}},
		{"an endpoint changed", func() error {
			_, err := f.UpdateEndpoint(f.ctx, f.app.Ref, "e", func(e *hark.Endpoint) error { e.Paused = true; return nil })
			return err
		}},
		{"an endpoint less", func() error { return f.DeleteEndpoint(f.ctx, f.app.Ref, "less", f.tick()) }},
		{"the application changed", func() error {
			_, err := f.UpdateApplication(f.ctx, f.env, "app", func(a *hark.Application) error { a.ThrottleRate++; return nil })
			return err
		}},
	} {
		f.ok(c.change())
		publish("after "+c.what, at, store.Stale)
		if now := version(); now <= at {
			t.Errorf("after %s: version %d came after %d", c.what, now, at)
		}
		at = version()
		publish("matched again after "+c.what, at, store.Accepted)
	}
	_, err := f.UpdateEndpoint(f.ctx, f.app.Ref, "e", func(*hark.Endpoint) error { return errAbort })
	f.same("abort", err, errAbort)
	publish("after a change that was aborted", at, store.Accepted)

	// In one call only those are left out, and a guard of theirs is not used up.
	stale, fresh := f.message("t", ep), f.message("t", ep)
	stale.ConfigVersion, stale.Message.EventID = at-1, "ev"
	fresh.ConfigVersion, fresh.Message.EventID = at, "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{stale, fresh}))
	f.same("outcomes", []store.Outcome{stale.Outcome, fresh.Outcome}, []store.Outcome{store.Stale, store.Accepted})
	f.ok(f.DeleteApplication(f.ctx, f.env, "app", f.tick()))
	publish("to a deleted application", at, store.Stale)
}

func testOnQueued(t *testing.T, f *fixture) {
	f.Store = f.open(t, t.TempDir())
	f.env = f.newEnvironment()
	f.app = f.newApplication(f.env, "app")
	ep := f.newEndpoint(f.app, "e")
	var busy atomic.Bool
	var mu sync.Mutex
	told := make(map[hark.Ref]hark.Delivery)
	f.OnQueued(func(ds []hark.Delivery) {
		if !busy.CompareAndSwap(false, true) {
			t.Error("called concurrently")
		}
		defer busy.Store(false)
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			told[d.MessageRef] = d
		}
	})
	heard := func(ref hark.Ref) (hark.Delivery, bool) {
		mu.Lock()
		defer mu.Unlock()
		d, ok := told[ref]
		delete(told, ref)
		return d, ok
	}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			a := f.message("t", ep)
			if err := f.Accept(f.ctx, []*store.Acceptance{a}); err != nil {
				t.Error(err)
				return
			}
			d, ok := heard(a.Message.Ref)
			if !ok || d.EndpointRef != ep.Ref || d.Message == nil || string(d.Message.Payload) != `{"n":1}` || d.Message.Ref != a.Message.Ref {
				t.Errorf("after Accept: %+v, %v", d, ok)
			}
			resend := hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: f.app.Ref, MessageRef: a.Message.Ref, Due: f.tick().UnixMilli(), Trigger: hark.Manual}
			for range 2 {
				if err := f.Enqueue(f.ctx, []hark.Delivery{resend}); err != nil {
					t.Error(err)
				}
			}
			if d, ok := heard(a.Message.Ref); !ok || d != resend {
				t.Errorf("after Enqueue: %+v, %v", d, ok)
			}
		})
	}
	wg.Wait()
	silent := f.message("t", ep)
	silent.Message.EventID = "x"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{silent}))
	heard(silent.Message.Ref)
	silent.Message.ID = hark.NewMessageID(f.tick())
	f.ok(f.Accept(f.ctx, []*store.Acceptance{silent}))
	if len(told) != 0 {
		t.Errorf("told of a duplicate: %+v", told)
	}
}

func testMessageIsolation(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	a := f.message("t", ep)
	a.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	s := f.attempt(a.Deliveries[0], 200, 0)
	f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	other := f.newApplication(f.env, "other")
	for _, name := range []string{string(a.Message.ID), "ev"} {
		_, err := f.Message(f.ctx, other.Ref, name, true)
		f.wantCode(err, hark.NotFound, "message of another application")
		f.wantCode(f.ExpungePayload(f.ctx, other.Ref, name), hark.NotFound, "expunge in another application")
	}
	_, err := f.Attempt(f.ctx, other.Ref, a.Message.Ref, s.Attempt.ID)
	f.wantCode(err, hark.NotFound, "attempt of another application")
	f.wantCode(f.ExpungeResponse(f.ctx, other.Ref, a.Message.Ref, s.Attempt.ID), hark.NotFound, "expunge response in another application")
	_, err = f.Attempt(f.ctx, f.app.Ref, a.Message.Ref+1, s.Attempt.ID)
	f.wantCode(err, hark.NotFound, "attempt of another message")
	list, err := f.ListMessages(f.ctx, other.Ref, store.MessageFilter{}, store.Page{Limit: 5})
	f.ok(err)
	f.same("messages of another application", len(list), 0)
}

func testListMessages(t *testing.T, f *fixture) {
	var ids []string
	var times []time.Time
	for i := range 9 {
		a := f.message(fmt.Sprintf("type.%d", i%3))
		if i%2 == 0 {
			a.Message.Channels, a.Message.Tags = []string{"even"}, []string{"t", fmt.Sprint(i)}
		}
		f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
		ids = append(ids, string(a.Message.ID))
		times = append(times, a.Message.CreatedAt)
	}
	pickIDs := func(is ...int) (some []string) { // newest first
		for _, i := range slices.Backward(is) {
			some = append(some, ids[i])
		}
		return some
	}
	list := func(filter store.MessageFilter) func(store.Page) ([]hark.Message, error) {
		return func(p store.Page) ([]hark.Message, error) { return f.ListMessages(f.ctx, f.app.Ref, filter, p) }
	}
	id := func(m hark.Message) string { return string(m.ID) }
	for _, c := range []struct {
		name   string
		filter store.MessageFilter
		want   []string
	}{
		{"all", store.MessageFilter{}, pickIDs(0, 1, 2, 3, 4, 5, 6, 7, 8)},
		{"one type", store.MessageFilter{EventTypes: []string{"type.1"}}, pickIDs(1, 4, 7)},
		{"two types", store.MessageFilter{EventTypes: []string{"type.2", "type.0", "type.0"}}, pickIDs(0, 2, 3, 5, 6, 8)},
		{"unknown type", store.MessageFilter{EventTypes: []string{"none"}}, nil},
		{"channel", store.MessageFilter{Channel: "even"}, pickIDs(0, 2, 4, 6, 8)},
		{"tag", store.MessageFilter{Tag: "4"}, pickIDs(4)},
		{"after", store.MessageFilter{After: times[5]}, pickIDs(6, 7, 8)},
		{"before", store.MessageFilter{Before: times[2]}, pickIDs(0, 1)},
		{"between, typed", store.MessageFilter{After: times[0], Before: times[8], EventTypes: []string{"type.0"}}, pickIDs(3, 6)},
	} {
		for _, size := range []int{2, 50} {
			pages(f, c.name, size, false, c.want, id, list(c.filter))
		}
	}
	oldest, err := f.ListMessages(f.ctx, f.app.Ref, store.MessageFilter{After: times[1], OldestFirst: true, WithPayload: true}, store.Page{Limit: 3})
	f.ok(err)
	var got []string
	for _, m := range oldest {
		got = append(got, string(m.ID))
		f.same("payload", string(m.Payload), `{"n":1}`)
	}
	f.same("the oldest after", got, pickIDs(2, 3, 4))
}

func testExpunge(t *testing.T, f *fixture) {
	a := f.message("t")
	a.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{a}))
	f.ok(f.ExpungePayload(f.ctx, f.app.Ref, "ev"))
	f.ok(f.ExpungePayload(f.ctx, f.app.Ref, string(a.Message.ID)))
	m, err := f.Message(f.ctx, f.app.Ref, "ev", true)
	f.ok(err)
	if !m.Expunged || m.Payload != nil {
		t.Errorf("expunged: %+v", m)
	}
	other := f.newApplication(f.env, "other")
	kept := f.message("t")
	kept.Message.ApplicationRef = other.Ref
	batch := []*store.Acceptance{kept}
	for range 7 {
		batch = append(batch, f.message("t"))
	}
	f.ok(f.Accept(f.ctx, batch))
	total, after := 0, hark.Ref(0)
	for calls := 0; ; calls++ {
		n, next, err := f.ExpungePayloads(f.ctx, f.app.Ref, after, 3)
		f.ok(err)
		total += n
		if after = next; next == 0 {
			break
		}
		if calls > 10 {
			t.Fatal("no end")
		}
	}
	f.same("expunged", total, 7)
	all, err := f.MessagesByRef(f.ctx, []hark.Ref{kept.Message.Ref, batch[7].Message.Ref})
	f.ok(err)
	if all[0].Expunged || !all[1].Expunged {
		t.Errorf("after all: %+v", all)
	}
}

func testCanceled(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	a := f.message("t")
	if err := f.Accept(ctx, []*store.Acceptance{a}); err == nil {
		return // it was taken already: then it must be there
	}
	_, err := f.Message(f.ctx, f.app.Ref, string(a.Message.ID), false)
	f.wantCode(err, hark.NotFound, "a write that returned an error")
	if _, err := f.Endpoint(ctx, f.app.Ref, "x"); err == nil {
		t.Error("read with an ended context")
	}
}
