package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func ptr[T any](v T) *T { return &v }

func testAttempts(t *testing.T, f *fixture) {
	ep, other := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "other")
	var ids []string
	var times []time.Time
	var last *store.Acceptance
	codes := []int{200, 500, 404, 201, 0, 503, 200, 202}
	for i, code := range codes {
		m := f.message([]string{"a", "b"}[i%2], ep, other)
		if i%2 == 0 {
			m.Message.Channels, m.Message.Tags = []string{"even"}, []string{"tag"}
		}
		f.ok(f.Accept(f.ctx, []*store.Acceptance{m}))
		s := f.attempt(m.Deliveries[0], code, time.Duration(i%2)*time.Hour)
		f.ok(f.Settle(f.ctx, []store.Settlement{s}))
		f.try(m.Deliveries[1], 200, 0)
		ids, times, last = append(ids, string(s.Attempt.ID)), append(times, s.Attempt.StartedAt), m
		got, err := f.Attempt(f.ctx, f.app.Ref, m.Message.Ref, s.Attempt.ID)
		f.ok(err)
		want := *s.Attempt
		want.MessageID, want.EndpointID, want.EventType = m.Message.ID, ep.ID, m.Message.EventType
		f.same("attempt", got, want)
	}
	pickIDs := func(is ...int) (some []string) {
		for _, i := range slices.Backward(is) {
			some = append(some, ids[i])
		}
		return some
	}
	id := func(a hark.Attempt) string { return string(a.ID) }
	for _, c := range []struct {
		name   string
		filter store.AttemptFilter
		want   []string
	}{
		{"all", store.AttemptFilter{}, pickIDs(0, 1, 2, 3, 4, 5, 6, 7)},
		{"succeeded", store.AttemptFilter{Status: ptr(hark.Succeeded)}, pickIDs(0, 3, 6, 7)},
		{"failed", store.AttemptFilter{Status: ptr(hark.Failed)}, pickIDs(2, 4)},
		{"sending", store.AttemptFilter{Status: ptr(hark.Sending)}, pickIDs(1, 5)},
		{"class 500", store.AttemptFilter{StatusCodeClass: ptr(500)}, pickIDs(1, 5)},
		{"no response", store.AttemptFilter{StatusCodeClass: ptr(0)}, pickIDs(4)},
		{"type", store.AttemptFilter{EventTypes: []string{"b", "x"}}, pickIDs(1, 3, 5, 7)},
		{"channel", store.AttemptFilter{Channel: "even"}, pickIDs(0, 2, 4, 6)},
		{"tag and status", store.AttemptFilter{Tag: "tag", Status: ptr(hark.Failed)}, pickIDs(2, 4)},
		{"after", store.AttemptFilter{After: times[4]}, pickIDs(5, 6, 7)},
		{"before", store.AttemptFilter{Before: times[3]}, pickIDs(0, 1, 2)},
	} {
		for _, size := range []int{2, 50} {
			pages(f, c.name, size, false, c.want, id, func(p store.Page) ([]hark.Attempt, error) {
				return f.AttemptsByEndpoint(f.ctx, ep.Ref, c.filter, p)
			})
		}
	}
	of := func(filter store.AttemptFilter) []hark.Attempt {
		all, err := f.AttemptsByMessage(f.ctx, last.Message.Ref, filter, store.Page{Limit: 10})
		f.ok(err)
		return all
	}
	f.same("by message", len(of(store.AttemptFilter{})), 2)
	f.same("by message and endpoint", len(of(store.AttemptFilter{EndpointRef: ep.Ref})), 1)
	if a := of(store.AttemptFilter{})[0]; a.Response != nil || a.ResponseHeader != nil || a.EndpointID != other.ID {
		t.Errorf("newest, without response: %+v", a)
	}
	oldest, err := f.AttemptsByEndpoint(f.ctx, ep.Ref, store.AttemptFilter{OldestFirst: true}, store.Page{Limit: 2})
	f.ok(err)
	f.same("oldest", []string{id(oldest[0]), id(oldest[1])}, pickIDs(0, 1))

	f.ok(f.ExpungeResponse(f.ctx, f.app.Ref, last.Message.Ref, hark.AttemptID(ids[7])))
	expunged := of(store.AttemptFilter{EndpointRef: ep.Ref, WithResponse: true})[0]
	f.same("expunged", string(expunged.Response), "EXPUNGED")
	f.same("its header", len(expunged.ResponseHeader), 0)

	stats, err := f.AttemptStats(f.ctx, ep.Ref, times[1], times[7])
	f.ok(err)
	f.same("stats", stats, store.AttemptStats{Succeeded: 2, Failed: 2, Sending: 2})
}

