package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	conversationPath = "/v1/projects/" + projectID + "/messages:send"
	keyBasic         = "Basic a2V5LTE6c2VjcmV0LTE=" // key-1:secret-1
)

func startConversation(t *testing.T, o Options, g *gateway) *Simulator {
	t.Helper()
	if o.Accounts == nil {
		o.Accounts = []Account{conversationAccount()}
	}
	return start(t, o, g)
}

// askToken makes the token request of the reference, with another
// authorization or body if given.
func askToken(t *testing.T, s *Simulator, authorization, contentType, body string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/oauth2/token", strings.NewReader(body))
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", contentType)
	return do(t, s, req)
}

func accessToken(t *testing.T, s *Simulator) string {
	t.Helper()
	got := askToken(t, s, keyBasic, "application/x-www-form-urlencoded", "grant_type=client_credentials")
	var answer struct {
		Token string `json:"access_token"`
	}
	decode(t, got.body, &answer)
	if got.status != http.StatusOK || answer.Token == "" {
		t.Fatalf("token: %d %s", got.status, got.body)
	}
	return answer.Token
}

// sendConversation sends with the key itself, which needs no token.
func sendConversation(t *testing.T, s *Simulator, body string) answer {
	t.Helper()
	return conversationCall(t, s, http.MethodPost, conversationPath, keyBasic, body)
}

func conversationCall(t *testing.T, s *Simulator, method, path, authorization, body string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Authorization", authorization)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return do(t, s, req)
}

// conversationTo is a send of the message, with more members.
func conversationTo(to, message, more string) string {
	return `{"app_id":"` + appID + `","recipient":{"identified_by":{"channel_identities":[{"channel":"WHATSAPP","identity":"` + to + `"}]}},"message":` + message +
		`,"message_metadata":"gw-0001"` + more + `}`
}

const conversationHello = `{"text_message":{"text":"Hello"}}`

func conversationBody(message string) string { return conversationTo("46732001122", message, "") }

func conversationProblem(code int, status, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[]}}`, code, message, status)
}

func TestConversationTakesWhatTheReferenceShows(t *testing.T) {
	for name, body := range map[string]string{
		"text with ttl":      conversationTo("46732001122", conversationHello, `,"ttl":"3600s"`),
		"everything else":    conversationTo("+46732001122", conversationHello, `,"channel_priority_order":["WHATSAPP"],"channel_properties":{"SMS_SENDER":"x"},"correlation_id":"c","conversation_metadata":{"a":1},"conversation_metadata_update_strategy":"REPLACE","callback_url":"https://gw.example.net/cb","queue":"HIGH_PRIORITY","processing_strategy":"DISPATCH_ONLY","message_content_type":"CONTENT_NOTIFICATION"`),
		"image":              conversationBody(`{"media_message":{"url":"https://cdn.example.net/a.jpg"}}`),
		"image with caption": conversationBody(`{"media_message":{"url":"https://cdn.example.net/a.jpg"},"explicit_channel_message":{"WHATSAPP":"{\"messaging_product\":\"whatsapp\",\"recipient_type\":\"individual\",\"to\":\"{{to}}\",\"type\":\"image\",\"image\":{\"link\":\"https://cdn.example.net/a.jpg\",\"caption\":\"A cat\"}}"}}`),
		"explicit only":      conversationBody(`{"explicit_channel_message":{"WHATSAPP":"{\"to\":\"{{to}}\",\"type\":\"location\",\"recipient_type\":\"individual\",\"messaging_product\":\"whatsapp\",\"location\":{\"name\":\"HQ\",\"address\":\"x\",\"longitude\":\"-4.3727684\",\"latitude\":\"47.79819\"},\"biz_opaque_callback_data\":null}"}}`),
		"document":           conversationBody(`{"media_message":{"url":"https://cdn.example.net/i.pdf","filename_override":"invoice.pdf"}}`),
		"location":           conversationBody(`{"location_message":{"title":"HQ","label":"Main St 1","coordinates":{"latitude":55.7047,"longitude":13.191}}}`),
		"contact":            conversationBody(`{"contact_info_message":{"name":{"full_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phone_numbers":[{"phone_number":"+46700000001","type":"WORK"}]}}`),
		"buttons":            conversationBody(`{"choice_message":{"text_message":{"text":"Confirm?"},"choices":[{"text_message":{"text":"Yes"},"postback_data":"yes"},{"text_message":{"text":"No"},"postback_data":"no"}],"message_properties":{"whatsapp_footer":"Thanks"}}}`),
		"card":               conversationBody(`{"card_message":{"title":"Confirm?","description":"Soon","media_message":{"url":"https://cdn.example.net/a.jpg"},"choices":[{"url_message":{"title":"Look","url":"https://example.com"}}],"message_properties":{"whatsapp_header":"x"}}}`),
		"list":               conversationBody(`{"list_message":{"title":"Pick one","sections":[{"title":"Today","items":[{"choice":{"title":"10:00","description":"Room A","postback_data":"t1"}},{"choice":{"title":"11:00","postback_data":"t2"}}]}],"message_properties":{"menu":"Choose","whatsapp_header":"Slots"}}}`),
		"template":           conversationBody(`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"offer","language_code":"en","parameters":{"header[1]image.link":"https://cdn.example.net/o.jpg","body[1]text":"Ada","button[0]quick_reply[1]payload":"yes","button[1]quick_reply[1]payload":""}}}}}`),
		"reply":              conversationBody(`{"text_message":{"text":"x"},"reply_to":{"message_id":"01HMSG00000000000000000000"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := startConversation(t, Options{}, g)
				got := sendConversation(t, s, body)
				if got.status != http.StatusOK {
					t.Fatalf("status %d: %s", got.status, got.body)
				}
				diff(t, "body", ulid.ReplaceAllString(got.body, "ULID"), `{"message_id":"ULID","accepted_time":"2000-01-01T00:00:00.000Z"}`)
				wait(time.Minute)
				diff(t, "statuses", g.statuses(t), []string{"SUBMIT", "QUEUED_ON_CHANNEL", "DELIVERED", "READ"})
			})
		})
	}
}

