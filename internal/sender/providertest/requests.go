package providertest

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// mark begins every string of the sample messages that must reach the
// provider.
const mark = "mark-"

// samples are sound messages that differ by one field each, so that a refused
// field hides no other.
func samples() []string {
	const (
		id     = `"id":"mark-id"`
		reply  = `"body":{"text":"mark-body"},"action":{"buttons":[{"type":"reply","reply":{"id":"mark-id","title":"mark-title"}}]}`
		person = `"name":{"formatted_name":"mark-name"}`
		tmpl   = `"name":"mark_name","language":{"code":"en_US"}`
	)
	out := []string{
		`{"type":"text","text":{"body":"mark-body"}}`,
		`{"type":"text","text":{"body":"mark-body https://a.example","preview_url":true}}`,
		`{"type":"location","location":{"latitude":37.5,"longitude":-122.25}}`,
		`{"type":"location","location":{"latitude":37.5,"longitude":-122.25,"name":"mark-name"}}`,
		`{"type":"location","location":{"latitude":37.5,"longitude":-122.25,"name":"mark-name","address":"mark-address"}}`,
		`{"type":"location","location":{"latitude":37.5,"longitude":-122.25,"address":"mark-address"}}`,
		`{"type":"reaction","reaction":{"message_id":"mark-id","emoji":"👍"}}`,
		`{"type":"contacts","contacts":[{` + person + `},{"name":{"formatted_name":"mark-other"}}]}`,
		`{"type":"interactive","interactive":{"type":"button",` + reply + `}}`,
		`{"type":"interactive","interactive":{"type":"button",` + reply + `,"header":{"type":"text","text":"mark-header"}}}`,
		`{"type":"interactive","interactive":{"type":"button",` + reply + `,"header":{"type":"document","document":{"id":"mark-id","filename":"mark-f.pdf"}}}}`,
		`{"type":"interactive","interactive":{"type":"button",` + reply + `,"footer":{"text":"mark-footer"}}}`,
		`{"type":"interactive","interactive":{"type":"list","body":{"text":"mark-body"},"action":{"button":"mark-button","sections":[{"title":"mark-section","rows":[{"id":"mark-row","title":"mark-title","description":"mark-description"}]}]}}}`,
		`{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":"mark-header"},"body":{"text":"mark-body"},"footer":{"text":"mark-footer"},"action":{"button":"mark-button","sections":[{"rows":[{"id":"mark-row","title":"mark-title"}]}]}}}`,
		`{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"mark-body"},"action":{"name":"cta_url","parameters":{"display_text":"mark-label","url":"https://a.example/mark-path"}}}}`,
		`{"type":"interactive","interactive":{"type":"flow","body":{"text":"mark-body"},"action":{"name":"flow","parameters":{"flow_id":"mark-flow","flow_cta":"mark-cta","flow_token":"mark-token"}}}}`,
		`{"type":"interactive","interactive":{"type":"flow","body":{"text":"mark-body"},"action":{"name":"flow","parameters":{"flow_name":"mark-flow","flow_cta":"mark-cta","flow_action_payload":{"screen":"mark-screen","data":{"k":"mark-v"}}}}}}`,
		`{"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"mark-body"},"action":{"name":"send_location"}}}`,
		`{"type":"interactive","interactive":{"type":"product","body":{"text":"mark-body"},"action":{"catalog_id":"mark-catalog","product_retailer_id":"mark-product"}}}`,
		`{"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"mark-header"},"body":{"text":"mark-body"},"action":{"catalog_id":"mark-catalog","sections":[{"title":"mark-title","product_items":[{"product_retailer_id":"mark-product"}]}]}}}`,
		`{"type":"interactive","interactive":{"type":"catalog_message","body":{"text":"mark-body"},"action":{"name":"catalog_message","parameters":{"thumbnail_product_retailer_id":"mark-product"}}}}`,
		`{"type":"template","template":{` + tmpl + `}}`,
		`{"type":"template","template":{"name":"mark_name","language":{"code":"en_US","policy":"deterministic"}}}`,
	}
	for _, m := range []string{id, `"link":"https://a.example/mark-link"`, `"link":"https://a.example/mark-link","provider":"mark-provider"`} {
		for _, kind := range []string{"image", "video", "audio", "document", "sticker"} {
			out = append(out, `{"type":"`+kind+`","`+kind+`":{`+m+`}}`)
		}
		for _, kind := range []string{"image", "video", "document"} {
			out = append(out,
				`{"type":"`+kind+`","`+kind+`":{`+m+`,"caption":"mark-caption"}}`,
				`{"type":"interactive","interactive":{"type":"button",`+reply+`,"header":{"type":"`+kind+`","`+kind+`":{`+m+`}}}}`,
				`{"type":"template","template":{`+tmpl+`,"components":[{"type":"header","parameters":[{"type":"`+kind+`","`+kind+`":{`+m+`}}]}]}}`,
			)
		}
		out = append(out, `{"type":"document","document":{`+m+`,"filename":"mark-f.pdf"}}`,
			`{"type":"template","template":{`+tmpl+`,"components":[{"type":"header","parameters":[{"type":"document","document":{`+m+`,"filename":"mark-f.pdf"}}]}]}}`)
	}
	for _, part := range []string{
		`"name":{"formatted_name":"mark-name","first_name":"mark-first"}`,
		`"name":{"formatted_name":"mark-name","last_name":"mark-last"}`,
		`"name":{"formatted_name":"mark-name","middle_name":"mark-middle"}`,
		`"name":{"formatted_name":"mark-name","prefix":"mark-prefix"}`,
		`"name":{"formatted_name":"mark-name","suffix":"mark-suffix"}`,
		person + `,"birthday":"2001-02-03"`,
		person + `,"phones":[{"phone":"mark-phone"},{"phone":"mark-second"}]`,
		person + `,"phones":[{"phone":"mark-phone","type":"mark-type"}]`,
		person + `,"phones":[{"phone":"mark-phone","wa_id":"mark-waid"}]`,
		person + `,"emails":[{"email":"mark-email"}]`,
		person + `,"emails":[{"email":"mark-email","type":"mark-type"}]`,
		person + `,"urls":[{"url":"mark-url"}]`,
		person + `,"urls":[{"url":"mark-url","type":"mark-type"}]`,
		person + `,"org":{"company":"mark-company"}`,
		person + `,"org":{"department":"mark-department"}`,
		person + `,"org":{"title":"mark-title"}`,
		person + `,"addresses":[{"street":"mark-street"}]`,
		person + `,"addresses":[{"city":"mark-city"}]`,
		person + `,"addresses":[{"state":"mark-state"}]`,
		person + `,"addresses":[{"zip":"mark-zip"}]`,
		person + `,"addresses":[{"country":"mark-country"}]`,
		person + `,"addresses":[{"country_code":"mark-cc"}]`,
		person + `,"addresses":[{"street":"mark-street","type":"mark-type"}]`,
	} {
		out = append(out, `{"type":"contacts","contacts":[{`+part+`}]}`)
	}
	for _, component := range []string{
		`{"type":"header","parameters":[{"type":"text","text":"mark-text"}]}`,
		`{"type":"header","parameters":[{"type":"location","location":{"latitude":37.5,"longitude":-122.25,"name":"mark-name","address":"mark-address"}}]}`,
		`{"type":"body","parameters":[{"type":"text","text":"mark-one"},{"type":"text","text":"mark-two"}]}`,
		`{"type":"body","parameters":[{"type":"text","parameter_name":"mark_parameter","text":"mark-one"}]}`,
		`{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"mark-fallback","code":"USD","amount_1000":10000}}]}`,
		`{"type":"body","parameters":[{"type":"date_time","date_time":{"fallback_value":"mark-fallback"}}]}`,
		`{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"mark-payload"}]}`,
		`{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"mark-suffix"}]}`,
		`{"type":"button","sub_type":"copy_code","index":1,"parameters":[{"type":"coupon_code","coupon_code":"mark-coupon"}]}`,
		`{"type":"button","sub_type":"flow","index":0,"parameters":[{"type":"action","action":{"flow_token":"mark-token","flow_action_data":{"k":"mark-v"}}}]}`,
	} {
		out = append(out, `{"type":"template","template":{`+tmpl+`,"components":[`+component+`]}}`)
	}
	return out
}

