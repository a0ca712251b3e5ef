package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The error titles of the Cloud API reference.
const (
	titleParameter = "(#100) Invalid parameter"
	titleMissing   = "(#131008) Required parameter is missing"
	titleInvalid   = "(#131009) Parameter value is not valid"
)

type cloudProblem struct {
	status  int
	code    int
	message string
	details string // a part of them
}

// cloudProblemOf reads the documented envelope, and nothing else.
func cloudProblemOf(t *testing.T, a answer) cloudProblem {
	t.Helper()
	var envelope struct {
		Error struct {
			Message   string `json:"message"`
			Type      string `json:"type"`
			Code      int    `json:"code"`
			ErrorData *struct {
				Product string `json:"messaging_product"`
				Details string `json:"details"`
			} `json:"error_data"`
			Trace string `json:"fbtrace_id"`
		} `json:"error"`
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&envelope); err != nil {
		t.Fatalf("status %d, envelope %q: %v", a.status, a.body, err)
	}
	e := envelope.Error
	if e.Type != "OAuthException" || len(e.Trace) != 23 {
		t.Errorf("type %q, fbtrace_id %q", e.Type, e.Trace)
	}
	p := cloudProblem{status: a.status, code: e.Code, message: e.Message}
	if e.ErrorData != nil {
		if e.ErrorData.Product != "whatsapp" {
			t.Errorf("error_data.messaging_product is %q", e.ErrorData.Product)
		}
		p.details = e.ErrorData.Details
	}
	return p
}

