package simulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func startOnPrem(t *testing.T, o Options, g *gateway) *Simulator {
	t.Helper()
	if o.Accounts == nil {
		o.Accounts = []Account{onPremAccount()}
	}
	return start(t, o, g)
}

func sendOnPrem(t *testing.T, s *Simulator, body string) answer {
	t.Helper()
	return do(t, s, request(t, "/v1/messages", "OPTOKEN", body))
}

func onPremBody(members string) string {
	return `{"recipient_type":"individual","to":"250788123123",` + members + `}`
}

func onPremTextTo(to string) string {
	return `{"recipient_type":"individual","to":"` + to + `","type":"text","text":{"body":"Simple Message"}}`
}

// onPremMetaJSON is in every answer.
const onPremMetaJSON = `"meta":{"version":"v2.45.1","api_status":"stable"}`

func onPremProblem(code int, title, details string) string {
	if details != "" {
		details = fmt.Sprintf(`,"details":%q`, details)
	}
	return fmt.Sprintf(`{"errors":[{"code":%d,"title":%q%s}],%s}`, code, title, details, onPremMetaJSON)
}

func TestOnPremTakesWhatTheReferenceShows(t *testing.T) {
	for name, body := range map[string]string{
		"text":           onPremTextTo("250788123123"),
		"preview":        onPremBody(`"type":"text","preview_url":true,"text":{"body":"See https://example.com"}`),
		"without a type": `{"to":"250788123123","text":{"body":"x"}}`,
		"image by id":    onPremBody(`"type":"image","image":{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68","caption":"hi"}`),
		"document":       onPremBody(`"type":"document","document":{"link":"https://foo.bar/document.pdf","caption":"document caption","filename":"document.pdf"}`),
		"by a provider":  onPremBody(`"type":"image","image":{"link":"https://foo.bar/a.jpg","provider":{"name":"cdn-a"}}`),
		"audio":          onPremBody(`"type":"audio","audio":{"link":"https://foo.bar/a.ogg"}`),
		"sticker":        onPremBody(`"type":"sticker","sticker":{"link":"https://foo.bar/a.webp"}`),
		"template":       onPremBody(`"type":"template","template":{"namespace":"waba_namespace","name":"revive_issue","language":{"policy":"deterministic","code":"en_US"},"components":[{"type":"body","parameters":[{"type":"text","text":"Chef"},{"type":"text","text":"tomorrow"}]}]}`),
		"buttons":        onPremBody(`"type":"interactive","interactive":{"type":"button","body":{"text":"Pick one"},"action":{"buttons":[{"type":"reply","reply":{"id":"0","title":"BUTTON1"}}]}}`),
		"product":        onPremBody(`"type":"interactive","interactive":{"type":"product","action":{"catalog_id":"c","product_retailer_id":"p"}}`),
		"products":       onPremBody(`"type":"interactive","interactive":{"type":"product_list","header":{"type":"text","text":"H"},"body":{"text":"B"},"action":{"catalog_id":"c","sections":[{"title":"S","product_items":[{"product_retailer_id":"p"}]}]}}`),
		"location":       onPremBody(`"type":"location","location":{"longitude":-122.425332,"latitude":37.758056,"name":"HQ","address":"1 Hacker Way"}`),
		"contacts":       onPremBody(`"type":"contacts","contacts":[{"name":{"formatted_name":"Ada Byron"},"phones":[{"phone":"+46700000001","type":"WORK"}]}]`),
		"reply":          onPremBody(`"context":{"message_id":"ABGG1"},"type":"text","text":{"body":"x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := startOnPrem(t, Options{AnyFile: true}, &gateway{})
			if got := sendOnPrem(t, s, body); got.status != http.StatusCreated {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestOnPremAnswersAcceptanceAsDocumented(t *testing.T) {
	s := startOnPrem(t, Options{}, &gateway{})
	var answer struct{ Messages []struct{ ID string } }
	got := sendOnPrem(t, s, onPremTextTo("250788123123"))
	decode(t, got.body, &answer)
	id := answer.Messages[0].ID
	diff(t, "status", got.status, http.StatusCreated)
	sameJSON(t, "body", got.body, `{"messages":[{"id":"`+id+`"}],`+onPremMetaJSON+`}`)
	if strings.HasPrefix(id, "wamid") || !strings.HasPrefix(id, "gBGG") || len(id) > 64 {
		t.Errorf("id %s", id)
	}
	got = sendOnPrem(t, s, onPremTextTo("5511987650013"))
	decode(t, got.body, &answer)
	sameJSON(t, "…0013", got.body, `{"contacts":[{"input":"5511987650013","wa_id":"551198760013"}],"messages":[{"id":"`+answer.Messages[0].ID+`"}],`+onPremMetaJSON+`}`)
}

func TestOnPremRefusesWhatBreaksTheReference(t *testing.T) {
	long := strings.Repeat("x", 5000)
	template := func(members string) string { return onPremBody(`"type":"template","template":{` + members + `}`) }
	list := func(sections string) string {
		return onPremBody(`"type":"interactive","interactive":{"type":"list","body":{"text":"?"},"action":{"button":"b","sections":[` + sections + `]}}`)
	}
	const (
		missing     = "Required parameter is missing"
		invalid     = "Parameter value is not valid"
		notRequired = "Parameter is not required"
		language    = `"language":{"policy":"deterministic","code":"en_US"}`
	)
	for _, tt := range []struct {
		name, body     string
		status, code   int
		title, details string
	}{
		{"no JSON", `{"to`, 400, 1025, "Request is not valid", "the body is not a JSON object"},
		{"Cloud's product", onPremBody(`"messaging_product":"whatsapp","type":"text","text":{"body":"x"}`), 400, 1010, notRequired, "messaging_product is not required"},
		{"an unknown field", onPremBody(`"type":"text","text":{"body":"x"},"ttl":{}`), 400, 1010, notRequired, "ttl is unknown"},
		{"Cloud's place of the preview", onPremBody(`"type":"text","text":{"body":"x","preview_url":true}`), 400, 1010, notRequired, "text.preview_url is unknown"},
		{"a recipient with +", onPremTextTo("+250788123123"), 400, 1009, invalid, "to must be a WhatsApp id: digits only"},
		{"no recipient", `{"type":"text","text":{"body":"x"}}`, 400, 1008, missing, "to can not be empty"},
		{"a group", `{"recipient_type":"group","to":"250788123123","text":{"body":"x"}}`, 400, 1002, "Invalid recipient type", "recipient_type must be individual"},
		{"the sender itself", onPremTextTo("16315551000"), 400, 1021, "Bad user", "to is the sender"},
		{"4097 characters", onPremBody(`"type":"text","text":{"body":"` + long[:4097] + `"}`), 400, 1001, "Message too long", "text.body must have at most 4096 characters"},
		{"an empty text", onPremBody(`"type":"text","text":{"body":""}`), 400, 1008, missing, "text.body can not be empty"},
		{"an unknown type", onPremBody(`"type":"fax"`), 400, 1009, invalid, "type is none of the types"},
		{"a Cloud-only kind of interactive", onPremBody(`"type":"interactive","interactive":{"type":"cta_url","body":{"text":"x"},"action":{"name":"cta_url"}}`), 400, 1009, invalid, "interactive.type must be one of button, list, product, product_list"},
		{"eleven sections", list(strings.Repeat(`{"title":"s","rows":[]},`, 10) + `{"title":"s","rows":[]}`), 400, 2015, "Invalid number of sections", "interactive.action.sections must have 1 to 10 entries, has 11"},
		{"a section without rows", list(`{"title":"s","rows":[]}`), 400, 2016, "Invalid number of rows", "interactive.action.sections[0].rows can not be empty"},
		{"a picture above a list", onPremBody(`"type":"interactive","interactive":{"type":"list","header":{"type":"image","image":{"link":"https://foo.bar/a.jpg"}},"body":{"text":"?"},"action":{"button":"b","sections":[{"rows":[{"id":"1","title":"x"}]}]}}`), 400, 2036, "Invalid header structure", "interactive.header.type must be text above a list"},
		{"a template without a namespace", template(`"name":"a",` + language), 400, 1008, missing, "template.namespace can not be empty"},
		{"a template with an empty namespace", template(`"namespace":"","name":"a",` + language), 400, 2014, "Expected namespace is empty", "template.namespace can not be empty"},
		{"a template of another namespace", template(`"namespace":"other","name":"a",` + language), 400, 1009, invalid, "template.namespace is not the namespace of the account's templates"},
		{"a template without a policy", template(`"namespace":"waba_namespace","name":"a","language":{"code":"en_US"}`), 400, 1008, missing, "template.language.policy can not be empty"},
		{"a parameter of two lines", template(`"namespace":"waba_namespace","name":"a",` + language + `,"components":[{"type":"body","parameters":[{"type":"text","text":"a\nb"}]}]`), 400, 2006, "White-space policy violated", "template.components must not have newlines, tabs or four blanks in a row in parameters"},
		{"a file that was never uploaded", onPremBody(`"type":"image","image":{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68"}`), 404, 1006, "Resource not found", "media not found"},
		{"a caption on audio", onPremBody(`"type":"audio","audio":{"link":"https://foo.bar/a.ogg","caption":"x"}`), 400, 1010, notRequired, "audio.caption is unknown"},
		{"a provider of an uploaded file", onPremBody(`"type":"image","image":{"id":"1","provider":{"name":"a"}}`), 400, 1010, notRequired, "image.provider is possible only with link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startOnPrem(t, Options{}, &gateway{})
			got := sendOnPrem(t, s, tt.body)
			diff(t, "status", got.status, tt.status)
			sameJSON(t, "envelope", got.body, onPremProblem(tt.code, tt.title, tt.details))
		})
	}
}

var onPremDeniedJSON = onPremProblem(1005, "Access denied", "Invalid credentials.")

// onPremCall makes any call with any Authorization.
func onPremCall(t *testing.T, s *Simulator, method, path, authorization, body string) answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if key, isKey := strings.CutPrefix(authorization, "D360 "); isKey {
		req.Header.Set("D360-API-KEY", key)
	} else {
		req.Header.Set("Authorization", authorization)
	}
	return do(t, s, req)
}

