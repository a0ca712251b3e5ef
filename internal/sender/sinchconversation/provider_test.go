package sinchconversation

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
)

const (
	testProject   = "11111111-2222-3333-4444-555555555555"
	testApp       = "01HAPP00000000000000000000"
	testKeySecret = "secret-1"
	testSecret    = "gateway-test-secret"

	testRecipient gateway.Recipient = "+46732001122"
)

// The face that takes callbacks in.
var _ interface {
	Challenge(query url.Values) (body string, ok bool)
	Verify(header http.Header, query url.Values, raw []byte) error
	Parse(raw []byte) (gateway.Callback, error)
} = (*Provider)(nil)

func newProvider(baseURL string, login http.RoundTripper) *Provider {
	return New(Settings{
		BaseURL: baseURL, Region: "eu", ProjectID: testProject, AppID: testApp, KeyID: "key-1", KeySecret: testKeySecret,
		WebhookSecrets: []string{testSecret}, Client: &http.Client{Transport: login},
	})
}

func message(tb testing.TB, content string) gateway.Message {
	tb.Helper()
	m := providertest.Message(tb, content)
	m.Recipient, m.ID = testRecipient, "gw-0001"
	return m
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:      func(baseURL string) sender.Provider { return newProvider(baseURL, &fakeLogin{}) },
		Requests: requestCases(t),
		Refused:  refusedCases(t),
		Answers:  answerCases(),
		Secrets:  []string{testKeySecret, testSecret},
	})
}

// explicit is the member of a message in WhatsApp's own words, a string.
func explicit(tb testing.TB, text string) string {
	tb.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		tb.Fatal(err)
	}
	return `"explicit_channel_message":{"WHATSAPP":` + string(b) + `}`
}

const own = `{"messaging_product":"whatsapp","recipient_type":"individual","to":"{{to}}",`

