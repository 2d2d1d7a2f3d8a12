package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/store"
)

// accepting accepts every message and remembers the last.
type accepting struct {
	last manage.PublishIn
	key  *store.IdempotencyKey
	err  error
}

var acceptedAt = time.Date(2026, 11, 23, 13, 0, 0, 123e6, time.UTC)

func (*accepting) Allow(_ context.Context, c manage.Caller, _ manage.Permission, _ string) error {
	if c.Scope == hark.ScopeRead {
		return &hark.Error{Code: hark.Forbidden, Detail: "no"}
	}
	return nil
}

func (a *accepting) Publish(_ context.Context, _ manage.Caller, _ string, in *manage.PublishIn, key *store.IdempotencyKey) (manage.Published, error) {
	a.last, a.key = *in, key
	return publishedOf(in), a.err
}

func (a *accepting) PublishBatch(_ context.Context, _ manage.Caller, _ string, ins []manage.PublishIn, key *store.IdempotencyKey) ([]manage.BatchResult, error) {
	a.key = key
	results := make([]manage.BatchResult, len(ins))
	for i := range ins {
		results[i].Published = publishedOf(&ins[i])
		if ins[i].EventID.Value == "taken" {
			results[i].Err = &hark.Error{Code: hark.Conflict, Detail: "taken", Existing: "msg_1"}
		}
	}
	return results, a.err
}

func publishedOf(in *manage.PublishIn) manage.Published {
	p := manage.Published{Message: hark.Message{
		ID: "msg_2YDsRP3ZRnPb7tsVIZIJYOBrXJM", EventType: in.EventType, EventID: in.EventID.Value,
		Channels: in.Channels, Tags: in.Tags, Payload: in.Payload, CreatedAt: acceptedAt,
	}}
	if in.WithEndpoints {
		p.Endpoints = []hark.EndpointID{"ep_1", "ep_2"}
	}
	return p
}

// anyone lets everybody in who has a token.
type anyone struct{}

func (anyone) Authenticate(_ context.Context, bearer string) (*auth.Principal, error) {
	if bearer == "" {
		return nil, errNoToken
	}
	return &auth.Principal{EnvironmentID: "org_1", Scope: hark.ScopeAdmin}, nil
}

// serve sends one request to a server whose messages go to p.
func serve(p hotPath, method, url, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	newServer(Options{Auth: anyone{}}, p).ServeHTTP(w, r)
	return w
}

func TestPublish_AnswersAsTheDocumentSays(t *testing.T) {
	const body = `{"eventType":"a","payload":{"x": 1.0},"eventId":"e","tags":["t"]}`
	const after = `,"timestamp":"2026-11-23T13:00:00.123Z","deliverAt":null`
	for _, tt := range []struct{ query, want string }{
		{"", `{"id":"msg_2YDsRP3ZRnPb7tsVIZIJYOBrXJM","eventType":"a","eventId":"e","payload":{"x": 1.0},"channels":null,"tags":["t"]` + after + `}`},
		{"?with_content=false", `{"id":"msg_2YDsRP3ZRnPb7tsVIZIJYOBrXJM","eventType":"a","eventId":"e","payload":{},"channels":null,"tags":["t"]` + after + `}`},
		{"?with_endpoints=true&with_content=false", `{"id":"msg_2YDsRP3ZRnPb7tsVIZIJYOBrXJM","eventType":"a","eventId":"e","payload":{},"channels":null,"tags":["t"]` + after + `,"endpoints":[{"id":"ep_1"},{"id":"ep_2"}]}`},
	} {
		w := serve(&accepting{}, "POST", "/api/v1/app/a/msg"+tt.query, body)
		if w.Code != 202 || strings.TrimSpace(w.Body.String()) != tt.want {
			t.Errorf("%s: got %d %s, want %s", tt.query, w.Code, w.Body, tt.want)
		}
	}
}

func TestPublish_PayloadOutlivesTheRequest(t *testing.T) {
	p := &accepting{}
	s := newServer(Options{Auth: anyone{}}, p)
	var kept [][]byte
	for _, payload := range []string{`{"a":1}`, `{"b":2}`} {
		r := httptest.NewRequest("POST", "/api/v1/app/a/msg", strings.NewReader(`{"eventType":"a","payload":`+payload+`}`))
		r.Header.Set("Authorization", "Bearer x")
		s.ServeHTTP(httptest.NewRecorder(), r)
		kept = append(kept, p.last.Payload)
	}
	if string(kept[0]) != `{"a":1}` || string(kept[1]) != `{"b":2}` {
		t.Errorf("got %s", kept)
	}
}