// login is a token of a login, with when it expires.
func login(t *testing.T, s *Simulator) (token, expires string) {
	t.Helper()
	got := onPremCall(t, s, http.MethodPost, "/v1/users/login", "Basic Z2F0ZXdheTpTdHIwbmchUGFzcw==", "")
	var answer struct {
		Users []struct {
			Token   string
			Expires string `json:"expires_after"`
		}
	}
	decode(t, got.body, &answer)
	if got.status != http.StatusOK || len(answer.Users) != 1 {
		t.Fatalf("login: %d %s", got.status, got.body)
	}
	return answer.Users[0].Token, answer.Users[0].Expires
}

func TestOnPremTokensLiveAndDie(t *testing.T) {
	now := time.Date(2018, 2, 22, 15, 29, 26, 0, time.UTC)
	s := startOnPrem(t, Options{Now: func() time.Time { return now }}, &gateway{})
	send := func(token string) int {
		return onPremCall(t, s, http.MethodPost, "/v1/messages", "Bearer "+token, onPremTextTo("250788123123")).status
	}
	first, expires := login(t, s)
	diff(t, "expires_after is no RFC 3339", expires, "2018-03-01 15:29:26+00:00")
	now = now.Add(time.Hour)
	second, _ := login(t, s)
	diff(t, "the older token is still good", []int{send(first), send(second)}, []int{201, 201})

	now = now.Add(7*24*time.Hour - time.Hour)
	diff(t, "after seven days the older is gone", []int{send(first), send(second)}, []int{401, 201})
	fault(t, s, `{"fault":"expire_tokens","account":"onprem"}`)
	got := onPremCall(t, s, http.MethodPost, "/v1/messages", "Bearer "+second, onPremTextTo("250788123123"))
	diff(t, "a token made stale", got.status, http.StatusUnauthorized)
	sameJSON(t, "envelope", got.body, onPremDeniedJSON)
	var faults struct{ Faults []Fault }
	control(t, s, http.MethodGet, "/faults", "", &faults)
	diff(t, "no fault stays in force", len(faults.Faults), 0)
	third, _ := login(t, s)
	diff(t, "a new login", send(third), 201)
	diff(t, "a static token", send("OPTOKEN"), 201)

	fourth, _ := login(t, s)
	got = onPremCall(t, s, http.MethodPost, "/v1/users/logout", "Bearer "+third, "")
	diff(t, "logout", got.status, http.StatusOK)
	sameJSON(t, "logout", got.body, `{`+onPremMetaJSON+`}`)
	diff(t, "logout ends all logins of the user", []int{send(third), send(fourth)}, []int{401, 401})
	diff(t, "a second logout", onPremCall(t, s, http.MethodPost, "/v1/users/logout", "Bearer "+third, "").status, http.StatusUnauthorized)
}