// requestCases are the documented cases C16 to C23, and what they leave open.
// Each wraps its message as the documents do.
func requestCases(tb testing.TB) []providertest.RequestCase {
	tb.Helper()
	var cases []providertest.RequestCase
	is := func(name, content, wantMessage string) *providertest.RequestCase {
		cases = append(cases, providertest.RequestCase{
			Name: name, Message: message(tb, content),
			CallbackURL: "https://gw.example.net/callbacks/a/m/1/mac", // not for a dialect that has metadata
			WantPath:    "/v1/projects/11111111-2222-3333-4444-555555555555/messages:send",
			WantHeader:  map[string]string{"Authorization": "Bearer jwt-1", "Content-Type": "application/json"},
			WantBody: `{"app_id":"01HAPP00000000000000000000","recipient":{"identified_by":{"channel_identities":[{"channel":"WHATSAPP","identity":"46732001122"}]}},"message":` +
				wantMessage + `,"message_metadata":"gw-0001"}`,
		})
		return &cases[len(cases)-1]
	}
	is("a text", `{"type":"text","text":{"body":"Hello"}}`, `{"text_message":{"text":"Hello"}}`)
	is("a text with preview goes in WhatsApp's own words too",
		`{"type":"text","text":{"body":"See https://example.com","preview_url":true}}`,
		`{"text_message":{"text":"See https://example.com"},`+
			explicit(tb, own+`"type":"text","text":{"preview_url":true,"body":"See https://example.com"}}`)+`}`)
	is("C16 an image", `{"type":"image","image":{"link":"https://cdn.example.net/a.jpg"}}`,
		`{"media_message":{"url":"https://cdn.example.net/a.jpg"}}`)
	is("C17 an image with caption goes in WhatsApp's own words too",
		`{"type":"image","image":{"link":"https://cdn.example.net/a.jpg","caption":"A cat"}}`,
		`{"media_message":{"url":"https://cdn.example.net/a.jpg"},"explicit_channel_message":{"WHATSAPP":"{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"{{to}}\",\"type\":\"image\",\"image\":{\"link\":\"https://cdn.example.net/a.jpg\",\"caption\":\"A cat\"}}"}}`)
	is("a video", `{"type":"video","video":{"link":"https://cdn.example.net/v.mp4"}}`,
		`{"media_message":{"url":"https://cdn.example.net/v.mp4"}}`)
	is("a video with caption", `{"type":"video","video":{"link":"https://cdn.example.net/v.mp4","caption":"<b> & c"}}`,
		`{"media_message":{"url":"https://cdn.example.net/v.mp4"},`+
			explicit(tb, own+`"type":"video","video":{"link":"https://cdn.example.net/v.mp4","caption":"<b> & c"}}`)+`}`)
	is("audio", `{"type":"audio","audio":{"link":"https://cdn.example.net/s.mp3"}}`,
		`{"media_message":{"url":"https://cdn.example.net/s.mp3"}}`)
	is("C18 a document", `{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"invoice.pdf"}}`,
		`{"media_message":{"url":"https://cdn.example.net/i.pdf","filename_override":"invoice.pdf"}}`)
	is("a document with caption",
		`{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"invoice.pdf","caption":"Invoice 7"}}`,
		`{"media_message":{"url":"https://cdn.example.net/i.pdf","filename_override":"invoice.pdf"},`+
			explicit(tb, own+`"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"invoice.pdf","caption":"Invoice 7"}}`)+`}`)
	is("a sticker, which would be a picture otherwise", `{"type":"sticker","sticker":{"link":"https://cdn.example.net/s.webp"}}`,
		`{"media_message":{"url":"https://cdn.example.net/s.webp"},`+
			explicit(tb, own+`"type":"sticker","sticker":{"link":"https://cdn.example.net/s.webp"}}`)+`}`)
	is("C19 a location", `{"type":"location","location":{"latitude":55.7047,"longitude":13.191,"name":"HQ","address":"Main St 1"}}`,
		`{"location_message":{"title":"HQ","label":"Main St 1","coordinates":{"latitude":55.7047,"longitude":13.191}}}`)
	is("a location without a name has its address as title", `{"type":"location","location":{"latitude":0,"longitude":0,"address":"Main St 1"}}`,
		`{"location_message":{"title":"Main St 1","coordinates":{"latitude":0,"longitude":0}}}`)
	is("a location without either has its place as title", `{"type":"location","location":{"latitude":55.7047,"longitude":-13.191}}`,
		`{"location_message":{"title":"55.7047,-13.191","coordinates":{"latitude":55.7047,"longitude":-13.191}}}`)
	is("C20 a contact",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phones":[{"phone":"+46700000001","type":"WORK"}]}]}`,
		`{"contact_info_message":{"name":{"full_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phone_numbers":[{"phone_number":"+46700000001","type":"WORK"}]}}`)
	is("a contact with everything that Sinch's card has",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A","middle_name":"m","prefix":"p","suffix":"s"},"phones":[{"phone":"1"}],"emails":[{"email":"e","type":"HOME"}],"addresses":[{"city":"ci","state":"sa","zip":"z","country":"co","country_code":"cc","type":"HOME"}],"urls":[{"url":"u","type":"WORK"}],"org":{"company":"c","department":"d","title":"t"},"birthday":"2012-08-18"}]}`,
		`{"contact_info_message":{"name":{"full_name":"A","middle_name":"m","prefix":"p","suffix":"s"},"phone_numbers":[{"phone_number":"1"}],"email_addresses":[{"email_address":"e","type":"HOME"}],"addresses":[{"city":"ci","state":"sa","zip":"z","country":"co","country_code":"cc","type":"HOME"}],"urls":[{"url":"u","type":"WORK"}],"organization":{"company":"c","department":"d","title":"t"},"birthday":"2012-08-18"}}`)
	is("a contact with more than Sinch's card has goes in WhatsApp's own words too",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1","wa_id":"2"}],"addresses":[{"street":"st"}]}]}`,
		`{"contact_info_message":{"name":{"full_name":"A"},"phone_numbers":[{"phone_number":"1"}]},`+
			explicit(tb, own+`"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1","wa_id":"2"}],"addresses":[{"street":"st"}]}]}`)+`}`)
	is("two contacts go in WhatsApp's own words too",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1"}]},{"name":{"formatted_name":"B"},"phones":[{"phone":"2"}]}]}`,
		`{"contact_info_message":{"name":{"full_name":"A"},"phone_numbers":[{"phone_number":"1"}]},`+
			explicit(tb, own+`"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1"}]},{"name":{"formatted_name":"B"},"phones":[{"phone":"2"}]}]}`)+`}`)
	const (
		confirm = `"body":{"text":"Confirm?"},"action":{"buttons":[{"type":"reply","reply":{"id":"yes","title":"Yes"}},{"type":"reply","reply":{"id":"no","title":"No"}}]}`
		choices = `"choices":[{"text_message":{"text":"Yes"},"postback_data":"yes"},{"text_message":{"text":"No"},"postback_data":"no"}]`
	)
	is("C21 reply buttons with a footer",
		`{"type":"interactive","interactive":{"type":"button",`+confirm+`,"footer":{"text":"Acme"}}}`,
		`{"choice_message":{"text_message":{"text":"Confirm?"},`+choices+`,"message_properties":{"whatsapp_footer":"Acme"}}}`)
	is("reply buttons alone", `{"type":"interactive","interactive":{"type":"button",`+confirm+`}}`,
		`{"choice_message":{"text_message":{"text":"Confirm?"},`+choices+`}}`)
	is("reply buttons under a text are a card",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"Order 7"},`+confirm+`}}`,
		`{"card_message":{"title":"Confirm?",`+choices+`,"message_properties":{"whatsapp_header":"Order 7"}}}`)
	is("reply buttons under a document are a card",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"i.pdf"}},`+confirm+`}}`,
		`{"card_message":{"title":"Confirm?","media_message":{"url":"https://cdn.example.net/i.pdf","filename_override":"i.pdf"},`+choices+`}}`)
	is("reply buttons under an image are a card",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"link":"https://cdn.example.net/h.png"}},`+confirm+`}}`,
		`{"card_message":{"title":"Confirm?","media_message":{"url":"https://cdn.example.net/h.png"},`+choices+`}}`)
	is("reply buttons under a video are a card",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"video","video":{"link":"https://cdn.example.net/v.mp4"}},`+confirm+`}}`,
		`{"card_message":{"title":"Confirm?","media_message":{"url":"https://cdn.example.net/v.mp4"},`+choices+`}}`)
	long := func(n int) string { return strings.Repeat("å", n) }
	is("a text of 4096 characters", `{"type":"text","text":{"body":"`+long(4096)+`"}}`, `{"text_message":{"text":"`+long(4096)+`"}}`)
	is("three reply buttons at every limit, one with what only looks like markdown",
		`{"type":"interactive","interactive":{"type":"button","body":{"text":"`+long(1024)+`"},"footer":{"text":"`+long(60)+`"},"action":{"buttons":[{"type":"reply","reply":{"id":"`+long(229)+`","title":"`+long(20)+`"}},{"type":"reply","reply":{"id":"2","title":"2 * 3"}},{"type":"reply","reply":{"id":"3","title":"snake_case"}}]}}}`,
		`{"choice_message":{"text_message":{"text":"`+long(1024)+`"},"choices":[{"text_message":{"text":"`+long(20)+`"},"postback_data":"`+long(229)+`"},{"text_message":{"text":"2 * 3"},"postback_data":"2"},{"text_message":{"text":"snake_case"},"postback_data":"3"}],"message_properties":{"whatsapp_footer":"`+long(60)+`"}}}`)
	is("a list of two sections at the limits",
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"`+long(1024)+`"},"action":{"button":"`+long(20)+`","sections":[{"title":"`+long(24)+`","rows":[{"id":"a","title":"`+long(24)+`","description":"`+long(72)+`"}]},{"title":"B","rows":[{"id":"b","title":"b"}]}]}}}`,
		`{"list_message":{"title":"`+long(1024)+`","sections":[{"title":"`+long(24)+`","items":[{"choice":{"title":"`+long(24)+`","description":"`+long(72)+`","postback_data":"a"}}]},{"title":"B","items":[{"choice":{"title":"b","postback_data":"b"}}]}],"message_properties":{"menu":"`+long(20)+`"}}}`)
	is("a link to tap",
		`{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"Look"},"footer":{"text":"Acme"},"action":{"name":"cta_url","parameters":{"display_text":"Go","url":"https://a.example/"}}}}`,
		`{"choice_message":{"text_message":{"text":"Look"},"choices":[{"url_message":{"title":"Go","url":"https://a.example/"}}],"message_properties":{"whatsapp_footer":"Acme"}}}`)
	const (
		slots = `"body":{"text":"Pick one"},"action":{"button":"Choose","sections":[{"title":"Today","rows":[{"id":"t1","title":"10:00","description":"Room A"},{"id":"t2","title":"11:00"}]}]}`
		items = `"sections":[{"title":"Today","items":[{"choice":{"title":"10:00","description":"Room A","postback_data":"t1"}},{"choice":{"title":"11:00","postback_data":"t2"}}]}]`
	)
	is("C22 a list", `{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"Slots"},`+slots+`}}`,
		`{"list_message":{"title":"Pick one",`+items+`,"message_properties":{"menu":"Choose","whatsapp_header":"Slots"}}}`)
	is("a list with a footer", `{"type":"interactive","interactive":{"type":"list","footer":{"text":"Acme"},`+slots+`}}`,
		`{"list_message":{"title":"Pick one","description":"Acme",`+items+`,"message_properties":{"menu":"Choose"}}}`)
	template := func(name, components, parameters string) {
		is(name, `{"type":"template","template":{"name":"offer","language":{"code":"pt_BR"},"components":[`+components+`]}}`,
			`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"offer","language_code":"pt_BR"`+parameters+`}}}}`)
	}
	is("C23 a template under an image, with two quick replies",
		`{"type":"template","template":{"name":"offer","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"image","image":{"link":"https://cdn.example.net/o.jpg"}}]},{"type":"body","parameters":[{"type":"text","text":"Ada"}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"yes"}]},{"type":"button","sub_type":"quick_reply","index":"1"}]}}`,
		`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"offer","language_code":"en","parameters":{"header[1]image.link":"https://cdn.example.net/o.jpg","body[1]text":"Ada","button[0]quick_reply[1]payload":"yes","button[1]quick_reply[1]payload":""}}}}}`)
	template("C23 a template's url button, after fixed ones",
		`{"type":"button","sub_type":"url","index":2,"parameters":[{"type":"text","text":"o/77"}]},{"type":"button","sub_type":"url","index":1},{"type":"button","sub_type":"call","index":0}`,
		`,"parameters":{"button[2]url[1]text":"o/77"}`)
	template("a template under a text", `{"type":"header","parameters":[{"type":"text","text":"Ada"}]},{"type":"body","parameters":[{"type":"text","text":"42"},{"type":"text","text":"tomorrow"}]}`,
		`,"parameters":{"header[1]text":"Ada","body[1]text":"42","body[2]text":"tomorrow"}`)
	template("a template under a video", `{"type":"header","parameters":[{"type":"video","video":{"link":"https://cdn.example.net/v.mp4"}}]}`,
		`,"parameters":{"header[1]video.link":"https://cdn.example.net/v.mp4"}`)
	template("a template under a document", `{"type":"header","parameters":[{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"i.pdf"}}]}`,
		`,"parameters":{"header[1]document.link":"https://cdn.example.net/i.pdf","header[1]document.filename":"i.pdf"}`)
	template("an amount and a moment go as their fallback",
		`{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}}]}`,
		`,"parameters":{"body[1]text":"$10","body[2]text":"May 1"}`)
	template("a template without values has none", `{"type":"header"},{"type":"body"}`, ``)

	quote := is("a quote", `{"type":"text","text":{"body":"Yes"}}`, `{"text_message":{"text":"Yes"},"reply_to":{"message_id":"01HIN000000000000000000000"}}`)
	quote.Message.ReplyTo, quote.ReplyTo = "01HIN000000000000000000000", "01HIN000000000000000000000"
	second := is("a second attempt is told apart", `{"type":"text","text":{"body":"Hello"}}`, `{"text_message":{"text":"Hello"}}`)
	second.Attempt, second.WantBody = 2, strings.Replace(second.WantBody, `"gw-0001"`, `"gw-0001#2"`, 1)
	return cases
}

