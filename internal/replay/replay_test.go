package replay_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// rig is a real store with one application, and an engine that only remembers what is queued.
type rig struct {
	store *sqlite.Store
	dir   *directory.Directory
	env   hark.Environment
	app   hark.Application

	mu     sync.Mutex
	queued []hark.Delivery
}

func newRig(t *testing.T) *rig {
	t.Helper()
	// A bubble's clock begins in the year 2000, before the first moment that an id can say.
	time.Sleep(time.Until(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)))
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &rig{store: s, dir: directory.New(s, directory.Options{})}
	s.OnQueued(func(rows []hark.Delivery) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.queued = append(r.queued, rows...)
	})
	now := time.Now()
	r.env = hark.Environment{ID: hark.NewEnvironmentID(now), Name: "live", CreatedAt: now}
	if err := s.InsertEnvironment(t.Context(), r.env); err != nil {
		t.Fatal(err)
	}
	r.app, err = s.InsertApplication(t.Context(), hark.Application{ID: hark.NewApplicationID(now), EnvironmentID: r.env.ID, Name: "acme", CreatedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) endpoint(t *testing.T, ordering hark.Ordering) hark.Endpoint {
	t.Helper()
	return r.insert(t, hark.Endpoint{ID: hark.NewEndpointID(time.Now()), Ordering: ordering})
}

func (r *rig) insert(t *testing.T, ep hark.Endpoint) hark.Endpoint {
	t.Helper()
	ep.ApplicationRef, ep.CreatedAt = r.app.Ref, time.Now()
	if !ep.ID.IsPulled() {
		ep.URL = "http://example.com/"
	}
	ep, err := r.store.InsertEndpoint(t.Context(), ep)
	if err != nil {
		t.Fatal(err)
	}
	r.dir.Forget(r.app.Ref)
	return ep
}

// compiled is the endpoint as the directory has it.
func (r *rig) compiled(t *testing.T, ep hark.Endpoint) *directory.Endpoint {
	t.Helper()
	app, err := r.dir.Application(t.Context(), r.env.ID, string(r.app.ID))
	if err != nil {
		t.Fatal(err)
	}
	return app.Endpoint(ep.Ref)
}

// messages accepts n messages, which are queued for the given endpoints.
func (r *rig) messages(t *testing.T, n int, endpoints ...hark.Endpoint) []hark.Message {
	t.Helper()
	var all []*store.Acceptance
	for range n {
		now := time.Now()
		a := &store.Acceptance{EnvironmentID: r.env.ID, Message: hark.Message{
			ID: hark.NewMessageID(now), ApplicationRef: r.app.Ref, EventType: "a.b", Payload: []byte(`{"k":"v"}`), CreatedAt: now}}
		for _, ep := range endpoints {
			a.Deliveries = append(a.Deliveries, hark.Delivery{EndpointRef: ep.Ref, ApplicationRef: r.app.Ref, Due: now.UnixMilli()})
			a.Message.Matched = append(a.Message.Matched, ep.Ref)
		}
		all = append(all, a)
	}
	if err := r.store.Accept(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	messages := make([]hark.Message, n)
	for i, a := range all {
		messages[i] = a.Message
	}
	return messages
}

// drain settles what is queued, and answers how many rows that were.
func (r *rig) drain(t *testing.T, status hark.AttemptStatus) int {
	t.Helper()
	r.mu.Lock()
	rows := r.queued
	r.queued = nil
	r.mu.Unlock()
	var all []store.Settlement
	for _, d := range rows {
		now := time.Now()
		all = append(all, store.Settlement{Delivery: d, Attempt: &hark.Attempt{
			ID: hark.NewAttemptID(now), ApplicationRef: d.ApplicationRef, MessageRef: d.MessageRef, EndpointRef: d.EndpointRef,
			URL: "http://example.com/", Number: 1, Status: status, StartedAt: now}})
	}
	if err := r.store.Settle(context.WithoutCancel(t.Context()), all); err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

// run runs a Replayer until the test ends or stop is called.
func (r *rig) run(t *testing.T) (replayer *replay.Replayer, stop func()) {
	t.Helper()
	replayer = replay.New(replay.Options{Store: r.store, Directory: r.dir, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := replayer.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return replayer, stop
}

func (r *rig) start(t *testing.T, replayer *replay.Replayer, kind string, job replay.Job) hark.TaskID {
	t.Helper()
	job.ApplicationID = r.app.ID
	task, err := replayer.Start(t.Context(), r.env.ID, kind, job, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return task.ID
}

// wait waits until a task has ended; meanwhile it does step.
func (r *rig) wait(t *testing.T, id hark.TaskID, step func()) (hark.Task, replay.Job) {
	t.Helper()
	for range 12_000 { // a minute
		task, err := r.store.Task(t.Context(), r.env.ID, id)
		if err != nil {
			t.Fatal(err)
		}
		if task.Status != replay.Running {
			var job replay.Job
			if err := json.Unmarshal(task.Data, &job); err != nil {
				t.Fatal(err)
			}
			return task, job
		}
		step()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the task does not end")
	return hark.Task{}, replay.Job{}
}

func TestReplays_SendWhatTheyAreFor(t *testing.T) {
	for _, c := range []struct {
		kind string
		want int
	}{{replay.Recover, 70}, {replay.Missing, 100}, {replay.Bulk, 80}} {
		t.Run(c.kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				since := time.Now().Add(-time.Second)
				ep := r.endpoint(t, "/k")
				r.messages(t, 70, ep)
				r.drain(t, hark.Failed)
				r.messages(t, 10, ep)
				r.drain(t, hark.Succeeded)
				missing := r.messages(t, 101)
				if err := r.store.ExpungePayload(t.Context(), r.app.Ref, string(missing[3].ID)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				replayer, stop := r.run(t)
				job := replay.Job{Since: since, Until: time.Now()}
				for types, want := range map[string]int{"": c.want, "a.b": c.want, "c.d": 0} {
					if job.EventTypes = nil; types != "" {
						job.EventTypes = []string{types}
					}
					if n, complete, err := replayer.Count(t.Context(), r.app.Ref, r.compiled(t, ep), c.kind, job); n != want || !complete || err != nil {
						t.Errorf("counted %d of %q, %v, %v, want %d", n, types, complete, err, want)
					}
				}
				sent := 0
				id := r.start(t, replayer, c.kind, replay.Job{EndpointID: ep.ID, Since: since, Until: time.Now()})
				task, done := r.wait(t, id, func() {
					r.mu.Lock()
					for _, d := range r.queued {
						if d.Trigger != hark.Scheduled || d.Attempts != 0 || d.Line == 0 {
							t.Errorf("queued %+v", d)
						}
					}
					r.mu.Unlock()
					sent += r.drain(t, hark.Succeeded)
				})
				sent += r.drain(t, hark.Succeeded)
				if task.Status != replay.Finished || sent != c.want || done.Sent == nil || *done.Sent != c.want || done.Cursor != 0 {
					t.Errorf("%s: sent %d, want %d: %s", task.Status, sent, c.want, task.Data)
				}
				stop()
			})
		})
	}
}

func TestReplay_IsNarrowedByTypeChannelAndTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Second)
		r.messages(t, 5)
		time.Sleep(time.Second)
		ep := r.endpoint(t, hark.Unordered)
		replayer, stop := r.run(t)
		for _, job := range []replay.Job{{EventTypes: []string{"c.d"}}, {Channel: "x"}, {Tag: "x"}} {
			job.EndpointID, job.Since, job.Until = ep.ID, since, time.Now()
			id := r.start(t, replayer, replay.Missing, job)
			if _, done := r.wait(t, id, func() {}); *done.Sent != 0 {
				t.Errorf("%+v sent %d", job, *done.Sent)
			}
		}
		stop()
	})
}

func TestReplay_WhatIsMissingIsWhatTheRulesMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Second)
		r.messages(t, 7)
		time.Sleep(time.Second)
		now := time.Now()
		replayer, stop := r.run(t)
		for _, c := range []struct {
			name string
			ep   hark.Endpoint
			want int
		}{
			{"another event type", hark.Endpoint{ID: hark.NewEndpointID(now), EventTypes: []string{"c.d"}}, 0},
			{"a channel", hark.Endpoint{ID: hark.NewEndpointID(now), Channels: []string{"x"}}, 0},
			{"another payload", hark.Endpoint{ID: hark.NewEndpointID(now), Filter: []byte(`{"k":"w"}`)}, 0},
			{"this type and payload", hark.Endpoint{ID: hark.NewEndpointID(now), EventTypes: []string{"a.b"}, Filter: []byte(`{"k":"v"}`)}, 7},
			{"a consumer of another type", hark.Endpoint{ID: hark.NewConsumerID(now), EventTypes: []string{"c.d"}}, 0},
			{"a consumer of this type", hark.Endpoint{ID: hark.NewConsumerID(now), EventTypes: []string{"a.b"}}, 7},
		} {
			ep := r.insert(t, c.ep)
			job := replay.Job{EndpointID: ep.ID, Since: since, Until: now}
			if n, _, err := replayer.Count(t.Context(), r.app.Ref, r.compiled(t, ep), replay.Missing, job); n != c.want || err != nil {
				t.Errorf("%s: counted %d, %v, want %d", c.name, n, err, c.want)
			}
			id := r.start(t, replayer, replay.Missing, job)
			if _, done := r.wait(t, id, func() { r.drain(t, hark.Succeeded) }); *done.Sent != c.want {
				t.Errorf("%s: sent %d, want %d", c.name, *done.Sent, c.want)
			}
			r.drain(t, hark.Succeeded)
		}
		stop()
	})
}