// nothingDropped checks that whatever the caller wrote reaches the provider,
// or Check refuses the message.
func (s *Suite) nothingDropped(t *testing.T) {
	p := s.New(BaseURL)
	expressed := 0
	untried := gateway.ContentTypes()
	for _, content := range samples() {
		m := Message(t, content)
		untried = slices.DeleteFunc(untried, func(c gateway.ContentType) bool { return c == m.Content.Type })
		for _, replyTo := range []gateway.ProviderMessageID{"", mark + "reply"} {
			m.ReplyTo = string(replyTo)
			before, _ := json.Marshal(m)
			if refused := p.Check(&m); len(refused) > 0 {
				for _, e := range refused {
					if e.Field == "" || e.Message == "" {
						t.Errorf("%s: refused without a field or a message: %+v", content, e)
					}
				}
				continue
			}
			expressed++
			req, body := render(t.Context(), t, p, sender.Call{Message: &m, ReplyTo: replyTo, Attempt: 1})
			after, _ := json.Marshal(m)
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("%s: Check or NewRequest changed the message:\n%s", content, diff)
			}
			v, err := decode(body)
			if err != nil {
				t.Errorf("%s: the body is no JSON: %v", content, err)
				continue
			}
			if paths := nulls("", v); len(paths) > 0 {
				t.Errorf("%s: null at %v", content, paths)
			}
			path, _ := url.PathUnescape(req.URL.RequestURI())
			said := []string{path}
			leaves("", v, func(_, text string) { said = append(said, text) })
			all := strings.Join(said, "\n")
			wrote, _ := decode([]byte(content))
			if replyTo != "" {
				wrote = []any{wrote, string(replyTo)}
			}
			leaves("", wrote, func(path, text string) {
				marked := strings.Contains(text, mark) || strings.HasPrefix(text, "mark_") || path == "contacts[0].birthday"
				if marked && !strings.Contains(all, text) {
					t.Errorf("%s (reply_to %q): %s is neither sent nor refused:\n%s", content, replyTo, path, body)
				}
			})
		}
	}
	if expressed == 0 {
		t.Error("the provider refuses every sample")
	}
	if len(untried) > 0 {
		t.Errorf("no sample of %v", untried)
	}
}

