package storetest

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func testAnswers(t *testing.T, f *fixture) {
	answer := store.Answer{Key: store.IdempotencyKey{Hash: key("a"), Fingerprint: key("b"), ExpiresAt: start.Add(time.Hour)},
		Status: 201, Header: []byte("h"), Body: []byte("first")}
	_, err := f.Recall(f.ctx, key("a"), start)
	f.wantCode(err, hark.NotFound, "before")
	f.ok(f.Remember(f.ctx, answer, start))
	second := answer
	second.Body, second.Key.ExpiresAt = []byte("second"), start.Add(3*time.Hour)
	f.ok(f.Remember(f.ctx, second, start.Add(time.Minute)))
	got, err := f.Recall(f.ctx, key("a"), start.Add(time.Minute))
	f.ok(err)
	f.same("the first stays", got, answer)
	_, err = f.Recall(f.ctx, key("a"), start.Add(time.Hour))
	f.wantCode(err, hark.NotFound, "expired")
	f.ok(f.Remember(f.ctx, second, start.Add(2*time.Hour)))
	got, err = f.Recall(f.ctx, key("a"), start.Add(2*time.Hour))
	f.ok(err)
	f.same("after it expired", got, second)
}

func testReservations(t *testing.T, f *fixture) {
	reserve := func(text string, until, now time.Duration) bool {
		t.Helper()
		ok, err := f.Reserve(f.ctx, store.IdempotencyKey{Hash: key(text), Fingerprint: key("b"), ExpiresAt: start.Add(until)}, start.Add(now))
		f.ok(err)
		return ok
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if reserve("a", time.Minute, 0) {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	f.same("of eight at once", won.Load(), int32(1))
	got, err := f.Recall(f.ctx, key("a"), start)
	f.ok(err)
	f.same("what stands meanwhile", got.Status, 0)
	f.same("after it expired", reserve("a", 2*time.Minute, time.Minute), true)
	f.ok(f.Release(f.ctx, key("a")))
	f.same("after it was released", reserve("a", 2*time.Minute, time.Minute), true)
	answer := store.Answer{Key: store.IdempotencyKey{Hash: key("a"), Fingerprint: key("b"), ExpiresAt: start.Add(time.Hour)},
		Status: 201, Header: []byte("h"), Body: []byte("first")}
	f.ok(f.Remember(f.ctx, answer, start.Add(time.Minute)))
	f.same("an answer stands", reserve("a", 2*time.Hour, 2*time.Minute), false)
	f.ok(f.Release(f.ctx, key("a")))
	got, err = f.Recall(f.ctx, key("a"), start.Add(2*time.Minute))
	f.ok(err)
	f.same("an answer is not released", got, answer)
}

// reclaimAll runs retention until nothing is left to do.
func (f *fixture) reclaimAll(now time.Time, limit int) {
	f.Helper()
	for range 1000 {
		more, err := f.Reclaim(f.ctx, now, limit)
		f.ok(err)
		if !more {
			return
		}
	}
	f.Fatal("retention does not end")
}

func testReclaim(t *testing.T, f *fixture) {
	_, err := f.UpdateEnvironment(f.ctx, f.env, func(e *hark.Environment) error { e.Retention = 24 * time.Hour; return nil })
	f.ok(err)
	ep := f.newEndpoint(f.app, "e")
	old := f.message("t", ep)
	old.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{old}))
	f.try(old.Deliveries[0], 200, 0)
	for range 20 {
		f.try(f.accept("t", ep).Deliveries[0], 200, 0)
	}
	f.env = f.newEnvironment()
	foreign := f.newApplication(f.env, "foreign")
	kept := f.message("t")
	kept.Message.ApplicationRef = foreign.Ref
	f.ok(f.Accept(f.ctx, []*store.Acceptance{kept}))
	brief := f.message("t")
	brief.Message.ApplicationRef, brief.Message.PayloadExpiresAt = foreign.Ref, start.Add(5*time.Hour)
	f.ok(f.Accept(f.ctx, []*store.Acceptance{brief}))

	f.reclaimAll(start.Add(4*time.Hour), 3)
	m, err := f.Message(f.ctx, foreign.Ref, string(brief.Message.ID), true)
	f.ok(err)
	if m.Expunged || m.Payload == nil {
		t.Errorf("before it expires: %+v", m)
	}
	f.reclaimAll(start.Add(6*time.Hour), 3)
	m, err = f.Message(f.ctx, foreign.Ref, string(brief.Message.ID), true)
	f.ok(err)
	if !m.Expunged || m.Payload != nil {
		t.Errorf("after its payload expired: %+v", m)
	}
	list := func(app hark.Application) int {
		all, err := f.ListMessages(f.ctx, app.Ref, store.MessageFilter{}, store.Page{Limit: 100})
		f.ok(err)
		return len(all)
	}
	f.same("before retention", list(f.app), 21)
	more, err := f.Reclaim(f.ctx, start.Add(25*time.Hour), 5)
	f.ok(err)
	if !more || list(f.app) != 16 {
		t.Errorf("one bounded piece: more %v, %d left", more, list(f.app))
	}
	f.reclaimAll(start.Add(25*time.Hour), 5)
	f.same("after retention", list(f.app), 0)
	f.same("of the environment that keeps longer", list(foreign), 2)
	attempts, err := f.AttemptsByEndpoint(f.ctx, ep.Ref, store.AttemptFilter{}, store.Page{Limit: 10})
	f.ok(err)
	f.same("attempts", len(attempts), 0)
	again := f.message("t", ep)
	again.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{again}))
	f.same("the event id is free", again.Outcome, store.Accepted)
	f.reclaimAll(start.Add(hark.DefaultRetention+time.Hour), 100)
	f.same("after the default retention", list(foreign), 0)
	wrong, err := f.Check(f.ctx)
	f.ok(err)
	f.same("check", len(wrong), 0)

	// Refs do not come back, even when the newest message went and the store was opened again.
	f.try(again.Deliveries[0], 200, 0)
	f.reclaimAll(start.Add(2*hark.DefaultRetention), 100)
	f.reopen()
	if next := f.message("t"); true {
		f.ok(f.Accept(f.ctx, []*store.Acceptance{next}))
		if next.Message.Ref <= again.Message.Ref {
			t.Errorf("ref %d came after %d", next.Message.Ref, again.Message.Ref)
		}
	}
}

