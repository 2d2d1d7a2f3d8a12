package observe_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/observe"
	"github.com/harkhq/hark/internal/store"
)

func TestNewLogger_KeepsToLevelAndFormat(t *testing.T) {
	var out strings.Builder
	log, err := observe.NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) {
		t.Errorf("log = %q, want only loud, as JSON", got)
	}
	for _, wrong := range [][2]string{{"noisy", "text"}, {"info", "xml"}} {
		if _, err := observe.NewLogger(&out, wrong[0], wrong[1]); err == nil {
			t.Errorf("NewLogger(%v) = nil error", wrong)
		}
	}
}

func TestMetricsHandler_ShowsBuildAndRuntime(t *testing.T) {
	reg := observe.NewRegistry(observe.Build{Version: "v1.2.3"})
	observe.Requests(reg)(nil, "message.create", http.StatusAccepted, time.Millisecond)
	observe.WatchStore(reg, func(context.Context) (store.Stats, error) { return store.Stats{Bytes: 4096, Commits: 7}, nil })
	w := httptest.NewRecorder()
	observe.MetricsHandler(reg, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`version="v1.2.3"`, "go_goroutines", "process_resident_memory_bytes",
		`hark_http_request_seconds_count{operation="message.create",status="2xx"} 1`, "hark_store_bytes 4096", "hark_store_commits_total 7"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
}

func TestTracing_IsOffWithoutACollector(t *testing.T) {
	tracing, err := observe.NewTracing(t.Context(), "", observe.Build{})
	if tracing != nil || err != nil {
		t.Fatalf("NewTracing without an address = %v, %v, want nil", tracing, err)
	}
	mux := http.NewServeMux()
	if got := tracing.Wrap(mux); got != http.Handler(mux) {
		t.Error("Wrap puts something in front of the handler although tracing is off")
	}
	if err := tracing.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTracing_SendsSpansToTheCollector(t *testing.T) {
	var path atomic.Value
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { path.Store(r.URL.Path) }))
	defer collector.Close()
	tracing, err := observe.NewTracing(t.Context(), collector.URL, observe.Build{Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	w := httptest.NewRecorder()
	tracing.Wrap(mux).ServeHTTP(w, httptest.NewRequest("GET", "/things/1", nil))
	tracing.Attempts()(hark.Attempt{ID: "atmpt_1", Status: hark.Failed, StartedAt: time.Now(), Duration: time.Second})
	if w.Code != http.StatusTeapot {
		t.Errorf("status through the wrapper = %d", w.Code)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := tracing.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if path.Load() != "/v1/traces" {
		t.Errorf("the collector was asked at %v, want /v1/traces", path.Load())
	}
}
