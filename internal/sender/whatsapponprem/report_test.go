package whatsapponprem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

const (
	appStats = `{"stats":{"app":{"callback_queue_size":{"type":"gauge","data":[{"value":450}]},` +
		`"callback_requests":{"data":[{"labels":{"type":"message"},"value":1}]},"another_number":{"data":[{"value":9}]}}}}`
	dbStats = `{"stats":{"h1:master":{"db":{"db_pending_messages":{"data":[{"value":7}]},"db_contacts":{"data":[{"value":5}]}}},"h2:core":{}}}`
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name            string
		health, app, db reply
		want            gateway.Health
	}{
		{
			"several nodes are told by name, and what waits",
			reply{
				status: 200, body: `{"health":{"h2:core":{"errors":[{"code":1011,"title":"Service not ready"}]},` +
					`"h1:master":{"gateway_status":"connected","role":"primary_master"}}}`,
			},
			reply{status: 200, body: appStats},
			reply{status: 200, body: dbStats},
			gateway.Health{
				Connected: true,
				Nodes: []gateway.Node{
					{Name: "h1:master", Status: "connected", Role: "primary_master"},
					{Name: "h2:core", Error: &gateway.Error{Class: gateway.ClassThrottled, Code: "1011", Title: "Service not ready"}},
				},
				Stats: map[string]float64{"callback_queue_size": 450, "db_pending_messages": 7},
			},
		},
		{
			"numbers that can't be had are left out",
			reply{status: 200, body: `{"health":{"gateway_status":"disconnected"}}`},
			reply{status: 500},
			reply{err: errors.New("reset")},
			gateway.Health{Nodes: []gateway.Node{{Status: "disconnected"}}, Stats: map[string]float64{}},
		},
		{
			"a refused key is told by its class",
			reply{
				status: 401, body: `{"errors":[{"code":1005,"title":"Access denied","details":"monitor-key-123 is none"}]}`,
			},
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
			gateway.Health{Error: &gateway.Error{
				Class: gateway.ClassTransient, Code: "connect", Title: "asking for /v1/health: the host couldn't be reached", Detail: "the connection failed",
			}},
		},
		{
			"a key in the host's words is removed",
			reply{status: 200, body: `{"health":{"gateway_status":"monitor-key-123"}}`},
			reply{status: 500},
			reply{status: 500},
			gateway.Health{Nodes: []gateway.Node{{Status: "[redacted]"}}, Stats: map[string]float64{}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.answerFirst("/v1/health", c.health)
			h.answerFirst("/v1/stats/app", c.app)
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

func TestTheHostsDatabaseIsAskedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		p := monitored(h)
		ok := reply{status: 200, body: `{"health":{"gateway_status":"connected"}}`}
		h.answerFirst("/v1/stats/db", reply{status: 200, body: dbStats})
		for range 11 {
			h.answerFirst("/v1/health", ok)
			if got := p.Report(t.Context()).Stats["db_pending_messages"]; got != 7 && len(h.made("/v1/stats/db")) == 1 {
				t.Errorf("%v messages wait", got)
			}
			pass(time.Minute)
		}
		if n := len(h.made("/v1/stats/db")); n != 2 {
			t.Errorf("asked %d times in eleven minutes, want 2", n)
		}
	})
}