func TestConversationRefusesWhatBreaksItsForm(t *testing.T) {
	long := strings.Repeat("x", 5000)
	with := func(more string) string { return conversationTo("46732001122", conversationHello, more) }
	raw := func(recipient string) string {
		return `{"app_id":"` + appID + `","recipient":` + recipient + `,"message":` + conversationHello + `}`
	}
	choices := strings.TrimSuffix(strings.Repeat(`{"text_message":{"text":"x"}},`, 11), ",")
	for _, tt := range []struct{ name, body, message string }{
		{"no JSON", `{"app`, "the body is not a JSON object"},
		{"no app", `{"message":` + conversationHello + `}`, "app_id can not be empty"},
		{"a malformed app", strings.Replace(conversationBody(conversationHello), appID, "my-app", 1), "app_id is malformed"},
		{"no recipient", `{"app_id":"` + appID + `","message":` + conversationHello + `}`, "recipient can not be empty"},
		{"a contact", raw(`{"contact_id":"01H"}`), "recipient.contact_id is not possible with an app in DISPATCH mode"},
		{"two identities", raw(`{"identified_by":{"channel_identities":[{"channel":"WHATSAPP","identity":"46732001122"},{"channel":"WHATSAPP","identity":"46732001123"}]}}`), "recipient.identified_by.channel_identities must have 1 to 1 entries, has 2"},
		{"another channel", raw(`{"identified_by":{"channel_identities":[{"channel":"SMS","identity":"46732001122"}]}}`), "recipient.identified_by.channel_identities[0].channel must be one of WHATSAPP"},
		{"an identity with letters", conversationTo("ana", conversationHello, ""), "recipient.identified_by.channel_identities[0].identity must be a number of 7 to 15 digits"},
		{"no message", `{"app_id":"` + appID + `","recipient":{"identified_by":{"channel_identities":[{"channel":"WHATSAPP","identity":"46732001122"}]}}}`, "message can not be empty"},
		{"no kind of message", conversationBody(`{}`), "message must have a kind of message"},
		{"two kinds of message", conversationBody(`{"text_message":{"text":"x"},"media_message":{"url":"https://cdn.example.net/a.jpg"}}`), "message must have one kind of message, has 2"},
		{"an unknown kind", conversationBody(`{"fax_message":{}}`), "message must have a kind of message"},
		{"a caption", conversationBody(`{"media_message":{"url":"https://cdn.example.net/a.jpg","caption":"x"}}`), "message.media_message.caption is unknown"},
		{"a location without a title", conversationBody(`{"location_message":{"coordinates":{"latitude":1,"longitude":2}}}`), "message.location_message.title can not be empty"},
		{"a contact without phones", conversationBody(`{"contact_info_message":{"name":{"full_name":"Ada"}}}`), "message.contact_info_message.phone_numbers can not be empty"},
		{"a street, of which the card knows nothing", conversationBody(`{"contact_info_message":{"name":{"full_name":"Ada"},"phone_numbers":[{"phone_number":"1"}],"addresses":[{"street":"Main St 1"}]}}`), "message.contact_info_message.addresses[0].street is unknown"},
		{"11 choices", conversationBody(`{"choice_message":{"choices":[` + choices + `]}}`), "message.choice_message.choices must have 1 to 10 entries, has 11"},
		{"a choice of two kinds", conversationBody(`{"choice_message":{"choices":[{"text_message":{"text":"x"},"url_message":{"title":"x","url":"https://example.com"}}]}}`), "message.choice_message.choices[0] must be one kind of choice"},
		{"properties in a list", conversationBody(`{"choice_message":{"choices":[{"text_message":{"text":"x"}}],"message_properties":[]}}`), "message.choice_message.message_properties must be an object"},
		{"a template of no channel", conversationBody(`{"template_message":{}}`), "message.template_message.channel_template can not be empty"},
		{"a parameter that is a number", conversationBody(`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"a","language_code":"en","parameters":{"body[1]text":1}}}}}`), "message.template_message.channel_template.WHATSAPP.parameters.body[1]text must be a string"},
		{"an explicit message that is no string", conversationBody(`{"explicit_channel_message":{"WHATSAPP":{}}}`), "message.explicit_channel_message.WHATSAPP must be a string"},
		{"an explicit message that is no JSON", conversationBody(`{"explicit_channel_message":{"WHATSAPP":"x"}}`), "message.explicit_channel_message.WHATSAPP must be a JSON object in a string"},
		{"metadata of 1025 characters", strings.Replace(with(""), "gw-0001", long[:1025], 1), "message_metadata must have 0 to 1024 characters, has 1025"},
		{"a correlation of 129 characters", with(`,"correlation_id":"` + long[:129] + `"`), "correlation_id must have 0 to 128 characters, has 129"},
		{"too much conversation metadata", with(`,"conversation_metadata":{"a":"` + long[:2048] + `"}`), "conversation_metadata must have at most 2048 characters"},
		{"a ttl without a unit", with(`,"ttl":"3600"`), "ttl must be 3s to 315576000000s"},
		{"a ttl of two seconds", with(`,"ttl":"2s"`), "ttl must be 3s to 315576000000s"},
		{"an unknown queue", with(`,"queue":"FAST"`), "queue must be one of NORMAL_PRIORITY, HIGH_PRIORITY"},
		{"a channel that isn't configured", with(`,"channel_priority_order":["WHATSAPP","SMS"]`), "channel_priority_order has a channel the app isn't configured for"},
		{"a callback that is no web address", with(`,"callback_url":"here"`), "callback_url must be an http or https URL"},
		{"an unknown field", with(`,"idempotency_key":"x"`), "idempotency_key is unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startConversation(t, Options{}, &gateway{})
			got := sendConversation(t, s, tt.body)
			diff(t, "status", got.status, http.StatusBadRequest)
			sameJSON(t, "envelope", got.body, conversationProblem(400, "INVALID_ARGUMENT", tt.message))
		})
	}
	t.Run("an unknown app is 404", func(t *testing.T) {
		s := startConversation(t, Options{}, &gateway{})
		got := sendConversation(t, s, strings.Replace(conversationBody(conversationHello), appID, "01HAPP00000000000000000001", 1))
		diff(t, "status", got.status, http.StatusNotFound)
		sameJSON(t, "envelope", got.body, conversationProblem(404, "NOT_FOUND", "the app was not found"))
	})
	t.Run("a body beyond a mebibyte is 400", func(t *testing.T) {
		s := startConversation(t, Options{}, &gateway{})
		got := sendConversation(t, s, conversationBody(`{"text_message":{"text":"`+strings.Repeat("x", maxRequest)+`"}}`))
		diff(t, "status", got.status, http.StatusBadRequest)
		sameJSON(t, "envelope", got.body, conversationProblem(400, "INVALID_ARGUMENT", "the body is too long"))
	})
}

