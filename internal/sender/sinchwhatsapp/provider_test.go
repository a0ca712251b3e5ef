package sinchwhatsapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
)

const (
	testToken  = "tok-v1"
	testSecret = "legacy-test-key"

	recipient gateway.Recipient = "+46732001122"
)

func newProvider(baseURL string) *Provider {
	return New(Settings{
		BaseURL: baseURL, Region: "eu1", BotID: "bot-eu-1", Token: testToken, CallbackSecrets: []string{testSecret},
	})
}

func message(tb testing.TB, content string) gateway.Message {
	tb.Helper()
	m := providertest.Message(tb, content)
	m.Recipient = recipient
	return m
}

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New:      func(baseURL string) sender.Provider { return newProvider(baseURL) },
		Requests: requestCases(t),
		Refused:  refusedCases(t),
		Answers:  answerCases(),
		Secrets:  []string{testToken, testSecret},
	})
}

// requestCases are the documented cases C01 to C13, and what they leave open.
// Each wraps its message as the documents do, unless it shows a whole body.
func requestCases(tb testing.TB) []providertest.RequestCase {
	tb.Helper()
	var cases []providertest.RequestCase
	add := func(name, content, callback, wantBody string) {
		cases = append(cases, providertest.RequestCase{
			Name: name, Message: message(tb, content), CallbackURL: callback,
			WantPath:   "/whatsapp/v1/bot-eu-1/messages",
			WantHeader: map[string]string{"Authorization": "Bearer tok-v1", "Content-Type": "application/json"},
			WantBody:   wantBody,
		})
	}
	is := func(name, content, wantMessage string) {
		add(name, content, "", `{"to":["46732001122"],"message":`+wantMessage+`}`)
	}
	is("C01 a text", `{"type":"text","text":{"body":"Hello"}}`, `{"type":"text","text":"Hello"}`)
	add("C02 a text with preview and a callback URL",
		`{"type":"text","text":{"body":"See https://example.com","preview_url":true}}`,
		"https://gw.example.net/cb/sinch-wa/gw-0001/1",
		`{"to":["46732001122"],"message":{"type":"text","text":"See https://example.com","preview_url":true},"callback":"https://gw.example.net/cb/sinch-wa/gw-0001/1"}`)
	is("C03 an image with caption",
		`{"type":"image","image":{"link":"https://cdn.example.net/a.jpg","caption":"A cat"}}`,
		`{"type":"image","url":"https://cdn.example.net/a.jpg","caption":"A cat"}`)
	is("C04 a video through a media provider",
		`{"type":"video","video":{"link":"https://cdn.example.net/v.mp4","provider":"cdn-a"}}`,
		`{"type":"video","url":"https://cdn.example.net/v.mp4","provider":"cdn-a"}`)
	is("C05 a document",
		`{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"invoice.pdf","caption":"Invoice 7"}}`,
		`{"type":"document","url":"https://cdn.example.net/i.pdf","filename":"invoice.pdf","caption":"Invoice 7"}`)
	is("C06 audio",
		`{"type":"audio","audio":{"link":"https://cdn.example.net/s.mp3"}}`,
		`{"type":"audio","url":"https://cdn.example.net/s.mp3"}`)
	is("C07 a sticker by link",
		`{"type":"sticker","sticker":{"link":"https://cdn.example.net/s.webp"}}`,
		`{"type":"sticker","url":"https://cdn.example.net/s.webp"}`)
	is("a sticker through a media provider",
		`{"type":"sticker","sticker":{"link":"https://cdn.example.net/s.webp","provider":"cdn-a"}}`,
		`{"type":"sticker","url":"https://cdn.example.net/s.webp","provider":"cdn-a"}`)
	is("an image alone", `{"type":"image","image":{"link":"https://cdn.example.net/a.jpg"}}`,
		`{"type":"image","url":"https://cdn.example.net/a.jpg"}`)
	is("a video with caption", `{"type":"video","video":{"link":"https://cdn.example.net/v.mp4","caption":"A cat"}}`,
		`{"type":"video","url":"https://cdn.example.net/v.mp4","caption":"A cat"}`)
	is("audio through a media provider", `{"type":"audio","audio":{"link":"https://cdn.example.net/s.mp3","provider":"cdn_B2"}}`,
		`{"type":"audio","url":"https://cdn.example.net/s.mp3","provider":"cdn_B2"}`)
	is("a text of 4096 characters", `{"type":"text","text":{"body":"`+strings.Repeat("ë", 4096)+`"}}`,
		`{"type":"text","text":"`+strings.Repeat("ë", 4096)+`"}`)
	is("a sticker by id", `{"type":"sticker","sticker":{"id":"st-1"}}`, `{"type":"sticker","id":"st-1"}`)
	is("C08 a location",
		`{"type":"location","location":{"latitude":55.7047,"longitude":"13.191","name":"HQ","address":"Main St 1"}}`,
		`{"type":"location","lat":55.7047,"lng":13.191,"name":"HQ","address":"Main St 1"}`)
	is("a location on the equator keeps its zeros",
		`{"type":"location","location":{"latitude":0,"longitude":0}}`,
		`{"type":"location","lat":0,"lng":0}`)
	is("C09 contacts, labels in upper case",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phones":[{"phone":"+46700000001","type":"work"}]}]}`,
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phones":[{"phone":"+46700000001","type":"WORK"}]}]}`)
	is("a list of two sections at the dialect's limits, with a footer",
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"`+strings.Repeat("b", 1024)+`"},"footer":{"text":"Acme"},"action":{"button":"Choose","sections":[{"title":"A","rows":[{"id":"`+strings.Repeat("i", 174)+`","title":"`+strings.Repeat("å", 20)+`"}]},{"title":"B","rows":[{"id":"b","title":"b"}]}]}}}`,
		`{"type":"interactive","message":{"type":"list","body":{"text":"`+strings.Repeat("b", 1024)+`"},"footer":{"text":"Acme"},"action":{"button":"Choose","sections":[{"title":"A","rows":[{"id":"`+strings.Repeat("i", 174)+`","title":"`+strings.Repeat("å", 20)+`"}]},{"title":"B","rows":[{"id":"b","title":"b"}]}]}}}`)
	is("two contacts with everything on a card",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A","middle_name":"m","prefix":"p","suffix":"s"},"phones":[{"phone":"1","type":"Cell","wa_id":"2"}],"emails":[{"email":"e","type":"home"}],"addresses":[{"street":"st","city":"ci","state":"sa","zip":"z","country":"co","country_code":"cc","type":"HOME"}],"urls":[{"url":"u","type":"Work"}],"org":{"company":"c","department":"d","title":"t"},"birthday":"2012-08-18"},{"name":{"formatted_name":"B"}}]}`,
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A","middle_name":"m","prefix":"p","suffix":"s"},"phones":[{"phone":"1","type":"CELL","wa_id":"2"}],"emails":[{"email":"e","type":"HOME"}],"addresses":[{"street":"st","city":"ci","state":"sa","zip":"z","country":"co","country_code":"cc","type":"HOME"}],"urls":[{"url":"u","type":"WORK"}],"org":{"company":"c","department":"d","title":"t"},"birthday":"2012-08-18"},{"name":{"formatted_name":"B"}}]}`)
	is("C10 reply buttons under an image, with a footer",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"link":"https://cdn.example.net/h.png"}},"body":{"text":"Confirm?"},"footer":{"text":"Acme"},"action":{"buttons":[{"type":"reply","reply":{"id":"yes","title":"Yes"}},{"type":"reply","reply":{"id":"no","title":"No"}}]}}}`,
		`{"type":"interactive","message":{"type":"button","header":{"type":"image","url":"https://cdn.example.net/h.png"},"body":{"text":"Confirm?"},"footer":{"text":"Acme"},"action":{"buttons":[{"type":"reply","id":"yes","title":"Yes"},{"type":"reply","id":"no","title":"No"}]}}}`)
	is("reply buttons under a document from a media provider",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"i.pdf","provider":"cdn-a"}},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","reply":{"id":"pay","title":"Pay"}}]}}}`,
		`{"type":"interactive","message":{"type":"button","header":{"type":"document","url":"https://cdn.example.net/i.pdf","filename":"i.pdf","provider":"cdn-a"},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","id":"pay","title":"Pay"}]}}}`)
	is("reply buttons under a text",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"Order 7"},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","reply":{"id":"pay","title":"Pay"}}]}}}`,
		`{"type":"interactive","message":{"type":"button","header":{"type":"text","text":"Order 7"},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","id":"pay","title":"Pay"}]}}}`)
	is("reply buttons under a video",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"video","video":{"link":"https://cdn.example.net/v.mp4"}},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","reply":{"id":"pay","title":"Pay"}}]}}}`,
		`{"type":"interactive","message":{"type":"button","header":{"type":"video","url":"https://cdn.example.net/v.mp4"},"body":{"text":"Pay?"},"action":{"buttons":[{"type":"reply","id":"pay","title":"Pay"}]}}}`)
	long := func(n int) string { return strings.Repeat("å", n) }
	is("three reply buttons at every limit",
		`{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"`+long(60)+`"},"body":{"text":"`+long(1024)+`"},"footer":{"text":"`+long(60)+`"},"action":{"buttons":[{"type":"reply","reply":{"id":"`+long(229)+`","title":"`+long(20)+`"}},{"type":"reply","reply":{"id":"2","title":"2"}},{"type":"reply","reply":{"id":"3","title":"3"}}]}}}`,
		`{"type":"interactive","message":{"type":"button","header":{"type":"text","text":"`+long(60)+`"},"body":{"text":"`+long(1024)+`"},"footer":{"text":"`+long(60)+`"},"action":{"buttons":[{"type":"reply","id":"`+long(229)+`","title":"`+long(20)+`"},{"type":"reply","id":"2","title":"2"},{"type":"reply","id":"3","title":"3"}]}}}`)
	is("ten rows, with a section's title, a label and a description at their limits",
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"`+long(20)+`","sections":[{"title":"`+long(24)+`","rows":[`+numberedRows(10, `,"description":"`+long(72)+`"`)+`]}]}}}`,
		`{"type":"interactive","message":{"type":"list","body":{"text":"b"},"action":{"button":"`+long(20)+`","sections":[{"title":"`+long(24)+`","rows":[`+numberedRows(10, `,"description":"`+long(72)+`"`)+`]}]}}}`)
	is("a template's values at their limits",
		`{"type":"template","template":{"name":"long","language":{"code":"zh_CN"},"components":[{"type":"header","parameters":[{"type":"text","text":"`+long(60)+`"}]},{"type":"body","parameters":[{"type":"text","text":"`+long(1000)+`"},{"type":"text","text":"`+long(24)+`"}]}]}}`,
		`{"type":"template","template_name":"long","language":"zh_CN","header_params":["`+long(60)+`"],"body_params":["`+long(1000)+`","`+long(24)+`"],"media":{"type":"text"}}`)
	is("C11 a list",
		`{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"Slots"},"body":{"text":"Pick one"},"action":{"button":"Choose","sections":[{"title":"Today","rows":[{"id":"t1","title":"10:00","description":"Room A"},{"id":"t2","title":"11:00"}]}]}}}`,
		`{"type":"interactive","message":{"type":"list","header":{"type":"text","text":"Slots"},"body":{"text":"Pick one"},"action":{"button":"Choose","sections":[{"title":"Today","rows":[{"id":"t1","title":"10:00","description":"Room A"},{"id":"t2","title":"11:00"}]}]}}}`)
	is("C12 a template with texts only still has media",
		`{"type":"template","template":{"name":"order_update","language":{"code":"en_US"},"components":[{"type":"header","parameters":[{"type":"text","text":"Ada"}]},{"type":"body","parameters":[{"type":"text","text":"42"},{"type":"text","text":"tomorrow"}]}]}}`,
		`{"type":"template","template_name":"order_update","language":"en_US","header_params":["Ada"],"body_params":["42","tomorrow"],"media":{"type":"text"}}`)
	is("C13 a template under an image, the second quick reply without payload",
		`{"type":"template","template":{"name":"offer","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"image","image":{"link":"https://cdn.example.net/o.jpg"}}]},{"type":"body","parameters":[{"type":"text","text":"Ada"}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"yes"}]},{"type":"button","sub_type":"quick_reply","index":"1"}]}}`,
		`{"type":"template","template_name":"offer","language":"en","body_params":["Ada"],"media":{"type":"image","url":"https://cdn.example.net/o.jpg"},"buttons":[{"type":"quick_reply","payload":"yes"},{"type":"quick_reply"}]}`)
	is("a template's buttons go in its order, fixed ones named too",
		`{"type":"template","template":{"name":"track","language":{"code":"sv","policy":"deterministic"},"components":[{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"o/77"}]},{"type":"button","sub_type":"url","index":2},{"type":"button","sub_type":"call","index":0}]}}`,
		`{"type":"template","template_name":"track","language":"sv","media":{"type":"text"},"buttons":[{"type":"call"},{"type":"url","parameter":"o/77"},{"type":"url"}]}`)
	is("a template's empty components are none",
		`{"type":"template","template":{"name":"hello","language":{"code":"en"},"components":[{"type":"header"},{"type":"body"}]}}`,
		`{"type":"template","template_name":"hello","language":"en","media":{"type":"text"}}`)
	is("a template under a video, a quick reply's empty payload is none",
		`{"type":"template","template":{"name":"demo","language":{"code":"pt_BR"},"components":[{"type":"header","parameters":[{"type":"video","video":{"link":"https://cdn.example.net/v.mp4"}}]},{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":""}]}]}}`,
		`{"type":"template","template_name":"demo","language":"pt_BR","media":{"type":"video","url":"https://cdn.example.net/v.mp4"},"buttons":[{"type":"quick_reply"}]}`)
	is("an amount and a moment go as their fallback",
		`{"type":"template","template":{"name":"bill","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}}]}]}}`,
		`{"type":"template","template_name":"bill","language":"en","body_params":["$10","May 1"],"media":{"type":"text"}}`)
	is("a template under a document",
		`{"type":"template","template":{"name":"bill","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"document","document":{"link":"https://cdn.example.net/i.pdf","filename":"i.pdf","provider":"cdn-a"}}]}]}}`,
		`{"type":"template","template_name":"bill","language":"en","media":{"type":"document","url":"https://cdn.example.net/i.pdf","filename":"i.pdf","provider":"cdn-a"}}`)
	return cases
}

