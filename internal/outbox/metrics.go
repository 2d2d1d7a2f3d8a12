package outbox

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	taken   prometheus.Counter
	refused prometheus.Counter
	lag     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		taken:   prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_outbox_taken_total", Help: "Messages taken from the outbox."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_outbox_refused_total", Help: "Rows of the outbox that cannot be accepted; they say why."}),
		lag:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "hark_outbox_lag_seconds", Help: "Age of the oldest row that waits in the outbox; 0 when none does."}),
	}
	reg.MustRegister(m.taken, m.refused, m.lag)
	return m
}
