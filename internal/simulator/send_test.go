package simulator

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestsThatAreNoJSONByTheirHeaderAreRefused(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	for _, tt := range []struct {
		contentType string
		taken       bool
	}{
		{"application/json", true},
		{"application/json; charset=utf-8", true},
		{"Application/JSON", true},
		{"", false},
		{"text/plain", false},
		{"application/jsonp", false},
		{"multipart/form-data; boundary=x", false},
	} {
		t.Run(tt.contentType, func(t *testing.T) {
			cloud := request(t, cloudPath, "EAATOKEN", cloudTextTo("+16505551234"))
			cloud.Header.Set("Content-Type", tt.contentType)
			sinch := request(t, sinchPath, "tok-v1", sinchTextTo("46732001122"))
			sinch.Header.Set("Content-Type", tt.contentType)
			gotCloud, gotSinch := do(t, s, cloud), do(t, s, sinch)
			if tt.taken {
				diff(t, "Cloud", gotCloud.status, http.StatusOK)
				diff(t, "Sinch", gotSinch.status, http.StatusCreated)
				return
			}
			checkCloudProblem(t, gotCloud, cloudProblem{400, 100, titleParameter, "Content-Type"})
			diff(t, "Sinch", gotSinch.status, http.StatusBadRequest)
			sameJSON(t, "Sinch", gotSinch.body, `{"message":"Validation error","details":"Content-Type must be application/json"}`)
		})
	}
}

func TestABodyBeyondAMebibyteIsRefused(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	long := cloudBody(`"text":{"body":"` + strings.Repeat("x", maxRequest) + `"}`)
	checkCloudProblem(t, sendCloud(t, s, long), cloudProblem{400, 100, titleParameter, "too long"})
	chunked := request(t, cloudPath, "EAATOKEN", "")
	chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(long)), -1
	checkCloudProblem(t, do(t, s, chunked), cloudProblem{400, 100, titleParameter, "too long"})
}

func TestTheRateIsExactForAnySlidingSecond(t *testing.T) {
	account := cloudAccount()
	account.Rate = 3
	begin := time.Unix(1_800_000_000, 0)
	now := begin
	s := start(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	for _, step := range []struct {
		at   time.Duration
		want int
	}{
		{0, 200},
		{400 * time.Millisecond, 200},
		{900 * time.Millisecond, 200},
		{999_999_999, 429},
		{time.Second, 200},                  // the first left a second ago to the nanosecond
		{time.Second + 1, 429},              // 0.4, 0.9, 1.0
		{1_399_999_999, 429},                //
		{1400 * time.Millisecond, 200},      // what was refused didn't count
		{1899 * time.Millisecond, 429},      //
		{1900 * time.Millisecond, 200},      //
		{1900 * time.Millisecond, 429},      //
		{10 * time.Second, 200},             //
		{9 * time.Second, 200},              // a clock that steps back stands still
		{10*time.Second + time.Second, 200}, //
	} {
		now = begin.Add(step.at)
		if got := sendCloud(t, s, cloudTextTo("+16505551234")); got.status != step.want {
			t.Errorf("at %v: status %d, want %d: %s", step.at, got.status, step.want, got.body)
		}
	}
	st := s.stats().Accounts[0]
	diff(t, "granted", st.MaxGrantedPerSecond, 3)
	diff(t, "requests in the busiest second", st.MaxPerSecond, 8) // after 0.9: 0.999…, 1, 1.000…1, 1.399…, 1.4, 1.899 and twice 1.9
	diff(t, "refused", st.Refused, map[string]int64{"throttled": 5})
}

// TestTheWindowAgreesWithTheDefinition compares with counting anew for every
// event.
func TestTheWindowAgreesWithTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w window
	var all []time.Duration
	highest := 0
	at := time.Duration(0)
	for range 5000 {
		at += time.Duration(random.IntN(4)) * 5 * time.Millisecond
		all = append(all, at)
		n := 0
		for i := len(all) - 1; i >= 0 && all[i] > at-time.Second; i-- {
			n++
		}
		highest = max(highest, n)
		w.add(at)
		if w.n != n || w.highest != highest {
			t.Fatalf("at %v: %d, highest %d; want %d, %d", at, w.n, w.highest, n, highest)
		}
	}
}