// What accept tells callers names the provider, for the same message may be
// fine with another one.
func TestRefusalsNameTheProvider(t *testing.T) {
	for _, c := range refusedCases(t) {
		for _, e := range newProvider("", nil).Check(&c.Message) {
			if !strings.Contains(e.Message, "sinch-conversation") {
				t.Errorf("%s: %s: %s", c.Name, e.Field, e.Message)
			}
		}
	}
}

func refusedCases(tb testing.TB) []providertest.RefusedCase {
	tb.Helper()
	var cases []providertest.RefusedCase
	add := func(name, content string, fields ...string) {
		cases = append(cases, providertest.RefusedCase{Name: name, Message: message(tb, content), WantFields: fields})
	}
	components := func(list string) string {
		return `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[` + list + `]}}`
	}
	buttonMessage := func(rest string) string {
		return `{"type":"interactive","interactive":{"type":"button","body":{"text":"b"},` + rest + `}}`
	}
	const reply = `"buttons":[{"type":"reply","reply":{"id":"x","title":"X"}}]`
	add("a reaction", `{"type":"reaction","reaction":{"message_id":"m","emoji":"👍"}}`, "reaction")
	for _, kind := range []string{"image", "video", "audio", "document", "sticker"} {
		add(kind+" by id", `{"type":"`+kind+`","`+kind+`":{"id":"1"}}`, kind+".id")
	}
	add("a file from a media provider", `{"type":"image","image":{"link":"https://a.example/i.png","provider":"cdn"}}`, "image.provider")
	add("a voice message", `{"type":"audio","audio":{"link":"https://a.example/v.ogg","voice":true}}`, "audio.voice")
	add("contacts without what Sinch requires",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A"}},{"name":{"formatted_name":"B"},"phones":[{"type":"WORK"}],"emails":[{"type":"WORK"}],"urls":[{"type":"WORK"}]}]}`,
		"contacts[0].phones", "contacts[1].phones[0].phone", "contacts[1].emails[0].email", "contacts[1].urls[0].url")
	for kind, action := range map[string]string{
		"flow":                     `{"name":"flow","parameters":{"flow_id":"1","flow_cta":"Go"}}`,
		"location_request_message": `{"name":"send_location"}`,
		"product":                  `{"catalog_id":"c","product_retailer_id":"p"}`,
		"product_list":             `{"catalog_id":"c","sections":[{"title":"s","product_items":[{"product_retailer_id":"p"}]}]}`,
		"catalog_message":          `{"name":"catalog_message"}`,
	} {
		add("an interactive "+kind, `{"type":"interactive","interactive":{"type":"`+kind+`","body":{"text":"b"},"action":`+action+`}}`, "interactive.type")
	}
	add("a header above a link",
		`{"type":"interactive","interactive":{"type":"cta_url","header":{"type":"text","text":"t"},"body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"Go","url":"https://a.example/"}}}}`,
		"interactive.header")
	add("a link with more than a link has",
		`{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"b"},"action":{"name":"cta_url","parameters":{"display_text":"Go","url":"https://a.example/","extra":1}}}}`,
		"interactive.action.parameters")
	add("a footer beside a header",
		buttonMessage(`"header":{"type":"text","text":"t"},"footer":{"text":"f"},"action":{`+reply+`}`), "interactive.footer")
	add("a header by id", buttonMessage(`"header":{"type":"image","image":{"id":"1"}},"action":{`+reply+`}`), "interactive.header.image.id")
	add("buttons with a list's members and others'",
		buttonMessage(`"action":{`+reply+`,"button":"b","sections":[{"rows":[]}],"name":"n","parameters":{},"catalog_id":"c","product_retailer_id":"p"}`),
		"interactive.action.button", "interactive.action.sections", "interactive.action.name", "interactive.action.parameters",
		"interactive.action.catalog_id", "interactive.action.product_retailer_id")
	add("a button's id of 230 characters",
		buttonMessage(`"action":{"buttons":[{"type":"reply","reply":{"id":"`+strings.Repeat("é", 230)+`","title":"X"}}]}`),
		"interactive.action.buttons[0].reply.id")
	for _, title := range []string{"*Yes*", "a _b_", "~no~", "`code`"} {
		add("the button "+title+", which Sinch would flatten",
			buttonMessage(`"action":{"buttons":[{"type":"reply","reply":{"id":"x","title":"`+title+`"}}]}`),
			"interactive.action.buttons[0].reply.title")
	}
	add("a list with a long body and products",
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"`+strings.Repeat("b", 1025)+`"},"action":{"button":"B","sections":[{"rows":[{"id":"a","title":"a"}],"product_items":[{"product_retailer_id":"p"}]}],`+reply+`}}}`,
		"interactive.body.text", "interactive.action.sections[0].product_items", "interactive.action.buttons")
	add("another language as a fallback",
		`{"type":"template","template":{"name":"n","language":{"code":"en","policy":"fallback"}}}`, "template.language.policy")
	add("a language in the other form", `{"type":"template","template":{"name":"n","language":{"code":"en-US"}}}`, "template.language.code")
	add("a header for a place", components(`{"type":"header","parameters":[{"type":"location","location":{"latitude":1,"longitude":2}}]}`),
		"template.components[0].parameters[0].type")
	add("a template's file by id", components(`{"type":"header","parameters":[{"type":"video","video":{"id":"1"}}]}`),
		"template.components[0].parameters[0].video.id")
	add("a file beside a text in a header",
		components(`{"type":"header","parameters":[{"type":"image","image":{"link":"https://a.example/i.png"}},{"type":"text","text":"t"}]}`),
		"template.components[0].parameters")
	add("a file in a body", components(`{"type":"body","parameters":[{"type":"image","image":{"link":"https://a.example/i.png"}}]}`),
		"template.components[0].parameters[0].type")
	add("named values", components(`{"type":"body","parameters":[{"type":"text","text":"t","parameter_name":"order"}]}`),
		"template.components[0].parameters[0].parameter_name")
	for _, subType := range []string{"copy_code", "flow", "catalog", "mpm", "voice_call"} {
		add("a "+subType+" button", components(`{"type":"button","sub_type":"`+subType+`","index":0}`), "template.components[0].sub_type")
	}
	add("a payload for a url button", components(`{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"payload","payload":"p"}]}`),
		"template.components[0].parameters[0]")
	add("two values for one button",
		components(`{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}`),
		"template.components[0].parameters[1]")
	add("a value for a call button", components(`{"type":"button","sub_type":"call","index":0,"parameters":[{"type":"text","text":"a"}]}`),
		"template.components[0].parameters[0]")

	for name, content := range map[string]string{
		"a caption": `{"type":"image","image":{"link":"https://a.example/i.png","caption":"c"}}`,
		"a preview": `{"type":"text","text":{"body":"b","preview_url":true}}`,
		"a sticker": `{"type":"sticker","sticker":{"link":"https://a.example/s.webp"}}`,
	} {
		quote := message(tb, content)
		quote.ReplyTo = "01HIN000000000000000000000"
		cases = append(cases, providertest.RefusedCase{Name: "a quote under " + name, Message: quote, WantFields: []string{"reply_to"}})
	}
	return cases
}

func answerCases() []providertest.AnswerCase {
	accepted := gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "01HMSG00000000000000000000"}
	result := func(o gateway.Outcome, scope gateway.Scope, class gateway.Class, code, title, detail string) gateway.Result {
		return gateway.Result{Outcome: o, Scope: scope, Error: &gateway.Error{Class: class, Code: code, Title: title, Detail: detail}}
	}
	unknown := func(code, title, detail string) gateway.Result {
		return result(gateway.OutcomeUnknown, "", gateway.ClassUnknown, code, title, detail)
	}
	suspended := func(code, title, detail string) gateway.Result {
		return result(gateway.OutcomeSuspended, gateway.ScopeAccount, gateway.ClassSuspended, code, title, detail)
	}
	rejected := func(code, title, detail string) gateway.Result {
		return result(gateway.OutcomeRejected, "", gateway.ClassPermanent, code, title, detail)
	}
	after := func(r gateway.Result, d time.Duration) gateway.Result {
		r.RetryAfter = d
		return r
	}
	throttled := result(gateway.OutcomeThrottled, gateway.ScopeApp, gateway.ClassThrottled, "429", "Too Many Requests", "")
	down := result(gateway.OutcomeTransient, "", gateway.ClassTransient, "503", "Service Unavailable", "try later")
	const noID = "The answer holds no message id"
	return []providertest.AnswerCase{
		{
			Name: "C15 200 with a message id is accepted", Status: 200, Want: accepted,
			Body: `{"message_id":"01HMSG00000000000000000000","accepted_time":"2026-01-02T03:04:05.678Z"}`,
		},
		{Name: "any 2xx with a message id is accepted", Status: 202, Want: accepted, Body: `{"message_id":"01HMSG00000000000000000000","code":"x"}`},
		{Name: "200 without an id may have been accepted", Status: 200, Want: unknown("200", noID, ""), Body: `{"accepted_time":"2026-01-02T03:04:05.678Z"}`},
		{Name: "200 with an empty id may have been accepted", Status: 200, Want: unknown("200", noID, ""), Body: `{"message_id":""}`},
		{Name: "200 with an id that is no text may have been accepted", Status: 200, Want: unknown("200", noID, ""), Body: `{"message_id":42}`},
		{
			Name: "200 with half a body may have been accepted", Status: 200, Want: unknown("200", noID, ""),
			Body: `{"message_id":"01HMSG00000000000000000000","accepted_ti`,
		},
		{
			Name: "an id under another name may have been accepted", Status: 200, Want: unknown("200", noID, ""),
			Body: `{"id":"01HMSG00000000000000000000","messages":[{"id":"01HMSG00000000000000000000"}],"message":{"message_id":"01HMSG00000000000000000000"}}`,
		},
		{
			Name: "an error in its wrapper under a 200 may have been accepted", Status: 200, Want: unknown("200", noID, "boom"),
			Body: `{"error":{"code":500,"message":"boom","status":"INTERNAL_ERROR","details":[]}}`,
		},
		{
			Name: "an id counts under any content type", Status: 200, Want: accepted, Header: map[string]string{"Content-Type": "text/plain"},
			Body: `{"message_id":"01HMSG00000000000000000000","accepted_time":"2026-01-02T03:04:05.678Z"}`,
		},
		{Name: "200 without a body may have been accepted", Status: 200, Want: unknown("200", noID, "")},
		{Name: "200 with a body that is no JSON may have been accepted", Status: 200, Want: unknown("200", noID, ""), Body: `OK`},
		{Name: "an error under a 200 may have been accepted", Status: 200, Want: unknown("200", noID, "boom"), Body: `{"code":400,"message":"boom","status":"INVALID_ARGUMENT"}`},
		{Name: "an id in an error accepts nothing", Status: 200, Want: unknown("200", noID, ""), Body: `{"error":{"message_id":"01HMSG00000000000000000000"}}`},

		{
			Name: "400 in the schema's form is rejected", Status: 400, Want: rejected("400", "Bad Request", "app_id is malformed"),
			Body: `{"error":{"code":400,"message":"app_id is malformed","status":"INVALID_ARGUMENT","details":[{"type_url":"t","value":"v"}]}}`,
		},
		{
			Name: "400 in the examples' form is rejected", Status: 400, Want: rejected("400", "Bad Request", "ttl is malformed"),
			Body: `{"code":400,"message":"ttl is malformed","status":"INVALID_REQUEST","details":[{"@type":"t"}]}`,
		},
		{Name: "400 with a status name only is rejected", Status: 400, Want: rejected("400", "Bad Request", "INVALID_ARGUMENT"), Body: `{"error":{"status":"INVALID_ARGUMENT","message":7,"code":"x"}}`},
		{Name: "400 without a body is rejected", Status: 400, Want: rejected("400", "Bad Request", "")},
		{Name: "413 is the message's fault", Status: 413, Want: rejected("413", "Request Entity Too Large", "")},
		{Name: "422 is the message's fault", Status: 422, Want: rejected("422", "Unprocessable Entity", "")},

		{
			Name: "R9 401 holds the account", Status: 401, Want: suspended("401", "Unauthorized", "token expired"),
			Header: map[string]string{"WWW-Authenticate": tokenExpired},
			Body:   `{"error":{"code":401,"message":"token expired","status":"UNAUTHENTICATED"}}`,
		},
		{Name: "401 under another name holds the account", Status: 401, Want: suspended("401", "Unauthorized", "no"), Body: `{"code":401,"message":"no","status":"UNAUTHORIZED"}`},
		{Name: "402 holds the account", Status: 402, Want: suspended("402", "Payment Required", "")},
		{Name: "403 holds the account", Status: 403, Want: suspended("403", "Forbidden", "no"), Body: `{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`},
		{
			Name: "R11 403 for a used up credit holds the account", Status: 403,
			Want: suspended("BILLING_CREDIT_LIMIT_BREACHED", "The project's credit is used up", "BILLING_CREDIT_LIMIT_BREACHED"),
			Body: `{"error":{"code":403,"message":"BILLING_CREDIT_LIMIT_BREACHED","status":"PERMISSION_DENIED"}}`,
		},
		{
			Name: "R11 the credit may be named in the details", Status: 403,
			Want: suspended("BILLING_CREDIT_LIMIT_BREACHED", "The project's credit is used up", "no"),
			Body: `{"code":403,"message":"no","status":"PERMISSION_DENIED","details":[{"reason":"BILLING_CREDIT_LIMIT_BREACHED"}]}`,
		},
		{Name: "R12 404 is the wrong region or app and holds the account", Status: 404, Want: suspended("404", "Not Found", "app not found"), Body: `{"error":{"code":404,"message":"app not found","status":"NOT_FOUND"}}`},
		{Name: "404 without a body holds the account", Status: 404, Want: suspended("404", "Not Found", "")},
		{Name: "405 holds the account: the base URL is wrong", Status: 405, Want: suspended("405", "Method Not Allowed", "")},
		{Name: "407 holds the account: a proxy wants credentials", Status: 407, Want: suspended("407", "Proxy Authentication Required", "")},
		{Name: "a redirect holds the account: the base URL is wrong", Status: 308, Want: suspended("308", "Permanent Redirect", "")},

		{
			Name: "a redirect with an id holds the account too", Status: 307, Want: suspended("307", "Temporary Redirect", ""),
			Header: map[string]string{"Location": "https://us.conversation.api.sinch.com/"}, Body: `{"message_id":"01HMSG00000000000000000000"}`,
		},
		{
			Name: "400 for a channel that isn't configured is rejected", Status: 400,
			Want: rejected("400", "Bad Request", "channel not configured"),
			Body: `{"code":400,"message":"channel not configured","status":"INVALID_REQUEST","details":[]}`,
		},
		{
			Name: "429 keeps Sinch's words", Status: 429,
			Want: result(gateway.OutcomeThrottled, gateway.ScopeApp, gateway.ClassThrottled, "429", "Too Many Requests", "queue is full"),
			Body: `{"error":{"code":429,"message":"queue is full","status":"RESOURCE_EXHAUSTED","details":[]}}`,
		},
		{Name: "429 holds the app until our policy says otherwise", Status: 429, Want: throttled},
		{Name: "R10 429 is retried after Retry-After", Status: 429, Header: map[string]string{"Retry-After": "2"}, Want: after(throttled, 2*time.Second)},
		{Name: "Retry-After is believed for an hour at most", Status: 429, Header: map[string]string{"Retry-After": "99999999999"}, Want: after(throttled, time.Hour)},
		{Name: "a negative Retry-After is no wish", Status: 429, Header: map[string]string{"Retry-After": "-5"}, Want: throttled},

		{
			Name: "R13 500 in the schema's form may have been sent", Status: 500, Want: unknown("500", "Internal Server Error", "oops"),
			Body: `{"error":{"code":500,"message":"oops","status":"INTERNAL_ERROR"}}`,
		},
		{
			Name: "R13 500 in the examples' form may have been sent", Status: 500, Want: unknown("500", "Internal Server Error", "oops"),
			Body: `{"code":500,"message":"oops","status":"INTERNAL_ERROR"}`,
		},
		{Name: "an id under a 500 may have been sent", Status: 500, Want: unknown("500", "Internal Server Error", ""), Body: `{"message_id":"01HMSG00000000000000000000"}`},
		{Name: "R14 501 is rejected: there is no such route", Status: 501, Want: rejected("501", "Not Implemented", "no"), Body: `{"error":{"code":501,"message":"no","status":"UNIMPLEMENTED"}}`},
		{Name: "R14 501 under another name is too", Status: 501, Want: rejected("501", "Not Implemented", "no"), Body: `{"code":501,"message":"no","status":"INTERNAL_ERROR"}`},
		{Name: "501 in a proxy's words may have been sent", Status: 501, Want: unknown("501", "Not Implemented", "")},
		{Name: "503 in Sinch's words is tried again", Status: 503, Want: down, Body: `{"error":{"code":503,"message":"try later","status":"UNAVAILABLE"}}`},
		{
			Name: "503 is tried again after Retry-After", Status: 503, Want: after(down, 3*time.Second),
			Header: map[string]string{"Retry-After": "3"}, Body: `{"message":"try later","status":"UNAVAILABLE"}`,
		},
		{Name: "503 in a proxy's words may have been sent", Status: 503, Want: unknown("503", "Service Unavailable", "upstream down"), Body: `{"message":"upstream down"}`},
		{Name: "503 without words may have been sent", Status: 503, Want: unknown("503", "Service Unavailable", "")},
		{Name: "502 may have been sent", Status: 502, Want: unknown("502", "Bad Gateway", "down"), Body: `{"code":502,"message":"down","status":"UNAVAILABLE"}`},
		{Name: "504 may have been sent", Status: 504, Want: unknown("504", "Gateway Timeout", "")},
		{Name: "408 may have been sent", Status: 408, Want: unknown("408", "Request Timeout", "")},
		{Name: "a status that is none may have been sent", Status: 999, Want: unknown("999", "Unexpected answer", "")},
	}
}

