package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	method, uri string
	header      http.Header
	body        []byte
}

func newLaptop(t *testing.T) *laptop {
	l := &laptop{t: t}
	l.local = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		l.requests = append(l.requests, received{r.Method, r.RequestURI, r.Header, body})
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
		case <-time.After(time.Minute):
			l.t.Fatal("the listener does not end")
			return listen.Tally{}
		}
	}
}

// holdFirst makes the local server hold its first answer, once it was asked, until answer is called.
func (l *laptop) holdFirst() (asked <-chan struct{}, answer func()) {
	was, held := make(chan struct{}), make(chan struct{})
	l.answer = func(n int, _ http.ResponseWriter) {
		if n == 1 {
			close(was)
			<-held
		}
	}
	return was, func() { close(held) }
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

// acknowledged waits until the server knows what became of all of a consumer's messages. What it does not know of
// comes again, to whoever listens next; and that a local server has got it does not say that it was answered.
func (s *server) acknowledged(consumer string) {
	s.t.Helper()
	until(s.t, "all is acknowledged", func() bool {
		return len(s.call("GET", "/app/a/consumer/"+consumer+"/messages?group=listen", nil)["data"].([]any)) == 0
	})
}

func TestListen_BytesHeadersAndSignaturesArriveAndAnswersAreAttempts(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	l.answer = func(n int, w http.ResponseWriter) {
		if n == 1 {
			w.Header()["X-Answer"] = []string{"1", "caf\xe9"}
			w.Header().Set("Set-Cookie", "sid=s3cr3t; Path=/")
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
	req, _ := http.NewRequestWithContext(t.Context(), "PUT", sent.URL+"/eu%2F/..?x=1&y", bytes.NewReader(sent.Body))
	req.Header = sent.Header
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != 200 {
		t.Fatalf("the source: %v %v", resp, err)
	}
	until(t, "it arrives", func() bool { return count[listen.Response](l) == 1 })
	got := l.got()[0]
	if got.method != "PUT" || got.uri != "/hook/eu%2F/..?x=1&y" {
		t.Errorf("%s %s", got.method, got.uri)
	}
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
	if attempt["responseStatusCode"] != 418.0 || attempt["response"] != "answer 1" || attempt["statusText"] != "fail" || attempt["url"] != l.local.URL+"/hook/eu%2F/..?x=1&y" {
		t.Errorf("attempt %v", attempt)
	}
	headers := attempt["responseHeaders"].(map[string]any)
	if fmt.Sprint(headers["X-Answer"], headers["Set-Cookie"]) != "[1 caf\ufffd] [sid=•••; Path=/]" || headers["Content-Type"] == nil {
		t.Errorf("its header %v", headers)
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
	s.end()
	c.Addr = fixedAddr(t)
	s = start(t, c)
	opt := l.options(s.URL(), c)
	l.local.Close()
	addr := fixedAddr(t)
	opt.ForwardTo.Host = addr
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

// thread is a proxy to a server that breaks: each connection carries some bytes, and is then cut.
type thread struct {
	net.Listener
	mu   sync.Mutex
	to   string
	left func() int
	cuts int
}

func newThread(t *testing.T, to string, left func() int) *thread {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &thread{Listener: l, to: to, left: left}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.carry(conn) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return p
}

func (p *thread) carry(conn net.Conn) {
	defer conn.Close()
	p.mu.Lock()
	to, left := p.to, p.left()
	p.mu.Unlock()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, conn)
		_ = up.Close()
	}()
	if _, err := io.CopyN(conn, up, int64(left)); err == nil {
		p.mu.Lock()
		p.cuts++
		p.mu.Unlock()
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // as a network breaks, not as a program ends
		}
	}
}

func TestListen_LosesNothingWhenTheConnectionIsCutInTheMiddle(t *testing.T) {
	t.Parallel()
	t.Run("shared", func(t *testing.T) { cutInTheMiddle(t, false) })
	t.Run("one of its own", func(t *testing.T) { cutInTheMiddle(t, true) })
}

func cutInTheMiddle(t *testing.T, alone bool) {
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	random := rand.New(rand.NewPCG(1, 2))
	p := newThread(t, s.Addr().String(), func() int { return 3_000 + random.IntN(12_000) })
	opt := l.options("http://"+p.Addr().String(), c)
	opt.FanOut = alone
	_, stop := l.listen(opt)
	l.isReady()
	const n = 60
	for i := range n {
		s.publish(i + 1)
	}
	until(t, "all came", func() bool { return slices.Contains(l.ns(), n) })
	l.inOrder(n, 0)
	until(t, "every answer is kept", func() bool {
		stats := s.call("GET", "/app/a/consumer", nil)["data"].([]any)[0].(map[string]any)
		return len(s.attempts(stats["id"].(string))) >= n
	})
	if tally := stop(); tally.Messages == 0 || tally.Messages > n || tally.Succeeded != tally.Messages { // what was cut off may be unknown yet
		t.Errorf("%+v", tally)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts < 3 {
		t.Errorf("cut %d times only", p.cuts)
	}
}

// attempts are those that are kept of a consumer, told by its messages.
func (s *server) attempts(consumer string) (all []any) {
	for _, m := range s.call("GET", "/app/a/msg?limit=250&with_content=false", nil)["data"].([]any) {
		all = append(all, s.call("GET", "/app/a/attempt/msg/"+m.(map[string]any)["id"].(string)+"?endpoint_id=", nil)["data"].([]any)...)
	}
	return all
}

func TestListen_SeveralShareOrEachGetsAll(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	first, second, third := newLaptop(t), newLaptop(t), newLaptop(t)
	acknowledged := func() { t.Helper(); s.acknowledged("listen-laptop-1") }
	_, stopFirst := first.listen(first.options(s.URL(), c))
	first.isReady()
	s.publish(1)
	until(t, "the first gets it", func() bool { return len(first.got()) == 1 })
	acknowledged() // what is not goes to who takes the turn
	_, stopSecond := second.listen(second.options(s.URL(), c))
	second.isReady()
	alone := third.options(s.URL(), c)
	alone.FanOut = true
	_, stopThird := third.listen(alone)
	third.isReady()
	s.publish(2)
	until(t, "the second gets it", func() bool { return len(second.got()) == 1 })
	until(t, "the first stands by", func() bool { return count[listen.Standby](first) == 1 })
	acknowledged()
	stopSecond()
	until(t, "the first goes on", func() bool { return count[listen.Ready](first) == 2 })
	s.publish(3)
	until(t, "the first gets it", func() bool { return len(first.got()) == 2 })
	until(t, "one of its own gets all", func() bool { return len(third.got()) == 2 })
	acknowledged()
	if got := [][]int{first.ns(), second.ns(), third.ns()}; !slices.Equal(got[0], []int{1, 3}) || !slices.Equal(got[1], []int{2}) || !slices.Equal(got[2], []int{2, 3}) {
		t.Errorf("%v", got)
	}
	stopFirst()
	stopThird()
	// Where it stopped; then now, and from a time on.
	s.publish(4)
	fourth := newLaptop(t)
	_, stop := fourth.listen(fourth.options(s.URL(), c))
	until(t, "what waited", func() bool { return slices.Equal(fourth.ns(), []int{4}) })
	stop()
	s.publish(5)
	live := fourth.options(s.URL(), c)
	live.From = "end"
	until(t, "it is fed", func() bool { // so that it is before the end
		return len(s.call("GET", "/app/a/consumer/listen-laptop-1/messages", nil)["data"].([]any)) == 5
	})
	before := count[listen.Ready](fourth)
	_, stop = fourth.listen(live)
	until(t, "it listens", func() bool { return count[listen.Ready](fourth) > before })
	s.publish(6)
	until(t, "what is new", func() bool { return slices.Equal(fourth.ns(), []int{4, 6}) })
	stop()
	again := fourth.options(s.URL(), c)
	again.From = "start"
	_, stop = fourth.listen(again)
	until(t, "all of it again", func() bool { return slices.Equal(fourth.ns(), []int{4, 6, 1, 2, 3, 4, 5, 6}) })
	stop()
}

func TestListen_WhoEndsItHasWhatWasUnderWayAnsweredAndNothingMore(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	asked, answer := l.holdFirst()
	one, err := listen.New(l.options(s.URL(), c))
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	var tally listen.Tally
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tally, err = one.Run(ctx)
	}()
	l.isReady()
	s.publish(1)
	s.publish(2)
	<-asked
	interrupt()
	answer()
	<-ended
	if want := (listen.Tally{Messages: 1, Succeeded: 1}); err != nil || tally != want {
		t.Errorf("%v: %+v, want %+v", err, tally, want)
	}
	_, stop := l.listen(l.options(s.URL(), c))
	until(t, "the other", func() bool { return len(l.ns()) > 1 })
	if stop(); !slices.Equal(l.ns(), []int{1, 2}) {
		t.Errorf("%v came, and nothing twice", l.ns())
	}
}

func TestListen_EndsAlthoughTheLocalServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	asked, answer := l.holdFirst()
	_, stop := l.listen(l.options(s.URL(), c))
	l.isReady()
	s.publish(1)
	<-asked
	if tally := stop(); tally != (listen.Tally{}) {
		t.Errorf("%+v", tally)
	}
	answer()
	_, stop = l.listen(l.options(s.URL(), c))
	until(t, "it comes again", func() bool { return slices.Equal(l.ns(), []int{1, 1}) })
	stop()
}

func TestListen_SaysWhatIsGoneAndTouchesNobodyElses(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	s.call("POST", "/app/a/consumer", map[string]any{"uid": "listen-other", "eventTypes": []string{"x.y"}})
	src := s.call("POST", "/source", map[string]any{"provider": "github", "secret": "s3cr3t", "uid": "theirs", "applicationId": "a"})
	l := newLaptop(t)
	opt := l.options(s.URL(), c)
	opt.EventTypes = []string{"a.b"}
	one, err := listen.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	before, err := one.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := s.publish(1)
	s.publish(2)
	until(t, "they are fed", func() bool {
		return len(s.call("GET", "/app/a/consumer/"+string(before.ConsumerID)+"/messages", nil)["data"].([]any)) == 2
	})
	s.call("DELETE", "/app/a/msg/"+first+"/content", nil)
	_, stop := l.listen(opt)
	until(t, "the other one", func() bool { return slices.Equal(l.ns(), []int{2}) })
	for n := range 40 { // the server sends the last of them when the listener has heard that it knows of the first
		s.publish(3 + n)
	}
	until(t, "all others", func() bool { return slices.Contains(l.ns(), 42) })
	if tally := stop(); tally.Gone != 1 || count[listen.Gap](l) != 1 {
		t.Errorf("%+v, %d gaps", tally, count[listen.Gap](l))
	}
	after, err := one.Prepare(t.Context())
	if err != nil || before != after || before.Secret == "" || before.URL == "" {
		t.Errorf("%v: %+v, then %+v", err, before, after)
	}
	if got := s.call("GET", "/app/a/consumer/listen-other", nil)["eventTypes"].([]any); len(got) != 1 || got[0] != "x.y" {
		t.Errorf("another's consumer: %v", got)
	}
	if got := s.call("GET", "/source/theirs", nil); got["url"] != src["url"] || got["updatedAt"] != src["updatedAt"] {
		t.Errorf("another's source: %v", got)
	}
}

func TestListen_GoesOnWithAConsumerThatWasDeletedAndEndsWithAKeyThatWas(t *testing.T) {
	t.Parallel()
	s, c := listenTo(t)
	defer s.end()
	l := newLaptop(t)
	key := s.call("POST", "/key", map[string]any{"name": "mine", "scope": "admin"})
	opt := l.options(s.URL(), c)
	opt.Key = key["key"].(string)
	one, err := listen.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _, err := one.Run(ctx); ended <- err }()
	l.isReady()
	s.call("DELETE", "/app/a/consumer/listen-laptop-1", nil)
	s.publish(1) // nobody's: it makes the server look
	until(t, "it has another", func() bool {
		s.publish(2)
		return len(l.got()) > 0
	})
	s.call("DELETE", "/key/"+key["id"].(string), nil)
	select {
	case err := <-ended:
		if e, ok := errors.AsType[*listen.APIError](err); !ok || e.Status != http.StatusUnauthorized {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on without a key")
	}
}

func TestCluster_ListenWorksAtAnyNodeAndFollowsToAnother(t *testing.T) {
	t.Parallel()
	c := database(t)
	a, b := start(t, c), start(t, c)
	shared(t, a, b)
	a.call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	l, other := newLaptop(t), newLaptop(t)
	p := newThread(t, a.Addr().String(), func() int { return 1 << 30 })
	_, stop := l.listen(l.options("http://"+p.Addr().String(), c))
	l.isReady()
	for n := range 30 {
		[]*server{a, b}[n%2].publish(n + 1)
	}
	until(t, "all came", func() bool { return len(l.got()) == 30 })
	p.mu.Lock()
	p.to = b.Addr().String()
	p.mu.Unlock()
	for n := range 30 {
		b.publish(31 + n)
	}
	a.end()
	until(t, "the others came, from the other node", func() bool { return len(l.got()) >= 60 })
	got := l.ns()
	slices.Sort(got)
	if len(slices.Compact(got)) != 60 {
		t.Errorf("%v", got)
	}
	until(t, "it is connected to the other node", func() bool { return count[listen.Ready](l) >= 2 }) // who connects last has the turn
	a = start(t, c)
	_, stopOther := other.listen(other.options(a.URL(), c)) // at another node
	other.isReady()
	a.publish(61)
	// What was under way when it took the turn may come to it, too.
	until(t, "the newest gets it", func() bool { return slices.Contains(other.ns(), 61) })
	until(t, "the old one stands by", func() bool { return count[listen.Standby](l) >= 1 })
	stopOther()
	a.publish(62)
	until(t, "the old one goes on", func() bool { return slices.Contains(l.ns(), 62) })
	stop()
	a.end()
	b.end()
}
