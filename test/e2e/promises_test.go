package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/harkhq/hark/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long a test waits for what should take milliseconds: the machine is shared.
const patience = 10 * time.Second

type object = map[string]any

// TestPromise01_DurableBefore2xx kills the server the moment a publish has been answered, while its
// endpoint's receiver is down, and expects the message, whole, from the next server.
func TestPromise01_DurableBefore2xx(t *testing.T) {
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/data"
	var app, id string
	s := harness.RunWith(t, harness.Options{Dir: dir})
	sink := harness.NewSink(t, nil)
	app = s.Client().Application(t, "durable")
	down := s.Client().Endpoint(t, app, "http://"+addr+"/down", object{"retrySchedule": []float64{1, 1, 1, 1}})
	for n := range 5 {
		id = s.Client().Publish(t, app, "kept.safe", object{"n": n})
		s.Kill()
		s = harness.RunWith(t, harness.Options{Dir: dir})
	}
	c := s.Client()
	var m struct{ Payload object }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/msg/"+id, nil, &m)
	if m.Payload["n"] != 4.0 {
		t.Errorf("payload after the crash is %v", m.Payload)
	}
	c.Call(t, http.StatusOK, http.MethodPatch, "/api/v1/app/"+app+"/endpoint/"+down, object{"url": sink.URL + "/up"}, nil)
	got := map[string]bool{}
	harness.Eventually(t, patience, func() error {
		for _, a := range sink.Arrivals("/up") {
			got[a.ID] = true
		}
		if len(got) != 5 {
			return fmt.Errorf("%d of 5 acknowledged messages were delivered", len(got))
		}
		return nil
	})
}

// TestPromise02_AtLeastOnceUntilItSucceeds has one endpoint fail twice beside one that answers at
// once. Every attempt has the same id, a timestamp of its own, and a signature that verifies.
func TestPromise02_AtLeastOnceUntilItSucceeds(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if a.Path == "/flaky" && a.Nth < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	app := c.Application(t, "at least once")
	steady := c.Endpoint(t, app, sink.URL+"/steady", nil)
	flaky := c.Endpoint(t, app, sink.URL+"/flaky", object{"retrySchedule": []float64{1.1, 0.1}})
	id := c.Publish(t, app, "invoice.paid", object{"id": "in_1"})
	tries := sink.Wait(t, "/flaky", 3, patience)
	sink.Wait(t, "/steady", 1, patience)
	key, err := standardwebhooks.NewWebhook(c.Secret(t, app, flaky))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range tries {
		if a.ID != id {
			t.Errorf("attempt %d has id %s, want %s", i+1, a.ID, id)
		}
		if err := key.Verify(a.Body, a.Header); err != nil {
			t.Errorf("attempt %d: %v", i+1, err)
		}
		if string(a.Body) != `{"id":"in_1"}` {
			t.Errorf("attempt %d has body %s", i+1, a.Body)
		}
	}
	if first, last := tries[0].Header.Get("webhook-timestamp"), tries[2].Header.Get("webhook-timestamp"); first == last {
		t.Errorf("attempts over a second apart have one timestamp, %s", first)
	}
	harness.Eventually(t, patience, func() error {
		codes := codesOf(c.Attempts(t, app, flaky, ""))
		if !slices.Equal(codes, []int{200, 503, 503}) {
			return fmt.Errorf("attempts are recorded as %v", codes)
		}
		return nil
	})
	if codes := codesOf(c.Attempts(t, app, steady, "")); !slices.Equal(codes, []int{200}) {
		t.Errorf("the steady endpoint's attempts are %v", codes)
	}
}

func codesOf(attempts []harness.Attempt) (codes []int) {
	for _, a := range attempts {
		codes = append(codes, a.ResponseStatusCode)
	}
	return codes
}