func TestOnPremTokensOfTwoAccountsAreApart(t *testing.T) {
	other := onPremAccount()
	other.ID, other.Username, other.Token, other.APIKey, other.MonitorKey = "other", "second", "", "", ""
	s := startOnPrem(t, Options{Accounts: []Account{onPremAccount(), other}, LogoutOne: true, TokenLife: time.Hour}, &gateway{})
	first, _ := login(t, s)
	second, _ := login(t, s)
	fault(t, s, `{"fault":"expire_tokens","account":"other"}`)
	onPremCall(t, s, http.MethodPost, "/v1/users/logout", "Bearer "+first, "")
	var got []int
	for _, token := range []string{first, second} {
		got = append(got, onPremCall(t, s, http.MethodPost, "/v1/messages", "Bearer "+token, onPremTextTo("250788123123")).status)
	}
	diff(t, "logout of one token, with the switch", got, []int{401, 201})
}

func TestOnPremTellsAccountsByTheirCredentials(t *testing.T) {
	var accounts []Account
	for _, name := range []string{"a", "b", "c"} {
		accounts = append(accounts, Account{ID: name, Dialect: WhatsAppOnPrem, Number: "1631555100" + name})
	}
	accounts[0].Username, accounts[0].Password = "user-a", "Passw0rd!"
	accounts[1].Token, accounts[2].APIKey = "TOKEN-B", "KEY-C"
	s := startOnPrem(t, Options{Accounts: append(accounts, Account{ID: "nobody", Dialect: WhatsAppOnPrem}, Account{ID: "twin", Dialect: WhatsAppOnPrem, APIKey: "KEY-C"})}, &gateway{})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/users/login", nil)
	req.SetBasicAuth("user-a", "Passw0rd!")
	var answer struct{ Users []struct{ Token string } }
	decode(t, do(t, s, req).body, &answer)
	for _, credential := range []string{"Bearer " + answer.Users[0].Token, "Bearer TOKEN-B", "D360 KEY-C"} {
		diff(t, "status", onPremCall(t, s, http.MethodPost, "/v1/messages", credential, onPremTextTo("250788123123")).status, http.StatusCreated)
	}
	var page Page
	control(t, s, http.MethodGet, "/messages", "", &page)
	var got []string
	for _, e := range page.Messages {
		got = append(got, e.Account)
	}
	diff(t, "accounts", got, []string{"a", "b", "c"})
	diff(t, "without credentials or with another's there is no account", len(s.accounts), 3)
}

