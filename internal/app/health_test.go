package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// patient is a provider that answers what it is told to.
type patient struct {
	mu     sync.Mutex
	health gateway.Health
	asked  []time.Time
	silent bool // it doesn't answer
}

func (p *patient) Report(ctx context.Context) gateway.Health {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	health, silent := p.health, p.silent
	p.mu.Unlock()
	if silent {
		<-ctx.Done()
		return gateway.Health{Error: &gateway.Error{Class: gateway.ClassTransient, Code: "timeout"}}
	}
	return health
}

func (p *patient) set(h gateway.Health) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health = h
}

func (p *patient) times() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// chart keeps what was written.
type chart struct {
	mu   sync.Mutex
	all  []gateway.Health
	fail error
}

func (c *chart) SetHealth(ctx context.Context, _ gateway.AccountID, h gateway.Health) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.fail); err != nil {
		return err
	}
	c.all = append(c.all, h)
	return nil
}

// ward is a monitor with what is around it.
type ward struct {
	*monitor
	chart    *chart
	registry *prometheus.Registry
	reporter sender.Reporter
	lost     bool
}

func newWard(t *testing.T, r sender.Reporter) *ward {
	t.Helper()
	w := &ward{chart: &chart{}, registry: prometheus.NewRegistry(), reporter: r}
	w.monitor = newMonitor(watch{
		account: "a", reporter: func() sender.Reporter { return w.reporter }, alive: func() bool { return !w.lost },
		store: w.chart, metrics: newHealthMetrics(w.registry), log: discard,
	})
	return w
}

// keep is what the queue does for a while: Keep, every so often.
func (w *ward) keep(times int, every time.Duration) {
	for range times {
		w.look()
		synctest.Wait()
		time.Sleep(every) //nolint:forbidigo // the bubble's clock
	}
}

func (w *ward) gauges(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetGauge().GetValue()
		}
	}
	return out
}

var (
	well    = gateway.Health{Connected: true, Stats: map[string]float64{"waiting": 3}}
	refuses = gateway.Health{Error: &gateway.Error{Class: gateway.ClassSuspended, Code: "1005"}}
	away    = gateway.Health{Error: &gateway.Error{Class: gateway.ClassTransient, Code: "connect"}}
)

func TestAProviderIsAskedAboutOnceAMinute(t *testing.T) {
	for name, c := range map[string]struct {
		health gateway.Health
		every  time.Duration // of Keep
		want   int           // in half an hour
	}{
		"however often Keep comes":              {well, time.Second, 40},
		"at every Keep of an account at rest":   {well, time.Minute, 30},
		"also while it is away":                 {away, time.Minute, 30},
		"rarely once it has refused to answer":  {refuses, time.Second, 3},
		"rarely when Keep comes seldom as well": {refuses, time.Minute, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &patient{health: c.health}
				w := newWard(t, p)
				begun := time.Now()
				w.keep(int(30*time.Minute/c.every), c.every)
				w.drain()
				if p.times() != c.want || len(w.chart.all) != c.want {
					t.Errorf("asked %d times, wrote %d, want %d", p.times(), len(w.chart.all), c.want)
				}
				want := c.health
				want.At = begun
				if diff := cmp.Diff(want, w.chart.all[0]); diff != "" {
					t.Errorf("written (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAProviderThatDoesNotAnswerBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{silent: true}
		w := newWard(t, p)
		begun := time.Now()
		w.keep(19, time.Second)
		if p.times() != 1 || len(w.chart.all) != 0 || time.Since(begun) != 19*time.Second {
			t.Errorf("asked %d times, wrote %v, %v later", p.times(), w.chart.all, time.Since(begun))
		}
		w.keep(2, time.Second)
		if len(w.chart.all) != 1 || w.chart.all[0].Connected || w.gauges(t)["sluice_provider_connected a"] != 0 {
			t.Errorf("given up, it is shown as %+v", w.chart.all)
		}
		w.keep(25, time.Second) // it is asked again
		ended := time.Now()
		w.drain()
		if p.times() != 2 || !time.Now().Equal(ended) || len(w.chart.all) != 1 {
			t.Errorf("asked %d times, the drain took %v, wrote %d", p.times(), time.Since(ended), len(w.chart.all))
		}
		w.keep(60, time.Second)
		if p.times() != 2 {
			t.Error("it is asked after the drain")
		}
	})
}

func TestMetricsShowTheProviderWhileTheAccountIsOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{health: well}
		w := newWard(t, p)
		expect := func(when string, want map[string]float64) {
			t.Helper()
			w.keep(1, time.Minute)
			if diff := cmp.Diff(want, w.gauges(t)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		expect("connected", map[string]float64{"sluice_provider_connected a": 1, "sluice_provider_stat a waiting": 3})
		p.set(away)
		expect("away", map[string]float64{"sluice_provider_connected a": 0})
		p.set(well)
		w.chart.fail = errors.New("no Redis")
		expect("connected, and Redis away", map[string]float64{"sluice_provider_connected a": 1, "sluice_provider_stat a waiting": 3})
		w.reporter = nil
		expect("another provider, that can't tell", map[string]float64{})
		next := &patient{health: refuses}
		w.reporter = next
		expect("another that refuses", map[string]float64{"sluice_provider_connected a": 0})
		w.reporter = p
		expect("its mended configuration is tried at once", map[string]float64{"sluice_provider_connected a": 1, "sluice_provider_stat a waiting": 3})
		w.close()
		expect("no longer ours", map[string]float64{})
		w.drain()
	})
}

func TestAnAnswerThatComesAfterTheLeaseIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, &patient{health: well})
		w.lost = true
		w.keep(1, time.Second)
		w.drain()
		if len(w.chart.all) != 0 || len(w.gauges(t)) != 0 {
			t.Errorf("wrote %v, shows %v", w.chart.all, w.gauges(t))
		}
	})
}