func TestConversationFindsOutTheRestAfterItsAnswer(t *testing.T) {
	account := conversationAccount()
	account.Templates = []Template{
		{Name: "offer", Language: "en", Header: "image", Body: 1, Buttons: []string{"quick_reply", "url"}},
		{Name: "paused", Language: "en", State: "PAUSED"},
	}
	template := func(name, language, parameters string) string {
		return `{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"` + name + `","language_code":"` + language + `","parameters":{` + parameters + `}}}}}`
	}
	const header, body, reply, link = `"header[1]image.link":"https://cdn.example.net/o.jpg"`, `"body[1]text":"Ada"`, `"button[0]quick_reply[1]payload":""`, `"button[1]url[1]text":"x"`
	items := strings.TrimSuffix(strings.Repeat(`{"choice":{"title":"x"}},`, 11), ",")
	for _, tt := range []struct{ name, message, want string }{
		{"a template that fits", template("offer", "en", header+","+body+","+reply+","+link), ""},
		{"an unknown template", template("other", "en", ""), "TEMPLATE_NOT_FOUND"},
		{"an unknown language", template("offer", "sv", header+","+body+","+reply+","+link), "TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION"},
		{"a language in Provisioning's form", template("offer", "EN_US", ""), "TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION"},
		{"a missing body parameter", template("offer", "en", header+","+reply+","+link), "TEMPLATE_INSUFFICIENT_PARAMETERS"},
		{"a missing quick reply", template("offer", "en", header+","+body+","+link), "TEMPLATE_INSUFFICIENT_PARAMETERS"},
		{"a missing URL parameter", template("offer", "en", header+","+body+","+reply), "TEMPLATE_INSUFFICIENT_PARAMETERS"},
		{"a header of another kind", template("offer", "en", `"header[1]text":"x",`+body+","+reply+","+link), "BAD_REQUEST"},
		{"a parameter nobody knows", template("offer", "en", `"body.1":"x"`), "BAD_REQUEST"},
		{"a paused template", template("paused", "en", ""), "CHANNEL_REJECT"},
		{"4097 characters", `{"text_message":{"text":"` + strings.Repeat("x", 4097) + `"}}`, "BAD_REQUEST"},
		{"11 rows", `{"list_message":{"title":"x","sections":[{"items":[` + items + `]}]}}`, "BAD_REQUEST"},
		{"a file WhatsApp doesn't know", `{"media_message":{"url":"https://cdn.example.net/a.gif"}}`, "MEDIA_TYPE_UNSUPPORTED"},
		{"an explicit message without the placeholder", `{"explicit_channel_message":{"WHATSAPP":"{\"messaging_product\":\"whatsapp\",\"to\":\"46732001122\",\"text\":{\"body\":\"x\"}}"}}`, "BAD_REQUEST"},
		{"an explicit message Cloud refuses", `{"explicit_channel_message":{"WHATSAPP":"{\"messaging_product\":\"whatsapp\",\"to\":\"{{to}}\",\"type\":\"fax\"}"}}`, "BAD_REQUEST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := startConversation(t, Options{Accounts: []Account{account}}, g)
				if got := sendConversation(t, s, conversationBody(tt.message)); got.status != http.StatusOK {
					t.Fatalf("status %d: %s", got.status, got.body)
				}
				wait(time.Minute)
				want := []string{"FAILED " + tt.want}
				if tt.want == "" {
					want = []string{"SUBMIT", "QUEUED_ON_CHANNEL", "DELIVERED", "READ"}
				}
				diff(t, "statuses", g.statuses(t), want)
			})
		})
	}
}