func TestOnPremRefusesCredentials(t *testing.T) {
	s := startOnPrem(t, Options{}, &gateway{})
	for _, tt := range []struct{ name, method, path, authorization string }{
		{"no credentials", http.MethodPost, "/v1/messages", ""},
		{"an unknown token", http.MethodPost, "/v1/messages", "Bearer stale"},
		{"an unknown key", http.MethodPost, "/v1/messages", "D360 other"},
		{"the monitoring key elsewhere", http.MethodPost, "/v1/messages", "Apikey monitor-key-123"},
		{"the monitoring key as a token", http.MethodGet, "/v1/health", "Bearer monitor-key-123"},
		{"metrics without credentials", http.MethodGet, "/metrics", ""},
		{"metrics with another monitoring key", http.MethodGet, "/metrics", "Apikey monitor-key-124"},
		{"a wrong password", http.MethodPost, "/v1/users/login", "Basic Z2F0ZXdheTp3cm9uZw=="},
		{"an unknown user", http.MethodPost, "/v1/users/login", "Basic YWRtaW46c2VjcmV0"},
		{"a login with a token", http.MethodPost, "/v1/users/login", "Bearer OPTOKEN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := onPremCall(t, s, tt.method, tt.path, tt.authorization, "")
			diff(t, "status", got.status, http.StatusUnauthorized)
			sameJSON(t, "envelope", got.body, onPremDeniedJSON)
		})
	}
}