// TestPromise03_NothingVanishes publishes what nobody wants and what nobody can take, and finds
// all of it, with the reason.
func TestPromise03_NothingVanishes(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) { w.WriteHeader(http.StatusTeapot) })
	app := c.Application(t, "nothing vanishes")
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/event-type", object{"name": "wanted", "description": "x"}, nil)
	picky := c.Endpoint(t, app, sink.URL+"/picky", object{"eventTypes": []string{"wanted"}, "retrySchedule": []float64{0.05}})
	off := c.Endpoint(t, app, sink.URL+"/off", object{"disabled": true})
	lonely := c.Publish(t, app, "unwanted", object{"a": 1})
	time.Sleep(10 * time.Millisecond) // ids sort by time with a grain of 4 ms
	hopeless := c.Publish(t, app, "wanted", object{"a": 2})

	var trace struct {
		Endpoints []struct {
			EndpointID string
			Matched    bool
			Disabled   bool
			Clause     string
		}
	}
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/msg/"+lonely+"/trace", nil, &trace)
	for _, e := range trace.Endpoints {
		if e.Matched || e.EndpointID == picky && e.Clause != "eventTypes" || e.EndpointID == off && !e.Disabled {
			t.Errorf("the trace says %+v", e)
		}
	}
	if len(trace.Endpoints) != 2 {
		t.Errorf("the trace names %d endpoints, want 2", len(trace.Endpoints))
	}
	harness.Eventually(t, patience, func() error { // tried twice, then failed for good, and findable as that
		attempts := c.Attempts(t, app, picky, "&status=2")
		if len(attempts) != 1 || attempts[0].MsgID != hopeless || attempts[0].ResponseStatusCode != http.StatusTeapot {
			return fmt.Errorf("failed attempts are %+v", attempts)
		}
		return nil
	})
	var list struct{ Data []struct{ ID string } }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/msg", nil, &list)
	if len(list.Data) != 2 || list.Data[0].ID != hopeless || list.Data[1].ID != lonely {
		t.Errorf("the messages are %+v", list.Data)
	}
	// Nor does what an endpoint missed: it can be sent later.
	c.Call(t, http.StatusOK, http.MethodPatch, "/api/v1/app/"+app+"/endpoint/"+off, object{"disabled": false}, nil)
	c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/endpoint/"+off+"/replay-missing", object{"since": time.Now().Add(-time.Hour)}, nil)
	sink.Wait(t, "/off", 2, patience)
}

// TestPromise04_IdempotentPublish sends one publish many times: at once, again, and after a crash.
func TestPromise04_IdempotentPublish(t *testing.T) {
	dir := t.TempDir() + "/data"
	s := harness.RunWith(t, harness.Options{Dir: dir})
	sink := harness.NewSink(t, nil)
	app := s.Client().Application(t, "idempotent")
	s.Client().Endpoint(t, app, sink.URL+"/x", nil)
	path := "/api/v1/app/" + app + "/msg"
	send := func(c *harness.Client, key, body string) (int, string) {
		header := http.Header{}
		if key != "" {
			header.Set("Idempotency-Key", key)
		}
		status, _, answer, err := c.Raw(t.Context(), http.MethodPost, path, strings.NewReader(body), header)
		if err != nil {
			t.Error(err)
		}
		return status, string(answer)
	}
	const keyed = `{"eventType":"a.b","payload":{"n":1}}`
	const named = `{"eventType":"a.b","eventId":"order-7","payload":{"n":2}}`
	c := s.Client()
	var mu sync.Mutex
	answers := map[string]int{}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, one := send(c, "key-1", keyed)
			_, two := send(c, "", named)
			mu.Lock()
			defer mu.Unlock()
			answers[idIn(one)]++
			answers[idIn(two)]++
		})
	}
	wg.Wait()
	if len(answers) != 2 {
		t.Errorf("64 publishes of two messages were answered with %v", answers)
	}
	s.Kill()
	c = harness.RunWith(t, harness.Options{Dir: dir}).Client()
	for _, again := range []struct{ key, body string }{{"key-1", keyed}, {"", named}} {
		if _, answer := send(c, again.key, again.body); answers[idIn(answer)] == 0 {
			t.Errorf("after a crash, %s is answered %s", again.body, answer)
		}
	}
	if status, answer := send(c, "key-1", `{"eventType":"a.b","payload":{"n":9}}`); status/100 != 4 {
		t.Errorf("the same key with another body = %d %s, want a refusal", status, answer)
	}
	var list struct{ Data []struct{ ID string } }
	c.Call(t, http.StatusOK, http.MethodGet, path, nil, &list)
	if len(list.Data) != 2 {
		t.Errorf("%d messages are stored, want 2", len(list.Data))
	}
}

