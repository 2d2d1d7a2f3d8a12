package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/listen"
	"github.com/harkhq/hark/webhook"
)

// laptop is a machine with a local server, and what its listener tells.
type laptop struct {
	t      *testing.T
	local  *httptest.Server
	answer func(n int, w http.ResponseWriter)

	mu       sync.Mutex
	requests []received
	events   []listen.Event
}

type received struct {
	header http.Header
	body   []byte
}

func newLaptop(t *testing.T) *laptop {
	l := &laptop{t: t}
	l.local = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		l.requests = append(l.requests, received{r.Header, body})
		n := len(l.requests)
		l.mu.Unlock()
		if l.answer != nil {
			l.answer(n, w)
		}
	}))
	t.Cleanup(l.local.Close)
	return l
}

// options are those of a listener to application a.
func (l *laptop) options(server string, c config.Config) listen.Options {
	target, err := url.Parse(l.local.URL + "/hook")
	if err != nil {
		l.t.Fatal(err)
	}
	return listen.Options{
		Server: server, Key: c.BootstrapKey.Reveal(), Machine: "laptop-1", Application: "a", ForwardTo: target,
		Emit: func(e listen.Event) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, e)
		},
	}
}

// listen runs a listener until stop is called.
func (l *laptop) listen(opt listen.Options) (_ *listen.Listener, stop func() listen.Tally) {
	l.t.Helper()
	one, err := listen.New(opt)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.t.Cleanup(cancel)
	done := make(chan listen.Tally, 1)
	go func() {
		tally, err := one.Run(ctx)
		if err != nil {
			l.t.Errorf("Run: %v", err)
		}
		done <- tally
	}()
	return one, func() listen.Tally {
		cancel()
		select {
		case tally := <-done:
			return tally
		case <-time.After(10 * time.Second):
			l.t.Fatal("the listener does not end")
			return listen.Tally{}
		}
	}
}

func (l *laptop) got() []received {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.requests)
}

// count counts the events of a type.
func count[E listen.Event](l *laptop) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

func (l *laptop) isReady() {
	until(l.t, "a connection", func() bool { return count[listen.Ready](l) > 0 })
}

// listenTo is a server with application a.
func listenTo(t *testing.T) (*server, config.Config) {
	c := defaults(t)
	s := start(t, c)
	s.call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	return s, c
}

func (s *server) publish(n int) string {
	s.t.Helper()
	return s.call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]int{"n": n}})["id"].(string)
}

