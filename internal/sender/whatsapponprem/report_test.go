package whatsapponprem_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapponprem"
)

const (
	connected = `{"health":{"gateway_status":"connected"}}`
	appStats  = `{"stats":{"app":{"callback_queue_size":{"type":"gauge","data":[{"value":450}]},` +
		`"callback_requests":{"data":[{"labels":{"type":"status_change","result":"success"},"value":7},` +
		`{"labels":{"type":"message","result":"success"},"value":2},{"labels":{"type":"status_change","result":"28"},"value":1}]},` +
		`"another_number":{"data":[{"value":9}]}}}}`
	dbStats = `{"stats":{"h1:master":{"db":{"db_pending_messages":{"data":[{"value":7}]},"db_contacts":{"data":[` +
		`{"labels":{"type":"whatsapp_user"},"value":5},{"labels":{"type":"non_whatsapp_user"},"value":1}]}}},"h2:core":{}}}`
	webMetrics = `{"metrics":{"web_uptime":{"data":[{"labels":{"node":"w1"},"value":900},{"labels":{"node":"w2"},"value":60},{"labels":{"node":"w3"},"value":70}]},` +
		`"web_max_pending_connections":{"data":[{"labels":{"node":"w1"},"value":10},{"labels":{"node":"w2"},"value":12},{"labels":{"node":"w3"},"value":11}]},` +
		`"web_requests":{"data":[{"labels":{"node":"w1","state":"read"},"value":1},{"labels":{"node":"w2","state":"handle-request"},"value":2}]},` +
		`"api_requests_duration_ms_count":{"data":[{"labels":{"node":"w1","result":"200","method":"POST_v1_messages"},"value":3},` +
		`{"labels":{"node":"w1","result":"400","method":"POST_v1_messages"},"value":1}]},"web_secret_rate":{"data":[{"value":1}]}}}`
)

func TestReport(t *testing.T) {
	reset := &gateway.Error{Class: gateway.ClassTransient, Code: "connect", Title: "asking for /v1/stats/db: the host couldn't be reached", Detail: "the connection failed"}
	broken := func(path string) *gateway.Error {
		return &gateway.Error{Class: gateway.ClassTransient, Code: "http_500", Title: "reading " + path + " refused: HTTP 500 without an error code: Internal Server Error"}
	}
	for _, c := range []struct {
		name                 string
		health, app, web, db reply
		want                 gateway.Health
	}{
		{
			"several nodes are told by name, and the numbers that have a name here",
			reply{
				status: 200, body: `{"health":{"h2:core":{"errors":[{"code":1011,"title":"Service not ready"}]},` +
					`"h1:master":{"gateway_status":"connected","role":"primary_master"}}}`,
			},
			reply{status: 200, body: appStats},
			reply{status: 200, body: webMetrics},
			reply{status: 200, body: dbStats},
			gateway.Health{
				Connected: true,
				Nodes: []gateway.Node{
					{Name: "h1:master", Status: "connected", Role: "primary_master"},
					{Name: "h2:core", Error: &gateway.Error{Class: gateway.ClassThrottled, Code: "1011", Title: "Service not ready"}},
				},
				Stats: map[string]float64{
					"callback_queue_size": 450, "callback_requests": 10, "callback_requests_failed": 1,
					"web_uptime": 60, "web_max_pending_connections": 12, "web_requests": 3, "api_requests_duration_ms_count": 4,
					"db_contacts": 6, "db_pending_messages": 7,
				},
			},
		},
		{
			"numbers that can't be had are left out, and why",
			reply{status: 200, body: `{"health":{"gateway_status":"disconnected"}}`},
			reply{status: 500},
			reply{status: 200, body: "# TYPE web_requests gauge\nweb_requests 7"},
			reply{err: errors.New("reset")},
			gateway.Health{
				Nodes: []gateway.Node{{Status: "disconnected"}}, Stats: map[string]float64{},
				Unread: map[string]*gateway.Error{
					"stats/app": broken("/v1/stats/app"), "stats/db": reset,
					"metrics": {Class: gateway.ClassTransient, Code: "odd_answer", Title: "reading /metrics: the host answered something else"},
				},
			},
		},
		{
			"the count of callbacks under its later name, with none that failed, and sums that no number holds",
			reply{status: 200, body: connected},
			reply{status: 200, body: `{"stats":{"app":{"callback_requests_duration_ms_count":{"data":[{"labels":{"result":"success"},"value":3}]},` +
				`"callback_requests_duration_ms_sum":{"data":[{"value":1e308},{"value":1e308}]}}}}`},
			reply{status: 200, body: `{"metrics":{}}`},
			reply{status: 200, body: `{"stats":{}}`},
			gateway.Health{
				Connected: true, Nodes: []gateway.Node{{Status: "connected"}},
				Stats: map[string]float64{"callback_requests_duration_ms_count": 3, "callback_requests_failed": 0},
			},
		},
		{
			"a refused key is told by its class",
			reply{
				status: 401, body: `{"errors":[{"code":1005,"title":"Access denied","details":"monitor-key-123 is none"}]}`,
			},
			reply{},
			reply{},
			reply{},
			gateway.Health{Error: &gateway.Error{
				Class: gateway.ClassSuspended, Code: "1005", Title: "reading /v1/health refused: Access denied", Detail: "[redacted] is none",
			}},
		},
		{
			"a host that isn't there",
			reply{err: errors.New("dial tcp 192.0.2.1: connection refused")},
			reply{},
			reply{},
			reply{},
			gateway.Health{Error: &gateway.Error{
				Class: gateway.ClassTransient, Code: "connect", Title: "asking for /v1/health: the host couldn't be reached", Detail: "the connection failed",
			}},
		},
		{
			"a key in the host's words is removed",
			reply{status: 200, body: `{"health":{"gateway_status":"monitor-key-123"}}`},
			reply{status: 200, body: `{"stats":{}}`},
			reply{status: 403, body: `{"errors":[{"code":1005,"title":"monitor-key-123 isn't for this"}]}`},
			reply{status: 200, body: `{"stats":{}}`},
			gateway.Health{
				Nodes: []gateway.Node{{Status: "[redacted]"}}, Stats: map[string]float64{},
				Unread: map[string]*gateway.Error{
					"metrics": {Class: gateway.ClassSuspended, Code: "1005", Title: "reading /metrics refused: [redacted] isn't for this"},
				},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.answerFirst("/v1/health", c.health)
			h.answerFirst("/v1/stats/app", c.app)
			h.answerFirst("/metrics", c.web)
			h.answerFirst("/v1/stats/db", c.db)
			if diff := cmp.Diff(c.want, monitored(h).Report(t.Context())); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			for _, made := range h.made("") {
				if made.Authorization != "Apikey monitor-key-123" {
					t.Errorf("%s with %q", made.Path, made.Authorization)
				}
			}
		})
	}
}

