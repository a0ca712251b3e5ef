package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sinchAccounts are one for each way in which Sinch reports, and one for each
// case that holds its account.
func sinchAccounts() string {
	var b strings.Builder
	for _, id := range []string{"signed", "linked", "parked"} {
		fmt.Fprintf(&b, "  - {id: %s, provider: sinch-whatsapp, base_url: SIMULATOR, region: eu1, bot_id: bot-%[1]s, token: tok-%[1]s, rate: 50", id)
		if id != "linked" {
			b.WriteString(", callback_secret: s")
		}
		b.WriteString("}\n")
	}
	for i, id := range []string{"conv", "expired", "unpaid", "nowhere", "inactive"} {
		fmt.Fprintf(&b, "  - {id: %s, provider: sinch-conversation, base_url: SIMULATOR, auth_url: SIMULATOR/oauth2/token, region: eu, "+
			"project_id: p-%[1]s, app_id: 01HAPP0000000000000000000%d, key_id: k-%[1]s, key_secret: s, webhook_secret: w, rate: 50}\n", id, i)
	}
	return b.String()
}

type sinchMessage struct {
	Status            string
	ProviderMessageID string `json:"provider_message_id"`
	Error             *struct{ Class, Code, Detail string }
	Attempts          []struct{ Outcome, Code string }
}

// outcome is what a case compares: the status, why, and what became of each
// attempt.
func (m *sinchMessage) outcome() string {
	said := []string{m.Status}
	if m.Error != nil {
		said = append(said, m.Error.Class, m.Error.Code)
	}
	var attempts []string
	for _, a := range m.Attempts {
		attempts = append(attempts, a.Outcome)
	}
	return strings.Join(said, " ") + ": " + strings.Join(attempts, " ")
}