// A list is walked while attempts come: newer ones, and older ones, because an attempt has its id from when
// it began and is kept when it ended. Whatever comes, none is shown twice, and none of those that were there
// is left out, however many began in one millisecond.
func testAttemptsWhileTheyCome(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	d := f.accept("t", ep).Deliveries[0]
	began := f.clock()
	keep := func(at time.Time, n int) (ids []string) {
		some := make([]store.Settlement, n)
		for i := range some {
			some[i] = f.attempt(d, 200, 0)
			some[i].Attempt.ID, some[i].Attempt.StartedAt = hark.NewAttemptID(at), at
			ids = append(ids, string(some[i].Attempt.ID))
		}
		f.ok(f.Settle(f.ctx, some))
		return ids
	}
	var there []string
	for i := range 5 {
		there = append(there, keep(began.Add(time.Duration(i)*time.Millisecond), 9)...)
	}
	succeeded := hark.Succeeded
	for _, backward := range []bool{false, true} {
		page := store.Page{Limit: 4, Backward: backward}
		if backward {
			page.From = string(hark.NewAttemptID(began.Add(-time.Hour)))
		}
		times := make(map[string]int)
		for more := true; more; {
			some, err := f.AttemptsByEndpoint(f.ctx, ep.Ref, store.AttemptFilter{Status: &succeeded}, page)
			f.ok(err)
			for i := range some {
				times[string(some[i].ID)]++
			}
			if more = len(some) == page.Limit && len(times) < 500; !more {
				break
			}
			edge := some[len(some)-1]
			if backward {
				edge = some[0]
			}
			page.From = string(edge.ID)
			for _, ms := range []time.Duration{-1, 0, 1} { // on both sides of the border, and at it
				if len(times) < 100 {
					keep(edge.StartedAt.Add(ms*time.Millisecond), 1)
				}
			}
		}
		for id, n := range times {
			if n != 1 {
				t.Errorf("backward %v: %s is shown %d times", backward, id, n)
			}
		}
		for _, id := range there {
			if times[id] == 0 {
				t.Errorf("backward %v: %s, which was there, is not shown", backward, id)
			}
		}
	}
}

func testAttemptedLists(t *testing.T, f *fixture) {
	a, b := f.newEndpoint(f.app, "a"), f.newEndpoint(f.app, "b")
	var ids []string
	var all []*store.Acceptance
	for i := range 6 {
		m := f.accept("t", a, b)
		all = append(all, m)
		ids = append(ids, string(m.Message.ID))
		d := f.try(m.Deliveries[0], 500, time.Hour)
		if i%2 == 0 {
			f.try(d, 200, 0)
		}
	}
	f.accept("t", a)
	f.try(all[0].Deliveries[1], 404, 0)
	newest := slices.Clone(ids)
	slices.Reverse(newest)
	id := func(m store.EndpointMessage) string { return string(m.Message.ID) }
	list := func(filter store.AttemptFilter) func(store.Page) ([]store.EndpointMessage, error) {
		return func(p store.Page) ([]store.EndpointMessage, error) {
			return f.AttemptedMessages(f.ctx, a.Ref, filter, true, p)
		}
	}
	for _, size := range []int{2, 50} {
		pages(f, "attempted", size, false, newest, id, list(store.AttemptFilter{}))
		pages(f, "attempted, sending", size, false, []string{ids[5], ids[3], ids[1]}, id, list(store.AttemptFilter{Status: ptr(hark.Sending)}))
		pages(f, "attempted, succeeded", size, false, []string{ids[4], ids[2], ids[0]}, id, list(store.AttemptFilter{Status: ptr(hark.Succeeded)}))
		pages(f, "attempted, of another type", size, false, nil, id, list(store.AttemptFilter{EventTypes: []string{"x"}}))
	}
	one, err := f.AttemptedMessages(f.ctx, a.Ref, store.AttemptFilter{}, true, store.Page{Limit: 1})
	f.ok(err)
	if string(one[0].Message.Payload) != `{"n":1}` || one[0].Status != hark.Sending || one[0].NextAttempt.IsZero() {
		t.Errorf("newest: %+v", one[0])
	}
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "b", f.tick()))
	pages(f, "endpoints of a message", 1, false, []string{string(a.ID), string(b.ID)}, func(m store.MessageEndpoint) string { return string(m.Endpoint.ID) },
		func(p store.Page) ([]store.MessageEndpoint, error) {
			return f.AttemptedEndpoints(f.ctx, all[0].Message.Ref, p)
		})
	eps, err := f.AttemptedEndpoints(f.ctx, all[0].Message.Ref, store.Page{Limit: 9})
	f.ok(err)
	if eps[0].Status != hark.Succeeded || eps[1].Status != hark.Failed {
		t.Errorf("states: %v, %v", eps[0].Status, eps[1].Status)
	}
}

