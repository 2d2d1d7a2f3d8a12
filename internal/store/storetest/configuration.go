package storetest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func testEnvironments(t *testing.T, f *fixture) {
	at := f.tick()
	env := hark.Environment{ID: hark.NewEnvironmentID(at), Name: "test", CreatedAt: at, Retention: time.Hour}
	f.ok(f.InsertEnvironment(f.ctx, env))
	f.wantCode(f.InsertEnvironment(f.ctx, env), hark.Conflict, "insert twice")
	namesake := env
	namesake.ID = hark.NewEnvironmentID(f.tick())
	f.wantCode(f.InsertEnvironment(f.ctx, namesake), hark.Conflict, "insert another with its name")
	got, err := f.Environment(f.ctx, env.ID)
	f.ok(err)
	f.same("environment", got, env)

	got, err = f.UpdateEnvironment(f.ctx, env.ID, func(e *hark.Environment) error { e.Retention = 2 * time.Hour; return nil })
	f.ok(err)
	env.Retention = 2 * time.Hour
	f.same("updated", got, env)
	if _, err := f.UpdateEnvironment(f.ctx, env.ID, func(e *hark.Environment) error { e.Name = "lost"; return errAbort }); err != errAbort {
		t.Errorf("abort: %v", err)
	}
	all, err := f.ListEnvironments(f.ctx)
	f.ok(err)
	if len(all) != 2 || all[0].ID != f.env || all[1].Name != "test" {
		t.Errorf("list: %+v", all)
	}
	_, err = f.Environment(f.ctx, "org_unknown")
	f.wantCode(err, hark.NotFound, "unknown")
}

func testApplications(t *testing.T, f *fixture) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 123_456_789, time.FixedZone("", 3600))
	given := hark.Application{ID: hark.NewApplicationID(at), EnvironmentID: f.env, UID: "customer-1", Name: "Customer", ThrottleRate: 7,
		Metadata: map[string]string{"tier": "gold"}, CreatedAt: at, UpdatedAt: at}
	app, err := f.InsertApplication(f.ctx, given)
	f.ok(err)
	want := given
	want.Ref, want.Version = app.Ref, app.Version
	want.CreatedAt = at.Truncate(time.Millisecond).UTC()
	want.UpdatedAt = want.CreatedAt
	f.same("inserted", app, want)
	for _, name := range []string{string(app.ID), "customer-1"} {
		got, err := f.Application(f.ctx, f.env, name)
		f.ok(err)
		f.same("by "+name, got, want)
	}
	got, err := f.ApplicationByRef(f.ctx, app.Ref)
	f.ok(err)
	f.same("by ref", got, want)

	given.ID = hark.NewApplicationID(f.tick())
	_, err = f.InsertApplication(f.ctx, given)
	f.wantCode(err, hark.Conflict, "uid taken")
	if e, ok := err.(*hark.Error); ok && e.Existing != string(app.ID) {
		t.Errorf("existing %q, want %q", e.Existing, app.ID)
	}
	_, err = f.UpdateApplication(f.ctx, f.env, "app", func(a *hark.Application) error { a.UID = "customer-1"; return nil })
	f.wantCode(err, hark.Conflict, "update to a taken uid")
	want.TokensNotBefore = at.Add(time.Hour).Truncate(time.Millisecond).UTC()
	got, err = f.UpdateApplication(f.ctx, f.env, "customer-1", func(a *hark.Application) error { a.TokensNotBefore = want.TokensNotBefore; return nil })
	f.ok(err)
	want.Version = got.Version
	f.same("updated", got, want)
	_, err = f.UpdateApplication(f.ctx, f.env, "customer-1", func(a *hark.Application) error { a.Name = "lost"; return errAbort })
	f.same("abort", err, errAbort)

	// Another environment sees nothing, and may use the uid itself.
	other := f.newEnvironment()
	_, err = f.Application(f.ctx, other, string(app.ID))
	f.wantCode(err, hark.NotFound, "in another environment")
	_, err = f.UpdateApplication(f.ctx, other, "customer-1", func(*hark.Application) error { return nil })
	f.wantCode(err, hark.NotFound, "update in another environment")
	f.wantCode(f.DeleteApplication(f.ctx, other, string(app.ID), at), hark.NotFound, "delete in another environment")
	f.newApplication(other, "customer-1")

	f.ok(f.DeleteApplication(f.ctx, f.env, "customer-1", f.tick()))
	_, err = f.Application(f.ctx, f.env, string(app.ID))
	f.wantCode(err, hark.NotFound, "deleted")
	_, err = f.ApplicationByRef(f.ctx, app.Ref)
	f.wantCode(err, hark.NotFound, "deleted, by ref")
	if again := f.newApplication(f.env, "customer-1"); again.Ref == app.Ref {
		t.Error("a ref came back")
	}
	list, err := f.ListApplications(f.ctx, f.env, store.ApplicationFilter{}, store.Page{Limit: 10})
	f.ok(err)
	if len(list) != 2 {
		t.Errorf("%d applications, want 2", len(list))
	}
}