// numberedRows are n rows with more members.
func numberedRows(n int, more string) string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(`{"id":"%d","title":"row %d"%s}`, i, i, more)
	}
	return strings.Join(rows, ",")
}

// What accept tells callers names the provider, for the same message may be
// fine with another one.
func TestRefusalsNameTheProvider(t *testing.T) {
	for _, c := range refusedCases(t) {
		for _, e := range newProvider("").Check(&c.Message) {
			if !strings.Contains(e.Message, "sinch-whatsapp") {
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
	for _, kind := range []string{"image", "video", "audio", "document"} {
		add(kind+" by id", `{"type":"`+kind+`","`+kind+`":{"id":"1"}}`, kind+".id")
	}
	add("a voice message", `{"type":"audio","audio":{"link":"https://a.example/v.ogg","voice":true}}`, "audio.voice")
	add("a media provider's name with a space",
		`{"type":"image","image":{"link":"https://a.example/i.png","provider":"cdn a"}}`, "image.provider")
	add("labels beyond the dialect's",
		`{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1","type":"FAX"}],"emails":[{"email":"e","type":"CELL"}],"addresses":[{"city":"c","type":"x"}],"urls":[{"url":"u","type":"y"}]}]}`,
		"contacts[0].phones[0].type", "contacts[0].emails[0].type", "contacts[0].addresses[0].type", "contacts[0].urls[0].type")
	for kind, action := range map[string]string{
		"cta_url":                  `{"name":"cta_url","parameters":{"display_text":"Go","url":"https://a.example/"}}`,
		"flow":                     `{"name":"flow","parameters":{"flow_id":"1","flow_cta":"Go"}}`,
		"location_request_message": `{"name":"send_location"}`,
		"product":                  `{"catalog_id":"c","product_retailer_id":"p"}`,
		"product_list":             `{"catalog_id":"c","sections":[{"title":"s","product_items":[{"product_retailer_id":"p"}]}]}`,
		"catalog_message":          `{"name":"catalog_message"}`,
	} {
		add("an interactive "+kind,
			`{"type":"interactive","interactive":{"type":"`+kind+`","body":{"text":"b"},"action":`+action+`}}`, "interactive.type")
	}
	add("a header by id",
		buttonMessage(`"header":{"type":"image","image":{"id":"1"}},"action":{`+reply+`}`), "interactive.header.image.id")
	add("buttons with a list's members and others'",
		buttonMessage(`"action":{`+reply+`,"button":"b","sections":[{"rows":[]}],"name":"n","parameters":{},"catalog_id":"c","product_retailer_id":"p"}`),
		"interactive.action.button", "interactive.action.sections", "interactive.action.name", "interactive.action.parameters",
		"interactive.action.catalog_id", "interactive.action.product_retailer_id")
	add("a button's id of 230 characters",
		buttonMessage(`"action":{"buttons":[{"type":"reply","reply":{"id":"`+strings.Repeat("é", 230)+`","title":"X"}}]}`),
		"interactive.action.buttons[0].reply.id")
	add("a list beyond the dialect's limits",
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"`+strings.Repeat("b", 1025)+`"},"action":{"button":"B","sections":[{"rows":[{"id":"ok","title":"ok"},{"id":"`+strings.Repeat("i", 175)+`","title":"`+strings.Repeat("t", 21)+`"}],"product_items":[{"product_retailer_id":"p"}]}],`+reply+`}}}`,
		"interactive.body.text", "interactive.action.sections[0].rows[1].id", "interactive.action.sections[0].rows[1].title",
		"interactive.action.sections[0].product_items", "interactive.action.buttons")
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
	add("a text beside a file in a header",
		components(`{"type":"header","parameters":[{"type":"text","text":"t"},{"type":"image","image":{"link":"https://a.example/i.png"}}]}`),
		"template.components[0].parameters[1].type")
	add("named values", components(`{"type":"body","parameters":[{"type":"text","text":"t","parameter_name":"order"}]}`),
		"template.components[0].parameters[0].parameter_name")
	add("a file in a body", components(`{"type":"body","parameters":[{"type":"image","image":{"link":"https://a.example/i.png"}}]}`),
		"template.components[0].parameters[0].type")
	add("header and body values that are too long together",
		components(`{"type":"header","parameters":[{"type":"text","text":"`+strings.Repeat("h", 61)+`"}]},{"type":"body","parameters":[{"type":"text","text":"`+strings.Repeat("b", 1000)+`"},{"type":"text","text":"`+strings.Repeat("b", 25)+`"}]}`),
		"template.components[0].parameters", "template.components[1].parameters")
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
	add("a gap between buttons", components(`{"type":"button","sub_type":"quick_reply","index":0},{"type":"button","sub_type":"quick_reply","index":2}`),
		"template.components[1].index")
	add("buttons that don't begin at 0", components(`{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"a"}]}`),
		"template.components[0].index")

	quote := message(tb, `{"type":"text","text":{"body":"b"}}`)
	quote.ReplyTo = "01DPNXZ0WCF9XD19MH84XD0P62"
	return append(cases, providertest.RefusedCase{Name: "a quote", Message: quote, WantFields: []string{"reply_to"}})
}

// Accept refuses these itself, but a message that was accepted when it didn't
// may still wait: nothing of it is dropped in silence.
func TestCheckRefusesWhatAcceptOnceTook(t *testing.T) {
	components := func(list string) string {
		return `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[` + list + `]}}`
	}
	for _, tc := range []struct {
		name, content string
		want          []string
	}{
		{
			"a header with two faces",
			`{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":"t","image":{"link":"https://a.example/i.png"}},"body":{"text":"b"},"action":{"buttons":[{"type":"reply","reply":{"id":"x","title":"X"}}]}}}`,
			[]string{"interactive.header.image"},
		},
		{
			"a value with two faces", components(`{"type":"body","parameters":[{"type":"text","text":"t","payload":"p"}]}`),
			[]string{"template.components[0].parameters[0].payload"},
		},
		{
			"an amount and a moment without a fallback",
			components(`{"type":"body","parameters":[{"type":"currency","currency":{"code":"USD","amount_1000":1}},{"type":"date_time","date_time":{}}]}`),
			[]string{"template.components[0].parameters[0].currency", "template.components[0].parameters[1].date_time"},
		},
		{
			"two bodies", components(`{"type":"body"},{"type":"body","parameters":[{"type":"text","text":"t"}]}`),
			[]string{"template.components[1].type"},
		},
		{
			"one place for two buttons", components(`{"type":"button","sub_type":"quick_reply","index":0},{"type":"button","sub_type":"url","index":0}`),
			[]string{"template.components[1].index"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := gateway.Message{Recipient: recipient}
			if err := json.Unmarshal([]byte(tc.content), &m.Content); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range newProvider("").Check(&m) {
				got = append(got, e.Field)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func failure(outcome gateway.Outcome, scope gateway.Scope, e gateway.Error) gateway.Result {
	return gateway.Result{Outcome: outcome, Scope: scope, Error: &e}
}

func answerCases() []providertest.AnswerCase {
	const id = gateway.ProviderMessageID("01DPNXZ0WCF9XD19MH84XD0P62")
	accepted := gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id}
	validation := failure(gateway.OutcomeRejected, "",
		gateway.Error{Class: gateway.ClassPermanent, Code: "400", Title: "Validation error", Detail: "Field [to] can not be empty."})
	throttled := failure(gateway.OutcomeThrottled, gateway.ScopeAccount,
		gateway.Error{Class: gateway.ClassThrottled, Code: "429", Title: "Too Many Requests"})
	throttled2s := throttled
	throttled2s.RetryAfter = 2 * time.Second
	throttled1h := throttled
	throttled1h.RetryAfter = time.Hour
	noReceipt := failure(gateway.OutcomeUnknown, "",
		gateway.Error{Class: gateway.ClassUnknown, Code: "201", Title: "The answer holds no receipt"})
	resting := func(state, title, detail string) gateway.Result {
		r := failure(gateway.OutcomeRejected, gateway.ScopeRecipient,
			gateway.Error{Class: gateway.ClassRecipient, Code: state, Title: title, Detail: detail})
		r.Suppress = &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: state, For: 24 * time.Hour}
		return r
	}
	suspended := func(code, title, detail string) gateway.Result {
		return failure(gateway.OutcomeSuspended, gateway.ScopeAccount,
			gateway.Error{Class: gateway.ClassSuspended, Code: code, Title: title, Detail: detail})
	}
	unknown := func(code, title string) gateway.Result {
		return failure(gateway.OutcomeUnknown, "", gateway.Error{Class: gateway.ClassUnknown, Code: code, Title: title})
	}
	down := failure(gateway.OutcomeTransient, "",
		gateway.Error{Class: gateway.ClassTransient, Code: "503", Title: "Service Unavailable", Detail: "Service is down"})
	down3s := down
	down3s.RetryAfter = 3 * time.Second

	return []providertest.AnswerCase{
		{
			Name: "201 with one queued status is accepted with its id", Status: 201, Want: accepted,
			Body: `{"type":"whatsapp","statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","recipient":"+46732001122","status":"success","state":"queued"}]}`,
		},
		{
			Name: "R7 statuses as an object are accepted", Status: 201, Want: accepted,
			Body: `{"type":"whatsapp","statuses":{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","recipient":"+46732001122","status":"success","state":"queued"}}`,
		},
		{
			Name: "a state newer than the documents is read by its status", Status: 201, Want: accepted,
			Body: `{"statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"success","state":"enqueued"}]}`,
		},
		{
			Name: "an id alone is acceptance", Status: 201, Want: accepted,
			Body: `{"statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62"}]}`,
		},
		{
			Name: "the state counts where status disagrees", Status: 201, Want: accepted,
			Body: `{"statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"failure","state":"dispatched"}]}`,
		},
		{
			Name: "acceptance without an id may be acceptance", Status: 201, Want: noReceipt,
			Body: `{"statuses":[{"status":"success","state":"queued"}]}`,
		},
		{
			Name: "among several statuses one that is no refusal leaves it open", Status: 201, Want: noReceipt,
			Body: `{"statuses":[{"message_id":"A","status":"failure","state":"failed"},{"status":"success","state":"queued"}]}`,
		},
		{
			Name: "among several statuses one that is accepted counts", Status: 201, Want: accepted,
			Body: `{"statuses":[{"message_id":"B","status":"failure","state":"failed"},{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"success","state":"queued"}]}`,
		},
		{
			Name: "R6 no_capability is the recipient's refusal, for a day", Status: 201,
			Want: resting("no_capability", "The recipient has no WhatsApp", "no"),
			Body: `{"type":"whatsapp","statuses":[{"message_id":"M","recipient":"+46732001122","status":"failure","state":"no_capability","details":"no"}]}`,
		},
		{
			Name: "no_opt_in is the recipient's refusal, for a day", Status: 201,
			Want: resting("no_opt_in", "The recipient is not opted in at Sinch", "opt in first"),
			Body: `{"statuses":[{"message_id":"M","status":"failure","state":"no_opt_in","details":"opt in first"}]}`,
		},
		{
			Name: "failed at once is rejected", Status: 201,
			Want: failure(gateway.OutcomeRejected, "", gateway.Error{
				Class: gateway.ClassPermanent, Code: "failed", Title: "Failed at the provider, which names no reason", Detail: "why",
			}),
			Body: `{"statuses":[{"message_id":"M","status":"failure","state":"failed","details":"why"}]}`,
		},
		{
			Name: "deleted at once has expired", Status: 201,
			Want: failure(gateway.OutcomeRejected, "", gateway.Error{
				Class: gateway.ClassExpired, Code: "deleted", Title: "Deleted or expired in the recipient's app", Detail: "gone",
			}),
			Body: `{"statuses":[{"message_id":"M","state":"deleted","details":"gone"}]}`,
		},
		{Name: "R8 201 with a body that is not JSON may have been accepted", Status: 201, Want: noReceipt, Body: `OK`},
		{Name: "201 without statuses may have been accepted", Status: 201, Want: noReceipt, Body: `{"type":"whatsapp"}`},
		{Name: "201 with an empty status may have been accepted", Status: 201, Want: noReceipt, Body: `{"statuses":[{}]}`},
		{Name: "201 without a status in statuses may have been accepted", Status: 201, Want: noReceipt, Body: `{"statuses":[]}`},
		{Name: "201 without a body may have been accepted", Status: 201, Want: noReceipt},
		{
			Name: "201 with half a body may have been accepted", Status: 201, Want: noReceipt,
			Body: `{"type":"whatsapp","statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"success","sta`,
		},
		{
			Name: "an id beside the statuses proves nothing", Status: 201, Want: noReceipt,
			Body: `{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","messages":[{"id":"01DPNXZ0WCF9XD19MH84XD0P62"}],"statuses":[]}`,
		},
		{
			Name: "an id that is no text proves nothing", Status: 201, Want: noReceipt,
			Body: `{"statuses":[{"message_id":42,"status":"success","state":"queued"}]}`,
		},
		{
			Name: "an error under a 200 may have been sent, and keeps its words", Status: 200,
			Want: failure(gateway.OutcomeUnknown, "", gateway.Error{
				Class: gateway.ClassUnknown, Code: "200", Title: "Validation error", Detail: "Field [to] can not be empty.",
			}),
			Body: `{"message":"Validation error","details":"Field [to] can not be empty."}`,
		},
		{
			Name: "a receipt counts under any 2xx and any content type", Status: 202, Want: accepted,
			Header: map[string]string{"Content-Type": "text/html"},
			Body:   `{"type":"whatsapp","statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"success","state":"queued"}]}`,
		},
		{
			Name: "a receipt under a 500 may have been sent", Status: 500, Want: unknown("500", "Internal Server Error"),
			Body: `{"type":"whatsapp","statuses":[{"message_id":"01DPNXZ0WCF9XD19MH84XD0P62","status":"success","state":"queued"}]}`,
		},

		{
			Name: "R1 400 with details is rejected", Status: 400, Want: validation,
			Body: `{"message":"Validation error","details":"Field [to] can not be empty."}`,
		},
		{
			Name: "R2 400 with reason is rejected", Status: 400, Want: validation,
			Body: `{"message":"Validation error","reason":"Field [to] can not be empty."}`,
		},
		{
			Name: "400 with title is rejected", Status: 400, Want: validation,
			Body: `{"title":"Validation error","reason":"Field [to] can not be empty."}`,
		},
		{
			Name: "400 without a body is rejected", Status: 400,
			Want: failure(gateway.OutcomeRejected, "", gateway.Error{Class: gateway.ClassPermanent, Code: "400", Title: "Bad Request"}),
		},
		{
			Name: "a text of another type spoils no other", Status: 400, Want: validation,
			Body: `{"message":"Validation error","title":7,"details":"Field [to] can not be empty.","reason":{"a":1}}`,
		},
		{
			Name: "R3 401 holds the account", Status: 401, Want: suspended("401", "Unauthorized", "Unauthorized bot"),
			Body: `{"message":"401","reason":"Unauthorized bot"}`,
		},
		{
			Name: "R3 401 in the documented words holds the account", Status: 401, Want: suspended("401", "Unauthorized", "wrong region"),
			Body: `{"message":"Unauthorized","details":"wrong region"}`,
		},
		{Name: "402 holds the account", Status: 402, Want: suspended("402", "Payment Required", "")},
		{Name: "403 holds the account", Status: 403, Want: suspended("403", "Forbidden", "")},
		{Name: "404 holds the account", Status: 404, Want: suspended("404", "Not Found", ""), Body: `<html>nothing here</html>`},
		{Name: "405 holds the account: the base URL is wrong", Status: 405, Want: suspended("405", "Method Not Allowed", "")},
		{Name: "407 holds the account: a proxy wants credentials", Status: 407, Want: suspended("407", "Proxy Authentication Required", "")},
		{Name: "a redirect holds the account: the base URL is wrong", Status: 302, Want: suspended("302", "Found", "")},
		{
			Name: "a redirect that keeps the method holds the account too", Status: 308, Want: suspended("308", "Permanent Redirect", ""),
			Header: map[string]string{"Location": "https://us1.whatsapp.api.sinch.com/"}, Body: `<html>moved</html>`,
		},
		{
			Name: "413 is the message's fault", Status: 413,
			Want: failure(gateway.OutcomeRejected, "", gateway.Error{Class: gateway.ClassPermanent, Code: "413", Title: "Request Entity Too Large"}),
		},
		{
			Name: "422 is the message's fault", Status: 422,
			Want: failure(gateway.OutcomeRejected, "", gateway.Error{Class: gateway.ClassPermanent, Code: "422", Title: "Unprocessable Entity"}),
		},

		{
			Name: "429 holds the account until our policy says otherwise", Status: 429, Want: throttled,
			Body: `{"statuses":[{"message_id":"M","status":"success","state":"queued"}]}`, // a receipt changes nothing
		},
		{
			Name: "429 keeps the provider's words", Status: 429,
			Want: failure(gateway.OutcomeThrottled, gateway.ScopeAccount, gateway.Error{
				Class: gateway.ClassThrottled, Code: "429", Title: "Too many requests", Detail: "slow down",
			}),
			Body: `{"message":"Too many requests","details":"slow down"}`,
		},
		{
			Name: "400 in a proxy's words is rejected too: it wasn't understood", Status: 400,
			Want:   failure(gateway.OutcomeRejected, "", gateway.Error{Class: gateway.ClassPermanent, Code: "400", Title: "Bad Request"}),
			Header: map[string]string{"Content-Type": "text/html"}, Body: `<html><h1>400 Bad Request</h1></html>`,
		},
		{
			Name: "R4 503 with title and reason is tried again", Status: 503,
			Want: failure(gateway.OutcomeTransient, "", gateway.Error{
				Class: gateway.ClassTransient, Code: "503", Title: "Unavailable", Detail: "Service is down",
			}),
			Body: `{"title":"Unavailable","reason":"Service is down"}`,
		},
		{Name: "429 is retried after Retry-After", Status: 429, Header: map[string]string{"Retry-After": "2"}, Want: throttled2s},
		{Name: "Retry-After is believed for an hour at most", Status: 429, Header: map[string]string{"Retry-After": "99999999999"}, Want: throttled1h},
		{Name: "a negative Retry-After is no wish", Status: 429, Header: map[string]string{"Retry-After": "-5"}, Want: throttled},

		{Name: "R4 503 in Sinch's words is tried again", Status: 503, Want: down, Body: `{"message":"503","reason":"Service is down"}`},
		{
			Name: "503 with message and details is tried again after Retry-After", Status: 503, Want: down3s,
			Header: map[string]string{"Retry-After": "3"}, Body: `{"message":"503","details":"Service is down"}`,
		},
		{Name: "503 in a proxy's words may have been sent", Status: 503, Want: unknown("503", "upstream down"), Body: `{"message":"upstream down"}`},
		{Name: "503 without words may have been sent", Status: 503, Want: unknown("503", "Service Unavailable")},
		{
			Name: "500 may have been sent, whatever it says", Status: 500,
			Want: failure(gateway.OutcomeUnknown, "", gateway.Error{Class: gateway.ClassUnknown, Code: "500", Title: "Internal", Detail: "oops"}),
			Body: `{"message":"Internal","details":"oops"}`,
		},
		{
			Name: "500 in the words of another limit may have been sent", Status: 500, Want: unknown("500", "Request could not be processed"),
			Body: `{"message":"Request could not be processed"}`,
		},
		{
			Name: "502 in Sinch's words may have been sent", Status: 502,
			Want: failure(gateway.OutcomeUnknown, "", gateway.Error{Class: gateway.ClassUnknown, Code: "502", Title: "Bad Gateway", Detail: "down"}),
			Body: `{"message":"502","reason":"down"}`,
		},
		{
			Name: "half of a 503 in Sinch's words may have been sent", Status: 503, Want: unknown("503", "Service Unavailable"),
			Body: `{"message":"503","reason":"Service is`,
		},
		{Name: "a status that is none may have been sent", Status: 999, Want: unknown("999", "Unexpected answer")},
		{Name: "502 may have been sent", Status: 502, Want: unknown("502", "Bad Gateway")},
		{Name: "504 may have been sent", Status: 504, Want: unknown("504", "Gateway Timeout")},
		{Name: "408 may have been sent", Status: 408, Want: unknown("408", "Request Timeout")},
	}
}

// What the provider says is kept for people, short enough for a record and
// without our credentials.
func TestTheProvidersWordsAreTrimmed(t *testing.T) {
	body, err := json.Marshal(map[string]string{
		"message": testToken + " isn't the token of " + testSecret,
		"details": strings.Repeat("å", 501),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := newProvider("").Interpret(sender.Answer{Status: 400, Body: body}).Error
	want := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "400", Title: "*** isn't the token of ***", Detail: strings.Repeat("å", 499) + "…",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	body = []byte(`{"message":"` + strings.Repeat("å", 500) + `","details":"` + "\xff" + `"}`)
	got = newProvider("").Interpret(sender.Answer{Status: 400, Body: body}).Error
	want.Title, want.Detail = strings.Repeat("å", 500), "\uFFFD"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// R15, C06 and C07: what is wrong in any dialect is caught before a provider
// is asked, and what is wrong in this one by Check.
func TestLimitsAreCaughtBeforeACall(t *testing.T) {
	button := func(n int, title string) string {
		buttons := make([]string, n)
		for i := range buttons {
			buttons[i] = `{"type":"reply","reply":{"id":"` + string(rune('a'+i)) + `","title":"` + title + string(rune('a'+i)) + `"}}`
		}
		return `{"type":"interactive","interactive":{"type":"button","body":{"text":"b"},"action":{"buttons":[` + strings.Join(buttons, ",") + `]}}}`
	}
	rows := make([]string, 11)
	for i := range rows {
		rows[i] = `{"id":"` + string(rune('a'+i)) + `","title":"t"}`
	}
	for name, content := range map[string]string{
		"four buttons":               button(4, "t"),
		"a title of 21 characters":   button(1, strings.Repeat("t", 20)),
		"eleven rows":                `{"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"B","sections":[{"rows":[` + strings.Join(rows, ",") + `]}]}}}`,
		"a text of 4097 characters":  `{"type":"text","text":{"body":"` + strings.Repeat("t", 4097) + `"}}`,
		"audio with a caption":       `{"type":"audio","audio":{"link":"https://a.example/s.mp3","caption":"c"}}`,
		"a latitude of 91":           `{"type":"location","location":{"latitude":91,"longitude":0}}`,
		"a sticker with link and id": `{"type":"sticker","sticker":{"link":"https://a.example/s.webp","id":"1"}}`,
		"a row's title of 21":        `{"type":"interactive","interactive":{"type":"list","body":{"text":"b"},"action":{"button":"B","sections":[{"rows":[{"id":"a","title":"` + strings.Repeat("t", 21) + `"}]}]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := gateway.Message{Recipient: recipient}
			if err := json.Unmarshal([]byte(content), &m.Content); err != nil {
				t.Fatal(err)
			}
			if m.Content.Validate() == nil && newProvider("").Check(&m) == nil {
				t.Error("taken")
			}
		})
	}
}

func TestWhatCannotBeExpressedIsPermanent(t *testing.T) {
	m := message(t, `{"type":"audio","audio":{"id":"1","voice":true}}`)
	_, err := newProvider("").NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok {
		t.Fatalf("error %v, want a *gateway.Error", err)
	}
	want := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "unsupported_by_provider",
		Title: "the message can't be expressed by sinch-whatsapp",
		Detail: "audio.id: can't be expressed by sinch-whatsapp: it takes a link only; " +
			"audio.voice: can't be expressed by sinch-whatsapp: it has no voice messages",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestAPurgedMessageIsNotSent(t *testing.T) {
	_, err := newProvider("").NewRequest(t.Context(), sender.Call{Message: &gateway.Message{Recipient: recipient}, Attempt: 1})
	if _, ok := errors.AsType[*gateway.Error](err); !ok {
		t.Fatalf("error %v, want a *gateway.Error", err)
	}
}

// The whole of C02 as it goes over the wire.
func TestTheBytesOfARequest(t *testing.T) {
	m := message(t, `{"type":"text","text":{"body":"See https://example.com","preview_url":true}}`)
	req, err := newProvider("").NewRequest(t.Context(), sender.Call{
		Message: &m, Attempt: 1, CallbackURL: "https://gw.example.net/cb/sinch-wa/gw-0001/1",
	})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "") // the client's business
	var got strings.Builder
	if err := req.Write(&got); err != nil {
		t.Fatal(err)
	}
	want := "POST /whatsapp/v1/bot-eu-1/messages HTTP/1.1\r\n" +
		"Host: eu1.whatsapp.api.sinch.com\r\n" +
		"Content-Length: 158\r\n" +
		"Authorization: Bearer tok-v1\r\n" +
		"Content-Type: application/json\r\n" +
		"\r\n" +
		`{"to":["46732001122"],"message":{"type":"text","text":"See https://example.com","preview_url":true},"callback":"https://gw.example.net/cb/sinch-wa/gw-0001/1"}`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestBaseURL(t *testing.T) {
	m := message(t, `{"type":"text","text":{"body":"b"}}`)
	for _, c := range []struct {
		name     string
		settings Settings
		want     string
	}{
		{"the region names the host", Settings{Region: "eu1", BotID: "bot-eu-1"}, "https://eu1.whatsapp.api.sinch.com/whatsapp/v1/bot-eu-1/messages"},
		{"so does the other one", Settings{Region: "us1", BotID: "bot-us-1"}, "https://us1.whatsapp.api.sinch.com/whatsapp/v1/bot-us-1/messages"},
		{"a base URL wins over the region", Settings{BaseURL: "http://127.0.0.1:8090/s", Region: "us1", BotID: "b"}, "http://127.0.0.1:8090/s/whatsapp/v1/b/messages"},
		{"a bot id can't leave its place", Settings{Region: "us1", BotID: "../a b?"}, "https://us1.whatsapp.api.sinch.com/whatsapp/v1/..%2Fa%20b%3F/messages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := New(c.settings).NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got := req.URL.String(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// By hand from the v1 reference, media.
func TestMediaRule(t *testing.T) {
	for kind, want := range map[gateway.MediaKind]gateway.MediaRule{
		gateway.MediaImage:   {MaxBytes: 5242880, Types: []string{"image/jpeg", "image/png"}},
		gateway.MediaVideo:   {MaxBytes: 16777216, Types: []string{"video/mp4", "video/3gpp"}},
		gateway.MediaAudio:   {MaxBytes: 16777216, Types: []string{"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus"}},
		gateway.MediaSticker: {MaxBytes: 102400, StillOnly: true, Types: []string{"image/webp"}},
		gateway.MediaDocument: {MaxBytes: 104857600, Types: []string{
			"text/plain", "text/csv", "application/pdf", "application/msword", "application/x-tar", "application/rtf.0",
			"application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.presentation",
			// any type accepted for other kinds
			"image/jpeg", "image/png", "video/mp4", "video/3gpp", "image/webp",
			"audio/aac", "audio/mp4", "audio/amr", "audio/mpeg", "audio/ogg", "audio/opus",
		}},
		"hologram": {},
	} {
		got := newProvider("").MediaRule(kind)
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