// idIn is the message id that an answer names, as the message or as what is there already.
func idIn(answer string) string {
	_, rest, ok := strings.Cut(answer, `"msg_`)
	if !ok {
		return answer
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// TestPromise05_NobodyElsesTrouble floods an endpoint that hangs, and another application of the
// same environment goes on as if nothing were.
func TestPromise05_NobodyElsesTrouble(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(release)
	sink := harness.NewSink(t, nil)
	noisy, quiet := c.Application(t, "noisy"), c.Application(t, "quiet")
	c.Endpoint(t, noisy, hanging.URL, nil)
	c.Endpoint(t, noisy, sink.URL+"/neighbour", nil)
	c.Endpoint(t, quiet, sink.URL+"/quiet", nil)
	batch := object{"messages": slices.Repeat([]object{{"eventType": "a.b", "payload": object{"n": 1}}}, 1000)}
	for range 5 {
		c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+noisy+"/msg/batch", batch, nil)
	}
	for n := range 20 {
		began := time.Now()
		c.Publish(t, quiet, "a.b", object{"n": n})
		sink.Wait(t, "/quiet", n+1, patience)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("message %d of the quiet application took %v", n, took)
		}
	}
	sink.Wait(t, "/neighbour", 5000, 2*patience)
}

// TestPromise06_OrderWhenAsked fails a message in the middle of a line. Behind it nothing moves,
// and nothing overtakes; a line of another key goes on.
func TestPromise06_OrderWhenAsked(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if bytes.Contains(a.Body, []byte(`"stuck":true`)) && a.Nth < 4 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	app := c.Application(t, "ordered")
	retries := []float64{0.1, 0.2, 0.3, 0.3}
	c.Endpoint(t, app, sink.URL+"/line", object{"ordering": "endpoint", "retrySchedule": retries})
	c.Endpoint(t, app, sink.URL+"/keys", object{"ordering": "/customer", "retrySchedule": retries})
	var ids []string
	for n := range 20 {
		ids = append(ids, c.Publish(t, app, "a.b", object{"n": n, "stuck": n == 5, "customer": n % 2}))
	}
	line := sink.Wait(t, "/line", 23, patience) // twenty and three failures
	if got := firsts(line); !slices.Equal(got, ids) {
		t.Errorf("the line came in the order %v, want %v", positions(got, ids), "0 … 19")
	}
	for i, a := range line {
		if at := slices.Index(ids, a.ID); i >= 5 && i < 9 && at != 5 {
			t.Errorf("arrival %d is message %d, while message 5 fails", i, at)
		}
	}
	keys := sink.Wait(t, "/keys", 23, patience)
	var even, odd []string
	for _, id := range firsts(keys) {
		if slices.Index(ids, id)%2 == 0 {
			even = append(even, id)
		} else {
			odd = append(odd, id)
		}
	}
	if !slices.IsSortedFunc(even, byPlace(ids)) || !slices.IsSortedFunc(odd, byPlace(ids)) {
		t.Errorf("the keys came in the order %v and %v", positions(even, ids), positions(odd, ids))
	}
	stuck := slices.IndexFunc(keys, func(a harness.Arrival) bool { return a.ID == ids[5] && a.Nth == 4 })
	last := slices.IndexFunc(keys, func(a harness.Arrival) bool { return a.ID == ids[18] })
	if last > stuck {
		t.Error("the even customer's line waited for the odd one's")
	}
}

