package whatsapponprem

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"sluice/internal/gateway"
)

const (
	maxNodes = 32 // of a report

	// databaseLife is how long numbers of the host's database are good enough.
	databaseLife = 10 * time.Minute
	// refusedLife is how long a page isn't asked for again that was refused: the
	// host doesn't have it, or asking costs a login that changes nothing.
	refusedLife = 10 * time.Minute
)

// page is one of those on which a host tells numbers, and what a report holds
// of it: the names that Meta documents, for nothing bounds what a host may tell.
type page struct {
	name    string
	life    time.Duration // how long its numbers are good enough
	read    func(*Provider, context.Context) ([]Sample, error)
	numbers map[string]fold
}

// fold makes one number of two that differ in node or labels.
type fold func(a, b float64) float64

func sum(a, b float64) float64 { return a + b }

// Callbacks are counted by result, of which a report tells one thing: how many
// didn't succeed. Later hosts tell their count with their durations.
const (
	callbackRequests = "callback_requests"
	callbackCount    = "callback_requests_duration_ms_count"
	callbackFailures = "callback_requests_failed"
)

// The database comes last: the others don't wait for it.
var pages = []page{
	{
		name: "stats/app",
		read: func(p *Provider, ctx context.Context) ([]Sample, error) { return p.Stats(ctx, StatsApp) },
		numbers: map[string]fold{
			"callback_queue_size": sum,
			callbackRequests:      sum,
			callbackCount:         sum, "callback_requests_duration_ms_sum": sum,
		},
	},
	{
		name: "metrics",
		read: (*Provider).Metrics,
		numbers: map[string]fold{
			"web_uptime":      math.Min, // of what restarted last
			"web_connections": sum, "web_pending_connections": sum, "web_max_pending_connections": math.Max, "web_queue_len": sum,
			"web_idle_processes": sum, "web_total_processes": sum, "web_process_limit_hit": sum,
			"web_requests": sum, "web_handled_requests": sum, "web_out_kbytes": sum,
			"api_requests_duration_ms_count": sum, "api_requests_duration_ms_sum": sum,
			"api_requests_db_duration_ms_count": sum, "api_requests_db_duration_ms_sum": sum,
			"api_requests_coreapp_duration_ms_count": sum, "api_requests_coreapp_duration_ms_sum": sum,
		},
	},
	{
		name: "stats/db",
		life: databaseLife,
		read: func(p *Provider, ctx context.Context) ([]Sample, error) { return p.Stats(ctx, StatsDB) },
		numbers: map[string]fold{
			"db_contacts": sum, "db_message_receipts": sum, "db_messages": sum,
			"db_pending_callbacks": sum, "db_pending_messages": sum,
		},
	},
}

// figures are what the pages last said, or why they couldn't be read.
type figures struct {
	mu    sync.Mutex
	pages map[string]told
}

// told is what one page said.
type told struct {
	until   time.Time // when it is asked again
	numbers map[string]float64
	failure *gateway.Error
}

// Report implements sender.Reporter. Numbers that couldn't be had are left out.
func (p *Provider) Report(ctx context.Context) gateway.Health {
	health, err := p.Health(ctx)
	if err != nil {
		return gateway.Health{Error: failure(err)}
	}
	out := gateway.Health{Connected: health.Connected(), Stats: map[string]float64{}}
	for _, name := range slices.Sorted(maps.Keys(health)) {
		if len(out.Nodes) == maxNodes {
			break
		}
		n := health[name]
		out.Nodes = append(out.Nodes, gateway.Node{
			Name: p.clean(name), Status: p.clean(n.Status), Role: p.clean(n.Role), Error: n.Problem,
		})
	}
	p.tell(ctx, &out)
	return out
}

// tell adds the host's numbers to a report, from the pages that are due and
// from what the others said before.
func (p *Provider) tell(ctx context.Context, h *gateway.Health) {
	f := &p.figures
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, page := range pages {
		last := f.pages[page.name]
		if now := p.settings.Now(); !now.Before(last.until) {
			samples, err := page.read(p, ctx)
			last = told{numbers: page.totals(samples), failure: failure(err), until: now.Add(page.life)}
			switch {
			case errors.Is(ctx.Err(), context.Canceled): // the host isn't at fault
				last.until = now
			case last.failure != nil && last.failure.Class == gateway.ClassSuspended:
				last.until = now.Add(refusedLife)
			}
			f.pages[page.name] = last
		}
		maps.Copy(h.Stats, last.numbers)
		if last.failure != nil {
			if h.Unread == nil {
				h.Unread = map[string]*gateway.Error{}
			}
			h.Unread[page.name] = fresh(last.failure)
		}
	}
}

// failure is the error as the gateway's; nil: there is none.
func failure(err error) *gateway.Error {
	if err == nil {
		return nil
	}
	e, _ := errors.AsType[*gateway.Error](err)
	return cmp.Or(e, odd("reading health"))
}

// totals makes one number of each name that is reported, over all nodes and
// labels.
func (pg page) totals(samples []Sample) map[string]float64 {
	out, failed := map[string]float64{}, map[string]float64{}
	for _, s := range samples {
		join, reported := pg.numbers[s.Name]
		if !reported {
			continue
		}
		value := s.Value
		if before, several := out[s.Name]; several {
			value = join(before, value)
		}
		out[s.Name] = value
		if result, told := s.Labels["result"]; told && (s.Name == callbackRequests || s.Name == callbackCount) {
			if result == "success" {
				s.Value = 0
			}
			failed[s.Name] += s.Value
		}
	}
	for _, n := range failed { // the same under two names, should a host know both
		out[callbackFailures] = max(out[callbackFailures], n)
	}
	maps.DeleteFunc(out, func(_ string, n float64) bool { return !finite(n) })
	return out
}
