package simulator

import (
	"encoding/json"
	"testing"
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
