package whatsappv2_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappv2"
)

// What the ingress for callbacks expects of a dialect.
var _ interface {
	Challenge(query url.Values) (body string, ok bool)
	Verify(header http.Header, query url.Values, raw []byte) error
	Parse(raw []byte) (gateway.Callback, error)
} = (*whatsappv2.Provider)(nil)

// The signature vector of the reference. Its body escapes as the provider
// does, so that whoever signs a decoded form gets another signature.
const (
	vectorBody      = `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Zo\u00eb"},"wa_id":"16505551234"}],"messages":[{"from":"16505551234","id":"wamid.TEST1","timestamp":"1749416383","type":"text","text":{"body":"STOP https:\/\/x.io"}}]},"field":"messages"}]}]}`
	vectorSignature = "sha256=ceec1fdb49d7c3bc4b20f7f506977672406f479acdd9082adfc88e28abb34f2a"
	reencoded       = "sha256=6e7a9479ae9c3625c23f334e7006727945c9a53f0d89cc2ade44b51bf3520956"
	emptySignature  = "sha256=cd36074ff376d458e5d3f02b3f0291c786b3d74713a449546de545aee3c18fa4"
)

func TestVerify(t *testing.T) {
	if len(vectorBody) != 432 {
		t.Fatalf("the vector's body has %d bytes, want 432", len(vectorBody))
	}
	both := []string{appSecret, nextSecret}
	for _, c := range []struct {
		name      string
		secrets   []string
		signature string
		body      string
		want      error
	}{
		{"the vector of the reference", both, vectorSignature, vectorBody, nil},
		{"an empty object", both, emptySignature, `{}`, nil},
		{"the old secret during a rotation", []string{nextSecret, appSecret}, vectorSignature, vectorBody, nil},
		{"an empty secret beside the right one", []string{"", appSecret}, vectorSignature, vectorBody, nil},
		{"hex in upper case", both, "sha256=" + strings.ToUpper(strings.TrimPrefix(vectorSignature, "sha256=")), vectorBody, nil},

		{"the signature of the re-encoded body, as the provider's sample makes it", both, reencoded, vectorBody, whatsappv2.ErrSignature},
		{"a byte of the body changed", both, vectorSignature, strings.Replace(vectorBody, "STOP", "STOp", 1), whatsappv2.ErrSignature},
		{"a newline added", both, vectorSignature, vectorBody + "\n", whatsappv2.ErrSignature},
		{"another secret", []string{nextSecret}, vectorSignature, vectorBody, whatsappv2.ErrSignature},
		{"no secret", nil, vectorSignature, vectorBody, whatsappv2.ErrSignature},
		{"half a signature", both, vectorSignature[:40], vectorBody, whatsappv2.ErrSignature},
		{"an empty signature", both, "sha256=", vectorBody, whatsappv2.ErrSignature},
		{"no hex", both, "sha256=" + strings.Repeat("g", 64), vectorBody, whatsappv2.ErrSignature},
		{"no header", both, "", vectorBody, whatsappv2.ErrUnsigned},
		{"no prefix", both, strings.TrimPrefix(vectorSignature, "sha256="), vectorBody, whatsappv2.ErrUnsigned},
		{"the older algorithm", both, strings.Replace(vectorSignature, "sha256", "sha1", 1), vectorBody, whatsappv2.ErrUnsigned},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.signature != "" {
				h.Set("x-hub-signature-256", c.signature)
			}
			got := whatsappv2.New(whatsappv2.Settings{AppSecrets: c.secrets}).Verify(h, nil, []byte(c.body))
			if !errors.Is(got, c.want) {
				t.Fatalf("%v, want %v", got, c.want)
			}
			if got != nil && (strings.Contains(got.Error(), appSecret) || strings.Contains(got.Error(), "ceec1f")) {
				t.Errorf("the error says too much: %v", got)
			}
		})
	}
}

// HMAC takes any key: what is signed with the empty one proves nothing.
func TestAnEmptySecretVerifiesNothing(t *testing.T) {
	const ofEmptyKey = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" // of the empty body
	h := http.Header{"X-Hub-Signature-256": {ofEmptyKey}}
	if err := whatsappv2.New(whatsappv2.Settings{AppSecrets: []string{""}}).Verify(h, nil, nil); !errors.Is(err, whatsappv2.ErrSignature) {
		t.Errorf("%v, want ErrSignature", err)
	}
}

