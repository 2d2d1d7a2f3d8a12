package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// once makes the message's deliveries such that no equal one is made within an hour of it.
func once(a *store.Acceptance, what string) *store.Acceptance {
	for i, d := range a.Deliveries {
		a.Unique = append(a.Unique, store.UniqueDelivery{
			Index: i, Hash: key(fmt.Sprint(what, d.EndpointRef)), ExpiresAt: a.Message.CreatedAt.Add(time.Hour)})
	}
	return a
}

// keptFrom checks that a message was kept from an endpoint because of another, now and when it is read.
func (f *fixture) keptFrom(what string, a *store.Acceptance, ep hark.Endpoint, of *store.Acceptance) {
	f.Helper()
	f.same(what+": outcome", a.Outcome, store.Accepted)
	want := []hark.Duplicate{{EndpointRef: ep.Ref, Of: of.Message.ID}}
	f.same(what+": duplicates", a.Message.Duplicates, want)
	m, err := f.Message(f.ctx, f.app.Ref, string(a.Message.ID), false)
	f.ok(err)
	f.same(what+": duplicates read", m.Duplicates, want)
	f.same(what+": matched read", m.Matched, a.Message.Matched)
	if _, delivered := f.state(m.Ref, ep); delivered {
		f.Errorf("%s: there is a delivery", what)
	}
}

func testUnique(t *testing.T, f *fixture) {
	ep, other, plain := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "other"), f.newEndpoint(f.app, "plain")
	first := once(f.message("t", ep), "a")
	both := once(f.message("t", ep, other, plain), "a")
	both.Unique = both.Unique[:2] // the third has no such rule
	different := once(f.message("t", ep), "b")
	f.ok(f.Accept(f.ctx, []*store.Acceptance{first, both, different})) // earlier ones in the slice count
	f.same("the first", first.Message.Duplicates, []hark.Duplicate(nil))
	f.keptFrom("in the same call", both, ep, first)
	f.same("the others get it", both.Message.Matched, []hark.Ref{other.Ref, plain.Ref})
	f.same("what was made of it", len(both.Deliveries), 2)
	f.same("queues", []int{len(f.queue(ep)), len(f.queue(other)), len(f.queue(plain))}, []int{2, 1, 1})

	f.reopen()
	later := once(f.message("t", ep, other), "a")
	f.ok(f.Accept(f.ctx, []*store.Acceptance{later}))
	f.same("of each endpoint its own", later.Message.Duplicates,
		[]hark.Duplicate{{EndpointRef: ep.Ref, Of: first.Message.ID}, {EndpointRef: other.Ref, Of: both.Message.ID}})
	f.same("matched none", later.Message.Matched, []hark.Ref(nil))
	states, err := f.DeliveryStates(f.ctx, later.Message.Ref, []hark.Ref{ep.Ref, other.Ref})
	f.ok(err)
	f.same("states", len(states), 0)

	// Whoever asks for it gets it all the same, and what is asked for takes no key.
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{{EndpointRef: ep.Ref, ApplicationRef: f.app.Ref, MessageRef: later.Message.Ref, Due: f.tick().UnixMilli(), Trigger: hark.Manual}}))
	if _, delivered := f.state(later.Message.Ref, ep); !delivered {
		t.Error("a resend was kept back")
	}
	missing, _, err := f.Missing(f.ctx, f.app.Ref, other.Ref, start, start.Add(time.Hour), 0, 100)
	f.ok(err)
	f.same("what a replay would send", missing, []hark.Ref{first.Message.Ref, different.Message.Ref, later.Message.Ref})

	// What is not accepted holds nobody back.
	refused := once(f.message("t", ep), "c")
	refused.ConfigVersion = 1 << 40
	after := once(f.message("t", ep), "c")
	f.ok(f.Accept(f.ctx, []*store.Acceptance{refused, after}))
	f.same("refused", refused.Outcome, store.Stale)
	f.same("after it", after.Message.Duplicates, []hark.Duplicate(nil))

	// A delivery that failed for good holds back as well; one whose time has passed does not.
	f.try(after.Deliveries[0], 500, 0)
	soon := once(f.message("t", ep), "c")
	soon.Message.CreatedAt = after.Message.CreatedAt.Add(time.Hour - time.Millisecond)
	late := once(f.message("t", ep), "c")
	late.Message.CreatedAt = after.Message.CreatedAt.Add(time.Hour)
	late.Unique[0].ExpiresAt = late.Message.CreatedAt.Add(time.Hour)
	last := once(f.message("t", ep), "c")
	last.Message.CreatedAt = late.Message.CreatedAt.Add(time.Minute)
	f.ok(f.Accept(f.ctx, []*store.Acceptance{soon, late, last}))
	f.keptFrom("just within the window", soon, ep, after)
	f.same("just outside", late.Message.Duplicates, []hark.Duplicate(nil))
	f.keptFrom("in the next window", last, ep, late)

	// A repeated request is not a message, so it is no duplicate either.
	keyed := once(f.message("t", ep), "d")
	keyed.Key = &store.IdempotencyKey{Hash: key("k"), Fingerprint: key("body"), ExpiresAt: start.Add(time.Hour)}
	repeat := once(f.message("t", ep), "d")
	repeat.Key = keyed.Key
	event := once(f.message("t", ep), "e")
	event.Message.EventID = "ev"
	again := once(f.message("t", ep), "e")
	again.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{keyed, repeat, event, again}))
	f.same("keyed", keyed.Message.Duplicates, []hark.Duplicate(nil))
	f.same("repeat", repeat.Outcome, store.Repeated)
	f.same("again", again.Outcome, store.DuplicateEvent)
}

// testUniqueConcurrently: of many equal messages at once, one is delivered.
func testUniqueConcurrently(t *testing.T, f *fixture) {
	f.Store = f.open(t, t.TempDir())
	f.env = f.newEnvironment()
	f.app = f.newApplication(f.env, "app")
	ep, plain := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "plain")
	var mu sync.Mutex
	told := make(map[hark.Ref]int)
	f.OnQueued(func(ds []hark.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			told[d.EndpointRef]++
		}
	})
	all := make([]*store.Acceptance, 64)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = once(f.message("t", ep, plain), fmt.Sprint(i%4))
		all[i].Unique = all[i].Unique[:1]
		wg.Go(func() {
			if err := f.Accept(f.ctx, all[i:i+1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f.same("queued", []int{len(f.queue(ep)), len(f.queue(plain))}, []int{4, 64})
	mu.Lock()
	f.same("told", []int{told[ep.Ref], told[plain.Ref]}, []int{4, 64})
	mu.Unlock()
	made := make(map[int]hark.MessageID)
	for i, a := range all {
		if len(a.Message.Duplicates) == 0 {
			made[i%4] = a.Message.ID
		}
	}
	for i, a := range all {
		if a.Message.ID != made[i%4] && (len(a.Message.Duplicates) != 1 || a.Message.Duplicates[0].Of != made[i%4]) {
			t.Fatalf("duplicates %v, want one of %s", a.Message.Duplicates, made[i%4])
		}
	}
}
