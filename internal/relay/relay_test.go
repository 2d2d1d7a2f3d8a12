package relay_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/harkhq/hark/internal/ingest"
	"github.com/harkhq/hark/internal/relay"
)

const token = "c_0aZ9bY8cX7"

func start(t *testing.T, o relay.Options) (*relay.Relay, string) {
	t.Helper()
	r := relay.New(o)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.Takes(req) {
			http.NotFound(w, req)
			return
		}
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(func() { r.Stop(); server.Close() })
	return r, server.URL
}

// dial connects and says start; it answers the first answer, or what the connection was closed with.
func dial(t *testing.T, url, token string) (*websocket.Conn, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(url, "http")+relay.ListenPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(4 << 20)
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"type":"start","version":1,"data":{"token":"`+token+`"}}`)); err != nil {
		t.Fatal(err)
	}
	_, text, err := conn.Read(ctx)
	return conn, string(text), err
}

func connected(t *testing.T, url, token string) *websocket.Conn {
	t.Helper()
	conn, text, err := dial(t, url, token)
	if want := `{"type":"start","version":1,"data":{"token":"` + token + `"}}`; err != nil || text != want {
		t.Fatalf("start: %q, %v, want %q", text, err, want)
	}
	return conn
}

// event is what a client gets.
type event struct {
	Type    string
	Version int
	Data    struct {
		ID, Method, Body string
		Headers          map[string]string
	}
}

func next(t *testing.T, conn *websocket.Conn) event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, text, err := conn.Read(ctx)
	if err != nil {
		t.Error(err)
		return event{}
	}
	var e event
	if err := json.Unmarshal(text, &e); err != nil || e.Type != "event" || e.Version != 1 {
		t.Errorf("%s: %v", text, err)
	}
	return e
}

func reply(t *testing.T, conn *websocket.Conn, id string, status int, headers, body string) {
	t.Helper()
	text := fmt.Sprintf(`{"type":"event","version":1,"data":{"id":%q,"status":%d,"headers":%s,"body":%q}}`, id, status, headers, base64.StdEncoding.EncodeToString([]byte(body)))
	if err := conn.Write(t.Context(), websocket.MessageBinary, []byte(text)); err != nil {
		t.Error(err)
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func post(t *testing.T, url string, body []byte) answer {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Signature", "abc")
	req.Header["X-Twice"] = []string{"a", "b"}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func TestRelay_HandsRequestsOverAndAnswersBack(t *testing.T) {
	_, url := start(t, relay.Options{})
	conn := connected(t, url, token)
	body := []byte("bytes \x00\xff\r\n")
	got := make(chan answer, 1)
	go func() { got <- post(t, url+"/in/"+token+"/any/path?q=1", body) }()
	e := next(t, conn)
	if sent, err := base64.StdEncoding.DecodeString(e.Data.Body); err != nil || !bytes.Equal(sent, body) || e.Data.Method != http.MethodPost {
		t.Errorf("event: %+v", e)
	}
	want := map[string]string{"X-Signature": "abc", "X-Twice": "a, b", "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
	if diff := cmp.Diff(want, e.Data.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	reply(t, conn, e.Data.ID, 202, `{"content-type":"text/html","x-hook-secret":"s","set-cookie":"a=b","location":"https://evil.example","x-accel-redirect":"/etc","content-security-policy":"none"}`, "<script>")
	a := <-got
	if a.status != 202 || a.body != "<script>" || a.header.Get("Content-Type") != "text/html" || a.header.Get("X-Hook-Secret") != "s" {
		t.Errorf("answer: %+v", a)
	}
	for _, name := range []string{"Set-Cookie", "Location", "X-Accel-Redirect"} {
		if a.header.Get(name) != "" {
			t.Errorf("%s was passed on", name)
		}
	}
	if a.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a stranger's page could act: %v", a.header)
	}
}

func TestRelay_AcknowledgesNothingThatIsLost(t *testing.T) {
	_, impatient := start(t, relay.Options{Wait: 200 * time.Millisecond})
	_, url := start(t, relay.Options{})
	in := url + "/in/" + token
	lost := func(name string, a answer, status int) {
		t.Helper()
		if a.status != status || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	lost("nobody listens", post(t, in, nil), http.StatusServiceUnavailable)
	slow := connected(t, impatient, token)
	lost("no answer", post(t, impatient+"/in/"+token, nil), http.StatusGatewayTimeout)
	reply(t, slow, next(t, slow).Data.ID, 200, `{}`, "too late") // is for nobody
	lost("no answer again", post(t, impatient+"/in/"+token, nil), http.StatusGatewayTimeout)

	conn := connected(t, url, token)
	got := make(chan answer, 1)
	go func() { got <- post(t, in, nil) }()
	e := next(t, conn)
	reply(t, conn, e.Data.ID, 99, `{}`, "")
	lost("no status", <-got, http.StatusBadGateway)

	go func() { got <- post(t, in, nil) }()
	next(t, conn)
	_ = conn.CloseNow()
	lost("the client left", <-got, http.StatusServiceUnavailable)
	until(t, "nobody is connected", func() bool { // the server notices in its own time
		return strings.Contains(post(t, in, nil).body, "Nobody listens")
	})
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func TestRelay_TokenHasOneListener(t *testing.T) {
	_, url := start(t, relay.Options{})
	conn := connected(t, url, token)
	go func() { // alive: whoever reads also answers pings
		for {
			if _, _, err := conn.Read(t.Context()); err != nil {
				return
			}
		}
	}()
	_, _, err := dial(t, url, token)
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation || !strings.Contains(err.Error(), "This socket is already in use") {
		t.Errorf("the second: %v", err)
	}
	connected(t, url, "c_1111111111") // another's token is free
	_ = conn.Close(websocket.StatusNormalClosure, "")
	until(t, "the token is free again", func() bool {
		_, _, err := dial(t, url, token)
		return err == nil
	})
}

func TestRelay_SleeperGetsItsTokenBack(t *testing.T) {
	_, url := start(t, relay.Options{})
	connected(t, url, token) // and is not heard of again: it does not read, so it answers no ping
	began := time.Now()
	conn := connected(t, url, token)
	if took := time.Since(began); took > 15*time.Second { // long before it is pinged anyway
		t.Errorf("it took %s", took)
	}
	got := make(chan answer, 1)
	go func() { got <- post(t, url+"/in/"+token+"/", nil) }()
	e := next(t, conn)
	reply(t, conn, e.Data.ID, 200, `{}`, "")
	if a := <-got; a.status != 200 {
		t.Errorf("answer: %+v", a)
	}
}

func TestRelay_PingsItsClients(t *testing.T) {
	_, url := start(t, relay.Options{Ping: 20 * time.Millisecond})
	pinged := make(chan struct{}, 100)
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+relay.ListenPath, &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	_ = conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"start","data":{"token":"`+token+`"}}`))
	go func() { _, _, _ = conn.Read(t.Context()); _, _, _ = conn.Read(t.Context()) }()
	for range 3 {
		select {
		case <-pinged:
		case <-time.After(time.Minute):
			t.Fatal("no ping")
		}
	}
}