func testFailingSince(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	check := func(what string, floor, want time.Time) {
		t.Helper()
		since, ok, err := f.FailingSince(f.ctx, ep.Ref, floor)
		f.ok(err)
		if !since.Equal(want) || ok != !want.IsZero() {
			t.Errorf("%s: %v, %v; want %v", what, since, ok, want)
		}
	}
	check("no attempt", start, time.Time{})
	f.try(f.accept("t", ep).Deliveries[0], 500, 0)
	all := f.now
	check("failed from the beginning", start, all)
	f.try(f.accept("t", ep).Deliveries[0], 200, 0)
	check("just succeeded", start, time.Time{})
	f.try(f.accept("t", ep).Deliveries[0], 500, 0)
	first := f.now
	f.try(f.accept("t", ep).Deliveries[0], 500, time.Hour)
	second := f.now
	check("failed twice", start, first)
	check("looking back less far", second, second)
	check("looking back not at all", second.Add(time.Hour), time.Time{})
}

func testReplays(t *testing.T, f *fixture) {
	ep, late := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "late")
	var all []*store.Acceptance
	for i := range 10 {
		m := f.accept("t", ep)
		all = append(all, m)
		switch i % 5 {
		case 0:
			f.try(m.Deliveries[0], 500, 0) // failed
		case 1:
			f.try(m.Deliveries[0], 500, time.Hour) // sending
		case 2:
			f.try(m.Deliveries[0], 200, 0) // succeeded
		case 3:
			f.ok(f.Settle(f.ctx, []store.Settlement{{Delivery: f.try(m.Deliveries[0], 500, time.Hour)}})) // canceled
		case 4: // pending
		}
	}
	f.newApplication(f.env, "other")
	walk := func(page func(after hark.Ref) ([]hark.Ref, hark.Ref, error)) (got []int) {
		for after, calls := hark.Ref(0), 0; calls == 0 || after != 0; calls++ {
			refs, next, err := page(after)
			f.ok(err)
			for _, ref := range refs {
				got = append(got, slices.IndexFunc(all, func(a *store.Acceptance) bool { return a.Message.Ref == ref }))
			}
			if after = next; calls > 20 {
				t.Fatal("no end")
			}
		}
		return got
	}
	since, until := all[0].Message.CreatedAt, all[9].Message.CreatedAt.Add(time.Millisecond)
	for _, limit := range []int{1, 3, 100} {
		f.same("failed", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Failed(f.ctx, ep.Ref, since, until, after, limit)
		}), []int{0, 3, 5, 8})
		f.same("failed in a span", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Failed(f.ctx, ep.Ref, all[3].Message.CreatedAt, all[8].Message.CreatedAt, after, limit)
		}), []int{3, 5})
		f.same("missing", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Missing(f.ctx, f.app.Ref, late.Ref, all[7].Message.CreatedAt, until, after, limit)
		}), []int{7, 8, 9})
		f.same("missing nothing", len(walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Missing(f.ctx, f.app.Ref, ep.Ref, since, until, after, limit)
		})), 0)
		f.same("attempted", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Attempted(f.ctx, ep.Ref, store.AttemptFilter{}, after, limit)
		}), []int{0, 1, 2, 3, 5, 6, 7, 8})
		f.same("attempted, succeeded", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
			return f.Attempted(f.ctx, ep.Ref, store.AttemptFilter{Status: ptr(hark.Succeeded)}, after, limit)
		}), []int{2, 7})
	}
	f.ok(f.Enqueue(f.ctx, []hark.Delivery{{EndpointRef: late.Ref, ApplicationRef: f.app.Ref, MessageRef: all[8].Message.Ref, Due: 1}}))
	f.same("missing, but queued", walk(func(after hark.Ref) ([]hark.Ref, hark.Ref, error) {
		return f.Missing(f.ctx, f.app.Ref, late.Ref, all[7].Message.CreatedAt, until, after, 10)
	}), []int{7, 9})
}
