package manage

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// rig is a Manager over a real store. Nothing is delivered: queued is what an engine would be told.
type rig struct {
	*Manager
	tokens *auth.Authenticator
	env    hark.Environment
	admin  Caller
	live   *engine
}

// engine notes what it is told.
type engine struct {
	mu      sync.Mutex
	queued  []hark.Delivery
	changed []hark.Ref
}

func (e *engine) EndpointChanged(ref hark.Ref) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = append(e.changed, ref)
}

func (e *engine) offer(rows []hark.Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queued = append(e.queued, rows...)
}

func newRig(t testing.TB) *rig {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	live := &engine{}
	s.OnQueued(live.offer)
	b, err := auth.Bootstrap(t.Context(), s, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.New(auth.Options{Store: s, TokenSecret: []byte(strings.Repeat("s", 32))})
	if err != nil {
		t.Fatal(err)
	}
	dir := directory.New(s, directory.Options{})
	m := New(Options{
		Store: s, Directory: dir, Engine: live, Tokens: tokens,
		Replays:         replay.New(replay.Options{Store: s, Directory: dir, Logger: slog.New(slog.DiscardHandler)}),
		Ingest:          ingest.New(ingest.Options{Store: s, Directory: dir, URL: "http://hark.test"}),
		IngestURL:       "http://hark.test",
		Pollers:         idlePollers{},
		Transformations: noScripts{},
		Nodes:           noNodes,
		PortalURL:       "http://hark.test/portal",
	})
	return &rig{Manager: m, tokens: tokens, env: b.Live, live: live,
		admin: Caller{EnvironmentID: b.Live.ID, Scope: hark.ScopeAdmin, Capabilities: auth.AllCapabilities, Actor: "test"}}
}

// stranger is an admin of the other environment.
func (r *rig) stranger(t testing.TB) Caller {
	t.Helper()
	envs, err := r.store.ListEnvironments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(envs, func(e hark.Environment) bool { return e.ID != r.env.ID })
	return Caller{EnvironmentID: envs[i].ID, Scope: hark.ScopeAdmin, Actor: "stranger"}
}

// customer is an application token's caller.
func (r *rig) customer(app hark.Application, flags ...string) Caller {
	return Caller{EnvironmentID: r.env.ID, Scope: hark.ScopeAdmin, ApplicationID: app.ID, Portal: true,
		Capabilities: auth.AllCapabilities, Flags: flags, Actor: "customer"}
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (r *rig) application(t testing.TB, uid string) hark.Application {
	t.Helper()
	app, _, err := r.CreateApplication(t.Context(), r.admin, ApplicationIn{Name: uid, UID: Some(uid)}, false)
	return must[hark.Application](t)(app, err)
}

func (r *rig) endpoint(t testing.TB, app string, change func(*EndpointIn)) hark.Endpoint {
	t.Helper()
	in := EndpointIn{URL: "http://example.com/hook"}
	if change != nil {
		change(&in)
	}
	return must[hark.Endpoint](t)(r.CreateEndpoint(t.Context(), r.admin, app, in))
}

func (r *rig) eventTypes(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		must[hark.EventType](t)(r.CreateEventType(t.Context(), r.admin, EventTypeIn{Name: name, Description: "d"}))
	}
}

func (r *rig) publish(t testing.TB, app string, in PublishIn) Published {
	t.Helper()
	if in.EventType == "" {
		in.EventType = "a.b"
	}
	if in.Payload == nil {
		in.Payload = []byte(`{"n": 1}`)
	}
	in.WithEndpoints = true
	return must[Published](t)(r.Publish(t.Context(), r.admin, app, &in, nil))
}

// wrongAt lists where an Invalid error says that something is wrong.
func wrongAt(err error) []string {
	e, ok := errors.AsType[*hark.Error](err)
	if !ok || e.Code != hark.Invalid {
		return nil
	}
	var at []string
	for _, f := range e.Fields {
		at = append(at, strings.Join(f.Loc, "."))
	}
	slices.Sort(at)
	return at
}

func wantCode(t testing.TB, what string, err error, code hark.Code) {
	t.Helper()
	if got := hark.CodeOf(err); got != code {
		t.Errorf("%s: %v (%q), want %q", what, err, got, code)
	}
}

// settle records an attempt of each queued delivery, as the engine would.
func (r *rig) settle(t testing.TB, status hark.AttemptStatus, code int) {
	t.Helper()
	r.live.mu.Lock()
	rows := r.live.queued
	r.live.queued = nil
	r.live.mu.Unlock()
	said := ""
	if status == hark.Canceled {
		said = "canceled by the transformation"
	}
	var all []store.Settlement
	for _, d := range rows {
		d.Message = nil
		now := time.Now()
		all = append(all, store.Settlement{Delivery: d, Succeeded: status == hark.Succeeded, Attempt: &hark.Attempt{
			ID: hark.NewAttemptID(now), ApplicationRef: d.ApplicationRef, MessageRef: d.MessageRef, EndpointRef: d.EndpointRef,
			URL: "http://example.com/hook", Number: 1, Trigger: d.Trigger, Status: status, StatusCode: code,
			Response: []byte("answer"), Error: said, StartedAt: now, Duration: time.Millisecond,
		}})
	}
	if err := r.store.Settle(context.WithoutCancel(t.Context()), all); err != nil {
		t.Fatal(err)
	}
}

// idlePollers runs none.
type idlePollers struct{}

func (idlePollers) Wake()                                                          {}
func (idlePollers) Preview(context.Context, hark.Poller) (p poll.Preview, _ error) { return p, nil }

func noNodes(context.Context, time.Time) ([]store.NodeStatus, error) { return nil, nil }

// noScripts refuses code that says that it is broken, and runs none.
type noScripts struct{}

func (noScripts) Check(_ context.Context, _ hark.Ref, t *hark.Transformation) error {
	if strings.Contains(t.Code, "broken") {
		return &alter.Failure{Detail: "The script does not compile: it is broken (line 1, column 1).", Line: 1, Column: 1}
	}
	return nil
}

func (noScripts) Try(ctx context.Context, job alter.Job) (alter.Trial, error) {
	return alter.Trial{Shown: map[string]string{}, Altered: alter.Altered{Body: job.Body}}, noScripts{}.Check(ctx, 0, job.Transformation)
}