func TestTheRateHoldsForConcurrentRequests(t *testing.T) {
	account := cloudAccount()
	account.Rate = 50
	account.CallbackURL = ""
	now := time.Now()
	s := start(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				sendCloud(t, s, cloudTextTo("+16505551234"))
			}
		})
	}
	wg.Wait()
	st := s.stats().Accounts[0]
	diff(t, "accepted", st.Accepted, int64(50))
	diff(t, "refused", st.Refused, map[string]int64{"throttled": 150})
	diff(t, "busiest second", [2]int{st.MaxPerSecond, st.MaxGrantedPerSecond}, [2]int{200, 50})
}

func TestThrottlesLookAsDocumented(t *testing.T) {
	cloud, sinch := cloudAccount(), sinchAccount()
	cloud.Rate, sinch.Rate = 1, 1
	now := time.Unix(1_800_000_000, 0)
	for _, status := range []int{0, 400, 403, 429} {
		t.Run(fmt.Sprintf("with throttle status %d", status), func(t *testing.T) {
			s := start(t, Options{Accounts: []Account{cloud, sinch}, ThrottleStatus: status, Now: func() time.Time { return now }}, &gateway{})
			sendCloud(t, s, cloudTextTo("+16505551234"))
			sendSinch(t, s, sinchTextTo("46732001122"))
			got := sendCloud(t, s, cloudTextTo("+16505551234"))
			checkCloudProblem(t, got, cloudProblem{cmp.Or(status, 429), 130429, "(#130429) Rate limit hit", "too many messages"})
			diff(t, "Retry-After", got.header.Get("Retry-After"), "")
			got = sendSinch(t, s, sinchTextTo("46732001122"))
			diff(t, "Sinch", got.status, http.StatusTooManyRequests)
			sameJSON(t, "Sinch", got.body, `{"message":"Too many requests","details":"Too many messages in a short period of time"}`)
		})
	}
}