func TestOnPremFirstLoginChangesThePassword(t *testing.T) {
	account := onPremAccount()
	account.Username, account.Password, account.FirstLogin = "admin", "secret", true
	s := startOnPrem(t, Options{Accounts: []Account{account}}, &gateway{})
	with := func(password, body string) answer {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/users/login", strings.NewReader(body))
		req.SetBasicAuth("admin", password)
		return do(t, s, req)
	}
	got := with("secret", "")
	diff(t, "without a new password", got.status, http.StatusUnauthorized)
	sameJSON(t, "without a new password", got.body, onPremProblem(1024, "Password change required", ""))
	for _, weak := range []string{"Sh0rt!", "n3w-passw0rd!", "N3W-PASSW0RD!", "New-Password!", "N3wPassw0rd", strings.Repeat("Aa1!", 17)} {
		got = with("secret", `{"new_password":"`+weak+`"}`)
		diff(t, weak, got.status, http.StatusBadRequest)
		sameJSON(t, weak, got.body, onPremProblem(1009, "Parameter value is not valid", "new_password must have 8 to 64 characters, among them a digit, an upper and a lower case letter and a special character"))
	}
	diff(t, "with a new password", with("secret", `{"new_password":"N3w-Passw0rd!"}`).status, http.StatusOK)
	diff(t, "the old password", with("secret", "").status, http.StatusUnauthorized)
	control(t, s, http.MethodPost, "/reset", "", nil)
	diff(t, "the new password, even after a reset", with("N3w-Passw0rd!", "").status, http.StatusOK)
}

func TestOnPremResolvesContacts(t *testing.T) {
	ask := func(t *testing.T, s *Simulator, body string) answer {
		t.Helper()
		return do(t, s, request(t, "/v1/contacts", "OPTOKEN", body))
	}
	t.Run("everyone is valid since v2.43", func(t *testing.T) {
		s := startOnPrem(t, Options{}, &gateway{})
		got := ask(t, s, `{"blocking":"wait","contacts":["+1 (631) 555-1002","6315550003","5511987650013","ana"],"force_check":true}`)
		diff(t, "status", got.status, http.StatusOK)
		sameJSON(t, "body", got.body, `{"contacts":[{"input":"+1 (631) 555-1002","status":"valid","wa_id":"16315551002"},{"input":"6315550003","status":"valid","wa_id":"6315550003"},
			{"input":"5511987650013","status":"valid","wa_id":"551198760013"},{"input":"ana","status":"invalid"}],`+onPremMetaJSON+`}`)
	})
	t.Run("it can be as before", func(t *testing.T) {
		s := startOnPrem(t, Options{RealCapability: true}, &gateway{})
		sameJSON(t, "at first", ask(t, s, `{"contacts":["16315551002","16315550003"]}`).body,
			`{"contacts":[{"input":"16315551002","status":"processing"},{"input":"16315550003","status":"invalid"}],`+onPremMetaJSON+`}`)
		sameJSON(t, "later", ask(t, s, `{"contacts":["16315551002"]}`).body,
			`{"contacts":[{"input":"16315551002","status":"valid","wa_id":"16315551002"}],`+onPremMetaJSON+`}`)
	})
	t.Run("a wrong question is 400", func(t *testing.T) {
		s := startOnPrem(t, Options{}, &gateway{})
		sameJSON(t, "no contacts", ask(t, s, `{}`).body, onPremProblem(1008, "Required parameter is missing", "contacts can not be empty"))
		sameJSON(t, "blocking", ask(t, s, `{"contacts":["1"],"blocking":"maybe"}`).body, onPremProblem(1009, "Parameter value is not valid", "blocking must be one of wait, no_wait"))
	})
	t.Run("…0017 has to be resolved before it is sent to", func(t *testing.T) {
		s := startOnPrem(t, Options{}, &gateway{})
		got := sendOnPrem(t, s, onPremTextTo("250788120017"))
		diff(t, "before", got.status, http.StatusNotFound)
		sameJSON(t, "before", got.body, onPremProblem(1006, "Resource not found", "unknown contact"))
		ask(t, s, `{"blocking":"wait","contacts":["+250788120017"],"force_check":true}`)
		diff(t, "after", sendOnPrem(t, s, onPremTextTo("250788120017")).status, http.StatusCreated)
	})
}

