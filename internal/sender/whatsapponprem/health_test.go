package whatsapponprem_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapponprem"
)

func monitored(h *host) *whatsapponprem.Provider {
	s := loggingIn(h)
	s.WAAPIKey = monitorKey
	return whatsapponprem.New(s)
}

// S2-13 of the reference, and the bodies it shows.
func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       whatsapponprem.Health
		connected  bool
	}{
		{
			"a single node", `{"health":{"gateway_status":"connected"},"meta":{"version":"v2.45.1","api_status":"stable"}}`,
			whatsapponprem.Health{"": {Status: "connected"}},
			true,
		},
		{"one that waits for its registration", `{"health":{"gateway_status":"unregistered"}}`, whatsapponprem.Health{"": {Status: "unregistered"}}, false},
		{"one that connects isn't connected yet", `{"health":{"gateway_status":"connecting"}}`, whatsapponprem.Health{"": {Status: "connecting"}}, false},
		{
			"several, of which one is connected", `{"health":{"h1:wacore1":{"gateway_status":"connected","role":"coreapp"},"h1:master":{"gateway_status":"disconnected","role":"primary_master"},"h2:wacore2":{"errors":[{"code":1011,"title":"Service not ready","details":"d"}]}}}`,
			whatsapponprem.Health{
				"h1:wacore1": {Status: "connected", Role: "coreapp"},
				"h1:master":  {Status: "disconnected", Role: "primary_master"},
				"h2:wacore2": {Problem: &gateway.Error{Class: gateway.ClassThrottled, Code: "1011", Title: "Service not ready", Detail: "d"}},
			},
			true,
		},
		{
			"a single node with a problem", `{"health":{"errors":[{"code":1011,"title":"Service not ready"}]}}`,
			whatsapponprem.Health{"": {Problem: &gateway.Error{Class: gateway.ClassThrottled, Code: "1011", Title: "Service not ready"}}},
			false,
		},
		{"no node", `{"health":{}}`, whatsapponprem.Health{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.answerFirst("/v1/health", reply{status: 200, body: c.body})
			got, err := monitored(h).Health(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("health (-want +got):\n%s", diff)
			}
			if got.Connected() != c.connected {
				t.Errorf("connected: %v", got.Connected())
			}
			want := []call{{Method: "GET", Path: "/v1/health", Authorization: "Apikey monitor-key-123"}}
			if diff := cmp.Diff(want, h.made("")); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHealthWithoutAKeyOfItsOwn(t *testing.T) {
	h := newHost()
	h.answerFirst("/v1/health", reply{status: 401, body: denied}, reply{status: 200, body: `{"health":{"gateway_status":"connected"}}`})
	if got, err := whatsapponprem.New(loggingIn(h)).Health(t.Context()); err != nil || !got.Connected() {
		t.Errorf("%v, %v", got, err)
	}
	want := []call{
		{Method: "GET", Path: "/v1/health", Authorization: "Bearer OPTOKEN-1"},
		{Method: "GET", Path: "/v1/health", Authorization: "Bearer OPTOKEN-2"},
	}
	if diff := cmp.Diff(want, h.made("/v1/health")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestAFailedReadSaysWhatItMeans(t *testing.T) {
	for name, c := range map[string]struct {
		answer reply
		want   gateway.Class
	}{
		"a wrong key":      {reply{status: 401, body: denied}, gateway.ClassSuspended},
		"too often":        {reply{status: 429, body: `{"errors":[{"title":"Too many requests"}]}`}, gateway.ClassThrottled},
		"HTML":             {reply{status: 200, body: `<html>`}, gateway.ClassTransient},
		"null":             {reply{status: 200, body: `null`}, gateway.ClassTransient},
		"something else":   {reply{status: 200, body: `{"contacts":[],"health":7,"stats":[],"metrics":null}`}, gateway.ClassTransient},
		"errors with 200":  {reply{status: 200, body: `{"errors":[{"code":1023,"title":"Database error"}]}`}, gateway.ClassTransient},
		"no answer at all": {reply{err: errors.New("connection refused")}, gateway.ClassTransient},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost()
			h.answerFirst("/v1/health", c.answer)
			h.answerFirst("/v1/stats/db", c.answer)
			h.answerFirst("/metrics", c.answer)
			p := monitored(h)
			_, health := p.Health(t.Context())
			_, stats := p.Stats(t.Context(), whatsapponprem.StatsDB)
			_, metrics := p.Metrics(t.Context())
			for _, err := range []error{health, stats, metrics} {
				if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != c.want {
					t.Errorf("%v, want class %s", err, c.want)
				}
			}
		})
	}
}

func TestStats(t *testing.T) {
	h := newHost()
	h.answerFirst("/v1/stats/app", reply{status: 200, body: `{"stats":{"app":{"callback_queue_size":{"type":"gauge","help":"...","data":[{"value":450}]},"callback_requests":{"type":"counter","data":[{"labels":{"type":"status_change","result":"success"},"value":1},{"labels":{"type":"message"}}]}}},"meta":{"version":"v2.45.1"}}`})
	h.answerFirst("/v1/stats/db", reply{status: 200, body: `{"stats":{"h1:master":{"db":{"db_pending_messages":{"type":"gauge","data":[{"value":7}]}}},"h2:core":{},"h3:core":7}}`})
	p := monitored(h)
	for set, want := range map[whatsapponprem.Stats][]whatsapponprem.Sample{
		whatsapponprem.StatsApp: {
			{Name: "callback_queue_size", Value: 450},
			{Name: "callback_requests", Labels: map[string]string{"type": "status_change", "result": "success"}, Value: 1},
		},
		whatsapponprem.StatsDB: {{Node: "h1:master", Name: "db_pending_messages", Value: 7}},
	} {
		got, err := p.Stats(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", set, diff)
		}
	}
}

func TestMetrics(t *testing.T) {
	h := newHost()
	h.answerFirst("/metrics", reply{status: 200, body: `{"metrics":{"web_uptime":{"type":"gauge","help":"...","data":[{"labels":{"node":"06475793be9d"},"value":348842}]},` +
		`"web_requests":{"type":"gauge","data":[{"labels":{"node":"06475793be9d","state":"read"},"value":1},{"labels":{"node":"06475793be9d","state":"handle-request"},"value":2}]}}}`})
	got, err := monitored(h).Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node := func(more map[string]string) map[string]string {
		out := map[string]string{"node": "06475793be9d"}
		maps.Copy(out, more)
		return out
	}
	wantSamples := []whatsapponprem.Sample{
		{Name: "web_requests", Labels: node(map[string]string{"state": "read"}), Value: 1},
		{Name: "web_requests", Labels: node(map[string]string{"state": "handle-request"}), Value: 2},
		{Name: "web_uptime", Labels: node(nil), Value: 348842},
	}
	if diff := cmp.Diff(wantSamples, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	want := []call{{Method: "GET", Path: "/metrics", Authorization: "Apikey monitor-key-123"}}
	if diff := cmp.Diff(want, h.made("")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestOnlyNumbersAreRead(t *testing.T) {
	for value, want := range map[string][]float64{
		`450`: {450}, `4.5e2`: {450}, `"450"`: {450}, `-1`: {-1},
		`"many"`: nil, `""`: nil, `null`: nil, `{}`: nil, `[7]`: nil, `true`: nil, `1e999`: nil, `"NaN"`: nil, `"-Inf"`: nil,
	} {
		h := newHost()
		h.answerFirst("/metrics", reply{status: 200, body: `{"metrics":{"web_uptime":{"data":[{"value":` + value + `}]}}}`})
		samples, err := monitored(h).Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		for _, s := range samples {
			got = append(got, s.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is read as %v, want %v", value, got, want)
		}
	}
}