func TestHealthOfAnOnPremisesHostIsShown(t *testing.T) {
	t.Parallel()
	i := installWith(t, true, `
  - {id: onprem, provider: whatsapp-onprem, base_url: "SIMULATOR", username: admin, password: Passw0rd!, callback_token: callback-token-1, wa_api_key: monitor-key-1}
  - {id: gone, provider: whatsapp-onprem, base_url: "http://127.0.0.1:1", token: bearer-token-2, callback_token: callback-token-2, wa_api_key: monitor-key-2}
`)
	type health struct {
		At        time.Time
		Connected bool
		Detail    struct {
			Error  *struct{ Class, Code string }
			Nodes  []struct{ Status string }
			Stats  map[string]float64
			Unread map[string]any
		}
	}
	of := func(account string) (h *health) {
		t.Helper()
		var a struct{ Health *health }
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+account, "", &a)
		return a.Health
	}
	await(t, "both hosts were asked", func() bool { return of("onprem") != nil && of("gone") != nil })
	h := of("onprem")
	if !h.Connected || time.Since(h.At) > time.Minute || h.Detail.Error != nil || len(h.Detail.Nodes) != 1 || h.Detail.Nodes[0].Status != "connected" {
		t.Errorf("the host is %+v", h)
	}
	for page, stats := range map[string][]string{
		"stats/app": {"callback_queue_size", "callback_requests", "callback_requests_failed"},
		"stats/db":  {"db_contacts", "db_message_receipts", "db_messages", "db_pending_callbacks", "db_pending_messages"},
		"metrics":   {"web_handled_requests", "web_requests", "web_uptime"},
	} {
		for _, stat := range stats {
			if _, there := h.Detail.Stats[stat]; !there {
				t.Errorf("%s of %s isn't told", stat, page)
			}
		}
	}
	if h.Detail.Unread == nil || len(h.Detail.Unread) != 0 {
		t.Errorf("unread are %v", h.Detail.Unread)
	}
	if h := of("gone"); h.Connected || h.Detail.Error == nil || h.Detail.Error.Class != "transient" || h.Detail.Error.Code != "connect" {
		t.Errorf("the host that isn't there is %+v", h)
	}
	if h := of("cloud"); h != nil {
		t.Errorf("a provider that can't tell is %+v", h)
	}

	for _, line := range []string{
		`sluice_provider_connected{account="onprem"} 1`, `sluice_provider_connected{account="gone"} 0`,
	} {
		if text := i.metrics(t); !strings.Contains(text, line+"\n") {
			t.Errorf("metrics don't say %s", line)
		}
	}
	await(t, "metrics show the numbers that the account shows", func() bool {
		shown, text := of("onprem").Detail.Stats, i.metrics(t)
		for stat, n := range shown {
			line := fmt.Sprintf("sluice_provider_stat{account=%q,stat=%q} %v\n", "onprem", stat, n)
			if !strings.Contains(text, line) {
				return false
			}
		}
		return strings.Count(text, `sluice_provider_stat{account="onprem"`) == len(shown)
	})
}

// metrics is what the worker's admin address tells.
func (i *installation) metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get("http://" + i.worker.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