func TestOnPremKeepsFiles(t *testing.T) {
	now := time.Now()
	other := onPremAccount()
	other.ID, other.Username, other.Token, other.APIKey, other.MonitorKey = "other", "", "OTHER", "", ""
	s := startOnPrem(t, Options{Accounts: []Account{onPremAccount(), other}, Now: func() time.Time { return now }}, &gateway{})
	upload := func(contentType, content string) answer {
		req := request(t, "/v1/media", "OPTOKEN", content)
		req.Header.Set("Content-Type", contentType)
		return do(t, s, req)
	}
	call := func(method, id, token string) answer {
		return onPremCall(t, s, method, "/v1/media/"+id, "Bearer "+token, "")
	}
	var uploaded struct{ Media []struct{ ID string } }
	got := upload("image/jpeg", "\xff\xd8 picture")
	decode(t, got.body, &uploaded)
	id := uploaded.Media[0].ID
	diff(t, "status", got.status, http.StatusCreated)
	sameJSON(t, "body", got.body, `{"media":[{"id":"`+id+`"}],`+onPremMetaJSON+`}`)
	if len(id) != 36 {
		t.Errorf("id %s is no UUID", id)
	}
	got = call(http.MethodGet, id, "OPTOKEN")
	diff(t, "download", []any{got.status, got.header.Get("Content-Type"), got.body}, []any{200, "image/jpeg", "\xff\xd8 picture"})
	got = call(http.MethodGet, id, "OTHER")
	diff(t, "another account's is 404 without a body", []any{got.status, got.body}, []any{404, ""})
	picture := onPremBody(`"type":"image","image":{"id":"` + id + `"}`)
	diff(t, "a send", sendOnPrem(t, s, picture).status, http.StatusCreated)

	now = now.Add(30 * 24 * time.Hour)
	diff(t, "a send after 30 days", sendOnPrem(t, s, picture).status, http.StatusNotFound)
	decode(t, upload("application/pdf", "%PDF").body, &uploaded)
	diff(t, "delete", call(http.MethodDelete, uploaded.Media[0].ID, "OPTOKEN").status, http.StatusOK)
	diff(t, "deleted", call(http.MethodGet, uploaded.Media[0].ID, "OPTOKEN").status, http.StatusNotFound)
	diff(t, "delete again", call(http.MethodDelete, uploaded.Media[0].ID, "OPTOKEN").status, http.StatusNotFound)
	for name, got := range map[string]answer{
		"a form":     upload("multipart/form-data; boundary=x", "--x--"),
		"no type":    upload("", "x"),
		"no content": upload("image/jpeg", ""),
	} {
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, `"code":1009`) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestOnPremTellsHealthAndNumbers(t *testing.T) {
	now := time.Now()
	s := startOnPrem(t, Options{Now: func() time.Time { return now }}, &gateway{})
	now = now.Add(90 * time.Second)
	sameJSON(t, "health", onPremCall(t, s, http.MethodGet, "/v1/health", "Apikey monitor-key-123", "").body, `{"health":{"gateway_status":"connected"},`+onPremMetaJSON+`}`)
	diff(t, "health with a token", get(t, s, "/v1/health", "OPTOKEN").status, http.StatusOK)
	sendOnPrem(t, s, onPremTextTo("250788123123"))
	for path, want := range map[string]string{
		"/v1/stats":     `"callback_queue_size":{"type":"gauge"`,
		"/v1/stats/app": `"stats":{"app":{`,
		"/v1/stats/db":  `"db_messages":{"type":"gauge","help":"Number of messages","data":[{"value":1}]}`,
	} {
		got := onPremCall(t, s, http.MethodGet, path, "Apikey monitor-key-123", "")
		if got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	sameJSON(t, "metrics", onPremCall(t, s, http.MethodGet, "/metrics", "Apikey monitor-key-123", "").body, `{"metrics":{
		"web_uptime":{"type":"gauge","help":"Seconds since the web server started","data":[{"labels":{"node":"simulator"},"value":90}]},
		"web_handled_requests":{"type":"counter","help":"Number of requests to send","data":[{"labels":{"node":"simulator"},"value":1}]},
		"web_requests":{"type":"gauge","help":"Number of requests under way","data":[{"labels":{"node":"simulator","state":"handle-request"},"value":1}]}
	},`+onPremMetaJSON+`}`)
	diff(t, "metrics as text", get(t, s, "/metrics?format=prometheus", "OPTOKEN").body, `# HELP web_handled_requests Number of requests to send
# TYPE web_handled_requests counter
web_handled_requests{node="simulator"} 1
# HELP web_requests Number of requests under way
# TYPE web_requests gauge
web_requests{node="simulator",state="handle-request"} 1
# HELP web_uptime Seconds since the web server started
# TYPE web_uptime gauge
web_uptime{node="simulator"} 90
`)
	text := get(t, s, "/v1/stats/db?format=prometheus", "OPTOKEN").body
	if want := "# HELP db_messages Number of messages\n# TYPE db_messages gauge\ndb_messages 1\n"; !strings.Contains(text, want) {
		t.Errorf("stats as text: %s", text)
	}
	diff(t, "other stats", get(t, s, "/v1/stats/web", "OPTOKEN").status, http.StatusNotFound)
	diff(t, "mark read", onPremCall(t, s, http.MethodPut, "/v1/messages/ABGG1", "Bearer OPTOKEN", `{"status":"read"}`).status, http.StatusOK)
	diff(t, "mark otherwise", onPremCall(t, s, http.MethodPut, "/v1/messages/ABGG1", "Bearer OPTOKEN", `{"status":"lost"}`).status, http.StatusBadRequest)
}

func TestOnPremLimitsWhatElseIsCalled(t *testing.T) {
	account := onPremAccount()
	account.Rate = 50
	now := time.Now()
	s := startOnPrem(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	for range 60 {
		diff(t, "burst", get(t, s, "/v1/health", "OPTOKEN").status, http.StatusOK)
	}
	got := get(t, s, "/v1/health", "OPTOKEN")
	diff(t, "beyond", got.status, http.StatusTooManyRequests)
	sameJSON(t, "envelope", got.body, onPremProblem(1015, "Too many requests", ""))
	now = now.Add(50 * time.Millisecond)
	diff(t, "a twentieth of a second later", []int{get(t, s, "/v1/health", "OPTOKEN").status, get(t, s, "/v1/health", "OPTOKEN").status}, []int{200, 429})
}

func TestOnPremAnswersFaultsWithItsOwnCodes(t *testing.T) {
	for name, want := range map[string]string{
		`{"fault":"throttle","count":1}`:                       `429 ` + onPremProblem(1015, "Too many requests", ""),
		`{"fault":"pair_limit","count":1}`:                     `429 ` + onPremProblem(1015, "Too many requests", ""),
		`{"fault":"server_error","count":1}`:                   `500 ` + onPremProblem(1000, "Generic error", ""),
		`{"fault":"server_error","code":1016,"count":1}`:       `503 ` + onPremProblem(1016, "System overloaded", ""),
		`{"fault":"wrong_token","count":1}`:                    `401 ` + onPremDeniedJSON,
		`{"fault":"error","code":1031,"count":1}`:              `403 ` + onPremProblem(1031, "Sender account locked", ""),
		`{"fault":"error","code":471,"status":400,"count":1}`:  `400 ` + onPremProblem(471, "Spam rate limit hit", ""),
		`{"fault":"error","code":1013,"status":200,"count":1}`: `200 ` + onPremProblem(1013, "User is not valid", ""),
		`{"fault":"id_missing","count":1}`:                     `201 {"messages":[],` + onPremMetaJSON + `}`,
	} {
		s := startOnPrem(t, Options{}, &gateway{})
		fault(t, s, name)
		got := sendOnPrem(t, s, onPremTextTo("250788123123"))
		diff(t, name, fmt.Sprintf("%d %s", got.status, got.body), want)
		diff(t, "afterwards", sendOnPrem(t, s, onPremTextTo("250788123123")).status, http.StatusCreated)
	}
}

func TestOnPremRecipientsThatMisbehave(t *testing.T) {
	for _, tt := range []struct {
		digits  string
		answers []int
		want    []string // without "sent", which is off
	}{
		{"0001", []int{201}, []string{"delivered"}},
		{"0002", []int{201}, []string{"read"}},
		{"0003", []int{201}, []string{"failed 1013"}},
		{"0004", []int{201}, []string{"failed 470"}},
		{"0005", []int{201}, []string{"failed 472"}},
		{"0006", []int{201}, []string{"failed 480"}},
		{"0007", []int{201}, nil},
		{"0008", []int{201}, []string{"delivered", "failed 500"}},
		{"0009", []int{201}, []string{"read", "read", "delivered", "delivered"}},
		{"0010", []int{201}, []string{"failed 2061"}},
		{"0011", []int{500, 500, 201}, []string{"delivered", "read"}},
		{"0015", []int{429, 201}, []string{"delivered", "read"}},
		{"0016", []int{429, 201}, []string{"delivered", "read"}},
	} {
		t.Run(tt.digits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := startOnPrem(t, Options{}, g)
				var answers []int
				for range tt.answers {
					answers = append(answers, sendOnPrem(t, s, onPremTextTo("25078812"+tt.digits)).status)
				}
				wait(time.Minute)
				diff(t, "answers", answers, tt.answers)
				diff(t, "statuses", g.statuses(t), tt.want)
			})
		})
	}
}

