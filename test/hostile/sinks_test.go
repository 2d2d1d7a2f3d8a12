package hostile

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long a test waits for what should take milliseconds: the machine is shared.
const patience = time.Minute

// Limits of the run against all poisons at once. The machine is shared with other tests, so they
// are far above what a quiet one shows; without isolation a message would wait for those before it,
// each as long as an attempt may take.
const (
	messages     = 200
	pause        = 20 * time.Millisecond // between messages
	healthyP99   = 5 * time.Second
	memoryLimit  = 400 << 20
	attemptLimit = 4 // seconds
)

// TestSinks_PoisonsHarmNobodyElse lets every hostile receiver stand in one application with two
// healthy ones, and publishes to all of them.
func TestSinks_PoisonsHarmNobodyElse(t *testing.T) {
	s := harness.Run(t, "--log-level", "warn")
	c := s.Client()
	trap := harness.NewSink(t, nil)
	healthy, late := newHealthy(t)
	app := c.Application(t, "hostile")
	for _, path := range []string{"/a", "/b"} {
		c.Endpoint(t, app, healthy.URL+path, nil)
	}
	list := poisons(trap.URL + "/trap")
	endpoints := make([]string, len(list))
	for i, p := range list {
		endpoints[i] = c.Endpoint(t, app, p.start(t), map[string]any{
			"description": p.name, "timeoutSeconds": attemptLimit, "retrySchedule": []float64{0.5, 1}, "verifyTls": false,
		})
	}
	for range messages {
		c.Publish(t, app, "hostile.test", map[string]any{"sentAt": time.Now().UnixNano()})
		time.Sleep(pause)
	}
	for _, path := range []string{"/a", "/b"} {
		if got := healthy.Wait(t, path, messages, patience); len(got) != messages {
			t.Errorf("%s got %d requests for %d messages", path, len(got), messages)
		}
	}
	if p99 := late(); p99 > healthyP99 {
		t.Errorf("p99 of the healthy endpoints is %v beside the poisons, want at most %v", p99, healthyP99)
	} else {
		t.Logf("p99 of the healthy endpoints beside %d poisons: %v", len(list), p99)
	}
	for i, p := range list {
		judge(t, c, app, endpoints[i], &p)
	}
	if n := len(trap.Arrivals("")); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	u, err := s.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("memory at most %d MB, %d threads, %d files", u.PeakRSS>>20, u.Threads, u.FDs)
	if u.PeakRSS > memoryLimit {
		t.Errorf("memory went up to %d MB, want at most %d", u.PeakRSS>>20, memoryLimit>>20)
	}
	if err := s.Stop(patience); err != nil {
		t.Errorf("the server did not end well beside poisons: %v", err)
	}
}

// newHealthy is a receiver that measures how late messages arrive; late is their p99.
func newHealthy(t *testing.T) (sink *harness.Sink, late func() time.Duration) {
	var mu sync.Mutex
	var delays []time.Duration
	sink = harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, a harness.Arrival) {
		var p struct{ SentAt int64 }
		if err := json.Unmarshal(a.Body, &p); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		delays = append(delays, a.At.Sub(time.Unix(0, p.SentAt)))
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	return sink, func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(delays)
		return delays[len(delays)*99/100]
	}
}

// judge waits until a poison's first attempts are recorded and looks at them.
func judge(t *testing.T, c *harness.Client, app, endpoint string, p *poison) {
	t.Helper()
	harness.Eventually(t, patience, func() error {
		var e struct{ Disabled bool }
		c.Call(t, http.StatusOK, http.MethodGet, "/api/v1/app/"+app+"/endpoint/"+endpoint, nil, &e)
		var codes []int
		for _, a := range c.Attempts(t, app, endpoint, "") {
			codes = append(codes, a.ResponseStatusCode)
			if a.ResponseDurationMs > 1000*(attemptLimit+10) {
				return fmt.Errorf("poison that %s: an attempt took %d ms, the limit is %d s", p.name, a.ResponseDurationMs, attemptLimit)
			}
			if len(a.Response) > 1<<20 {
				return fmt.Errorf("poison that %s: %d bytes of an answer are kept", p.name, len(a.Response))
			}
		}
		if err := p.judge(codes, e.Disabled); err != nil {
			return fmt.Errorf("poison that %s: %w", p.name, err)
		}
		return nil
	})
}
