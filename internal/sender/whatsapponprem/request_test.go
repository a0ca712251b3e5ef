package whatsapponprem_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsapponprem"
)

// What the golden cases of the reference are sent with.
const (
	staticToken   = "OPTOKEN"
	apiKey        = "D360-KEY-0123456789"
	monitorKey    = "monitor-key-123"
	callbackToken = "let-me-in-0123456789"
	namespace     = "waba_namespace"
)

func settings(baseURL string) whatsapponprem.Settings {
	return whatsapponprem.Settings{
		BaseURL: baseURL, Token: staticToken, Namespace: namespace, WAAPIKey: monitorKey, CallbackToken: callbackToken,
	}
}

func TestProvider(t *testing.T) {
	suite := func(with map[string]string, secrets []string, change func(*whatsapponprem.Settings)) providertest.Suite {
		return providertest.Suite{
			New: func(baseURL string) sender.Provider {
				s := settings(baseURL)
				change(&s)
				return whatsapponprem.New(s)
			},
			Requests: requestCases(t, with),
			Refused:  refusedCases(t),
			Answers:  answerCases(),
			Secrets:  append(secrets, monitorKey, callbackToken),
		}
	}
	t.Run("with a token that lasts", func(t *testing.T) {
		providertest.Run(t, suite(map[string]string{"Authorization": "Bearer OPTOKEN"}, []string{staticToken}, func(*whatsapponprem.Settings) {}))
	})
	t.Run("with a login", func(t *testing.T) {
		providertest.Run(t, suite(map[string]string{"Authorization": "Bearer OPTOKEN-1"}, []string{password, newPassword}, func(s *whatsapponprem.Settings) {
			s.Token, s.Username, s.Password, s.NewPassword, s.Client = "", username, password, newPassword, newHost().client()
		}))
	})
}

