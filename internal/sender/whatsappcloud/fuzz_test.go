package whatsappcloud_test

import (
	"net/http"
	"strings"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappcloud"
)

// Receipts carry an id of ours, or of Meta's; codes are numbers.
func FuzzParse(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		vectorBody,
		statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","recipient_id":"16505551234","biz_opaque_callback_data":"0123456789abcdefghjkmnpqrstvwxyz#2","errors":[{"code":131026,"title":"Message undeliverable","error_data":{"details":"x"}}]}`),
		messages(`{"from":"16505551234","id":"wamid.B","timestamp":"1750030073","type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"a","title":"b"}}}`),
		wrap(`{"field":"user_preferences","value":{"messaging_product":"whatsapp",`+metadata+`,"user_preferences":[{"wa_id":"16505551234","category":"marketing_messages","value":"stop","timestamp":1750030073}]}}`),
	) {
		f.Add([]byte(body))
	}
	p := whatsappcloud.New(settings(""))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := providertest.FuzzedCallback(t, p, raw, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed)
		for _, r := range c.Receipts {
			if r.Message == "" && r.ProviderMessageID == "" || r.Error != nil && len(r.Error.Code) > 20 {
				t.Errorf("receipt %+v", r)
			}
		}
	})
}

func FuzzInterpret(f *testing.F) {
	for _, c := range answerCases() {
		f.Add(c.Status, []byte(c.Body), c.Header["Retry-After"], c.Header["X-Business-Use-Case-Usage"])
	}
	p := whatsappcloud.New(settings(""))
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter, usage string) {
		h := http.Header{"Retry-After": {retryAfter}, "X-Business-Use-Case-Usage": {usage}}
		providertest.FuzzedAnswer(t, p, sender.Answer{Status: status, Header: h, Body: body})
	})
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(vectorBody), uint(0))
	f.Add([]byte(nil), uint(1<<20))
	p := whatsappcloud.New(settings(""))
	f.Fuzz(func(t *testing.T, raw []byte, at uint) {
		for _, secret := range []string{appSecret, nextSecret} {
			providertest.FuzzedSignature(t, providertest.HubSigned(p.Verify, secret), raw, at)
		}
	})
}

func FuzzNewRequest(f *testing.F) {
	for _, content := range []string{
		`{"type":"text","text":{"body":"<b>","preview_url":true}}`,
		`{"type":"interactive","interactive":{"type":"flow","body":{"text":"b"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"1","flow_cta":"c"}}}}`,
		`{"type":"interactive","interactive":{"type":"location_request_message","footer":{"text":"f"},"body":{"text":"b"},"action":{"name":"send_location","parameters":null}}}`,
		`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"flow","index":9,"parameters":[{"type":"action","action":{}}]}]}}`,
		`{"type":"location","location":{"latitude":"1e-7","longitude":180}}`,
		`{"type":"reaction","reaction":{"message_id":"\ud800","emoji":""}}`,
	} {
		f.Add([]byte(content), "wamid.A")
	}
	p := whatsappcloud.New(settings(""))
	f.Fuzz(func(t *testing.T, content []byte, replyTo string) {
		providertest.FuzzedRequest(t, p, content, replyTo)
	})
}

// largest has as many entries as Meta sends in one callback, and their length.
func largest(tb testing.TB) []byte {
	tb.Helper()
	entry := `{"id":"wamid.A","status":"read","timestamp":"1750030073","conversation":{"id":"` + strings.Repeat("c", 3000) + `"}}`
	return providertest.Large(tb, statuses(entry), entry, 1000)
}

func TestTheLargestCallbackIsCheap(t *testing.T) {
	providertest.CheckLarge(t, whatsappcloud.New(settings("")), largest(t), 1000)
}

func BenchmarkParse(b *testing.B) {
	providertest.BenchmarkParse(b, whatsappcloud.New(settings("")), largest(b))
}