func testApplicationFilters(t *testing.T, f *fixture) {
	ids := []string{string(f.app.ID)}
	for _, uid := range []string{"none", "disabled", "enabled", "deleted", "more"} {
		app := f.newApplication(f.env, uid)
		ids = append(ids, string(app.ID))
		if uid == "disabled" || uid == "enabled" || uid == "deleted" {
			f.newEndpoint(app, "e")
		}
		switch uid {
		case "disabled":
			_, err := f.UpdateEndpoint(f.ctx, app.Ref, "e", func(e *hark.Endpoint) error { e.Disabled = true; return nil })
			f.ok(err)
		case "deleted":
			f.ok(f.DeleteEndpoint(f.ctx, app.Ref, "e", f.tick()))
		}
	}
	list := func(filter store.ApplicationFilter) func(store.Page) ([]hark.Application, error) {
		return func(p store.Page) ([]hark.Application, error) { return f.ListApplications(f.ctx, f.env, filter, p) }
	}
	id := func(a hark.Application) string { return string(a.ID) }
	pages(f, "all", 2, false, ids, id, list(store.ApplicationFilter{}))
	down := slices.Clone(ids)
	slices.Reverse(down)
	pages(f, "newest first", 2, true, down, id, list(store.ApplicationFilter{}))
	pages(f, "with endpoints", 1, false, ids[2:4], id, list(store.ApplicationFilter{WithEndpoints: true}))
	pages(f, "with enabled endpoints", 1, false, ids[3:4], id, list(store.ApplicationFilter{WithEnabledEndpoints: true}))
}

