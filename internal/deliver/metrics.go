package deliver

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
)

// metrics of the engine. Labels come from closed sets.
type metrics struct {
	attempts [4]prometheus.Counter // by outcome
	duration prometheus.Histogram
	inflight prometheus.Gauge
	lanes    prometheus.Gauge
	rows     prometheus.Gauge
	bytes    prometheus.Gauge
	disabled prometheus.Counter
	fed      prometheus.Counter
	altered  prometheus.Histogram
	unlogged prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		reg.MustRegister(g)
		return g
	}
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hark_attempts_total", Help: "Attempts recorded, by outcome: succeeded, retrying, failed, canceled.",
	}, []string{"outcome"})
	m := &metrics{
		attempts: [4]prometheus.Counter{
			attempts.WithLabelValues("succeeded"), attempts.WithLabelValues("retrying"), attempts.WithLabelValues("failed"),
			attempts.WithLabelValues("canceled"),
		},
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hark_attempt_duration_seconds", Help: "How long attempts took.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		inflight: gauge("hark_attempts_in_flight", "Attempts in flight."),
		lanes:    gauge("hark_lanes", "Endpoints with deliveries in memory or in the queue."),
		rows:     gauge("hark_queue_rows_in_memory", "Queue rows held in memory."),
		bytes:    gauge("hark_queue_payload_bytes_in_memory", "Payload bytes held with them."),
		disabled: prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_endpoints_disabled_total", Help: "Endpoints that Hark took out of service."}),
		fed:      prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_messages_fed_total", Help: "Messages handed to the feeds of consumers."}),
	}
	m.altered = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "hark_transformation_duration_seconds", Help: "How long transformations ran.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .05, .1, .5, 1, 2.5},
	})
	m.unlogged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hark_executions_not_logged_total", Help: "Executions of transformations that came faster than they could be logged.",
	})
	reg.MustRegister(attempts, m.duration, m.disabled, m.fed, m.altered, m.unlogged)
	return m
}

func (m *metrics) settled(a *hark.Attempt) {
	if a == nil {
		return
	}
	switch {
	case a.Status == hark.Succeeded:
		m.attempts[0].Inc()
	case a.Status == hark.Canceled:
		m.attempts[3].Inc()
	case !a.NextAttempt.IsZero():
		m.attempts[1].Inc()
	default:
		m.attempts[2].Inc()
	}
	m.duration.Observe(a.Duration.Seconds())
}
