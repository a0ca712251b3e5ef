package sinchwhatsapp

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// The face that takes callbacks in asks for these.
var _ interface {
	Challenge(query url.Values) (body string, ok bool)
	Verify(header http.Header, query url.Values, raw []byte) error
	Parse(raw []byte) (gateway.Callback, error)
	Signed() bool
} = (*Provider)(nil)

func TestParse(t *testing.T) {
	at := time.Date(2020, time.May, 2, 18, 40, 42, 0, time.UTC)
	one := func(status gateway.Status) gateway.Callback {
		return gateway.Callback{Receipts: []gateway.Receipt{{ProviderMessageID: "M", Status: status, At: at}}}
	}
	failed := func(e gateway.Error, s *gateway.Suppression) gateway.Callback {
		c := one(gateway.StatusFailed)
		c.Receipts[0].Error, c.Receipts[0].Suppress = &e, s
		return c
	}
	rest := func(state string) *gateway.Suppression {
		return &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: state, For: 24 * time.Hour}
	}
	said := func(texts ...string) (c gateway.Callback) {
		for _, text := range texts {
			c.Inbound = append(c.Inbound, gateway.Inbound{From: recipient, At: at, Text: text})
		}
		return c
	}
	const (
		when  = `"timestamp":"2020-05-02T18:40:42Z"`
		about = `"message_id":"M","recipient":"+46732001122",` + when
		from  = `"from":"46732001122","to":"bot-eu-1","message_id":"I",` + when
	)
	status := func(members string) string { return `{"type":"whatsapp","statuses":[{` + members + `,` + about + `}]}` }
	notification := func(message string) string {
		return `{"type":"whatsapp","notifications":[{` + from + `,"message":` + message + `}]}`
	}
	unexplained := gateway.Error{Class: gateway.ClassUnknown, Code: "failed", Title: "Failed at the provider, which names no reason"}
	limited := unexplained
	limited.Detail = "There are restrictions on how many messages can be sent from this number"

	for _, c := range []struct {
		name string
		body string
		want gateway.Callback
	}{
		{"queued is accepted", status(`"status":"success","state":"queued"`), one(gateway.StatusAccepted)},
		{"D1 dispatched is accepted", status(`"status":"success","state":"dispatched"`), one(gateway.StatusAccepted)},
		{"D2 sent", status(`"status":"success","state":"sent"`), one(gateway.StatusSent)},
		{"D3 delivered", status(`"status":"success","state":"delivered"`), one(gateway.StatusDelivered)},
		{"D4 read", status(`"status":"success","state":"read"`), one(gateway.StatusRead)},
		{
			"D5 failed keeps the details and guesses nothing",
			status(`"status":"failure","state":"failed","details":"There are restrictions on how many messages can be sent from this number"`),
			failed(limited, nil),
		},
		{
			"D6 no_opt_in lets the recipient rest for a day", status(`"status":"failure","state":"no_opt_in"`),
			failed(gateway.Error{Class: gateway.ClassRecipient, Code: "no_opt_in", Title: "The recipient is not opted in at Sinch"}, rest("no_opt_in")),
		},
		{
			"D6 no_capability lets the recipient rest for a day", status(`"status":"failure","state":"no_capability"`),
			failed(gateway.Error{Class: gateway.ClassRecipient, Code: "no_capability", Title: "The recipient has no WhatsApp"}, rest("no_capability")),
		},
		{
			"D7 deleted is a failure that has expired", status(`"status":"success","state":"deleted"`),
			failed(gateway.Error{Class: gateway.ClassExpired, Code: "deleted", Title: "Deleted or expired in the recipient's app"}, nil),
		},
		{
			"D8 two statuses and a tapped quick reply in one callback",
			`{"type":"whatsapp","statuses":[{"status":"success","state":"sent",` + about + `},{"status":"success","state":"delivered",` + about + `}],
			  "notifications":[{` + from + `,"message":{"type":"button","index":"0","text":"Yes","payload":"yes-1"},"replying_to":{"from":"46700000000","message_id":"M"}}]}`,
			gateway.Callback{
				Receipts: append(one(gateway.StatusSent).Receipts, one(gateway.StatusDelivered).Receipts...),
				Inbound:  said("Yes", "yes-1").Inbound,
			},
		},

		{"the state counts where status disagrees", status(`"status":"failure","state":"delivered"`), one(gateway.StatusDelivered)},
		{"a new state of success proves acceptance", status(`"status":"success","state":"played"`), one(gateway.StatusAccepted)},
		{"a new state of failure is a failure", status(`"status":"failure","state":"lost"`), failed(unexplained, nil)},
		{"a new state of neither is left out", status(`"state":"played"`), gateway.Callback{}},
		{"statuses may be a single object", `{"statuses":{"state":"sent",` + about + `}}`, one(gateway.StatusSent)},
		{
			"a bad element spoils no other",
			`{"type":"whatsapp","statuses":[null,7,"x",[],{},{"state":"sent",` + about + `}],"notifications":[null,7,{},{"from":7}],"contacts":7,"new":{}}`,
			one(gateway.StatusSent),
		},
		{
			"a member of another type spoils no other", `{"statuses":[{"state":"sent","status":7,"details":{"a":1},` + about + `}]}`,
			one(gateway.StatusSent),
		},
		{
			"a receipt needs no id: its URL may name the message", `{"statuses":[{"state":"sent",` + when + `}]}`,
			gateway.Callback{Receipts: []gateway.Receipt{{Status: gateway.StatusSent, At: at}}},
		},
		{
			"a time that can't be read is none", `{"statuses":[{"state":"sent","message_id":"M","timestamp":1588444842}]}`,
			gateway.Callback{Receipts: []gateway.Receipt{{ProviderMessageID: "M", Status: gateway.StatusSent}}},
		},
		{
			"times in other zones and without one are told in UTC",
			`{"statuses":[{"state":"sent","message_id":"M","timestamp":"2020-05-02T20:40:42+0200"},{"state":"sent","message_id":"M","timestamp":"2020-05-02T18:40:42.000"}]}`,
			gateway.Callback{Receipts: append(one(gateway.StatusSent).Receipts, one(gateway.StatusSent).Receipts...)},
		},

		{"a text", notification(`{"type":"text","body":"Stop"}`), said("Stop")},
		{"a tapped reply button says its label and its id", notification(`{"type":"interactive","message":{"type":"button","id":"y","title":"Yes"}}`), said("Yes", "y")},
		{"a chosen row does too", notification(`{"type":"interactive","message":{"type":"list","id":"t1","title":"10:00","description":"Room A"}}`), said("10:00", "t1")},
		{"a quick reply without payload says its label", notification(`{"type":"button","index":"1","text":"Stop"}`), said("Stop")},
		{"a quick reply with its label as payload says it once", notification(`{"type":"button","index":"1","text":"Stop","payload":"Stop"}`), said("Stop")},
		{"a tap without words opens the window", notification(`{"type":"button","index":"1"}`), said("")},
		{"contacts, which people share, say nothing", notification(`{"type":"contacts","contacts":[{"name":{"formatted_name":"STOP"}}]}`), said("")},
		{"a place says nothing", notification(`{"type":"location","latitude":1.5,"longitude":2,"name":"STOP","address":"a","url":"https://a.example/"}`), said("")},
		{"a voice message says nothing", notification(`{"type":"voice","url":"https://a.example/v","mime_type":"audio/ogg","metadata":{}}`), said("")},
		{
			"what a text replies to, where it came from and its writer's name change nothing",
			`{"type":"whatsapp","contacts":[{"profile":{"name":"STOP"},"wa_id":"46732001122"}],"notifications":[{` + from + `,"message":{"type":"text","body":"a"},
			  "replying_to":{"from":"46700000000","message_id":"M"},"forwarded":true,"frequently_forwarded":false,"referral":{"headline":"h","body":"STOP","source_type":"ad","source_id":"1","source_url":"https://a.example/","referral_media":{"type":"image","url":"https://a.example/"}}}]}`,
			said("a"),
		},
		{"an image opens the window and says nothing", notification(`{"type":"image","url":"https://a.example/i","caption":"Stop"}`), said("")},
		{"a kind that is new opens the window too", notification(`{"type":"poll","message":7}`), said("")},
		{"a tap Sinch can't place opens the window too", notification(`{"type":"error","details":"Remember to add quick reply buttons"}`), said("")},
		{"a '+' before the number is fine", `{"notifications":[{"from":"+46732001122",` + when + `,"message":{"type":"text","body":"a"}}]}`, said("a")},
		{"a national number can't be placed", `{"notifications":[{"from":"0732001122",` + when + `,"message":{"type":"text","body":"a"}}]}`, gateway.Callback{}},
		{"a group is nobody's window", `{"notifications":[{"from":"46732001122","in_group":"group:1-2",` + when + `,"message":{"type":"text","body":"a"}}]}`, gateway.Callback{}},
		{"nothing known is nothing told", `{"type":"whatsapp","new":[1]}`, gateway.Callback{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newProvider("").Parse([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("callback (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefusesOtherDialects(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":          ``,
		"no JSON":          `state=delivered`,
		"half an object":   `{"type":"whatsapp","statuses":[{"state":"sent"}`,
		"an array":         `[{"state":"sent"}]`,
		"null":             ` null`,
		"a string":         `"whatsapp"`,
		"two values":       `{"type":"whatsapp"}{}`,
		"another dialect":  `{"type":"mo_text","statuses":[{"state":"sent"}]}`,
		"a byte too early": "\x00{}",
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := newProvider("").Parse([]byte(body)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
}

func TestThereIsNoChallenge(t *testing.T) {
	body, ok := newProvider("").Challenge(map[string][]string{"hub.mode": {"subscribe"}, "hub.challenge": {"1"}})
	if ok || body != "" {
		t.Errorf("answered %q", body)
	}
}