func testEndpoints(t *testing.T, f *fixture) {
	at := f.tick()
	want := hark.Endpoint{
		ApplicationRef: f.app.Ref, ID: hark.NewEndpointID(at), UID: "ep-1", URL: "https://example.com/in", Description: "d", Version: 3,
		Metadata: map[string]string{"a": "b"}, Headers: map[string]string{"Authorization": "Bearer x"},
		Secrets:    []hark.Secret{{Key: "whsec_new", CreatedAt: at}, {Key: "whsec_old", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}},
		EventTypes: []string{"a.b"}, Channels: []string{}, Filter: json.RawMessage(`{"x":1}`),
		Disabled: true, DisabledReason: "gone", DisabledAt: at, Paused: true, ThrottleRate: 5, Concurrency: 6, Timeout: 7 * time.Second,
		RetrySchedule: hark.Schedule{time.Second, time.Minute}, Ordering: "/customer/id", SkipTLSVerify: true, CreatedAt: at, UpdatedAt: at,
	}
	ep, err := f.InsertEndpoint(f.ctx, want)
	f.ok(err)
	want.Ref = ep.Ref
	f.same("inserted", ep, want)
	got, err := f.Endpoint(f.ctx, f.app.Ref, "ep-1")
	f.ok(err)
	f.same("by uid", got, want)

	got, err = f.UpdateEndpoint(f.ctx, f.app.Ref, string(ep.ID), func(e *hark.Endpoint) error {
		e.URL, e.Secrets, e.RetrySchedule, e.EventTypes, e.Disabled, e.Headers = "https://example.com/new", e.Secrets[:1], hark.Schedule{}, nil, false, nil
		return nil
	})
	f.ok(err)
	want.URL, want.Secrets, want.RetrySchedule, want.EventTypes, want.Disabled, want.Headers = "https://example.com/new", want.Secrets[:1], hark.Schedule{}, nil, false, nil
	f.same("updated", got, want)

	second := f.newEndpoint(f.app, "ep-2")
	_, err = f.UpdateEndpoint(f.ctx, f.app.Ref, "ep-2", func(e *hark.Endpoint) error { e.UID = "ep-1"; return nil })
	f.wantCode(err, hark.Conflict, "update to a taken uid")
	_, err = f.InsertEndpoint(f.ctx, hark.Endpoint{ID: hark.NewEndpointID(at), ApplicationRef: f.app.Ref, UID: "ep-1"})
	f.wantCode(err, hark.Conflict, "uid taken")
	if e, ok := err.(*hark.Error); ok && e.Existing != string(ep.ID) {
		t.Errorf("existing %q, want %q", e.Existing, ep.ID)
	}
	_, err = f.UpdateEndpoint(f.ctx, f.app.Ref, "ep-2", func(e *hark.Endpoint) error { return errAbort })
	f.same("abort", err, errAbort)

	other := f.newApplication(f.env, "other")
	_, err = f.Endpoint(f.ctx, other.Ref, string(ep.ID))
	f.wantCode(err, hark.NotFound, "in another application")
	f.wantCode(f.DeleteEndpoint(f.ctx, other.Ref, "ep-1", at), hark.NotFound, "delete in another application")
	_, err = f.UpdateEndpoint(f.ctx, other.Ref, "ep-1", func(*hark.Endpoint) error { return nil })
	f.wantCode(err, hark.NotFound, "update in another application")
	f.newEndpoint(other, "ep-1")

	third := f.newEndpoint(f.app, "")
	ids := []string{string(third.ID), string(second.ID), string(ep.ID)}
	pages(f, "endpoints", 2, true, ids, func(e hark.Endpoint) string { return string(e.ID) },
		func(p store.Page) ([]hark.Endpoint, error) { return f.ListEndpoints(f.ctx, f.app.Ref, p) })
}

