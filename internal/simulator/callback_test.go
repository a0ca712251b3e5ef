package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wait lets the bubble's clock run.
func wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
	synctest.Wait()
}

func hmacOf(key, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func TestCloudStatusesLookAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		var accepted struct{ Messages []struct{ ID string } }
		decode(t, sendCloud(t, s, cloudTextTo("+16505551234")).body, &accepted)
		wait(time.Minute)
		calls := g.received()
		if len(calls) != 3 {
			t.Fatalf("%d callbacks", len(calls))
		}
		envelope := func(status string) string {
			return strings.ReplaceAll(`{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",`+
				`"metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[`+status+`]}}]}]}`, "ID", accepted.Messages[0].ID)
		}
		const (
			same    = `"timestamp":"946684800","recipient_id":"16505551234","biz_opaque_callback_data":"m-1"`
			pricing = `"pricing":{"billable":false,"pricing_model":"PMP","type":"free_customer_service","category":"service"}`
		)
		conversation := statusMember(t, calls[0].body, "conversation")
		sameJSON(t, "sent", string(calls[0].body), envelope(`{"id":"ID","status":"sent",`+same+`,"conversation":`+conversation+`,`+pricing+`}`))
		if !strings.Contains(conversation, `"expiration_timestamp":"946771200"`) || !strings.Contains(conversation, `"origin":{"type":"service"}`) {
			t.Errorf("conversation %s", conversation)
		}
		sameJSON(t, "delivered", string(calls[1].body), envelope(`{"id":"ID","status":"delivered",`+same+`,"conversation":`+statusMember(t, calls[1].body, "conversation")+`,`+pricing+`}`))
		sameJSON(t, "read", string(calls[2].body), envelope(`{"id":"ID","status":"read",`+same+`}`))

		for i, after := range []time.Duration{150 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond} {
			c := calls[i]
			diff(t, "time of callback", c.at.Sub(calls[0].at), after-150*time.Millisecond)
			diff(t, "URL", c.method+" "+c.url, "POST http://gateway.test/callbacks/cloud")
			diff(t, "Content-Type", c.header.Get("Content-Type"), "application/json")
			diff(t, "signature", c.header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(hmacOf("test_app_secret_0123456789abcdef", string(c.body))))
		}
	})
}

// statusMember is a member of the only status in a Cloud callback, as JSON.
func statusMember(t *testing.T, body []byte, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(string(body), `"`+name+`":`)
	end := strings.Index(rest, "}}") // the conversation ends with its origin
	if !found || end < 0 {
		t.Fatalf("no %s in %s", name, body)
	}
	return rest[:end+2]
}

func TestCloudFailuresLookAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		var accepted struct{ Messages []struct{ ID string } }
		decode(t, sendCloud(t, s, `{"messaging_product":"whatsapp","to":"+16505550004","type":"text","text":{"body":"x"}}`).body, &accepted)
		wait(time.Minute)
		const before = `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[`
		sameJSON(t, "failed", string(g.received()[0].body), before+`{"id":"`+accepted.Messages[0].ID+`","status":"failed","timestamp":"946684800","recipient_id":"16505550004","errors":[
			{"code":131047,"title":"Re-engagement message","message":"Re-engagement message","error_data":{"details":"Re-engagement message"},"href":"/documentation/business-messaging/whatsapp/support/error-codes"}]}]}}]}]}`)
	})
}

func TestOnlySentIsReportedOfAReaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudBody(`"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":"👍"}`))
		sendCloud(t, s, `{"messaging_product":"whatsapp","status":"read","message_id":"wamid.IN3"}`)
		wait(time.Minute)
		diff(t, "statuses", g.statuses(t), []string{"sent"})
	})
}

// TestTheSignatureVectorOfTheReference makes the inbound message whose bytes
// and signature the reference gives.
func TestTheSignatureVectorOfTheReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{Now: func() time.Time { return time.Unix(1749416383, 0) }}, g)
		status := control(t, s, http.MethodPost, "/inbound", `{"account":"cloud","from":"+16505551234","name":"Zoë","text":"STOP https://x.io","id":"wamid.TEST1"}`, nil)
		diff(t, "status", status, http.StatusAccepted)
		wait(time.Second)
		c := g.received()[0]
		diff(t, "body", string(c.body), `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Zo\u00eb"},"wa_id":"16505551234"}],"messages":[{"from":"16505551234","id":"wamid.TEST1","timestamp":"1749416383","type":"text","text":{"body":"STOP https:\/\/x.io"}}]},"field":"messages"}]}]}`)
		diff(t, "signature", c.header.Get("X-Hub-Signature-256"), "sha256=ceec1fdb49d7c3bc4b20f7f506977672406f479acdd9082adfc88e28abb34f2a")
	})
}

