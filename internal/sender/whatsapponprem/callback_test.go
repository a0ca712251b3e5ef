package whatsapponprem_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsapponprem"
)

// What the ingress for callbacks expects of a dialect.
var _ interface {
	Challenge(query url.Values) (body string, ok bool)
	Verify(header http.Header, query url.Values, raw []byte) error
	Parse(raw []byte) (gateway.Callback, error)
	Signed() bool
	Allowed(peer netip.Addr) bool
} = (*whatsapponprem.Provider)(nil)

func TestCallbacksNeedATokenOrANetwork(t *testing.T) {
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.1/32")}
	with := func(token string) url.Values { return url.Values{"callback_token": {token}} }
	for _, c := range []struct {
		name    string
		token   string
		allow   []netip.Prefix
		query   url.Values
		peer    string
		verify  error
		allowed bool
	}{
		{"the right token, from anywhere", callbackToken, nil, with(callbackToken), "203.0.113.7", nil, true},
		{"another token", callbackToken, nil, with(callbackToken + "x"), "203.0.113.7", whatsapponprem.ErrToken, true},
		{"the token's beginning", callbackToken, nil, with(callbackToken[:8]), "203.0.113.7", whatsapponprem.ErrToken, true},
		{"an empty token", callbackToken, nil, with(""), "203.0.113.7", whatsapponprem.ErrToken, true},
		{"no token", callbackToken, nil, nil, "203.0.113.7", whatsapponprem.ErrToken, true},
		{"the first of two tokens counts", callbackToken, nil, url.Values{"callback_token": {"x", callbackToken}}, "203.0.113.7", whatsapponprem.ErrToken, true},
		{"the token under another name", callbackToken, nil, url.Values{"token": {callbackToken}}, "203.0.113.7", whatsapponprem.ErrToken, true},
		{"a network, without a token", "", networks, nil, "10.1.2.3", nil, true},
		{"one of IPv6", "", networks, nil, "2001:db8::7", nil, true},
		{"one address", "", networks, nil, "192.0.2.1", nil, true},
		{"IPv4 in IPv6's clothes", "", networks, nil, "::ffff:10.1.2.3", nil, true},
		{"with a zone", "", networks, nil, "2001:db8::7%eth0", nil, true},
		{"another network", "", networks, nil, "192.0.2.2", nil, false},
		{"both, and both are right", callbackToken, networks, with(callbackToken), "10.1.2.3", nil, true},
		{"both, and the token is wrong", callbackToken, networks, with("x"), "10.1.2.3", whatsapponprem.ErrToken, true},
		{"both, and the network is wrong", callbackToken, networks, with(callbackToken), "203.0.113.7", nil, false},
		{"neither", "", nil, nil, "10.1.2.3", whatsapponprem.ErrUnprotected, false},
		{"neither, with an empty token", "", nil, with(""), "10.1.2.3", whatsapponprem.ErrUnprotected, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := whatsapponprem.New(whatsapponprem.Settings{BaseURL: hostURL, CallbackToken: c.token, CallbackAllow: c.allow})
			err := p.Verify(nil, c.query, []byte(`{}`))
			if !errors.Is(err, c.verify) {
				t.Errorf("Verify: %v, want %v", err, c.verify)
			}
			if err != nil && strings.Contains(err.Error(), callbackToken[:8]) {
				t.Errorf("the error says too much: %v", err)
			}
			if got := p.Allowed(netip.MustParseAddr(c.peer)); got != c.allowed {
				t.Errorf("Allowed: %v, want %v", got, c.allowed)
			}
			if !p.Signed() {
				t.Error("not signed: Verify wouldn't be asked")
			}
		})
	}
	p := whatsapponprem.New(whatsapponprem.Settings{CallbackAllow: networks})
	if p.Allowed(netip.Addr{}) {
		t.Error("an address that is none is allowed")
	}
}

func TestChallenge(t *testing.T) {
	query := url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {""}, "hub.challenge": {"1158201444"}}
	if body, ok := whatsapponprem.New(settings(hostURL)).Challenge(query); body != "" || ok {
		t.Errorf("%q, %v: the dialect knows no challenge", body, ok)
	}
}

const user = gateway.Recipient("+250788123123")

// unix is a time as callbacks tell it.
func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func receipts(r ...gateway.Receipt) gateway.Callback { return gateway.Callback{Receipts: r} }

// lostFile is the callback of one failure that says a file must be uploaded again.
func lostFile(c gateway.Callback) gateway.Callback {
	c.Receipts[0].LostFile = true
	return c
}