func testEndpointDeletion(t *testing.T, f *fixture) {
	a, b := f.newEndpoint(f.app, "a"), f.newEndpoint(f.app, "b")
	for range 5 {
		f.accept("t", a, b)
	}
	f.try(f.queue(a)[0], 200, 0)
	f.ok(f.DeleteEndpoint(f.ctx, f.app.Ref, "a", f.tick()))
	_, err := f.Endpoint(f.ctx, f.app.Ref, string(a.ID))
	f.wantCode(err, hark.NotFound, "deleted")
	f.wantCode(f.DeleteEndpoint(f.ctx, f.app.Ref, string(a.ID), f.now), hark.NotFound, "deleted twice")
	live, err := f.AllEndpoints(f.ctx, f.app.Ref)
	f.ok(err)
	if len(live) != 1 || live[0].Ref != b.Ref {
		t.Errorf("live: %+v", live)
	}
	known, err := f.EndpointsByRef(f.ctx, []hark.Ref{a.Ref, 999, b.Ref})
	f.ok(err)
	if len(known) != 2 || known[0].DeletedAt.IsZero() || !known[1].DeletedAt.IsZero() {
		t.Errorf("by ref: %+v", known)
	}
	if n := len(f.queue(a)); n != 0 {
		t.Errorf("%d rows are left in a deleted endpoint's queue", n)
	}
	if n := len(f.queue(b)); n != 5 {
		t.Errorf("%d rows in the other's queue, want 5", n)
	}
	backlogs, err := f.Backlogs(f.ctx)
	f.ok(err)
	if len(backlogs) != 1 || backlogs[0].EndpointRef != b.Ref {
		t.Errorf("backlogs: %+v", backlogs)
	}
	attempts, err := f.AttemptsByEndpoint(f.ctx, a.Ref, store.AttemptFilter{}, store.Page{Limit: 10})
	f.ok(err)
	if len(attempts) != 1 || attempts[0].EndpointID != a.ID {
		t.Errorf("history: %+v", attempts)
	}
	if again := f.newEndpoint(f.app, "a"); again.Ref == a.Ref {
		t.Error("a ref came back")
	}
	// An application takes its endpoints and its queue with it.
	f.ok(f.DeleteApplication(f.ctx, f.env, "app", f.tick()))
	if n := len(f.queue(b)); n != 0 {
		t.Errorf("%d rows are left in a deleted application's queue", n)
	}
	backlogs, err = f.Backlogs(f.ctx)
	f.ok(err)
	if len(backlogs) != 0 {
		t.Errorf("backlogs of a deleted application: %+v", backlogs)
	}
}

func testEventTypes(t *testing.T, f *fixture) {
	at := f.tick()
	insert := func(et hark.EventType) {
		et.EnvironmentID, et.CreatedAt, et.UpdatedAt = f.env, at, at
		f.ok(f.InsertEventType(f.ctx, et))
	}
	insert(hark.EventType{Name: "b", Archived: true})
	insert(hark.EventType{Name: "c", FeatureFlags: []string{"beta", "new"}})
	insert(hark.EventType{Name: "a", Description: "d", GroupName: "g", Deprecated: true, Schemas: json.RawMessage(`{"1":{}}`)})
	got, err := f.EventType(f.ctx, f.env, "a")
	f.ok(err)
	f.same("event type", got, hark.EventType{EnvironmentID: f.env, Name: "a", Description: "d", GroupName: "g", Deprecated: true,
		Schemas: json.RawMessage(`{"1":{}}`), CreatedAt: at, UpdatedAt: at})
	f.wantCode(f.InsertEventType(f.ctx, hark.EventType{EnvironmentID: f.env, Name: "b"}), hark.EventTypeExists, "insert an archived one again")

	list := func(filter store.EventTypeFilter) func(store.Page) ([]hark.EventType, error) {
		return func(p store.Page) ([]hark.EventType, error) { return f.ListEventTypes(f.ctx, f.env, filter, p) }
	}
	name := func(e hark.EventType) string { return e.Name }
	pages(f, "all", 1, false, []string{"a", "b", "c"}, name, list(store.EventTypeFilter{IncludeArchived: true}))
	pages(f, "not archived", 1, false, []string{"a", "c"}, name, list(store.EventTypeFilter{}))
	pages(f, "downwards", 1, true, []string{"c", "a"}, name, list(store.EventTypeFilter{}))
	pages(f, "without flags", 1, false, []string{"a"}, name, list(store.EventTypeFilter{Flags: []string{}}))
	pages(f, "with another flag", 1, false, []string{"a"}, name, list(store.EventTypeFilter{Flags: []string{"old"}}))
	pages(f, "with its flag", 1, false, []string{"a", "c"}, name, list(store.EventTypeFilter{Flags: []string{"old", "new"}}))

	got, err = f.UpdateEventType(f.ctx, f.env, "b", func(e *hark.EventType) error { e.Archived = false; return nil })
	f.ok(err)
	if got.Archived {
		t.Error("still archived")
	}
	other := f.newEnvironment()
	_, err = f.EventType(f.ctx, other, "a")
	f.wantCode(err, hark.NotFound, "in another environment")
	f.wantCode(f.DeleteEventType(f.ctx, other, "a"), hark.NotFound, "delete in another environment")
	f.ok(f.DeleteEventType(f.ctx, f.env, "a"))
	f.wantCode(f.DeleteEventType(f.ctx, f.env, "a"), hark.NotFound, "delete twice")
}

