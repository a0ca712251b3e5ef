package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// spoken is a dialect with a way to send to a recipient.
type spoken struct {
	account Account
	taken   int // the status of acceptance
	send    func(t *testing.T, s *Simulator, to string) answer
}

// allDialects is every dialect.
func allDialects() map[Dialect]spoken {
	return map[Dialect]spoken{
		WhatsAppCloud: {cloudAccount(), http.StatusOK, func(t *testing.T, s *Simulator, to string) answer {
			t.Helper()
			return sendCloud(t, s, cloudTextTo("+"+to))
		}},
		SinchWhatsApp: {sinchAccount(), http.StatusCreated, func(t *testing.T, s *Simulator, to string) answer {
			t.Helper()
			return sendSinch(t, s, sinchTextTo(to))
		}},
		WhatsAppV2: {v2Account(), http.StatusOK, func(t *testing.T, s *Simulator, to string) answer {
			t.Helper()
			return sendV2(t, s, "send-message", v2TextTo("+"+to))
		}},
		WhatsAppOnPrem: {onPremAccount(), http.StatusCreated, func(t *testing.T, s *Simulator, to string) answer {
			t.Helper()
			return sendOnPrem(t, s, onPremTextTo(to))
		}},
		SinchConversation: {conversationAccount(), http.StatusOK, func(t *testing.T, s *Simulator, to string) answer {
			t.Helper()
			return sendConversation(t, s, conversationTo(to, conversationHello, ""))
		}},
	}
}

func TestEveryDialectHoldsRateAndPairLimit(t *testing.T) {
	for name, d := range allDialects() {
		t.Run(string(name), func(t *testing.T) {
			now := time.Now()
			limited, paired := d.account, d.account
			limited.Rate = 2
			paired.PairEvery, paired.PairBurst = 6*time.Second, 2
			for reason, account := range map[string]Account{"throttled": limited, "pair_limited": paired} {
				s := start(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
				var got []int
				for range 3 {
					got = append(got, d.send(t, s, "46732001122").status)
				}
				diff(t, reason, got, []int{d.taken, d.taken, http.StatusTooManyRequests})
				diff(t, reason, s.stats().Accounts[0].Refused, map[string]int64{reason: 1})
			}
		})
	}
}

func TestEveryDialectSurvivesWhatGoesWrongWithTheExchange(t *testing.T) {
	for name, d := range allDialects() {
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := start(t, Options{Accounts: []Account{d.account}, Delays: &Delays{Sent: time.Second, Delivered: 2 * time.Second}}, g)
				fault(t, s, `{"fault":"close_after","count":1}`)
				diff(t, "closed after acceptance", d.send(t, s, "46732001122").aborted, true)
				wait(time.Minute)
				if len(g.received()) == 0 {
					t.Error("nothing was reported of a message that was accepted")
				}
				fault(t, s, `{"fault":"close_before","count":1}`)
				diff(t, "closed before", d.send(t, s, "46732001122").aborted, true)
				fault(t, s, `{"fault":"bare_error","count":1}`)
				diff(t, "an error without an envelope", d.send(t, s, "46732001122").status, http.StatusBadGateway)
				fault(t, s, `{"fault":"garbage","count":1}`)
				got := d.send(t, s, "46732001122")
				diff(t, "garbage", []any{got.status, json.Valid([]byte(got.body))}, []any{d.taken, false})
				diff(t, "accepted", s.stats().Accounts[0].Accepted, int64(2))

				wait(time.Minute)
				before := len(g.received())
				fault(t, s, `{"fault":"callbacks_early","count":1}`)
				d.send(t, s, "46732001122")
				if len(g.received()) <= before {
					t.Error("no status came before the answer")
				}
			})
		})
	}
}

func TestEveryDialectAnswersTheFaultsThatAreScripted(t *testing.T) {
	for name, d := range allDialects() {
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := start(t, Options{Accounts: []Account{d.account}, Delays: &Delays{Sent: time.Second, Delivered: 2 * time.Second, Read: 3 * time.Second}}, g)
				// under is the answer under a fault, and all that is reported within
				// so long.
				under := func(script string, within time.Duration) (got answer, statuses []string) {
					t.Helper()
					before := len(g.statuses(t))
					fault(t, s, script)
					got = d.send(t, s, "46732001122")
					wait(within)
					statuses = g.statuses(t)[before:]
					control(t, s, http.MethodDelete, "/faults", "", nil)
					return got, statuses
				}
				_, usual := under(`{"fault":"slow","delay_ms":1}`, time.Minute)
				if len(usual) < 2 {
					t.Fatalf("usually %q is reported", usual)
				}
				for _, f := range []struct {
					fault      string
					status     int
					retryAfter string
				}{
					{`{"fault":"throttle","retry_after_s":7}`, http.StatusTooManyRequests, "7"},
					{`{"fault":"pair_limit"}`, http.StatusTooManyRequests, ""},
					{`{"fault":"server_error"}`, 0, ""},
					{`{"fault":"bare_error","status":504}`, http.StatusGatewayTimeout, ""},
					{`{"fault":"wrong_token"}`, http.StatusUnauthorized, ""},
				} {
					got, statuses := under(f.fault, time.Minute)
					if f.status != 0 && got.status != f.status || f.status == 0 && got.status < 500 || len(statuses) != 0 {
						t.Errorf("%s: %d %s, and reported %q", f.fault, got.status, got.body, statuses)
					}
					if after := got.header.Get("Retry-After"); f.retryAfter != "" && after != f.retryAfter {
						t.Errorf("%s: Retry-After %q", f.fault, after)
					}
				}
				begun := time.Now()
				got, _ := under(`{"fault":"slow","delay_ms":1500}`, 0)
				diff(t, "a slow answer", []any{got.status, time.Since(begun)}, []any{d.taken, 1500 * time.Millisecond})
				wait(time.Minute)

				got, _ = under(`{"fault":"id_missing"}`, time.Minute)
				diff(t, "an answer without ids", []any{got.status, json.Valid([]byte(got.body))}, []any{d.taken, true})
				_, doubled := under(`{"fault":"callbacks_doubled"}`, time.Minute)
				diff(t, "doubled", len(doubled), 2*len(usual))
				_, reversed := under(`{"fault":"callbacks_reversed"}`, time.Minute)
				diff(t, "reversed", []string{reversed[0], reversed[len(reversed)-1]}, []string{usual[len(usual)-1], usual[0]})
				_, none := under(`{"fault":"callbacks_none"}`, time.Minute)
				diff(t, "none", len(none), 0)
				_, soon := under(`{"fault":"callbacks_late","delay_ms":60000}`, 30*time.Second)
				diff(t, "late", len(soon), 0)
				wait(time.Hour)
				_, failed := under(`{"fault":"callbacks_failed"}`, time.Minute)
				if last := failed[len(failed)-1]; !strings.HasPrefix(strings.ToLower(last), "failed") {
					t.Errorf("failed: %q is reported", failed)
				}
			})
		})
	}
}

// TestEveryDialectAtOnce is for the race detector: nobody waits for anybody, and
// what is counted adds up.
func TestEveryDialectAtOnce(t *testing.T) {
	var accounts []Account
	dialects := allDialects()
	for _, d := range dialects {
		d.account.CallbackURL, d.account.Retention, d.account.OptIn = "", time.Hour, false
		accounts = append(accounts, d.account)
	}
	s := start(t, Options{Accounts: accounts, ProjectRate: -1}, &gateway{})
	const rounds = 20
	var wg sync.WaitGroup
	for _, d := range dialects {
		wg.Go(func() {
			for i := range rounds {
				if got := d.send(t, s, fmt.Sprintf("4673200%04d", 1000+i)); got.status != d.taken {
					t.Errorf("%s: %d %s", d.account.ID, got.status, got.body)
				}
			}
		})
	}
	for _, call := range []func(i int){
		func(int) { login(t, s) },
		func(int) { fault(t, s, `{"fault":"expire_tokens"}`) },
		func(int) { provision(t, s, http.MethodGet, "/whatsapp/senders", "") },
		func(i int) {
			provision(t, s, http.MethodPost, "/whatsapp/senders", fmt.Sprintf(`{"wabaId":"1","phoneNumberId":"%d","region":"EU"}`, i))
		},
		func(int) {
			conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/messages?messages_source=DISPATCH_SOURCE", keyBasic, "")
		},
		func(int) {
			uploadCloud(t, s, formPart{"messaging_product", "", "whatsapp"}, formPart{"file", "image/jpeg", "x"})
		},
		func(int) { do(t, s, request(t, "/v1/contacts", "OPTOKEN", `{"contacts":["250788120017"]}`)) },
		func(int) { s.stats() },
		func(int) {
			control(t, s, http.MethodPost, "/accounts", `{"account":"cloud","window":false,"templates":[]}`, nil)
		},
	} {
		wg.Go(func() {
			for i := range rounds {
				call(i)
			}
		})
	}
	wg.Wait()
	for _, a := range s.stats().Accounts {
		diff(t, a.ID, a.Accepted, int64(rounds))
	}
}

func TestCallbacksHoldAsManyStatusesAsTheDialectAllows(t *testing.T) {
	dialects := allDialects()
	for name, calls := range map[Dialect]int{WhatsAppCloud: 1, SinchWhatsApp: 1, WhatsAppV2: 1, WhatsAppOnPrem: 1, SinchConversation: 3} {
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := dialects[name]
				g := &gateway{}
				s := start(t, Options{
					Accounts: []Account{d.account}, Delays: &Delays{Delivered: time.Second}, Callbacks: CallbackOptions{Batch: 10, Workers: 1},
				}, g)
				for _, to := range []string{"46732001122", "46732001133", "46732001144"} {
					d.send(t, s, to)
				}
				wait(time.Minute)
				diff(t, "calls and statuses", []int{len(g.received()), len(g.statuses(t))}, []int{calls, 3})
			})
		})
	}
}
