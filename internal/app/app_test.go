package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/test/harness"
)

// server is a running App.
type server struct {
	*app.App
	t    *testing.T
	key  string
	stop context.CancelFunc
	done chan error
}

func defaults(t *testing.T) config.Config {
	return config.Config{
		Data: t.TempDir(), Addr: "127.0.0.1:0", AllowPrivateEndpoints: true, Drain: 5 * time.Second,
		BootstrapKey: "app-test-key-0123456789abcdef0123456789",
	}
}

func start(t *testing.T, c config.Config) *server {
	t.Helper()
	a, err := app.New(t.Context(), app.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &server{App: a, t: t, key: c.BootstrapKey.Reveal(), stop: stop, done: make(chan error, 1)}
	go func() { s.done <- a.Run(ctx) }()
	t.Cleanup(stop)
	return s
}

// end stops the server as SIGTERM does.
func (s *server) end() {
	s.t.Helper()
	s.stop()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Fatalf("Run = %v, want nil after an orderly stop", err)
		}
	case <-time.After(time.Minute):
		s.t.Fatal("Run did not return")
	}
	// Of a connection that was idle the client may not know yet that it is gone when the next server has the
	// address; and a POST is not tried again.
	http.DefaultClient.CloseIdleConnections()
}

// call asks the API.
func (s *server) call(method, path string, in any) map[string]any {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL()+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
	}
	out := map[string]any{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// fixedAddr is an address that nobody has, and that nobody is given who asks for any.
func fixedAddr(t *testing.T) string {
	t.Helper()
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// publishTo makes an application with one endpoint, and sends it a message.
func (s *server) publishTo(url string) (endpoint, message string) {
	s.t.Helper()
	s.call("POST", "/app", map[string]any{"name": "a", "uid": "a"})
	ep := s.call("POST", "/app/a/endpoint", map[string]any{"url": url, "uid": "e"})
	msg := s.call("POST", "/app/a/msg", map[string]any{"eventType": "a.b", "payload": map[string]any{}})
	return ep["id"].(string), msg["id"].(string)
}

func TestRun_DrainsAttemptsInFlight(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	var count atomic.Int32
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if count.Add(1) == 1 {
			close(arrived)
			<-release
		}
	}))
	defer sink.Close()
	c := defaults(t)
	c.Drain = time.Minute
	s := start(t, c)
	_, msg := s.publishTo(sink.URL)
	<-arrived
	s.stop()
	time.Sleep(20 * time.Millisecond) // the stop has begun, and the attempt is still under way
	select {
	case err := <-s.done:
		t.Fatalf("Run returned (%v) with an attempt in flight", err)
	default:
	}
	close(release)
	s.end()

	again := start(t, c)
	attempts := again.call("GET", "/app/a/attempt/msg/"+msg, nil)["data"].([]any)
	again.end()
	if len(attempts) != 1 || attempts[0].(map[string]any)["statusText"] != "success" {
		t.Errorf("attempts after the restart = %v, want the one that was drained", attempts)
	}
	if n := count.Load(); n != 1 {
		t.Errorf("the endpoint was asked %d times, want once", n)
	}
}

func TestRun_LeavesAnAttemptThatOutlivesTheDrain(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 10)
	hang, release := context.WithCancel(context.Background())
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-hang.Done()
	}))
	defer sink.Close()
	defer release()
	c := defaults(t)
	c.Drain = 100 * time.Millisecond
	s := start(t, c)
	s.publishTo(sink.URL)
	<-arrived
	began := time.Now()
	s.end()
	if took := time.Since(began); took > 15*time.Second { // the attempt could have thirty
		t.Errorf("the stop took %v with a drain of %v", took, c.Drain)
	}
	again := start(t, c) // it was not settled, so it is tried again
	select {
	case <-arrived:
	case <-time.After(time.Minute):
		t.Error("the delivery that was cut off is not tried again after the restart")
	}
	again.end()
}

func TestNew_RefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	c := defaults(t)
	s := start(t, c)
	if _, err := app.New(t.Context(), app.Options{Config: c}); !errors.Is(err, app.ErrInUse) {
		t.Errorf("New on a folder in use = %v, want ErrInUse", err)
	}
	s.end()
	start(t, c).end() // free again
}

func TestNew_GivesTheFolderFreeWhenItFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := defaults(t)
	c.MetricsAddr = taken.Addr().String()
	if _, err := app.New(t.Context(), app.Options{Config: c}); err == nil {
		t.Fatal("New with a taken address = nil, want an error")
	}
	c.MetricsAddr = ""
	start(t, c).end()
}

func TestRun_DisablesAnEndpointThatIsGone(t *testing.T) {
	t.Parallel()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
	}))
	defer sink.Close()
	s := start(t, defaults(t))
	s.publishTo(sink.URL)
	var ep map[string]any
	until(t, "the endpoint that answered 410 is disabled", func() bool {
		ep = s.call("GET", "/app/a/endpoint/e", nil)
		return ep["disabled"] == true
	})
	if ep["disabledReason"] != "gone" {
		t.Errorf("disabledReason = %v, want gone", ep["disabledReason"])
	}
	s.end()
}

func TestMetrics_AreOnTheirOwnAddressWhenAskedFor(t *testing.T) {
	t.Parallel()
	get := func(base string) (int, string) {
		resp, err := http.Get(base + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	s := start(t, defaults(t))
	if code, text := get(s.URL()); code != http.StatusOK || !strings.Contains(text, "hark_build_info") {
		t.Errorf("GET /metrics = %d %.80s, want hark_build_info", code, text)
	}
	s.end()

	c := defaults(t)
	c.MetricsAddr = fixedAddr(t)
	s = start(t, c)
	if code, _ := get(s.URL()); code != http.StatusNotFound {
		t.Errorf("GET /metrics on the main address = %d, want 404", code)
	}
	if code, text := get("http://" + c.MetricsAddr); code != http.StatusOK || !strings.Contains(text, "hark_build_info") {
		t.Errorf("GET /metrics on its own address = %d %.80s", code, text)
	}
	s.end()
}

func TestBackup_HoldsWhatWasThere(t *testing.T) {
	t.Parallel()
	c := defaults(t)
	s := start(t, c)
	for i := range 20 {
		s.call("POST", "/app", map[string]any{"name": fmt.Sprintf("app %d", i)})
	}
	file := t.TempDir() + "/copy.db"
	if _, err := app.Backup(t.Context(), c.Data, file, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Backup(t.Context(), c.Data, file, func(int64, int64) {}); !errors.Is(err, app.ErrExists) {
		t.Errorf("Backup over an older one = %v, want ErrExists", err)
	}
	s.end()
	restored := defaults(t)
	if _, err := app.Restore(t.Context(), file, restored.Data, func(int64, int64) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), file, restored.Data, func(int64, int64) {}); !errors.Is(err, app.ErrExists) {
		t.Errorf("Restore over a database = %v, want ErrExists", err)
	}
	if _, err := app.New(t.Context(), app.Options{Config: restored}); !errors.Is(err, app.ErrNoKey) {
		t.Errorf("New on a restored database without its key = %v, want ErrNoKey", err)
	}
	key, err := os.ReadFile(c.Data + "/master.key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(restored.Data+"/master.key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	again := start(t, restored)
	apps := again.call("GET", "/app?limit=250", nil)["data"].([]any)
	again.end()
	if len(apps) != 20 {
		t.Errorf("the restored database has %d applications, want 20", len(apps))
	}
}