func TestRelay_IsBounded(t *testing.T) {
	r, url := start(t, relay.Options{Caller: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") }})
	conn := connected(t, url, token)
	if a := post(t, url+"/in/"+token, make([]byte, 1<<20+1)); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", a.status)
	}
	var wg sync.WaitGroup
	go func() {
		for {
			_, text, err := conn.Read(t.Context())
			if err != nil {
				return
			}
			var e event
			_ = json.Unmarshal(text, &e)
			reply(t, conn, e.Data.ID, 200, `{}`, "")
		}
	}()
	limited := make(chan bool, 300)
	began := time.Now()
	for range 200 {
		wg.Go(func() { limited <- post(t, url+"/in/"+token, nil).status == http.StatusTooManyRequests })
	}
	wg.Wait()
	close(limited)
	n := 0
	for l := range limited {
		if l {
			n++
		}
	}
	refilled := int(20 * time.Since(began).Seconds()) // a slow machine gives the limit time
	if n < 50-refilled || n > 140 {
		t.Errorf("%d of 200 at once were refused, while %d were allowed", n, refilled)
	}
	for i := range 19 {
		connected(t, url, fmt.Sprintf("c_00000000%02d", i))
	}
	resp, err := http.Get(url + relay.ListenPath)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the 21st socket of an address: %d", resp.StatusCode)
	}
	r.Stop()
	until(t, "nobody listens after the stop", func() bool {
		return strings.Contains(post(t, url+"/in/"+token, nil).body, "Nobody listens")
	})
}

func TestRelay_RefusesWhatIsNoClient(t *testing.T) {
	_, url := start(t, relay.Options{})
	for _, token := range []string{"", "c_", "c_123456789", "c_12345678901", "c_123456789-", "1234567890", "c_123456789ä"} {
		if _, text, err := dial(t, url, token); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%q: %q, %v", token, text, err)
		}
	}
	// A page in somebody's browser is no client.
	_, resp, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+relay.ListenPath, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page of another origin: %v", err)
	}
	conn := connected(t, url, token)
	for _, text := range []string{"", "{", `{"type":"event"}`, `{"type":"event","data":{"id":"nobody's","status":200}}`, `[1]`, `{"type":"start","data":{"token":"c_other56789"}}`} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan answer, 1)
	go func() { got <- post(t, url+"/in/"+token, nil) }()
	reply(t, conn, next(t, conn).Data.ID, 200, `{}`, "still here")
	if a := <-got; a.body != "still here" {
		t.Errorf("answer: %+v", a)
	}
}

func TestIsToken_SourcesTokensAreOthers(t *testing.T) {
	if !relay.IsToken(token) || ingest.IsToken(token) {
		t.Error("a client's token")
	}
	for range 100 {
		if source := string(ingest.NewToken()); relay.IsToken(source) {
			t.Errorf("a source's token is taken for a client's: %s", source)
		}
	}
}
