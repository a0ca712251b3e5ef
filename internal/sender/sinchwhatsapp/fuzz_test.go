package sinchwhatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
)

// Whatever a callback holds, Parse tells only statuses a provider may report,
// failures with their reason, and people who have a number.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		vectorBody, ``, `null`, `[]`, `{}`, `{"type":"sms"}`, `{"statuses":{"state":"read"}}`, `{"statuses":[null,{"state":"failed","details":7}]}`,
		`{"type":"whatsapp","statuses":[{"status":"failure","state":"no_opt_in","message_id":"M","timestamp":"2020-05-02T18:40:42Z"}],"notifications":[{"from":"46732001122","message":{"type":"interactive","message":{"type":"list","id":"a","title":"b"}},"timestamp":"x"}]}`,
		`{"notifications":[{"from":"46732001122","message":{"type":"button","index":"0","text":"Yes","payload":"y"},"replying_to":{"from":"1","message_id":"M"}}]}`,
	} {
		f.Add([]byte(seed))
	}
	p := newProvider("")
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
			case gateway.StatusAccepted, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed:
			default:
				t.Errorf("status %q", r.Status)
			}
			if (r.Error != nil) != (r.Status == gateway.StatusFailed) {
				t.Errorf("status %s with error %v", r.Status, r.Error)
			}
			if r.Suppress != nil && (r.Error == nil || r.Error.Class != gateway.ClassRecipient) {
				t.Errorf("suppression with error %v", r.Error)
			}
			if r.Message != "" {
				t.Errorf("message %q: the dialect carries no id of ours", r.Message)
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
	f.Add(999, "Wed, 21 Oct 2099 07:28:00 GMT", []byte(`{"message":"\u0000\ud800"}`))
	p := newProvider("")
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
		if r.Error != nil && (!utf8.ValidString(r.Error.Title) || utf8.RuneCountInString(r.Error.Title) > maxDetail ||
			!utf8.ValidString(r.Error.Detail) || utf8.RuneCountInString(r.Error.Detail) > maxDetail) {
			t.Errorf("text too long or not UTF-8: %+v", *r.Error)
		}
	})
}

// What Verify lets pass is signed with the secret, and what is signed passes.
func FuzzVerify(f *testing.F) {
	f.Add(vectorBase64, vectorNonce, []byte(vectorBody))
	f.Add(vectorHex, vectorNonce, []byte(vectorBody))
	f.Add("", "", []byte(nil))
	f.Add("====", "\x00", []byte("."))
	p := newProvider("")
	f.Fuzz(func(t *testing.T, signature, nonce string, raw []byte) {
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write(append(append([]byte(nil), raw...), "."+nonce...))
		want := mac.Sum(nil)
		if err := p.Verify(signed(signature, nonce), nil, raw); err == nil && !hmac.Equal(decodeSignature(signature), want) {
			t.Errorf("signature %q passed", signature)
		}
		err := p.Verify(signed(base64.StdEncoding.EncodeToString(want), nonce), nil, raw)
		if nonce != "" && err != nil {
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
	p := newProvider("")
	f.Fuzz(func(t *testing.T, content []byte) {
		providertest.FuzzedRequest(t, p, content, "")
	})
}
