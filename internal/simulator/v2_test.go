package simulator

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var wamid = regexp.MustCompile(`wamid\.[A-Za-z0-9+/=]+`)

func startV2(t *testing.T, o Options, g *gateway) *Simulator {
	t.Helper()
	o.Accounts = append(o.Accounts, v2Account())
	return start(t, o, g)
}

func sendV2(t *testing.T, s *Simulator, path, body string) answer {
	t.Helper()
	return do(t, s, request(t, "/v2/"+path, "S1TOKEN", body))
}

func v2TextTo(to string) string { return `{"phone_number":"` + to + `","message":"Hello"}` }

func TestV2TakesWhatTheReferenceShows(t *testing.T) {
	for name, tt := range map[string]struct{ path, body string }{
		"the curl of send-message": {"send-message", `{"phone_number":"+14155552671","message":"Hello! This is an *important message*.","preview_url":true}`},
		"text":                     {"send-message", `{"phone_number":"+14155552671","message":"Hi, *important* update for you."}`},
		"a reply with a preview":   {"send-message", `{"phone_number":"+14155552671","message":"See https://example.com/a?b=1&c=2","preview_url":true,"reply_to":"wamid.ABGS1"}`},
		"4096 characters":          {"send-message", `{"phone_number":"+14155552671","message":"` + strings.Repeat("ë", 4096) + `"}`},
		"the curl of send-media":   {"send-media", `{"phone_number":"+14155552671","media_type":"image","media_url":"https://example.com/image.jpg","caption":"This is our *new product*"}`},
		"document":                 {"send-media", `{"phone_number":"+14155552671","media_type":"document","media_url":"https://example.com/inv-7.pdf","caption":"Invoice"}`},
		"audio":                    {"send-media", `{"phone_number":"+14155552671","media_type":"audio","media_url":"https://example.com/a.ogg"}`},
		"sticker":                  {"send-media", `{"phone_number":"+14155552671","media_type":"sticker","media_url":"https://example.com/s.webp"}`},
		"template":                 {"messages", `{"to":"15555551234","type":"template","template":{"name":"order_confirmation","language":{"code":"en"},"components":[{"type":"body","parameters":[{"type":"text","text":"John"},{"type":"text","text":"12345"},{"type":"text","text":"04/28/2025"}]}]}}`},
		"template with a reply":    {"messages", `{"to":"15555551234","type":"template","template":{"name":"order_confirmation","language":{"code":"en"},"components":[{"type":"button","sub_type":"quick_reply","index":0,"parameters":[{"type":"payload","payload":"track_order_12345"}]}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2025, 4, 27, 12, 0, 0, 0, time.UTC)
			s := startV2(t, Options{Now: func() time.Time { return now }}, &gateway{})
			got := sendV2(t, s, tt.path, tt.body)
			if got.status != http.StatusOK {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			recipient := "+14155552671"
			if tt.path == "messages" {
				recipient = "+15555551234"
			}
			diff(t, "body", wamid.ReplaceAllString(got.body, "ID"), `{"status":"success","message_id":"ID","timestamp":"2025-04-27T12:00:00Z","recipient":"`+recipient+`"}`)
		})
	}
}

func TestV2RefusesWhatBreaksTheReference(t *testing.T) {
	long := strings.Repeat("x", 5000)
	const (
		invalid = "Invalid request"
		number  = "Incorrect phone number format"
		format  = "Use international format (e.g. +14155552671)"
	)
	media := func(members string) string { return `{"phone_number":"+14155552671",` + members + `}` }
	template := func(members string) string {
		return `{"to":"15555551234","type":"template","template":{` + members + `}}`
	}
	for _, tt := range []struct {
		name, path, body string
		code             int
		message, details string
	}{
		{"a number without a country code, as in the example", "send-message", v2TextTo("4155552671"), 400, "Invalid phone number format", "Phone number must include country code"},
		{"a number with letters", "send-message", v2TextTo("+1415CALLME"), 132000, number, format},
		{"a number that is too short", "send-message", v2TextTo("+14155"), 132000, number, format},
		{"no number", "send-message", `{"message":"x"}`, 400, invalid, "phone_number can not be empty"},
		{"no JSON", "send-message", `{"phone`, 400, invalid, "the body is not a JSON object"},
		{"an empty text", "send-message", `{"phone_number":"+14155552671","message":""}`, 400, invalid, "message can not be empty"},
		{"4097 characters", "send-message", `{"phone_number":"+14155552671","message":"` + long[:4097] + `"}`, 400, invalid, "message must have 1 to 4096 characters, has 4097"},
		{"a preview that is no boolean", "send-message", `{"phone_number":"+14155552671","message":"x","preview_url":"yes"}`, 400, invalid, "preview_url must be true or false"},
		{"Cloud's product", "send-message", `{"phone_number":"+14155552671","message":"x","messaging_product":"whatsapp"}`, 400, invalid, "messaging_product is unknown"},
		{"an unknown kind of media", "send-media", media(`"media_type":"voice","media_url":"https://example.com/a.ogg"`), 400, invalid, "media_type must be one of image, video, document, audio, sticker"},
		{"media by http", "send-media", media(`"media_type":"image","media_url":"http://example.com/a.jpg"`), 400, invalid, "media_url must be an https URL"},
		{"media without a URL", "send-media", media(`"media_type":"image"`), 400, invalid, "media_url can not be empty"},
		{"a document without an extension", "send-media", media(`"media_type":"document","media_url":"https://example.com/inv-7"`), 400, invalid, "media_url must include the document's extension"},
		{"a caption of 1025 characters", "send-media", media(`"media_type":"image","media_url":"https://example.com/a.jpg","caption":"` + long[:1025] + `"`), 400, invalid, "caption must have 0 to 1024 characters, has 1025"},
		{"a caption on audio", "send-media", media(`"media_type":"audio","media_url":"https://example.com/a.ogg","caption":"x"`), 400, invalid, "caption is possible only with image, video and document"},
		{"a reply with media", "send-media", media(`"media_type":"image","media_url":"https://example.com/a.jpg","reply_to":"wamid.A"`), 400, invalid, "reply_to is unknown"},
		{"a template's recipient with +", "messages", `{"to":"+15555551234","type":"template","template":{"name":"a","language":{"code":"en"}}}`, 400, invalid, "to must be a number of 7 to 15 digits, without +"},
		{"another type than template", "messages", `{"to":"15555551234","type":"text","text":{"body":"x"}}`, 400, invalid, "type must be one of template"},
		{"a template without a language", "messages", template(`"name":"a"`), 400, invalid, "template.language can not be empty"},
		{"a language nobody has", "messages", template(`"name":"a","language":{"code":"EN-us"}`), 134000, "Template not approved or not found", "Check name or wait for approval"},
		{"a template's file by id", "messages", template(`"name":"a","language":{"code":"en"},"components":[{"type":"header","parameters":[{"type":"image","image":{"id":"7"}}]}]`), 400, invalid, "template.components must have links, for there are no media ids"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startV2(t, Options{}, &gateway{})
			got := sendV2(t, s, tt.path, tt.body)
			diff(t, "status", got.status, http.StatusBadRequest)
			sameJSON(t, "envelope", got.body, fmt.Sprintf(`{"status":"error","code":%d,"message":%q,"details":%q}`, tt.code, tt.message, tt.details))
		})
	}
}

const v2Unauthorized = `{"status":"error","code":131030,"message":"Invalid or expired access token","details":"Generate new token in developer panel"}`

func TestV2TellsAccountsByTheirTokens(t *testing.T) {
	other := v2Account()
	other.ID, other.Token = "other", "S1OTHER"
	s := startV2(t, Options{Accounts: []Account{other}}, &gateway{})
	for _, token := range []string{"", "stale"} {
		got := do(t, s, request(t, "/v2/send-message", token, `no JSON`))
		diff(t, "status", got.status, http.StatusUnauthorized)
		sameJSON(t, "envelope", got.body, v2Unauthorized)
		sameJSON(t, "status question", get(t, s, "/v2/message-status?message_id=x", token).body, v2Unauthorized)
	}
	do(t, s, request(t, "/v2/send-message", "S1OTHER", v2TextTo("+14155552671")))
	var accepted []int64
	for _, a := range s.stats().Accounts {
		accepted = append(accepted, a.Accepted)
	}
	diff(t, "accepted", accepted, []int64{1, 0})
}

func TestV2AnswersFaultsWithItsOwnCodes(t *testing.T) {
	for name, want := range map[string]string{
		`{"fault":"throttle","count":1}`:                 `429 {"status":"error","code":133000,"message":"Rate limit exceeded","details":"Wait or request limit increase"}`,
		`{"fault":"pair_limit","count":1}`:               `429 {"status":"error","code":133000,"message":"Rate limit exceeded","details":"Wait or request limit increase"}`,
		`{"fault":"server_error","count":1}`:             `500 {"status":"error","code":500,"message":"Internal server error","details":"The message could not be sent"}`,
		`{"fault":"server_error","code":503,"count":1}`:  `503 {"status":"error","code":503,"message":"Service unavailable","details":"The message could not be sent"}`,
		`{"fault":"wrong_token","count":1}`:              `401 ` + v2Unauthorized,
		`{"fault":"wrong_token","status":200,"count":1}`: `200 ` + v2Unauthorized,
		`{"fault":"error","code":134000,"count":1}`:      `400 {"status":"error","code":134000,"message":"Template not approved or not found","details":"Check name or wait for approval"}`,
		`{"fault":"id_missing","count":1}`:               `200 {"status":"success","timestamp":"2025-04-27T12:00:00Z"}`,
		`{"fault":"error","status":403,"count":1}`:       `403 {"status":"error","code":403,"message":"Simulated error","details":"Simulated error"}`,
	} {
		now := time.Date(2025, 4, 27, 12, 0, 0, 0, time.UTC)
		s := startV2(t, Options{Now: func() time.Time { return now }}, &gateway{})
		fault(t, s, name)
		got := sendV2(t, s, "send-message", v2TextTo("+14155552671"))
		diff(t, name, fmt.Sprintf("%d %s", got.status, got.body), want)
		diff(t, "afterwards", sendV2(t, s, "send-message", v2TextTo("+14155552671")).status, http.StatusOK)
	}
}

func TestV2HoldsItsRate(t *testing.T) {
	account := v2Account()
	account.Rate = 50
	now := time.Now()
	s := start(t, Options{Accounts: []Account{account}, Now: func() time.Time { return now }}, &gateway{})
	for range 50 {
		diff(t, "within", sendV2(t, s, "send-message", v2TextTo("+14155552671")).status, http.StatusOK)
	}
	diff(t, "beyond", sendV2(t, s, "send-message", v2TextTo("+14155552671")).status, http.StatusTooManyRequests)
	now = now.Add(time.Second)
	diff(t, "a second later", sendV2(t, s, "send-message", v2TextTo("+14155552671")).status, http.StatusOK)
}

func TestV2TellsTheStatusWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := startV2(t, Options{}, g)
		ask := func(id string) answer {
			return get(t, s, "/v2/message-status?message_id="+strings.NewReplacer("+", "%2B", "=", "%3D").Replace(id), "S1TOKEN")
		}
		fault(t, s, `{"fault":"callbacks_none"}`)
		id := wamid.FindString(sendV2(t, s, "send-message", v2TextTo("+14155552671")).body)
		want := func(status string) string {
			return `{"status":"` + status + `","message_id":"` + id + `","timestamp":"2000-01-01T00:00:00Z","recipient":"+14155552671"}`
		}
		sameJSON(t, "at once", ask(id).body, want("sent"))
		wait(400 * time.Millisecond)
		sameJSON(t, "after a while", ask(id).body, want("delivered"))
		wait(time.Second)
		sameJSON(t, "in the end", ask(id).body, want("read"))
		diff(t, "callbacks", len(g.received()), 0)

		id = wamid.FindString(sendV2(t, s, "send-message", v2TextTo("+14155550003")).body)
		wait(time.Second)
		sameJSON(t, "failed", ask(id).body, `{"status":"failed","message_id":"`+id+`","timestamp":"2000-01-01T00:00:01Z","recipient":"+14155550003",
			"error":{"code":132000,"message":"Incorrect phone number format","details":"Use international format (e.g. +14155552671)"}}`)

		got := ask("wamid.unknown")
		diff(t, "an unknown id", got.status, http.StatusNotFound)
		sameJSON(t, "an unknown id", got.body, `{"status":"error","code":404,"message":"Message not found","details":"There is no message with this id"}`)
		diff(t, "no id", ask("").status, http.StatusBadRequest)
	})
}

func TestV2CallbacksAreCloudsAndSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := startV2(t, Options{}, g)
		id := wamid.FindString(sendV2(t, s, "send-message", v2TextTo("+16505551234")).body)
		wait(time.Minute)
		diff(t, "statuses", g.statuses(t), []string{"sent", "delivered", "read"})
		c := g.received()[0]
		sameJSON(t, "body", string(c.body), `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",
			"metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"statuses":[{"id":"`+id+`","status":"sent","timestamp":"946684800","recipient_id":"16505551234"}]}}]}]}`)
		diff(t, "signature", c.header.Get("X-Hub-Signature-256"), "sha256="+hex.EncodeToString(hmacOf("test_app_secret_0123456789abcdef", string(c.body))))
	})
}

func TestV2InboundHasTheSignatureOfTheReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := startV2(t, Options{Now: func() time.Time { return time.Unix(1749416383, 0) }}, g)
		control(t, s, http.MethodPost, "/inbound", `{"account":"v2","from":"+16505551234","name":"Zoë","text":"STOP https://x.io","id":"wamid.TEST1"}`, nil)
		wait(time.Second)
		diff(t, "signature", g.received()[0].header.Get("X-Hub-Signature-256"), "sha256=ceec1fdb49d7c3bc4b20f7f506977672406f479acdd9082adfc88e28abb34f2a")
	})
}