// TestSinchFromEndToEnd carries the reference's response and callback cases
// through API, worker, provider and callbacks.
func TestSinchFromEndToEnd(t *testing.T) {
	t.Parallel()
	i := installWith(t, true, sinchAccounts())
	fault := func(fault string) {
		t.Helper()
		resp, err := http.Post("http://"+i.providers+"/_sim/faults", "application/json", strings.NewReader(fault))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("%s: %d", fault, resp.StatusCode)
		}
	}
	cases := []struct{ name, account, digits, fault, want string }{
		{name: "D2 D3 delivered", account: "signed", digits: "0001", want: "delivered: accepted"},
		{name: "D4 read without delivered", account: "signed", digits: "0002", want: "read: accepted"},
		{name: "D6 no capability", account: "signed", digits: "0003", want: "failed recipient no_capability: accepted"},
		{name: "D5 failed", account: "signed", digits: "0005", want: "failed unknown failed: accepted"},
		{name: "D6 no opt-in", account: "signed", digits: "0006", want: "failed recipient no_opt_in: accepted"},
		{name: "D1 D2 sent and no more", account: "signed", digits: "0007", want: "sent: accepted"},
		{name: "failed after delivered is late", account: "signed", digits: "0008", want: "delivered: accepted"},
		{name: "D3 D4 doubled and reversed", account: "signed", digits: "0009", want: "read: accepted"},
		{name: "D7 deleted", account: "signed", digits: "0010", want: "failed expired deleted: accepted"},
		{name: "R4 503 twice", account: "signed", digits: "0011", want: "read: transient transient accepted"},
		{name: "R5 accepted, the connection reset", account: "signed", digits: "0012", want: "read: unknown"},
		{name: "R6 refused in a 201", account: "signed", digits: "0013", want: "failed recipient no_capability: rejected"},
		{name: "statuses before the answer", account: "signed", digits: "0014", want: "read: accepted"},
		{name: "429 with Retry-After", account: "signed", digits: "0015", want: "read: throttled accepted"},
		{name: "429 without", account: "signed", digits: "0016", want: "read: throttled accepted"},
		{name: "R1 400", account: "signed", digits: "1001", fault: `{"fault":"error","code":400}`, want: "failed permanent 400: rejected"},
		{name: "R8 201 with garbage", account: "signed", digits: "1002", fault: `{"fault":"garbage"}`, want: "read: unknown"},
		{name: "201 that names nobody", account: "signed", digits: "1003", fault: `{"fault":"id_missing"}`, want: "read: unknown"},
		{name: "502 of a proxy", account: "signed", digits: "1004", fault: `{"fault":"bare_error"}`, want: "unknown unknown 502: unknown"},

		{name: "unsigned, on the URL of the attempt", account: "linked", digits: "0001", want: "delivered: accepted"},
		{name: "R5 unsigned", account: "linked", digits: "0012", want: "read: unknown"},
		{name: "R8 unsigned", account: "linked", digits: "1002", fault: `{"fault":"garbage"}`, want: "read: unknown"},
		{name: "D6 unsigned", account: "linked", digits: "0003", want: "failed recipient no_capability: accepted"},
		{name: "R3 401", account: "parked", digits: "1005", fault: `{"fault":"wrong_token","count":1}`, want: "queued suspended 401: suspended"},

		{name: "D9 D10", account: "conv", digits: "0001", want: "delivered: accepted"},
		{name: "D10 read", account: "conv", digits: "0002", want: "read: accepted"},
		{name: "not reachable", account: "conv", digits: "0003", want: "failed recipient RECIPIENT_NOT_REACHABLE: accepted"},
		{name: "D11 outside the window", account: "conv", digits: "0004", want: "failed policy OUTSIDE_ALLOWED_SENDING_WINDOW: accepted"},
		{name: "policy", account: "conv", digits: "0005", want: "failed policy DELIVERY_REJECTED_DUE_TO_POLICY: accepted"},
		{name: "not opted in", account: "conv", digits: "0006", want: "failed recipient RECIPIENT_NOT_OPTED_IN: accepted"},
		{name: "failed after delivered is late too", account: "conv", digits: "0008", want: "delivered: accepted"},
		{name: "doubled and reversed", account: "conv", digits: "0009", want: "read: accepted"},
		{name: "503 twice", account: "conv", digits: "0011", want: "read: transient transient accepted"},
		{name: "D9 accepted, the connection reset", account: "conv", digits: "0012", want: "read: unknown"},
		{name: "another identity in callbacks", account: "conv", digits: "0013", want: "read: accepted"},
		{name: "reports before the answer", account: "conv", digits: "0014", want: "read: accepted"},
		{name: "R10 429 with Retry-After", account: "conv", digits: "0015", want: "read: throttled accepted"},
		{name: "200 with garbage", account: "conv", digits: "1002", fault: `{"fault":"garbage"}`, want: "read: unknown"},
		{name: "200 without an id", account: "conv", digits: "1003", fault: `{"fault":"id_missing"}`, want: "read: unknown"},
		{name: "R14 501", account: "conv", digits: "1006", fault: `{"fault":"error","code":501}`, want: "failed permanent 501: rejected"},
		{name: "D12 rate limited by the channel", account: "conv", digits: "1007", fault: `{"fault":"callbacks_failed","reason":"RATE_LIMITED"}`, want: "failed transient RATE_LIMITED: accepted"},
		{name: "D16 a reason that is new", account: "conv", digits: "1008", fault: `{"fault":"callbacks_failed","reason":"OUT_OF_LUCK"}`, want: "failed unknown OUT_OF_LUCK: accepted"},
		{name: "R9 the token expired", account: "expired", digits: "1009", fault: `{"fault":"expire_tokens"}`, want: "read: accepted"},
		{name: "R11 the credit is used up", account: "unpaid", digits: "1010", fault: `{"fault":"error","code":403}`, want: "queued suspended BILLING_CREDIT_LIMIT_BREACHED: suspended"},
		{name: "R12 404", account: "nowhere", digits: "1011", fault: `{"fault":"error","code":404}`, want: "queued suspended 404: suspended"},
		{name: "D13 the sender is inactive", account: "inactive", digits: "1012", fault: `{"fault":"callbacks_failed","reason":"CHANNEL_BAD_CONFIGURATION"}`, want: "failed suspended CHANNEL_BAD_CONFIGURATION: accepted"},
	}
	ids := make([]string, len(cases)) // all are under way before the first is looked at
	for n, c := range cases {
		to := fmt.Sprintf("+467%03d%s", 100+n, c.digits)
		if strings.Contains(c.fault, "expire_tokens") {
			first := i.post(t, c.account, "") // has a token fetched
			await(t, "a token is fetched", func() bool { return i.get(t, first.ID).Status == "read" })
			fault(strings.Replace(c.fault, "{", `{"account":"`+c.account+`",`, 1))
		} else if c.fault != "" {
			fault(strings.Replace(c.fault, "{", `{"account":"`+c.account+`","recipient":"`+to+`",`, 1))
		}
		ids[n] = i.postTo(t, c.account, to, "").ID
	}
	for n, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m sinchMessage
			defer func() {
				if got := m.outcome(); got != c.want {
					t.Errorf("%s, want %s (%+v)", got, c.want, m.Error)
				}
			}()
			await(t, c.want, func() bool {
				m = sinchMessage{}
				i.ask(t, http.StatusOK, http.MethodGet, "/v1/messages/"+ids[n], "", &m)
				return m.outcome() == c.want
			})
		})
	}

	var held []string
	for _, id := range []string{"signed", "linked", "parked", "conv", "expired", "unpaid", "nowhere", "inactive"} {
		var a struct {
			Hold *struct{ Reason, Scope string }
		}
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/accounts/"+id, "", &a)
		if a.Hold != nil {
			held = append(held, id+": "+a.Hold.Reason)
		}
	}
	want := []string{"parked: Unauthorized", "unpaid: The project's credit is used up", "nowhere: Not Found", "inactive: The sender is inactive"}
	if !slices.Equal(held, want) {
		t.Errorf("held are %q, want %q", held, want)
	}
}