func TestPublish_HandsTheIdempotencyKeyOn(t *testing.T) {
	const body = `{"eventType":"a","payload":{}}`
	key := func(url, body string, header ...string) *store.IdempotencyKey {
		p := &accepting{}
		serve(p, "POST", url, body, header...)
		return p.key
	}
	if key("/api/v1/app/a/msg", body) != nil {
		t.Error("a key where none was given")
	}
	bare := key("/api/v1/app/a/msg", body, "idempotency-key", "k")
	if quoted := key("/api/v1/app/a/msg", body, "idempotency-key", `"k"`); quoted.Hash != bare.Hash || quoted.Fingerprint != bare.Fingerprint {
		t.Error("a quoted key is another key")
	}
	for name, other := range map[string]*store.IdempotencyKey{
		"key":   key("/api/v1/app/a/msg", body, "idempotency-key", "k2"),
		"path":  key("/api/v1/app/b/msg", body, "idempotency-key", "k"),
		"query": key("/api/v1/app/a/msg?with_content=false", body, "idempotency-key", "k"),
		"token": key("/api/v1/app/a/msg", body, "idempotency-key", "k", "Authorization", "Bearer y"),
	} {
		if other.Hash == bare.Hash {
			t.Errorf("another %s, the same hash", name)
		}
	}
	if other := key("/api/v1/app/a/msg", body+" ", "idempotency-key", "k"); other.Hash != bare.Hash || other.Fingerprint == bare.Fingerprint {
		t.Error("another body must have the same hash and another fingerprint")
	}
}

func TestBatch_AnswersForEachMessage(t *testing.T) {
	const good = `{"eventType":"a","payload":{}}`
	w := serve(&accepting{}, "POST", "/api/v1/app/a/msg/batch", `{"messages":[`+good+`,{"eventType":1},{"eventType":"a","payload":{},"eventId":"taken"},`+good+`]}`)
	var out MessageBatchOut
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		t.Fatalf("got %d %s: %v", w.Code, w.Body, err)
	}
	var got []int
	for _, r := range out.Data {
		got = append(got, r.Status)
	}
	if diff := cmp.Diff([]int{202, 422, 409, 202}, got); diff != "" || out.Done {
		t.Error(diff, out.Done)
	}
	if out.Data[2].Error.Existing != "msg_1" || out.Data[1].Error.Fields[0].Loc[1] != "eventType" || out.Data[0].Message.ID == "" {
		t.Errorf("got %s", w.Body)
	}
	if w := serve(&accepting{}, "POST", "/api/v1/app/a/msg/batch", `{"messages":[`+good+`]}`); w.Code != 202 || !strings.Contains(w.Body.String(), `"done":true`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestAppendMessage_WritesWhatEncodingJSONWould(t *testing.T) {
	for _, m := range []hark.Message{
		{ID: "msg_1", EventType: "a", CreatedAt: acceptedAt},
		{ID: "msg_1", EventType: "a\"\\\u2028<é", EventID: "x", Channels: []string{}, Tags: []string{"a", "\x01"}, CreatedAt: acceptedAt, DeliverAt: acceptedAt},
	} {
		m.Payload = []byte(`{"a":[1,2]}`)
		got := appendMessage(nil, &m, m.Payload)
		want, err := json.Marshal(messageOut(&m, true))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPublish_OverloadAsksToComeBack(t *testing.T) {
	w := serve(&accepting{err: &hark.Error{Code: hark.Overloaded, Detail: "full", RetryAfter: 1500 * time.Millisecond}}, "POST", "/api/v1/app/a/msg", `{"eventType":"a","payload":{}}`)
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), `"code":"overloaded"`) {
		t.Errorf("got %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}

func TestPublish_InternalErrorsSayNothing(t *testing.T) {
	w := serve(&accepting{err: errors.New("app_secret of somebody else")}, "POST", "/api/v1/app/a/msg", `{"eventType":"a","payload":{}}`)
	if w.Code != 500 || strings.TrimSpace(w.Body.String()) != "{}" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             { clear(d.h) }

func BenchmarkPublish(b *testing.B) {
	text := benchMessage(1024)
	s := newServer(Options{Auth: anyone{}}, &accepting{})
	r := httptest.NewRequest("POST", "/api/v1/app/app_2YDsRP3ZRnPb7tsVIZIJYOBrXJM/msg?with_content=false", nil)
	r.ContentLength = int64(len(text))
	r.Header = http.Header{
		"Authorization": {"Bearer hark_live_0123456789012345678901234567890123456789"}, "Content-Type": {"application/json"},
		"Idempotency-Key": {"auto_1f0a9a40-6b4e-4a6c-9d0f-9d6d7a3a7c1e"}, "Svix-Req-Id": {"123456789"}, "User-Agent": {"svix-libs/2.5.0/javascript"},
	}
	body := bytes.NewReader(text)
	r.Body = nopCloser{body}
	w := &discard{http.Header{}}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(text)
		s.ServeHTTP(w, r)
	}
}

func BenchmarkBatch(b *testing.B) {
	const n = 100
	text := between(`{"messages":[`, bytes.Join(repeat(benchMessage(1024), n), []byte(",")), `]}`)
	s := newServer(Options{Auth: anyone{}}, &accepting{})
	r := httptest.NewRequest("POST", "/api/v1/app/a/msg/batch", nil)
	r.ContentLength = int64(len(text))
	r.Header.Set("Authorization", "Bearer x")
	body := bytes.NewReader(text)
	r.Body = nopCloser{body}
	w := &discard{http.Header{}}
	for b.Loop() {
		body.Reset(text)
		s.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
}

func repeat(text []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = text
	}
	return out
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }
