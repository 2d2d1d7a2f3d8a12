package observe

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/harkhq/hark/internal/store"
)

// NewRegistry makes a metrics registry that already has the Go runtime, the process and the build.
func NewRegistry(build Build) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hark_build_info", Help: "Always 1; the labels say which build is running.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go": build.Go},
	})
	info.Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info,
	)
	return reg
}

// MetricsHandler answers with what reg has gathered, in Prometheus' format.
func MetricsHandler(reg *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4, // gathering costs; a scraper needs one
	})
}

// Requests makes the function that counts and times the API's answers. Its labels are the
// operations and the classes of statuses: both are closed sets.
func Requests(reg prometheus.Registerer) func(r *http.Request, operation string, status int, took time.Duration) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "hark_http_request_seconds", Help: "How long the API took to answer.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 2.5},
	}, []string{"operation", "status"})
	reg.MustRegister(seconds)
	return func(_ *http.Request, operation string, status int, took time.Duration) {
		seconds.WithLabelValues(operation, class(status)).Observe(took.Seconds())
	}
}

func class(status int) string {
	switch {
	case status >= 500:
		return "5xx"
	case status >= 400:
		return "4xx"
	case status >= 300:
		return "3xx"
	}
	return "2xx"
}

// statsPatience bounds how long a scrape waits for a store that is stuck.
const statsPatience = time.Second

// WatchStore shows what the store says about itself, asked at every scrape.
func WatchStore(reg prometheus.Registerer, stats func(context.Context) (store.Stats, error)) {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	reg.MustRegister(&storeCollector{
		stats:   stats,
		bytes:   desc("hark_store_bytes", "Size of the store's files."),
		free:    desc("hark_store_free_bytes", "Reusable space inside the store's files."),
		waiting: desc("hark_store_waiting_writes", "Writes that wait to be committed."),
		commits: desc("hark_store_commits_total", "Transactions committed since the start."),
	})
}

type storeCollector struct {
	stats                         func(context.Context) (store.Stats, error)
	bytes, free, waiting, commits *prometheus.Desc
}

// Describe lists the metrics.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect asks the store once for all of them.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsPatience)
	defer cancel()
	s, err := c.stats(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.bytes, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(c.bytes, float64(s.Bytes))
	gauge(c.free, float64(s.FreeBytes))
	gauge(c.waiting, float64(s.Waiting))
	ch <- prometheus.MustNewConstMetric(c.commits, prometheus.CounterValue, float64(s.Commits))
}