func TestOAuthTokensAreGivenToKeys(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	s := startConversation(t, Options{}, &gateway{})
	got := askToken(t, s, keyBasic, form, "grant_type=client_credentials")
	var answer map[string]any
	decode(t, got.body, &answer)
	diff(t, "status", got.status, http.StatusOK)
	token, _ := answer["access_token"].(string)
	diff(t, "body", answer, map[string]any{"access_token": token, "expires_in": 3599.0, "scope": "", "token_type": "bearer"})
	for _, tt := range []struct {
		name, authorization, contentType, body string
		status                                 int
		code                                   string
	}{
		{"a wrong secret", "Basic a2V5LTE6d3Jvbmc=", form, "grant_type=client_credentials", 401, "invalid_client"},
		{"no credentials", "", form, "grant_type=client_credentials", 401, "invalid_client"},
		{"no grant", keyBasic, form, "", 400, "invalid_request"},
		{"another grant", keyBasic, form, "grant_type=password", 400, "unsupported_grant_type"},
		{"JSON", keyBasic, "application/json", `{"grant_type":"client_credentials"}`, 400, "invalid_request"},
	} {
		got := askToken(t, s, tt.authorization, tt.contentType, tt.body)
		diff(t, tt.name, got.status, tt.status)
		sameJSON(t, tt.name, got.body, `{"error":"`+tt.code+`"}`)
	}
}

func TestTheTokenServerIsABucketOf30(t *testing.T) {
	now := time.Now()
	s := startConversation(t, Options{Now: func() time.Time { return now }}, &gateway{})
	ask := func() answer {
		return askToken(t, s, keyBasic, "application/x-www-form-urlencoded", "grant_type=client_credentials")
	}
	for range 30 {
		diff(t, "within", ask().status, http.StatusOK)
	}
	got := ask()
	diff(t, "beyond", []any{got.status, got.header.Get("Retry-After")}, []any{http.StatusTooManyRequests, ""})
	now = now.Add(100 * time.Millisecond)
	diff(t, "a tenth of a second later", []int{ask().status, ask().status}, []int{200, 429})
}