// C15, whole: what is left of a message's time goes with it.
func TestC15TheBytesOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := message(t, `{"type":"text","text":{"body":"Hello"}}`)
		m.ExpiresAt = time.Now().Add(time.Hour)
		p := newProvider("", &fakeLogin{})
		req, err := p.NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "") // the client's business
		var got strings.Builder
		if err := req.Write(&got); err != nil {
			t.Fatal(err)
		}
		want := "POST /v1/projects/11111111-2222-3333-4444-555555555555/messages:send HTTP/1.1\r\n" +
			"Host: eu.conversation.api.sinch.com\r\n" +
			"Content-Length: 229\r\n" +
			"Authorization: Bearer jwt-1\r\n" +
			"Content-Type: application/json\r\n" +
			"\r\n" +
			`{"app_id":"01HAPP00000000000000000000","recipient":{"identified_by":{"channel_identities":[{"channel":"WHATSAPP","identity":"46732001122"}]}},"message":{"text_message":{"text":"Hello"}},"message_metadata":"gw-0001","ttl":"3600s"}`
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
	})
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock stands still
		for left, want := range map[time.Duration]string{
			time.Hour:                             "3600s",
			24*time.Hour - time.Millisecond:       "86399s",
			3 * time.Second:                       "3s",
			time.Second:                           "3s",
			-time.Hour:                            "3s",
			290 * 365 * 24 * time.Hour:            fmt.Sprintf("%ds", 290*365*24*3600),
			1500*time.Millisecond + 3*time.Second: "4s",
		} {
			if got := ttl(time.Now().Add(left)); got != want {
				t.Errorf("%v left: %s, want %s", left, got, want)
			}
		}
		if got := ttl(time.Time{}); got != "" {
			t.Errorf("without an end: %s, want none", got)
		}
	})
}

