package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/poll"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/stream"
	"github.com/harkhq/hark/internal/tunnel"
)

// world is the API over a real store and everything between, without a delivery engine.
type world struct {
	t     testing.TB
	store *sqlite.Store
	api   *server
	auth  *auth.Authenticator
	keys  map[string]string // bearer tokens by who has them
	names map[string]string // values that steps saved, for {name} in later ones
}

// idle is an engine that delivers nothing.
type idle struct{}

func (idle) EndpointChanged(hark.Ref) {}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	st.OnQueued(func([]hark.Delivery) {})
	authenticator, err := auth.New(auth.Options{Store: st, JWTSecret: []byte("a secret that is long enough for a test"), TokenSecret: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	first, err := auth.Bootstrap(ctx, st, false, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir := directory.New(st, directory.Options{})
	hub := stream.New(stream.Options{Store: st})
	st.OnFed(hub.Fed)
	operations := manage.New(manage.Options{
		Store: st, Directory: dir, Engine: idle{}, Tokens: authenticator, PortalURL: "http://hark.test/portal",
		Replays: replay.New(replay.Options{Store: st, Directory: dir, Logger: log}), Nodes: noNodes, Streams: hub, Pollers: idlePollers{}, Transformations: noScripts{},
		Ingest: ingest.New(ingest.Options{Store: st, Directory: dir, URL: "http://hark.test"}), IngestURL: "http://hark.test",
	})
	return &world{
		t: t, store: st, auth: authenticator,
		api:   newServer(Options{Manage: operations, Auth: authenticator, Guards: st, Streams: hub, Tunnels: tunnel.New(tunnel.Options{Store: st, Streams: hub}), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, operations),
		keys:  map[string]string{"live": first.Keys[0].Text, "test": first.Keys[1].Text},
		names: map[string]string{},
	}
}

// idlePollers runs none.
type idlePollers struct{}

func (idlePollers) Wake()                                                          {}
func (idlePollers) Preview(context.Context, hark.Poller) (p poll.Preview, _ error) { return p, nil }

// step is one request and what is expected of its answer.
type step struct {
	as     string // "" is live
	method string
	url    string // below /api/v1, or with /ingest/api/v1
	body   string
	header string // one more header: Name: value
	status int
	want   string // JSON that must be in the answer: objects may have more fields, "*" is anything
	save   string // a=id: keep the field id as {a}
}

func (w *world) do(s step) *httptest.ResponseRecorder {
	w.t.Helper()
	target := prefix + s.url
	if strings.HasPrefix(s.url, ingestRoot) {
		target = s.url
	}
	r := httptest.NewRequest(s.method, w.fill(target), strings.NewReader(w.fill(s.body)))
	if s.as == "" {
		s.as = "live"
	}
	r.Header.Set("Authorization", "Bearer "+w.keys[s.as])
	if name, value, ok := strings.Cut(s.header, ": "); ok {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	return rec
}

func (w *world) fill(text string) string {
	for name, value := range w.names {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// run does the steps one after the other.
func (w *world) run(steps []step) {
	w.t.Helper()
	for _, s := range steps {
		rec := w.do(s)
		label := fmt.Sprintf("%s %s %s", s.method, s.url, s.body)
		if rec.Code != s.status {
			w.t.Errorf("%s: got %d %s, want %d", label, rec.Code, rec.Body, s.status)
			continue
		}
		body := rec.Body.Bytes()
		if s.status == 204 || s.status == 304 {
			if len(body) > 0 {
				w.t.Errorf("%s: %d with body %s", label, s.status, body)
			}
			continue
		}
		var got any
		if err := json.Unmarshal(body, &got); err != nil {
			w.t.Errorf("%s: body %q: %v", label, body, err)
			continue
		}
		if s.want != "" {
			var want any
			if err := json.Unmarshal([]byte(w.fill(s.want)), &want); err != nil {
				w.t.Fatalf("%s: want %s: %v", label, s.want, err)
			}
			if at := missing("", want, got); at != "" {
				w.t.Errorf("%s: %s\n got %s\nwant %s", label, at, body, w.fill(s.want))
			}
		}
		for save := range strings.SplitSeq(s.save, " ") {
			if name, field, ok := strings.Cut(save, "="); ok {
				object, _ := got.(map[string]any)
				value, ok := object[field].(string)
				if !ok {
					w.t.Fatalf("%s: no text field %s in %s", label, field, body)
				}
				w.names[name] = value
				time.Sleep(5 * time.Millisecond) // ids that are made within 4 ms have no order
			}
		}
	}
}

// missing says where got lacks what want has; "" when it has all of it.
func missing(at string, want, got any) string {
	switch want := want.(type) {
	case string:
		if want == "*" && got != nil {
			return ""
		}
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return at + ": not an object"
		}
		for field, value := range want {
			found, there := object[field]
			if value == "-" {
				if there {
					return at + "." + field + ": is there"
				}
				continue
			}
			if !there {
				return at + "." + field + ": is not there"
			}
			if m := missing(at+"."+field, value, found); m != "" {
				return m
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s: not a list of %d", at, len(want))
		}
		for i := range want {
			if m := missing(fmt.Sprintf("%s[%d]", at, i), want[i], list[i]); m != "" {
				return m
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: got %v, want %v", at, got, want)
	}
	return ""
}

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
