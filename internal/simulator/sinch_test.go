package simulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func sinchBody(message string) string { return `{"to":["46732001122"],"message":` + message + `}` }

func TestSinchTakesWhatTheDocumentsShow(t *testing.T) {
	for name, body := range map[string]string{
		"text":                    sinchBody(`{"type":"text","text":"Hello"}`),
		"text with a callback":    `{"to":["46732001122"],"message":{"type":"text","text":"See https://example.com","preview_url":true},"callback":"https://gw.example.net/cb/sinch-wa/gw-0001/1"}`,
		"image":                   sinchBody(`{"type":"image","url":"https://cdn.example.net/a.jpg","caption":"A cat"}`),
		"video by a provider":     sinchBody(`{"type":"video","url":"https://cdn.example.net/v.mp4","provider":"cdn-a"}`),
		"document":                sinchBody(`{"type":"document","url":"https://cdn.example.net/i.pdf","filename":"invoice.pdf","caption":"Invoice 7"}`),
		"audio":                   sinchBody(`{"type":"audio","url":"https://cdn.example.net/s.mp3"}`),
		"sticker":                 sinchBody(`{"type":"sticker","url":"https://cdn.example.net/s.webp"}`),
		"sticker by id":           sinchBody(`{"type":"sticker","id":"7"}`),
		"location":                sinchBody(`{"type":"location","lat":55.7047,"lng":13.191,"name":"HQ","address":"Main St 1"}`),
		"contacts":                sinchBody(`{"type":"contacts","contacts":[{"name":{"formatted_name":"Ada Byron","first_name":"Ada","last_name":"Byron"},"phones":[{"phone":"+46700000001","type":"WORK"}]}]}`),
		"buttons":                 sinchBody(`{"type":"interactive","message":{"type":"button","header":{"type":"image","url":"https://cdn.example.net/h.png"},"body":{"text":"Confirm?"},"footer":{"text":"Thanks"},"action":{"buttons":[{"type":"reply","id":"yes","title":"Yes"},{"type":"reply","id":"no","title":"No"}]}}}`),
		"list":                    sinchBody(`{"type":"interactive","message":{"type":"list","header":{"type":"text","text":"Slots"},"body":{"text":"Pick one"},"action":{"button":"Choose","sections":[{"title":"Today","rows":[{"id":"t1","title":"10:00","description":"Room A"},{"id":"t2","title":"11:00"}]}]}}}`),
		"template":                sinchBody(`{"type":"template","template_name":"order_update","language":"en_US","header_params":["Ada"],"body_params":["42","tomorrow"],"media":{"type":"text"}}`),
		"template with a picture": sinchBody(`{"type":"template","template_name":"offer","language":"en","body_params":["Ada"],"media":{"type":"image","url":"https://cdn.example.net/o.jpg"},"buttons":[{"type":"quick_reply","payload":"yes"},{"type":"quick_reply"},{"type":"call"},{"type":"url","parameter":"x"}]}`),
		"template with ttl":       sinchBody(`{"type":"template","template_name":"offer","media":{"type":"text"},"ttl":"P1D"}`),
		"4096 characters":         sinchBody(`{"type":"text","text":"` + strings.Repeat("ë", 4096) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, Options{}, &gateway{})
			if got := sendSinch(t, s, body); got.status != http.StatusCreated {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

var ulid = regexp.MustCompile(`[0-7][0-9A-HJKMNP-TV-Z]{25}`)

func TestSinchAnswersAcceptanceAsDocumented(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	got := sendSinch(t, s, `{"to":["46732001122","46732001123"],"message":{"type":"text","text":"Hello"}}`)
	if got.status != http.StatusCreated {
		t.Errorf("status %d", got.status)
	}
	diff(t, "body", ulid.ReplaceAllString(got.body, "ULID"), `{"type":"whatsapp","statuses":[`+
		`{"message_id":"ULID","recipient":"+46732001122","status":"success","state":"queued"},`+
		`{"message_id":"ULID","recipient":"+46732001123","status":"success","state":"queued"}]}`)
	if ids := ulid.FindAllString(got.body, -1); ids[0] == ids[1] {
		t.Error("both recipients have one id")
	}
}

func TestSinchRefusesWhatBreaksTheDocuments(t *testing.T) {
	long := strings.Repeat("x", 5000)
	inner := func(message string) string { return sinchBody(`{"type":"interactive","message":` + message + `}`) }
	rows := func(prefix string, n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"id":"%s%d","title":"row"}`, prefix, i)
		}
		return `{"title":"s","rows":[` + strings.Join(all, ",") + `]}`
	}
	list := func(sections string) string {
		return inner(`{"type":"list","body":{"text":"?"},"action":{"button":"b","sections":[` + sections + `]}}`)
	}
	for _, tt := range []struct{ name, body, details string }{
		{"a body that is no JSON", `{"to"`, "The body is not a JSON object."},
		{"no recipient", `{"message":{"type":"text","text":"x"}}`, "Field [to] can not be empty."},
		{"an empty list of recipients", `{"to":[],"message":{"type":"text","text":"x"}}`, "Field [to] can not be empty."},
		{"a recipient that isn't in a list", `{"to":"46732001122","message":{"type":"text","text":"x"}}`, "Field [to] must be an array."},
		{"21 recipients", `{"to":["` + strings.Repeat(`46732001122","`, 20) + `46732001122"],"message":{"type":"text","text":"x"}}`, "Field [to] must have 1 to 20 entries, has 21."},
		{"a recipient with +", `{"to":["+46732001122"],"message":{"type":"text","text":"x"}}`, "Field [to] must hold numbers of 7 to 15 digits, without +."},
		{"no message", `{"to":["46732001122"]}`, "Field [message] can not be empty."},
		{"a message without a type", sinchBody(`{"text":"x"}`), "Field [message.type] can not be empty."},
		{"an unknown type", sinchBody(`{"type":"fax"}`), "Field [message.type] must be one of text, image, video, document, audio, sticker, location, contacts, interactive, template."},
		{"a callback that is no web address", `{"to":["46732001122"],"message":{"type":"text","text":"x"},"callback":"here"}`, "Field [callback] must be an http or https URL."},
		{"an unknown field", `{"to":["46732001122"],"message":{"type":"text","text":"x"},"reference":"x"}`, "Field [reference] is unknown."},
		{"an empty text", sinchBody(`{"type":"text","text":""}`), "Field [message.text] can not be empty."},
		{"a text of 4097 characters", sinchBody(`{"type":"text","text":"` + long[:4097] + `"}`), "Field [message.text] must have 1 to 4096 characters, has 4097."},
		{"an image without a URL", sinchBody(`{"type":"image"}`), "Field [message.url] can not be empty."},
		{"a caption on audio", sinchBody(`{"type":"audio","url":"https://cdn.example.net/s.mp3","caption":"x"}`), "Field [message.caption] is unknown."},
		{"a sticker with id and URL", sinchBody(`{"type":"sticker","url":"https://cdn.example.net/s.webp","id":"7"}`), "Field [message.id] is not possible together with url."},
		{"a sticker with neither", sinchBody(`{"type":"sticker"}`), "Field [message.url] can not be empty."},
		{"a provider's name with blanks", sinchBody(`{"type":"image","url":"https://cdn.example.net/a.jpg","provider":"a b"}`), "Field [message.provider] must hold only letters, digits, - and _."},
		{"a latitude of 91", sinchBody(`{"type":"location","lat":91,"lng":0}`), "Field [message.lat] must be a number between -90 and 90."},
		{"a latitude in a string", sinchBody(`{"type":"location","lat":"1","lng":0}`), "Field [message.lat] must be a number between -90 and 90."},
		{"Cloud's names of a location", sinchBody(`{"type":"location","latitude":1,"longitude":0}`), "Field [message.lat] can not be empty."},
		{"a contact without a name", sinchBody(`{"type":"contacts","contacts":[{"phones":[{"phone":"1"}]}]}`), "Field [message.contacts[0].name] can not be empty."},
		{"an unknown kind of phone", sinchBody(`{"type":"contacts","contacts":[{"name":{"formatted_name":"A"},"phones":[{"phone":"1","type":"FAX"}]}]}`), "Field [message.contacts[0].phones[0].type] must be one of HOME, WORK, CELL, MAIN, IPHONE."},
		{"a button id of 231 characters", inner(`{"type":"button","body":{"text":"?"},"action":{"buttons":[{"type":"reply","id":"` + long[:231] + `","title":"x"}]}}`), "Field [message.message.action.buttons[0].id] must have 1 to 230 characters, has 231."},
		{"a button title of 21 characters", inner(`{"type":"button","body":{"text":"?"},"action":{"buttons":[{"type":"reply","id":"1","title":"` + long[:21] + `"}]}}`), "Field [message.message.action.buttons[0].title] must have 1 to 20 characters, has 21."},
		{"no buttons", inner(`{"type":"button","body":{"text":"?"},"action":{"buttons":[]}}`), "Field [message.message.action.buttons] can not be empty."},
		{"eleven rows in two sections", list(rows("a", 10) + "," + rows("b", 1)), "Field [message.message.action.sections] must have at most 10 rows in total."},
		{"two rows with one id", list(rows("a", 1) + "," + rows("a", 1)), "Field [message.message.action.sections[1].rows[0].id] must be unique."},
		{"a picture above a list", inner(`{"type":"list","header":{"type":"image","url":"https://cdn.example.net/a.jpg"},"body":{"text":"?"},"action":{"button":"b","sections":[` + rows("a", 1) + `]}}`), "Field [message.message.header.type] must be one of text."},
		{"a body of 1025 characters", inner(`{"type":"button","body":{"text":"` + long[:1025] + `"},"action":{"buttons":[{"type":"reply","id":"1","title":"x"}]}}`), "Field [message.message.body.text] must have 1 to 1024 characters, has 1025."},
		{"a template without media", sinchBody(`{"type":"template","template_name":"offer"}`), "Field [message.media] can not be empty."},
		{"a template with audio", sinchBody(`{"type":"template","template_name":"offer","media":{"type":"audio","url":"https://cdn.example.net/s.mp3"}}`), "Field [message.media.type] must be one of text, image, video, document."},
		{"a template's picture with a caption", sinchBody(`{"type":"template","template_name":"offer","media":{"type":"image","url":"https://cdn.example.net/a.jpg","caption":"x"}}`), "Field [message.media.caption] is unknown."},
		{"params as before 2021", sinchBody(`{"type":"template","template_name":"offer","media":{"type":"text"},"params":["x"]}`), "Field [message.params] is unknown."},
		{"a language in another form", sinchBody(`{"type":"template","template_name":"offer","language":"en_us","media":{"type":"text"}}`), "Field [message.language] must be a language code."},
		{"header parameters of 61 characters in all", sinchBody(`{"type":"template","template_name":"offer","header_params":["` + long[:60] + `","x"],"media":{"type":"text"}}`), "Field [message.header_params] must have at most 60 characters in all, has 61."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{}, &gateway{})
			got := sendSinch(t, s, tt.body)
			if got.status != http.StatusBadRequest {
				t.Errorf("status %d", got.status)
			}
			sameJSON(t, "envelope", got.body, fmt.Sprintf(`{"message":"Validation error","details":%q}`, tt.details))
			if first, _ := s.ledger.bounds(); first != 0 {
				t.Error("the ledger holds a refused message")
			}
		})
	}
}

func TestSinchAnswersWrongTokensAndUnknownBotsAlike(t *testing.T) {
	s := start(t, Options{}, &gateway{})
	for _, tt := range []struct{ name, path, token string }{
		{"a wrong token", sinchPath, "stale"},
		{"no token", sinchPath, ""},
		{"a bot of another region", "/whatsapp/v1/bot-us-1/messages", "tok-v1"},
		{"the other provider's token", sinchPath, "EAATOKEN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, s, request(t, tt.path, tt.token, sinchTextTo("46732001122")))
			if got.status != http.StatusUnauthorized {
				t.Errorf("status %d", got.status)
			}
			sameJSON(t, "envelope", got.body, `{"message":"Unauthorized","details":"Unauthorized bot"}`)
		})
	}
}

func TestSinchCapability(t *testing.T) {
	ask := func(s *Simulator, method, body string) answer {
		req := httptest.NewRequestWithContext(t.Context(), method, "/whatsapp/v1/bot-eu-1/capability", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer tok-v1")
		req.Header.Set("Content-Type", "application/json")
		return do(t, s, req)
	}
	const two = `{"numbers":["46732001122","46732000003"]}`
	t.Run("everyone is capable since 2023", func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			sameJSON(t, method, ask(s, method, two).body,
				`{"capabilities":[{"msisdn":"46732001122","capable":true},{"msisdn":"46732000003","capable":true}]}`)
		}
	})
	t.Run("it can be real", func(t *testing.T) {
		s := start(t, Options{RealCapability: true}, &gateway{})
		sameJSON(t, "answer", ask(s, http.MethodPost, two).body,
			`{"capabilities":[{"msisdn":"46732001122","capable":true},{"msisdn":"46732000003","capable":false}]}`)
	})
	t.Run("a wrong question is 400", func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		got := ask(s, http.MethodPost, `{"numbers":[]}`)
		diff(t, "status", got.status, http.StatusBadRequest)
		sameJSON(t, "envelope", got.body, `{"message":"Validation error","details":"Field [numbers] can not be empty."}`)
	})
	t.Run("the 21st in a second is 500", func(t *testing.T) {
		now := time.Unix(1_800_000_000, 0)
		s := start(t, Options{Now: func() time.Time { return now }}, &gateway{})
		for range 20 {
			if got := ask(s, http.MethodPost, two); got.status != http.StatusOK {
				t.Fatalf("status %d", got.status)
			}
		}
		got := ask(s, http.MethodPost, two)
		if got.status != http.StatusInternalServerError || !strings.Contains(got.body, `"message":"Request could not be processed"`) {
			t.Errorf("status %d: %s", got.status, got.body)
		}
		now = now.Add(time.Second)
		diff(t, "a second later", ask(s, http.MethodPost, two).status, http.StatusOK)
	})
}

func TestSinchTellsWhatBecameOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, Options{}, &gateway{})
		status := func(id string) answer {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/whatsapp/v1/bot-eu-1/callbacks/status/"+id, nil)
			req.Header.Set("Authorization", "Bearer tok-v1")
			return do(t, s, req)
		}
		id := ulid.FindString(sendSinch(t, s, sinchTextTo("46732001122")).body)
		sameJSON(t, "at once", status(id).body, `{"results":[]}`)
		time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the bubble's clock
		sameJSON(t, "after sent", status(id).body, `{"results":[
			{"type":"whatsapp","statuses":[{"message_id":"`+id+`","recipient":"+46732001122","status":"success","state":"dispatched","timestamp":"2000-01-01T00:00:00Z"}]},
			{"type":"whatsapp","statuses":[{"message_id":"`+id+`","recipient":"+46732001122","status":"success","state":"sent","timestamp":"2000-01-01T00:00:00Z"}]}]}`)
		sameJSON(t, "an unknown id", status("01DPNXZ0WCF9XD19MH84XD0P62").body, `{"results":[]}`)
		diff(t, "what is no id", status("x").status, http.StatusBadRequest)

		sinch := s.dialects[SinchWhatsApp].(*sinchV1)
		for i := range 3 * rememberedMessages {
			sinch.remember(s.byID["sinch"], receipt{id: fmt.Sprint(i)}, time.Now(), nil)
		}
		if n := len(sinch.recent) + len(sinch.before); n > 2*rememberedMessages {
			t.Errorf("%d messages are remembered", n)
		}
		sameJSON(t, "once it is forgotten", status(id).body, `{"results":[]}`)
	})
}
