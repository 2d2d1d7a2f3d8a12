package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// newConsumer adds an endpoint that is pulled.
func (f *fixture) newConsumer(app hark.Application, uid string) hark.Endpoint {
	f.Helper()
	at := f.tick()
	ep, err := f.InsertEndpoint(f.ctx, hark.Endpoint{ID: hark.NewConsumerID(at), ApplicationRef: app.Ref, UID: uid, CreatedAt: at, UpdatedAt: at})
	f.ok(err)
	return ep
}

// fed is the settlement that feeds a consumer.
func (f *fixture) fed(d hark.Delivery) store.Settlement {
	return store.Settlement{Delivery: d, FedAt: f.tick()}
}

// feed reads a consumer's feed: the messages by number. It fails where the numbers have holes.
func (f *fixture) feed(consumer hark.Endpoint, after int64) (ids []hark.MessageID) {
	f.Helper()
	for {
		some, err := f.ReadFeed(f.ctx, consumer.Ref, after, 7)
		f.ok(err)
		if len(some) == 0 {
			return ids
		}
		for _, e := range some {
			if after++; e.Seq != after {
				f.Fatalf("number %d, want %d", e.Seq, after)
			}
			ids = append(ids, e.Message.ID)
		}
	}
}

func (f *fixture) feedEnds(consumer hark.Endpoint) [2]int64 {
	f.Helper()
	first, last, err := f.FeedEnds(f.ctx, consumer.Ref)
	f.ok(err)
	return [2]int64{first, last}
}

func testConsumers(t *testing.T, f *fixture) {
	ep, a, b := f.newEndpoint(f.app, "push"), f.newConsumer(f.app, "a"), f.newConsumer(f.app, "b")
	list := func(list []hark.Endpoint, err error) (uids []string) {
		f.ok(err)
		for _, ep := range list {
			uids = append(uids, ep.UID)
		}
		return uids
	}
	page := store.Page{Limit: 10}
	f.same("endpoints", list(f.ListEndpoints(f.ctx, f.app.Ref, page)), []string{"push"})
	f.same("consumers", list(f.ListConsumers(f.ctx, f.app.Ref, page)), []string{"a", "b"})
	f.same("downwards", list(f.ListConsumers(f.ctx, f.app.Ref, store.Page{Limit: 1, Descending: true})), []string{"b"})
	f.same("behind one", list(f.ListConsumers(f.ctx, f.app.Ref, store.Page{Limit: 5, From: string(a.ID)})), []string{"b"})
	f.same("all", list(f.AllEndpoints(f.ctx, f.app.Ref)), []string{"push", "a", "b"})
	if !b.ID.IsPulled() || ep.ID.IsPulled() {
		t.Error("which of them is pulled?")
	}
}

func testFeed(t *testing.T, f *fixture) {
	a, b := f.newConsumer(f.app, "a"), f.newConsumer(f.app, "b")
	var told [][]hark.Ref
	var mu sync.Mutex
	f.reopen()
	f.OnFed(func(refs []hark.Ref) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, slices.Clone(refs))
	})
	f.same("ends of an empty feed", f.feedEnds(a), [2]int64{1, 0})

	var want []hark.MessageID
	var batch []store.Settlement
	for range 25 {
		m := f.accept("t", a, b)
		want = append(want, m.Message.ID)
		batch = append(batch, f.fed(m.Deliveries[0]))
	}
	f.ok(f.Settle(f.ctx, batch))
	f.same("told", told, [][]hark.Ref{{a.Ref}})
	f.same("queue", len(f.queue(a)), 0)
	f.same("feed", f.feed(a, 0), want)
	f.same("behind a number", f.feed(a, 20), want[20:])
	f.same("the other's", len(f.feed(b, 0)), 0)
	f.same("ends", f.feedEnds(a), [2]int64{1, 25})
	lasts, err := f.FeedLasts(f.ctx, []hark.Ref{a.Ref, b.Ref})
	f.ok(err)
	f.same("lasts", []int64{lasts[a.Ref], lasts[b.Ref]}, []int64{25, 0})
	entries, err := f.ReadFeed(f.ctx, a.Ref, 0, 1)
	f.ok(err)
	f.same("payload", string(entries[0].Message.Payload), `{"n":1}`)

	// Twice is once, also when it comes with others.
	more := f.accept("t", a)
	f.ok(f.Settle(f.ctx, append(slices.Clone(batch), f.fed(more.Deliveries[0]), f.fed(more.Deliveries[0]))))
	want = append(want, more.Message.ID)
	f.same("settled again", f.feed(a, 0), want)

	// It counts as delivered, and not as missing.
	st, ok := f.state(more.Message.Ref, a)
	if !ok || st != hark.Succeeded {
		t.Errorf("state %v, %v", st, ok)
	}
	if _, ok = f.state(more.Message.Ref, b); ok {
		t.Error("the other consumer was fed")
	}
	missing, _, err := f.Missing(f.ctx, f.app.Ref, a.Ref, time.Time{}, time.Time{}, 0, 100)
	f.ok(err)
	f.same("missing", len(missing), 0)

	// A replay queues it again: it gets another number.
	again := hark.Delivery{EndpointRef: a.Ref, ApplicationRef: f.app.Ref, MessageRef: more.Message.Ref, Due: f.tick().UnixMilli()}
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{again}))
	f.ok(f.Settle(f.ctx, []store.Settlement{f.fed(again)}))
	f.same("fed again", f.feed(a, 25), []hark.MessageID{more.Message.ID, more.Message.ID})
	entries, err = f.ReadFeed(f.ctx, a.Ref, 25, 5)
	f.ok(err)
	f.same("same message", entries[0].Message, entries[1].Message)

	f.reopen()
	m := f.accept("t", a)
	f.ok(f.Settle(f.ctx, []store.Settlement{f.fed(m.Deliveries[0])}))
	f.same("after opening again", f.feed(a, 27), []hark.MessageID{m.Message.ID})
	wrong, err := f.Check(f.ctx)
	f.ok(err)
	f.same("check", wrong, []string(nil))
}

