package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// setRules changes rules through the control endpoint.
func setRules(t *testing.T, s *Simulator, account, members string) {
	t.Helper()
	if status := control(t, s, http.MethodPost, "/accounts", `{"account":"`+account+`",`+members+`}`, nil); status != http.StatusOK {
		t.Fatalf("rules %s: status %d", members, status)
	}
}

// sendTemplate sends the template order_update in en_US with so many parameters
// of its body.
func sendTemplate(t *testing.T, s *Simulator, dialect Dialect, parameters int) answer {
	t.Helper()
	objects, texts, keys := make([]string, parameters), make([]string, parameters), make([]string, parameters)
	for i := range parameters {
		objects[i], texts[i], keys[i] = `{"type":"text","text":"x"}`, `"x"`, fmt.Sprintf(`"body[%d]text":"x"`, i+1)
	}
	members := func(namespace, policy string) string {
		return `"type":"template","template":{` + namespace + `"name":"order_update","language":{` + policy + `"code":"en_US"},` +
			`"components":[{"type":"body","parameters":[` + strings.Join(objects, ",") + `]}]}`
	}
	switch dialect {
	case WhatsAppCloud:
		return sendCloud(t, s, cloudBody(members("", "")))
	case WhatsAppOnPrem:
		return sendOnPrem(t, s, onPremBody(members(`"namespace":"waba_namespace",`, `"policy":"deterministic",`)))
	case WhatsAppV2:
		return sendV2(t, s, "messages", `{"to":"15555551234",`+members("", "")+`}`)
	case SinchWhatsApp:
		return sendSinch(t, s, sinchBody(`{"type":"template","template_name":"order_update","language":"en_US","body_params":[`+strings.Join(texts, ",")+`],"media":{"type":"text"}}`))
	case SinchConversation:
		return sendConversation(t, s, conversationBody(`{"template_message":{"channel_template":{"WHATSAPP":{"template_id":"order_update","language_code":"en_US","parameters":{`+strings.Join(keys, ",")+`}}}}}`))
	}
	t.Fatalf("no template of %s", dialect)
	return answer{}
}

func TestRulesOfEveryDialectAreSetWhileItRuns(t *testing.T) {
	for name, d := range allDialects() {
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gateway{}
				s := start(t, Options{Accounts: []Account{d.account}, Delays: &Delays{Sent: time.Second, Delivered: 2 * time.Second}}, g)
				// sent is whether the message went out, which some dialects tell later.
				sent := func(send func() answer) bool {
					t.Helper()
					before := len(g.statuses(t))
					if send().status != d.taken {
						return false
					}
					wait(time.Minute)
					last := g.statuses(t)[before:]
					return strings.EqualFold(last[len(last)-1], "delivered")
				}
				text := func() answer { return d.send(t, s, "46732001122") }
				template := func(parameters int) func() answer {
					return func() answer { return sendTemplate(t, s, name, parameters) }
				}
				check := func(what string, send func() answer, want bool) {
					t.Helper()
					if got := sent(send); got != want {
						t.Errorf("%s: sent %t, want %t", what, got, want)
					}
				}
				id := d.account.ID
				check("a template that nobody registered, without a registry", template(1), true)
				setRules(t, s, id, `"templates":[{"name":"order_update","language":"en_US","body":2}]`)
				check("with as many parameters as it has", template(2), true)
				check("with a parameter too few", template(1), false)
				check("with a parameter too many", template(3), false)
				setRules(t, s, id, `"templates":[{"name":"order_update","language":"sv","body":2}]`)
				check("in a language it isn't in", template(2), false)
				setRules(t, s, id, `"templates":[]`)
				check("a template that isn't there", template(2), false)

				setRules(t, s, id, `"window":true`)
				check("a text to who never wrote", text, false)
				control(t, s, http.MethodPost, "/inbound", `{"account":"`+id+`","from":"46732001122","text":"Hi"}`, nil)
				wait(time.Second)
				check("a text to who wrote", text, true)
				setRules(t, s, id, `"window":false`)

				setRules(t, s, id, `"pair_every_ms":6000,"pair_burst":2`)
				diff(t, "per pair", []int{text().status, text().status, text().status, d.send(t, s, "46732009999").status},
					[]int{d.taken, d.taken, http.StatusTooManyRequests, d.taken})
				wait(time.Minute)
				setRules(t, s, id, `"pair_every_ms":0,"rate":1`)
				diff(t, "per number", []int{text().status, d.send(t, s, "46732009999").status}, []int{d.taken, http.StatusTooManyRequests})
				diff(t, "the rate in force", s.stats().Accounts[0].Rate, 1)

				control(t, s, http.MethodPost, "/reset", "", nil)
				wait(time.Minute)
				diff(t, "after a reset", []int{text().status, text().status, template(1)().status}, []int{d.taken, d.taken, d.taken})
			})
		})
	}
}

func TestTheOptInStoreIsSwitchedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{}
		s := start(t, Options{Accounts: []Account{sinchAccount()}, Delays: &Delays{Sent: time.Second}}, g)
		setRules(t, s, "sinch", `"opt_in":true`)
		last := func() string {
			t.Helper()
			sendSinch(t, s, sinchTextTo("46732001122"))
			wait(time.Minute)
			all := g.statuses(t)
			return all[len(all)-1]
		}
		diff(t, "before", last(), "no_opt_in The recipient has not opted in")
		diff(t, "opt in", do(t, s, request(t, "/whatsapp/v1/bot-eu-1/provision/optin", "tok-v1", `{"numbers":["46732001122"]}`)).status, http.StatusOK)
		diff(t, "after", last(), "sent")
	})
}

func TestRulesAreShownAndChecked(t *testing.T) {
	account := cloudAccount()
	account.Rate, account.PairEvery, account.PairBurst, account.Templates = 80, 6*time.Second, 45, offers()[4:]
	s := start(t, Options{Accounts: []Account{account, sinchAccount()}}, &gateway{})
	got := do(t, s, request(t, "/_sim/accounts", "", `{"account":"sinch","rate":20,"opt_in":true}`))
	sameJSON(t, "what is in force", got.body, `{"account":"sinch","rate":20,"pair_every_ms":0,"pair_burst":0,"window":false,"opt_in":true}`)
	sameJSON(t, "all", get(t, s, "/_sim/accounts", "").body, `{"accounts":[
		{"account":"cloud","rate":80,"pair_every_ms":6000,"pair_burst":45,"window":false,"opt_in":false,"templates":[{"name":"plain","language":"en_US","category":"MARKETING"}]},
		{"account":"sinch","rate":20,"pair_every_ms":0,"pair_burst":0,"window":false,"opt_in":true}]}`)
	for body, want := range map[string]int{
		`{"account":"nobody","rate":1}`:                                                    http.StatusNotFound,
		`{"account":"cloud","colour":"red"}`:                                               http.StatusBadRequest,
		`{"account":"cloud","rate":-1}`:                                                    http.StatusBadRequest,
		`{"account":"cloud","pair_every_ms":-1}`:                                           http.StatusBadRequest,
		`{"account":"cloud","pair_burst":-1}`:                                              http.StatusBadRequest,
		`{"account":"cloud","templates":[{}]}`:                                             http.StatusBadRequest,
		`{"account":"cloud","templates":[{"name":"a","language":"en","header":"fax"}]}`:    http.StatusBadRequest,
		`{"account":"cloud","templates":[{"name":"a","language":"en","state":"HAPPY"}]}`:   http.StatusBadRequest,
		`{"account":"cloud","templates":[{"name":"a","language":"en","buttons":["fax"]}]}`: http.StatusBadRequest,
	} {
		diff(t, body, control(t, s, http.MethodPost, "/accounts", body, nil), want)
	}
}
