package outbound

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// result is what became of a notice that was claimed.
type result string

const (
	resultConfirmed result = "confirmed"
	resultFailed    result = "failed"  // told again later
	resultPutOff    result = "put_off" // no call was made
	resultDropped   result = "dropped"
)

func results() []result { return []result{resultConfirmed, resultFailed, resultPutOff, resultDropped} }

// metrics are the courier's. Receivers are no label: others choose their names.
type metrics struct {
	notices *prometheus.CounterVec
	seconds prometheus.Histogram
	delay   prometheus.Histogram
	open    prometheus.Gauge
	shut    prometheus.Gauge
}

// newMetrics registers the metrics. A nil registerer registers nothing.
func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		notices: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_notices_total", Help: "Status callbacks to callers that were due, by what became of them.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_notice_seconds", Help: "Time of a receiver's answer to a status callback, or until none was waited for any longer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30},
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sluice_notice_delay_seconds", Help: "Time from a change of status until the caller confirmed its callback.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800, 3600, 21600, 86400},
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_notice_calls", Help: "Status callbacks that are being made.",
		}),
		shut: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_notice_receivers_shut", Help: "Receivers of status callbacks that don't answer and are only probed.",
		}),
	}
	for _, res := range results() {
		m.notices.WithLabelValues(string(res))
	}
	if r != nil {
		r.MustRegister(m.notices, m.seconds, m.delay, m.open, m.shut)
	}
	return m
}

func (m *metrics) became(res result) { m.notices.WithLabelValues(string(res)).Inc() }

func (m *metrics) confirmed(changedAt, now time.Time) {
	m.became(resultConfirmed)
	m.delay.Observe(max(now.Sub(changedAt), 0).Seconds())
}
