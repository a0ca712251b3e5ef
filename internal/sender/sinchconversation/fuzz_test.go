package sinchconversation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
)

// sign makes the signature that Sinch would.
func sign(secret, body, nonce, timestamp string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body + "." + nonce + "." + timestamp))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Whatever a webhook holds, Parse tells only statuses a provider may report,
// failures with their reason, and people who have a number.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		vectorBody, ``, `null`, `[]`, `{}`, `{"message":7,"event_time":"x"}`,
		`{"accepted_time":"2026-01-02T03:04:05Z","message_submit_notification":{"message_id":"M","metadata":"0000000000000000000000000000000a#2"}}`,
		`{"message_delivery_report":{"message_id":"M","status":"FAILED","reason":{"code":"RECIPIENT_NOT_REACHABLE","sub_code":"INACTIVE_SENDER","channel_code":1}}}`,
		`{"message_delivery_report":{"message_id":"M","status":"FAILED","reason":{"code":"RECIPIENT_NOT_OPTED_IN","description":"\ud800"}}}`,
		`{"message":{"direction":"TO_APP","contact_message":{"choice_response_message":{"postback_data":"y"}},"channel_identity":{"channel":"WHATSAPP","identity":"46732001122"}}}`,
		`{"opt_out_notification":{"channel":"WHATSAPP","identity":"46732001122","status":"OPT_OUT_SUCCEEDED"}}`,
	} {
		f.Add([]byte(seed))
	}
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := p.Parse(raw)
		if err != nil && len(c.Receipts)+len(c.Inbound) > 0 {
			t.Errorf("told %+v beside the error %v", c, err)
		}
		if err == nil && !json.Valid(raw) {
			t.Error("read what isn't JSON")
		}
		for _, r := range c.Receipts {
			switch r.Status {
			case gateway.StatusAccepted, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed:
			default:
				t.Errorf("status %q", r.Status)
			}
			if (r.Error != nil) != (r.Status == gateway.StatusFailed) {
				t.Errorf("status %s with error %v", r.Status, r.Error)
			}
			if r.Suppress != nil && (r.Error == nil || r.Error.Class != gateway.ClassRecipient) {
				t.Errorf("suppression with error %v", r.Error)
			}
			if r.Message == "" && r.ProviderMessageID == "" || r.Message != "" && !r.Message.Valid() {
				t.Errorf("message %q, provider's %q", r.Message, r.ProviderMessageID)
			}
			if e := r.Error; e != nil && (e.Title == "" || !utf8.ValidString(e.Detail) || utf8.RuneCountInString(e.Code+e.Detail) > 5*maxQuote) {
				t.Errorf("text too long, missing or not UTF-8: %+v", *e)
			}
		}
		for _, in := range c.Inbound {
			if _, err := gateway.ParseRecipient(string(in.From)); err != nil {
				t.Errorf("inbound from %q: %v", in.From, err)
			}
		}
	})
}

// Whatever the answer, the outcome is one of the six, acceptance comes from a
// 2xx alone, and only a request surely not accepted is tried again.
func FuzzInterpret(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.Status, c.Header["Retry-After"], []byte(c.Body))
	}
	f.Add(0, "", []byte(nil))
	f.Add(999, "Wed, 21 Oct 2099 07:28:00 GMT", []byte(`{"error":"\u0000\ud800"}`))
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, status int, wait string, body []byte) {
		r := p.Interpret(sender.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: body})
		if !slices.Contains(gateway.Outcomes(), r.Outcome) {
			t.Errorf("outcome %q", r.Outcome)
		}
		if r.Outcome == gateway.OutcomeAccepted && (status < 200 || status > 299) {
			t.Errorf("status %d: accepted", status)
		}
		if (r.ProviderMessageID != "") != (r.Outcome == gateway.OutcomeAccepted) {
			t.Errorf("%s with id %q", r.Outcome, r.ProviderMessageID)
		}
		if r.Outcome == gateway.OutcomeTransient && status != http.StatusServiceUnavailable {
			t.Errorf("status %d: tried again", status)
		}
		if (r.Error == nil) != (r.Outcome == gateway.OutcomeAccepted) {
			t.Errorf("%s with error %v", r.Outcome, r.Error)
		}
		if r.RetryAfter < 0 || r.RetryAfter > maxRetryAfter || r.RetryAfter > 0 && !r.Retryable() {
			t.Errorf("%s with a wait of %v", r.Outcome, r.RetryAfter)
		}
		if r.Error != nil && (!utf8.ValidString(r.Error.Detail) || utf8.RuneCountInString(r.Error.Detail) > maxQuote) {
			t.Errorf("text too long or not UTF-8: %+v", *r.Error)
		}
	})
}

// What Verify lets pass is signed with the secret, and what is signed passes.
func FuzzVerify(f *testing.F) {
	f.Add(vectorSignature, vectorNonce, []byte(vectorBody))
	f.Add("", "", []byte(nil))
	f.Add("====", "\x00", []byte("."))
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, signature, nonce string, raw []byte) {
		now := strconv.FormatInt(time.Now().Unix(), 10)
		want := sign(testSecret, string(raw), nonce, now)
		given, _ := base64.StdEncoding.DecodeString(signature)
		if p.Verify(signed(signature, nonce, now), nil, raw) == nil && base64.StdEncoding.EncodeToString(given) != want {
			t.Errorf("signature %q passed", signature)
		}
		if err := p.Verify(signed(want, nonce, now), nil, raw); nonce != "" && err != nil {
			t.Errorf("what is signed didn't pass: %v", err)
		}
	})
}

func FuzzNewRequest(f *testing.F) {
	for _, c := range requestCases(f) {
		content, err := json.Marshal(c.Message.Content)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"flow","index":9}]}}`))
	p := newProvider("", &fakeLogin{})
	f.Fuzz(func(t *testing.T, content []byte) {
		providertest.FuzzedRequest(t, p, content, "")
	})
}