func TestV2VerifiesTheCallbackURL(t *testing.T) {
	s := startV2(t, Options{}, challengedGateway(200, func(c string) string { return c }))
	var got ChallengeResult
	control(t, s, http.MethodPost, "/challenge", `{"account":"v2"}`, &got)
	diff(t, "result", got, ChallengeResult{Verified: true, Status: 200})
}

func TestV2RecipientsThatMisbehave(t *testing.T) {
	for _, tt := range []struct {
		digits  string
		answers []int
		want    []string
	}{
		{"0001", []int{200}, []string{"sent", "delivered"}},
		{"0002", []int{200}, []string{"sent", "read"}},
		{"0003", []int{200}, []string{"failed 132000"}},
		{"0004", []int{200}, []string{"failed 400"}},
		{"0007", []int{200}, []string{"sent"}},
		{"0008", []int{200}, []string{"sent", "delivered", "failed 500"}},
		{"0009", []int{200}, []string{"read", "read", "delivered", "delivered", "sent", "sent"}},
		{"0010", []int{200}, []string{"failed 134000"}},
		{"0011", []int{500, 500, 200}, []string{"sent", "delivered", "read"}},
		{"0015", []int{429, 200}, []string{"sent", "delivered", "read"}},
		{"0016", []int{429, 200}, []string{"sent", "delivered", "read"}},
	} {
		t.Run(tt.digits, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := startV2(t, Options{}, g)
				var answers []int
				for range tt.answers {
					answers = append(answers, sendV2(t, s, "send-message", v2TextTo("+1415555"+tt.digits)).status)
				}
				wait(time.Minute)
				diff(t, "answers", answers, tt.answers)
				diff(t, "statuses", g.statuses(t), tt.want)
			})
		})
	}
	s := startV2(t, Options{}, &gateway{})
	if got := sendV2(t, s, "send-message", v2TextTo("+14155550013")); !strings.Contains(got.body, `"recipient":"+1415550013"`) {
		t.Errorf("…0013: %s", got.body)
	}
}
