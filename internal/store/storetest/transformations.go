package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// transform changes an endpoint's transformation.
func (f *fixture) transform(ep hark.Endpoint, change func(*hark.Transformation)) hark.Endpoint {
	f.Helper()
	changed, err := f.UpdateEndpoint(f.ctx, ep.ApplicationRef, string(ep.ID), func(e *hark.Endpoint) error {
		change(&e.Transformation)
		e.Transformation.UpdatedAt = f.tick()
		return nil
	})
	f.ok(err)
	return changed
}

func (f *fixture) versions(ep hark.Endpoint) (numbers []int) {
	f.Helper()
	all, err := f.TransformationVersions(f.ctx, ep.Ref)
	f.ok(err)
	for _, v := range all {
		numbers = append(numbers, v.Number)
		if v.Code != "" {
			f.Errorf("version %d is listed with its code", v.Number)
		}
	}
	return numbers
}

// testVersionsConcurrently: of changes at once each is a version, and none is lost.
func testVersionsConcurrently(_ *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	const writers, each = 4, 5
	failed := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				_, err := f.UpdateEndpoint(f.ctx, f.app.Ref, "e", func(e *hark.Endpoint) error {
					e.Transformation.Code = fmt.Sprint(w, n)
					return nil
				})
				failed[w] = errors.Join(failed[w], err)
			}
		})
	}
	all.Wait()
	f.ok(errors.Join(failed...))
	codes := map[string]bool{}
	numbers := f.versions(ep)
	for _, n := range numbers {
		v, err := f.TransformationVersion(f.ctx, ep.Ref, n)
		f.ok(err)
		codes[v.Code] = true
	}
	f.same("versions and codes", []int{len(numbers), numbers[0], len(codes)}, []int{writers * each, writers * each, writers * each})
}

func testTransformations(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	f.same("a new endpoint's", ep.Transformation, hark.Transformation{})
	before := f.version()

	changed := f.transform(ep, func(t *hark.Transformation) {
		t.Code, t.Enabled, t.Variables = "first", true, map[string]string{"TOKEN": "hidden", "größe": "<&>"}
	})
	want := hark.Transformation{Code: "first", Enabled: true, Variables: map[string]string{"TOKEN": "hidden", "größe": "<&>"}, Version: 1, UpdatedAt: f.now}
	f.same("saved", changed.Transformation, want)
	f.same("the application's version", f.version(), before+1)
	again := f.transform(ep, func(t *hark.Transformation) { t.Enabled, t.Variables, t.Version = false, nil, 99 })
	f.same("the same code is the same version", again.Transformation, hark.Transformation{Code: "first", Version: 1, UpdatedAt: f.now})
	f.transform(ep, func(t *hark.Transformation) { t.Code = "second" })
	second := f.now
	f.transform(ep, func(t *hark.Transformation) { t.Code = "" })
	back := f.transform(ep, func(t *hark.Transformation) { t.Code, t.Variables = "first", map[string]string{} })
	f.same("code of long ago is a new version", back.Transformation, hark.Transformation{Code: "first", Version: 3, Variables: map[string]string{}, UpdatedAt: f.now})
	f.same("versions", f.versions(ep), []int{3, 2, 1})
	_, err := f.UpdateEndpoint(f.ctx, f.app.Ref, "e", func(e *hark.Endpoint) error { e.Transformation.Code = "never"; return errAbort })
	f.same("aborted", err, errAbort)

	f.reopen()
	v, err := f.TransformationVersion(f.ctx, ep.Ref, 2)
	f.ok(err)
	f.same("a version", v, hark.TransformationVersion{Number: 2, Hash: hark.HashCode("second"), Code: "second", CreatedAt: second})
	for _, number := range []int{0, 4} {
		_, err = f.TransformationVersion(f.ctx, ep.Ref, number)
		f.wantCode(err, hark.NotFound, fmt.Sprint("version ", number))
	}
	if sealing, ok := f.Store.(interface {
		Reseal(context.Context) (int, error)
	}); ok {
		f.transform(ep, func(t *hark.Transformation) { t.Variables = maps.Clone(want.Variables) })
		_, err := sealing.Reseal(f.ctx)
		f.ok(err)
	}
	all, err := f.AllEndpoints(f.ctx, f.app.Ref)
	f.ok(err)
	f.same("read again", all[0].Transformation.Variables, want.Variables)

	ready, err := f.InsertEndpoint(f.ctx, hark.Endpoint{ID: hark.NewEndpointID(f.tick()), ApplicationRef: f.app.Ref, URL: "https://example.com/",
		Transformation: hark.Transformation{Code: "ready", UpdatedAt: f.now}, CreatedAt: f.now, UpdatedAt: f.now})
	f.ok(err)
	f.same("made with one", f.versions(ready), []int{1})
	for i := range hark.MaxTransformationVersions + 2 {
		f.transform(ready, func(t *hark.Transformation) { t.Code = fmt.Sprint("code ", i) })
	}
	kept := f.versions(ready)
	f.same("kept", []int{len(kept), kept[0], kept[len(kept)-1]}, []int{hark.MaxTransformationVersions, 103, 4})
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, string(ready.ID), f.tick()))
	f.same("of a deleted endpoint", f.versions(ready), []int(nil))
	f.ok(f.DeleteApplication(f.ctx, f.env, "app", f.tick()))
	f.same("of a deleted application", f.versions(ep), []int(nil))
}

