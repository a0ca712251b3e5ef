package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsappcloud"
	"sluice/internal/simulator"
)

// What is let in at accept is what the provider takes: the simulator reads the
// Cloud API reference on its own, and both must come to the same verdict. A
// message that only the provider refuses has cost its sender an attempt and a
// dead letter, where a 422 would have named the field.
func TestOurChecksAgreeWithTheCloudAPI(t *testing.T) {
	t.Parallel()
	interactive := func(s string) string { return `{"type":"interactive","interactive":{"body":{"text":"b"},` + s + `}}` }
	flow := func(s string) string {
		return interactive(`"type":"flow","action":{"name":"flow","parameters":{` + s + `}}`)
	}
	template := func(s string) string {
		return `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[` + s + `]}}`
	}
	button := func(kind, s string) string {
		return template(`{"type":"button","sub_type":"` + kind + `","index":0,"parameters":[` + s + `]}`)
	}
	const (
		reply   = `"buttons":[{"type":"reply","reply":{"id":"b","title":"B"}}]`
		rows    = `"button":"Open","sections":[{"rows":[{"id":"r","title":"R"}]}]`
		cta     = `"name":"cta_url","parameters":{"display_text":"Open","url":"https://example.com"}`
		booking = `"flow_message_version":"3","flow_id":"1","flow_cta":"Book"`
		txt     = `{"type":"text","text":"x"}`
	)
	for _, c := range []struct {
		name, content string
		taken         bool
	}{
		{"buttons", interactive(`"type":"button","action":{` + reply + `}`), true},
		{"buttons with a list's rows", interactive(`"type":"button","action":{` + reply + `,` + rows + `}`), false},
		{"buttons with a link's parameters", interactive(`"type":"button","action":{` + reply + `,` + cta + `}`), false},
		{"buttons of a catalog", interactive(`"type":"button","action":{` + reply + `,"catalog_id":"c"}`), false},
		{"a list", interactive(`"type":"list","action":{` + rows + `}`), true},
		{"a list with buttons", interactive(`"type":"list","action":{` + rows + `,` + reply + `}`), false},
		{"a list of products", interactive(`"type":"list","action":{"button":"Open","sections":[{"rows":[{"id":"r","title":"R"}],"product_items":[{"product_retailer_id":"p"}]}]}`), false},
		{"a link button", interactive(`"type":"cta_url","action":{` + cta + `}`), true},
		{"a link button with rows", interactive(`"type":"cta_url","action":{` + cta + `,` + rows + `}`), false},
		{"a link button with a member nobody knows", interactive(`"type":"cta_url","action":{"name":"cta_url","parameters":{"display_text":"Open","url":"https://example.com","colour":"red"}}`), false},
		{"a link button with a member in another case", interactive(`"type":"cta_url","action":{"name":"cta_url","parameters":{"Display_Text":"Open","url":"https://example.com"}}`), false},
		{"a location request", interactive(`"type":"location_request_message","action":{"name":"send_location"}`), true},
		{"a location request with parameters", interactive(`"type":"location_request_message","action":{"name":"send_location","parameters":{}}`), false},

		{"a flow", flow(booking), true},
		{"a flow with all", flow(booking + `,"flow_token":"t","mode":"draft","flow_action":"navigate","flow_action_payload":{"screen":"A","data":{"k":1}}`), true},
		{"a flow of another version", flow(`"flow_message_version":"4","flow_id":"1","flow_cta":"Book"`), false},
		{"a flow without a version", flow(`"flow_id":"1","flow_cta":"Book"`), false},
		{"a flow in another mode", flow(booking + `,"mode":"test"`), false},
		{"a flow with another action", flow(booking + `,"flow_action":"jump"`), false},
		{"a flow with empty data", flow(booking + `,"flow_action_payload":{"screen":"A","data":{}}`), false},
		{"a flow with data that is a list", flow(booking + `,"flow_action_payload":{"screen":"A","data":[1]}`), false},
		{"a flow without a screen", flow(booking + `,"flow_action_payload":{"data":{"k":1}}`), false},
		{"a flow with a payload nobody knows", flow(booking + `,"flow_action_payload":{"screen":"A","extra":1}`), false},
		{"a flow with a member nobody knows", flow(booking + `,"colour":"red"`), false},
		{"a flow with a token that is a number", flow(booking + `,"flow_token":7`), false},

		{"a template in a language by its policy", `{"type":"template","template":{"name":"n","language":{"code":"en","policy":"deterministic"}}}`, true},
		{"a template with another language policy", `{"type":"template","template":{"name":"n","language":{"code":"en","policy":"fallback"}}}`, false},
		{"a header with a text", template(`{"type":"header","parameters":[` + txt + `]}`), true},
		{"a header with two texts", template(`{"type":"header","parameters":[` + txt + `,` + txt + `]}`), false},
		{"a header with a currency", template(`{"type":"header","parameters":[{"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}}]}`), false},
		{"a header with a payload", template(`{"type":"header","parameters":[{"type":"payload","payload":"p"}]}`), false},
		{"a body with a currency and a moment", template(`{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$1","code":"USD","amount_1000":1000}},{"type":"date_time","date_time":{"fallback_value":"May"}}]}`), true},
		{"a currency of two letters", template(`{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$1","code":"US","amount_1000":1000}}]}`), false},
		{"a body with an image", template(`{"type":"body","parameters":[{"type":"image","image":{"id":"1"}}]}`), false},
		{"a body with a place", template(`{"type":"body","parameters":[{"type":"location","location":{"latitude":1,"longitude":1}}]}`), false},
		{"a body with a coupon", template(`{"type":"body","parameters":[{"type":"coupon_code","coupon_code":"A"}]}`), false},
		{"a quick reply", button("quick_reply", `{"type":"payload","payload":"p"}`), true},
		{"a quick reply without a payload", button("quick_reply", ""), true},
		{"a quick reply with a text", button("quick_reply", txt), false},
		{"a quick reply with two payloads", button("quick_reply", `{"type":"payload","payload":"p"},{"type":"payload","payload":"q"}`), false},
		{"a link", button("url", txt), true},
		{"a link with a payload", button("url", `{"type":"payload","payload":"p"}`), false},
		{"a link with an image", button("url", `{"type":"image","image":{"id":"1"}}`), false},
		{"a coupon", button("copy_code", `{"type":"coupon_code","coupon_code":"SAVE25"}`), true},
		{"a coupon in capitals", button("COPY_CODE", `{"type":"coupon_code","coupon_code":"SAVE25"}`), true},
		{"a coupon with a hyphen", button("copy_code", `{"type":"coupon_code","coupon_code":"SAVE-25"}`), false},
		{"a coupon with a text", button("copy_code", txt), false},
		{"a flow button", button("flow", `{"type":"action","action":{"flow_token":"t"}}`), true},
		{"a flow button with a text", button("flow", txt), false},
		{"a catalog button", button("catalog", ""), true},
		{"a button nobody knows", button("fax", txt), false},
		{"an image with a media provider", `{"type":"image","image":{"link":"https://cdn.example.com/a.png","provider":"p"}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := gateway.Message{Recipient: "+16505551234"}
			if err := json.Unmarshal([]byte(c.content), &m.Content); err != nil {
				t.Fatal(err)
			}
			p := whatsappcloud.New(whatsappcloud.Settings{PhoneNumberID: "1", AccessToken: "t"})
			refused := append(m.Content.Validate(), p.Check(&m)...)
			if taken := len(refused) == 0; taken != c.taken {
				t.Errorf("at accept: %v", refused)
			}
			req, err := p.NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1})
			if err != nil {
				return // refused here as well, the provider never sees it
			}
			s := simulator.New(simulator.Options{AnyFile: true, Accounts: []simulator.Account{{ID: "a", Dialect: simulator.WhatsAppCloud, SenderID: "1", Number: "15550783881", Token: "t"}}})
			defer func() { _ = s.Close(t.Context()) }()
			answer := httptest.NewRecorder()
			served := httptest.NewRequestWithContext(t.Context(), req.Method, req.URL.Path, req.Body)
			served.Header = req.Header
			s.Handler().ServeHTTP(answer, served)
			if taken := answer.Code == http.StatusOK; taken != c.taken {
				body, _ := io.ReadAll(answer.Body)
				t.Errorf("the provider: %d %s", answer.Code, body)
			}
		})
	}
}
