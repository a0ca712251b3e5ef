package api

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the API does. Its label sets are closed: routes and
// refusals are those of the tables, so a caller can't make new series.
type metrics struct {
	accept   prometheus.Histogram
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	late     prometheus.Counter
	lines    *prometheus.CounterVec
}

// Labels of lines.
const (
	lineAccepted = "accepted"
	lineRejected = "rejected"
)

// noRoute labels requests that met no route.
const noRoute = "none"

// newMetrics registers the API's metrics.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		accept: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_api_accept_seconds",
			Help:    "From the arrival of a post to its 202.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_api_requests_total",
			Help: "Requests answered, by route and class of status.",
		}, []string{"route", "class"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_api_refused_total",
			Help: "Requests refused, by the kind of problem.",
		}, []string{"reason"}),
		late: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sluice_api_enqueue_failures_total",
			Help: "Accepted messages that were left to the outbox.",
		}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_api_batch_lines_total",
			Help: "Lines of batches, by what became of them.",
		}, []string{"verdict"}),
	}
	m.lines.WithLabelValues(lineAccepted)
	m.lines.WithLabelValues(lineRejected)
	for _, kind := range problemKinds() {
		m.refused.WithLabelValues(kind.name)
	}
	return m, errors.Join(r.Register(m.accept), r.Register(m.requests), r.Register(m.refused), r.Register(m.late), r.Register(m.lines))
}

// answered counts one request by the route's pattern.
func (m *metrics) answered(route string, status int) {
	m.requests.WithLabelValues(route, strconv.Itoa(status/100)+"xx").Inc()
}

func (m *metrics) accepted(took time.Duration) { m.accept.Observe(took.Seconds()) }