func failedReceipt(e gateway.Error, s *gateway.Suppression) gateway.Callback {
	return receipts(gateway.Receipt{ProviderMessageID: "g1", Status: gateway.StatusFailed, At: unix(1533332775), Error: &e, Suppress: s})
}

func said(words ...string) gateway.Callback {
	var c gateway.Callback
	for _, w := range words {
		c.Inbound = append(c.Inbound, gateway.Inbound{From: user, At: unix(1454119029), Text: w})
	}
	return c
}

func parses(t *testing.T, body string, want gateway.Callback) {
	t.Helper()
	if !json.Valid([]byte(body)) {
		t.Fatalf("the case is no JSON: %s", body)
	}
	got, err := whatsapponprem.New(settings(hostURL)).Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("callback (-want +got):\n%s", diff)
	}
}

// The cases W-19 to W-24 of the reference, named as there.
func TestParseDocumented(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{
			"W-19 failed, the window is closed",
			`{"statuses":[{"id":"gBGGEgZHMlEfAgkM1RBkhDRr7t8","recipient_id":"12064001000","status":"failed","timestamp":"1533332775","errors":[{"code":470,"title":"Re-engagement message"}]}]}`,
			receipts(gateway.Receipt{
				ProviderMessageID: "gBGGEgZHMlEfAgkM1RBkhDRr7t8", Status: gateway.StatusFailed,
				At:    time.Date(2018, time.August, 3, 21, 46, 15, 0, time.UTC),
				Error: &gateway.Error{Class: gateway.ClassPolicy, Code: "470", Title: "Re-engagement message"},
			}),
		},
		{
			"W-20 delivered, without sent before",
			`{"statuses":[{"id":"gBGGEgZHMlEfAgkM1RBkhDRr7t9","recipient_id":"12064001000","status":"delivered","timestamp":"1533332780","type":"message","message":{"recipient_id":"12064001000"}}]}`,
			receipts(gateway.Receipt{ProviderMessageID: "gBGGEgZHMlEfAgkM1RBkhDRr7t9", Status: gateway.StatusDelivered, At: unix(1533332780)}),
		},
		{"W-21 deleted by the customer", `{"statuses":[{"id":"ABGGFlA5FpafAgo6","status":"deleted","timestamp":"1518694700"}]}`, gateway.Callback{}},
		{
			"W-22 a file that wasn't downloaded, twice in one",
			`{"messages":[{"from":"250788123123","id":"41","timestamp":"1454119029","type":"document","document":{"mime_type":"text/plain","sha256":"the-sha","caption":"the caption","filename":"filename.type","status":"undownloaded"}},{"from":"250788123123","id":"41","timestamp":"1454119029","type":"document","document":{"mime_type":"text/plain","sha256":"the-sha","caption":"the caption","filename":"filename.type","status":"undownloaded"}}]}`,
			said(""),
		},
		{
			"W-23 stop",
			`{"contacts":[{"profile":{"name":"Jerry"},"wa_id":"250788123123"}],"messages":[{"from":"250788123123","id":"ABEG42","timestamp":"1454119029","type":"text","text":{"body":"STOP"}}]}`,
			said("STOP"),
		},
		{
			"W-24 the host speaks of itself", `{"errors":[{"code":1011,"title":"Service not ready","details":"core not started (example text)"}]}`,
			providertest.Halted(gateway.Callback{}, 30*time.Second, gateway.OutcomeThrottled, "Service not ready"),
		},
	} {
		t.Run(c.name, func(t *testing.T) { parses(t, c.body, c.want) })
	}
}

