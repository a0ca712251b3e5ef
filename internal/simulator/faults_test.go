package simulator

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultsOfTheExchange(t *testing.T) {
	const (
		cloudOK = `200`
		sinchOK = `201 success queued`
	)
	for _, tt := range []struct {
		name, fault  string
		cloud, sinch string // summary of the first answer; the second is an ordinary one
		accepted     bool   // the first
	}{
		{"throttle", `{"fault":"throttle","retry_after_s":7,"count":2}`, "429 130429 after 7", "429 Too many requests after 7", false},
		{"throttle without a time", `{"fault":"throttle","count":2}`, "429 130429", "429 Too many requests", false},
		{"throttle of the app with the older status", `{"fault":"throttle","code":80007,"status":400,"count":2}`, "400 80007", "400 Too many requests", false},
		{"pair limit", `{"fault":"pair_limit","count":2}`, "429 131056", "429 Too many requests", false},
		{"a coded server error", `{"fault":"server_error","count":2}`, "500 131000", "503 Service unavailable", false},
		{"a coded server error of choice", `{"fault":"server_error","code":131016,"status":503,"count":2}`, "503 131016", "503 Service unavailable", false},
		{"any error", `{"fault":"error","code":131042,"status":402,"count":2}`, "402 131042", "402 Payment Required", false},
		{"a wrong token", `{"fault":"wrong_token","count":2}`, "401 190", "401 Unauthorized", false},
		{"slow", `{"fault":"slow","delay_ms":100,"count":2}`, cloudOK, sinchOK, true},
		{"hang up before", `{"fault":"close_before","count":2}`, "closed", "closed", false},
		{"hang up after", `{"fault":"close_after","count":2}`, "closed", "closed", true},
		{"no id", `{"fault":"id_missing","count":2}`, "200", "201", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, Options{}, &gateway{})
				fault(t, s, tt.fault)
				cloud := func() string { return summary(t, sendCloud(t, s, cloudTextTo("+16505551234"))) }
				sinch := func() string { return summary(t, sendSinch(t, s, sinchTextTo("46732001122"))) }
				diff(t, "Cloud", cloud(), tt.cloud)
				diff(t, "Sinch", sinch(), tt.sinch)
				st := s.stats()
				for _, a := range st.Accounts {
					diff(t, "accepted", a.Accepted > 0, tt.accepted)
				}
				diff(t, "Cloud afterwards", cloud(), cloudOK)
				diff(t, "Sinch afterwards", sinch(), sinchOK)
			})
		})
	}
}

func TestAnswersThatNobodyUnderstands(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	send := func() answer { return sendCloud(t, s, cloudTextTo("+16505551234")) }

	fault(t, s, `{"fault":"bare_error","count":1}`)
	got := send()
	if got.status != http.StatusBadGateway || got.header.Get("Content-Type") != "text/html" || !strings.HasPrefix(got.body, "<html>") {
		t.Errorf("bare error: %+v", got)
	}
	fault(t, s, `{"fault":"bare_error","status":500,"body":"{}","count":1}`)
	got = send()
	diff(t, "bare error of choice", []any{got.status, got.body}, []any{500, "{}"})
	diff(t, "accepted", s.stats().Accounts[0].Accepted, int64(0))

	fault(t, s, `{"fault":"garbage","count":1}`)
	got = send()
	diff(t, "garbage", []any{got.status, got.body}, []any{200, garbage})
	fault(t, s, `{"fault":"garbage","body":"{\"messages\":[{}]}","count":1}`)
	diff(t, "garbage of choice", send().body, `{"messages":[{}]}`)
	fault(t, s, `{"fault":"id_missing","count":2}`)
	diff(t, "no id from Cloud", send().body, `{"messaging_product":"whatsapp","contacts":[],"messages":[]}`)
	diff(t, "no id from Sinch", sendSinch(t, s, sinchTextTo("46732001122")).body, `{"type":"whatsapp","statuses":[]}`)

	var page Page
	control(t, s, http.MethodGet, "/messages", "", &page)
	var outcomes []Outcome
	for _, e := range page.Messages {
		outcomes = append(outcomes, e.Outcome)
	}
	diff(t, "outcomes", outcomes, []Outcome{OutcomeGarbled, OutcomeGarbled, OutcomeGarbled, OutcomeGarbled})
}

func TestBusinessThrottlesTellTheMinutes(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	fault(t, s, `{"fault":"throttle","code":80007,"retry_after_s":1140,"count":1}`)
	got := sendCloud(t, s, cloudTextTo("+16505551234"))
	diff(t, "header", got.header.Get("X-Business-Use-Case-Usage"),
		`{"1":[{"type":"whatsapp","call_count":100,"total_cputime":25,"total_time":25,"estimated_time_to_regain_access":19}]}`)
}

func TestASlowAnswerComesAfterTheAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		fault(t, s, `{"fault":"slow","delay_ms":30000}`)
		begin := time.Now()
		sendCloud(t, s, cloudTextTo("+16505551234"))
		diff(t, "answered after", time.Since(begin), 30*time.Second)
		diff(t, "callbacks meanwhile", g.statuses(t), []string{"sent", "delivered", "read"})
	})
}

func TestFaultsOfCallbacks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		faults []string
		before int // callbacks that come before the answer
		want   []string
		first  time.Duration
	}{
		{"no fault", nil, 0, []string{"sent", "delivered", "read"}, 150 * time.Millisecond},
		{"doubled", []string{`{"fault":"callbacks_doubled"}`}, 0, []string{"sent", "sent", "delivered", "delivered", "read", "read"}, 150 * time.Millisecond},
		{"late", []string{`{"fault":"callbacks_late"}`}, 0, []string{"sent", "delivered", "read"}, 5150 * time.Millisecond},
		{"late by a minute", []string{`{"fault":"callbacks_late","delay_ms":60000}`}, 0, []string{"sent", "delivered", "read"}, 60150 * time.Millisecond},
		{"reversed", []string{`{"fault":"callbacks_reversed"}`}, 0, []string{"read", "delivered", "sent"}, 150 * time.Millisecond},
		{"early", []string{`{"fault":"callbacks_early"}`}, 3, []string{"sent", "delivered", "read"}, 0},
		{"none", []string{`{"fault":"callbacks_none"}`}, 0, nil, 0},
		{"failed", []string{`{"fault":"callbacks_failed","code":131053}`}, 0, []string{"failed 131053"}, 150 * time.Millisecond},
		{"failed without a code", []string{`{"fault":"callbacks_failed"}`}, 0, []string{"failed 131000"}, 150 * time.Millisecond},
		{"several at once", []string{`{"fault":"callbacks_reversed"}`, `{"fault":"callbacks_doubled"}`, `{"fault":"callbacks_late","delay_ms":1000}`}, 0, []string{"read", "read", "delivered", "delivered", "sent", "sent"}, 1150 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := start(t, Options{}, g)
				for _, f := range tt.faults {
					fault(t, s, f)
				}
				begin := time.Now()
				if got := sendCloud(t, s, cloudTextTo("+16505551234")); got.status != http.StatusOK {
					t.Fatalf("status %d", got.status)
				}
				diff(t, "callbacks before the answer", len(g.received()), tt.before)
				wait(time.Hour)
				diff(t, "statuses", g.statuses(t), tt.want)
				if calls := g.received(); len(calls) > 0 {
					diff(t, "first", calls[0].at.Sub(begin), tt.first)
				}
			})
		})
	}
}

func TestAnEarlyCallbackThatNobodyTakesDoesNotHoldTheAnswerForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(int, *http.Request) (int, string) { return http.StatusServiceUnavailable, "" }}
		s := start(t, Options{}, g)
		fault(t, s, `{"fault":"callbacks_early"}`)
		begin := time.Now()
		diff(t, "status", sendCloud(t, s, cloudTextTo("+16505551234")).status, http.StatusOK)
		diff(t, "answered after", time.Since(begin), 5*time.Second)
	})
}

func TestAFaultMeetsOnlyWhomItNames(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	fault(t, s, `{"fault":"throttle","account":"sinch"}`)
	fault(t, s, `{"fault":"pair_limit","recipient":"+16505551234"}`)
	fault(t, s, `{"fault":"server_error","recipient":"16505551234","account":"cloud"}`)
	diff(t, "the recipient: the first fault that fits", summary(t, sendCloud(t, s, cloudTextTo("+16505551234"))), "429 131056")
	diff(t, "another recipient", summary(t, sendCloud(t, s, cloudTextTo("+16505551235"))), "200")
	diff(t, "the account", summary(t, sendSinch(t, s, sinchTextTo("46732001122"))), "429 Too many requests")

	var list struct{ Faults []Fault }
	control(t, s, http.MethodGet, "/faults", "", &list)
	diff(t, "faults", list.Faults, []Fault{
		{Fault: FaultThrottle, Account: "sinch"},
		{Fault: FaultPairLimit, Recipient: "16505551234"},
		{Fault: FaultServerError, Recipient: "16505551234", Account: "cloud"},
	})
	diff(t, "delete", control(t, s, http.MethodDelete, "/faults?account=sinch", "", nil), http.StatusNoContent)
	diff(t, "the account afterwards", summary(t, sendSinch(t, s, sinchTextTo("46732001122"))), "201 success queued")
	diff(t, "the recipient still", summary(t, sendCloud(t, s, cloudTextTo("+16505551234"))), "429 131056")
	control(t, s, http.MethodDelete, "/faults", "", nil)
	diff(t, "the recipient afterwards", summary(t, sendCloud(t, s, cloudTextTo("+16505551234"))), "200")
}

