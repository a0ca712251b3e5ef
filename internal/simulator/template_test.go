package simulator

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// offers is templates of every state. The first wants a picture, two
// parameters, and buttons of which the second has one.
func offers() []Template {
	return []Template{
		{Name: "offer", Language: "en", Header: "image", Body: 2, Buttons: []string{"quick_reply", "url", ""}},
		{Name: "paused", Language: "en", State: "PAUSED"},
		{Name: "disabled", Language: "en", State: "DISABLED"},
		{Name: "pending", Language: "en", State: "PENDING"},
		{Name: "plain", Language: "en_US", Category: "MARKETING"},
	}
}

// offerUses are uses of those templates, in the Cloud API's words.
var offerUses = []struct {
	name                          string
	template, language, component string
	cloud, onPrem, v2             int // error codes, zero: taken
}{
	{"one that fits", "offer", "en", offerHeader + "," + offerBody + "," + offerLink, 0, 0, 0},
	{"one with the reply's payload", "offer", "en", offerHeader + "," + offerBody + "," + offerReply + "," + offerLink, 0, 0, 0},
	{"an unknown name", "other", "en", "", 132001, 2001, 134000},
	{"an unknown language", "offer", "sv", offerHeader + "," + offerBody + "," + offerLink, 132001, 2001, 134000},
	{"one that waits for approval", "pending", "en", "", 132001, 2001, 134000},
	{"one that is paused", "paused", "en", "", 132015, 2061, 134000},
	{"one that is disabled", "disabled", "en", "", 132016, 2062, 134000},
	{"a missing header", "offer", "en", offerBody + "," + offerLink, 132000, 2000, 400},
	{"a parameter too few", "offer", "en", offerHeader + `,{"type":"body","parameters":[{"type":"text","text":"Ada"}]},` + offerLink, 132000, 2000, 400},
	{"a parameter too many", "plain", "en_US", `{"type":"body","parameters":[{"type":"text","text":"Ada"}]}`, 132000, 2000, 400},
	{"a missing link", "offer", "en", offerHeader + "," + offerBody, 132000, 2000, 400},
	{"a header of another kind", "offer", "en", `{"type":"header","parameters":[{"type":"text","text":"x"}]},` + offerBody + "," + offerLink, 132012, 2012, 400},
	{"a button of another kind", "offer", "en", offerHeader + "," + offerBody + "," + offerLink + `,{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"x"}]}`, 132012, 2012, 400},
	{"a button that isn't there", "plain", "en_US", `{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"x"}]}`, 132000, 2000, 400},
}

const (
	offerHeader = `{"type":"header","parameters":[{"type":"image","image":{"link":"https://cdn.example.net/o.jpg"}}]}`
	offerBody   = `{"type":"body","parameters":[{"type":"text","text":"Ada"},{"type":"text","text":"42"}]}`
	offerReply  = `{"type":"button","sub_type":"quick_reply","index":"0","parameters":[{"type":"payload","payload":"yes"}]}`
	offerLink   = `{"type":"button","sub_type":"url","index":"1","parameters":[{"type":"text","text":"x"}]}`
)

func TestTemplatesMustFitTheRegistry(t *testing.T) {
	cloud, onPrem, v2 := cloudAccount(), onPremAccount(), v2Account()
	cloud.Templates, onPrem.Templates, v2.Templates = offers(), offers(), offers()
	for _, tt := range offerUses {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, Options{Accounts: []Account{cloud, onPrem, v2}}, &gateway{})
			members := func(language, more string) string {
				return `"type":"template","template":{` + more + `"name":"` + tt.template + `","language":{` + language + `"code":"` + tt.language + `"},"components":[` + tt.component + `]}`
			}
			check := func(dialect string, got answer, taken, code int) {
				t.Helper()
				if code == 0 {
					diff(t, dialect, got.status, taken)
				} else if !strings.Contains(got.body, fmt.Sprintf(`"code":%d,`, code)) {
					t.Errorf("%s: %d %s", dialect, got.status, got.body)
				}
			}
			check("Cloud", sendCloud(t, s, cloudBody(members("", ""))), http.StatusOK, tt.cloud)
			check("on-premises", sendOnPrem(t, s, onPremBody(members(`"policy":"deterministic",`, `"namespace":"waba_namespace",`))), http.StatusCreated, tt.onPrem)
			check("v2", sendV2(t, s, "messages", `{"to":"15555551234",`+members("", "")+`}`), http.StatusOK, tt.v2)
		})
	}
}