func TestParse(t *testing.T) {
	const (
		g1   = `"id":"g1","timestamp":"1533332775"`
		from = `"from":"250788123123","timestamp":"1454119029"`
	)
	statuses := func(list string) string { return `{"statuses":[` + list + `]}` }
	failing := func(errs string) string { return statuses(`{` + g1 + `,"status":"failed","errors":` + errs + `}`) }
	messages := func(list string) string { return `{"messages":[` + list + `]}` }
	is := func(s gateway.Status) gateway.Callback {
		return receipts(gateway.Receipt{ProviderMessageID: "g1", Status: s, At: unix(1533332775)})
	}
	unexplained := gateway.Error{Class: gateway.ClassPermanent, Title: "failed without an error code"}
	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{"sending is accepted", statuses(`{` + g1 + `,"status":"sending"}`), is(gateway.StatusAccepted)},
		{"sent", statuses(`{` + g1 + `,"status":"sent"}`), is(gateway.StatusSent)},
		{"read", statuses(`{` + g1 + `,"status":"read"}`), is(gateway.StatusRead)},
		{"a warning is of a catalogue", statuses(`{` + g1 + `,"status":"warning"}`), gateway.Callback{}},
		{"a status to come says nothing yet", statuses(`{` + g1 + `,"status":"pondered"}`), gateway.Callback{}},
		{"statuses of something else", statuses(`{` + g1 + `,"type":"payment","status":"sent"}`), gateway.Callback{}},
		{"no id, nothing to join on", statuses(`{"status":"sent","timestamp":"1533332775"}`), gateway.Callback{}},
		{"a time as a number", statuses(`{"id":"g1","status":"sent","timestamp":1533332775}`), is(gateway.StatusSent)},
		{"a time in milliseconds", statuses(`{"id":"g1","status":"sent","timestamp":"1533332775000"}`), is(gateway.StatusSent)},
		{"no time", statuses(`{"id":"g1","status":"sent"}`), receipts(gateway.Receipt{ProviderMessageID: "g1", Status: gateway.StatusSent})},
		{"several, in their order", statuses(`{` + g1 + `,"status":"delivered"},{` + g1 + `,"status":"sent"}`), gateway.Callback{Receipts: append(is(gateway.StatusDelivered).Receipts, is(gateway.StatusSent).Receipts...)}},
		{"an unreadable status spoils no other", statuses(`7,"x",null,[],{"id":{},"status":[]},{` + g1 + `,"status":"sent"}`), is(gateway.StatusSent)},
		{"lists of another shape say nothing", `{"statuses":{},"messages":"none","contacts":7,"errors":null}`, gateway.Callback{}},

		{"failed without errors", statuses(`{` + g1 + `,"status":"failed"}`), failedReceipt(unexplained, nil)},
		{"failed with errors of another shape", failing(`"470"`), failedReceipt(unexplained, nil)},
		{"the first error with a code counts", failing(`[{"title":"odd"},{"code":"501","title":"Unsupported","details":"d","href":"https://example.com"}]`), failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Code: "501", Title: "Unsupported", Detail: "d"}, nil)},
		{"a code that isn't documented is permanent", failing(`[{"code":98765,"title":"odd"}]`), failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Code: "98765", Title: "odd"}, nil)},
		{"expired at the host", failing(`[{"code":410,"title":"Message expired"}]`), failedReceipt(gateway.Error{Class: gateway.ClassExpired, Code: "410", Title: "Message expired"}, nil)},
		{"pending too long", failing(`[{"code":408,"title":"Message is not valid"}]`), failedReceipt(gateway.Error{Class: gateway.ClassTransient, Code: "408", Title: "Message is not valid"}, nil)},
		{"a file that the host hasn't got", failing(`[{"code":1006,"title":"Resource not found","details":"media not found"}]`), lostFile(failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Code: "1006", Title: "Resource not found", Detail: "media not found"}, nil))},
		{"a recipient whom the host doesn't know", failing(`[{"code":1006,"title":"Resource not found","details":"unknown contact"}]`), failedReceipt(gateway.Error{Class: gateway.ClassTransient, Code: "1006", Title: "Resource not found", Detail: "unknown contact"}, nil)},
		{"a file that the Cloud API behind the host can't use", failing(`[{"code":131053,"title":"Media upload error"}]`), lostFile(failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Code: "131053", Title: "Media upload error"}, nil))},
		{"too fast", failing(`[{"code":429,"title":"Rate limit hit"}]`), providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassThrottled, Code: "429", Title: "Rate limit hit"}, nil), time.Minute, gateway.OutcomeThrottled, "Rate limit hit")},
		{"the account's payment", failing(`[{"code":402,"title":"Business eligibility"}]`), providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassSuspended, Code: "402", Title: "Business eligibility"}, nil), 15*time.Minute, gateway.OutcomeSuspended, "Business eligibility")},
		{"not on WhatsApp", failing(`[{"code":1013,"title":"User is not valid"}]`), failedReceipt(gateway.Error{Class: gateway.ClassRecipient, Code: "1013", Title: "User is not valid"}, &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "not on WhatsApp"})},
		{"in an experiment", failing(`[{"code":472,"title":"User is part of an experiment"}]`), failedReceipt(gateway.Error{Class: gateway.ClassRecipient, Code: "472", Title: "User is part of an experiment"}, &gateway.Suppression{Scope: gateway.SuppressMarketing, Reason: "in a marketing experiment", For: 24 * time.Hour})},
		{"a template that is paused", failing(`[{"code":2061,"title":"Template is paused"}]`), failedReceipt(gateway.Error{Class: gateway.ClassPolicy, Code: "2061", Title: "Template is paused"}, nil)},
		{"a secret quoted in an error is not kept", failing(`[{"code":1005,"title":"bad token ` + staticToken + `"}]`), providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassSuspended, Code: "1005", Title: "bad token [redacted]"}, nil), 15*time.Minute, gateway.OutcomeSuspended, "bad token [redacted]")},

		{"a tapped button, by its payload and its label", messages(`{` + from + `,"type":"button","button":{"payload":"OUT","text":"Stop"}}`), said("OUT", "Stop")},
		{"a payload may be null", messages(`{` + from + `,"type":"button","button":{"payload":null,"text":"Stop"}}`), said("Stop")},
		{"a tapped reply button", messages(`{` + from + `,"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"no","title":"Stop"}}}`), said("Stop", "no")},
		{"a chosen row", messages(`{` + from + `,"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"p1","title":"Express","description":"1 day"}}}`), said("Express", "p1")},
		{"voice opens the window", messages(`{` + from + `,"type":"voice","voice":{"id":"f0","mime_type":"audio/ogg; codecs=opus"}}`), said("")},
		{"a location does", messages(`{` + from + `,"type":"location","location":{"latitude":1.5,"longitude":2}}`), said("")},
		{"a kind to come does", messages(`{` + from + `,"type":"poll"}`), said("")},
		{"a notice doesn't", messages(`{` + from + `,"type":"system","system":{"type":"user_changed_number","body":"b"}}`), gateway.Callback{}},
		{"what isn't supported doesn't", messages(`{` + from + `,"type":"unknown","errors":[{"code":501}]},{` + from + `,"type":"unsupported"}`), gateway.Callback{}},
		{"a reaction doesn't", messages(`{` + from + `,"type":"reaction","reaction":{"emoji":"👍"}}`), gateway.Callback{}},
		{"what is said in a group doesn't", messages(`{` + from + `,"group_id":"g","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
		{"somebody without a number can't be placed", messages(`{"from":"nobody","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
		{"a number may have its '+'", messages(`{"from":"+250788123123","timestamp":1454119029,"type":"text","text":{"body":"Hi"}}`), said("Hi")},
		{"messages without ids aren't one", messages(`{` + from + `,"type":"text","text":{"body":"a"}},{` + from + `,"type":"text","text":{"body":"b"}}`), said("a", "b")},

		{"a host that is told of twice is held once", `{"statuses":[{` + g1 + `,"status":"failed","errors":[{"code":429,"title":"t"}]}],"errors":[{"code":"429","title":"t"},{"code":429,"title":"t"}]}`, providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassThrottled, Code: "429", Title: "t"}, nil), time.Minute, gateway.OutcomeThrottled, "t")},
		{"the host's other troubles hold nothing", `{"errors":[{"code":1000,"title":"Generic error"},{"code":471,"title":"Spam"},{"code":2069,"title":"Flow"},{"code":98765},{"title":"odd"},7,null]}`, gateway.Callback{}},
		{"an inbound message's trouble holds nothing", messages(`{` + from + `,"type":"image","errors":[{"code":429,"title":"Rate limit hit"}]}`), said("")},

		{"statuses and messages in one", `{"statuses":[{` + g1 + `,"status":"sent"}],"messages":[{` + from + `,"type":"text","text":{"body":"Hi"}}]}`, gateway.Callback{Receipts: is(gateway.StatusSent).Receipts, Inbound: said("Hi").Inbound}},
		{"keys to come are no error", `{"era":2,"moods":[1]}`, gateway.Callback{}},
		{"nothing at all", " {} ", gateway.Callback{}},
	} {
		t.Run(c.name, func(t *testing.T) { parses(t, c.body, c.want) })
	}
}

func TestParseRefusesWhatIsNoCallback(t *testing.T) {
	const flat = `{"statuses":[{"id":"gBGGEgZHMlEfAgkM1RBkhDRr7t8","status":"sent"}]}`
	for name, body := range map[string]string{
		"nothing":                    ``,
		"white space":                " \n",
		"no JSON":                    `hub.mode=subscribe`,
		"all but the last brace":     flat[:len(flat)-1],
		"two callbacks":              flat + flat,
		"an array":                   `[` + flat + `]`,
		"null":                       `null`,
		"a string":                   `"statuses"`,
		"a webhook of the Cloud API": `{"object":"whatsapp_business_account","entry":[{"changes":[]}]}`,
		"very deep nesting":          strings.Repeat(`{"statuses":[`, 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := whatsapponprem.New(settings(hostURL)).Parse([]byte(body))
			if !errors.Is(err, whatsapponprem.ErrDialect) {
				t.Errorf("error %v, read %+v", err, c)
			}
			if err != nil && strings.Contains(err.Error(), "gBGG") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}