func TestConversationTokensLiveAndDie(t *testing.T) {
	now := time.Now()
	s := startConversation(t, Options{Now: func() time.Time { return now }, TokenLife: time.Minute}, &gateway{})
	send := func(token string) answer {
		return conversationCall(t, s, http.MethodPost, conversationPath, "Bearer "+token, conversationBody(conversationHello))
	}
	token := accessToken(t, s)
	diff(t, "a fresh token", send(token).status, http.StatusOK)
	stale := func(what string) {
		t.Helper()
		got := send(token)
		diff(t, what, got.status, http.StatusUnauthorized)
		diff(t, what, got.header.Get("WWW-Authenticate"), `Bearer error="invalid_token", error_description="token expired"`)
		sameJSON(t, what, got.body, conversationProblem(401, "UNAUTHENTICATED", "token expired"))
	}
	now = now.Add(time.Minute)
	stale("after its time")
	token = accessToken(t, s)
	diff(t, "a new token", send(token).status, http.StatusOK)
	fault(t, s, `{"fault":"expire_tokens"}`)
	stale("made stale")
	diff(t, "the next one", send(accessToken(t, s)).status, http.StatusOK)
}

func TestConversationRefusesCredentials(t *testing.T) {
	other := conversationAccount()
	other.ID, other.ProjectID, other.KeyID, other.KeySecret = "other", "other-project", "key-2", "secret-2"
	s := startConversation(t, Options{Accounts: []Account{conversationAccount(), other}}, &gateway{})
	token := accessToken(t, s)
	for _, tt := range []struct {
		name, path, authorization string
		status                    int
		code, message             string
	}{
		{"no credentials", conversationPath, "", 401, "UNAUTHENTICATED", "the credentials are missing or invalid"},
		{"a token nobody gave", conversationPath, "Bearer jwt-1", 401, "UNAUTHENTICATED", "the credentials are missing or invalid"},
		{"a wrong secret", conversationPath, "Basic a2V5LTE6d3Jvbmc=", 401, "UNAUTHENTICATED", "the credentials are missing or invalid"},
		{"an unknown project", "/v1/projects/none/messages:send", "Bearer " + token, 404, "NOT_FOUND", "the project was not found"},
		{"another project", "/v1/projects/other-project/messages:send", "Bearer " + token, 403, "PERMISSION_DENIED", "the key is of another project"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := conversationCall(t, s, http.MethodPost, tt.path, tt.authorization, conversationBody(conversationHello))
			diff(t, "status", got.status, tt.status)
			sameJSON(t, "envelope", got.body, conversationProblem(tt.status, tt.code, tt.message))
			if strings.Contains(got.header.Get("WWW-Authenticate"), "expired") {
				t.Error("the answer says expired")
			}
		})
	}
}

func TestConversationAnswersFaultsInItsOwnWords(t *testing.T) {
	for name, want := range map[string]string{
		`{"fault":"throttle","retry_after_s":2,"count":1}`: `429 2 ` + conversationProblem(429, "RESOURCE_EXHAUSTED", "too many requests"),
		`{"fault":"pair_limit","count":1}`:                 `429  ` + conversationProblem(429, "RESOURCE_EXHAUSTED", "too many requests"),
		`{"fault":"server_error","count":1}`:               `503  ` + conversationProblem(503, "UNAVAILABLE", "the service is unavailable"),
		`{"fault":"server_error","status":500,"count":1}`:  `500  ` + conversationProblem(500, "INTERNAL_ERROR", "internal error"),
		`{"fault":"wrong_token","count":1}`:                `401  ` + conversationProblem(401, "UNAUTHENTICATED", "the credentials are missing or invalid"),
		`{"fault":"error","code":403,"count":1}`:           `403  ` + conversationProblem(403, "PERMISSION_DENIED", "BILLING_CREDIT_LIMIT_BREACHED"),
		`{"fault":"error","code":501,"count":1}`:           `501  ` + conversationProblem(501, "UNIMPLEMENTED", "not implemented"),
		`{"fault":"id_missing","count":1}`:                 `200  {"accepted_time":"2026-01-02T03:04:05.678Z"}`,
	} {
		now := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
		s := startConversation(t, Options{Now: func() time.Time { return now }}, &gateway{})
		fault(t, s, name)
		got := sendConversation(t, s, conversationBody(conversationHello))
		diff(t, name, fmt.Sprintf("%d %s %s", got.status, got.header.Get("Retry-After"), got.body), want)
		diff(t, "afterwards", sendConversation(t, s, conversationBody(conversationHello)).status, http.StatusOK)
	}
}