func TestOnPremCallbacksAreFlatAndUnsigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := onPremAccount()
		account.SentCallbacks = true
		g := &gateway{}
		s := startOnPrem(t, Options{Accounts: []Account{account}}, g)
		var answer struct{ Messages []struct{ ID string } }
		decode(t, sendOnPrem(t, s, onPremTextTo("12064001000")).body, &answer)
		wait(time.Minute)
		sendOnPrem(t, s, onPremTextTo("12064000004"))
		wait(time.Minute)
		diff(t, "statuses", g.statuses(t), []string{"sent", "delivered", "read", "failed 470"})
		for _, c := range g.received() {
			diff(t, "URL", c.url, "http://gateway.test/callbacks/onprem?callback_token=s3cret+token")
			for name := range c.header {
				if strings.Contains(strings.ToLower(name), "signature") {
					t.Errorf("header %s", name)
				}
			}
		}
		sameJSON(t, "read", string(g.received()[2].body), `{"statuses":[{"id":"`+answer.Messages[0].ID+`","recipient_id":"12064001000","status":"read","timestamp":"946684800","type":"message","message":{"recipient_id":"12064001000"}}]}`)
		if body := string(g.received()[3].body); !strings.Contains(body, `"errors":[{"code":470,"title":"Re-engagement message"`) {
			t.Errorf("failed: %s", body)
		}

		control(t, s, http.MethodPost, "/inbound", `{"account":"onprem","from":"250788123123","name":"Jerry","text":"STOP","id":"ABEG42"}`, nil)
		wait(time.Second)
		sameJSON(t, "inbound", string(g.received()[4].body), `{"contacts":[{"profile":{"name":"Jerry"},"wa_id":"250788123123"}],"messages":[{"from":"250788123123","id":"ABEG42","timestamp":"946684920","type":"text","text":{"body":"STOP"}}]}`)
	})
}

func TestOnPremTriesCallbacksAgainAfterTimesThatGrowByAsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{answer: func(n int, _ *http.Request) (int, string) {
			if n < 4 {
				return http.StatusAccepted, "" // only 200 will do
			}
			return http.StatusOK, ""
		}}
		s := startOnPrem(t, Options{Callbacks: CallbackOptions{RetryFirst: 3 * time.Second}, Delays: &Delays{Delivered: time.Millisecond}}, g)
		sendOnPrem(t, s, onPremTextTo("12064001000"))
		wait(time.Hour)
		var after []time.Duration
		calls := g.received()
		for i := 1; i < len(calls); i++ {
			after = append(after, calls[i].at.Sub(calls[i-1].at))
		}
		diff(t, "waits", after, []time.Duration{3 * time.Second, 6 * time.Second, 9 * time.Second})
	})
	diff(t, "the longest wait", (&onPrem{}).wait(3*time.Second, 1000), 15*time.Minute)
}
