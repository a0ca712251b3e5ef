package whatsapponprem

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

// Node is what one part of a host says of itself.
type Node struct {
	Status  string // connected, connecting, disconnected, uninitialized, unregistered
	Role    string // primary_master, secondary_master, coreapp; of several nodes only
	Problem *gateway.Error
}

// Health is the state of a host by the names of its nodes. A single one has
// none: its key is "".
type Health map[string]Node

// Connected reports whether messages can go out: one node suffices, for where
// there are several, only one of them is connected at a time.
func (h Health) Connected() bool {
	for _, n := range h {
		if n.Status == "connected" {
			return true
		}
	}
	return false
}

// Health asks the host how it is. Some hosts keep their answer for five
// minutes; asking more often says nothing new. Its errors are *gateway.Error.
func (p *Provider) Health(ctx context.Context) (Health, error) {
	a, err := p.monitor(ctx, "/v1/health")
	if err != nil {
		return nil, err
	}
	var body struct {
		Health map[string]json.RawMessage `json:"health"`
	}
	if whatsapp.Decode(a.Body, &body) != nil || body.Health == nil {
		return nil, odd("reading health")
	}
	_, single := body.Health["gateway_status"]
	if _, failed := body.Health["errors"]; single || failed {
		one, err := json.Marshal(body.Health)
		if err != nil {
			return nil, odd("reading health")
		}
		return Health{"": p.node(one)}, nil
	}
	out := Health{}
	for name, raw := range body.Health {
		out[name] = p.node(raw)
	}
	return out, nil
}

func (p *Provider) node(raw []byte) Node {
	var n struct {
		Status whatsapp.Loose `json:"gateway_status"`
		Role   whatsapp.Loose `json:"role"`
		Errors []wireError    `json:"errors"`
	}
	_ = whatsapp.Decode(raw, &n) // what can't be read is empty
	out := Node{Status: string(n.Status), Role: string(n.Role)}
	for _, w := range n.Errors {
		if code, ok := w.Code.Number(); ok {
			out.Problem = p.describe(code, w)
			out.Problem.Class = judge(0, code, w).class
			break
		}
	}
	return out
}

// Stats names one of the two sets of numbers a host keeps.
type Stats string

// The sets. StatsDB costs the host's database something: read it rarely.
const (
	StatsApp Stats = "app"
	StatsDB  Stats = "db"
)

// Sample is one number of a host.
type Sample struct {
	Node   string // of several
	Name   string
	Labels map[string]string
	Value  float64
}

// Stats reads the numbers of the host's core application, or of its database,
// ordered by node and name. Its errors are *gateway.Error.
func (p *Provider) Stats(ctx context.Context, set Stats) ([]Sample, error) {
	return p.samples(ctx, "/v1/stats/"+string(set), "stats")
}

// Metrics reads the numbers of the host's web application, ordered by name. Its
// errors are *gateway.Error.
func (p *Provider) Metrics(ctx context.Context) ([]Sample, error) {
	return p.samples(ctx, "/metrics", "metrics")
}

// samples reads a page of numbers, that an answer holds as the named member.
func (p *Provider) samples(ctx context.Context, path, member string) ([]Sample, error) {
	a, err := p.monitor(ctx, path)
	if err != nil {
		return nil, err
	}
	var body, numbers map[string]json.RawMessage
	if whatsapp.Decode(a.Body, &body) != nil || whatsapp.Decode(body[member], &numbers) != nil || numbers == nil {
		return nil, odd("reading " + path)
	}
	return collect("", numbers, 3), nil
}

// collect goes through sets, and nodes of sets, down to what holds data.
func collect(node string, in map[string]json.RawMessage, depth int) []Sample {
	var out []Sample
	for _, name := range slices.Sorted(maps.Keys(in)) {
		var metric struct {
			Data []struct {
				Labels map[string]whatsapp.Loose `json:"labels"`
				Value  whatsapp.Loose            `json:"value"`
			} `json:"data"`
		}
		var inner map[string]json.RawMessage
		switch {
		case whatsapp.Decode(in[name], &metric) == nil && metric.Data != nil:
			for _, d := range metric.Data {
				value, err := strconv.ParseFloat(string(d.Value), 64)
				if err != nil || !finite(value) {
					continue
				}
				s := Sample{Node: node, Name: name, Value: value}
				for label, value := range d.Labels {
					if s.Labels == nil {
						s.Labels = map[string]string{}
					}
					s.Labels[label] = string(value)
				}
				out = append(out, s)
			}
		case depth > 1 && whatsapp.Decode(in[name], &inner) == nil:
			at := name
			if set := Stats(name); set == StatsApp || set == StatsDB {
				at = node
			}
			out = append(out, collect(at, inner, depth-1)...)
		}
	}
	return out
}

// finite reports whether JSON can hold the number.
func finite(n float64) bool { return !math.IsNaN(n) && !math.IsInf(n, 0) }

// monitor reads a page that the monitoring key opens, and only those.
func (p *Provider) monitor(ctx context.Context, path string) (sender.Answer, error) {
	var a sender.Answer
	var refused *gateway.Error
	if key := p.settings.WAAPIKey; key != "" {
		var err error
		a, err = p.ask(ctx, http.MethodGet, path, http.Header{"Accept": {"application/json"}, "Authorization": {"Apikey " + key}}, nil)
		if err != nil {
			refused = unreachable("asking for "+path, err)
		}
	} else {
		a, refused = p.askAs(ctx, http.MethodGet, path, nil)
	}
	if refused == nil {
		if e, _ := read(a.Body); a.Status < 200 || a.Status > 299 || len(e.Errors) > 0 {
			refused = p.aside("reading "+path, a)
		}
	}
	if refused != nil {
		return sender.Answer{}, refused
	}
	return a, nil
}