// execution makes an execution for an endpoint.
func (f *fixture) execution(ep hark.Endpoint, outcome hark.ExecutionOutcome) hark.Execution {
	at := f.tick()
	x := hark.Execution{EndpointRef: ep.Ref, AttemptID: hark.NewAttemptID(at), MessageID: hark.NewMessageID(at), Version: 2,
		StartedAt: at, Duration: 1234 * time.Microsecond, Outcome: outcome}
	switch outcome {
	case hark.ExecutionFailed:
		x.Error, x.LogCut = "it threw \ufffd", true
	case hark.ExecutionDone:
		x.Log = []hark.LogLine{{Level: "warn", Text: "null \x00 <ü>"}, {Level: "info", Text: ""}}
	}
	return x
}

func testExecutions(t *testing.T, f *fixture) {
	ep, other := f.newEndpoint(f.app, "e"), f.newEndpoint(f.app, "other")
	list := func(page store.Page) []hark.Execution {
		t.Helper()
		all, err := f.ListExecutions(f.ctx, ep.Ref, page)
		f.ok(err)
		return all
	}
	f.same("none", list(store.Page{Limit: 10}), []hark.Execution(nil))
	some := []hark.Execution{f.execution(ep, hark.ExecutionDone), f.execution(ep, hark.ExecutionFailed), f.execution(ep, hark.ExecutionCanceled)}
	f.ok(f.LogExecutions(f.ctx, append(slices.Clone(some), f.execution(other, hark.ExecutionFailed))))
	f.ok(f.LogExecutions(f.ctx, some[:1])) // again: nothing
	f.reopen()
	slices.Reverse(some)
	f.same("newest first", list(store.Page{Limit: 10}), some)
	f.same("a page", list(store.Page{Limit: 1, From: string(some[0].AttemptID)}), some[1:2])
	f.same("a page backwards", list(store.Page{Limit: 1, From: string(some[2].AttemptID), Backward: true}), some[1:2])

	var many []hark.Execution
	for range hark.MaxExecutions + 5 {
		many = append(many, f.execution(ep, hark.ExecutionCanceled))
	}
	f.ok(f.LogExecutions(f.ctx, many))
	kept := list(store.Page{Limit: 1000})
	f.same("kept", []any{len(kept), kept[len(kept)-1].AttemptID}, []any{hark.MaxExecutions, many[5].AttemptID})
	reclaim := func(now time.Time) {
		t.Helper()
		for more := true; more; {
			var err error
			more, err = f.Reclaim(f.ctx, now, 50)
			f.ok(err)
		}
	}
	reclaim(many[5].StartedAt.Add(hark.ExecutionLife))
	f.same("the oldest goes", len(list(store.Page{Limit: 1000})), hark.MaxExecutions-1)
	reclaim(f.now.Add(hark.ExecutionLife))
	f.same("all are old", len(list(store.Page{Limit: 1000})), 0)
}

// testCanceledAttempts: an attempt that a transformation canceled ends its delivery, and is no failure.
func testCanceledAttempts(t *testing.T, f *fixture) {
	ep := f.newEndpoint(f.app, "e")
	cancel := func(d hark.Delivery) {
		t.Helper()
		s := f.attempt(d, 0, 0)
		s.Attempt.Status, s.Attempt.URL, s.OwnURL, s.Attempt.Error = hark.Canceled, "https://example.com/own/1", true, "not wanted"
		f.ok(f.Settle(f.ctx, []store.Settlement{s}))
	}
	a := f.accept("t", ep)
	cancel(a.Deliveries[0])
	f.reopen()
	status, _ := f.state(a.Message.Ref, ep)
	f.same("state", status, hark.Canceled)
	attempts, err := f.AttemptsByEndpoint(f.ctx, ep.Ref, store.AttemptFilter{}, store.Page{Limit: 10})
	f.ok(err)
	f.same("the attempt", []any{len(attempts), attempts[0].Status, attempts[0].URL}, []any{1, hark.Canceled, "https://example.com/own/1"})
	canceled := hark.Canceled
	messages, err := f.AttemptedMessages(f.ctx, ep.Ref, store.AttemptFilter{Status: &canceled}, false, store.Page{Limit: 10})
	f.ok(err)
	f.same("found by state", len(messages), 1)
	stats, err := f.AttemptStats(f.ctx, ep.Ref, start, f.now.Add(time.Second))
	f.ok(err)
	f.same("counted", stats, store.AttemptStats{Canceled: 1})
	_, failing, err := f.FailingSince(f.ctx, ep.Ref, start)
	f.ok(err)
	f.same("failing", failing, false)
	f.try(f.accept("t", ep).Deliveries[0], 500, 0)
	failed := f.now
	cancel(f.accept("t", ep).Deliveries[0])
	since, failing, err := f.FailingSince(f.ctx, ep.Ref, start)
	f.ok(err)
	f.same("failing since", []any{since, failing}, []any{failed, true})

	late := f.accept("t", ep)
	cancel(f.try(late.Deliveries[0], 503, time.Minute))
	status, _ = f.state(late.Message.Ref, ep)
	f.same("canceled when it was tried again", status, hark.Canceled)
}