func TestThePairLimitBorrowsFromTheFuture(t *testing.T) {
	account := cloudAccount()
	account.PairEvery, account.PairBurst = 6*time.Second, 3
	now := time.Unix(1_800_000_000, 0)
	s := start(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	for i, want := range []int{200, 200, 200, 429} {
		if got := sendCloud(t, s, cloudTextTo("+16505551234")); got.status != want {
			t.Errorf("message %d: status %d", i+1, got.status)
		}
	}
	checkCloudProblem(t, sendCloud(t, s, cloudTextTo("+16505551234")),
		cloudProblem{429, 131056, "(#131056) (Business Account, Consumer Account) pair rate limit hit", "same phone number"})
	diff(t, "somebody else", sendCloud(t, s, cloudTextTo("+16505551235")).status, 200)
	now = now.Add(6*time.Second - 1)
	diff(t, "just before the debt is paid", sendCloud(t, s, cloudTextTo("+16505551234")).status, 429)
	now = now.Add(1)
	diff(t, "when it is", sendCloud(t, s, cloudTextTo("+16505551234")).status, 200)
}

// heard is what the sender of one message to a magic recipient hears.
type heard struct {
	Answers  []string // HTTP status and its code or state, for each try
	Statuses []string // of the callbacks in all
}

func TestRecipientsMisbehaveByTheirLastDigits(t *testing.T) {
	const ok, created = "200", "201 success queued"
	for _, tt := range []struct {
		digits       string
		cloud, sinch heard
	}{
		{
			"0001",
			heard{[]string{ok}, []string{"sent", "delivered"}},
			heard{[]string{created}, []string{"dispatched", "sent", "delivered"}},
		},
		{
			"0002",
			heard{[]string{ok}, []string{"sent", "read"}},
			heard{[]string{created}, []string{"dispatched", "sent", "read"}},
		},
		{
			"0003",
			heard{[]string{ok}, []string{"failed 131026"}},
			heard{[]string{created}, []string{"no_capability The recipient has no WhatsApp"}},
		},
		{
			"0004",
			heard{[]string{ok}, []string{"failed 131047"}},
			heard{[]string{created}, []string{"failed More than 24 hours have passed since the recipient last wrote"}},
		},
		{
			"0005",
			heard{[]string{ok}, []string{"failed 131049"}},
			heard{[]string{created}, []string{"failed There are restrictions on how many messages can be sent from this number"}},
		},
		{
			"0006",
			heard{[]string{ok}, []string{"failed 131050", "user_preferences stop"}},
			heard{[]string{created}, []string{"no_opt_in The recipient has not opted in"}},
		},
		{
			"0007",
			heard{[]string{ok}, []string{"sent"}},
			heard{[]string{created}, []string{"dispatched", "sent"}},
		},
		{
			"0008",
			heard{[]string{ok}, []string{"sent", "delivered", "failed 131000"}},
			heard{[]string{created}, []string{"dispatched", "sent", "delivered", "failed The message could not be delivered"}},
		},
		{
			"0009",
			heard{[]string{ok}, []string{"read", "read", "delivered", "delivered", "sent", "sent"}},
			heard{[]string{created}, []string{"read", "read", "delivered", "delivered", "sent", "sent", "dispatched", "dispatched"}},
		},
		{
			"0010",
			heard{[]string{ok}, []string{"failed 132015"}},
			heard{[]string{created}, []string{"dispatched", "deleted"}},
		},
		{
			"0011",
			heard{[]string{"500 131000", "500 131000", ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{"503 Service unavailable", "503 Service unavailable", created}, []string{"dispatched", "sent", "delivered", "read"}},
		},
		{
			"0012",
			heard{[]string{"closed"}, []string{"sent", "delivered", "read"}},
			heard{[]string{"closed"}, []string{"dispatched", "sent", "delivered", "read"}},
		},
		{
			"0013",
			heard{[]string{ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{"201 failure no_capability"}, nil},
		},
		{
			"0014",
			heard{[]string{ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{created}, []string{"dispatched", "sent", "delivered", "read"}},
		},
		{
			"0015",
			heard{[]string{"429 130429 after 1", ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{"429 Too many requests after 1", created}, []string{"dispatched", "sent", "delivered", "read"}},
		},
		{
			"0016",
			heard{[]string{"429 131056", ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{"429 Too many requests", created}, []string{"dispatched", "sent", "delivered", "read"}},
		},
		{
			"0017",
			heard{[]string{ok}, []string{"sent", "delivered", "read"}},
			heard{[]string{created}, []string{"dispatched", "sent", "delivered", "read"}},
		},
	} {
		t.Run("…"+tt.digits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				diff(t, "Cloud", hear(t, len(tt.cloud.Answers), func(s *Simulator) answer { return sendCloud(t, s, cloudTextTo("+1650555"+tt.digits)) }), tt.cloud)
			})
			synctest.Test(t, func(t *testing.T) {
				diff(t, "Sinch", hear(t, len(tt.sinch.Answers), func(s *Simulator) answer { return sendSinch(t, s, sinchTextTo("4673200"+tt.digits)) }), tt.sinch)
			})
		})
	}
}

func hear(t *testing.T, tries int, send func(*Simulator) answer) heard {
	t.Helper()
	g := &gateway{}
	s := start(t, Options{}, g)
	h := heard{}
	for range tries {
		h.Answers = append(h.Answers, summary(t, send(s)))
	}
	time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
	h.Statuses = g.statuses(t)
	return h
}

// summary is an answer in a few words.
func summary(t *testing.T, a answer) string {
	t.Helper()
	if a.aborted {
		return "closed"
	}
	var b struct {
		Error    struct{ Code int }
		Message  string
		Statuses []struct{ Status, State string }
	}
	decode(t, a.body, &b)
	text := fmt.Sprint(a.status)
	if b.Error.Code != 0 {
		text += fmt.Sprint(" ", b.Error.Code)
	}
	if b.Message != "" {
		text += " " + b.Message
	}
	for _, st := range b.Statuses {
		text += " " + st.Status + " " + st.State
	}
	if after := a.header.Get("Retry-After"); after != "" {
		text += " after " + after
	}
	return text
}

func TestWhatMagicRecipientsSayBesideTheirStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		held := sendCloud(t, s, `{"messaging_product":"whatsapp","to":"+16505550010","type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}}`)
		if !strings.Contains(held.body, `"message_status":"held_for_quality_assessment"`) {
			t.Errorf("…0010: %s", held.body)
		}
		if other := sendCloud(t, s, cloudTextTo("+16505550013")); !strings.Contains(other.body, `{"input":"+16505550013","wa_id":"1650550013"}`) {
			t.Errorf("…0013: %s", other.body)
		}
		before := len(g.received())
		sendCloud(t, s, cloudTextTo("+16505550014"))
		diff(t, "callbacks that came before the answer to …0014", len(g.received())-before, 3)
		for i, want := range []int{500, 500, 200, 500, 500, 200} {
			if got := sendCloud(t, s, cloudTextTo("+16505550011")); got.status != want {
				t.Errorf("message %d to …0011: status %d, want %d", i+1, got.status, want)
			}
		}
	})
}

