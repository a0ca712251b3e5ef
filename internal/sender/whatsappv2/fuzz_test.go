package whatsappv2_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappv2"
)

// Receipts carry the provider's id, for the dialect echoes nothing of ours.
func FuzzParse(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		vectorBody,
		statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":132000,"title":"x","error_data":{"details":"y"}}]}`),
		`{"event":"message_status","message_id":"wamid.A","status":"failed","timestamp":"2025-06-15T23:27:53Z","error":{"code":132000,"message":"x","details":"y"}}`,
		messages(`{"from":"16505551234","id":"wamid.B","timestamp":"1750030073","type":"button","button":{"payload":"a","text":"b"}}`),
	) {
		f.Add([]byte(body))
	}
	p := whatsappv2.New(settings(""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := providertest.FuzzedCallback(t, p, raw, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed)
		for _, r := range c.Receipts {
			if r.ProviderMessageID == "" || r.Message != "" || r.Error != nil && len(r.Error.Code) > 20 {
				t.Errorf("receipt %+v", r)
			}
		}
	})
}

func FuzzInterpret(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.Status, []byte(c.Body), c.Header["Retry-After"])
	}
	p := whatsappv2.New(settings(""))
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		providertest.FuzzedAnswer(t, p, sender.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body})
	})
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(vectorBody), uint(0))
	f.Add([]byte(nil), uint(1<<20))
	p := whatsappv2.New(settings(""))
	f.Fuzz(func(t *testing.T, raw []byte, at uint) {
		for _, secret := range []string{appSecret, nextSecret} {
			providertest.FuzzedSignature(t, providertest.HubSigned(p.Verify, secret), raw, at)
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
	for _, c := range refusedCases(f) {
		content, err := json.Marshal(c.Message.Content)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	p := whatsappv2.New(settings(""))
	f.Fuzz(func(t *testing.T, content []byte) {
		providertest.FuzzedRequest(t, p, content, "")
	})
}

// largest has as many entries as Meta sends in one callback, and their length.
func largest(tb testing.TB) []byte {
	tb.Helper()
	entry := `{"id":"wamid.A","status":"read","timestamp":"1750030073","conversation":{"id":"` + strings.Repeat("c", 3000) + `"}}`
	return providertest.Large(tb, statuses(entry), entry, 1000)
}

func TestTheLargestCallbackIsCheap(t *testing.T) {
	providertest.CheckLarge(t, whatsappv2.New(settings("")), largest(t), 1000)
}

func BenchmarkParse(b *testing.B) {
	providertest.BenchmarkParse(b, whatsappv2.New(settings("")), largest(b))
}