// TestSinchRefusesAtAccept: a 422 names the field, and the provider, for another
// one may take the same message.
func TestSinchRefusesAtAccept(t *testing.T) {
	t.Parallel()
	i := installWith(t, false, sinchAccounts())
	for _, c := range []struct{ account, content, field string }{
		{"signed", `"type":"reaction","reaction":{"message_id":"m","emoji":"👍"}`, "reaction"},
		{"signed", `"type":"text","text":{"body":"b"},"reply_to":"01DPNXZ0WCF9XD19MH84XD0P62"`, "reply_to"},
		{"signed", `"type":"image","image":{"id":"1"}`, "image.id"},
		{"signed", `"type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"Go","url":"https://a.example/"}}}`, "interactive.type"},
		{"signed", `"type":"template","template":{"name":"n","language":{"code":"en-US"}}`, "template.language.code"},
		{"conv", `"type":"reaction","reaction":{"message_id":"m","emoji":"👍"}`, "reaction"},
		{"conv", `"type":"image","image":{"link":"https://a.example/i.png","caption":"c"},"reply_to":"01HIN000000000000000000000"`, "reply_to"},
		{"conv", `"type":"contacts","contacts":[{"name":{"formatted_name":"A"}}]`, "contacts[0].phones"},
		{"conv", `"type":"interactive","interactive":{"type":"button","body":{"text":"b"},"action":{"buttons":[{"type":"reply","reply":{"id":"x","title":"*X*"}}]}}`, "interactive.action.buttons[0].reply.title"},
	} {
		t.Run(c.account+" "+c.field, func(t *testing.T) {
			var p struct {
				Errors []struct{ Field, Message string }
			}
			i.ask(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/messages", `{"account":"`+c.account+`","to":"+46732001122",`+c.content+`}`, &p)
			provider := map[string]string{"signed": "sinch-whatsapp", "conv": "sinch-conversation"}[c.account]
			if len(p.Errors) != 1 || p.Errors[0].Field != c.field || !strings.Contains(p.Errors[0].Message, provider) {
				t.Errorf("errors %+v", p.Errors)
			}
		})
	}
}

// TestSinchCallbacksAtTheDoor posts the reference's callbacks as Sinch would.
func TestSinchCallbacksAtTheDoor(t *testing.T) {
	t.Parallel()
	i := installWith(t, false, sinchAccounts())
	mac := func(secret, text string) string {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	const v1, conversation = "sinch-whatsapp-callback-signature", "x-sinch-webhook-signature"
	signV1 := func(body string) http.Header {
		h := http.Header{}
		h.Set(v1, mac("s", body+".n"))
		h.Set(v1+"-algorithm", "HMAC_SHA_256")
		h.Set(v1+"-nonce", "n")
		return h
	}
	sign := func(body string, at time.Time) http.Header {
		h, when := http.Header{}, strconv.FormatInt(at.Unix(), 10)
		h.Set(conversation, mac("w", body+".n."+when))
		h.Set(conversation+"-algorithm", "HmacSHA256")
		h.Set(conversation+"-nonce", "n")
		h.Set(conversation+"-timestamp", when)
		return h
	}
	without := func(h http.Header, name string) http.Header {
		h.Del(name)
		return h
	}
	from := func(number, message string) string {
		return `{"type":"whatsapp","statuses":[{"status":"success","state":"sent","message_id":"M","recipient":"+46732001122","timestamp":"2026-05-02T18:40:42Z"},
			{"status":"success","state":"delivered","message_id":"M","recipient":"+46732001122","timestamp":"2026-05-02T18:40:43Z"}],
			"notifications":[{"from":"` + number + `","to":"bot-signed","message_id":"I","timestamp":"2026-05-02T18:40:42Z","message":` + message + `,"replying_to":{"from":"46700000000","message_id":"M"}}]}`
	}
	app := func(payload string) string {
		return `{"app_id":"01HAPP00000000000000000000","project_id":"p-conv","accepted_time":"2026-01-02T03:04:05.678Z",` + payload + `}`
	}
	identity := func(number string) string { return `"channel":"WHATSAPP","identity":"` + number + `"` }
	d8 := from("46732000801", `{"type":"button","index":"0","text":"Leave me alone","payload":"STOP"}`)
	label := from("46732000802", `{"type":"interactive","message":{"type":"button","id":"no-more","title":"Stop"}}`)
	other := from("46732000803", `{"type":"button","index":"0","text":"Yes","payload":"yes"}`)
	optOut := app(`"opt_out_notification":{` + identity("46732000804") + `,"status":"OPT_OUT_SUCCEEDED"}`)
	choice := app(`"message":{"direction":"TO_APP","contact_message":{"choice_response_message":{"message_id":"M","postback_data":"STOP"}},"channel_identity":{` + identity("46732000805") + `}}`)
	optIn := app(`"opt_in_notification":{` + identity("46732000804") + `,"status":"OPT_IN_SUCCEEDED"}`)
	news := app(`"poll_notification":{}`)
	now := time.Now()
	for _, c := range []struct {
		name, account, body string
		header              http.Header
		want                int
	}{
		{"D8 two statuses and a tapped quick reply", "signed", d8, signV1(d8), 200},
		{"a tapped reply button", "signed", label, signV1(label), 200},
		{"a tap that says nothing of the kind", "signed", other, signV1(other), 200},
		{"v1 with a byte changed", "signed", strings.Replace(other, "803", "806", 1), signV1(other), 401},
		{"v1 without a nonce", "signed", other, without(signV1(other), v1+"-nonce"), 401},
		{"v1 unsigned on the plain URL", "linked", other, nil, 401},
		{"an opt-out", "conv", optOut, sign(optOut, now), 200},
		{"an opt-in that nobody wrote", "conv", optIn, sign(optIn, now), 200},
		{"a tapped choice", "conv", choice, sign(choice, now), 200},
		{"D15 with a byte changed", "conv", strings.Replace(choice, "805", "807", 1), sign(choice, now), 401},
		{"D15 without a signature", "conv", choice, without(sign(choice, now), conversation), 401},
		{"D15 without a nonce", "conv", choice, without(sign(choice, now), conversation+"-nonce"), 401},
		{"D15 without a timestamp", "conv", choice, without(sign(choice, now), conversation+"-timestamp"), 401},
		{"a signature of long ago", "conv", choice, sign(choice, time.Unix(1760000000, 0)), 401},
		{"D16 a payload that is new", "conv", news, sign(news, now), 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+i.addr+"/callbacks/"+c.account, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Close = true
			if c.header != nil {
				req.Header = c.header
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("answered %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
	for account, want := range map[string][]string{
		"signed": {"+46732000801 all", "+46732000802 all"}, "linked": nil, "conv": {"+46732000804 all", "+46732000805 all"},
	} {
		var list struct {
			Items []struct{ Recipient, Scope string }
		}
		i.ask(t, http.StatusOK, http.MethodGet, "/v1/suppressions?account="+account, "", &list)
		var got []string
		for _, s := range list.Items {
			got = append(got, s.Recipient+" "+s.Scope)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s doesn't write to %q any more, want %q", account, got, want)
		}
	}
}
