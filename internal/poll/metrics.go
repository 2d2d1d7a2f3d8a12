package poll

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/harkhq/hark"
)

type metrics struct {
	runs     map[hark.PollerOutcome]prometheus.Counter // nothing is added after newMetrics
	messages prometheus.Counter
	refused  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	runs := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hark_poller_runs_total", Help: "Runs of pollers, by outcome."}, []string{"outcome"})
	m := &metrics{
		runs:     map[hark.PollerOutcome]prometheus.Counter{},
		messages: prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_poller_messages_total", Help: "Messages that pollers have made."}),
		refused:  prometheus.NewCounter(prometheus.CounterOpts{Name: "hark_poller_refused_total", Help: "Items that could not become messages; the poller's runs say why."}),
	}
	for _, outcome := range []hark.PollerOutcome{hark.PollDone, hark.PollLearned, hark.PollUnchanged, hark.PollPartial, hark.PollFailed} {
		m.runs[outcome] = runs.WithLabelValues(string(outcome))
	}
	reg.MustRegister(runs, m.messages, m.refused)
	return m
}

// count counts a run that was recorded; learned says that its items did not become messages.
func (m *metrics) count(run *hark.PollerRun, learned bool) {
	m.runs[run.Outcome].Inc()
	m.refused.Add(float64(run.Refused))
	if !learned {
		m.messages.Add(float64(run.New + run.Changed))
	}
}
