package whatsapponprem

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/gateway"
)

const (
	maxNodes = 32 // of a report

	// backlogLife is how long numbers of the host's database are good enough.
	backlogLife = 10 * time.Minute
)

// The numbers that a report holds: what waits at the host.
var (
	reportedApp = []string{"callback_queue_size"}
	reportedDB  = []string{"db_pending_callbacks", "db_pending_messages"}
)

// backlog is what the host's database last said, or that it couldn't.
type backlog struct {
	mu    sync.Mutex
	until time.Time
	stats map[string]float64
}

// Report implements sender.Reporter. Numbers that couldn't be had are left out.
func (p *Provider) Report(ctx context.Context) gateway.Health {
	health, err := p.Health(ctx)
	if err != nil {
		e, ok := errors.AsType[*gateway.Error](err)
		if !ok {
			e = odd("reading health")
		}
		return gateway.Health{Error: e}
	}
	out := gateway.Health{Connected: health.Connected()}
	for _, name := range slices.Sorted(maps.Keys(health)) {
		if len(out.Nodes) == maxNodes {
			break
		}
		n := health[name]
		out.Nodes = append(out.Nodes, gateway.Node{
			Name: p.clean(name), Status: p.clean(n.Status), Role: p.clean(n.Role), Error: n.Problem,
		})
	}
	out.Stats = p.totals(ctx, StatsApp, reportedApp)
	maps.Copy(out.Stats, p.waiting(ctx))
	return out
}

// waiting is what waits in the host's database, which is asked rarely.
func (p *Provider) waiting(ctx context.Context) map[string]float64 {
	b := &p.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := p.settings.Now(); !now.Before(b.until) {
		b.stats = p.totals(ctx, StatsDB, reportedDB)
		if ctx.Err() == nil {
			b.until = now.Add(backlogLife)
		}
	}
	return b.stats
}

// totals adds up numbers over nodes; of several, one has them.
func (p *Provider) totals(ctx context.Context, set Stats, names []string) map[string]float64 {
	out := map[string]float64{}
	all, err := p.Stats(ctx, set)
	if err != nil {
		return out
	}
	for _, s := range all {
		if len(s.Labels) == 0 && slices.Contains(names, s.Name) {
			out[s.Name] += s.Value
		}
	}
	return out
}
