package sinchwhatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
)

// Receipts carry no id of ours: the URL does.
func FuzzParse(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		vectorBody,
		`{"type":"whatsapp","statuses":[{"status":"failure","state":"no_opt_in","message_id":"M","details":"x","timestamp":"2020-05-02T18:40:42Z"}],"notifications":[{"from":"46732001122","message":{"type":"interactive","message":{"type":"list","id":"a","title":"b"}},"timestamp":"2020-05-02T18:40:42"}]}`,
		`{"notifications":[{"from":"46732001122","in_group":"g","message":{"type":"button","index":"0","text":"Yes","payload":"y"},"replying_to":{"from":"1","message_id":"M"}}]}`,
	) {
		f.Add([]byte(body))
	}
	p := newProvider("")
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := providertest.FuzzedCallback(t, p, raw,
			gateway.StatusAccepted, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed)
		for _, r := range c.Receipts {
			if r.Message != "" {
				t.Errorf("message %q", r.Message)
			}
		}
	})
}

// Only a request surely not accepted is tried again.
func FuzzInterpret(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.Status, []byte(c.Body), c.Header["Retry-After"])
	}
	p := newProvider("")
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		a := sender.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body}
		if r := providertest.FuzzedAnswer(t, p, a); r.Outcome == gateway.OutcomeTransient && status != http.StatusServiceUnavailable {
			t.Errorf("status %d: tried again", status)
		}
	})
}

// What Verify lets pass is signed with the secret, over the nonce too, however
// the signature is written.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(vectorBody), vectorNonce, uint(0), vectorBase64)
	f.Add([]byte(vectorBody), vectorNonce, uint(7), vectorHex)
	f.Add([]byte(nil), "\x00", uint(1<<20), "====")
	p := newProvider("")
	f.Fuzz(func(t *testing.T, raw []byte, nonce string, at uint, given string) {
		nonce += "n" // without one nothing passes
		mac := func(secret string, raw []byte) []byte {
			h := hmac.New(sha256.New, []byte(secret))
			h.Write(raw)
			h.Write([]byte("." + nonce))
			return h.Sum(nil)
		}
		for _, encode := range []func([]byte) string{
			base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString, hex.EncodeToString,
		} {
			header := func(sum []byte) http.Header { return signed(encode(sum), nonce) }
			providertest.FuzzedSignature(t, providertest.Signed{Verify: p.Verify, Secret: testSecret, MAC: mac, Header: header}, raw, at)
		}
		want := mac(testSecret, raw)
		if p.Verify(signed(hex.EncodeToString(want), nonce+"x"), nil, raw) == nil {
			t.Error("passed with another nonce")
		}
		if p.Verify(signed(given, nonce), nil, raw) == nil && !hmac.Equal(decodeSignature(given), want) {
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
	p := newProvider("")
	f.Fuzz(func(t *testing.T, content []byte) {
		providertest.FuzzedRequest(t, p, content, "")
	})
}

// largest has as many entries as any provider's callback, and is as long.
func largest(tb testing.TB) []byte {
	tb.Helper()
	entry := `{"status":"success","state":"read","message_id":"M","recipient":"` + strings.Repeat("c", 3000) + `"}`
	return providertest.Large(tb, `{"statuses":[`+entry+`]}`, entry, 1000)
}

func TestTheLargestCallbackIsCheap(t *testing.T) {
	providertest.CheckLarge(t, newProvider(""), largest(t), 1000)
}

func BenchmarkParse(b *testing.B) {
	providertest.BenchmarkParse(b, newProvider(""), largest(b))
}
