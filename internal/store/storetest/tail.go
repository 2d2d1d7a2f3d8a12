package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// everything is a scope of all in the environment.
func (f *fixture) everything() store.TailScope {
	return store.TailScope{EnvironmentID: f.env, Messages: true, Attempts: true, Requests: true}
}

// next is what a tail answers, as ids.
func (f *fixture) next(tail store.Tail, limit int) (ids []string, skipped int) {
	f.Helper()
	entries, skipped, err := tail.Next(f.ctx, f.clock(), limit)
	f.ok(err)
	for _, e := range entries {
		switch {
		case e.Message != nil:
			ids = append(ids, string(e.Message.ID))
		case e.Attempt != nil:
			ids = append(ids, string(e.Attempt.ID))
		default:
			ids = append(ids, string(e.Request.ID))
		}
	}
	return ids, skipped
}

func testTail(t *testing.T, f *fixture) {
	ep, src := f.newEndpoint(f.app, "e"), f.newSource(f.app, "s")
	old := f.accept("t", ep)
	f.try(old.Deliveries[0], 500, time.Minute)
	f.now = f.now.Add(time.Second) // so that the attempt has ended
	begun := f.now

	tail := f.OpenTail(f.everything(), time.Time{})
	ids, skipped := f.next(tail, 10)
	f.same("what was before", ids, []string(nil))
	f.same("skipped", skipped, 0)

	m := f.accept("t", ep)
	s := f.attempt(m.Deliveries[0], 200, 0)
	f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	rejected := f.request(src, hark.RequestRejected)
	f.ok(f.InsertRequests(f.ctx, []hark.Request{rejected}))
	in := f.receive(src, nil)
	entries, skipped, err := tail.Next(f.ctx, f.tick(), 10)
	f.ok(err)
	var got []store.TailEntry
	for _, e := range entries {
		if e.Attempt != nil { // what the store adds to it
			e.Attempt.EventType, e.Attempt.MessageID, e.Attempt.EndpointID = "", "", ""
		}
		got = append(got, e)
	}
	message, attempt, accepted := m.Message, *s.Attempt, *in.Request
	message.Payload, attempt.Response, attempt.ResponseHeader = nil, nil, nil
	rejected.Head, rejected.Body, accepted.MessageID = nil, nil, in.Message.ID
	inbound := in.Message
	inbound.Payload, inbound.RawBody, inbound.Head = nil, nil, nil
	want := []store.TailEntry{
		{At: message.CreatedAt, ApplicationRef: f.app.Ref, Message: &message},
		{At: attempt.StartedAt.Add(attempt.Duration), ApplicationRef: f.app.Ref, Attempt: &attempt},
		{At: rejected.ReceivedAt, ApplicationRef: f.app.Ref, Request: &rejected},
		{At: inbound.CreatedAt, ApplicationRef: f.app.Ref, Message: &inbound},
		{At: accepted.ReceivedAt, ApplicationRef: f.app.Ref, Request: &accepted},
	}
	slices.SortStableFunc(want, func(a, b store.TailEntry) int { return a.At.Compare(b.At) })
	f.same("what happened", got, want)
	f.same("skipped", skipped, 0)
	ids, _ = f.next(tail, 10)
	f.same("once", ids, []string(nil))

	// From a time in the past.
	ids, _ = f.next(f.OpenTail(f.everything(), begun), 10)
	f.same("since the tail was opened", len(ids), 5)
	ids, _ = f.next(f.OpenTail(f.everything(), start.Add(-24*time.Hour)), 10)
	f.same("all", len(ids), 7)
	f.same("the oldest first", ids[0], string(old.Message.ID))
	ids, skipped = f.next(f.OpenTail(f.everything(), start), 2)
	f.same("the newest", ids[1], string(inbound.ID))
	f.same("skipped", skipped, 5)

	// What was committed late, behind what has begun after it.
	late := f.attempt(old.Deliveries[0], 500, 0)
	for range 3 {
		f.accept("t")
	}
	late.Delivery.Attempts, late.Delivery.Due = 1, begun.UnixMilli()
	f.next(tail, 10)
	f.ok(f.Settle(f.ctx, []store.Settlement{late}))
	ids, _ = f.next(tail, 10)
	f.same("late", ids, []string{string(late.Attempt.ID)})

	// One that took as long as it may.
	slow := f.attempt(old.Deliveries[0], 500, 0)
	f.now = f.now.Add(hark.MaxTimeout + time.Second)
	for range 3 {
		f.next(tail, 10)
		f.now = f.now.Add(4 * time.Second)
	}
	f.ok(f.Settle(f.ctx, []store.Settlement{slow}))
	var all []string
	for range 4 {
		ids, _ = f.next(tail, 10)
		all = append(all, ids...)
		f.now = f.now.Add(3 * time.Second)
	}
	f.same("slow", all, []string{string(slow.Attempt.ID)})
}

