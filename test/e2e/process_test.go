package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/harkhq/hark/test/harness"
)

// TestProcess_DrainsOnSIGTERM stops the server while attempts are out. They end, they are recorded,
// and the next server does not send them again.
func TestProcess_DrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/data"
	s := harness.RunWith(t, harness.Options{Dir: dir})
	c := s.Client()
	sink := harness.NewSink(t, func(w http.ResponseWriter, _ *http.Request, _ harness.Arrival) {
		time.Sleep(700 * time.Millisecond)
		w.WriteHeader(http.StatusNoContent)
	})
	app := c.Application(t, "drain")
	endpoint := c.Endpoint(t, app, sink.URL+"/slow", nil)
	const out = 10
	for n := range out {
		c.Publish(t, app, "a.b", object{"n": n})
	}
	sink.Wait(t, "/slow", out, patience)
	if err := s.Stop(patience); err != nil {
		t.Fatalf("SIGTERM with attempts in flight: %v", err)
	}
	c = harness.RunWith(t, harness.Options{Dir: dir}).Client()
	if codes := codesOf(c.Attempts(t, app, endpoint, "&status=0")); len(codes) != out {
		t.Errorf("%d of %d attempts in flight were recorded", len(codes), out)
	}
	time.Sleep(300 * time.Millisecond) // the next server would send at once
	if n := len(sink.Arrivals("/slow")); n != out {
		t.Errorf("%d deliveries for %d messages: some were sent again after an orderly stop", n, out)
	}
}

// TestProcess_HasItsFolderForItself starts a second server on the folder of the first.
func TestProcess_HasItsFolderForItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/data"
	first := harness.RunWith(t, harness.Options{Dir: dir})
	second, err := harness.Start(t.Context(), harness.Options{Binary: harness.Binary(t), Dir: dir})
	if err == nil {
		second.Kill()
		t.Fatal("a second server runs on the same folder")
	}
	if text := err.Error(); !strings.Contains(text, "ended before it was healthy") || !strings.Contains(text, dir) {
		t.Errorf("the second server says %s, want a clear word about %s", text, dir)
	}
	first.Client().Application(t, "still well")
}