func TestReplay_NeverRunsFarAheadOfItsEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Second)
		r.messages(t, 500)
		time.Sleep(time.Second)
		ep := r.endpoint(t, hark.Unordered)
		replayer, stop := r.run(t)
		id := r.start(t, replayer, replay.Missing, replay.Job{EndpointID: ep.ID, Since: since, Until: time.Now()})
		time.Sleep(time.Minute) // the endpoint takes nothing
		r.mu.Lock()
		ahead := len(r.queued)
		r.mu.Unlock()
		if ahead == 0 || ahead > 100 {
			t.Errorf("%d queued while the endpoint takes nothing", ahead)
		}
		if _, job := r.wait(t, id, func() { r.drain(t, hark.Succeeded) }); *job.Sent != 500 {
			t.Errorf("sent %d in the end", *job.Sent)
		}
		stop()
	})
}

func TestReplay_GetsThroughToABusyEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Second)
		r.messages(t, 100)
		time.Sleep(time.Second)
		until := time.Now()
		ep := r.endpoint(t, hark.Unordered)
		r.messages(t, 50, ep)
		replayer, stop := r.run(t)
		id := r.start(t, replayer, replay.Missing, replay.Job{EndpointID: ep.ID, Since: since, Until: until})
		for range 60 { // fifty are always waiting, never the same
			time.Sleep(time.Second)
			r.mu.Lock()
			old := r.queued
			r.queued = nil
			r.mu.Unlock()
			r.messages(t, 50, ep)
			r.mu.Lock()
			fresh := r.queued
			r.queued = old
			r.mu.Unlock()
			r.drain(t, hark.Succeeded)
			r.mu.Lock()
			r.queued = append(r.queued, fresh...)
			r.mu.Unlock()
		}
		if task, _ := r.wait(t, id, func() {}); task.Status != replay.Finished {
			t.Errorf("%s", task.Data)
		}
		stop()
	})
}

func TestStart_BoundsTheTasksOfOneApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		replayer, stop := r.run(t)
		r.messages(t, 200)
		time.Sleep(time.Second)
		ep := r.endpoint(t, hark.Unordered) // takes nothing
		job := replay.Job{ApplicationID: r.app.ID, EndpointID: ep.ID, Since: time.Now().Add(-time.Minute), Until: time.Now()}
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			_, err = replayer.Start(t.Context(), r.env.ID, replay.Missing, job, time.Now())
		}
		if hark.CodeOf(err) != hark.LimitReached || n != 11 {
			t.Errorf("after %d: %v", n, err)
		}
		stop()
	})
}

func TestReplay_GoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Second)
		messages := r.messages(t, 300)
		time.Sleep(time.Second)
		ep := r.endpoint(t, hark.Unordered)
		replayer, stop := r.run(t)
		id := r.start(t, replayer, replay.Missing, replay.Job{EndpointID: ep.ID, Since: since, Until: time.Now()})
		time.Sleep(time.Second)
		stop()
		sent := r.drain(t, hark.Succeeded)
		if sent == 0 || sent == len(messages) {
			t.Fatalf("%d sent before the restart", sent)
		}
		_, stop = r.run(t)
		_, job := r.wait(t, id, func() { sent += r.drain(t, hark.Succeeded) })
		sent += r.drain(t, hark.Succeeded)
		if diff := cmp.Diff([2]int{300, 300}, [2]int{sent, *job.Sent}); diff != "" {
			t.Error(diff)
		}
		stop()
	})
}

func TestReplay_FailsWhenItsEndpointIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.messages(t, 300)
		time.Sleep(time.Second)
		ep := r.endpoint(t, hark.Unordered)
		replayer, stop := r.run(t)
		id := r.start(t, replayer, replay.Missing, replay.Job{EndpointID: ep.ID, Since: time.Now().Add(-time.Minute), Until: time.Now()})
		time.Sleep(time.Second)
		if err := r.store.DeleteEndpoint(t.Context(), r.app.Ref, string(ep.ID), time.Now()); err != nil {
			t.Fatal(err)
		}
		r.dir.Forget(r.app.Ref)
		task, job := r.wait(t, id, func() {})
		if task.Status != replay.Failed || job.Error == "" || *job.Sent == 0 {
			t.Errorf("%s: %s", task.Status, task.Data)
		}
		stop()
	})
}

func TestPurge_DeletesEveryPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		messages := r.messages(t, 600)
		replayer, stop := r.run(t)
		task, job := r.wait(t, r.start(t, replayer, replay.Purge, replay.Job{}), func() {})
		if task.Status != replay.Finished || job.Purged == nil || *job.Purged != 600 || job.Sent != nil {
			t.Errorf("%s: %s", task.Status, task.Data)
		}
		m, err := r.store.Message(t.Context(), r.app.Ref, string(messages[599].ID), true)
		if err != nil || !m.Expunged {
			t.Errorf("%+v, %v", m, err)
		}
		stop()
	})
}
