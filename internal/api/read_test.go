package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// record is a queued text to the usual recipient.
func record(account gateway.AccountID, at time.Time) gateway.Record {
	return gateway.Record{
		Message: gateway.Message{
			Account: account, Recipient: "+46732001122", Priority: gateway.Transactional, CreatedAt: at, ExpiresAt: at.Add(time.Hour),
			Content: gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "hi <b>"}},
		},
		Status: gateway.StatusQueued, UpdatedAt: at,
		History: []gateway.StatusChange{{Status: gateway.StatusQueued, At: at}},
	}
}

func TestMessageIsReadInFull(t *testing.T) {
	s := newStage(t)
	r := record("shop-eu", noon)
	r.Reference, r.Metadata, r.Batch = "order-4711", map[string]string{"campaign": "nov"}, gateway.NewBatchID("shop-eu", noon)
	r.Status, r.UpdatedAt, r.ProviderMessageID, r.PossibleDuplicate = gateway.StatusFailed, noon.Add(2*time.Second), "wamid.1", true
	r.Error = &gateway.Error{Class: gateway.ClassRecipient, Code: "131026", Title: "Message undeliverable"}
	r.Attempts = []gateway.Attempt{
		{Number: 1, StartedAt: noon, EndedAt: noon.Add(time.Second), Outcome: gateway.OutcomeTransient, Code: "131000", Detail: "try later"},
		{Number: 2, StartedAt: noon.Add(2 * time.Second)},
	}
	r.History = append(r.History, gateway.StatusChange{Status: gateway.StatusFailed, At: noon.Add(2 * time.Second)})
	id := s.store.put(r)
	a := s.do(http.MethodGet, "/v1/messages/"+string(id), keyRead, "").wants(http.StatusOK)
	want := `{"id":"` + string(id) + `","account":"shop-eu","to":"+46732001122","type":"text","priority":"transactional","status":"failed",` +
		`"reference":"order-4711","created_at":"2026-11-21T12:00:00.123Z","provider":"whatsapp-cloud","provider_message_id":"wamid.1",` +
		`"batch":"` + string(r.Batch) + `","metadata":{"campaign":"nov"},"send_at":null,"expires_at":"2026-11-21T13:00:00.123Z",` +
		`"updated_at":"2026-11-21T12:00:02.123Z","possible_duplicate":true,` +
		`"error":{"class":"recipient","code":"131026","title":"Message undeliverable","detail":null},` +
		`"attempts":[{"number":1,"started_at":"2026-11-21T12:00:00.123Z","ended_at":"2026-11-21T12:00:01.123Z","outcome":"transient","code":"131000","detail":"try later"},` +
		`{"number":2,"started_at":"2026-11-21T12:00:02.123Z","ended_at":null,"outcome":null,"code":null,"detail":null}],` +
		`"history":[{"status":"queued","at":"2026-11-21T12:00:00.123Z"},{"status":"failed","at":"2026-11-21T12:00:02.123Z"}],` +
		`"content":{"type":"text","text":{"body":"hi <b>"}}}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestPurgedMessageHasNoContent(t *testing.T) {
	s := newStage(t)
	r := record("shop-eu", noon)
	r.Purged, r.Recipient, r.Content = true, "", gateway.Content{Type: gateway.TypeText}
	o := s.do(http.MethodGet, "/v1/messages/"+string(s.store.put(r)), keyRead, "").wants(http.StatusOK).object()
	for _, member := range []string{"content", "to", "error", "reference", "batch", "provider_message_id"} {
		if v, there := o[member]; v != nil || !there {
			t.Errorf("%s is %v, there %v; want null", member, v, there)
		}
	}
}

func TestWaitingMessagePastItsTimeReadsExpired(t *testing.T) {
	for _, status := range []gateway.Status{gateway.StatusQueued, gateway.StatusScheduled} {
		s := newStage(t)
		r := record("shop-eu", noon)
		r.Status = status
		id := s.store.put(r)
		read := func() map[string]any {
			return s.do(http.MethodGet, "/v1/messages/"+string(id), keyRead, "").wants(http.StatusOK).object()
		}
		listed := func(filter string) int {
			return len(s.do(http.MethodGet, "/v1/messages?status="+filter, keyRead, "").wants(http.StatusOK).object()["items"].([]any))
		}
		s.at(r.ExpiresAt.Add(-time.Millisecond))
		if got := read()["status"]; got != string(status) {
			t.Errorf("%s just before its time: %v", status, got)
		}
		s.at(r.ExpiresAt)
		o := read()
		if got := o["status"]; got != "expired" {
			t.Errorf("%s at its time: %v", status, got)
		}
		if e, ok := o["error"].(map[string]any); !ok || e["class"] != "expired" {
			t.Errorf("error %v, want class expired", o["error"])
		}
		if listed("expired") != 1 || listed(string(status)) != 0 {
			t.Errorf("the list shows %s still", status)
		}
	}
}

func TestMessagesOutsideTheKeyAreNotFound(t *testing.T) {
	s := newStage(t)
	own, foreign := s.store.put(record("shop-eu", noon)), s.store.put(record("shop-us", noon))
	for name, id := range map[string]string{
		"a message of a foreign account": string(foreign),
		"an id nobody has":               string(gateway.NewMessageID("shop-eu", noon)),
		"an id of no account":            string(gateway.NewMessageID("nobody", noon)),
		"no id at all":                   "x",
		"an id cut short":                string(own[:31]),
		"an id with an escape":           string(own[:29]) + "%2F0",
		"an id in capitals":              strings.ToUpper(string(own)),
	} {
		t.Run(name, func(_ *testing.T) {
			s.do(http.MethodGet, "/v1/messages/"+id, keyRead, "").problem(http.StatusNotFound, "not-found")
			s.do(http.MethodPost, "/v1/messages/"+id+"/cancel", keySend, "").problem(http.StatusNotFound, "not-found")
		})
	}
	s.do(http.MethodGet, "/v1/messages/"+string(own), keyRead, "").wants(http.StatusOK)
	if got := s.store.records[foreign].Status; got != gateway.StatusQueued {
		t.Errorf("the foreign message is %s", got)
	}
}

func TestCancel(t *testing.T) {
	s := newStage(t)
	id := s.store.put(record("shop-eu", noon))
	path := "/v1/messages/" + string(id) + "/cancel"
	s.do(http.MethodPost, path, keyRead, "").problem(http.StatusForbidden, "forbidden")
	for range 2 { // repeating it is fine
		if got := s.do(http.MethodPost, path, keySend, "").wants(http.StatusOK).object()["status"]; got != "cancelled" {
			t.Errorf("status %v", got)
		}
	}
	r := record("shop-eu", noon)
	r.Status = gateway.StatusSending
	s.do(http.MethodPost, "/v1/messages/"+string(s.store.put(r))+"/cancel", keySend, "").problem(http.StatusConflict, "conflict")
}

func TestListPagesThroughTheKeysMessages(t *testing.T) {
	s := newStage(t)
	var want []string
	for i := range 5 {
		id := s.store.put(record("shop-eu", noon.Add(time.Duration(i)*time.Second)))
		want = append([]string{string(id)}, want...)
		s.store.put(record("shop-us", noon.Add(time.Duration(i)*time.Second)))
	}
	var got []string
	pages := 0
	for cursor := ""; ; pages++ {
		var p struct {
			Items []struct{ ID, Account string }
			Next  *string `json:"next_cursor"`
		}
		a := s.do(http.MethodGet, "/v1/messages?limit=2&cursor="+cursor, keyRead, "").wants(http.StatusOK)
		if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		for _, m := range p.Items {
			got = append(got, m.ID)
		}
		if p.Next == nil {
			break
		}
		cursor = *p.Next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if pages != 2 {
		t.Errorf("%d pages before the last, want 2", pages)
	}
}

func TestEmptyListHasItsShape(t *testing.T) {
	a := newStage(t).do(http.MethodGet, "/v1/messages", keyRead, "").wants(http.StatusOK)
	if got := a.Body.String(); got != `{"items":[],"next_cursor":null}`+"\n" {
		t.Errorf("body %s", got)
	}
}

func TestListFilters(t *testing.T) {
	eu := []gateway.AccountID{"shop-eu"}
	batch := gateway.NewBatchID("shop-eu", noon)
	for _, tc := range []struct {
		name, query string
		want        gateway.Query
	}{
		{"nothing", "", gateway.Query{Accounts: eu, Limit: 50}},
		{"empty parameters", "?account=&status=&limit=", gateway.Query{Accounts: eu, Limit: 50}},
		{
			"everything", "?account=shop-eu&status=unknown&to=%2B46732001122&reference=a%20b&batch=" + string(batch) +
				"&since=2026-11-21T09:00:00%2B01:00&cursor=abc&limit=200",
			gateway.Query{
				Accounts: eu, Status: gateway.StatusUnknown, Recipient: "+46732001122", Reference: "a b", Batch: batch,
				Since: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), Cursor: "abc", Limit: 200,
			},
		},
		{"a plus that wasn't escaped", "?to=+46732001122", gateway.Query{Accounts: eu, Recipient: "+46732001122", Limit: 50}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			s.do(http.MethodGet, "/v1/messages"+tc.query, keyRead, "").wants(http.StatusOK)
			tc.want.Now = noon
			if diff := cmp.Diff([]gateway.Query{tc.want}, s.store.queries); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

func TestListRefusesWhatItCantFollow(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		status      int
		problem     string
		fields      []string
	}{
		{
			"every bad parameter at once", "?status=lost&to=073&batch=x&since=today&limit=0&cursor=%00&colour=red", 422, "validation",
			[]string{"batch", "colour", "cursor", "limit", "since", "status", "to"},
		},
		{"a limit over 200", "?limit=201", 422, "validation", []string{"limit"}},
		{"a parameter given twice", "?limit=1&limit=2", 422, "validation", []string{"limit"}},
		{"an escape that isn't one", "?to=%zz", 400, "malformed", nil},
		{"a foreign account", "?account=shop-us", 403, "forbidden", nil},
		{"an account that doesn't exist", "?account=nobody", 403, "forbidden", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t)
			p := s.do(http.MethodGet, "/v1/messages"+tc.query, keyRead, "").problem(tc.status, tc.problem)
			if diff := cmp.Diff(tc.fields, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if len(s.store.queries) != 0 {
				t.Error("the store was asked")
			}
		})
	}
}

func TestListHandsOnTheStoresFieldErrors(t *testing.T) {
	s := newStage(t)
	s.store.fail(gateway.FieldError{Field: "cursor", Message: "must be the next_cursor of an earlier page"})
	p := s.do(http.MethodGet, "/v1/messages?cursor=abc", keyRead, "").problem(http.StatusUnprocessableEntity, "validation")
	if diff := cmp.Diff([]string{"cursor"}, p.fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestAccountIsShownInFull(t *testing.T) {
	s := newStage(t)
	s.floor.states["shop-eu"] = gateway.AccountState{
		Hold:    &gateway.Hold{Until: noon.Add(time.Minute), Reason: "throttled", Scope: gateway.ScopeAccount},
		Breaker: gateway.BreakerHalfOpen, EffectiveRate: 40, Owner: "w1", SentLastMinute: 7,
		Lanes: map[gateway.Priority]gateway.LaneState{
			gateway.Transactional: {Pending: 3, Active: 2, Parked: 1, Scheduled: 9, OldestPending: 1500 * time.Millisecond},
			gateway.Bulk:          {Pending: 76},
		},
		Tier: &gateway.TierState{Limit: 1000, Used: 1000, FullUntil: noon.Add(time.Hour)},
		Health: &gateway.Health{
			At: noon, Connected: true, Stats: map[string]float64{"callback_queue_size": 450},
			Nodes: []gateway.Node{
				{Name: "h1:master", Status: "connected", Role: "primary_master"},
				{Name: "h2:core", Error: &gateway.Error{Class: gateway.ClassThrottled, Code: "1011", Title: "Service not ready"}},
			},
			Unread: map[string]*gateway.Error{"metrics": {Class: gateway.ClassSuspended, Code: "1005", Title: "Access denied"}},
		},
	}
	a := s.do(http.MethodGet, "/v1/accounts/shop-eu", keyRead, "").wants(http.StatusOK)
	want := `{"id":"shop-eu","provider":"whatsapp-cloud","rate":80,"effective_rate":40,"paused":false,` +
		`"hold":{"until":"2026-11-21T12:01:00.123Z","reason":"throttled","scope":"account"},"breaker":"half-open","owner":"w1",` +
		`"lanes":{"transactional":{"pending":3,"active":2,"parked":1,"scheduled":9,"oldest_pending_seconds":1.5,"paused":false},` +
		`"bulk":{"pending":76,"active":0,"parked":0,"scheduled":0,"oldest_pending_seconds":0,"paused":false}},` +
		`"sent_last_minute":7,"drain_eta":"2026-11-21T12:00:02.123Z",` +
		`"tier":{"limit":1000,"used":1000,"full_until":"2026-11-21T13:00:00.123Z","parked":0},` +
		`"health":{"at":"2026-11-21T12:00:00.123Z","connected":true,"detail":{"error":null,"nodes":[` +
		`{"name":"h1:master","status":"connected","role":"primary_master","error":null},` +
		`{"name":"h2:core","status":null,"role":null,"error":{"class":"throttled","code":"1011","title":"Service not ready","detail":null}}],` +
		`"stats":{"callback_queue_size":450},` +
		`"unread":{"metrics":{"class":"suspended","code":"1005","title":"Access denied","detail":null}}}}}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestAProviderThatCannotBeAskedIsShownWithTheReason(t *testing.T) {
	s := newStage(t)
	s.floor.states["shop-eu"] = gateway.AccountState{Health: &gateway.Health{
		At: noon, Error: &gateway.Error{Class: gateway.ClassTransient, Code: "connect", Title: "the host couldn't be reached"},
	}}
	a := s.do(http.MethodGet, "/v1/accounts/shop-eu", keyRead, "").wants(http.StatusOK)
	want := `"health":{"at":"2026-11-21T12:00:00.123Z","connected":false,"detail":{"error":` +
		`{"class":"transient","code":"connect","title":"the host couldn't be reached","detail":null},"nodes":[],"stats":{},"unread":{}}}}` + "\n"
	if got := a.Body.String(); !strings.HasSuffix(got, want) {
		t.Errorf("body %s, want it to end in %s", got, want)
	}
}

func TestAccountNobodyHasUsedYet(t *testing.T) {
	o := newStage(t).do(http.MethodGet, "/v1/accounts/shop-eu", keyRead, "").wants(http.StatusOK).object()
	for member, want := range map[string]any{"hold": nil, "tier": nil, "owner": nil, "drain_eta": nil, "breaker": "closed", "paused": false, "health": nil} {
		if got, there := o[member]; got != want || !there {
			t.Errorf("%s is %v, there %v; want %v", member, got, there, want)
		}
	}
}

func TestAccountsAreThoseOfTheKey(t *testing.T) {
	s := newStage(t)
	for key, want := range map[string][]string{keyAll: {"shop-eu", "shop-us"}, keyRead: {"shop-eu"}, keyOther: {"shop-us"}} {
		o := s.do(http.MethodGet, "/v1/accounts", key, "").wants(http.StatusOK).object()
		var got []string
		for _, item := range o["items"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
		if next, there := o["next_cursor"]; next != nil || !there {
			t.Errorf("next_cursor %v", next)
		}
	}
	s.do(http.MethodGet, "/v1/accounts/shop-us", keyRead, "").problem(http.StatusNotFound, "not-found")
	s.do(http.MethodGet, "/v1/accounts/nobody", keyAll, "").problem(http.StatusNotFound, "not-found")
	s.do(http.MethodPost, "/v1/accounts/shop-us/pause", keyOperate, "").problem(http.StatusNotFound, "not-found")
}

func TestPauseAndResume(t *testing.T) {
	s := newStage(t)
	steer := func(act, body string) map[string]any {
		t.Helper()
		return s.do(http.MethodPost, "/v1/accounts/shop-eu/"+act, keyOperate, body).wants(http.StatusOK).object()
	}
	if steer("pause", "")["paused"] != true {
		t.Error("not paused")
	}
	a := steer("resume", `{"priority":"bulk"}`)
	if a["paused"] != false {
		t.Error("still paused as a whole")
	}
	for lane, want := range map[string]bool{"transactional": true, "bulk": false} {
		if got := a["lanes"].(map[string]any)[lane].(map[string]any)["paused"]; got != want {
			t.Errorf("the %s lane says paused: %v", lane, got)
		}
	}
	if diff := cmp.Diff([]gateway.Priority{gateway.Transactional}, s.floor.state("shop-eu").PausedLanes); diff != "" {
		t.Errorf("paused lanes (-want +got):\n%s", diff)
	}
	steer("resume", `{}`)
	if lanes := s.floor.state("shop-eu").PausedLanes; len(lanes) != 0 {
		t.Errorf("%v still paused", lanes)
	}
	s.do(http.MethodPost, "/v1/accounts/shop-eu/pause", keyRead, "").problem(http.StatusForbidden, "forbidden")
	p := s.do(http.MethodPost, "/v1/accounts/shop-eu/pause", keyOperate, `{"priority":"urgent","why":"x"}`).problem(http.StatusUnprocessableEntity, "validation")
	if diff := cmp.Diff([]string{"priority", "why"}, p.fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if lanes := s.floor.state("shop-eu").PausedLanes; len(lanes) != 0 {
		t.Errorf("a refused pause paused %v", lanes)
	}
	s.floor.fault = gateway.ErrUnavailable
	s.do(http.MethodPost, "/v1/accounts/shop-eu/pause", keyOperate, "").problem(http.StatusServiceUnavailable, "unavailable")
	s.do(http.MethodGet, "/v1/accounts", keyRead, "").problem(http.StatusServiceUnavailable, "unavailable")
}

func TestPauseByTheConfigurationStays(t *testing.T) {
	s := newStage(t)
	set := newSetup()
	a := set.accounts["shop-eu"]
	a.Paused = true
	set.accounts["shop-eu"] = a
	s.directory.Store(set)
	if s.do(http.MethodPost, "/v1/accounts/shop-eu/resume", keyOperate, "").wants(http.StatusOK).object()["paused"] != true {
		t.Error("resumed against the configuration")
	}
}

func TestWorkersShowTheKeysAccounts(t *testing.T) {
	s := newStage(t)
	s.floor.workers = []gateway.Worker{
		{ID: "w1", Host: "a", Revision: 3, StartedAt: noon, Accounts: []gateway.AccountID{"shop-us", "shop-eu"}},
		{ID: "w2", Host: "b", Revision: 3, StartedAt: noon},
	}
	a := s.do(http.MethodGet, "/v1/workers", keyRead, "").wants(http.StatusOK)
	want := `{"items":[{"id":"w1","host":"a","revision":3,"started_at":"2026-11-21T12:00:00.123Z","accounts":["shop-eu"]},` +
		`{"id":"w2","host":"b","revision":3,"started_at":"2026-11-21T12:00:00.123Z","accounts":[]}],"next_cursor":null}` + "\n"
	if diff := cmp.Diff(want, a.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	s.floor.fault = errors.New("defect")
	s.do(http.MethodGet, "/v1/workers", keyRead, "").problem(http.StatusInternalServerError, "internal")
}

func TestDrainIsForeseenOnlyIfAllOfItMoves(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	lanes := map[gateway.Priority]gateway.LaneState{gateway.Transactional: {Pending: 10}, gateway.Bulk: {Pending: 80, Parked: 10}}
	for _, c := range []struct {
		name  string
		state gateway.AccountState
		want  time.Duration // zero: none
	}{
		{"what waits at the rate", gateway.AccountState{Lanes: lanes, EffectiveRate: 50}, 2 * time.Second},
		{"some wait for room in the tier", gateway.AccountState{
			Lanes: lanes, EffectiveRate: 50, Tier: &gateway.TierState{Limit: 1, Used: 1, FullUntil: noon.Add(time.Hour), Parked: 1},
		}, 0},
		{"nothing waits", gateway.AccountState{EffectiveRate: 50}, 0},
		{"nothing moves", gateway.AccountState{Lanes: lanes}, 0},
		{"a lane with messages is paused", gateway.AccountState{Lanes: lanes, EffectiveRate: 50, PausedLanes: []gateway.Priority{gateway.Bulk}}, 0},
		{"an empty lane is paused", gateway.AccountState{
			Lanes: map[gateway.Priority]gateway.LaneState{gateway.Transactional: {Pending: 50}}, EffectiveRate: 50, PausedLanes: []gateway.Priority{gateway.Bulk},
		}, time.Second},
	} {
		want := time.Time{}
		if c.want > 0 {
			want = now.Add(c.want)
		}
		if got := drainETA(&c.state, c.state.Lanes, now); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}
