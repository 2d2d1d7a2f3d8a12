package ingest

import "github.com/prometheus/client_golang/prometheus"

// result is what became of a call, for counting. The set is closed.
type result int

const (
	accepted result = iota
	duplicate
	rejected
	handshake   // answered, and no event
	unavailable // nothing was kept
	unknown     // no source has this token
	results
)

type metrics struct {
	requests [results]prometheus.Counter
	seconds  prometheus.Histogram
	failing  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hark_requests_total", Help: "Inbound requests, by outcome.",
	}, []string{"outcome"})
	m := &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hark_request_duration_seconds", Help: "How long inbound requests took until they were answered.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 2.5, 10},
		}),
		failing: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hark_sources_failing_total", Help: "How often a source began to fail its verification.",
		}),
	}
	for i, name := range [results]string{"accepted", "duplicate", "rejected", "handshake", "unavailable", "unknown"} {
		m.requests[i] = requests.WithLabelValues(name)
	}
	reg.MustRegister(requests, m.seconds, m.failing)
	return m
}
