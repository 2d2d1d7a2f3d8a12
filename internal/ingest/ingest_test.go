package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/webhook"
)

// world is an Ingest over a real store, with one application.
type world struct {
	testing.TB
	*Ingest
	ctx   context.Context
	store *sqlite.Store
	app   hark.Application
	log   *bytes.Buffer
}

func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.OnQueued(func([]hark.Delivery) {})
	w := &world{TB: t, store: s, ctx: t.Context(), log: &bytes.Buffer{}}
	now := time.Now()
	env := hark.Environment{ID: hark.NewEnvironmentID(now), Name: "live", CreatedAt: now}
	w.ok(s.InsertEnvironment(w.ctx, env))
	w.app, err = s.InsertApplication(w.ctx, hark.Application{ID: hark.NewApplicationID(now), EnvironmentID: env.ID, Name: "a", CreatedAt: now, UpdatedAt: now})
	w.ok(err)
	o := Options{Store: s, Directory: directory.New(s, directory.Options{}), URL: "https://hark.example", Log: slog.New(slog.NewTextHandler(w.log, nil))}
	if change != nil {
		change(&o)
	}
	w.Ingest = New(o)
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

const secret = "whsec_of_the_provider"

// source makes a source of Stripe's, unless change says otherwise.
func (w *world) source(change func(*hark.Source)) hark.Source {
	w.Helper()
	now := time.Now()
	src := hark.Source{ID: hark.NewSourceID(now), EnvironmentID: w.app.EnvironmentID, ApplicationRef: w.app.Ref,
		SourceSettings: hark.SourceSettings{Name: "s", Provider: "stripe"}, Tokens: []hark.Secret{{Key: NewToken(), CreatedAt: now}},
		Secrets: []hark.Secret{{Key: secret, CreatedAt: now}}, CreatedAt: now, UpdatedAt: now}
	if change != nil {
		change(&src)
	}
	src, err := w.store.InsertSource(w.ctx, src)
	w.ok(err)
	return src
}

func path(src hark.Source) string { return Prefix + src.Tokens[0].Key.Reveal() }