func TestMetaEscapesWhatIsBeyondASCII(t *testing.T) {
	diff(t, "escaped", string(metaJSON("a/ë👍<&>\"\\")), `"a\/\u00eb\ud83d\udc4d<&>\"\\"`)
}

func TestSinchStatusesLookAsDocumented(t *testing.T) {
	for _, hexadecimal := range []bool{false, true} {
		t.Run(fmt.Sprintf("with hex signatures %t", hexadecimal), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := start(t, Options{HexSignatures: hexadecimal}, g)
				id := ulid.FindString(sendSinch(t, s, sinchTextTo("46732001122")).body)
				wait(time.Minute)
				nonces := map[string]bool{}
				for i, state := range []string{"dispatched", "sent", "delivered", "read"} {
					c := g.received()[i]
					diff(t, "URL", c.method+" "+c.url, "POST http://gateway.test/callbacks/sinch")
					sameJSON(t, state, string(c.body), `{"type":"whatsapp","statuses":[{"status":"success","state":"`+state+`","message_id":"`+id+`","recipient":"+46732001122","timestamp":"2000-01-01T00:00:00Z"}]}`)
					nonce := c.header.Get("sinch-whatsapp-callback-signature-nonce")
					nonces[nonce] = true
					signature := hmacOf("sinch-callback-key", string(c.body)+"."+nonce)
					want := base64.StdEncoding.EncodeToString(signature)
					if hexadecimal {
						want = hex.EncodeToString(signature)
					}
					diff(t, "signature", c.header.Get("sinch-whatsapp-callback-signature"), want)
					diff(t, "algorithm", c.header.Get("sinch-whatsapp-callback-signature-algorithm"), "HMAC_SHA_256")
				}
				diff(t, "different nonces", len(nonces), 4)
			})
		})
	}
}

func TestSinchFailuresSayFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		id := ulid.FindString(sendSinch(t, s, sinchTextTo("46732000005")).body)
		wait(time.Minute)
		sameJSON(t, "failed", string(g.received()[0].body), `{"type":"whatsapp","statuses":[{"status":"failure","state":"failed","message_id":"`+id+`","recipient":"+46732000005","timestamp":"2000-01-01T00:00:00Z","details":"There are restrictions on how many messages can be sent from this number"}]}`)
	})
}

func TestSinchReportsToTheURLOfTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{Callbacks: CallbackOptions{Batch: 10}}, g)
		sendSinch(t, s, `{"to":["46732000007"],"message":{"type":"text","text":"x"},"callback":"http://gateway.test/cb/gw-0001/1"}`)
		sendSinch(t, s, sinchTextTo("46732000007"))
		wait(time.Minute)
		var urls []string
		for _, c := range g.received() {
			urls = append(urls, c.url)
		}
		const own, usual = "http://gateway.test/cb/gw-0001/1", "http://gateway.test/callbacks/sinch"
		if got := strings.Join(urls, " "); strings.Count(got, own) != 2 || strings.Count(got, usual) != 2 {
			t.Errorf("called %s", got)
		}
		var page Page
		control(t, s, http.MethodGet, "/messages", "", &page)
		diff(t, "correlations", []string{page.Messages[0].Correlation, page.Messages[1].Correlation}, []string{own, ""})
	})
}

func TestSinchInboundLooksAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		var in struct {
			ID string `json:"message_id"`
		}
		control(t, s, http.MethodPost, "/inbound", `{"account":"sinch","from":"46732001122","text":"Hej ä/ö"}`, &in)
		wait(time.Second)
		sameJSON(t, "inbound", string(g.received()[0].body), `{"type":"whatsapp","contacts":[{"profile":{"name":"Recipient"},"wa_id":"46732001122"}],"notifications":[
			{"from":"46732001122","to":"bot-eu-1","message_id":"`+in.ID+`","timestamp":"2000-01-01T00:00:00Z","message":{"type":"text","body":"Hej ä/ö"}}]}`)
	})
}

func TestAccountsWithoutASecretSignNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		cloud, sinch := cloudAccount(), sinchAccount()
		cloud.Secret, sinch.Secret = "", ""
		s := start(t, Options{Accounts: []Account{cloud, sinch}}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		sendSinch(t, s, sinchTextTo("46732001122"))
		wait(time.Minute)
		for _, c := range g.received() {
			for name := range c.header {
				if strings.Contains(strings.ToLower(name), "signature") {
					t.Errorf("header %s", name)
				}
			}
		}
	})
}