func TestListen_BytesHeadersAndSignaturesArriveAndAnswersAreAttempts(t *testing.T) {
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	l.answer = func(n int, w http.ResponseWriter) {
		if n == 1 {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprintf(w, "answer %d", n)
	}
	const secret = "whsec_provider"
	src := s.call("POST", "/source", map[string]any{"provider": "stripe", "secret": secret, "uid": "pay", "applicationId": "a"})
	one, stop := l.listen(l.options(s.URL(), c))
	l.isReady()

	signer, err := webhook.NewSigner("stripe", webhook.Options{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := signer.Sign(webhook.Request{Method: "POST", URL: src["url"].(string), Header: http.Header{"X-Many": {"2", "1"}, "X-Odd": {"caf\xe9"}},
		Body: []byte("{\n  \"id\": \"evt_1\",\t\"type\":\"charge.succeeded\", \"\\u00e9\": 1.0}\n")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", sent.URL, bytes.NewReader(sent.Body))
	req.Header = sent.Header
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != 200 {
		t.Fatalf("the source: %v %v", resp, err)
	}
	until(t, "it arrives", func() bool { return count[listen.Response](l) == 1 })
	got := l.got()[0]
	if !bytes.Equal(got.body, sent.Body) {
		t.Errorf("body %q", got.body)
	}
	if !slices.Equal(got.header["X-Many"], []string{"2", "1"}) || got.header.Get("X-Odd") != "caf\xe9" {
		t.Errorf("headers %v", got.header)
	}
	l.verifies("stripe", secret, got)
	session, err := one.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.verifies(webhook.StandardWebhooks, session.Secret, got)

	id := got.header.Get("Webhook-Id")
	var attempt map[string]any
	until(t, "the attempt is kept", func() bool {
		all := s.call("GET", "/app/a/attempt/msg/"+id, nil)["data"].([]any)
		if len(all) == 1 {
			attempt = all[0].(map[string]any)
		}
		return len(all) == 1
	})
	if attempt["responseStatusCode"] != 418.0 || attempt["response"] != "answer 1" || attempt["statusText"] != "fail" || attempt["url"] != l.local.URL+"/hook" {
		t.Errorf("attempt %v", attempt)
	}
	if state := s.call("GET", "/app/a/msg/"+id+"/endpoint", nil)["data"].([]any)[0].(map[string]any); state["statusText"] != "fail" {
		t.Errorf("delivery %v", state)
	}

	// By hand: the same again, which is an attempt, and another body, which is none.
	var m *listen.Message
	for _, e := range l.told() {
		if e, ok := e.(listen.Message); ok {
			m = &e
		}
	}
	if r, err := one.Retry(t.Context(), m); err != nil || !r.OK() {
		t.Fatalf("retry: %v %v", r, err)
	}
	if r, err := one.Resend(t.Context(), m, []byte(`{"edited":true}`)); err != nil || !r.OK() || r.Message.ID == m.ID {
		t.Fatalf("edited: %v %v", r, err)
	}
	until(t, "the retry is kept", func() bool {
		return len(s.call("GET", "/app/a/attempt/msg/"+id, nil)["data"].([]any)) == 2
	})
	l.verifies("stripe", secret, l.got()[1])
	l.verifies(webhook.StandardWebhooks, session.Secret, l.got()[1])
	l.verifies(webhook.StandardWebhooks, session.Secret, l.got()[2])
	if state := s.call("GET", "/app/a/msg/"+id+"/endpoint", nil)["data"].([]any)[0].(map[string]any); state["statusText"] != "success" {
		t.Errorf("delivery after the retry %v", state)
	}
	if tally := stop(); tally.Messages != 1 || tally.Succeeded != 0 {
		t.Errorf("%+v", tally)
	}
}

// verifies checks a signature on what has come.
func (l *laptop) verifies(provider, secret string, got received) {
	l.t.Helper()
	v, err := webhook.NewVerifier(provider, webhook.Options{Secrets: []string{secret}})
	if err != nil {
		l.t.Fatal(err)
	}
	if verdict := v.Verify(l.t.Context(), webhook.Request{Method: "POST", Header: got.header, Body: got.body}, time.Now()); !verdict.OK() {
		l.t.Errorf("%s: %+v", provider, verdict)
	}
}

func (l *laptop) told() []listen.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

// ns are the numbers of the messages that have come.
func (l *laptop) ns() (ns []int) {
	for _, r := range l.got() {
		var body struct{ N int }
		_ = json.Unmarshal(r.body, &body)
		ns = append(ns, body.N)
	}
	return ns
}

// inOrder checks that the messages 1 to n have come in their order, and each once but for those that were
// under way when something broke, which may come twice.
func (l *laptop) inOrder(n, twice int) {
	l.t.Helper()
	got := l.ns()
	once := slices.Clone(got)
	slices.Sort(once)
	once = slices.Compact(once)
	if len(once) != n || once[0] != 1 || once[n-1] != n {
		l.t.Errorf("%d of %d came: %v", len(once), n, got)
	}
	if len(got)-n > twice {
		l.t.Errorf("%d came again, want %d at most", len(got)-n, twice)
	}
	most := 0
	for _, m := range got {
		if m > most+1 {
			l.t.Errorf("%d came after %d", m, most)
		}
		most = max(most, m)
	}
}

func TestListen_LosesNothingWhenTheServerRestartsAndWhileTheLocalOneIsDown(t *testing.T) {
	s, c := listenTo(t)
	l := newLaptop(t)
	free, err := net.Listen("tcp", "127.0.0.1:0") // an address that stays the server's
	if err != nil {
		t.Fatal(err)
	}
	s.end()
	c.Addr = free.Addr().String()
	_ = free.Close()
	s = start(t, c)
	opt := l.options(s.URL(), c)
	addr := l.local.Listener.Addr().String()
	l.local.Close()
	_, stop := l.listen(opt)
	l.isReady()
	for n := range 40 {
		s.publish(n + 1)
	}
	until(t, "it says that nothing listens", func() bool { return count[listen.Waiting](l) == 1 })
	s.end() // while one is held
	s = start(t, c)
	for n := range 20 {
		s.publish(41 + n)
	}
	back, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: l.local.Config.Handler}
	go func() { _ = local.Serve(back) }()
	defer local.Close()
	for round := range 3 {
		until(t, "some came", func() bool { return len(l.got()) >= 20*(round+1)+5 })
		for n := range 20 {
			s.publish(61 + 20*round + n)
		}
		s.end() // while some are under way
		s = start(t, c)
	}
	until(t, "all came", func() bool { return slices.Contains(l.ns(), 120) })
	l.inOrder(120, 0) // what was answered is not asked again, whether or not the server had heard
	stop()
	if n := count[listen.Waiting](l); n != 1 {
		t.Errorf("%d times it was said that nothing listens", n)
	}
	s.end()
}