// requestCases are S2-04 to S2-11 and S2-14 of the reference, named as there,
// and what they leave out.
func requestCases(t *testing.T, with map[string]string) []providertest.RequestCase {
	t.Helper()
	header := map[string]string{"Content-Type": "application/json", "Accept": "application/json"}
	maps.Copy(header, with)
	sent := func(name, content string, replyTo gateway.ProviderMessageID, want string) providertest.RequestCase {
		m := providertest.Message(t, content)
		m.Recipient, m.ReplyTo = "+250788123123", string(replyTo)
		return providertest.RequestCase{Name: name, Message: m, ReplyTo: replyTo, WantPath: "/v1/messages", WantHeader: header, WantBody: want}
	}
	return []providertest.RequestCase{
		sent("S2-04 and S2-14 text", `{"type":"text","text":{"body":"Simple Message"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"text","text":{"body":"Simple Message"}}`),
		sent("S2-05 the preview is asked for beside the text", `{"type":"text","text":{"body":"See https://example.com","preview_url":true}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"text","preview_url":true,"text":{"body":"See https://example.com"}}`),
		sent("S2-07 image by id", `{"type":"image","image":{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68","caption":"hi"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"image","image":{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68","caption":"hi"}}`),
		sent("S2-08 document by link", `{"type":"document","document":{"link":"https://foo.bar/document.pdf","filename":"document.pdf","caption":"document caption"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"document","document":{"link":"https://foo.bar/document.pdf","caption":"document caption","filename":"document.pdf"}}`),
		sent("S2-09 template", `{"type":"template","template":{"name":"revive_issue","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Chef"},{"type":"text","text":"tomorrow"}]}]}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"template","template":{"namespace":"waba_namespace","name":"revive_issue","language":{"policy":"deterministic","code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Chef"},{"type":"text","text":"tomorrow"}]}]}}`),
		sent("S2-10 reply buttons", `{"type":"interactive","interactive":{"type":"button","body":{"text":"Pick one"},"action":{"buttons":[{"type":"reply","reply":{"id":"0","title":"BUTTON1"}}]}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"interactive","interactive":{"type":"button","body":{"text":"Pick one"},"action":{"buttons":[{"type":"reply","reply":{"id":"0","title":"BUTTON1"}}]}}}`),
		sent("S2-11 a location's degrees are numbers", `{"type":"location","location":{"latitude":"37.758056","longitude":"-122.425332","name":"HQ","address":"1 Hacker Way"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"location","location":{"longitude":-122.425332,"latitude":37.758056,"name":"HQ","address":"1 Hacker Way"}}`),
		sent("a reply names the message it answers", `{"type":"text","text":{"body":"Yes"}}`, "gBEGkYiEB1VXAglK1ZEqA1YKPrU",
			`{"recipient_type":"individual","to":"250788123123","type":"text","context":{"message_id":"gBEGkYiEB1VXAglK1ZEqA1YKPrU"},"text":{"body":"Yes"}}`),
		sent("a link may be fetched through a media provider", `{"type":"video","video":{"link":"https://cdn.example.com/v.mp4","provider":"cdn-bearer"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"video","video":{"link":"https://cdn.example.com/v.mp4","provider":{"name":"cdn-bearer"}}}`),
		sent("audio", `{"type":"audio","audio":{"link":"https://cdn.example.com/a.ogg"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"audio","audio":{"link":"https://cdn.example.com/a.ogg"}}`),
		sent("sticker", `{"type":"sticker","sticker":{"id":"f043afd0"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"sticker","sticker":{"id":"f043afd0"}}`),
		sent("contacts", `{"type":"contacts","contacts":[{"name":{"formatted_name":"Ann Lee"},"phones":[{"phone":"+1 (940) 555-1234","type":"HOME","wa_id":"19405551234"}]}]}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"contacts","contacts":[{"name":{"formatted_name":"Ann Lee"},"phones":[{"phone":"+1 (940) 555-1234","type":"HOME","wa_id":"19405551234"}]}]}`),
		sent("reaction", `{"type":"reaction","reaction":{"message_id":"gBEG42","emoji":"👍"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"reaction","reaction":{"message_id":"gBEG42","emoji":"👍"}}`),
		sent("list", `{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"H"},"body":{"text":"Pick"},"footer":{"text":"F"},"action":{"button":"Open","sections":[{"title":"S","rows":[{"id":"r","title":"R","description":"D"}]}]}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"H"},"body":{"text":"Pick"},"footer":{"text":"F"},"action":{"button":"Open","sections":[{"title":"S","rows":[{"id":"r","title":"R","description":"D"}]}]}}}`),
		sent("a template's header may be a file, its button a payload", `{"type":"template","template":{"name":"bill","language":{"code":"de","policy":"deterministic"},"components":[{"type":"header","parameters":[{"type":"document","document":{"link":"https://cdn.example.com/b.pdf","filename":"b.pdf"}}]},{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":""}]}]}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"template","template":{"namespace":"waba_namespace","name":"bill","language":{"policy":"deterministic","code":"de"},"components":[{"type":"header","parameters":[{"type":"document","document":{"link":"https://cdn.example.com/b.pdf","filename":"b.pdf"}}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":""}]}]}}`),
		sent("image by link", `{"type":"image","image":{"link":"https://cdn.example.com/i.jpg?a=1&b=2","caption":"<hi>"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"image","image":{"link":"https://cdn.example.com/i.jpg?a=1&b=2","caption":"<hi>"}}`),
		sent("video by id", `{"type":"video","video":{"id":"f043afd0","caption":"hi"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"video","video":{"id":"f043afd0","caption":"hi"}}`),
		sent("audio by id, which answers", `{"type":"audio","audio":{"id":"f043afd0"}}`, "gBEG41",
			`{"recipient_type":"individual","to":"250788123123","type":"audio","context":{"message_id":"gBEG41"},"audio":{"id":"f043afd0"}}`),
		sent("document by id", `{"type":"document","document":{"id":"f043afd0","filename":"b.pdf"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"document","document":{"id":"f043afd0","filename":"b.pdf"}}`),
		sent("sticker by link", `{"type":"sticker","sticker":{"link":"https://cdn.example.com/s.webp"}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"sticker","sticker":{"link":"https://cdn.example.com/s.webp"}}`),
		sent("a location without a name, at zero", `{"type":"location","location":{"latitude":0,"longitude":-180}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"location","location":{"longitude":-180,"latitude":0}}`),
		sent("a reaction taken back", `{"type":"reaction","reaction":{"message_id":"gBEG42","emoji":""}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"reaction","reaction":{"message_id":"gBEG42","emoji":""}}`),
		sent("three buttons under a file", `{"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"link":"https://cdn.example.com/i.jpg"}},"body":{"text":"Pick"},"footer":{"text":"F"},"action":{"buttons":[{"type":"reply","reply":{"id":"0","title":"A"}},{"type":"reply","reply":{"id":"1","title":"B"}},{"type":"reply","reply":{"id":"2","title":"C"}}]}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"link":"https://cdn.example.com/i.jpg"}},"body":{"text":"Pick"},"footer":{"text":"F"},"action":{"buttons":[{"type":"reply","reply":{"id":"0","title":"A"}},{"type":"reply","reply":{"id":"1","title":"B"}},{"type":"reply","reply":{"id":"2","title":"C"}}]}}}`),
		sent("a template without variables", `{"type":"template","template":{"name":"hello","language":{"code":"en"}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"template","template":{"namespace":"waba_namespace","name":"hello","language":{"policy":"deterministic","code":"en"}}}`),
		sent("a template with all kinds of values", `{"type":"template","template":{"name":"bill","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"location","location":{"latitude":1.5,"longitude":2,"name":"HQ"}}]},{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}},{"type":"text","text":" "}]},{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"o/77"}]}]}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"template","template":{"namespace":"waba_namespace","name":"bill","language":{"policy":"deterministic","code":"en"},"components":[{"type":"header","parameters":[{"type":"location","location":{"longitude":2,"latitude":1.5,"name":"HQ"}}]},{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}},{"type":"text","text":" "}]},{"type":"button","sub_type":"url","index":"1","parameters":[{"type":"text","text":"o/77"}]}]}}`),
		sent("a list of products", `{"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"H"},"body":{"text":"B"},"action":{"catalog_id":"c","sections":[{"title":"S","product_items":[{"product_retailer_id":"p"}]}]}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"H"},"body":{"text":"B"},"action":{"sections":[{"title":"S","product_items":[{"product_retailer_id":"p"}]}],"catalog_id":"c"}}}`),
		sent("products", `{"type":"interactive","interactive":{"type":"product","action":{"catalog_id":"c","product_retailer_id":"p"}}}`, "",
			`{"recipient_type":"individual","to":"250788123123","type":"interactive","interactive":{"type":"product","action":{"catalog_id":"c","product_retailer_id":"p"}}}`),
	}
}