func TestCallbacksAreTriedAgainAsTheProviderWould(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name    string
		account string
		answer  []int // then 200; 0: no answer
		want    []time.Duration
		stats   CallbackStats
	}{
		{"Cloud: every answer but 200", "cloud", []int{500, 404, 204, 0}, []time.Duration{0, 1000 * ms, 3000 * ms, 7000 * ms, 15000 * ms}, CallbackStats{Taken: 1, Retried: 4}},
		{"Cloud: no more than eight times", "cloud", []int{500, 500, 500, 500, 500, 500, 500, 500, 500}, []time.Duration{0, 1000 * ms, 3000 * ms, 7000 * ms, 15000 * ms, 31000 * ms, 63000 * ms, 127000 * ms}, CallbackStats{Retried: 7, Dropped: 1}},
		{"Sinch: 429, 5xx and no answer", "sinch", []int{429, 503, 0}, []time.Duration{0, 1000 * ms, 3000 * ms, 7000 * ms}, CallbackStats{Taken: 1, Retried: 3}},
		{"Sinch: every 2xx is fine", "sinch", []int{204}, []time.Duration{0}, CallbackStats{Taken: 1}},
		{"Sinch: other answers are final", "sinch", []int{404}, []time.Duration{0}, CallbackStats{Dropped: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				g.answer = func(n int, _ *http.Request) (int, string) {
					if n <= len(tt.answer) {
						return tt.answer[n-1], ""
					}
					return http.StatusOK, ""
				}
				s := start(t, Options{}, g)
				begin := time.Now()
				control(t, s, http.MethodPost, "/inbound", `{"account":"`+tt.account+`","from":"46732001122","text":"x"}`, nil)
				wait(time.Hour)
				var at []time.Duration
				for _, c := range g.received() {
					at = append(at, c.at.Sub(begin))
					if string(c.body) != string(g.received()[0].body) {
						t.Error("a later try has another body")
					}
				}
				diff(t, "tries", at, tt.want)
				diff(t, "stats", s.stats().Callbacks, tt.stats)
			})
		})
	}
}

func TestTheNextStatusWaitsForTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(n int, _ *http.Request) (int, string) {
			if n <= 2 {
				return http.StatusServiceUnavailable, ""
			}
			return http.StatusOK, ""
		}}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		wait(time.Hour)
		diff(t, "statuses", g.statuses(t), []string{"sent", "sent", "sent", "delivered", "read"})
		diff(t, "stats", s.stats().Callbacks, CallbackStats{Taken: 3, Retried: 2})
	})
}

func TestStatusesTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{Callbacks: CallbackOptions{Batch: 10}, Delays: &Delays{Sent: time.Second}}, g)
		for range 25 {
			sendCloud(t, s, cloudTextTo("+16505551234"))
		}
		wait(time.Minute)
		var sizes []int
		for _, c := range g.received() {
			sizes = append(sizes, len(statusesOf(t, c.body)))
		}
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		if sum != 25 || len(sizes) != 3 {
			t.Errorf("statuses in each callback: %v", sizes)
		}
	})
}

func TestTheBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{Callbacks: CallbackOptions{Backlog: 3}}, g)
		for range 10 {
			sendCloud(t, s, cloudTextTo("+16505550007"))
		}
		st := s.stats().Callbacks
		diff(t, "stats", st, CallbackStats{Pending: 3, Overflowed: 7})
		wait(time.Minute)
		diff(t, "statuses", g.statuses(t), []string{"sent", "sent", "sent"})
	})
}

func TestCloseWaitsForTheCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(int, *http.Request) (int, string) { wait3s(); return http.StatusOK, "" }}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		wait(time.Second) // "sent" is under way, the others wait for it
		begin := time.Now()
		for range 2 {
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		diff(t, "waited", time.Since(begin), 2150*time.Millisecond)
		diff(t, "statuses", g.statuses(t), []string{"sent"})
		diff(t, "stats", s.stats().Callbacks, CallbackStats{Taken: 1})

		sendCloud(t, s, cloudTextTo("+16505551234"))
		diff(t, "stats once closed", s.stats().Callbacks, CallbackStats{Taken: 1, Overflowed: 1})
	})
}

func wait3s() { time.Sleep(3 * time.Second) } //nolint:forbidigo // the bubble's clock

func TestCloseBreaksOffWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(_ int, req *http.Request) (int, string) { <-req.Context().Done(); return 0, "" }}
		s := start(t, Options{Callbacks: CallbackOptions{Timeout: time.Hour}}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		wait(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin := time.Now()
		if err := s.Close(ctx); !errors.Is(err, ctx.Err()) || err == nil {
			t.Errorf("Close: %v", err)
		}
		diff(t, "waited", time.Since(begin), 5*time.Second)
	})
}

func TestResetDropsTheCallbacksOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		wait(200 * time.Millisecond)
		control(t, s, http.MethodPost, "/reset", "", nil)
		wait(time.Minute)
		diff(t, "statuses", g.statuses(t), []string{"sent"})
	})
}

func TestResetDropsWhatFollowsTheCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(int, *http.Request) (int, string) { wait3s(); return http.StatusServiceUnavailable, "" }}
		s := start(t, Options{}, g)
		sendCloud(t, s, cloudTextTo("+16505551234"))
		wait(time.Second) // "sent" is under way
		control(t, s, http.MethodPost, "/reset", "", nil)
		wait(time.Hour)
		diff(t, "statuses", g.statuses(t), []string{"sent"})
		diff(t, "pending", s.stats().Callbacks.Pending, 0)
	})
}

// challengedGateway answers the verification as Cloud's documents demand.
func challengedGateway(status int, answer func(challenge string) string) *gateway {
	return &gateway{answer: func(_ int, req *http.Request) (int, string) {
		q := req.URL.Query()
		if q.Get("hub.mode") != "subscribe" || q.Get("hub.verify_token") != "verify-me" {
			return http.StatusForbidden, ""
		}
		return status, answer(q.Get("hub.challenge"))
	}}
}

func TestTheChallengeMustBeAnsweredAsItIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		answer func(string) string
		want   ChallengeResult
	}{
		{"the challenge verifies", 200, func(c string) string { return c }, ChallengeResult{Verified: true, Status: 200}},
		{"a quoted challenge doesn't", 200, func(c string) string { return `"` + c + `"` }, ChallengeResult{Status: 200, Detail: "the answer isn't the challenge"}},
		{"a challenge with a line end doesn't", 200, func(c string) string { return c + "\n" }, ChallengeResult{Status: 200, Detail: "the answer isn't the challenge"}},
		{"another status doesn't", 403, func(c string) string { return c }, ChallengeResult{Status: 403, Detail: "the answer isn't 200"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := challengedGateway(tt.status, tt.answer)
			s := start(t, Options{}, g)
			var got ChallengeResult
			diff(t, "status", control(t, s, http.MethodPost, "/challenge", `{"account":"cloud"}`, &got), http.StatusOK)
			diff(t, "result", got, tt.want)
			c := g.received()[0]
			if !strings.HasPrefix(c.url, "http://gateway.test/callbacks/cloud?") || c.method != http.MethodGet {
				t.Errorf("%s %s", c.method, c.url)
			}
		})
	}
	t.Run("Sinch has none", func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		diff(t, "status", control(t, s, http.MethodPost, "/challenge", `{"account":"sinch"}`, nil), http.StatusConflict)
		diff(t, "status", control(t, s, http.MethodPost, "/challenge", `{"account":"nobody"}`, nil), http.StatusNotFound)
	})
}

// TestCallbacksTravelOverHTTP uses real sockets.
func TestCallbacksTravelOverHTTP(t *testing.T) {
	arrived := make(chan string, 10)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- r.URL.Path + " " + strings.Join(statusesOf(t, body), " ")
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, server.URL+"/elsewhere", http.StatusFound)
		}
	}))
	defer server.Close()
	account := sinchAccount()
	account.CallbackURL = server.URL + "/moved"
	s := New(Options{Accounts: []Account{account}, Delays: &Delays{Sent: time.Millisecond, Delivered: 2 * time.Millisecond}})
	sendSinch(t, s, `{"to":["46732001122"],"message":{"type":"text","text":"x"},"callback":"`+server.URL+`/here"}`)
	diff(t, "the request's URL", []string{<-arrived, <-arrived}, []string{"/here sent", "/here delivered"})
	sendSinch(t, s, sinchTextTo("46732001122"))
	diff(t, "a URL that redirects", []string{<-arrived, <-arrived}, []string{"/moved sent", "/moved delivered"})
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	diff(t, "stats", s.stats().Callbacks, CallbackStats{Taken: 2, Dropped: 2}) // the redirect is a final answer
}