func testReclaimKeepsQueued(t *testing.T, f *fixture) {
	a, b := f.newEndpoint(f.app, "a"), f.newEndpoint(f.app, "b")
	done, pending, retrying, put, resent := f.accept("t", a), f.accept("t", a, b), f.accept("t", a), f.accept("t", a), f.accept("t", a)
	f.try(done.Deliveries[0], 200, 0)
	f.try(pending.Deliveries[0], 200, 0) // b is left
	f.try(retrying.Deliveries[0], 500, 3*hark.DefaultRetention)
	later := put.Deliveries[0]
	later.Due += int64(time.Hour / time.Millisecond)
	f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: put.Deliveries[0], Retry: &later}}))
	f.try(resent.Deliveries[0], 200, 0)
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{{EndpointRef: b.Ref, ApplicationRef: f.app.Ref, MessageRef: resent.Message.Ref, Due: 5, Trigger: hark.Manual}}))
	f.reclaimAll(start.Add(2*hark.DefaultRetention), 100)
	all, err := f.MessagesByRef(f.ctx, []hark.Ref{done.Message.Ref, pending.Message.Ref, retrying.Message.Ref, put.Message.Ref, resent.Message.Ref})
	f.ok(err)
	f.same("kept", len(all), 4)
	// When the endpoints go, the queue goes, and then the messages.
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "a", f.tick()))
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "b", f.tick()))
	for range 500 {
		f.reclaimAll(start.Add(2*hark.DefaultRetention), 100)
		if all, err = f.MessagesByRef(f.ctx, []hark.Ref{pending.Message.Ref, retrying.Message.Ref, put.Message.Ref, resent.Message.Ref}); err != nil || len(all) == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	f.ok(err)
	f.same("after the endpoints went", len(all), 0)
}

func testReopen(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	m := f.message("t", ep)
	m.Message.EventID = "ev"
	f.ok(f.Accept(f.ctx, []*store.Acceptance{m}))
	d := f.try(m.Deliveries[0], 500, time.Hour)
	f.reopen()
	got, err := f.Message(f.ctx, f.app.Ref, "ev", true)
	f.ok(err)
	f.same("message", got, m.Message)
	f.same("queue", f.queue(ep), []hark.Delivery{d})
	next := f.accept("t", ep)
	if next.Message.Ref <= m.Message.Ref {
		t.Errorf("ref %d came after %d", next.Message.Ref, m.Message.Ref)
	}
	f.ok(f.Close())
	if err := f.Accept(f.ctx, []*store.Acceptance{f.message("t")}); err == nil {
		t.Error("accepted after Close")
	}
	if _, err := f.ListEnvironments(f.ctx); err == nil {
		t.Error("read after Close")
	}
}

func testUpkeep(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	m := f.accept("t", ep)
	f.ok(f.Ping(f.ctx))
	wrong, err := f.Check(f.ctx)
	f.ok(err)
	f.same("check", len(wrong), 0)
	stats, err := f.Stats(f.ctx)
	f.ok(err)
	if stats.Commits == 0 || stats.Bytes == 0 || stats.Waiting != 0 {
		t.Errorf("stats: %+v", stats)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "hark.db")
	err = f.Backup(f.ctx, path)
	if hark.CodeOf(err) == hark.NotImplemented {
		return // the database has tools of its own for that
	}
	f.ok(err)
	if err := f.Backup(f.ctx, path); err == nil {
		t.Error("a backup overwrote a file")
	}
	f.accept("t", ep)
	copied := f.open(t, dir)
	got, err := copied.Message(f.ctx, f.app.Ref, string(m.Message.ID), true)
	f.ok(err)
	f.same("in the copy", got, m.Message)
}

func testChangesInParallel(t *testing.T, f *fixture) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			_, err := f.UpdateApplication(f.ctx, f.env, "app", func(a *hark.Application) error {
				a.ThrottleRate++
				if i%4 == 0 {
					return errAbort
				}
				return nil
			})
			if i%4 == 0 != errors.Is(err, errAbort) {
				t.Errorf("change %d: %v", i, err)
			}
		})
		wg.Go(func() {
			if err := f.Accept(f.ctx, []*store.Acceptance{f.message("t")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	app, err := f.ApplicationByRef(f.ctx, f.app.Ref)
	f.ok(err)
	f.same("changes that were kept", app.ThrottleRate, 24)
	list, err := f.ListMessages(f.ctx, f.app.Ref, store.MessageFilter{}, store.Page{Limit: 100})
	f.ok(err)
	f.same("messages", len(list), 32)

	_, err = f.UpdateApplication(f.ctx, f.env, "app", func(*hark.Application) error { panic("a bug") })
	if err == nil {
		t.Error("a panic passed as success")
	}
	f.accept("t")
}
