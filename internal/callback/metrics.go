package callback

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

// Metrics counts what providers report. All label sets are closed.
type Metrics struct {
	callbacks *prometheus.CounterVec
	receipts  *prometheus.CounterVec
	foreign   *prometheus.CounterVec
	store     prometheus.Histogram
}

// noProvider is the label of requests for accounts that don't exist.
const noProvider gateway.ProviderName = "none"

// NewMetrics registers the metrics, each label value with a zero from the
// start. A nil registerer registers nothing.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		callbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_callbacks_total",
			Help: "Requests of providers to the callback address, by how they ended.",
		}, []string{"provider", "result"}),
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_callback_receipts_total",
			Help: "Receipts stored, repetitions included, by the status they report.",
		}, []string{"provider", "status"}),
		foreign: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_callback_foreign_receipts_total",
			Help: "Receipts naming a message of another account: the provider sends several accounts' callbacks to one address.",
		}, []string{"provider"}),
		store: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_callback_store_seconds",
			Help:    "Time until the store confirmed one callback, or didn't.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
	}
	for _, p := range append(gateway.ProviderNames(), noProvider) {
		for _, res := range results() {
			m.callbacks.WithLabelValues(string(p), string(res))
		}
		m.foreign.WithLabelValues(string(p))
		for _, s := range receiptStatuses() {
			m.receipts.WithLabelValues(string(p), string(s))
		}
	}
	if r != nil {
		r.MustRegister(m.callbacks, m.receipts, m.foreign, m.store)
	}
	return m
}

func (m *Metrics) ended(p gateway.ProviderName, res result) {
	m.callbacks.WithLabelValues(string(p), string(res)).Inc()
}

func (m *Metrics) foreignReceipts(p gateway.ProviderName, n int) {
	m.foreign.WithLabelValues(string(p)).Add(float64(n))
}

func (m *Metrics) applied(took time.Duration) { m.store.Observe(took.Seconds()) }

func (m *Metrics) stored(p gateway.ProviderName, receipts []gateway.Receipt) {
	for _, r := range receipts {
		if r.Status.Valid() {
			m.receipts.WithLabelValues(string(p), string(r.Status)).Inc()
		}
	}
}

// receiptStatuses lists what a provider can report of a message.
func receiptStatuses() []gateway.Status {
	return []gateway.Status{
		gateway.StatusAccepted, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed,
	}
}