// firsts are the ids in the order of their first arrival.
func firsts(arrivals []harness.Arrival) (ids []string) {
	for _, a := range arrivals {
		if a.Nth == 1 {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

func positions(ids, all []string) (out []int) {
	for _, id := range ids {
		out = append(out, slices.Index(all, id))
	}
	return out
}

func byPlace(all []string) func(a, b string) int {
	return func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) }
}

// TestPromise07_RetriesByTheSchedule checks the waits, Retry-After, 410 and redirects, and that
// the default schedule is the one of Standard Webhooks.
func TestPromise07_RetriesByTheSchedule(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, r *http.Request, a harness.Arrival) {
		switch a.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/moved":
			http.Redirect(w, r, "/trap", http.StatusTemporaryRedirect)
		case "/busy":
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	app := c.Application(t, "retries")
	c.Endpoint(t, app, sink.URL+"/scheduled", object{"retrySchedule": []float64{0.4, 0.8}})
	c.Endpoint(t, app, sink.URL+"/busy", object{"retrySchedule": []float64{0.6}})
	gone := c.Endpoint(t, app, sink.URL+"/gone", object{"retrySchedule": []float64{0.05, 0.05}})
	c.Endpoint(t, app, sink.URL+"/moved", object{"retrySchedule": []float64{}})
	usual := c.Endpoint(t, app, sink.URL+"/usual", nil)
	c.Publish(t, app, "a.b", object{"a": 1})

	tries := sink.Wait(t, "/scheduled", 3, patience)
	waited(t, "first retry", tries[1].At.Sub(tries[0].At), 400*time.Millisecond)
	waited(t, "second retry", tries[2].At.Sub(tries[1].At), 800*time.Millisecond)
	busy := sink.Wait(t, "/busy", 2, patience)
	if wait := busy[1].At.Sub(busy[0].At); wait < 800*time.Millisecond {
		t.Errorf("after Retry-After: 1 the next attempt came in %v", wait)
	}
	var e struct{ Disabled bool }
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+gone, nil, &e)
	if n := len(sink.Arrivals("/gone")); n != 1 || !e.Disabled {
		t.Errorf("410 was answered %d times, and disabled is %v", n, e.Disabled)
	}
	if n := len(sink.Arrivals("/trap")); n > 0 {
		t.Error("a redirect was followed")
	}
	if n := len(sink.Arrivals("/scheduled")); n != 3 {
		t.Errorf("a schedule of two retries made %d attempts", n)
	}
	var page struct {
		Data []struct{ NextAttempt time.Time }
	}
	c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+usual+"/msg", nil, &page)
	if len(page.Data) != 1 {
		t.Fatalf("%d attempted messages", len(page.Data))
	}
	waited(t, "the default's first retry", page.Data[0].NextAttempt.Sub(sink.Arrivals("/usual")[0].At), 5*time.Second)
}

// waited allows the jitter of a fifth, and some time of a busy machine on top.
func waited(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want*79/100 || got > want*121/100+500*time.Millisecond {
		t.Errorf("%s came after %v, want %v ± a fifth", what, got, want)
	}
}