// testToldAttempts: what a reader tells of its own server's answers.
func testToldAttempts(t *testing.T, f *fixture) {
	a := f.newConsumer(f.app, "a")
	m := f.accept("t", a)
	f.ok(f.Settle(f.ctx, []store.Settlement{f.fed(m.Deliveries[0])}))
	tell := func(code int) {
		told := f.attempt(m.Deliveries[0], code, 0)
		told.Delivery = hark.Delivery{EndpointRef: a.Ref, ApplicationRef: f.app.Ref, MessageRef: m.Message.Ref}
		told.Succeeded, told.Told = false, true
		f.ok(f.Settle(f.ctx, []store.Settlement{told}))
	}
	tell(500)
	if st, ok := f.state(m.Message.Ref, a); !ok || st != hark.Failed {
		t.Errorf("after a 500: %v, %v", st, ok)
	}
	tell(200)
	if st, ok := f.state(m.Message.Ref, a); !ok || st != hark.Succeeded {
		t.Errorf("after a 200: %v, %v", st, ok)
	}
	all, err := f.AttemptsByMessage(f.ctx, m.Message.Ref, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 5})
	f.ok(err)
	f.same("attempts", len(all), 2)
	f.same("its consumer", all[0].EndpointID, a.ID)
	by, err := f.AttemptsByEndpoint(f.ctx, a.Ref, store.AttemptFilter{WithResponse: true}, store.Page{Limit: 5})
	f.ok(err)
	f.same("attempts by consumer", by, all)
	f.same("the feed", f.feed(a, 0), []hark.MessageID{m.Message.ID})
	// A row that waits for the same consumer stays.
	again := hark.Delivery{EndpointRef: a.Ref, ApplicationRef: f.app.Ref, MessageRef: m.Message.Ref, Due: f.tick().UnixMilli()}
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{again}))
	tell(200)
	f.same("queue", len(f.queue(a)), 1)
}

func testFeedConcurrently(t *testing.T, f *fixture) {
	a, b := f.newConsumer(f.app, "a"), f.newConsumer(f.app, "b")
	const writers, each = 8, 40
	var all sync.WaitGroup
	fail := make(chan error, 2*writers)
	for range writers {
		all.Go(func() {
			for range each {
				m := f.message("t", a, b)
				if err := f.Accept(f.ctx, []*store.Acceptance{m}); err != nil {
					fail <- err
					return
				}
				if err := f.Settle(f.ctx, []store.Settlement{f.fed(m.Deliveries[1]), f.fed(m.Deliveries[0])}); err != nil {
					fail <- err
					return
				}
			}
		})
	}
	// A reader that goes on behind what it has seen misses nothing, whatever is being committed.
	var seen []hark.MessageID
	for after := int64(0); after < writers*each; {
		some, err := f.ReadFeed(f.ctx, a.Ref, after, 50)
		f.ok(err)
		for _, e := range some {
			if after++; e.Seq != after {
				t.Fatalf("number %d, want %d", e.Seq, after)
			}
			seen = append(seen, e.Message.ID)
		}
		select {
		case err := <-fail:
			t.Fatal(err)
		default:
		}
	}
	all.Wait()
	f.same("read while it grew", seen, f.feed(a, 0))
	sorted := cmpopts.SortSlices(func(a, b hark.MessageID) bool { return a < b })
	if diff := cmp.Diff(f.feed(a, 0), f.feed(b, 0), sorted); diff != "" {
		t.Error(diff)
	}
	slices.Sort(seen)
	f.same("each once", len(slices.Compact(seen)), writers*each)
}

