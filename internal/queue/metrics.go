package queue

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	owned     prometheus.Gauge
	lanes     prometheus.Gauge
	takeovers prometheus.Counter
	lapses    prometheus.Counter
	failures  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_queue_owned_accounts", Help: "Accounts that this worker sends for.",
		}),
		lanes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_queue_open_lanes", Help: "Lanes of this worker that are open.",
		}),
		takeovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_queue_takeovers_total", Help: "Accounts taken over from a dead worker.",
		}),
		lapses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_queue_lapses_total", Help: "Times this worker lost all its accounts because it could not renew its liveness.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_queue_task_failures_total", Help: "Tasks given back because they could not be handled.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.owned, m.lanes, m.takeovers, m.lapses, m.failures} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register queue metrics: %w", err)
		}
	}
	return m, nil
}