// flagsMatter checks what leaves no mark: two messages that differ in one
// value render differently, or Check refuses the one that asks for more.
func (s *Suite) flagsMatter(t *testing.T) {
	p := s.New(BaseURL)
	for _, pair := range [][2]string{
		{`{"type":"text","text":{"body":"https://a.example"}}`, `{"type":"text","text":{"body":"https://a.example","preview_url":true}}`},
		{`{"type":"audio","audio":{"id":"x"}}`, `{"type":"audio","audio":{"id":"x","voice":true}}`},
		{`{"type":"location","location":{"latitude":1,"longitude":2}}`, `{"type":"location","location":{"latitude":1.000001,"longitude":2}}`},
		{`{"type":"location","location":{"latitude":1,"longitude":2}}`, `{"type":"location","location":{"latitude":1,"longitude":2.000001}}`},
		{`{"type":"reaction","reaction":{"message_id":"x","emoji":"👍"}}`, `{"type":"reaction","reaction":{"message_id":"x","emoji":""}}`},
	} {
		var bodies [2]string
		for i, content := range pair {
			m := Message(t, content)
			if len(p.Check(&m)) == 0 {
				_, body := render(t.Context(), t, p, sender.Call{Message: &m, Attempt: 1})
				bodies[i] = string(body)
			}
		}
		if bodies[1] != "" && bodies[0] == bodies[1] {
			t.Errorf("%s is sent as %s is: %s", pair[1], pair[0], bodies[1])
		}
	}
}

func (s *Suite) requestManners(t *testing.T) {
	call := s.plainCall(t)
	t.Run("the request carries the caller's context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := render(ctx, t, s.New(BaseURL), call)
		if err := req.Context().Err(); err != nil {
			t.Fatalf("the request's context has ended before the caller's: %v", err)
		}
		cancel()
		if req.Context().Err() == nil {
			t.Error("cancelling the caller's context doesn't cancel the request's")
		}
	})
	t.Run("a slash at the end of the base URL changes nothing", func(t *testing.T) {
		want, _ := render(t.Context(), t, s.New(BaseURL), call)
		got, _ := render(t.Context(), t, s.New(BaseURL+"/"), call)
		if got.URL.String() != want.URL.String() {
			t.Errorf("URL %s, want %s", got.URL, want.URL)
		}
	})
	t.Run("HTML characters are not escaped", func(t *testing.T) {
		const text = `<b>1 & 2</b> 'ü' 👍`
		c := call
		m := Message(t, `{"type":"text","text":{"body":"x"}}`)
		m.Content.Text.Body = text
		c.Message = &m
		if _, body := render(t.Context(), t, s.New(BaseURL), c); !strings.Contains(string(body), text) {
			t.Errorf("body %s doesn't hold %s", body, text)
		}
	})
	t.Run("the request says what it carries", func(t *testing.T) {
		req, _ := render(t.Context(), t, s.New(BaseURL), call)
		if got := req.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
			t.Errorf("Content-Type %q", got)
		}
	})
	t.Run("the same call renders the same bytes", func(t *testing.T) {
		_, one := render(t.Context(), t, s.New(BaseURL), call)
		_, two := render(t.Context(), t, s.New(BaseURL), call)
		if diff := cmp.Diff(string(one), string(two)); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}

// plainCall is a call every provider can make: a text.
func (s *Suite) plainCall(t *testing.T) sender.Call {
	t.Helper()
	m := Message(t, `{"type":"text","text":{"body":"hello"}}`)
	m.ID = "0000000000000000000000000000000a"
	if errs := s.New(BaseURL).Check(&m); len(errs) > 0 {
		t.Fatalf("Check refuses a plain text: %v", errs)
	}
	return sender.Call{Message: &m, Attempt: 1, CallbackURL: "https://sluice.example/callbacks/a/m/1/mac"}
}