func TestRecipientsBehaveWithoutMagic(t *testing.T) {
	s := start(t, Options{NoMagic: true}, &gateway{})
	for i := range 17 {
		if got := sendCloud(t, s, cloudTextTo(fmt.Sprintf("+1650555%04d", i))); got.status != http.StatusOK || got.aborted {
			t.Errorf("…%04d: %+v", i, got)
		}
	}
}

// TestExchangesEndOnTheWire looks at what a client sees that a recorder can't
// show.
func TestExchangesEndOnTheWire(t *testing.T) {
	s := start(t, Options{Accounts: []Account{cloudAccount()}}, &gateway{})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	post := func(to string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+cloudPath, strings.NewReader(cloudTextTo(to)))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer EAATOKEN")
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		return res.StatusCode, res.Body.Close()
	}
	t.Run("the connection is closed after the message was taken", func(t *testing.T) {
		if status, err := post("+16505550012"); err == nil {
			t.Errorf("status %d", status)
		}
		diff(t, "accepted", s.stats().Accounts[0].Accepted, int64(1))
	})
	t.Run("the connection is closed and the message wasn't taken", func(t *testing.T) {
		fault(t, s, `{"fault":"close_before","count":1}`)
		if status, err := post("+16505551234"); err == nil {
			t.Errorf("status %d", status)
		}
		diff(t, "accepted", s.stats().Accounts[0].Accepted, int64(1))
	})
}

func TestAHangingRequestEndsWhenTheSimulatorCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		fault(t, s, `{"fault":"hang"}`)
		ended := make(chan answer)
		go func() { ended <- sendCloud(t, s, cloudTextTo("+16505551234")) }()
		synctest.Wait()
		diff(t, "refused", s.stats().Accounts[0].Refused, map[string]int64{"hung": 1})
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := <-ended; !got.aborted {
			t.Errorf("answered %+v", got)
		}
	})
}

// TestAClientThatGoesEndsAHangingRequest sees the handler return.
func TestAClientThatGoesEndsAHangingRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		fault(t, s, `{"fault":"hang"}`)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		begin := time.Now()
		got := do(t, s, request(t, cloudPath, "EAATOKEN", cloudTextTo("+16505551234")).WithContext(ctx))
		if !got.aborted || time.Since(begin) != 20*time.Second {
			t.Errorf("%+v after %v", got, time.Since(begin))
		}
	})
}

// TestThePairLimitForgetsThoseThatOweNothing bounds its memory.
func TestThePairLimitForgetsThoseThatOweNothing(t *testing.T) {
	account := cloudAccount()
	account.PairEvery = time.Second
	a := newAccount(account, nil, 0, time.Unix(0, 0))
	for i := range 3 * pairsKept {
		if !a.takePair(fmt.Sprint(i), time.Unix(int64(i/1000), 0)) {
			t.Fatal("refused")
		}
	}
	if len(a.pairs) > pairsKept {
		t.Errorf("%d pairs are kept", len(a.pairs))
	}
}

// TestEverythingAtOnce is for the race detector.
func TestEverythingAtOnce(t *testing.T) {
	g := &gateway{}
	s := start(t, Options{LedgerSize: 1, Delays: &Delays{Dispatched: 1, Sent: 1, Delivered: 2, Read: 3}, Callbacks: CallbackOptions{Batch: 8}}, g)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 300 {
				sendCloud(t, s, cloudTextTo(fmt.Sprintf("+1650555%04d", i%18)))
				sendSinch(t, s, sinchTextTo(fmt.Sprintf("4673200%04d", i%18)))
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			fault(t, s, `{"fault":"callbacks_doubled","count":3}`)
			for _, path := range []string{"/messages", "/stats", "/faults"} {
				control(t, s, http.MethodGet, path, "", nil)
			}
			control(t, s, http.MethodPost, "/inbound", `{"account":"sinch","from":"46732001122","text":"x"}`, nil)
		}
		control(t, s, http.MethodPost, "/reset", "", nil)
	})
	wg.Wait()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	diff(t, "pending", s.stats().Callbacks.Pending, 0)
}

func BenchmarkSend(b *testing.B) {
	account := cloudAccount()
	account.CallbackURL = ""
	s := New(Options{Accounts: []Account{account}, LedgerSize: 10_000})
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	body := cloudTextTo("+16505551234")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req := httptest.NewRequestWithContext(context.Background(), http.MethodPost, cloudPath, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer EAATOKEN")
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				b.Fatal(w.Body)
			}
		}
	})
}