func checkCloudProblem(t *testing.T, a answer, want cloudProblem) {
	t.Helper()
	got := cloudProblemOf(t, a)
	if got.status != want.status || got.code != want.code || got.message != want.message || !strings.Contains(got.details, want.details) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// cloudBody is a request to one recipient with the members given.
func cloudBody(members string) string {
	return `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234",` + members + `}`
}

func TestCloudTakesWhatTheReferenceShows(t *testing.T) {
	for name, body := range map[string]string{
		"text":                  `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text","text":{"preview_url":false,"body":"Hello"},"biz_opaque_callback_data":"m-1"}`,
		"text as a reply":       cloudBody(`"context":{"message_id":"wamid.IN1"},"type":"text","text":{"preview_url":true,"body":"See https://www.meta.com/quest"}`),
		"text without a type":   cloudBody(`"text":{"body":"Hello"}`),
		"a number with blanks":  `{"messaging_product":"whatsapp","to":"+1 (650) 555-1234","type":"text","text":{"body":"Hello"}}`,
		"image by id":           cloudBody(`"type":"image","image":{"id":"1037543291543636","caption":"Sale"}`),
		"video by link":         cloudBody(`"type":"video","video":{"link":"https://cdn.example.com/v.mp4"}`),
		"document":              cloudBody(`"type":"document","document":{"link":"https://cdn.example.com/i.pdf","caption":"Invoice","filename":"Invoice 7.pdf"}`),
		"voice":                 cloudBody(`"type":"audio","audio":{"id":"99","voice":true}`),
		"sticker":               cloudBody(`"type":"sticker","sticker":{"id":"77"}`),
		"location in strings":   cloudBody(`"type":"location","location":{"latitude":"37.44216","longitude":"-122.16153","name":"Coffee Bar","address":"101 Forest Ave"}`),
		"location in numbers":   cloudBody(`"type":"location","location":{"latitude":37.44216,"longitude":-122.16153}`),
		"contacts":              cloudBody(`"type":"contacts","contacts":[{"name":{"formatted_name":"Barbara Johnson"},"phones":[{"phone":"+16505559999","wa_id":"16505559999"}]}]`),
		"reaction":              cloudBody(`"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":"👍"}`),
		"reaction taken back":   cloudBody(`"type":"reaction","reaction":{"message_id":"wamid.IN2","emoji":""}`),
		"buttons":               cloudBody(`"type":"interactive","interactive":{"type":"button","header":{"type":"image","image":{"id":"2762"}},"body":{"text":"Reschedule?"},"footer":{"text":"Thanks"},"action":{"buttons":[{"type":"reply","reply":{"id":"change","title":"Change"}},{"type":"reply","reply":{"id":"cancel","title":"Cancel"}}]}}`),
		"list":                  cloudBody(`"type":"interactive","interactive":{"type":"list","body":{"text":"Which option?"},"action":{"button":"Options","sections":[{"title":"Fast","rows":[{"id":"p1","title":"Express","description":"1 day"}]},{"title":"Slow","rows":[{"id":"p2","title":"Ground"}]}]}}`),
		"link button":           cloudBody(`"type":"interactive","interactive":{"type":"cta_url","body":{"text":"Tap for dates"},"action":{"name":"cta_url","parameters":{"display_text":"See Dates","url":"https://example.com/d?x=1"}}}`),
		"flow":                  cloudBody(`"type":"interactive","interactive":{"type":"flow","body":{"text":"Book"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"123456","flow_cta":"Book now","flow_token":"t-1","flow_action":"navigate","flow_action_payload":{"screen":"BOOKING","data":{"k":"v"}}}}}`),
		"location request":      cloudBody(`"type":"interactive","interactive":{"type":"location_request_message","body":{"text":"Where are you?"},"action":{"name":"send_location"}}`),
		"template":              cloudBody(`"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}`),
		"template with all":     cloudBody(`"type":"template","template":{"name":"order_update","language":{"code":"en_US","policy":"deterministic"},"components":[{"type":"header","parameters":[{"type":"image","image":{"id":"1037"}}]},{"type":"body","parameters":[{"type":"text","parameter_name":"first_name","text":"Ana"},{"type":"text","parameter_name":"order","text":"77"}]},{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"TRACK-77"}]},{"type":"button","sub_type":"url","index":1,"parameters":[{"type":"text","text":"o/77"}]}]}`),
		"one-time password":     cloudBody(`"type":"template","template":{"name":"login_code","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"J$FpnYnP"}]},{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"J$FpnYnP"}]}]}`),
		"coupon":                cloudBody(`"type":"template","template":{"name":"coupon","language":{"code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Ana"}]},{"type":"button","sub_type":"COPY_CODE","index":"1","parameters":[{"type":"coupon_code","coupon_code":"25OFF"}]}]}`),
		"currency and a moment": cloudBody(`"type":"template","template":{"name":"offer","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"currency","currency":{"fallback_value":"$10","code":"USD","amount_1000":10000}},{"type":"date_time","date_time":{"fallback_value":"May 1"}}]}]}`),
		"4096 characters":       cloudBody(`"type":"text","text":{"body":"` + strings.Repeat("ë", 4096) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{AnyFile: true}, &gateway{})
			if got := sendCloud(t, s, body); got.status != http.StatusOK {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestCloudAnswersAcceptanceAsDocumented(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	wamid := regexp.MustCompile(`wamid\.[A-Za-z0-9+/]+=*`)
	accepted := func(body string) string {
		got := sendCloud(t, s, body)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json; charset=UTF-8" {
			t.Errorf("status %d, Content-Type %q", got.status, got.header.Get("Content-Type"))
		}
		return wamid.ReplaceAllString(got.body, "wamid.ID")
	}
	diff(t, "text", accepted(cloudTextTo("+1 650 555 1234")),
		`{"messaging_product":"whatsapp","contacts":[{"input":"+1 650 555 1234","wa_id":"16505551234"}],"messages":[{"id":"wamid.ID"}]}`)
	diff(t, "template", accepted(cloudBody(`"type":"template","template":{"name":"hello_world","language":{"code":"en_US"}}`)),
		`{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.ID","message_status":"accepted"}]}`)
	diff(t, "mark as read", accepted(`{"messaging_product":"whatsapp","status":"read","message_id":"wamid.IN3","typing_indicator":{"type":"text"}}`), `{"success":true}`)
}

func TestCloudRefusesWhatBreaksTheReference(t *testing.T) {
	long := strings.Repeat("x", 5000)
	button := func(id, title string) string {
		return `{"type":"reply","reply":{"id":"` + id + `","title":"` + title + `"}}`
	}
	buttons := func(all ...string) string {
		return cloudBody(`"type":"interactive","interactive":{"type":"button","body":{"text":"?"},"action":{"buttons":[` + strings.Join(all, ",") + `]}}`)
	}
	rows := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"id":"r%d","title":"row"}`, i)
		}
		return `{"title":"s","rows":[` + strings.Join(all, ",") + `]}`
	}
	list := func(sections string) string {
		return cloudBody(`"type":"interactive","interactive":{"type":"list","body":{"text":"?"},"action":{"button":"b","sections":[` + sections + `]}}`)
	}
	template := func(members string) string { return cloudBody(`"type":"template","template":{` + members + `}`) }
	for _, tt := range []struct {
		name string
		body string
		want cloudProblem
	}{
		{"a body that is no JSON", `{"messaging_product":`, cloudProblem{400, 100, titleParameter, "not a JSON object"}},
		{"a body that is a list", `[]`, cloudProblem{400, 100, titleParameter, "not a JSON object"}},
		{"a body after a body", cloudTextTo("+16505551234") + `{}`, cloudProblem{400, 100, titleParameter, "not a JSON object"}},
		{"an empty body", ``, cloudProblem{400, 100, titleParameter, "not a JSON object"}},
		{"a body that isn't UTF-8", cloudBody(`"text":{"body":"` + "\xff" + `"}`), cloudProblem{400, 100, titleParameter, "not UTF-8"}},
		{"no messaging_product", `{"to":"+16505551234","type":"text","text":{"body":"x"}}`, cloudProblem{400, 100, titleParameter, "messaging_product"}},
		{"another product", `{"messaging_product":"telegram","to":"+16505551234","text":{"body":"x"}}`, cloudProblem{400, 131009, titleInvalid, "messaging_product"}},
		{"an unknown field", cloudBody(`"text":{"body":"x"},"preview_url":true`), cloudProblem{400, 100, titleParameter, "preview_url is unknown"}},
		{"an unknown field inside", cloudBody(`"text":{"body":"x","previewUrl":true}`), cloudProblem{400, 100, titleParameter, "text.previewUrl is unknown"}},
		{"a name in another case", cloudBody(`"text":{"Body":"x"}`), cloudProblem{400, 131008, titleMissing, "text.body"}},
		{"no recipient", `{"messaging_product":"whatsapp","text":{"body":"x"}}`, cloudProblem{400, 131008, titleMissing, "to can not be empty"}},
		{"a recipient that is no number", `{"messaging_product":"whatsapp","to":"ana","text":{"body":"x"}}`, cloudProblem{400, 131009, titleInvalid, "to is not a phone number"}},
		{"itself as recipient", `{"messaging_product":"whatsapp","to":"+15550783881","text":{"body":"x"}}`, cloudProblem{400, 131021, "(#131021) Recipient cannot be sender", "to"}},
		{"an unknown recipient_type", `{"messaging_product":"whatsapp","recipient_type":"crowd","to":"+16505551234","text":{"body":"x"}}`, cloudProblem{400, 131009, titleInvalid, "recipient_type"}},
		{"an unknown type", cloudBody(`"type":"fax","fax":{}`), cloudProblem{400, 131051, "(#131051) Unsupported message type", "type"}},
		{"a type without its object", cloudBody(`"type":"image"`), cloudProblem{400, 131008, titleMissing, "image"}},
		{"callback data of 513 characters", cloudBody(`"text":{"body":"x"},"biz_opaque_callback_data":"` + long[:513] + `"`), cloudProblem{400, 131009, titleInvalid, "biz_opaque_callback_data"}},
		{"an empty text", cloudBody(`"text":{"body":""}`), cloudProblem{400, 131008, titleMissing, "text.body"}},
		{"a text of 4097 characters", cloudBody(`"text":{"body":"` + long[:4097] + `"}`), cloudProblem{400, 131009, titleInvalid, "has 4097"}},
		{"a preview_url that is a string", cloudBody(`"text":{"body":"x","preview_url":"yes"}`), cloudProblem{400, 131009, titleInvalid, "text.preview_url"}},
		{"a caption of 1025 characters", cloudBody(`"type":"image","image":{"id":"1","caption":"` + long[:1025] + `"}`), cloudProblem{400, 131009, titleInvalid, "image.caption"}},
		{"a caption on audio", cloudBody(`"type":"audio","audio":{"id":"1","caption":"x"}`), cloudProblem{400, 100, titleParameter, "audio.caption is unknown"}},
		{"id and link", cloudBody(`"type":"image","image":{"id":"1","link":"https://cdn.example.com/a.jpg"}`), cloudProblem{400, 131009, titleInvalid, "not both"}},
		{"neither id nor link", cloudBody(`"type":"image","image":{"caption":"x"}`), cloudProblem{400, 131008, titleMissing, "id or link"}},
		{"a link that is no web address", cloudBody(`"type":"image","image":{"link":"ftp://cdn.example.com/a.jpg"}`), cloudProblem{400, 131009, titleInvalid, "image.link"}},
		{"a latitude of 91", cloudBody(`"type":"location","location":{"latitude":91,"longitude":0}`), cloudProblem{400, 131009, titleInvalid, "location.latitude"}},
		{"no longitude", cloudBody(`"type":"location","location":{"latitude":"1"}`), cloudProblem{400, 131008, titleMissing, "location.longitude"}},
		{"a contact without a name", cloudBody(`"type":"contacts","contacts":[{"phones":[]}]`), cloudProblem{400, 131008, titleMissing, "contacts[0].name"}},
		{"a birthday in another form", cloudBody(`"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"birthday":"1/2/2000"}]`), cloudProblem{400, 131009, titleInvalid, "birthday"}},
		{"a reaction with a context", cloudBody(`"type":"reaction","context":{"message_id":"wamid.1"},"reaction":{"message_id":"wamid.1","emoji":"x"}`), cloudProblem{400, 131009, titleInvalid, "context"}},
		{"a reaction without emoji", cloudBody(`"type":"reaction","reaction":{"message_id":"wamid.1"}`), cloudProblem{400, 131008, titleMissing, "reaction.emoji"}},
		{"four buttons", buttons(button("1", "a"), button("2", "b"), button("3", "c"), button("4", "d")), cloudProblem{400, 131009, titleInvalid, "has 4"}},
		{"a button title of 21 characters", buttons(button("1", long[:21])), cloudProblem{400, 131009, titleInvalid, "title"}},
		{"a button id of 257 characters", buttons(button(long[:257], "a")), cloudProblem{400, 131009, titleInvalid, "id"}},
		{"two buttons with one id", buttons(button("1", "a"), button("1", "b")), cloudProblem{400, 131009, titleInvalid, "must be unique"}},
		{"eleven rows in two sections", list(rows(10) + "," + strings.ReplaceAll(rows(1), "r0", "other")), cloudProblem{400, 131009, titleInvalid, "at most 10 rows"}},
		{"a footer of 61 characters", cloudBody(`"type":"interactive","interactive":{"type":"button","body":{"text":"?"},"footer":{"text":"` + long[:61] + `"},"action":{"buttons":[` + button("1", "a") + `]}}`), cloudProblem{400, 131009, titleInvalid, "footer.text"}},
		{"a picture above a list", cloudBody(`"type":"interactive","interactive":{"type":"list","header":{"type":"image","image":{"id":"1"}},"body":{"text":"?"},"action":{"button":"b","sections":[` + rows(1) + `]}}`), cloudProblem{400, 131009, titleInvalid, "header.type"}},
		{"two sections without a title", list(`{"rows":[{"id":"1","title":"a"}]},{"rows":[{"id":"2","title":"b"}]}`), cloudProblem{400, 131008, titleMissing, "title"}},
		{"a label of 21 characters", cloudBody(`"type":"interactive","interactive":{"type":"cta_url","body":{"text":"?"},"action":{"name":"cta_url","parameters":{"display_text":"` + long[:21] + `","url":"https://example.com"}}}`), cloudProblem{400, 131009, titleInvalid, "display_text"}},
		{"a flow with empty data", cloudBody(`"type":"interactive","interactive":{"type":"flow","body":{"text":"?"},"action":{"name":"flow","parameters":{"flow_message_version":"3","flow_id":"1","flow_cta":"x","flow_action_payload":{"screen":"A","data":{}}}}}`), cloudProblem{400, 131009, titleInvalid, "data"}},
		{"a template name in capitals", template(`"name":"Hello","language":{"code":"en"}`), cloudProblem{400, 131009, titleInvalid, "template.name"}},
		{"a template without a language", template(`"name":"hello"`), cloudProblem{400, 131008, titleMissing, "template.language"}},
		{"a language that doesn't exist", template(`"name":"hello","language":{"code":"english"}`), cloudProblem{400, 132001, "(#132001) Template does not exist", "language"}},
		{"a namespace", template(`"name":"hello","language":{"code":"en"},"namespace":"n"`), cloudProblem{400, 100, titleParameter, "template.namespace is unknown"}},
		{"named and positional parameters", template(`"name":"hello","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"a"},{"type":"text","text":"b","parameter_name":"n"}]}]`), cloudProblem{400, 132012, "(#132012) Template parameter format mismatch", "parameters"}},
		{"a button at index 10", template(`"name":"hello","language":{"code":"en"},"components":[{"type":"button","sub_type":"url","index":"10","parameters":[{"type":"text","text":"a"}]}]`), cloudProblem{400, 131009, titleInvalid, "index"}},
		{"a coupon of 16 characters", template(`"name":"hello","language":{"code":"en"},"components":[{"type":"button","sub_type":"copy_code","index":"0","parameters":[{"type":"coupon_code","coupon_code":"ABCDEFGHIJKLMNOP"}]}]`), cloudProblem{400, 131009, titleInvalid, "coupon_code"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{}, &gateway{})
			checkCloudProblem(t, sendCloud(t, s, tt.body), tt.want)
			if first, _ := s.ledger.bounds(); first != 0 {
				t.Error("the ledger holds a refused message")
			}
		})
	}
}

func TestCloudJudgesCredentialsFirst(t *testing.T) {
	other := cloudAccount()
	other.ID, other.SenderID, other.Token = "other", "999", "OTHER"
	s := start(t, Options{Accounts: []Account{cloudAccount(), other}}, &gateway{})
	for _, tt := range []struct {
		name, path, token string
		want              cloudProblem
	}{
		{"an unknown token is 190", cloudPath, "stale", cloudProblem{401, 190, "(#190) Access token has expired", "Invalid OAuth access token"}},
		{"no token is 104", cloudPath, "", cloudProblem{401, 104, "(#104) An access token is required to request this resource.", ""}},
		{"another account's token is 100 about the object", cloudPath, "OTHER", cloudProblem{404, 100, titleParameter, "Object with ID '106540352242922' does not exist"}},
		{"an unknown number is 100 about the object", "/v23.0/1/messages", "EAATOKEN", cloudProblem{404, 100, titleParameter, "Unsupported post request. Object with ID '1'"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			checkCloudProblem(t, do(t, s, request(t, tt.path, tt.token, `not JSON`)), tt.want)
		})
	}
	diff(t, "unauthorized", s.stats().Unauthorized, int64(4))
	diff(t, "requests", s.stats().Accounts[0].Requests, int64(0))
}

// By hand from the table of the reference: where two statuses stand there, the
// newer one; limits as the option says.
func TestCloudCodesComeWithTheStatusesOfTheNewerDocuments(t *testing.T) {
	c := newCloud(start(t, Options{}, &gateway{}))
	for status, codes := range map[int][]int{
		400: {
			33, 100, 506, 130403, 130472, 131008, 131009, 131020, 131021, 131026, 131030, 131037, 131041, 131047, 131049, 131050, 131051,
			131052, 131053, 131055, 131059, 131060, 131062, 131063, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 132018, 132068,
			133005, 133006, 133008, 133009, 133010, 134011, 134100, 134103, 135000,
		},
		401: {0, 102, 104, 190},
		402: {131042},
		403: {3, 10, 200, 299, 368, 130497, 131005, 131031},
		404: {803},
		429: {4, 17, 613, 80007, 130429, 131048, 131056, 131064},
		500: {1, 131000, 131045, 133000, 134102},
		503: {2, 131016, 131057, 133004},
	} {
		for _, code := range codes {
			r := c.refuse(refusal{reason: reasonError, code: code})
			got := cloudProblemOf(t, answer{status: r.status, header: r.header, body: string(r.body)})
			diff(t, fmt.Sprint("code and status of ", code), [2]int{got.code, got.status}, [2]int{code, status})
		}
	}
}

func TestCloudTellsAboutTheNumber(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	get := func(query string) answer {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v23.0/106540352242922"+query, nil)
		req.Header.Set("Authorization", "Bearer EAATOKEN")
		return do(t, s, req)
	}
	sameJSON(t, "health", get("?fields=quality_rating,status,throughput,whatsapp_business_manager_messaging_limit,health_status").body, `{
		"id":"106540352242922","quality_rating":"GREEN","status":"CONNECTED","throughput":{"level":"STANDARD"},
		"whatsapp_business_manager_messaging_limit":"TIER_UNLIMITED",
		"health_status":{"can_send_message":"AVAILABLE","entities":[
			{"entity_type":"PHONE_NUMBER","id":"106540352242922","can_send_message":"AVAILABLE"},
			{"entity_type":"WABA","id":"102290129340398","can_send_message":"AVAILABLE"}]}}`)
	checkCloudProblem(t, get("?fields=colour"), cloudProblem{400, 100, titleParameter, "nonexisting field (colour)"})
}