func TestChallenge(t *testing.T) {
	query := func(mode, token, challenge string) url.Values {
		return url.Values{"hub.mode": {mode}, "hub.verify_token": {token}, "hub.challenge": {challenge}}
	}
	for _, c := range []struct {
		name  string
		token string // configured
		query url.Values
		want  string
		ok    bool
	}{
		{"the right token gets the challenge back", verifyToken, query("subscribe", verifyToken, "RANDOM_STRING"), "RANDOM_STRING", true},
		{"another token", verifyToken, query("subscribe", verifyToken+"x", "RANDOM_STRING"), "", false},
		{"a prefix of the token", verifyToken, query("subscribe", verifyToken[:5], "RANDOM_STRING"), "", false},
		{"no token", verifyToken, query("subscribe", "", "RANDOM_STRING"), "", false},
		{"another mode", verifyToken, query("unsubscribe", verifyToken, "RANDOM_STRING"), "", false},
		{"no mode", verifyToken, query("", verifyToken, "RANDOM_STRING"), "", false},
		{"no challenge", verifyToken, query("subscribe", verifyToken, ""), "", false},
		{"no token configured and none given", "", query("subscribe", "", "RANDOM_STRING"), "", false},
		{"an empty query", verifyToken, nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := whatsappv2.New(whatsappv2.Settings{VerifyToken: c.token}).Challenge(c.query)
			if got != c.want || ok != c.ok {
				t.Errorf("%q, %v, want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

const metadata = `"metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}`

// wrap puts a change into the envelope.
func wrap(change string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[` + change + `]}]}`
}

// statuses and messages make the body of a webhook with these.
func statuses(list string) string {
	return wrap(`{"field":"messages","value":{"messaging_product":"whatsapp",` + metadata + `,"statuses":[` + list + `]}}`)
}

func messages(list string) string {
	return wrap(`{"field":"messages","value":{"messaging_product":"whatsapp",` + metadata + `,"contacts":[{"profile":{"name":"Sheena Nelson"},"wa_id":"16505551234"}],"messages":[` + list + `]}}`)
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func receipts(r ...gateway.Receipt) gateway.Callback { return gateway.Callback{Receipts: r} }

func said(at int64, words ...string) gateway.Callback {
	var c gateway.Callback
	for _, w := range words {
		c.Inbound = append(c.Inbound, gateway.Inbound{From: "+16505551234", At: unix(at), Text: w})
	}
	return c
}

func failedReceipt(e gateway.Error, s *gateway.Suppression) gateway.Callback {
	return receipts(gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusFailed, At: unix(1750030073), Error: &e, Suppress: s})
}

// The examples of the reference: what people write in the Cloud API's
// envelope, statuses in it or flat.
func TestParseDocumented(t *testing.T) {
	at := time.Date(2025, time.April, 27, 12, 5, 0, 0, time.UTC)
	hard := &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "the number's format was refused"}
	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{
			"the example of a message",
			`{"object":"whatsapp_business_account","entry":[{"id":"WHATSAPP_BUSINESS_ACCOUNT_ID","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15555555555","phone_number_id":"PHONE_NUMBER_ID"},"contacts":[{"profile":{"name":"John Doe"},"wa_id":"15555551234"}],"messages":[{"from":"15555551234","id":"wamid.ID","timestamp":"1520383572","text":{"body":"Hello!"},"type":"text"}]},"field":"messages"}]}]}`,
			gateway.Callback{Inbound: []gateway.Inbound{{From: "+15555551234", At: time.Date(2018, time.March, 7, 0, 46, 12, 0, time.UTC), Text: "Hello!"}}},
		},
		{
			"W-09 a person writes stop",
			messages(`{"from":"16505551234","id":"wamid.IN10","timestamp":"1749416383","type":"text","text":{"body":" Stop. "}}`),
			said(1749416383, " Stop. "),
		},
		{"the vector's body, its escapes undone", vectorBody, said(1749416383, "STOP https://x.io")},
		{
			"a status in the envelope",
			statuses(`{"id":"wamid.A","status":"delivered","timestamp":"1750030073","recipient_id":"16505551234"}`),
			receipts(gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusDelivered, At: time.Date(2025, time.June, 15, 23, 27, 53, 0, time.UTC)}),
		},
		{
			"a status in the envelope under the event's name",
			wrap(`{"field":"message_status","value":{` + metadata + `,"statuses":[{"message_id":"wamid.A","status":"sent","timestamp":"2025-04-27T12:05:00Z"}]}}`),
			receipts(gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent, At: at}),
		},
		{
			"statuses out of order and doubled, as they came",
			statuses(`{"id":"wamid.A","status":"read","timestamp":"1750030075"},{"id":"wamid.A","status":"sent","timestamp":"1750030074"},{"id":"wamid.A","status":"read","timestamp":"1750030075"}`),
			receipts(
				gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusRead, At: unix(1750030075)},
				gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent, At: unix(1750030074)},
				gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusRead, At: unix(1750030075)},
			),
		},
		{
			"a flat status",
			`{"event":"message_status","message_id":"wamid.A","status":"delivered","timestamp":"2025-04-27T12:05:00Z","recipient":"+14155552671"}`,
			receipts(gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusDelivered, At: at}),
		},
		{
			"a flat failure, the code in its error",
			`{"event":"message_status","message_id":"wamid.A","status":"failed","timestamp":1750030073,"error":{"code":132000,"message":"Incorrect phone number format","details":"d"}}`,
			failedReceipt(gateway.Error{Class: gateway.ClassRecipient, Code: "132000", Title: "Incorrect phone number format", Detail: "d"}, hard),
		},
		{"a flat change of a contact", `{"event":"contact_update","number":"+14155552671","profile":{"name":"n"}}`, gateway.Callback{}},
		{"a flat message, whose form isn't known", `{"event":"message","id":"wamid.IN","from":"16505551234","type":"text","message":{"body":"x"}}`, gateway.Callback{}},
		{"a change of a contact in the envelope", wrap(`{"field":"contact_update","value":{"contacts":[{"wa_id":"16505551234"}]}}`), gateway.Callback{}},
		{
			"failed, by this system's meaning of the code",
			statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131030,"title":"Invalid access token","error_data":{"details":"d"}}]}`),
			providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassSuspended, Code: "131030", Title: "Invalid access token", Detail: "d"}, nil), 15*time.Minute, gateway.OutcomeSuspended, "Invalid access token"),
		},
		{
			"failed by a limit",
			statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":133000,"title":"Rate limit exceeded"}]}`),
			providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassThrottled, Code: "133000", Title: "Rate limit exceeded"}, nil), time.Second, gateway.OutcomeThrottled, "Rate limit exceeded"),
		},
		{
			"failed by its template",
			statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":134000,"title":"Template not approved"}]}`),
			failedReceipt(gateway.Error{Class: gateway.ClassPolicy, Code: "134000", Title: "Template not approved"}, nil),
		},
	} {
		t.Run(c.name, func(t *testing.T) { parses(t, c.body, c.want) })
	}
}