func testCursors(t *testing.T, f *fixture) {
	a := f.newConsumer(f.app, "a")
	_, err := f.Cursor(f.ctx, a.Ref, "g")
	f.wantCode(err, hark.NotFound, "no place yet")
	at := func(group string) int64 {
		seq, err := f.Cursor(f.ctx, a.Ref, group)
		f.ok(err)
		return seq
	}
	f.ok(f.MoveCursor(f.ctx, a.Ref, "g", 5, f.tick()))
	f.ok(f.MoveCursor(f.ctx, a.Ref, "other", 9, f.tick()))
	f.ok(f.MoveCursor(f.ctx, a.Ref, "g", 3, f.tick()))
	f.same("never back", at("g"), int64(5))
	f.ok(f.SeekCursor(f.ctx, a.Ref, "g", 3, f.tick()))
	f.same("but by seeking", at("g"), int64(3))
	f.reopen()
	f.same("after opening again", []int64{at("g"), at("other")}, []int64{3, 9})

	// By time.
	var times []time.Time
	for range 20 {
		m := f.accept("t", a)
		s := f.fed(m.Deliveries[0])
		times = append(times, s.FedAt)
		f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	}
	for i, moment := range times {
		for _, off := range []time.Duration{-time.Millisecond, 0} {
			seq, err := f.FeedAt(f.ctx, a.Ref, moment.Add(off))
			f.ok(err)
			f.same("place by time", seq, int64(i))
		}
	}
	seq, err := f.FeedAt(f.ctx, a.Ref, f.tick())
	f.ok(err)
	f.same("place behind all", seq, int64(20))
}

func testReclaimFeeds(t *testing.T, f *fixture) {
	a, gone := f.newConsumer(f.app, "a"), f.newConsumer(f.app, "gone")
	feed := func(n int) {
		for range n {
			m := f.accept("t", a, gone)
			f.ok(f.Settle(f.ctx, []store.Settlement{f.fed(m.Deliveries[0]), f.fed(m.Deliveries[1])}))
		}
	}
	feed(5)
	f.now = f.now.Add(60 * 24 * time.Hour)
	feed(3)
	f.ok(f.MoveCursor(f.ctx, gone.Ref, "g", 5, f.tick()))
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "gone", f.tick()))
	reclaim := func(limit int) {
		for more := true; more; {
			var err error
			more, err = f.Reclaim(f.ctx, f.now, limit)
			f.ok(err)
		}
	}
	f.now = f.now.Add(40 * 24 * time.Hour)
	reclaim(2)
	f.same("ends", f.feedEnds(a), [2]int64{6, 8})
	f.same("what is kept", len(f.feed(a, 5)), 3)
	f.same("of a deleted one", f.feedEnds(gone), [2]int64{1, 0})
	_, err := f.Cursor(f.ctx, gone.Ref, "g")
	f.wantCode(err, hark.NotFound, "a deleted consumer's cursor")
	f.now = f.now.Add(100 * 24 * time.Hour)
	reclaim(100)
	f.same("everything expired", f.feedEnds(a), [2]int64{9, 8})
	m := f.accept("t", a)
	f.ok(f.Settle(f.ctx, []store.Settlement{f.fed(m.Deliveries[0])}))
	f.same("the numbers go on", f.feed(a, 8), []hark.MessageID{m.Message.ID})
	f.ok(f.ExpungePayload(f.ctx, f.app.Ref, string(m.Message.ID)))
	entries, err := f.ReadFeed(f.ctx, a.Ref, 0, 5)
	f.ok(err)
	if len(entries) != 1 || !entries[0].Message.Expunged {
		t.Errorf("without its payload: %+v", entries)
	}
}
