package sinchconversation

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

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

// Receipts carry an id of ours, or of Sinch's.
func FuzzParse(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		vectorBody,
		`{"app_id":"01HAPP00000000000000000000","accepted_time":"2026-01-02T03:04:05Z","message_submit_notification":{"message_id":"M","metadata":"0000000000000000000000000000000a#2"}}`,
		`{"event_time":"2026-01-02T03:04:05Z","message_delivery_report":{"message_id":"M","status":"FAILED","reason":{"code":"RECIPIENT_NOT_REACHABLE","description":"x","sub_code":"INACTIVE_SENDER","channel_code":1}}}`,
		`{"message":{"direction":"TO_APP","accept_time":"2026-01-02T03:04:05Z","contact_message":{"choice_response_message":{"postback_data":"y"}},"channel_identity":{"channel":"WHATSAPP","identity":"46732001122"}}}`,
		`{"opt_out_notification":{"channel":"WHATSAPP","identity":"46732001122","status":"OPT_OUT_SUCCEEDED"}}`,
	) {
		f.Add([]byte(body))
	}
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := providertest.FuzzedCallback(t, p, raw, gateway.StatusAccepted, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed)
		for _, r := range c.Receipts {
			if r.Message == "" && r.ProviderMessageID == "" {
				t.Errorf("receipt of nothing: %+v", r)
			}
		}
	})
}

// Only a request surely not accepted is tried again. What lookup finds is an id.
func FuzzInterpret(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.Status, []byte(c.Body), c.Header["Retry-After"])
	}
	f.Add(200, []byte(`{"messages":[{"id":"M","metadata":"gw-0001#1"}],"next_page_token":"x"}`), "")
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		a := sender.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body}
		if r := providertest.FuzzedAnswer(t, p, a); r.Outcome == gateway.OutcomeTransient && status != http.StatusServiceUnavailable {
			t.Errorf("status %d: tried again", status)
		}
		id, page, ok := p.InterpretLookup(call(t, 1), a)
		if ok && status != http.StatusOK || !ok && id+gateway.ProviderMessageID(page) != "" || id != "" && page != "" || len(id) > 512 {
			t.Errorf("status %d: lookup gives %.40q, page %.40q, %t", status, id, page, ok)
		}
	})
}

func FuzzLogin(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"access_token":"jwt-1","expires_in":3599,"scope":"","token_type":"bearer"}`))
	f.Add(200, "application/x-www-form-urlencoded", []byte("access_token=jwt-1&expires_in=3599"))
	f.Add(401, "application/json", []byte(`{"error":"invalid_client","error_description":"x"}`))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status < 100 || status > 999 {
			return // no answer of HTTP
		}
		providertest.FuzzedLogin(t, newProvider("https://provider.example", answers(func(req *http.Request) *http.Response {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)), Request: req,
			}
		})))
	})
}

// answers is a transport that has an answer to everything.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) { return a(req), nil }

// What Verify lets pass is signed with the secret, over the nonce and the time
// too.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(vectorBody), vectorNonce, uint(0), vectorSignature)
	f.Add([]byte(nil), "\x00", uint(1<<20), "====")
	p := newProvider("", nil)
	f.Fuzz(func(t *testing.T, raw []byte, nonce string, at uint, given string) {
		nonce += "n" // without one nothing passes
		now := strconv.FormatInt(time.Now().Unix(), 10)
		mac := func(secret string, raw []byte) []byte {
			sum, err := base64.StdEncoding.DecodeString(sign(secret, string(raw), nonce, now))
			if err != nil {
				t.Fatal(err)
			}
			return sum
		}
		header := func(sum []byte) http.Header { return signed(base64.StdEncoding.EncodeToString(sum), nonce, now) }
		providertest.FuzzedSignature(t, providertest.Signed{Verify: p.Verify, Secret: testSecret, MAC: mac, Header: header}, raw, at)
		want := sign(testSecret, string(raw), nonce, now)
		if p.Verify(signed(want, nonce+"x", now), nil, raw) == nil || p.Verify(signed(want, nonce, now+"0"), nil, raw) == nil {
			t.Error("passed with another nonce or time")
		}
		sum, _ := base64.StdEncoding.DecodeString(given)
		if p.Verify(signed(given, nonce, now), nil, raw) == nil && base64.StdEncoding.EncodeToString(sum) != want {
			t.Errorf("signature %q passed", given)
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

// A webhook tells of one thing: the largest is that of one long text.
func largest() []byte {
	return []byte(`{"message":{"direction":"TO_APP","contact_message":{"text_message":{"text":"` + strings.Repeat("<\u00e9>", 3<<20/5) +
		`"}},"channel_identity":{"channel":"WHATSAPP","identity":"46732001122"}}}`)
}

func TestTheLargestCallbackIsCheap(t *testing.T) {
	providertest.CheckLarge(t, newProvider("", nil), largest(), 1)
}

func BenchmarkParse(b *testing.B) {
	providertest.BenchmarkParse(b, newProvider("", nil), largest())
}