// signed makes a request as the provider sends it.
func signed(t testing.TB, provider, key, target string, body []byte) *http.Request {
	t.Helper()
	signer, err := webhook.NewSigner(provider, webhook.Options{Secrets: []string{key}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := signer.Sign(webhook.Request{Method: "POST", URL: "https://hark.example" + target, Body: body}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", target, bytes.NewReader(out.Body))
	r.Header = out.Header
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	w.Helper()
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec
}

// want sends a request and checks the answer's status.
func (w *world) want(r *http.Request, status int) *httptest.ResponseRecorder {
	w.Helper()
	time.Sleep(4 * time.Millisecond) // ids of the same four milliseconds sort by chance
	rec := w.do(r)
	if rec.Code != status {
		w.Errorf("%s: got %d %s, want %d", r.Method, rec.Code, rec.Body, status)
	}
	return rec
}

// requests are the source's, newest first, with head and body.
func (w *world) requests(src hark.Source) []hark.Request {
	w.Helper()
	list, err := w.store.ListRequests(w.ctx, []hark.Ref{src.Ref}, store.RequestFilter{}, store.Page{Limit: 100})
	w.ok(err)
	for i := range list {
		list[i], err = w.store.Request(w.ctx, src.Ref, list[i].ID)
		w.ok(err)
	}
	return list
}

func (w *world) messages() []hark.Message {
	w.Helper()
	list, err := w.store.ListMessages(w.ctx, w.app.Ref, store.MessageFilter{WithPayload: true}, store.Page{Limit: 100})
	w.ok(err)
	slices.SortFunc(list, func(a, b hark.Message) int { return int(b.Ref - a.Ref) })
	return list
}

func TestReceive_AVerifiedRequestBecomesAMessage(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(nil)
	body := []byte(`{"id":"evt_1", "type":"charge.succeeded"}`)
	r := signed(t, "stripe", secret, path(src)+"/eu%2F1?x=1", body)
	r.Header["X-Many"] = []string{"2", "1"}
	w.want(r, 200)
	got := w.messages()
	if len(got) != 1 || got[0].EventType != "charge.succeeded" || !bytes.Equal(got[0].Payload, body) || got[0].RawBody != nil {
		t.Fatalf("messages: %+v", got)
	}
	head, err := hark.DecodeHead(got[0].Head)
	w.ok(err)
	requests := w.requests(src)
	if head.SourceID != src.ID || head.RequestID != requests[0].ID || head.Path != "/eu%2F1" || head.Query != "x=1" ||
		head.Method != "POST" || !cmp.Equal(head.HTTPHeader()["X-Many"], []string{"2", "1"}) || head.Remote != "192.0.2.1" {
		t.Errorf("head: %+v", head)
	}
	q := requests[0]
	if q.Outcome != hark.RequestAccepted || q.MessageID != got[0].ID || q.EventID != "evt_1" || q.Secret != 1 || q.Size != len(body) || !bytes.Equal(q.Body, body) {
		t.Errorf("request: %+v", q)
	}
}

func TestReceive_KeepsWhatItRejectsAndSaysWhy(t *testing.T) {
	w := newWorld(t, nil)
	body := []byte(`{"id":"evt_1","type":"charge.succeeded"}`)
	for name, test := range map[string]struct {
		change func(*hark.Source)
		edit   func(*http.Request)
		status int
		cause  hark.RejectionCause
		read   bool
	}{
		"another secret":   {func(s *hark.Source) { s.Secrets[0].Key = "another" }, nil, 401, hark.VerificationFailed, true},
		"no signature":     {nil, func(r *http.Request) { r.Header.Del("Stripe-Signature") }, 401, hark.VerificationFailed, true},
		"no secret":        {func(s *hark.Source) { s.Secrets = nil }, nil, 401, hark.VerificationFailed, true},
		"an expired one":   {func(s *hark.Source) { s.Secrets[0].ExpiresAt = time.Now().Add(-time.Second) }, nil, 401, hark.VerificationFailed, true},
		"disabled":         {func(s *hark.Source) { s.Disabled = true }, nil, 404, hark.SourceDisabled, true},
		"another method":   {func(s *hark.Source) { s.Methods = []string{"PUT"} }, nil, 405, hark.MethodNotAllowed, true},
		"another address":  {func(s *hark.Source) { s.AllowIPs = []string{"198.51.100.0/24"} }, nil, 403, hark.AddressNotAllowed, false},
		"too large":        {func(s *hark.Source) { s.MaxBytes = 10 }, nil, 413, hark.RequestTooLarge, false},
		"large, unsaid":    {func(s *hark.Source) { s.MaxBytes = 10 }, func(r *http.Request) { r.ContentLength = -1 }, 413, hark.RequestTooLarge, false},
		"cut off":          {nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{")) }, 400, hark.RequestMalformed, false},
		"a broken setting": {func(s *hark.Source) { s.Provider = "nobody" }, nil, 503, hark.Unverifiable, true},
	} {
		t.Run(name, func(t *testing.T) {
			src := w.source(test.change)
			r := signed(t, "stripe", secret, path(src), body)
			if test.edit != nil {
				test.edit(r)
			}
			if name == "cut off" {
				r.ContentLength, r.Body = 100, io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{}))
			}
			rec := w.want(r, test.status)
			if !json.Valid(rec.Body.Bytes()) || strings.Contains(rec.Body.String(), "evt_1") {
				t.Errorf("answer: %s", rec.Body)
			}
			got := w.requests(src)
			if len(got) != 1 || got[0].Outcome != hark.RequestRejected || got[0].Cause != test.cause || got[0].Status != test.status || got[0].Detail == "" || got[0].Head == nil {
				t.Fatalf("kept: %+v", got)
			}
			if (got[0].Body != nil) != test.read {
				t.Errorf("body: %q", got[0].Body)
			}
			if test.read && test.cause != hark.Unverifiable && (got[0].EventID != "evt_1" || got[0].EventType != "charge.succeeded") {
				t.Errorf("event: %s %s", got[0].EventID, got[0].EventType)
			}
		})
	}
	if got := w.messages(); len(got) > 0 {
		t.Errorf("messages: %+v", got)
	}
	for _, leak := range []string{"evt_1", secret, "Stripe-Signature"} {
		if strings.Contains(w.log.String(), leak) {
			t.Errorf("the log has %s: %s", leak, w.log)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReceive_NothingIsKnownWithoutTheToken(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(func(s *hark.Source) {
		s.Tokens = append(s.Tokens, hark.Secret{Key: NewToken(), ExpiresAt: time.Now().Add(-time.Second)}, hark.Secret{Key: NewToken(), ExpiresAt: time.Now().Add(time.Hour)})
	})
	for _, target := range []string{Prefix, Prefix + "x", Prefix + NewToken().Reveal(), Prefix + src.Tokens[1].Key.Reveal(), Prefix + strings.Repeat("%41", 32)} {
		w.want(signed(t, "stripe", secret, target, []byte("{}")), 404)
	}
	w.want(signed(t, "stripe", secret, Prefix+src.Tokens[2].Key.Reveal(), []byte("{}")), 200)
	if got := w.requests(src); len(got) != 1 {
		t.Errorf("kept: %d", len(got))
	}
}

func TestReceive_TheSameEventIsOneMessage(t *testing.T) {
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		change           func(*hark.Source)
		provider         string
		edit             func(n int, r *http.Request)
		bodies           [3]string
		messages, copies int
	}{
		"by the provider's id": {nil, "stripe", nil, [3]string{`{"id":"a","n":1}`, `{"id":"a","n":2}`, `{"id":"b"}`}, 2, 1},
		"by an id that is not signed": {func(s *hark.Source) { s.Provider = "github" }, "github",
			func(_ int, r *http.Request) { r.Header.Set("X-Github-Delivery", "d") }, [3]string{`{"n":1}`, `{"n":1}`, `{"n":2}`}, 2, 1},
		"not at all":  {func(s *hark.Source) { s.Deduplicate.Off = true }, "stripe", nil, [3]string{`{"id":"a"}`, `{"id":"a"}`, `{"id":"a"}`}, 3, 0},
		"by a field":  {func(s *hark.Source) { s.Deduplicate.By = []string{"/order/no"} }, "stripe", nil, [3]string{`{"id":"a","order":{"no":7}}`, `{"id":"b","order":{"no":7}}`, `{"id":"c"}`}, 2, 1},
		"by a header": {func(s *hark.Source) { s.Deduplicate.By = []string{"header:x-n", "query:q"} }, "stripe", func(n int, r *http.Request) { r.Header.Set("X-N", fmt.Sprint(n/2)) }, [3]string{"{}", "{}", "{}"}, 2, 1},
		"by the body": {func(s *hark.Source) { s.Deduplicate.By = []string{"body"} }, "stripe", nil, [3]string{"a", "a", "b"}, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			src := w.source(test.change)
			before := len(w.messages())
			for n, body := range test.bodies {
				r := signed(t, test.provider, secret, path(src), []byte(body))
				if test.edit != nil {
					test.edit(n, r)
				}
				w.want(r, 200)
			}
			copies := 0
			for _, q := range w.requests(src) {
				if q.Outcome == hark.RequestDuplicate {
					copies++
					if q.MessageID == "" || q.Body == nil {
						t.Errorf("duplicate: %+v", q)
					}
				}
			}
			if got := len(w.messages()) - before; got != test.messages || copies != test.copies {
				t.Errorf("%d messages, %d copies; want %d, %d", got, copies, test.messages, test.copies)
			}
		})
	}
}

func TestReceive_AnyBodyComesThroughByteForByte(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(func(s *hark.Source) { s.Provider, s.Unverified = "", true })
	for _, body := range []string{"", "a=1&b=%zz", "<a/>", "[1]", " {}", "{", "\xff\x00\xfe", "--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", strings.Repeat("x", 300_000)} {
		for _, length := range []int64{int64(len(body)), -1} {
			r := httptest.NewRequest("POST", path(src), io.NopCloser(strings.NewReader(body)))
			r.ContentLength = length
			w.want(r, 200)
			if got := w.requests(src)[0]; string(got.Body) != body || got.Body == nil || got.Size != len(body) {
				t.Errorf("%.20q came back as %.20q", body, got.Body)
			}
			time.Sleep(4 * time.Millisecond) // ids that are made within that have no order
		}
	}
}

func TestReceive_EventTypes(t *testing.T) {
	w := newWorld(t, nil)
	for _, test := range []struct{ provider, setting, body, want string }{
		{"stripe", "", `{"type":"a.b"}`, "a.b"},
		{"stripe", "", `{"n":1}`, "stripe"},
		{"stripe", "mine.paid", `{"type":"a.b"}`, "mine.paid"},
		{"stripe", "header:x-topic", `{"type":"a.b"}`, "orders.create_d"},
		{"stripe", "/data/kind", `{"data":{"kind":"x y"}}`, "x_y"},
		{"stripe", "/data/kind", `not JSON`, "stripe"},
		{"", "", `{"type":"a.b"}`, "webhook"},
	} {
		src := w.source(func(s *hark.Source) { s.Provider, s.EventType = test.provider, test.setting })
		r := signed(t, "stripe", secret, path(src), []byte(test.body))
		r.Header.Set("X-Topic", "orders/create d")
		w.want(r, 200)
		if got := w.requests(src)[0].EventType; got != test.want {
			t.Errorf("%q of %s: got %q, want %q", test.setting, test.body, got, test.want)
		}
	}
}

func TestReceive_HandshakesAreAnsweredAndNotKept(t *testing.T) {
	w := newWorld(t, nil)
	slack := w.source(func(s *hark.Source) { s.Provider = "slack" })
	rec := w.want(signed(t, "slack", secret, path(slack), []byte(`{"type":"url_verification","challenge":"abc"}`)), 200)
	if !strings.Contains(rec.Body.String(), "abc") {
		t.Errorf("challenge: %s", rec.Body)
	}
	if got := w.requests(slack); len(got) > 0 {
		t.Errorf("kept: %+v", got)
	}
	meta := w.source(func(s *hark.Source) { s.Provider, s.Params = "meta", map[string]string{"verify_token": "t"} })
	rec = w.want(httptest.NewRequest("GET", path(meta)+"?hub.mode=subscribe&hub.challenge=42&hub.verify_token=t", nil), 200)
	if rec.Body.String() != "42" {
		t.Errorf("challenge: %s", rec.Body)
	}
	w.want(httptest.NewRequest("GET", path(meta)+"?hub.mode=subscribe&hub.challenge=42&hub.verify_token=wrong", nil), 405)
	xero := w.source(func(s *hark.Source) { s.Provider = "xero" })
	w.want(signed(t, "xero", "another", path(xero), []byte(`{"events":[]}`)), 401)
	if got := w.requests(xero); len(got) != 1 || got[0].Cause != hark.VerificationFailed {
		t.Errorf("a probe: %+v", got)
	}
}

func TestReceive_ASecretIsTakenOnceAndOnlyIfWanted(t *testing.T) {
	w := newWorld(t, nil)
	for _, confirm := range []bool{false, true} {
		src := w.source(func(s *hark.Source) { s.Provider, s.Secrets, s.Confirm = "asana", nil, confirm })
		offer := func(key string) *http.Request {
			r := httptest.NewRequest("POST", path(src), strings.NewReader("{}"))
			r.Header.Set("X-Hook-Secret", key)
			return r
		}
		if !confirm {
			w.want(offer("one"), 401)
			continue
		}
		if rec := w.want(offer("one"), 200); rec.Header().Get("X-Hook-Secret") != "one" {
			t.Errorf("answer: %v", rec.Header())
		}
		w.want(offer("two"), 401)
		got, err := w.store.Source(w.ctx, src.EnvironmentID, string(src.ID))
		w.ok(err)
		if len(got.Secrets) != 1 || got.Secrets[0].Key.Reveal() != "one" {
			t.Errorf("secrets: %d", len(got.Secrets))
		}
		w.want(signed(t, "asana", "one", path(src), []byte(`{"events":[{"action":"x"}]}`)), 200)
	}
}

func TestReceive_AnswersAsTheSourceSays(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(func(s *hark.Source) {
		s.Answer = &hark.SourceAnswer{Status: 202, Headers: map[string]string{"content-type": "text/xml", "X-A": "b"}, Body: "<ok/>"}
	})
	rec := w.want(signed(t, "stripe", secret, path(src), []byte("{}")), 202)
	if rec.Body.String() != "<ok/>" || rec.Header().Get("Content-Type") != "text/xml" || rec.Header().Get("X-A") != "b" {
		t.Errorf("answer: %v %s", rec.Header(), rec.Body)
	}
}

func TestReceive_LimitsAnswer429BeforeAnythingIsLost(t *testing.T) {
	w := newWorld(t, nil)
	limited := w.source(func(s *hark.Source) { s.RateLimit = 2 })
	daily := w.source(func(s *hark.Source) { s.DailyQuota = 2 })
	for _, src := range []hark.Source{limited, daily} {
		for n, status := range []int{200, 200, 429} {
			rec := w.want(signed(t, "stripe", secret, path(src), fmt.Appendf(nil, `{"id":"%d"}`, n)), status)
			if status == 429 && rec.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		if got := w.requests(src); len(got) != 3 {
			t.Errorf("kept: %d", len(got))
		}
	}
	// A change of the source does not make the limits forget, and a start asks the store.
	w.ForgetAll()
	w.want(signed(t, "stripe", secret, path(daily), []byte("{}")), 429)
	clear(w.states)
	w.ForgetAll()
	w.want(signed(t, "stripe", secret, path(daily), []byte("{}")), 429)
}

func TestReceive_AStoreThatIsAwayIsNoLostWebhook(t *testing.T) {
	away := &failing{err: &hark.Error{Code: hark.Overloaded, RetryAfter: 2 * time.Second}}
	w := newWorld(t, func(o *Options) { away.Store, o.Store = o.Store, away })
	src := w.source(nil)
	r := func() *http.Request { return signed(t, "stripe", secret, path(src), []byte(`{"id":"a"}`)) }
	for _, on := range []string{"find", "accept", "insert"} {
		away.on = on
		bad := r()
		if on == "insert" {
			bad.Header.Del("Stripe-Signature")
		}
		rec := w.want(bad, 503)
		if rec.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: Retry-After %q", on, rec.Header().Get("Retry-After"))
		}
	}
	away.on = ""
	w.want(r(), 200)
	if got := w.requests(src); len(got) != 1 {
		t.Errorf("kept: %+v", got)
	}
}

// failing is a store of which one part is away.
type failing struct {
	Store
	on  string
	err error
}

func (f *failing) SourceByToken(ctx context.Context, hash [32]byte) (hark.Source, error) {
	if f.on == "find" {
		return hark.Source{}, f.err
	}
	return f.Store.SourceByToken(ctx, hash)
}

func (f *failing) Accept(ctx context.Context, accept []*store.Acceptance) error {
	if f.on == "accept" {
		return f.err
	}
	return f.Store.Accept(ctx, accept)
}

func (f *failing) InsertRequests(ctx context.Context, requests []hark.Request) error {
	if f.on == "insert" {
		return f.err
	}
	return f.Store.InsertRequests(ctx, requests)
}

func TestReceive_ASourceThatBeginsToFailSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(nil)
	state := func() hark.Source {
		got, err := w.store.Source(w.ctx, src.EnvironmentID, string(src.ID))
		w.ok(err)
		return got
	}
	n := 0
	send := func(key string, status int) {
		t.Helper()
		n++
		w.want(signed(t, "stripe", key, path(src), fmt.Appendf(nil, `{"id":"%d"}`, n)), status)
	}
	send(secret, 200)
	send("new", 401)
	send("new", 401)
	send(secret, 200)
	send("new", 401)
	send("new", 401)
	if got := state(); !got.FailingSince.IsZero() {
		t.Errorf("too early: %v", got.FailingSince)
	}
	send("new", 401)
	if got := state(); got.FailingSince.IsZero() || got.FailingCause == "" || !strings.Contains(w.log.String(), string(src.ID)) {
		t.Errorf("failing since %v, %q, log %s", got.FailingSince, got.FailingCause, w.log)
	}
	_, err := w.store.UpdateSource(w.ctx, src.EnvironmentID, string(src.ID), func(s *hark.Source) error {
		s.Secrets = append([]hark.Secret{{Key: "new"}}, s.Secrets...)
		return nil
	})
	w.ok(err)
	w.Forget(w.app.Ref)
	send("new", 200)
	if got := state(); !got.FailingSince.IsZero() {
		t.Errorf("still failing since %v", got.FailingSince)
	}
	send(secret, 200) // the old one lives on
	if got := w.requests(src)[0]; got.Secret != 2 {
		t.Errorf("secret: %d", got.Secret)
	}
}

func TestReceive_AChangeWhileAMessageIsMatchedMatchesItAgain(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(nil)
	w.want(signed(t, "stripe", secret, path(src), []byte(`{"id":"1"}`)), 200)
	now := time.Now()
	ep, err := w.store.InsertEndpoint(w.ctx, hark.Endpoint{ID: hark.NewEndpointID(now), ApplicationRef: w.app.Ref, URL: "https://example.com", CreatedAt: now})
	w.ok(err) // and the directory has not heard of it
	w.want(signed(t, "stripe", secret, path(src), []byte(`{"id":"2"}`)), 200)
	var matched []hark.Ref // by one of the two: their ids may be of the same moment
	for _, m := range w.messages() {
		matched = append(matched, m.Matched...)
	}
	if len(matched) != 1 || matched[0] != ep.Ref {
		t.Errorf("matched: %v", matched)
	}
}

func TestAcceptByHand_MakesOneMessageHoweverOften(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(nil)
	w.want(signed(t, "stripe", "wrong", path(src), []byte(`{"id":"1","type":"a.b"}`)), 401)
	q := w.requests(src)[0]
	app, err := w.Directory.ByRef(w.ctx, w.app.Ref)
	w.ok(err)
	first, err := w.AcceptByHand(w.ctx, &q, app, time.Now())
	w.ok(err)
	again, err := w.AcceptByHand(w.ctx, &q, app, time.Now())
	w.ok(err)
	got := w.messages()
	if first != again || len(got) != 1 || got[0].ID != first || got[0].EventType != "a.b" || string(got[0].Payload) != string(q.Body) || got[0].Head == nil {
		t.Errorf("%s, %s: %+v", first, again, got)
	}
	if after := w.requests(src)[0]; after.Outcome != hark.RequestAccepted || after.MessageID != first || after.Cause != hark.VerificationFailed {
		t.Errorf("request: %+v", after)
	}
}

func TestAccept_EndpointsTellInboundMessagesApartByTheirRequest(t *testing.T) {
	w := newWorld(t, nil)
	src := w.source(func(s *hark.Source) { s.Provider, s.Unverified, s.Deduplicate.Off = "", true, true })
	now := time.Now()
	ep, err := w.store.InsertEndpoint(w.ctx, hark.Endpoint{ID: hark.NewEndpointID(now), ApplicationRef: w.app.Ref, URL: "https://example.com", CreatedAt: now,
		Rules: hark.Rules{DedupeBy: []string{"header:x-delivery", "query:page"}}})
	w.ok(err)
	w.Directory.Forget(w.app.Ref)
	send := func(delivery, query string, body string) []hark.Duplicate {
		t.Helper()
		r := httptest.NewRequest("POST", path(src)+query, strings.NewReader(body))
		r.Header.Set("X-Delivery", delivery)
		w.want(r, 200)
		q := w.requests(src)[0]
		m, err := w.store.Message(w.ctx, w.app.Ref, string(q.MessageID), false)
		w.ok(err)
		return m.Duplicates
	}
	if got := send("1", "?page=1", "{}"); got != nil {
		t.Errorf("the first: %v", got)
	}
	first := w.requests(src)[0].MessageID
	for _, test := range []struct {
		delivery, query string
		kept            bool
	}{{"1", "?page=1", true}, {"2", "?page=1", false}, {"1", "?page=2", false}, {"1", "", false}} {
		time.Sleep(2 * time.Millisecond) // so that the newest request is this one
		got := send(test.delivery, test.query, "another body")
		if kept := len(got) == 1 && got[0] == (hark.Duplicate{EndpointRef: ep.Ref, Of: first}); kept != test.kept || !kept && got != nil {
			t.Errorf("%+v: %v", test, got)
		}
	}

	// A person who accepts a request by hand means it.
	w.want(httptest.NewRequest("GET", path(src)+"?page=1", nil), 405)
	q := w.requests(src)[0]
	app, err := w.Directory.ByRef(w.ctx, w.app.Ref)
	w.ok(err)
	for range 2 {
		id, err := w.AcceptByHand(w.ctx, &q, app, time.Now())
		w.ok(err)
		m, err := w.store.Message(w.ctx, w.app.Ref, string(id), false)
		w.ok(err)
		if m.Duplicates != nil || len(m.Matched) != 1 {
			t.Errorf("by hand: %v, %v", m.Matched, m.Duplicates)
		}
	}
}

func TestTokenOf_IsOneForEachSeed(t *testing.T) {
	seen := map[string]bool{}
	for n := range 1000 {
		seed := []byte{byte(n), byte(n >> 8)}
		token := TokenOf(seed).Reveal()
		if !IsToken(token) || seen[token] || TokenOf(seed).Reveal() != token {
			t.Fatalf("seed %d: token %q", n, token)
		}
		seen[token] = true
	}
}

func TestToken_IsLongAndPlain(t *testing.T) {
	seen := map[[32]byte]bool{}
	for range 1000 {
		token := NewToken().Reveal()
		if !IsToken(token) || seen[sha256.Sum256([]byte(token))] {
			t.Fatalf("token %q", token)
		}
		seen[sha256.Sum256([]byte(token))] = true
	}
}

func TestCaller_BelievesOurOwnProxiesOnly(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	for _, test := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "198.51.100.1", "192.0.2.1"}, // anybody can write that
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:1", "nonsense", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:1", "2001:db8::1", "2001:db8::1"},
		{"@", "", "invalid IP"},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := w.Caller(r).String(); got != test.want {
			t.Errorf("%s, %q: got %s, want %s", test.peer, test.forwarded, got, test.want)
		}
	}
}