func refusedCases(t *testing.T) []providertest.RefusedCase {
	t.Helper()
	refused := func(name, content string, fields ...string) providertest.RefusedCase {
		return providertest.RefusedCase{Name: name, Message: providertest.Message(t, content), WantFields: fields}
	}
	reply := refused("a reaction answers nothing else", `{"type":"reaction","reaction":{"message_id":"gBEG42","emoji":"👍"}}`, "reply_to")
	reply.Message.ReplyTo = "gBEG41"
	const body = `"body":{"text":"b"}`
	return []providertest.RefusedCase{
		reply,
		refused("voice can't be asked for", `{"type":"audio","audio":{"id":"a","voice":true}}`, "audio.voice"),
		refused("a link to tap is the Cloud API's", `{"type":"interactive","interactive":{"type":"cta_url",`+body+`,"action":{"name":"cta_url","parameters":{"display_text":"d","url":"https://example.com"}}}}`, "interactive.type"),
		refused("a flow is", `{"type":"interactive","interactive":{"type":"flow",`+body+`,"action":{"name":"flow","parameters":{"flow_id":"1","flow_cta":"c"}}}}`, "interactive.type"),
		refused("a request for a location is", `{"type":"interactive","interactive":{"type":"location_request_message",`+body+`,"action":{"name":"send_location"}}}`, "interactive.type"),
		refused("a whole catalogue is", `{"type":"interactive","interactive":{"type":"catalog_message",`+body+`,"action":{"name":"catalog_message"}}}`, "interactive.type"),
		refused("a list's body is shorter than the Cloud API's", `{"type":"interactive","interactive":{"type":"list","body":{"text":"`+strings.Repeat("ü", 1025)+`"},"action":{"button":"Open","sections":[{"rows":[{"id":"r","title":"R"}]}]}}}`, "interactive.body.text"),
		refused("another policy of languages", `{"type":"template","template":{"name":"n","language":{"code":"en","policy":"fallback"}}}`, "template.language.policy"),
		refused("white space in a template's parameter",
			`{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"a\nb"},{"type":"text","text":"a\tb"},{"type":"text","text":"a    b"},{"type":"text","text":"a   b"}]}]}}`,
			"template.components[0].parameters[0].text", "template.components[0].parameters[1].text", "template.components[0].parameters[2].text"),
	}
}

