package sender

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

// Metrics are the sender's, shared by all desks of a worker.
type Metrics struct {
	attempts *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	wait     *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
}

// NewMetrics registers the sender's metrics. Label values are closed sets:
// outcomes, priorities, providers, classes.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_attempts_total", Help: "Attempts by provider and outcome.",
		}, []string{"provider", "outcome"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_provider_seconds", Help: "Time of a provider's answer, in seconds.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 60},
		}, []string{"provider"}),
		wait: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_queue_wait_seconds", Help: "Time from acceptance (or send_at) to the first attempt, in seconds.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60, 300, 1800, 3600, 21600, 86400},
		}, []string{"priority"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_calls_in_flight", Help: "Calls to providers that are open.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_refused_total", Help: "Messages refused by our own checks, by class.",
		}, []string{"class"}),
	}
	r.MustRegister(m.attempts, m.latency, m.wait, m.inFlight, m.refused)
	return m
}

func (m *Metrics) begun(rec *gateway.Record, attempt int, now time.Time) {
	m.inFlight.Inc()
	if attempt > 1 {
		return
	}
	since := rec.CreatedAt
	if rec.SendAt.After(since) {
		since = rec.SendAt
	}
	m.wait.WithLabelValues(string(rec.Priority)).Observe(now.Sub(since).Seconds())
}

func (m *Metrics) undone() { m.inFlight.Dec() }

func (m *Metrics) ended(provider gateway.ProviderName, o gateway.Outcome, took time.Duration) {
	m.inFlight.Dec()
	m.attempts.WithLabelValues(string(provider), string(o)).Inc()
	m.latency.WithLabelValues(string(provider)).Observe(took.Seconds())
}
