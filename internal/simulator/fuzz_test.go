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
	} {
		f.Add([]byte(body))
	}
	s := New(Options{Accounts: []Account{cloudAccount(), sinchAccount()}})
	f.Cleanup(func() { _ = s.Close(f.Context()) })
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, a := range s.accounts {
			m, problem := a.dialect.parse(a, body)
			if (m == nil) == (problem == nil) {
				t.Fatalf("%s: message %v, refusal %v", a.ID, m, problem)
			}
			if problem == nil {
				if len(m.recipients) != len(m.inputs) || m.kind == "" {
					t.Errorf("%s: %+v", a.ID, m)
				}
				continue
			}
			if answer := a.dialect.refuse(*problem); problem.detail == "" || answer.status != 400 && answer.status != 404 || !json.Valid(answer.body) {
				t.Errorf("%s: %d %s", a.ID, answer.status, answer.body)
			}
		}
	})
}