// Callers are told which provider can't say what.
func TestRefusalsNameTheProvider(t *testing.T) {
	for _, c := range refusedCases(t) {
		for _, e := range whatsapponprem.New(settings(hostURL)).Check(&c.Message) {
			if !strings.Contains(e.Message, "whatsapp-onprem") {
				t.Errorf("%s: %v", c.Name, e)
			}
		}
	}
}

// The host would refuse every template with 2014: none is sent.
func TestTemplatesNeedANamespace(t *testing.T) {
	s := settings(hostURL)
	s.Namespace = ""
	p := whatsapponprem.New(s)
	m := providertest.Message(t, `{"type":"template","template":{"name":"revive_issue","language":{"code":"en_US"}}}`)
	if errs := p.Check(&m); len(errs) != 1 || errs[0].Field != "template" || !strings.Contains(errs[0].Message, "namespace") {
		t.Errorf("Check says %v", errs)
	}
	_, err := p.NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassPermanent {
		t.Errorf("NewRequest says %v, want an error of class permanent", err)
	}
}

// The suite compares requests by value; here every byte counts, so that
// escapes, doubled members and spare white space show.
func TestRequestBytes(t *testing.T) {
	for _, c := range requestCases(t, nil) {
		t.Run(c.Name, func(t *testing.T) {
			req, err := whatsapponprem.New(settings(hostURL)).NewRequest(t.Context(), sender.Call{Message: &c.Message, ReplyTo: c.ReplyTo, Attempt: 1})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.WantBody, string(body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnAccountWithoutCredentialsIsSuspended(t *testing.T) {
	m := providertest.Message(t, `{"type":"text","text":{"body":"Hello"}}`)
	_, err := whatsapponprem.New(whatsapponprem.Settings{BaseURL: hostURL}).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassSuspended {
		t.Errorf("%v, want an error of class suspended", err)
	}
}

func TestAnAPIKeyHasAHeaderOfItsOwn(t *testing.T) {
	m := providertest.Message(t, `{"type":"text","text":{"body":"Hi"}}`)
	req, err := whatsapponprem.New(whatsapponprem.Settings{BaseURL: "https://waba.360dialog.io", APIKey: apiKey}).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "D360-Api-Key": {apiKey}}
	if diff := cmp.Diff(want, req.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	s := settings(hostURL)
	s.Username, s.Password, s.NewPassword, s.APIKey = username, password, newPassword, apiKey
	p := whatsapponprem.New(s)
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "provider", p)
	for _, printed := range []string{fmt.Sprintf("%v %+v %s", p, p, p), logged.String()} {
		for _, secret := range []string{staticToken, apiKey, monitorKey, callbackToken, password, newPassword} {
			if strings.Contains(printed, secret) {
				t.Errorf("%q shows a secret", printed)
			}
		}
	}
}

func TestMediaRules(t *testing.T) {
	want := map[gateway.MediaKind]gateway.MediaRule{
		gateway.MediaImage:    {MaxBytes: 5242880, Types: []string{"image/jpeg", "image/png"}},
		gateway.MediaVideo:    {MaxBytes: 16777216, Types: []string{"video/mp4", "video/3gpp"}},
		gateway.MediaAudio:    {MaxBytes: 16777216, Types: []string{"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg"}},
		gateway.MediaDocument: {MaxBytes: 104857600, Types: []string{"*/*"}},
		gateway.MediaSticker:  {MaxBytes: 102400, StillOnly: true, Types: []string{"image/webp"}},
	}
	for kind, rule := range want {
		if diff := cmp.Diff(rule, whatsapponprem.New(settings(hostURL)).MediaRule(kind)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
