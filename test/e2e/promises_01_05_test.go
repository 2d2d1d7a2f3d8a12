package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
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
const patience = time.Minute

type object = map[string]any

// TestPromise01_DurableBefore2xx kills the server the moment a publish has been answered, while its
// endpoint's receiver is down, and expects the message, whole, from the next server.
func TestPromise01_DurableBefore2xx(t *testing.T) {
	t.Parallel()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/data"
	var app, id string
	s := harness.RunWith(t, harness.Options{Dir: dir})
	sink := harness.NewSink(t, nil)
	app = s.Client().Application(t, "durable")
	down := s.Client().Endpoint(t, app, "http://"+addr+"/down", object{"retrySchedule": slices.Repeat([]float64{1}, 50)})
	for n := range 5 { // that takes a while on a busy machine, and uses up some attempts
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
	t.Parallel()
	s := harness.Run(t)
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if a.Path == "/flaky" && a.Nth < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	app := c.Application(t, "at least once")
	steady := c.Endpoint(t, app, sink.URL+"/steady", nil)
	flaky := c.Endpoint(t, app, sink.URL+"/flaky", object{"retrySchedule": []float64{1.3, 0.1}})
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
	harness.Eventually(t, patience, func() error {
		if codes := codesOf(c.Attempts(t, app, steady, "")); !slices.Equal(codes, []int{200}) {
			return fmt.Errorf("the steady endpoint's attempts are %v", codes)
		}
		return nil
	})
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
	t.Parallel()
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
	t.Parallel()
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
		if took := time.Since(began); took > 10*time.Second { // what hangs may take thirty
			t.Errorf("message %d of the quiet application took %v", n, took)
		}
	}
	sink.Wait(t, "/neighbour", 5000, patience)
}
