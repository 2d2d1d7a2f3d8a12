package e2e

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// TestPromise06_OrderWhenAsked fails a message in the middle of a line. Behind it nothing moves,
// and nothing overtakes; a line of another key goes on.
func TestPromise06_OrderWhenAsked(t *testing.T) {
	t.Parallel()
	s := harness.Run(t)
	c := s.Client()
	othersDone := make(chan struct{}) // the other customer's line has come to its end
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		if a.Path == "/keys" && a.Nth == 1 && bytes.Contains(a.Body, []byte(`"n":18`)) {
			close(othersDone)
		}
		if !bytes.Contains(a.Body, []byte(`"stuck":true`)) || a.Nth > 3 {
			return
		}
		if a.Path == "/keys" && a.Nth == 3 {
			select { // however slow the machine is
			case <-othersDone:
			case <-time.After(20 * time.Second):
			}
		}
		w.WriteHeader(http.StatusInternalServerError)
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
	c.Publish(t, app, "a.b", object{"a": 1})

	tries := sink.Wait(t, "/scheduled", 3, patience)
	waited(t, "first retry", tries[1].At.Sub(tries[0].At), 400*time.Millisecond)
	waited(t, "second retry", tries[2].At.Sub(tries[1].At), 800*time.Millisecond)
	busy := sink.Wait(t, "/busy", 2, patience)
	if wait := busy[1].At.Sub(busy[0].At); wait < 800*time.Millisecond {
		t.Errorf("after Retry-After: 1 the next attempt came in %v", wait)
	}
	harness.Eventually(t, patience, func() error {
		var e struct{ Disabled bool }
		if c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+gone, nil, &e); !e.Disabled {
			return errors.New("an endpoint that answered 410 is not disabled")
		}
		return nil
	})
	if n := len(sink.Arrivals("/gone")); n != 1 {
		t.Errorf("410 was answered %d times", n)
	}
	if n := len(sink.Arrivals("/trap")); n > 0 {
		t.Error("a redirect was followed")
	}
	if n := len(sink.Arrivals("/scheduled")); n != 3 {
		t.Errorf("a schedule of two retries made %d attempts", n)
	}
	usual := c.Endpoint(t, app, sink.URL+"/usual", nil)
	c.Publish(t, app, "a.b", object{"a": 2})
	harness.Eventually(t, patience, func() error {
		var page struct {
			Data []struct{ NextAttempt time.Time }
		}
		c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+usual+"/msg", nil, &page)
		if len(page.Data) != 1 || page.Data[0].NextAttempt.IsZero() {
			return fmt.Errorf("attempted messages: %v", page.Data)
		}
		waited(t, "the default's first retry", page.Data[0].NextAttempt.Sub(sink.Arrivals("/usual")[0].At), 5*time.Second)
		return nil
	})
}

// waited allows the jitter of a fifth, and what a busy machine may take on top.
func waited(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want*79/100 || got > want*121/100+4*time.Second {
		t.Errorf("%s came after %v, want %v ± a fifth", what, got, want)
	}
}

// TestPromise08_NoRequestWhereNotAllowed starts the server as on a network, and names loopback in
// every way there is. No receiver may ever hear of it.
func TestPromise08_NoRequestWhereNotAllowed(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	if err := s.Stop(patience); err != nil {
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
	batches := harness.Rounds(8, 20)
	total := int64(1000 * batches)
	for range batches {
		c.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/msg/batch", batch, nil)
	}
	harness.Eventually(t, 2*patience, func() error {
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
		slices.Sort(took) // a scan would take long every time; a busy machine does now and then
		if median := took[len(took)/2]; median > 250*time.Millisecond {
			t.Errorf("the median of %s is %v over %d messages", path, median, total)
		}
	}
}