func TestSinchTellsOfTemplatesLater(t *testing.T) {
	account := sinchAccount()
	account.Templates = offers()
	for name, want := range map[string]string{
		`"template_name":"offer","body_params":["Ada","42"],"media":{"type":"image","url":"https://cdn.example.net/o.jpg"},"buttons":[{"type":"quick_reply"},{"type":"url","parameter":"x"},{"type":"call"}]`: "dispatched",
		`"template_name":"other","media":{"type":"text"}`:                 "failed the template does not exist",
		`"template_name":"plain","language":"en","media":{"type":"text"}`: "failed the template does not exist in the language",
	} {
		synctest.Test(t, func(t *testing.T) {
			g := &gateway{}
			s := start(t, Options{Accounts: []Account{account}}, g)
			diff(t, "status", sendSinch(t, s, sinchBody(`{"type":"template",`+name+`}`)).status, http.StatusCreated)
			wait(time.Minute)
			diff(t, name, g.statuses(t)[0], want)
		})
	}
}

func TestFreeMessagesNeedAnOpenWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, onPrem, v2, conversation := cloudAccount(), onPremAccount(), v2Account(), conversationAccount()
		accounts := []*Account{&cloud, &onPrem, &v2, &conversation}
		var all []Account
		for _, a := range accounts {
			a.Window = true
			all = append(all, *a)
		}
		g := &gateway{}
		s := start(t, Options{Accounts: all, Delays: &Delays{Sent: time.Second, Delivered: 2 * time.Second}}, g)
		send := func() []string {
			t.Helper()
			before := len(g.statuses(t))
			sendCloud(t, s, cloudTextTo("+46732001122"))
			wait(10 * time.Second)
			sendOnPrem(t, s, onPremTextTo("46732001122"))
			wait(10 * time.Second)
			sendV2(t, s, "send-message", v2TextTo("+46732001122"))
			wait(10 * time.Second)
			sendConversation(t, s, conversationTo("46732001122", conversationHello, ""))
			wait(10 * time.Second)
			return g.statuses(t)[before:]
		}
		closed := []string{"failed 131047", "failed 470", "failed 400", "FAILED OUTSIDE_ALLOWED_SENDING_WINDOW"}
		diff(t, "before anybody wrote", send(), closed)
		for _, a := range all {
			control(t, s, http.MethodPost, "/inbound", `{"account":"`+a.ID+`","from":"46732001122","text":"Hi"}`, nil)
		}
		wait(time.Second)
		open := []string{"sent", "delivered", "delivered", "sent", "delivered", "QUEUED_ON_CHANNEL", "DELIVERED"}
		diff(t, "after they wrote", send(), open)
		wait(24 * time.Hour)
		diff(t, "a day later", send(), closed)
		before := len(g.statuses(t))
		sendCloud(t, s, strings.Replace(cloudBody(`"type":"template","template":{"name":"plain","language":{"code":"en_US"}}`), "16505551234", "46732001122", 1))
		wait(time.Minute)
		diff(t, "a template", g.statuses(t)[before:], []string{"sent", "delivered"})
	})
}

func TestSinchOptIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := sinchAccount()
		account.OptIn = true
		g := &gateway{}
		s := start(t, Options{Accounts: []Account{account}, Delays: &Delays{Sent: time.Second}}, g)
		optIn := func(method, body string) answer {
			req := request(t, "/whatsapp/v1/bot-eu-1/provision/optin", "tok-v1", body)
			req.Method = method
			return do(t, s, req)
		}
		send := func() string {
			sendSinch(t, s, sinchTextTo("46732001122"))
			wait(time.Minute)
			all := g.statuses(t)
			return all[len(all)-1]
		}
		diff(t, "before", send(), "no_opt_in The recipient has not opted in")
		for range 2 {
			got := optIn(http.MethodPost, `{"numbers":["46732001122"]}`)
			diff(t, "opt in, even twice", []any{got.status, got.body}, []any{200, ""})
		}
		diff(t, "opted in", send(), "sent")
		diff(t, "opt out", optIn(http.MethodDelete, `{"numbers":["46732001122"]}`).status, http.StatusOK)
		diff(t, "opted out", send(), "no_opt_in The recipient has not opted in")
		control(t, s, http.MethodPost, "/inbound", `{"account":"sinch","from":"46732001122","text":"Hi"}`, nil)
		diff(t, "who writes has opted in for a day", send(), "sent")
		got := optIn(http.MethodPost, `{"numbers":[]}`)
		diff(t, "a wrong question", got.status, http.StatusBadRequest)
		sameJSON(t, "a wrong question", got.body, `{"message":"Validation error","details":"Field [numbers] can not be empty."}`)
	})
}