func TestAFaultMeetsAllRecipientsThatBeginAsItSays(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	fault(t, s, `{"fault":"pair_limit","recipient":"+16505*"}`)
	for to, want := range map[string]string{"+16505551234": "429 131056", "16505551235": "429 131056", "+16515551234": "200"} {
		diff(t, to, summary(t, sendCloud(t, s, cloudTextTo(to))), want)
	}
	fault(t, s, `{"fault":"server_error","recipient":"*"}`)
	diff(t, "everyone", summary(t, sendCloud(t, s, cloudTextTo("+16515551234"))), "500 131000")
}

func TestTheCountOfAFaultIsShownAsItRunsOut(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	fault(t, s, `{"fault":"throttle","count":2}`)
	sendCloud(t, s, cloudTextTo("+16505551234"))
	var list struct{ Faults []Fault }
	control(t, s, http.MethodGet, "/faults", "", &list)
	diff(t, "faults", list.Faults, []Fault{{Fault: FaultThrottle, Count: 1}})
	sendCloud(t, s, cloudTextTo("+16505551234"))
	control(t, s, http.MethodGet, "/faults", "", &list)
	diff(t, "faults", list.Faults, []Fault{})
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	for _, tt := range []struct {
		body   string
		status int
		error  string
	}{
		{`{"fault":"earthquake"}`, 400, `fault: "earthquake" is unknown`},
		{`{}`, 400, `fault: "" is unknown`},
		{`{"fault":"slow"}`, 400, "delay_ms: is required with slow"},
		{`{"fault":"error"}`, 400, "code: is required with error, or status"},
		{`{"fault":"throttle","status":99}`, 400, "status: must be 200 to 599"},
		{`{"fault":"throttle","count":-1}`, 400, "count, delay_ms, retry_after_s: must not be negative"},
		{`{"fault":"throttle","account":"nobody"}`, 404, "account: is unknown"},
		{`{"fault":"throttle","times":3}`, 400, `body: json: unknown field "times"`},
		{`{"fault":"throttle"}{}`, 400, "body: must be one object"},
		{`throttle`, 400, "body: invalid character 'h' in literal true (expecting 'r')"},
	} {
		var got struct{ Error string }
		diff(t, tt.body, control(t, s, http.MethodPost, "/faults", tt.body, &got), tt.status)
		diff(t, tt.body, got.Error, tt.error)
	}
	diff(t, "faults in force", len(s.faults.all()), 0)
}

func TestFaultsAreBounded(t *testing.T) {
	table := newFaultTable()
	for range faultsKept {
		if !table.add(Fault{Fault: FaultHang}) {
			t.Fatal("refused")
		}
	}
	if table.add(Fault{Fault: FaultHang}) {
		t.Error("one more was taken")
	}
}

func TestAFileOfTheWrongTypeFailsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name, kind, link string
			want             string
		}{
			{"a GIF as image", "image", "https://cdn.example.com/a.gif", "failed 131053"},
			{"a document as image", "image", "https://cdn.example.com/a.PDF", "failed 131053"},
			{"a picture as document", "document", "https://cdn.example.com/a.jpg", "failed 131053"},
			{"a table of commas as document", "document", "https://cdn.example.com/a.csv", "failed 131053"},
			{"a picture as image", "image", "https://cdn.example.com/a.jpg?size=big.gif", "sent delivered read"},
			{"a link that says nothing", "image", "https://cdn.example.com/a", "sent delivered read"},
		} {
			g := &gateway{}
			s := start(t, Options{}, g)
			sendCloud(t, s, cloudBody(`"type":"`+tt.kind+`","`+tt.kind+`":{"link":"`+tt.link+`"}`))
			wait(time.Minute)
			diff(t, tt.name, strings.Join(g.statuses(t), " "), tt.want)
			_ = s.Close(t.Context())
		}
		g := &gateway{}
		s := start(t, Options{}, g)
		sendSinch(t, s, sinchBody(`{"type":"image","url":"https://cdn.example.net/a.gif"}`))
		wait(time.Minute)
		sendSinch(t, s, sinchBody(`{"type":"document","url":"https://cdn.example.net/a.jpg"}`)) // any listed type will do
		wait(time.Minute)
		diff(t, "Sinch", g.statuses(t), []string{"failed a .gif file is not supported as image", "dispatched", "sent", "delivered", "read"})
	})
}
