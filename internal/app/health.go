package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

const (
	// healthEvery is how long a provider isn't asked again. Keep comes every
	// minute, a quarter more or less, and the shortest of these counts.
	healthEvery = 45 * time.Second
	// healthRefused is the same after credentials were refused: where health is
	// read with a login, hosts count those that fail.
	healthRefused   = 10 * time.Minute
	healthTimeout   = 20 * time.Second // of one look
	healthWriteTime = 5 * time.Second  // of writing what it saw
)

// healths keeps what is shown of accounts' providers.
type healths interface {
	SetHealth(ctx context.Context, account gateway.AccountID, h gateway.Health) error
}

// watch is whom a monitor asks and where it shows the answer.
type watch struct {
	account  gateway.AccountID
	reporter func() sender.Reporter // nil: it can't tell
	alive    func() bool
	store    healths
	metrics  *healthMetrics
	log      *slog.Logger
}

// monitor asks the provider of one account how it is, one question at a time.
type monitor struct {
	watch
	working context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	busy    bool
	last    sender.Reporter // that was asked
	next    time.Time       // when it is asked again
	known   *gateway.Health // of last
}

func newMonitor(w watch) *monitor {
	m := &monitor{watch: w}
	m.working, m.stop = context.WithCancel(context.Background())
	return m
}

// look begins to ask, if it is time. It doesn't block.
func (m *monitor) look() {
	r := m.reporter()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || m.busy {
		return
	}
	if r != m.last { // another configuration, perhaps another provider
		m.last, m.next, m.known = r, time.Time{}, nil
		m.metrics.forget(m.account)
	}
	now := time.Now()
	if r == nil || now.Before(m.next) {
		return
	}
	m.busy, m.next = true, now.Add(healthEvery)
	m.running.Go(func() { m.ask(r) })
}

func (m *monitor) ask(r sender.Reporter) {
	h := m.report(r)
	if m.noted(h) {
		ctx, cancel := context.WithTimeout(m.working, healthWriteTime)
		defer cancel()
		if err := m.store.SetHealth(ctx, m.account, h); err != nil && m.working.Err() == nil {
			m.log.Warn("the provider's health wasn't written", "account", m.account, "err", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = false
}

func (m *monitor) report(r sender.Reporter) gateway.Health {
	ctx, cancel := context.WithTimeout(m.working, healthTimeout)
	defer cancel()
	at := time.Now()
	h := r.Report(ctx)
	h.At = at
	return h
}

// noted shows the answer in metrics and log, unless the account isn't ours any
// more.
func (m *monitor) noted(h gateway.Health) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || !m.alive() {
		return false
	}
	if h.Error != nil && h.Error.Class == gateway.ClassSuspended {
		m.next = h.At.Add(healthRefused)
	}
	if m.known == nil && !h.Connected || m.known != nil && m.known.Connected != h.Connected {
		m.tell(h)
	}
	m.known = &h
	m.metrics.show(m.account, h)
	return true
}

func (m *monitor) tell(h gateway.Health) {
	switch {
	case h.Connected:
		m.log.Info("the provider is connected again", "account", m.account)
	case h.Error != nil:
		m.log.Warn("the provider can't be asked how it is", "account", m.account, "class", h.Error.Class, "code", h.Error.Code)
	default:
		m.log.Warn("the provider isn't connected", "account", m.account)
	}
}

// close ends the asking; what it showed in metrics is the next owner's to show.
func (m *monitor) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopped {
		m.stopped = true
		m.stop()
		m.metrics.forget(m.account)
	}
}

// drain closes, and waits until nothing runs. Nothing is worth finishing, so
// that is soon.
func (m *monitor) drain() {
	m.close()
	m.running.Wait()
}

// healthMetrics show the providers of the accounts that this worker owns.
type healthMetrics struct {
	connected *prometheus.GaugeVec
	stats     *prometheus.GaugeVec
}

// newHealthMetrics registers them. Accounts are the configuration's, and each
// provider's stats a small closed set.
func newHealthMetrics(r prometheus.Registerer) *healthMetrics {
	m := &healthMetrics{
		connected: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_provider_connected", Help: "Whether the account's provider says that messages can go out.",
		}, []string{"account"}),
		stats: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sluice_provider_stat", Help: "What the account's provider counts of itself, by its own name.",
		}, []string{"account", "stat"}),
	}
	r.MustRegister(m.connected, m.stats)
	return m
}

func (m *healthMetrics) show(account gateway.AccountID, h gateway.Health) {
	connected := 0.0
	if h.Connected {
		connected = 1
	}
	m.connected.WithLabelValues(string(account)).Set(connected)
	m.stats.DeletePartialMatch(prometheus.Labels{"account": string(account)})
	for name, value := range h.Stats {
		m.stats.WithLabelValues(string(account), name).Set(value)
	}
}

func (m *healthMetrics) forget(account gateway.AccountID) {
	m.connected.DeleteLabelValues(string(account))
	m.stats.DeletePartialMatch(prometheus.Labels{"account": string(account)})
}