func testTailFilters(t *testing.T, f *fixture) {
	ep, src := f.newEndpoint(f.app, "e"), f.newSource(f.app, "s")
	other := f.newApplication(f.env, "other")
	theirs := f.newSource(other, "theirs")
	foreign := f.newApplication(f.newEnvironment(), "foreign")
	a, b := f.accept("a.a", ep), f.accept("b.b", ep)
	good, bad := f.attempt(a.Deliveries[0], 200, 0), f.attempt(b.Deliveries[0], 500, 0)
	c := f.accept("c.c", ep)
	unwanted := f.attempt(c.Deliveries[0], 200, 0) // by the endpoint's transformation
	unwanted.Attempt.Status = hark.Canceled
	f.ok(f.Settle(f.ctx, []store.Settlement{good, bad, unwanted}))
	rejected, elsewhere := f.request(src, hark.RequestRejected), f.request(theirs, hark.RequestDuplicate)
	f.ok(f.InsertRequests(f.ctx, []hark.Request{rejected, elsewhere}))
	apart := f.message("a.a")
	apart.EnvironmentID, apart.Message.ApplicationRef = foreign.EnvironmentID, foreign.Ref
	f.ok(f.Accept(f.ctx, []*store.Acceptance{apart}))

	m := func(a *store.Acceptance) string { return string(a.Message.ID) }
	for name, test := range map[string]struct {
		narrow func(*store.TailScope)
		want   []string
	}{
		"all of two types": {func(s *store.TailScope) { s.EventTypes = []string{"a.a", "b.b", "a.b"} }, []string{m(a), m(b), string(good.Attempt.ID), string(bad.Attempt.ID), string(rejected.ID), string(elsewhere.ID)}},
		"messages":         {func(s *store.TailScope) { s.Attempts, s.Requests = false, false }, []string{m(a), m(b), m(c)}},
		"an application":   {func(s *store.TailScope) { s.ApplicationRef = other.Ref }, []string{string(elsewhere.ID)}},
		"a source":         {func(s *store.TailScope) { s.Messages, s.Attempts, s.SourceRef = false, false, src.Ref }, []string{string(rejected.ID)}},
		"a type":           {func(s *store.TailScope) { s.EventTypes, s.Requests = []string{"b.b", "no"}, false }, []string{m(b), string(bad.Attempt.ID)}},
		"requests of a type": {func(s *store.TailScope) {
			s.EventTypes, s.Messages, s.Attempts = []string{"a.b"}, false, false
		}, []string{string(rejected.ID), string(elsewhere.ID)}},
		"failed":              {func(s *store.TailScope) { s.Failed, s.Messages = true, false }, []string{string(bad.Attempt.ID), string(rejected.ID)}},
		"another environment": {func(s *store.TailScope) { s.EnvironmentID = foreign.EnvironmentID }, []string{m(apart)}},
		"another's application": {func(s *store.TailScope) {
			s.EnvironmentID, s.ApplicationRef = foreign.EnvironmentID, f.app.Ref
		}, nil},
		"another's source": {func(s *store.TailScope) {
			s.EnvironmentID, s.Messages, s.Attempts, s.SourceRef = foreign.EnvironmentID, false, false, src.Ref
		}, nil},
	} {
		scope := f.everything()
		test.narrow(&scope)
		ids, _ := f.next(f.OpenTail(scope, start), 100)
		slices.Sort(ids)
		slices.Sort(test.want)
		f.same(name, ids, test.want)
	}
}

// Many write at once, and a tail that looks all the time sees every message and attempt once.
func testTailIsComplete(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	tail := f.OpenTail(f.everything(), start)
	const writers, each = 8, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				m := f.message(fmt.Sprintf("w%d", w), ep)
				if err := f.Accept(f.ctx, []*store.Acceptance{m}); err != nil {
					t.Error(err)
					return
				}
				if err := f.Settle(f.ctx, []store.Settlement{f.attempt(m.Deliveries[0], 200, 0)}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen := map[string]int{}
	for ended := false; ; {
		ids, skipped := f.next(tail, 10_000)
		if skipped != 0 {
			t.Errorf("%d skipped", skipped)
		}
		for _, id := range ids {
			seen[id]++
		}
		if ended {
			break
		}
		select {
		case <-done:
			ended = true // one more look, as far back as they go now and then
			f.now = f.now.Add(10 * time.Second)
		default:
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	f.same("seen", len(seen), 2*writers*each)
}