func testKeys(t *testing.T, f *fixture) {
	at := f.tick()
	k := hark.Key{ID: hark.NewKeyID(at), EnvironmentID: f.env, Name: "ci", Scope: hark.ScopePublish, ApplicationID: f.app.ID, Prefix: "hark_live_ab",
		Hash: key("text"), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	f.ok(f.InsertKey(f.ctx, k))
	got, err := f.KeyByHash(f.ctx, key("text"))
	f.ok(err)
	f.same("by hash", got, k)
	f.wantCode(f.InsertKey(f.ctx, k), hark.Conflict, "insert twice")
	_, err = f.KeyByHash(f.ctx, key("other"))
	f.wantCode(err, hark.NotFound, "unknown hash")
	other := f.newEnvironment()
	_, err = f.UpdateKey(f.ctx, other, k.ID, func(*hark.Key) error { return nil })
	f.wantCode(err, hark.NotFound, "update in another environment")
	_, err = f.UpdateKey(f.ctx, f.env, k.ID, func(k *hark.Key) error { k.RevokedAt = at; return nil })
	f.ok(err)
	got, err = f.KeyByHash(f.ctx, key("text"))
	f.ok(err)
	f.same("revoked", got.RevokedAt, at)
	list, err := f.ListKeys(f.ctx, other, store.Page{Limit: 10})
	f.ok(err)
	f.same("keys of another environment", len(list), 0)
	pages(f, "keys", 1, false, []string{string(k.ID)}, func(k hark.Key) string { return string(k.ID) },
		func(p store.Page) ([]hark.Key, error) { return f.ListKeys(f.ctx, f.env, p) })
}

func testTasks(t *testing.T, f *fixture) {
	var ids []string
	for _, kind := range []string{"endpoint.recover", "endpoint.replay", "endpoint.recover"} {
		at := f.tick()
		task := hark.Task{ID: hark.NewTaskID(at), EnvironmentID: f.env, Kind: kind, Status: "running", Data: json.RawMessage(`{"n":0}`), CreatedAt: at, UpdatedAt: at}
		f.ok(f.InsertTask(f.ctx, task))
		got, err := f.Task(f.ctx, f.env, task.ID)
		f.ok(err)
		f.same("task", got, task)
		ids = append(ids, string(task.ID))
	}
	_, err := f.UpdateTask(f.ctx, hark.TaskID(ids[0]), func(t *hark.Task) error {
		t.Status, t.Data = "finished", json.RawMessage(`{"n":9}`)
		return nil
	})
	f.ok(err)
	running, err := f.RunningTasks(f.ctx)
	f.ok(err)
	if len(running) != 2 || string(running[0].ID) != ids[1] {
		t.Errorf("running: %+v", running)
	}
	list := func(status, kind string) func(store.Page) ([]hark.Task, error) {
		return func(p store.Page) ([]hark.Task, error) { return f.ListTasks(f.ctx, f.env, status, kind, p) }
	}
	id := func(t hark.Task) string { return string(t.ID) }
	pages(f, "tasks", 2, false, ids, id, list("", ""))
	pages(f, "finished", 2, false, ids[:1], id, list("finished", ""))
	pages(f, "recover, running", 2, false, ids[2:], id, list("running", "endpoint.recover"))
	other := f.newEnvironment()
	_, err = f.Task(f.ctx, other, hark.TaskID(ids[0]))
	f.wantCode(err, hark.NotFound, "in another environment")
}
