package simulator

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// FuzzParse wants that no body brings a dialect down, that what is refused
// says why, and that every answer is JSON.
func FuzzParse(f *testing.F) {
	for _, body := range []string{
		cloudTextTo("+16505551234"), sinchTextTo("46732001122"), `{}`, `[]`, `null`, `{"to":[null]}`, `{"to":null,"message":null}`,
		cloudBody(`"type":"interactive","interactive":{"type":"list","action":{"sections":[{"rows":[null]}]}}`),
		cloudBody(`"type":"template","template":{"name":"a","language":{"code":"en"},"components":[{"type":"button","index":1e99}]}`),
		sinchBody(`{"type":"contacts","contacts":[{"name":{},"phones":[{}]}]}`),
		v2TextTo("+14155552671"), `{"to":"15555551234","type":"template","template":{"name":"a","language":{"code":"en"},"components":[{"type":"button","index":"9"}]}}`,
		`{"phone_number":"+14155552671","media_type":"document","media_url":"https://%"}`,
		onPremTextTo("250788123123"), onPremBody(`"type":"template","template":{"namespace":"waba_namespace","name":"a","language":{},"components":[null,{"parameters":[null]}]}`),
		conversationBody(conversationHello), conversationBody(`{"explicit_channel_message":{"WHATSAPP":"{\"to\":null,\"type\":[]}"}}`),
		conversationBody(`{"list_message":{"title":"x","sections":[{"items":[{"product":null}]}]}}`),
		conversationBody(`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"a","parameters":{"button[9]url[1]text":""}}}}}`),
	} {
		f.Add([]byte(body))
	}
	s := New(Options{Accounts: []Account{cloudAccount(), sinchAccount(), v2Account(), onPremAccount(), conversationAccount()}})
	f.Cleanup(func() { _ = s.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, x := range parsersOf(s) {
			a := x.account
			m, problem := x.parse(a, body)
			if (m == nil) == (problem == nil) {
				t.Fatalf("%s: message %v, refusal %v", a.ID, m, problem)
			}
			if problem == nil {
				if len(m.recipients) != len(m.inputs) || m.kind == "" {
					t.Errorf("%s: %+v", a.ID, m)
				}
				continue
			}
			if answer := a.dialect.refuse(*problem); problem.detail == "" && problem.code == 0 && problem.status == 0 || answer.status != 400 && answer.status != 404 || !json.Valid(answer.body) {
				t.Errorf("%s: %d %s", a.ID, answer.status, answer.body)
			}
		}
	})
}

type accountParser struct {
	account *account
	parse   parser
}

// parsersOf is every way in which the accounts' send requests are read.
func parsersOf(s *Simulator) []accountParser {
	var all []accountParser
	for _, a := range s.accounts {
		switch d := a.dialect.(type) {
		case *cloud:
			all = append(all, accountParser{a, d.parse})
		case *sinchV1:
			all = append(all, accountParser{a, d.parse})
		case *v2:
			all = append(all, accountParser{a, d.parseText}, accountParser{a, d.parseMedia}, accountParser{a, d.parseTemplate})
		case *onPrem:
			all = append(all, accountParser{a, d.parse})
		case *conversation:
			all = append(all, accountParser{a, d.parse})
		}
	}
	return all
}

// FuzzRoutes wants that nothing which is posted to the rest of a simulator,
// whatever it says, brings it down: each answer is one of HTTP's, and JSON if it
// says so. Messages are FuzzParse's, and faults may hang on purpose.
func FuzzRoutes(f *testing.F) {
	routes := []string{
		"POST /oauth2/token", "POST /v1/users/login", "POST /v1/users/logout", "POST /v1/contacts", "GET /v1/health", "POST /v1/media",
		"POST /v23.0/106540352242922/media", "POST /_sim/provisioning", "POST /_sim/inbound",
		"POST /whatsapp/v1/bot-eu-1/provision/optin", "POST /whatsapp/v1/bot-eu-1/capability",
	}
	const project = "/v1/projects/" + projectID
	for _, route := range []string{
		"GET /whatsapp", "POST /whatsapp", "PATCH /whatsapp", "POST /whatsapp/longLivedAccessToken", "POST /whatsapp/wabaDetails",
		"GET /whatsapp/senders", "POST /whatsapp/senders", "PATCH /whatsapp/senders/s-1", "POST /whatsapp/senders/s-1/register",
		"POST /whatsapp/senders/s-1/verify", "GET /whatsapp/templates", "POST /webhooks", "PUT /webhooks/1",
	} {
		method, path, _ := strings.Cut(route, " ")
		routes = append(routes, method+" "+project+path)
	}
	for i := range routes {
		for _, body := range []string{
			`{}`, `{"name":"x","phoneNumber":"+46700000001","metadata":{"displayName":"x"},"code":"123456","target":"https://example.com","blocking":"wait","contacts":["+46732001122"],"new_password":"N3w!"}`,
			`{"account":"cloud","from":"46732001122","text":"STOP","numbers":["46732001122"]}`, `grant_type=client_credentials`,
		} {
			f.Add(uint(i), "", []byte(body))
		}
	}
	f.Add(uint(0), "pageSize=-1&pageToken=%ff", []byte(nil))
	gate, began := &gateway{}, time.Now()
	var minutes atomic.Int64
	s := New(Options{
		Now:       func() time.Time { return began.Add(time.Duration(minutes.Load()) * time.Minute) },
		Accounts:  []Account{cloudAccount(), sinchAccount(), v2Account(), onPremAccount(), conversationAccount()},
		Callbacks: CallbackOptions{Transport: gate},
	})
	f.Cleanup(func() { _ = s.Close(f.Context()) })
	keys := map[string][2]string{"/v1/projects": {"key-1", "secret-1"}, "/oauth2": {"key-1", "secret-1"}, "/v1/users": {"gateway", "Str0ng!Pass"}}
	bearers := map[string]string{"/v1/": "OPTOKEN", "/v23.0": "EAATOKEN", "/whatsapp": "tok-v1"}
	f.Fuzz(func(t *testing.T, route uint, query string, body []byte) {
		minutes.Add(1) // nobody is too fast
		s.reset()
		method, path, _ := strings.Cut(routes[route%uint(len(routes))], " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", "application/json")
		for prefix, token := range bearers {
			if strings.HasPrefix(path, prefix) {
				r.Header.Set("Authorization", "Bearer "+token)
			}
		}
		for prefix, key := range keys {
			if strings.HasPrefix(path, prefix) {
				r.SetBasicAuth(key[0], key[1])
			}
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code < 200 || w.Code >= 500 {
			t.Errorf("%s %s: status %d: %s", method, path, w.Code, w.Body)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %s", method, path, w.Body)
		}
	})
}
