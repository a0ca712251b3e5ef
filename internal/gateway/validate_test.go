package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parse reads a content as a request holds it.
func parse(t *testing.T, s string) *Content {
	t.Helper()
	var c Content
	if err := json.Unmarshal([]byte(s), &c); err != nil {
		t.Fatalf("%v in %s", err, s)
	}
	return &c
}

// faults is what Validate finds, a line for each.
func faults(c *Content) []string {
	var lines []string
	for _, e := range c.Validate() {
		lines = append(lines, e.Error())
	}
	return lines
}

// long is a JSON string of n characters that are two bytes each.
func long(n int) string { return `"` + strings.Repeat("å", n) + `"` }

func repeat(n int, form string) string {
	var all []string
	for i := range n {
		all = append(all, strings.ReplaceAll(form, "#", fmt.Sprint(i)))
	}
	return strings.Join(all, ",")
}

const link = `"link":"https://cdn.example.com/a"`

func TestSoundContents(t *testing.T) {
	button := `{"type":"reply","reply":{"id":"b#","title":"Button #"}}`
	for _, tc := range []struct{ name, json string }{
		{"text", `{"type":"text","text":{"body":"Hello"}}`},
		{"text of 4,096 characters", `{"type":"text","text":{"body":` + long(4096) + `}}`},
		{"image by link", `{"type":"image","image":{` + link + `}}`},
		{"image by link to the last port", `{"type":"image","image":{"link":"https://cdn.example.com:65535/a"}}`},
		{"image by http link", `{"type":"image","image":{"link":"http://media.internal:9000/a.jpg?k=v#f"}}`},
		{"image by id", `{"type":"image","image":{"id":"1037543291543636"}}`},
		{"image with a caption of 1,024 characters", `{"type":"image","image":{"id":"1","caption":` + long(1024) + `}}`},
		{"image through a media provider", `{"type":"image","image":{` + link + `,"provider":"cdn-a"}}`},
		{"video with a caption", `{"type":"video","video":{` + link + `,"caption":"Look"}}`},
		{"audio", `{"type":"audio","audio":{` + link + `}}`},
		{"voice", `{"type":"audio","audio":{` + link + `,"voice":true}}`},
		{"document with caption and name", `{"type":"document","document":{` + link + `,"caption":"Yours","filename":"a.pdf"}}`},
		{"document with a name of 240 characters", `{"type":"document","document":{` + link + `,"filename":` + long(240) + `}}`},
		{"sticker", `{"type":"sticker","sticker":{"id":"1"}}`},
		{"location", `{"type":"location","location":{"latitude":55.7,"longitude":13.19,"name":"Lund","address":"Stora torg 1"}}`},
		{"location in strings", `{"type":"location","location":{"latitude":"55.7","longitude":"-13.19"}}`},
		{"location at zero", `{"type":"location","location":{"latitude":0,"longitude":0}}`},
		{"location at the edges", `{"type":"location","location":{"latitude":-90,"longitude":180}}`},
		{"contact", `{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada"},"birthday":"1815-12-10","phones":[{"phone":"+4473200"}]}]}`},
		{"257 contacts", `{"type":"contacts","contacts":[` + repeat(257, `{"name":{"formatted_name":"A#"}}`) + `]}`},
		{"reaction", `{"type":"reaction","reaction":{"message_id":"wamid.1","emoji":"👍🏽"}}`},
		{"reaction taken back", `{"type":"reaction","reaction":{"message_id":"wamid.1","emoji":""}}`},
		{"three buttons", `{"type":"interactive","interactive":{"type":"button","body":{"text":"Choose"},"action":{"buttons":[` + repeat(3, button) + `]}}}`},
		{"buttons below a file", `{"type":"interactive","interactive":{"type":"button","header":{"type":"document","document":{"id":"1","filename":"a.pdf"}},` +
			`"body":{"text":` + long(1024) + `},"footer":{"text":` + long(60) + `},"action":{"buttons":[` + repeat(1, button) + `]}}}`},
		{"list of one section without a title", `{"type":"interactive","interactive":{"type":"list","header":{"type":"text","text":` + long(60) + `},` +
			`"body":{"text":` + long(4096) + `},"action":{"button":` + long(20) + `,"sections":[{"rows":[` + repeat(10, `{"id":"r#","title":"Row","description":`+long(72)+`}`) + `]}]}}}`},
		{"list of ten sections", `{"type":"interactive","interactive":{"type":"list","body":{"text":"Choose"},"action":{"button":"Open","sections":[` +
			repeat(10, `{"title":"S#","rows":[{"id":"r#","title":"Row"}]}`) + `]}}}`},
		{"link button", `{"type":"interactive","interactive":{"type":"cta_url","body":{"text":"Look"},"action":{"name":"cta_url","parameters":{"display_text":"Open","url":"https://example.com"}}}}`},
		{"flow by id", `{"type":"interactive","interactive":{"type":"flow","body":{"text":"Fill in"},"action":{"name":"flow","parameters":{"flow_id":"1","flow_cta":"Open","mode":"draft"}}}}`},
		{"location request", `{"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"Where?"},"action":{"name":"send_location"}}}`},
		{"product without a body", `{"type":"interactive","interactive":{"type":"product","action":{"catalog_id":"c","product_retailer_id":"p"}}}`},
		{"products", `{"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"New"},"body":{"text":"Look"},` +
			`"action":{"catalog_id":"c","sections":[{"title":"S","product_items":[{"product_retailer_id":"p"}]}]}}}`},
		{"catalog", `{"type":"interactive","interactive":{"type":"catalog_message","body":{"text":"Look"},"action":{"name":"catalog_message"}}}`},
		{"products of two sections", `{"type":"interactive","interactive":{"type":"product_list","body":{"text":"Look"},` +
			`"action":{"catalog_id":"c","sections":[` + repeat(2, `{"title":"S#","product_items":[{"product_retailer_id":"p"}]}`) + `]}}}`},
		{"template with a blank variable", `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":" "}]}]}}`},
		{"template", `{"type":"template","template":{"name":"order_update_2","language":{"code":"en_US"}}}`},
		{"template with everything", `{"type":"template","template":{"name":"order_update","language":{"code":"en","policy":"deterministic"},"components":[` +
			`{"type":"header","parameters":[{"type":"document","document":{` + link + `,"filename":"a.pdf"}}]},` +
			`{"type":"body","parameters":[{"type":"text","parameter_name":"first","text":"Ana"},{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},` +
			`{"type":"date_time","date_time":{"fallback_value":"May 1"}},{"type":"location","location":{"latitude":1,"longitude":2}}]},` +
			`{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"track/1"}]},` +
			`{"type":"button","sub_type":"quick_reply","index":1,"parameters":[{"type":"payload","payload":"yes"}]},` +
			`{"type":"button","sub_type":"copy_code","index":2,"parameters":[{"type":"coupon_code","coupon_code":"SAVE25"}]},` +
			`{"type":"button","sub_type":"flow","index":9,"parameters":[{"type":"action","action":{"flow_token":"t"}}]}]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := faults(parse(t, tc.json)); got != nil {
				t.Errorf("found %q", got)
			}
		})
	}
}

func TestFaultyContents(t *testing.T) {
	interactive := func(s string) string { return `{"type":"interactive","interactive":{"body":{"text":"b"},` + s + `}}` }
	buttons := func(s string) string { return interactive(`"type":"button","action":{"buttons":[` + s + `]}`) }
	list := func(s string) string {
		return interactive(`"type":"list","action":{"button":"Open","sections":[` + s + `]}`)
	}
	template := func(s string) string {
		return `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[` + s + `]}}`
	}
	param := func(s string) string { return template(`{"type":"body","parameters":[{` + s + `}]}`) }
	const oneOfTypes = "type: must be one of text, image, video, audio, document, sticker, location, contacts, reaction, interactive, template"
	const button, row = "interactive.action.buttons[0]", "interactive.action.sections[0].rows[0]"
	const p = "template.components[0].parameters[0]"
	for _, tc := range []struct {
		name, json string
		want       []string
	}{
		{"no type", `{}`, []string{"type: is required"}},
		{"no type, but an object", `{"text":{"body":"x"}}`, []string{`text: must be absent when type is ""`, "type: is required"}},
		{"an unknown type", `{"type":"poll"}`, []string{oneOfTypes}},
		{"a type in capitals", `{"type":"Text"}`, []string{oneOfTypes}},
		{"another type's object", `{"type":"text","image":{"id":"1"}}`, []string{`text: is required when type is "text"`, `image: must be absent when type is "text"`}},
		{"one object too many", `{"type":"text","text":{"body":"x"},"reaction":{"message_id":"m","emoji":""}}`, []string{`reaction: must be absent when type is "text"`}},
		{"one object too many, with faults of its own", `{"type":"text","text":{"body":"x"},"image":{},"location":{},"template":{}}`, []string{
			`image: must be absent when type is "text"`, `location: must be absent when type is "text"`, `template: must be absent when type is "text"`,
		}},
		{"a text with an empty list of contacts", `{"type":"text","text":{"body":"x"},"contacts":[]}`, []string{`contacts: must be absent when type is "text"`}},

		{"text without a body", `{"type":"text","text":{}}`, []string{"text.body: is required"}},
		{"text of white space", `{"type":"text","text":{"body":" \t\n\u00a0"}}`, []string{"text.body: must not be blank"}},
		{"text of 4,097 characters", `{"type":"text","text":{"body":` + long(4097) + `}}`, []string{"text.body: must have at most 4096 characters, has 4097"}},

		{"neither link nor id", `{"type":"image","image":{}}`, []string{"image: needs link or id"}},
		{"both link and id", `{"type":"video","video":{` + link + `,"id":"1"}}`, []string{"video: must have link or id, not both"}},
		{"a link that is no URL", `{"type":"image","image":{"link":"https://%zz"}}`, []string{"image.link: must be a URL"}},
		{"a link too long", `{"type":"image","image":{"link":"https://example.com/` + strings.Repeat("a", 2029) + `"}}`, []string{"image.link: must have at most 2048 bytes"}},
		{"a link with a space in its host", `{"type":"image","image":{"link":"https://cdn example.com/a"}}`, []string{"image.link: must not hold a space or a line break"}},
		{"a link with a space in its path", `{"type":"image","image":{"link":"https://example.com/a b.jpg"}}`, []string{"image.link: must not hold a space or a line break"}},
		{"a link with a space before it", `{"type":"image","image":{"link":" https://example.com/a"}}`, []string{"image.link: must not hold a space or a line break"}},
		{"a link with a line break after it", `{"type":"image","image":{"link":"https://example.com/a\n"}}`, []string{"image.link: must not hold a space or a line break"}},
		{"a link to a port beyond the last", `{"type":"image","image":{"link":"https://example.com:65536/a"}}`, []string{"image.link: must have a port from 1 to 65535"}},
		{"a link to port zero", `{"type":"image","image":{"link":"https://example.com:0/a"}}`, []string{"image.link: must have a port from 1 to 65535"}},
		{"a link to a port that is a word", `{"type":"image","image":{"link":"https://example.com:http/a"}}`, []string{"image.link: must be a URL"}},
		{"a link of another scheme", `{"type":"image","image":{"link":"ftp://example.com/a"}}`, []string{"image.link: must be an http or https URL"}},
		{"a link with data", `{"type":"image","image":{"link":"data:image/png;base64,AA"}}`, []string{"image.link: must be an http or https URL"}},
		{"a link without a scheme", `{"type":"image","image":{"link":"example.com/a.jpg"}}`, []string{"image.link: must be an http or https URL"}},
		{"a link without a host", `{"type":"image","image":{"link":"https:///a.jpg"}}`, []string{"image.link: must name a host"}},
		{"a link with a password", `{"type":"image","image":{"link":"https://a:b@example.com/"}}`, []string{"image.link: must not carry a user name or password"}},
		{"an id too long", `{"type":"image","image":{"id":` + long(513) + `}}`, []string{"image.id: must have at most 512 characters, has 513"}},
		{"a caption of 1,025 characters", `{"type":"document","document":{"id":"1","caption":` + long(1025) + `}}`, []string{"document.caption: must have at most 1024 characters, has 1025"}},
		{"a caption below audio", `{"type":"audio","audio":{"id":"1","caption":"c"}}`, []string{"audio.caption: is not possible here"}},
		{"a caption below a sticker", `{"type":"sticker","sticker":{"id":"1","caption":"c"}}`, []string{"sticker.caption: is not possible here"}},
		{"a name of an image", `{"type":"image","image":{"id":"1","filename":"a.jpg"}}`, []string{"image.filename: is possible for a document only"}},
		{"a name of 241 characters", `{"type":"document","document":{"id":"1","filename":` + long(241) + `}}`, []string{"document.filename: must have at most 240 characters, has 241"}},
		{"a voice that is a video", `{"type":"video","video":{"id":"1","voice":true}}`, []string{"video.voice: is possible for audio only"}},
		{"a media provider without a link", `{"type":"image","image":{"id":"1","provider":"cdn-a"}}`, []string{"image.provider: is possible with link only"}},

		{"location of nothing", `{"type":"location","location":{}}`, []string{"location.latitude: is required", "location.longitude: is required"}},
		{"location beyond the edges", `{"type":"location","location":{"latitude":90.0001,"longitude":-180.0001}}`, []string{
			"location.latitude: must be between -90 and 90", "location.longitude: must be between -180 and 180",
		}},
		{"location with a long name", `{"type":"location","location":{"latitude":1,"longitude":1,"name":` + long(1001) + `,"address":` + long(1001) + `}}`, []string{
			"location.name: must have at most 1000 characters, has 1001", "location.address: must have at most 1000 characters, has 1001",
		}},

		{"no contacts", `{"type":"contacts","contacts":[]}`, []string{"contacts: must have 1 to 257 entries"}},
		{"258 contacts", `{"type":"contacts","contacts":[` + repeat(258, `{"name":{"formatted_name":"A"}}`) + `]}`, []string{"contacts: must have 1 to 257 entries"}},
		{"contacts without names", `{"type":"contacts","contacts":[{"name":{"formatted_name":"A"}},{"name":{"first_name":"B"}}]}`, []string{"contacts[1].name.formatted_name: is required"}},
		{"a birthday in another form", `{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"birthday":"10.12.1815"}]}`, []string{"contacts[0].birthday: must be a date as YYYY-MM-DD"}},
		{"a birthday that is none", `{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"birthday":"1815-02-30"}]}`, []string{"contacts[0].birthday: must be a date as YYYY-MM-DD"}},

		{"a reaction to nothing", `{"type":"reaction","reaction":{"emoji":"👍"}}`, []string{"reaction.message_id: is required"}},

		{"interactive of nothing", `{"type":"interactive","interactive":{}}`, []string{"interactive.type: is required", "interactive.body: is required"}},
		{"an unknown interactive type", interactive(`"type":"carousel"`), []string{
			"interactive.type: must be one of button, list, cta_url, flow, location_request_message, product, product_list, catalog_message",
		}},
		{"an empty body", `{"type":"interactive","interactive":{"type":"location_request_message","body":{},"action":{"name":"send_location"}}}`, []string{"interactive.body.text: is required"}},
		{"a body of 1,025 characters", `{"type":"interactive","interactive":{"type":"location_request_message","body":{"text":` + long(1025) + `},"action":{"name":"send_location"}}}`, []string{
			"interactive.body.text: must have at most 1024 characters, has 1025",
		}},
		{"a header of an unknown type", interactive(`"type":"location_request_message","header":{"type":"audio"},"action":{"name":"send_location"}`), []string{
			"interactive.header.type: must be one of text, image, video, document",
		}},
		{"a header without its file", interactive(`"type":"location_request_message","header":{"type":"image","text":"x"},"action":{"name":"send_location"}`), []string{
			`interactive.header.image: is required when the header's type is "image"`, `interactive.header.text: must be absent when the header's type is "image"`,
		}},
		{"a header with a file its type doesn't name", interactive(`"type":"location_request_message","header":{"type":"text","text":"x","image":{}},"action":{"name":"send_location"}`), []string{
			`interactive.header.image: must be absent when the header's type is "text"`,
		}},
		{"a header with every file", interactive(`"type":"location_request_message","header":{"type":"video","image":{"id":"1"},"video":{"id":"2"},"document":{"id":"3"}},"action":{"name":"send_location"}`), []string{
			`interactive.header.image: must be absent when the header's type is "video"`, `interactive.header.document: must be absent when the header's type is "video"`,
		}},
		{"blanks all over", `{"type":"interactive","interactive":{"type":"button","header":{"type":"text","text":" "},"body":{"text":"\n"},"footer":{"text":"\t"},"action":{"buttons":[{"type":"reply","reply":{"id":"b","title":" "}}]}}}`, []string{
			"interactive.header.text: must not be blank", "interactive.footer.text: must not be blank",
			"interactive.action.buttons[0].reply.title: must not be blank", "interactive.body.text: must not be blank",
		}},
		{"a header with a bad file", interactive(`"type":"location_request_message","header":{"type":"video","video":{"link":"x","caption":"c"}},"action":{"name":"send_location"}`), []string{
			"interactive.header.video.link: must be an http or https URL", "interactive.header.video.caption: is not possible here",
		}},
		{"header and footer of 61 characters", interactive(`"type":"location_request_message","header":{"type":"text","text":` + long(61) + `},"footer":{"text":` + long(61) + `},"action":{"name":"send_location"}`), []string{
			"interactive.header.text: must have at most 60 characters, has 61", "interactive.footer.text: must have at most 60 characters, has 61",
		}},

		{"no buttons", buttons(""), []string{"interactive.action.buttons: must have 1 to 3 entries"}},
		{"four buttons", buttons(repeat(4, `{"type":"reply","reply":{"id":"b#","title":"B#"}}`)), []string{"interactive.action.buttons: must have 1 to 3 entries"}},
		{"a button of another type", buttons(`{"type":"url","reply":{"id":"b","title":"B"}}`), []string{button + ".type: must be reply"}},
		{"a button without anything", buttons(`{}`), []string{button + ".type: must be reply", button + ".reply.id: is required", button + ".reply.title: is required"}},
		{"a button with too much", buttons(`{"type":"reply","reply":{"id":` + long(257) + `,"title":` + long(21) + `}}`), []string{
			button + ".reply.id: must have at most 256 characters, has 257", button + ".reply.title: must have at most 20 characters, has 21",
		}},
		{"two buttons alike", buttons(repeat(2, `{"type":"reply","reply":{"id":"b","title":"B"}}`)), []string{
			"interactive.action.buttons[1].reply.id: must be unique", "interactive.action.buttons[1].reply.title: must be unique",
		}},

		{"a list of nothing", interactive(`"type":"list","action":{}`), []string{"interactive.action.button: is required", "interactive.action.sections: must have 1 to 10 entries"}},
		{"a list below an image", interactive(`"type":"list","header":{"type":"image","image":{"id":"1"}},"action":{"button":"Open","sections":[{"rows":[{"id":"r","title":"R"}]}]}`), []string{
			"interactive.header.type: must be text above a list",
		}},
		{"a section of nothing", list(`{}`), []string{"interactive.action.sections[0].rows: must have at least 1 entry"}},
		{"two sections without titles", list(repeat(2, `{"rows":[{"id":"r#","title":"R"}]}`)), []string{
			"interactive.action.sections[0].title: is required", "interactive.action.sections[1].title: is required",
		}},
		{"a section with a long title", list(`{"title":` + long(25) + `,"rows":[{"id":"r","title":"R"}]}`), []string{"interactive.action.sections[0].title: must have at most 24 characters, has 25"}},
		{"eleven rows", list(`{"rows":[` + repeat(11, `{"id":"r#","title":"R"}`) + `]}`), []string{"interactive.action.sections: must have at most 10 rows in total, has 11"}},
		{"eleven rows over two sections", list(`{"title":"A","rows":[` + repeat(6, `{"id":"a#","title":"R"}`) + `]},{"title":"B","rows":[` + repeat(5, `{"id":"b#","title":"R"}`) + `]}`), []string{
			"interactive.action.sections: must have at most 10 rows in total, has 11",
		}},
		{"eleven sections", list(repeat(11, `{"title":"S","rows":[{"id":"r#","title":"R"}]}`)), []string{
			"interactive.action.sections: must have 1 to 10 entries", "interactive.action.sections: must have at most 10 rows in total, has 11",
		}},
		{"a row with too much", list(`{"rows":[{"id":` + long(201) + `,"title":` + long(25) + `,"description":` + long(73) + `}]}`), []string{
			row + ".id: must have at most 200 characters, has 201", row + ".title: must have at most 24 characters, has 25", row + ".description: must have at most 72 characters, has 73",
		}},
		{"rows alike in two sections", list(repeat(2, `{"title":"S","rows":[{"id":"r","title":"R"}]}`)), []string{"interactive.action.sections[1].rows[0].id: must be unique"}},

		{"a link button without parameters", interactive(`"type":"cta_url","action":{"name":"cta_url"}`), []string{"interactive.action.parameters: is required"}},
		{"a link button with other parameters", interactive(`"type":"cta_url","action":{"name":"cta_url","parameters":["a"]}`), []string{
			"interactive.action.parameters: must be an object with the members of its type",
		}},
		{"a link button with a bad link", interactive(`"type":"cta_url","action":{"name":"url","parameters":{"display_text":` + long(21) + `,"url":"javascript:alert(1)"}}`), []string{
			"interactive.action.name: must be cta_url", "interactive.action.parameters.display_text: must have at most 20 characters, has 21",
			"interactive.action.parameters.url: must be an http or https URL",
		}},
		{"a flow without a name", interactive(`"type":"flow","action":{"name":"flow","parameters":{}}`), []string{
			"interactive.action.parameters: needs flow_id or flow_name, not both", "interactive.action.parameters.flow_cta: is required",
		}},
		{"a flow with two names", interactive(`"type":"flow","action":{"parameters":{"flow_id":"1","flow_name":"n","flow_cta":` + long(31) + `}}`), []string{
			"interactive.action.name: must be flow", "interactive.action.parameters: needs flow_id or flow_name, not both",
			"interactive.action.parameters.flow_cta: must have at most 30 characters, has 31",
		}},
		{"a location request by another name", interactive(`"type":"location_request_message","action":{}`), []string{"interactive.action.name: must be send_location"}},
		{"a product of no catalog", `{"type":"interactive","interactive":{"type":"product","action":{}}}`, []string{
			"interactive.action.catalog_id: is required", "interactive.action.product_retailer_id: is required",
		}},
		{"products of no catalog", interactive(`"type":"product_list","action":{}`), []string{
			"interactive.action.catalog_id: is required", "interactive.action.sections: must have 1 to 10 entries",
		}},
		{"products of eleven sections", interactive(`"type":"product_list","action":{"catalog_id":"c","sections":[` + repeat(11, `{"product_items":[{"product_retailer_id":"p"}]}`) + `]}`), []string{
			"interactive.action.sections: must have 1 to 10 entries",
		}},
		{"a section without products", interactive(`"type":"product_list","action":{"catalog_id":"c","sections":[{"product_items":[{"product_retailer_id":"p"},{}]},{"title":"S","product_items":[]}]}`), []string{
			"interactive.action.sections[0].product_items[1].product_retailer_id: is required", "interactive.action.sections[1].product_items: must have at least 1 entry",
		}},
		{"parameters that are null", interactive(`"type":"flow","action":{"name":"flow","parameters": null }`), []string{"interactive.action.parameters: is required"}},
		{"a catalog by another name", interactive(`"type":"catalog_message","action":{}`), []string{"interactive.action.name: must be catalog_message"}},

		{"a template of nothing", `{"type":"template","template":{}}`, []string{"template.name: is required", "template.language.code: is required"}},
		{"a template with a bad name", `{"type":"template","template":{"name":"Order-Update","language":{"code":"en"}}}`, []string{"template.name: must hold only a-z, 0-9 and _"}},
		{"a template with a line break after its name", `{"type":"template","template":{"name":"a\n","language":{"code":"en"}}}`, []string{"template.name: must hold only a-z, 0-9 and _"}},
		{"a template with a long name", `{"type":"template","template":{"name":"` + strings.Repeat("a", 513) + `","language":{"code":` + long(21) + `}}}`, []string{
			"template.name: must have at most 512 characters, has 513", "template.language.code: must have at most 20 characters, has 21",
		}},
		{"an unknown component", template(`{"type":"footer"}`), []string{"template.components[0].type: must be one of header, body, button"}},
		{"a body with an index", template(`{"type":"body","index":0}`), []string{"template.components[0]: may have sub_type and index only when its type is button"}},
		{"a button without anything, in a template", template(`{"type":"button"}`), []string{
			"template.components[0].sub_type: is required", "template.components[0].index: must be 0 to 9",
		}},
		{"a button out of range", template(`{"type":"button","sub_type":"url","index":10},{"type":"button","sub_type":"url","index":"10"}`), []string{
			"template.components[0].index: must be 0 to 9", "template.components[1].index: must be 0 to 9",
		}},
		{"eleven buttons in a template", template(repeat(11, `{"type":"button","sub_type":"url","index":#}`)), []string{
			"template.components[10].index: must be 0 to 9", "template.components: must have at most 10 buttons",
		}},
		{"two buttons in one place", template(`{"type":"button","sub_type":"url","index":"1"},{"type":"button","sub_type":"flow","index":0},{"type":"button","sub_type":"copy_code","index":1}`), []string{
			"template.components[2].index: must be unique",
		}},
		{"two headers and two bodies", template(`{"type":"header"},{"type":"body"},{"type":"body"},{"type":"header"}`), []string{
			"template.components[2].type: must be unique", "template.components[3].type: must be unique",
		}},
		{"a parameter without a type", param(`"text":"x"`), []string{p + ".type: is required"}},
		{"a parameter of an unknown type", param(`"type":"audio"`), []string{
			p + ".type: must be one of text, currency, date_time, image, video, document, location, payload, coupon_code, action",
		}},
		{"a text without text", param(`"type":"text"`), []string{p + ".text: is required"}},
		{"a long coupon", param(`"type":"coupon_code","coupon_code":` + long(16)), []string{p + ".coupon_code: must have at most 15 characters, has 16"}},
		{"a long payload", param(`"type":"payload","payload":` + long(257)), []string{p + ".payload: must have at most 256 characters, has 257"}},
		{"a currency without its object", param(`"type":"currency"`), []string{p + `.currency: is required when type is "currency"`}},
		{"a currency of nothing", param(`"type":"currency","currency":{}`), []string{p + ".currency.fallback_value: is required", p + ".currency.code: is required"}},
		{"a currency with a long code", param(`"type":"currency","currency":{"fallback_value":"1","code":"EURO"}`), []string{p + ".currency.code: must have at most 3 characters, has 4"}},
		{"a date of nothing", param(`"type":"date_time","date_time":{}`), []string{p + ".date_time.fallback_value: is required"}},
		{"a date without its object", param(`"type":"date_time"`), []string{p + `.date_time: is required when type is "date_time"`}},
		{"an image without its object", param(`"type":"image","video":{"id":"1"}`), []string{p + `.image: is required when type is "image"`, p + `.video: must be absent when type is "image"`}},
		{"a text with everything else", param(`"type":"text","text":"x","payload":"p","coupon_code":"c","currency":{},"date_time":{},"image":{},"video":{},"document":{},"location":{},"action":{}`), []string{
			p + `.payload: must be absent when type is "text"`, p + `.coupon_code: must be absent when type is "text"`, p + `.currency: must be absent when type is "text"`,
			p + `.date_time: must be absent when type is "text"`, p + `.image: must be absent when type is "text"`, p + `.video: must be absent when type is "text"`,
			p + `.document: must be absent when type is "text"`, p + `.location: must be absent when type is "text"`, p + `.action: must be absent when type is "text"`,
		}},
		{"a payload that is a text too", param(`"type":"payload","text":"x","action":null`), []string{p + `.text: must be absent when type is "payload"`}},
		{"a location without its object", param(`"type":"location"`), []string{p + `.location: is required when type is "location"`}},
		{"an action without its object", param(`"type":"action"`), []string{p + `.action: is required when type is "action"`}},
		{"an action that is null", param(`"type":"action","action": null `), []string{p + `.action: is required when type is "action"`}},
		{"an action that is a list", param(`"type":"action","action":[{}]`), []string{p + ".action: must be an object"}},
		{"a location beyond the edges, in a template", param(`"type":"location","location":{"latitude":91,"longitude":1}`), []string{p + ".location.latitude: must be between -90 and 90"}},
		{"a file with both, in a template", param(`"type":"document","document":{` + link + `,"id":"1","caption":"c"}`), []string{
			p + ".document: must have link or id, not both", p + ".document.caption: is not possible here",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, faults(parse(t, tc.json))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEveryTypeNeedsItsObject(t *testing.T) {
	for _, ct := range ContentTypes() {
		want := []string{fmt.Sprintf("%s: is required when type is %q", ct, ct)}
		if diff := cmp.Diff(want, faults(&Content{Type: ct})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", ct, diff)
		}
	}
}

func TestFilesAreThoseOfTheTypeWithTheirPlaces(t *testing.T) {
	const members = `"image":{"id":"1"},"video":{"id":"2"},"audio":{"id":"3"},"document":{"id":"4"},"sticker":{"id":"5"},
		"interactive":{"header":{"type":"video","video":{"id":"6"},"image":{"id":"no"}}},
		"template":{"components":[{"type":"header","parameters":[{"type":"image","image":{"id":"7"}}]},
		{"type":"body","parameters":[{"type":"text","text":"x","image":{"id":"no"}},{"type":"document","document":{"id":"8"}}]}]}`
	for contentType, want := range map[ContentType][]string{
		TypeImage: {"image image 1"}, TypeVideo: {"video video 2"}, TypeAudio: {"audio audio 3"},
		TypeDocument: {"document document 4"}, TypeSticker: {"sticker sticker 5"},
		TypeInteractive: {"interactive.header.video video 6"},
		TypeTemplate:    {"template.components[0].parameters[0].image image 7", "template.components[1].parameters[1].document document 8"},
		TypeText:        nil, TypeLocation: nil, TypeContacts: nil, TypeReaction: nil, "": nil, "poll": nil,
	} {
		c := parse(t, `{"type":"`+string(contentType)+`",`+members+`}`)
		var got []string
		for _, f := range c.Files() {
			got = append(got, f.Field+" "+string(f.Kind)+" "+f.Media.ID)
			f.Media.Link = "https://cdn.example.com/a"
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", contentType, diff)
		}
		for _, f := range c.Files() {
			if f.Media.Link == "" {
				t.Errorf("%q: a file is a copy", contentType)
			}
		}
	}
	for _, contentType := range ContentTypes() {
		if got := (&Content{Type: contentType}).Files(); got != nil {
			t.Errorf("%s of nothing has files: %v", contentType, got)
		}
	}
}

func TestReactionsAreOneEmoji(t *testing.T) {
	for _, tc := range []struct {
		name, emoji string
		want        bool
	}{
		{"nothing, which takes it back", "", true},
		{"a face", "😀", true},
		{"a thumb of a skin tone", "👍🏽", true},
		{"a heart", "❤", true},
		{"a heart in colour", "❤\uFE0F", true},
		{"a heart on fire", "❤\uFE0F\u200D🔥", true},
		{"a family", "👨\u200D👩\u200D👧\u200D👦", true},
		{"a kiss of two with skin tones", "👩🏽\u200D❤\uFE0F\u200D💋\u200D👨🏿", true},
		{"a country's flag", "🇸🇪", true},
		{"a region's flag", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", true},
		{"a rainbow flag", "🏳\uFE0F\u200D🌈", true},
		{"a keycap", "1\uFE0F\u20E3", true},
		{"a keycap of a hash", "#\u20E3", true},
		{"a copyright sign", "©\uFE0F", true},
		{"two exclamation marks in one", "‼\uFE0F", true},
		{"an information sign", "ℹ\uFE0F", true},
		{"a star", "⭐", true},
		{"a sign of the calendar", "㊗\uFE0F", true},
		{"one of a later Unicode", "\U0001FAE9", true},
		{"two emoji", "👍👍", false},
		{"two flags", "🇸🇪🇳🇴", false},
		{"half a flag", "🇸", false},
		{"an emoji and a letter", "👍a", false},
		{"an emoji and a line break", "👍\n", false},
		{"an emoji that goes on into nothing", "👍\u200D", false},
		{"a variation of nothing", "\uFE0F", false},
		{"a letter", "x", false},
		{"a word", "ok", false},
		{"a digit", "1", false},
		{"a smile in signs", ":-)", false},
		{"a letter of another script", "好", false},
		{"a space", " ", false},
		{"an emoji in words", ":thumbsup:", false},
		{"broken UTF-8", "\xf0\x9f\x91", false},
		{"more people than fit", "👩" + strings.Repeat("\u200D👩", 8), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var want []string
			if !tc.want {
				want = []string{"reaction.emoji: must be one emoji, or empty to take the reaction back"}
			}
			got := faults(&Content{Type: TypeReaction, Reaction: &Reaction{MessageID: "m", Emoji: tc.emoji}})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q: -want +got:\n%s", tc.emoji, diff)
			}
		})
	}
}

func TestDegreesThatAreNoNumberAreFaults(t *testing.T) {
	nan, inf := Degrees(math.NaN()), Degrees(math.Inf(-1))
	want := []string{"location.latitude: must be between -90 and 90", "location.longitude: must be between -180 and 180"}
	got := faults(&Content{Type: TypeLocation, Location: &Location{Latitude: &nan, Longitude: &inf}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNumbersAreReadFromStringsToo(t *testing.T) {
	const whole = "must be a whole number from 0"
	for in, want := range map[string]string{
		`55.7`: "55.7", `"55.7"`: "55.7", `-0.5`: "-0.5", `1e1`: "10", `"x"`: "must be a number", `""`: "must be a number", `true`: "must be a number", `{}`: "must be a number",
		`-180`: "-180", `"1e-7"`: "0.0000001", `"\u0035"`: "5", `"007"`: "7",
		`"0x10"`: "must be a number", `"NaN"`: "must be a number", `"Inf"`: "must be a number", `"-infinity"`: "must be a number",
		`1e999`: "must be a number", `"1_0"`: "must be a number", `"+1"`: "must be a number", `".5"`: "must be a number", `"1."`: "must be a number",
		`" 1"`: "must be a number", `"1\n"`: "must be a number", `"55,7"`: "must be a number", `"\"1\""`: "must be a number",
	} {
		var d Degrees
		var got string
		if err := json.Unmarshal([]byte(in), &d); err != nil {
			got = err.Error()
		} else {
			got = d.String()
			if b, err := json.Marshal(d); err != nil || !sameNumber(string(b), want) {
				t.Errorf("%s is written as %s, %v", in, b, err)
			}
		}
		if got != want {
			t.Errorf("degrees %s: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`0`: "0", `"0"`: "0", `9`: "9", `"9"`: "9", `10`: "10", `1.5`: whole, `1e0`: whole, `-1`: whole, `"-1"`: whole, `"+1"`: whole,
		`" 1"`: whole, `"0x1"`: whole, `"1_0"`: whole, `"٣"`: whole, `99999999999999999999`: whole, `"a"`: whole, `""`: whole, `[]`: whole,
	} {
		var i ButtonIndex
		var got string
		if err := json.Unmarshal([]byte(in), &i); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(int(i))
		}
		if got != want {
			t.Errorf("index %s: %q, want %q", in, got, want)
		}
	}
	if got := Degrees(math.Copysign(0.000001, -1)).String(); got != "-0.000001" {
		t.Errorf("small degrees are %q", got)
	}
}

// sameNumber compares numbers that may be written in other ways.
func sameNumber(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err == nil && err2 == nil && x == y
}

func TestContentSurvivesItsJSON(t *testing.T) {
	const want = `{"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"button","sub_type":"url","index":0,"parameters":[{"type":"text","text":"\u003ca\u003e"}]}]}}`
	b, err := json.Marshal(parse(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != want {
		t.Errorf("got %s", b)
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"type":"text","text":{"body":"x"}}`))
	f.Add([]byte(`{"type":"interactive","interactive":{"type":"cta_url","header":{"type":"image"},"action":{"parameters":{"url":"x"}}}}`))
	f.Add([]byte(`{"type":"template","template":{"components":[{"type":"button","index":"3","parameters":[{"type":"image"}]}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Content
		if json.Unmarshal(b, &c) != nil {
			return
		}
		for _, e := range c.Validate() {
			if e.Field == "" || e.Message == "" {
				t.Errorf("incomplete: %+v", e)
			}
		}
		for _, file := range c.Files() {
			if file.Media == nil || file.Field == "" || file.Kind == "" {
				t.Errorf("incomplete: %+v", file)
			}
		}
	})
}