func TestAReportOfVeryManyNodesIsBounded(t *testing.T) {
	nodes := map[string]any{}
	for n := range 100 {
		nodes[fmt.Sprintf("h%02d", n)] = map[string]string{"gateway_status": strings.Repeat("x", 1000)}
	}
	nodes["z"] = map[string]string{"gateway_status": "connected"}
	body, err := json.Marshal(map[string]any{"health": nodes})
	if err != nil {
		t.Fatal(err)
	}
	h := newHost()
	h.answerFirst("/v1/health", reply{status: 200, body: string(body)})
	got := monitored(h).Report(t.Context())
	if len(got.Nodes) != 32 || len(got.Nodes[0].Status) > 400 || !got.Connected {
		t.Errorf("%d nodes, connected %v", len(got.Nodes), got.Connected)
	}
}

func TestHowOftenAHostsNumbersAreAskedFor(t *testing.T) {
	well := func(body string) []reply { return slices.Repeat([]reply{{status: 200, body: body}}, 11) }
	refused := []reply{{status: 403, body: denied}}
	for name, c := range map[string]struct {
		app, web, db []reply
		want         map[string]int // in eleven minutes, at a report each
	}{
		"the database rarely":               {well(appStats), well(webMetrics), well(dbStats), map[string]int{"/v1/stats/app": 11, "/metrics": 11, "/v1/stats/db": 2}},
		"the database rarely if it fails":   {well(appStats), well(webMetrics), slices.Repeat([]reply{{status: 500}}, 11), map[string]int{"/v1/stats/app": 11, "/metrics": 11, "/v1/stats/db": 2}},
		"a page that isn't there rarely":    {well(appStats), slices.Repeat([]reply{{status: 404}}, 11), well(dbStats), map[string]int{"/v1/stats/app": 11, "/metrics": 2, "/v1/stats/db": 2}},
		"a page that was refused rarely":    {append(refused, well(appStats)...), well(webMetrics), well(dbStats), map[string]int{"/v1/stats/app": 2, "/metrics": 11, "/v1/stats/db": 2}},
		"a page that is away as the others": {slices.Repeat([]reply{{err: errors.New("reset")}}, 11), well(webMetrics), well(dbStats), map[string]int{"/v1/stats/app": 11, "/metrics": 11, "/v1/stats/db": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.answerFirst("/v1/health", well(connected)...)
				h.answerFirst("/v1/stats/app", c.app...)
				h.answerFirst("/metrics", c.web...)
				h.answerFirst("/v1/stats/db", c.db...)
				p := monitored(h)
				first := p.Report(t.Context())
				for range 9 {
					pass(time.Minute)
					now := p.Report(t.Context())
					if diff := cmp.Diff(first, now); diff != "" {
						t.Errorf("what isn't asked again is told again (-first +now):\n%s", diff)
					}
				}
				pass(time.Minute)
				p.Report(t.Context())
				got := map[string]int{}
				for path := range c.want {
					got[path] = len(h.made(path))
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAReportThatIsBrokenOffSaysNothingOfTheNext(t *testing.T) {
	h := newHost()
	h.answerFirst("/v1/health", reply{status: 200, body: connected}, reply{status: 200, body: connected})
	ctx, cancel := context.WithCancel(t.Context())
	settings := settings(hostURL)
	settings.Client = &http.Client{Transport: roundTripper{h, func(context.Context) {
		if len(h.made("")) == 1 {
			cancel()
		}
	}}}
	p := whatsapponprem.New(settings)
	p.Report(ctx)
	h.answerFirst("/v1/stats/app", reply{status: 200, body: appStats})
	h.answerFirst("/metrics", reply{status: 200, body: webMetrics})
	h.answerFirst("/v1/stats/db", reply{status: 200, body: dbStats})
	got := p.Report(t.Context())
	if len(got.Unread) != 0 || got.Stats["db_pending_messages"] != 7 || got.Stats["web_requests"] != 3 {
		t.Errorf("the next report is %+v", got)
	}
}

// FuzzReport wants that whatever a host says can be kept and shown: bounded, by
// names of a closed set, and in numbers that JSON has.
func FuzzReport(f *testing.F) {
	for _, seed := range [][2]string{
		{connected, appStats},
		{connected, dbStats},
		{`{"health":{"a":{"gateway_status":7,"errors":[null]}}}`, webMetrics},
		{connected, `{"stats":{"app":{"callback_queue_size":{"data":[{"value":1e308},{"value":1e308},{"value":"NaN"},null]}}},"metrics":null}`},
		{connected, `{"stats":{"a":{"b":{"c":{"db_messages":{"data":[{"value":1}]}}}}},"metrics":{"web_uptime":{"data":[{"labels":{"node":{}},"value":-0.0}]}}}`},
		{`{"health":{}}`, `{"metrics":{"data":{"data":[{"value":1}]},"":{"data":[]}},"errors":[]}`},
		{`null`, ``},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	names := strings.Fields(`callback_queue_size callback_requests callback_requests_failed
		callback_requests_duration_ms_count callback_requests_duration_ms_sum
		web_uptime web_connections web_pending_connections web_max_pending_connections web_queue_len web_idle_processes
		web_total_processes web_process_limit_hit web_requests web_handled_requests web_out_kbytes
		api_requests_duration_ms_count api_requests_duration_ms_sum
		api_requests_db_duration_ms_count api_requests_db_duration_ms_sum
		api_requests_coreapp_duration_ms_count api_requests_coreapp_duration_ms_sum
		db_contacts db_message_receipts db_messages db_pending_callbacks db_pending_messages`)
	f.Fuzz(func(t *testing.T, health, numbers []byte) {
		h := newHost()
		h.answerFirst("/v1/health", reply{status: 200, body: string(health)})
		for _, path := range []string{"/v1/stats/app", "/v1/stats/db", "/metrics"} {
			h.answerFirst(path, reply{status: 200, body: string(numbers)})
		}
		got := monitored(h).Report(t.Context())
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("it can't be kept: %v", err)
		}
		if len(got.Nodes) > 32 || got.Error != nil && got.Connected {
			t.Errorf("%d nodes, connected %v, error %v", len(got.Nodes), got.Connected, got.Error)
		}
		for name := range got.Stats {
			if !slices.Contains(names, name) {
				t.Errorf("a number %q", name)
			}
		}
		for page, e := range got.Unread {
			if !slices.Contains([]string{"stats/app", "stats/db", "metrics"}, page) || e == nil || e.Title == "" {
				t.Errorf("unread %q: %v", page, e)
			}
		}
	})
}