// What the reference leaves open.
func TestParse(t *testing.T) {
	const (
		plain = `{"id":"wamid.A","status":"sent","timestamp":"1750030073"}`
		stop  = `"from":"16505551234","id":"wamid.I","timestamp":"1749416383"`
	)
	sent := gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent, At: unix(1750030073)}
	timeless := gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent}
	timed := func(timestamp string) string {
		return statuses(`{"id":"wamid.A","status":"sent","timestamp":` + timestamp + `}`)
	}
	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{"a time as a number", timed(`1750030073`), receipts(sent)},
		{"a time in milliseconds", timed(`"1750030073000"`), receipts(sent)},
		{"a time with an offset", timed(`"2025-06-16T01:27:53+02:00"`), receipts(sent)},
		{"a time before 1970", timed(`"1969-12-31T23:59:59Z"`), receipts(timeless)},
		{"a time after 9999 once it is UTC", timed(`"9999-12-31T23:59:59-01:00"`), receipts(timeless)},
		{"a time after 9999 in milliseconds", timed(`253402300800000`), receipts(timeless)},
		{"no time", statuses(`{"id":"wamid.A","status":"sent"}`), receipts(timeless)},
		{"a number for an id", statuses(`{"id":7,"status":"sent","timestamp":"1750030073"}`), receipts(gateway.Receipt{ProviderMessageID: "7", Status: gateway.StatusSent, At: unix(1750030073)})},
		{"a status without an id", statuses(`{"status":"sent","timestamp":"1750030073"}`), gateway.Callback{}},
		{"a status to come", statuses(`{"id":"wamid.A","status":"pondered"}`), gateway.Callback{}},
		{"a flat status without an id", `{"event":"message_status","status":"sent"}`, gateway.Callback{}},
		{"a flat status to come", `{"event":"message_status","status":"pondered","message_id":"wamid.A"}`, gateway.Callback{}},

		{
			"failed by a code that isn't documented", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131026,"title":"Message undeliverable"}]}`),
			failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Code: "131026", Title: "Message undeliverable"}, nil),
		},
		{
			"failed without a reason", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073"}`),
			failedReceipt(gateway.Error{Class: gateway.ClassPermanent, Title: "failed without a reason"}, nil),
		},
		{
			"a token quoted in an error is not kept", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131030,"title":"Malformed access token ` + accessToken + `"}]}`),
			providertest.Halted(failedReceipt(gateway.Error{Class: gateway.ClassSuspended, Code: "131030", Title: "Malformed access token [redacted]"}, nil), 15*time.Minute, gateway.OutcomeSuspended, "Malformed access token [redacted]"),
		},

		{
			"an error of no message, as the Cloud API has them, by this system's table",
			wrap(`{"field":"messages","value":{` + metadata + `,"errors":[7,{"code":133000,"title":"Rate limit exceeded"},{"code":130429,"title":"Rate limit hit"}]}}`),
			providertest.Halted(gateway.Callback{}, time.Second, gateway.OutcomeThrottled, "Rate limit exceeded"),
		},

		{"an unreadable status spoils no other", statuses(`7,"x",null,[],{"id":{},"status":[]},` + plain), receipts(sent)},
		{"an unreadable change spoils no other", wrap(`7,{"field":"messages","value":[]},{"field":"messages","value":{"statuses":{}}},{"field":"messages","value":{"statuses":[` + plain + `]}}`), receipts(sent)},
		{"an unreadable entry spoils no other", `{"object":"whatsapp_business_account","entry":[7,{"changes":"none"},{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, receipts(sent)},
		{"keys to come are no error", `{"object":"whatsapp_business_account","era":2,"entry":[{"time":7,"changes":[{"field":"messages","value":{"statuses":[` + plain + `],"moods":[1]},"more":{}}]}]}`, receipts(sent)},
		{"an object that isn't named is taken for ours", `{"entry":[{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, receipts(sent)},
		{"another product's object is not", `{"object":"instagram","entry":[{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, gateway.Callback{}},
		{"a field that isn't messages may look alike", wrap(`{"field":"history","value":{"statuses":[` + plain + `]}}`), gateway.Callback{}},
		{"no entries", `{"object":"whatsapp_business_account","entry":[]}`, gateway.Callback{}},
		{"nothing at all", " {} ", gateway.Callback{}},
		{
			"statuses and messages in one",
			wrap(`{"field":"messages","value":{"statuses":[` + plain + `],"messages":[{` + stop + `,"type":"text","text":{"body":"Hi"}}]}}`),
			gateway.Callback{Receipts: []gateway.Receipt{sent}, Inbound: said(1749416383, "Hi").Inbound},
		},

		{"a tapped button, by its payload and its label", messages(`{` + stop + `,"type":"button","button":{"payload":"OUT","text":"Stop"}}`), said(1749416383, "OUT", "Stop")},
		{"a payload may be null", messages(`{` + stop + `,"type":"button","button":{"payload":null,"text":"Stop"}}`), said(1749416383, "Stop")},
		{"a payload that is the label", messages(`{` + stop + `,"type":"button","button":{"payload":"Stop","text":"Stop"}}`), said(1749416383, "Stop")},
		{"a chosen row, by its id and its label", messages(`{` + stop + `,"type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"p1","title":"Express"}}}`), said(1749416383, "Express", "p1")},
		{"a tapped reply button", messages(`{` + stop + `,"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"no","title":"Stop"}}}`), said(1749416383, "Stop", "no")},
		{"a voice message opens the window and says nothing", messages(`{` + stop + `,"type":"audio","audio":{"id":"1908","voice":true}}`), said(1749416383, "")},
		{"a kind to come opens the window", messages(`{` + stop + `,"type":"poll","poll":7}`), said(1749416383, "")},
		{"a reaction doesn't", messages(`{` + stop + `,"type":"reaction","reaction":{"message_id":"wamid.A","emoji":"👍"}}`), gateway.Callback{}},
		{"nor do notices and corrections", messages(`{` + stop + `,"type":"system"},{` + stop + `,"type":"unsupported"},{` + stop + `,"type":"edit"},{` + stop + `,"type":"revoke"}`), gateway.Callback{}},
		{"somebody with half a number can't be placed", messages(`{"from":"165","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
		{"a number may have its '+'", messages(`{"from":"+16505551234","timestamp":"1749416383","type":"text","text":{"body":"Stop"}}`), said(1749416383, "Stop")},
		{"a text of another shape says nothing", messages(`{` + stop + `,"type":"text","text":"Stop"}`), said(1749416383, "")},
	} {
		t.Run(c.name, func(t *testing.T) { parses(t, c.body, c.want) })
	}
}

func parses(t *testing.T, body string, want gateway.Callback) {
	t.Helper()
	if !json.Valid([]byte(body)) {
		t.Fatalf("the case is no JSON: %s", body)
	}
	got, err := whatsappv2.New(settings("")).Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("callback (-want +got):\n%s", diff)
	}
}

func TestParseRefusesWhatIsNoWebhook(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                 ``,
		"white space":             " \n",
		"no JSON":                 `hub.mode=subscribe`,
		"half a webhook":          vectorBody[:200],
		"all but the last brace":  vectorBody[:len(vectorBody)-1],
		"two webhooks":            vectorBody + vectorBody,
		"an array":                `[` + vectorBody + `]`,
		"null":                    `null`,
		"a string":                `"whatsapp_business_account"`,
		"no entry":                `{"object":"whatsapp_business_account"}`,
		"an entry of other shape": `{"object":"whatsapp_business_account","entry":{"changes":[]}}`,
		"the on-premises form":    `{"statuses":[{"id":"gBGGEgZHMlEfAgkM1RBkhDRr7t8","status":"sent"}]}`,
		"very deep nesting":       strings.Repeat(`{"entry":[`, 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := whatsappv2.New(settings("")).Parse([]byte(body))
			if !errors.Is(err, whatsappv2.ErrDialect) {
				t.Errorf("error %v, read %+v", err, c)
			}
			if err != nil && strings.Contains(err.Error(), "gBGG") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}

// As large as the ingress lets through: 1,000 updates, 3 MB.
func TestParseLargest(t *testing.T) {
	const entries, size = 1000, 3 << 20
	names := []gateway.Status{gateway.StatusRead, gateway.StatusSent, gateway.StatusDelivered} // out of order
	var list []string
	var want gateway.Callback
	for i := range entries {
		id, seconds := fmt.Sprintf("wamid.%04d", i/3), int64(1_750_030_000+i)
		list = append(list, fmt.Sprintf(`{"id":%q,"status":%q,"timestamp":"%d","conversation":{"id":%q}}`,
			id, names[i%3], seconds, strings.Repeat("c", size/entries-120)))
		want.Receipts = append(want.Receipts, gateway.Receipt{ProviderMessageID: gateway.ProviderMessageID(id), Status: names[i%3], At: unix(seconds)})
	}
	body := statuses(strings.Join(list, ","))
	if n := len(body); n < size*9/10 || n > size {
		t.Fatalf("the body has %d bytes, want nearly %d", n, size)
	}
	parses(t, body, want)
}