func TestConversationReportsTheReasonOfAFault(t *testing.T) {
	for name, want := range map[string]string{
		`{"fault":"callbacks_failed"}`:                                      `{"code":"CHANNEL_FAILURE","description":"Something went wrong","sub_code":"UNSPECIFIED_SUB_CODE","channel_code":"131000"}`,
		`{"fault":"callbacks_failed","code":131047}`:                        `{"code":"OUTSIDE_ALLOWED_SENDING_WINDOW","description":"Re-engagement message","sub_code":"UNSPECIFIED_SUB_CODE","channel_code":"131047"}`,
		`{"fault":"callbacks_failed","reason":"CHANNEL_BAD_CONFIGURATION"}`: `{"code":"CHANNEL_BAD_CONFIGURATION","description":"CHANNEL_BAD_CONFIGURATION","sub_code":"INACTIVE_SENDER"}`,
		`{"fault":"callbacks_failed","code":999}`:                           `{"code":"UNKNOWN","description":"UNKNOWN","sub_code":"UNSPECIFIED_SUB_CODE","channel_code":"999"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{}
			s := startConversation(t, Options{}, g)
			fault(t, s, name)
			sendConversation(t, s, conversationBody(conversationHello))
			wait(time.Minute)
			var callback struct {
				Report struct{ Reason json.RawMessage } `json:"message_delivery_report"`
			}
			decode(t, string(g.received()[0].body), &callback)
			sameJSON(t, name, string(callback.Report.Reason), want)
		})
	}
}

func TestConversationHoldsTheProjectsRate(t *testing.T) {
	second := conversationAccount()
	second.ID, second.AppID = "second", "01HAPP00000000000000000002"
	now := time.Now()
	s := startConversation(t, Options{Accounts: []Account{conversationAccount(), second}, ProjectRate: 4, Now: func() time.Time { return now }}, &gateway{})
	for range 2 {
		diff(t, "first app", sendConversation(t, s, conversationBody(conversationHello)).status, http.StatusOK)
		diff(t, "second app", sendConversation(t, s, strings.Replace(conversationBody(conversationHello), appID, second.AppID, 1)).status, http.StatusOK)
	}
	got := sendConversation(t, s, conversationBody(conversationHello))
	diff(t, "beyond", got.status, http.StatusTooManyRequests)
	sameJSON(t, "beyond", got.body, conversationProblem(429, "RESOURCE_EXHAUSTED", "too many requests"))
	now = now.Add(time.Second)
	diff(t, "a second later", sendConversation(t, s, conversationBody(conversationHello)).status, http.StatusOK)
	diff(t, "accepted by the second", s.stats().Accounts[1].Accepted, int64(2))
}

// TestTheConversationSignatureVector takes the reference's bytes.
func TestTheConversationSignatureVector(t *testing.T) {
	const body = `{"app_id":"01HAPP00000000000000000000","project_id":"11111111-2222-3333-4444-555555555555","message_delivery_report":{"message_id":"01HMSG00000000000000000000","status":"DELIVERED","channel_identity":{"channel":"WHATSAPP","identity":"46732001122","app_id":""},"metadata":"gw-0001","processing_mode":"DISPATCH"}}`
	diff(t, "length", len(body), 311)
	diff(t, "signature", conversationSignature("gateway-test-secret", []byte(body), "01HNONCE000000000000000000", "1760000000"), "gL9yqzVzzRpXyOicM9psmOwYK2jLfjhdAd5SPrFPOuk=")
}

func TestConversationCallbacksLookAsDocumented(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := conversationAccount()
		account.Retention = 24 * time.Hour
		g := &gateway{}
		s := startConversation(t, Options{Accounts: []Account{account}, Callbacks: CallbackOptions{Batch: 10}}, g)
		id := ulid.FindString(sendConversation(t, s, conversationTo("46732001122", conversationHello, `,"correlation_id":"c-1"`)).body)
		fault(t, s, `{"fault":"callbacks_none"}`)
		wait(time.Minute)
		calls := g.received()
		if len(calls) != 4 {
			t.Fatalf("%d callbacks", len(calls))
		}
		const identity = `"channel_identity":{"channel":"WHATSAPP","identity":"46732001122","app_id":""}`
		envelope := func(at, payload string) string {
			return `{"app_id":"` + appID + `","project_id":"` + projectID + `","accepted_time":"` + at + `","event_time":"` + at + `","correlation_id":"c-1",` + payload + `}`
		}
		sameJSON(t, "submit", string(calls[0].body), envelope("2000-01-01T00:00:00.050Z", `"message_submit_notification":{"message_id":"`+id+`","conversation_id":"",`+identity+`,"contact_id":"",
			"submitted_message":{"text_message":{"text":"Hello"}},"metadata":"gw-0001","processing_mode":"DISPATCH"}`))
		for i, status := range []string{"QUEUED_ON_CHANNEL", "DELIVERED", "READ"} {
			at := []string{"150", "300", "600"}[i]
			sameJSON(t, status, string(calls[i+1].body), envelope("2000-01-01T00:00:00."+at+"Z", `"message_delivery_report":{"message_id":"`+id+`","conversation_id":"","status":"`+status+`",`+identity+`,"contact_id":"","metadata":"gw-0001","processing_mode":"DISPATCH"}`))
		}
		checkConversationSignature(t, calls[0], "gateway-test-secret")

		control(t, s, http.MethodPost, "/inbound", `{"account":"conversation","from":"46732001122","text":"STOP","id":"01HIN000000000000000000000"}`, nil)
		wait(time.Second)
		sameJSON(t, "inbound", string(g.received()[4].body), `{"app_id":"`+appID+`","project_id":"`+projectID+`","accepted_time":"2000-01-01T00:01:00.000Z","event_time":"2000-01-01T00:01:00.000Z",
			"message":{"id":"01HIN000000000000000000000","direction":"TO_APP","contact_message":{"text_message":{"text":"STOP"}},`+identity+`,"conversation_id":"","contact_id":"","metadata":"",
			"accept_time":"2000-01-01T00:01:00.000Z","sender_id":"s-1","processing_mode":"DISPATCH","injected":false}}`)
	})
}

func checkConversationSignature(t *testing.T, c call, secret string) {
	t.Helper()
	h := c.header
	nonce, at := h.Get("x-sinch-webhook-signature-nonce"), h.Get("x-sinch-webhook-signature-timestamp")
	diff(t, "algorithm", h.Get("x-sinch-webhook-signature-algorithm"), "HmacSHA256")
	diff(t, "timestamp", at, fmt.Sprint(c.at.Unix()))
	diff(t, "signature", h.Get("x-sinch-webhook-signature"), conversationSignature(secret, c.body, nonce, at))
	if nonce == "" {
		t.Error("no nonce")
	}
}

func TestConversationCallbacksToTheRequestsURLHaveTheirOwnSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := conversationAccount()
		account.OverrideSecret = "for-overridden"
		g := &gateway{}
		s := startConversation(t, Options{Accounts: []Account{account}, Delays: &Delays{Sent: time.Second}}, g)
		sendConversation(t, s, conversationTo("46732001122", conversationHello, `,"callback_url":"http://gateway.test/here/m-1"`))
		wait(time.Minute)
		c := g.received()[0]
		diff(t, "URL", c.url, "http://gateway.test/here/m-1")
		checkConversationSignature(t, c, "for-overridden")
	})
}

func TestConversationListsWhatItKeeps(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	account := conversationAccount()
	account.Retention = time.Hour
	account.CallbackURL = "" // callbacks would look at the clock while it is set
	s := startConversation(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	var ids []string
	for i, to := range []string{"46732001122", "46732001133", "46732001122", "46732001122"} {
		ids = append(ids, ulid.FindString(sendConversation(t, s, strings.Replace(conversationTo(to, conversationHello, ""), "gw-0001", fmt.Sprint("gw-", i), 1)).body))
		now = now.Add(time.Minute)
	}
	list := func(query string) answer {
		return conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/messages?"+query, keyBasic, "")
	}
	element := func(i int, to, at string) string {
		return fmt.Sprintf(`{"id":%q,"direction":"TO_CONTACT","channel_identity":{"channel":"WHATSAPP","identity":%q,"app_id":""},"conversation_id":"","contact_id":"","metadata":"gw-%d","accept_time":%q,"processing_mode":"DISPATCH"}`, ids[i], to, i, at)
	}
	const reference = "app_id=" + appID + "&channel=WHATSAPP&channel_identity=46732001122&direction=TO_CONTACT&messages_source=DISPATCH_SOURCE&start_time=2026-01-02T03%3A03%3A00Z&end_time=2026-01-02T03%3A06%3A00Z&page_size=1000&view=WITH_METADATA"
	sameJSON(t, "the reference's question", list(reference).body, `{"messages":[`+element(0, "46732001122", "2026-01-02T03:04:05.000Z")+`],"next_page_token":""}`)
	sameJSON(t, "the first page", list("messages_source=DISPATCH_SOURCE&page_size=2").body,
		`{"messages":[`+element(0, "46732001122", "2026-01-02T03:04:05.000Z")+`,`+element(1, "46732001133", "2026-01-02T03:05:05.000Z")+`],"next_page_token":"2"}`)
	sameJSON(t, "the last page", list("messages_source=DISPATCH_SOURCE&page_size=2&page_token=2").body,
		`{"messages":[`+element(2, "46732001122", "2026-01-02T03:06:05.000Z")+`,`+element(3, "46732001122", "2026-01-02T03:07:05.000Z")+`],"next_page_token":""}`)
	const none = `{"messages":[],"next_page_token":""}`
	sameJSON(t, "the default source", list("app_id="+appID).body, none)
	for _, query := range []string{"page_size=0", "page_size=1001", "start_time=today", "page_token=x", "colour=red"} {
		diff(t, query, list(query).status, http.StatusBadRequest)
	}
	now = now.Add(time.Hour)
	sameJSON(t, "after the retention", list(reference).body, none)

	s = startConversation(t, Options{}, &gateway{})
	sendConversation(t, s, conversationBody(conversationHello))
	sameJSON(t, "without retention, as by default", list("messages_source=DISPATCH_SOURCE").body, none)
	got := conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/apps/"+appID, keyBasic, "")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"rate_limits":{"inbound":25,"outbound":25,"webhooks":25}`) {
		t.Errorf("app: %d %s", got.status, got.body)
	}
	diff(t, "another app", conversationCall(t, s, http.MethodGet, "/v1/projects/"+projectID+"/apps/x", keyBasic, "").status, http.StatusNotFound)
}

