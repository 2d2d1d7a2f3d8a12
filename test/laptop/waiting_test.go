package laptop

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// Messages that have waited while nobody listened come one after the other, and neither side holds more of them
// in memory than a window. With -v it shows what it costs.
func TestListen_CatchesUpInBoundedMemory(t *testing.T) {
	server := harness.Run(t, "--log-level", "warn")
	client := server.Client()
	app := client.Application(t, "waiting")
	var arrived atomic.Int64
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) {
		arrived.Add(1)
		w.WriteHeader(http.StatusNoContent)
	})
	l := newListener(t, t.TempDir(), server.URL, app, sink.URL)
	listen := func() {
		t.Helper()
		if err := l.startAgain(startLimit); err != nil {
			t.Fatal(err)
		}
	}
	listen() // so that there is somebody for whom messages wait
	if err := l.running().Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	publishMany(t, client, app, *waiting)
	before := costs(t, server.PID())
	listen()
	began := time.Now()
	harness.Eventually(t, 5*time.Minute, func() error {
		if n := arrived.Load(); n < int64(*waiting) {
			return fmt.Errorf("%d of %d have arrived", n, *waiting)
		}
		return nil
	})
	took := time.Since(began)
	ours, theirs := costs(t, l.running().PID()), costs(t, server.PID())
	t.Logf("%d messages of 1 KiB in %v: %.0f a second; the listener used %.0f µs of CPU each, and %d MiB at most; the server %.0f µs, and %d MiB",
		*waiting, took.Round(time.Millisecond), float64(*waiting)/took.Seconds(), each(ours.CPU), ours.PeakRSS>>20, each(theirs.CPU-before.CPU), theirs.PeakRSS>>20)
	if ours.PeakRSS > 100<<20 {
		t.Errorf("the listener has used %d MiB", ours.PeakRSS>>20)
	}
	if n := arrived.Load(); n != int64(*waiting) {
		t.Errorf("%d arrivals of %d messages, and nothing went wrong", n, *waiting)
	}
}

// each is what a message costs, in microseconds.
func each(all time.Duration) float64 { return float64(all.Microseconds()) / float64(*waiting) }

func costs(t *testing.T, pid int) harness.Usage {
	t.Helper()
	u, err := harness.UsageOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// publishMany publishes messages of a kibibyte, a hundred at a time.
func publishMany(t *testing.T, client *harness.Client, app string, n int) {
	t.Helper()
	text := strings.Repeat("x", 1000)
	for i := 0; i < n; i += 100 {
		var batch []any
		for j := i; j < min(i+100, n); j++ {
			batch = append(batch, map[string]any{"eventType": "laptop.test", "payload": map[string]any{"n": j, "text": text}})
		}
		client.Call(t, http.StatusAccepted, http.MethodPost, "/api/v1/app/"+app+"/msg/batch", map[string]any{"messages": batch}, nil)
	}
}