// TestPromise08_NoRequestWhereNotAllowed starts the server as on a network, and names loopback in
// every way there is. No receiver may ever hear of it.
func TestPromise08_NoRequestWhereNotAllowed(t *testing.T) {
	s := harness.RunWith(t, harness.Options{Public: true})
	c := s.Client()
	sink := harness.NewSink(t, nil)
	port := sink.URL[strings.LastIndex(sink.URL, ":"):]
	app := c.Application(t, "guarded")
	created := 0
	for _, host := range []string{"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "0", "0.0.0.0",
		"[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "127.0.0.1.", "①②⑦.⓪.⓪.①", "user@127.0.0.1", "127.0.0.1%2f", "%31%32%37.0.0.1"} {
		status, err := c.Do(t.Context(), http.MethodPost, "/api/v1/app/"+app+"/endpoint", object{"url": "http://" + host + port + "/x", "retrySchedule": []float64{}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusCreated {
			created++ // then the guard has to hold when it dials
		} else if status != http.StatusUnprocessableEntity {
			t.Errorf("an endpoint at %s = %d, want 201 or 422", host, status)
		}
	}
	id := c.Publish(t, app, "a.b", object{"a": 1})
	harness.Eventually(t, patience, func() error {
		var page struct{ Data []harness.Attempt }
		c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/attempt/msg/"+id+"?limit=250", nil, &page)
		for _, a := range page.Data {
			if a.ResponseStatusCode != 0 {
				return fmt.Errorf("an attempt was answered: %+v", a)
			}
		}
		if len(page.Data) < created {
			return fmt.Errorf("%d attempts of %d are recorded", len(page.Data), created)
		}
		return nil
	})
	if got := sink.Arrivals(""); len(got) > 0 {
		t.Errorf("%d requests reached loopback", len(got))
	}
	t.Logf("%d of 23 names were stored and stopped at the dialer, the others refused", created)
}

// TestPromise09_SecretsStaySecret looks for every secret of a server in everything that it leaves
// behind: its folder, but for the key file, and its log.
func TestPromise09_SecretsStaySecret(t *testing.T) {
	dir := t.TempDir() + "/data"
	var log bytes.Buffer
	s := harness.RunWith(t, harness.Options{Dir: dir, Log: &log, Args: []string{"--log-level", "debug"}})
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if a.Nth == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	app := c.Application(t, "secret")
	raw := []byte("4f-very-secret-signing-key-bytes")
	secret := "whsec_" + base64.StdEncoding.EncodeToString(raw)
	endpoint := c.Endpoint(t, app, sink.URL+"/x", object{"secret": secret, "headers": map[string]string{"Authorization": "Bearer header-s3cret-value"}, "retrySchedule": []float64{0.05}})
	var key struct{ Key, Token, Secret string }
	c.Call(t, http.StatusCreated, http.MethodPost, "/api/v1/key", object{"name": "k", "scope": "read"}, &key)
	apiKey := key.Key + key.Token + key.Secret
	c.Publish(t, app, "a.b", object{"card": "payload-4242424242424242"})
	sink.Wait(t, "/x", 2, patience)
	if got := c.Secret(t, app, endpoint); got != secret {
		t.Errorf("the secret reads back as %q", got)
	}
	rotated := func() string {
		c.Call(t, http.StatusNoContent, http.MethodPost, "/api/v1/app/"+app+"/endpoint/"+endpoint+"/secret/rotate", object{}, nil)
		return c.Secret(t, app, endpoint)
	}()
	if err := s.Stop(20 * time.Second); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	needles := []string{secret[6:], string(raw), rotated[6:], "header-s3cret-value", harness.Key}
	if len(apiKey) < 20 {
		t.Errorf("no key was shown when it was made: %+v", key)
	} else {
		needles = append(needles, apiKey)
	}
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, "master.key"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want mode %v", path, info.Mode(), err, want)
		}
	}
	search(t, "the log", log.Bytes(), append(needles, "payload-4242424242424242"))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		search(t, d.Name(), content, needles)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func search(t *testing.T, where string, content []byte, needles []string) {
	t.Helper()
	for _, needle := range needles {
		if bytes.Contains(content, []byte(needle)) {
			t.Errorf("%s holds %.12q… in clear", where, needle)
		}
	}
}

// TestPromise10_HistoryStaysFast reads the lists of an application with a history, at its end and
// in its middle. The benchmark measures this with millions; here a scan of the table would show.
func TestPromise10_HistoryStaysFast(t *testing.T) {
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, nil)
	app := c.Application(t, "history")
	endpoint := c.Endpoint(t, app, sink.URL+"/x", nil)
	batch := object{"messages": slices.Repeat([]object{{"eventType": "a.b", "payload": object{"n": 1}}}, 1000)}
	const total = 20_000
	for range total / 1000 {
		c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/msg/batch", batch, nil)
	}
	harness.Eventually(t, 4*patience, func() error {
		counts, err := c.Stats(t.Context(), app, endpoint)
		if err == nil && counts.Success != total {
			err = fmt.Errorf("%d of %d are recorded", counts.Success, total)
		}
		return err
	})
	for _, path := range []string{"/msg?limit=50", "/attempt/endpoint/" + endpoint + "?limit=50", "/attempt/endpoint/" + endpoint + "?status=2&limit=50", "/endpoint/" + endpoint + "/msg?limit=50"} {
		var took []time.Duration
		next := "/api/v1/app/" + app + path
		for range 20 {
			var page struct{ Iterator *string }
			began := time.Now()
			c.Call(t, http.StatusOK, http.MethodGet, next, nil, &page)
			took = append(took, time.Since(began))
			if page.Iterator == nil {
				break
			}
			next = "/api/v1/app/" + app + path + "&iterator=" + *page.Iterator
		}
		slices.Sort(took)
		if p95 := took[len(took)*95/100]; p95 > 250*time.Millisecond {
			t.Errorf("p95 of %s is %v over %d messages", path, p95, total)
		}
	}
}
