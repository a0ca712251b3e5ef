package whatsapponprem_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsapponprem"
)

// Receipts carry the host's id, for the dialect echoes nothing of ours.
func FuzzParse(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		`{"statuses":[{"id":"gBGGFlCGg0cvAglAxydbAoy-gwNo","recipient_id":"16315555555","status":"failed","timestamp":"1533332775","errors":[{"code":470,"title":"Message failed to send","details":"x"}]}],"errors":[{"code":1011}]}`,
		`{"contacts":[{"wa_id":"250788123123"}],"messages":[{"from":"250788123123","id":"gB","timestamp":"1533332775","type":"interactive","interactive":{"button_reply":{"id":"a","title":"b"}}}]}`,
		`{"messages":[{"from":"250788123123","group_id":"g","id":"gC","timestamp":"1533332775","type":"text","text":{"body":"STOP"}}]}`,
	) {
		f.Add([]byte(body))
	}
	p := whatsapponprem.New(settings(hostURL))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := providertest.FuzzedCallback(t, p, raw,
			gateway.StatusAccepted, gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead, gateway.StatusFailed)
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
	p := whatsapponprem.New(settings(hostURL))
	f.Fuzz(func(t *testing.T, status int, body []byte, retryAfter string) {
		providertest.FuzzedAnswer(t, p, sender.Answer{Status: status, Header: http.Header{"Retry-After": {retryAfter}}, Body: body})
	})
}

func FuzzLogin(f *testing.F) {
	f.Add(200, []byte(`{"users":[{"token":"OPTOKEN","expires_after":"2026-03-01 15:29:26+00:00"}]}`))
	f.Add(401, []byte(denied))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 {
			return // no answer of HTTP
		}
		providertest.FuzzedLogin(t, whatsapponprem.New(loggingIn(answering(status, body))))
	})
}

// answering is a host that answers everything alike.
func answering(status int, body []byte) *host {
	h := newHost()
	h.always = &reply{status: status, body: string(body)}
	return h
}

// What a host says of itself can be kept, whatever it is, and a check of
// a recipient ends in a request or in a reason.
func FuzzHost(f *testing.F) {
	for _, body := range providertest.Misshapen(f,
		`{"health":{"gateway_status":"connected"}}`,
		`{"health":{"host:container":{"gateway_status":"disconnected","role":"coreapp","errors":[{"code":1011,"title":"x","details":"y"}]}}}`,
		`{"health":{"gateway_status":"connected"},"stats":{"app":{"callback_queue_size":{"data":[{"labels":{"node":"a"},"value":7}]},"db_pending_messages":{"data":[{"value":7},{"value":1.5}]}}}}`,
		`{"contacts":[{"input":"+16505551234","status":"valid","wa_id":"16505551234"}]}`,
	) {
		f.Add(200, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 100 || status > 999 {
			return // no answer of HTTP
		}
		s := settings(hostURL)
		s.Client = answering(status, body).client()
		p := whatsapponprem.New(s)
		health := p.Report(t.Context())
		if text, err := json.Marshal(health); err != nil || len(text) > 64<<10 {
			t.Errorf("a report that can't be kept: %d bytes, %v", len(text), err)
		}
		if health.Connected && (status > 299 || len(health.Nodes) == 0) {
			t.Errorf("status %d: connected, with %d nodes", status, len(health.Nodes))
		}
		m := providertest.Message(t, `{"type":"text","text":{"body":"x"}}`)
		c := sender.Call{Message: &m, Attempt: 1}
		p.Recover(t.Context(), c, sender.Answer{Status: 404, Body: []byte(`{"errors":[{"code":1006,"title":"Resource not found","details":"unknown contact"}]}`)})
		req, err := p.NewRequest(t.Context(), c)
		e, ok := errors.AsType[*gateway.Error](err)
		if v, told := errors.AsType[*sender.Verdict](err); told {
			e, ok = v.Result.Error, v.Result.Error != nil
		}
		if err != nil && (!ok || e.Class == "" || e.Title == "") {
			t.Errorf("the recipient was looked up: %v", err)
		}
		if err == nil {
			text, err := io.ReadAll(req.Body)
			if err != nil || !json.Valid(text) {
				t.Errorf("body %q, %v", text, err)
			}
		}
	})
}

// Only the token itself passes, whatever else the query holds, and only
// addresses of the networks are let in.
func FuzzVerify(f *testing.F) {
	f.Add("callback_token="+url.QueryEscape(callbackToken), []byte{10, 1, 2, 3})
	f.Add("callback_token=&callback_token="+url.QueryEscape(callbackToken), []byte{203, 0, 113, 7})
	f.Add("CALLBACK_TOKEN="+url.QueryEscape(callbackToken), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x01\x02\x03"))
	f.Add("callback_token=%00;", []byte(nil))
	s := settings(hostURL)
	s.CallbackAllow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	p := whatsapponprem.New(s)
	f.Fuzz(func(t *testing.T, text string, address []byte) {
		query, _ := url.ParseQuery(text) // what can't be read is left out, as in requests
		if err := p.Verify(nil, query, nil); (err == nil) != (query.Get("callback_token") == callbackToken) {
			t.Errorf("query %q: %v", text, err)
		}
		peer, _ := netip.AddrFromSlice(address)
		first := peer.Unmap().AsSlice()
		if got, want := p.Allowed(peer), len(first) == 4 && first[0] == 10; got != want {
			t.Errorf("peer %v: %t", peer, got)
		}
	})
}

func FuzzNewRequest(f *testing.F) {
	for _, content := range []string{
		`{"type":"text","text":{"body":"<b>","preview_url":true}}`,
		`{"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"h"},"body":{"text":"b"},"action":{"catalog_id":"c","parameters":null,"sections":[{"product_items":[{"product_retailer_id":"p"}]}]}}}`,
		`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"flow","index":9,"parameters":[{"type":"action","action":{}}]}]}}`,
		`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"a    b"}]}]}}`,
		`{"type":"location","location":{"latitude":"1e-7","longitude":180}}`,
		`{"type":"reaction","reaction":{"message_id":"\ud800","emoji":""}}`,
	} {
		f.Add([]byte(content), "gBEG42")
	}
	p := whatsapponprem.New(settings(hostURL))
	f.Fuzz(func(t *testing.T, content []byte, replyTo string) {
		providertest.FuzzedRequest(t, p, content, replyTo)
	})
}

// largest has as many entries as Meta sends in one callback, and their length.
func largest(tb testing.TB) []byte {
	tb.Helper()
	entry := `{"id":"gBEG","status":"read","timestamp":"1750030073","conversation":{"id":"` + strings.Repeat("c", 3000) + `"}}`
	return providertest.Large(tb, `{"statuses":[`+entry+`]}`, entry, 1000)
}

func TestTheLargestCallbackIsCheap(t *testing.T) {
	providertest.CheckLarge(t, whatsapponprem.New(settings(hostURL)), largest(t), 1000)
}

func BenchmarkParse(b *testing.B) {
	providertest.BenchmarkParse(b, whatsapponprem.New(settings(hostURL)), largest(b))
}