func TestConversationRecipientsThatMisbehave(t *testing.T) {
	all := []string{"SUBMIT", "QUEUED_ON_CHANNEL", "DELIVERED", "READ"}
	for _, tt := range []struct {
		digits  string
		answers []int
		want    []string
	}{
		{"0001", []int{200}, all[:3]},
		{"0002", []int{200}, []string{"SUBMIT", "QUEUED_ON_CHANNEL", "READ"}},
		{"0003", []int{200}, []string{"SUBMIT", "FAILED RECIPIENT_NOT_REACHABLE"}},
		{"0004", []int{200}, []string{"SUBMIT", "FAILED OUTSIDE_ALLOWED_SENDING_WINDOW"}},
		{"0005", []int{200}, []string{"SUBMIT", "FAILED DELIVERY_REJECTED_DUE_TO_POLICY"}},
		{"0006", []int{200}, []string{"SUBMIT", "FAILED RECIPIENT_NOT_OPTED_IN"}},
		{"0007", []int{200}, all[:2]},
		{"0008", []int{200}, []string{"SUBMIT", "QUEUED_ON_CHANNEL", "DELIVERED", "FAILED CHANNEL_FAILURE"}},
		{"0009", []int{200}, []string{"READ", "READ", "DELIVERED", "DELIVERED", "QUEUED_ON_CHANNEL", "QUEUED_ON_CHANNEL", "SUBMIT", "SUBMIT"}},
		{"0010", []int{200}, []string{"SUBMIT", "FAILED CHANNEL_REJECT"}},
		{"0011", []int{503, 503, 200}, all},
		{"0013", []int{200}, all},
		{"0015", []int{429, 200}, all},
		{"0016", []int{429, 200}, all},
	} {
		t.Run(tt.digits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := startConversation(t, Options{}, g)
				var answers []int
				for range tt.answers {
					answers = append(answers, sendConversation(t, s, conversationTo("4673200"+tt.digits, conversationHello, "")).status)
				}
				wait(time.Minute)
				diff(t, "answers", answers, tt.answers)
				diff(t, "statuses", g.statuses(t), tt.want)
				if tt.digits == "0013" && !strings.Contains(string(g.received()[0].body), `"identity":"`+otherNumber("46732000013")+`"`) {
					t.Errorf("identity in %s", g.received()[0].body)
				}
			})
		})
	}
}

func TestConversationTriesEveryCallbackThatWasntTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(n int, _ *http.Request) (int, string) { return []int{401, 500, 204}[min(n, 3)-1], "" }}
		s := startConversation(t, Options{Delays: &Delays{Sent: time.Millisecond}}, g)
		sendConversation(t, s, conversationBody(conversationHello))
		wait(time.Hour)
		diff(t, "stats", s.stats().Callbacks, CallbackStats{Taken: 1, Retried: 2})
	})
}