func TestBaseURL(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings Settings
		want     string
	}{
		{"the region names the host", Settings{Region: "br", ProjectID: "p"}, "https://br.conversation.api.sinch.com/v1/projects/p/messages:send"},
		{"so do the others", Settings{Region: "us", ProjectID: "p"}, "https://us.conversation.api.sinch.com/v1/projects/p/messages:send"},
		{"and the European one", Settings{Region: "eu", ProjectID: "p"}, "https://eu.conversation.api.sinch.com/v1/projects/p/messages:send"},
		{"a base URL wins over the region", Settings{BaseURL: "http://127.0.0.1:8090/s/", Region: "us", ProjectID: "p"}, "http://127.0.0.1:8090/s/v1/projects/p/messages:send"},
		{"a project can't leave its place", Settings{Region: "us", ProjectID: "../a b?"}, "https://us.conversation.api.sinch.com/v1/projects/..%2Fa%20b%3F/messages:send"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.settings.Client = &http.Client{Transport: &fakeLogin{}}
			req, err := New(c.settings).NewRequest(t.Context(), call(t, 1))
			if err != nil {
				t.Fatal(err)
			}
			if got := req.URL.String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestAProviderPrintsNoSecret(t *testing.T) {
	p := New(Settings{AppID: "A", KeyID: "key-1", KeySecret: testKeySecret, WebhookSecrets: []string{testSecret}, Sender: "+15550001111"})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got, want := fmt.Sprintf(verb, p), "sinch-conversation app A sender +15550001111"; got != want {
			t.Errorf("%s: %s, want %s", verb, got, want)
		}
	}
}

// R15: what is wrong in any dialect is caught before a provider is asked, and
// what is wrong in this one by Check.
func TestR15LimitsAreCaughtBeforeACall(t *testing.T) {
	button := func(n int, title string) string {
		buttons := make([]string, n)
		for i := range buttons {
			buttons[i] = fmt.Sprintf(`{"type":"reply","reply":{"id":"%d","title":"%s%d"}}`, i, title, i)
		}
		return `{"type":"interactive","interactive":{"type":"button","body":{"text":"b"},"action":{"buttons":[` + strings.Join(buttons, ",") + `]}}}`
	}
	rows := make([]string, 11)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"%d","title":"t"}`, i)
	}
	for name, content := range map[string]string{
		"four buttons":              button(4, "t"),
		"a title of 21 characters":  button(1, strings.Repeat("t", 20)),
		"eleven rows":               `{"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"B","sections":[{"rows":[` + strings.Join(rows, ",") + `]}]}}}`,
		"a text of 4097 characters": `{"type":"text","text":{"body":"` + strings.Repeat("t", 4097) + `"}}`,
		"audio with a caption":      `{"type":"audio","audio":{"link":"https://a.example/s.mp3","caption":"c"}}`,
		"a latitude of 91":          `{"type":"location","location":{"latitude":91,"longitude":0}}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := gateway.Message{Recipient: testRecipient}
			if err := json.Unmarshal([]byte(content), &m.Content); err != nil {
				t.Fatal(err)
			}
			if m.Content.Validate() == nil && newProvider("", nil).Check(&m) == nil {
				t.Error("taken")
			}
		})
	}
}

func TestWhatCannotBeExpressedIsPermanent(t *testing.T) {
	m := message(t, `{"type":"audio","audio":{"id":"1","voice":true}}`)
	_, err := newProvider("", nil).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	want := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "unsupported_by_provider",
		Title: "the message can't be expressed by sinch-conversation",
		Detail: "audio.id: can't be expressed by sinch-conversation: it takes a link only; " +
			"audio.voice: can't be expressed by sinch-conversation: it has no voice messages",
	}
	got, _ := errors.AsType[*gateway.Error](err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestAPurgedMessageIsNotSent(t *testing.T) {
	_, err := newProvider("", nil).NewRequest(t.Context(), sender.Call{Message: &gateway.Message{Recipient: testRecipient}, Attempt: 1})
	if _, ok := errors.AsType[*gateway.Error](err); !ok {
		t.Fatalf("error %v, want a *gateway.Error", err)
	}
}

// What the provider says is kept for people, short enough for a record and
// without our credentials.
func TestTheProvidersWordsAreTrimmed(t *testing.T) {
	body, err := json.Marshal(map[string]any{"code": 400, "message": testKeySecret + " isn't " + testSecret + strings.Repeat("å", 500)})
	if err != nil {
		t.Fatal(err)
	}
	got := newProvider("", nil).Interpret(sender.Answer{Status: 400, Body: body}).Error.Detail
	const begins = "[redacted] isn't [redacted]"
	if want := begins + strings.Repeat("å", maxQuote-1-len([]rune(begins))) + "…"; got != want {
		t.Errorf("detail %q, want %q", got, want)
	}
}

// By hand from the reference, media; of documents without the types of other kinds,
// for the kind is told from the type.
func TestMediaRule(t *testing.T) {
	for kind, want := range map[gateway.MediaKind]gateway.MediaRule{
		gateway.MediaImage:   {MaxBytes: 5242880, Types: []string{"image/jpeg", "image/png"}},
		gateway.MediaVideo:   {MaxBytes: 16777216, Types: []string{"video/mp4", "video/3gpp"}},
		gateway.MediaAudio:   {MaxBytes: 16777216, Types: []string{"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus"}},
		gateway.MediaSticker: {MaxBytes: 102400, Types: []string{"image/webp"}},
		gateway.MediaDocument: {MaxBytes: 104857600, Types: []string{
			"text/plain", "text/csv", "application/pdf", "application/msword", "application/x-tar", "application/rtf.0",
			"application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.presentation",
		}},
		"hologram": {},
	} {
		got := newProvider("", nil).MediaRule(kind)
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
