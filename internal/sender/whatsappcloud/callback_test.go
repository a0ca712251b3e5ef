package whatsappcloud_test

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
	"sluice/internal/sender/whatsappcloud"
)

// What the ingress for callbacks expects of a dialect.
var _ interface {
	Challenge(query url.Values) (body string, ok bool)
	Verify(header http.Header, query url.Values, raw []byte) error
	Parse(raw []byte) (gateway.Callback, error)
} = (*whatsappcloud.Provider)(nil)

// The signature vector of the reference. Its body escapes as Meta does, so
// that whoever signs a decoded form gets another signature.
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
		{"hex in upper case", both, "sha256=" + strings.ToUpper(strings.TrimPrefix(vectorSignature, "sha256=")), vectorBody, nil},

		{"the signature of the re-encoded body", both, reencoded, vectorBody, whatsappcloud.ErrSignature},
		{"a byte of the body changed", both, vectorSignature, strings.Replace(vectorBody, "STOP", "STOp", 1), whatsappcloud.ErrSignature},
		{"a newline added", both, vectorSignature, vectorBody + "\n", whatsappcloud.ErrSignature},
		{"another secret", []string{nextSecret}, vectorSignature, vectorBody, whatsappcloud.ErrSignature},
		{"no secret", nil, vectorSignature, vectorBody, whatsappcloud.ErrSignature},
		{"half a signature", both, vectorSignature[:40], vectorBody, whatsappcloud.ErrSignature},
		{"an empty signature", both, "sha256=", vectorBody, whatsappcloud.ErrSignature},
		{"no hex", both, "sha256=" + strings.Repeat("g", 64), vectorBody, whatsappcloud.ErrSignature},
		{"no header", both, "", vectorBody, whatsappcloud.ErrUnsigned},
		{"no prefix", both, strings.TrimPrefix(vectorSignature, "sha256="), vectorBody, whatsappcloud.ErrUnsigned},
		{"the older algorithm", both, strings.Replace(vectorSignature, "sha256", "sha1", 1), vectorBody, whatsappcloud.ErrUnsigned},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if c.signature != "" {
				h.Set("x-hub-signature-256", c.signature)
			}
			got := whatsappcloud.New(whatsappcloud.Settings{AppSecrets: c.secrets}).Verify(h, nil, []byte(c.body))
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
	if err := whatsappcloud.New(whatsappcloud.Settings{AppSecrets: []string{""}}).Verify(h, nil, nil); !errors.Is(err, whatsappcloud.ErrSignature) {
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
		{"the right token gets the challenge back", verifyToken, query("subscribe", verifyToken, "1158201444"), "1158201444", true},
		{"another token", verifyToken, query("subscribe", verifyToken+"x", "1158201444"), "", false},
		{"a prefix of the token", verifyToken, query("subscribe", verifyToken[:5], "1158201444"), "", false},
		{"no token", verifyToken, query("subscribe", "", "1158201444"), "", false},
		{"another mode", verifyToken, query("unsubscribe", verifyToken, "1158201444"), "", false},
		{"no mode", verifyToken, query("", verifyToken, "1158201444"), "", false},
		{"no challenge", verifyToken, query("subscribe", verifyToken, ""), "", false},
		{"no token configured and none given", "", query("subscribe", "", "1158201444"), "", false},
		{"an empty query", verifyToken, nil, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := whatsappcloud.New(whatsappcloud.Settings{VerifyToken: c.token}).Challenge(c.query)
			if got != c.want || ok != c.ok {
				t.Errorf("%q, %v, want %q, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

const (
	ours = gateway.MessageID("0123456789abcdefghjkmnpqrstvwxyz")
	user = gateway.Recipient("+16505551234")

	metadata = `"metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}`
)

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

// unix is a time as webhooks tell it, typed out from the reference where it
// spells one.
func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func receipts(r ...gateway.Receipt) gateway.Callback { return gateway.Callback{Receipts: r} }

func said(at int64, words ...string) gateway.Callback {
	var c gateway.Callback
	for _, w := range words {
		c.Inbound = append(c.Inbound, gateway.Inbound{From: user, At: unix(at), Text: w})
	}
	return c
}

// lostFile is the callback of one failure that says a file must be uploaded again.
func lostFile(c gateway.Callback) gateway.Callback {
	c.Receipts[0].LostFile = true
	return c
}

func failedReceipt(id gateway.ProviderMessageID, at int64, e gateway.Error, s *gateway.Suppression) gateway.Callback {
	return receipts(gateway.Receipt{ProviderMessageID: id, Status: gateway.StatusFailed, At: unix(at), Error: &e, Suppress: s})
}

// The cases W-01 to W-18 of the reference, named as there, with ids of ours in
// the place of "m-1".
func TestParseDocumented(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{
			"W-01 sent",
			statuses(`{"id":"wamid.OUT1","status":"sent","timestamp":"1750030073","recipient_id":"16505551234","biz_opaque_callback_data":"0123456789abcdefghjkmnpqrstvwxyz","conversation":{"id":"72b1","expiration_timestamp":"1750116480","origin":{"type":"marketing"}},"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}}`),
			receipts(gateway.Receipt{
				Message: ours, ProviderMessageID: "wamid.OUT1", Status: gateway.StatusSent,
				At: time.Date(2025, time.June, 15, 23, 27, 53, 0, time.UTC),
			}),
		},
		{
			"W-02 read without delivered",
			statuses(`{"id":"wamid.OUT1","status":"read","timestamp":"1750030100","recipient_id":"16505551234"}`),
			receipts(gateway.Receipt{ProviderMessageID: "wamid.OUT1", Status: gateway.StatusRead, At: unix(1750030100)}),
		},
		{
			"W-03 failed, the window is closed",
			statuses(`{"id":"wamid.OUT2","status":"failed","timestamp":"1751142888","recipient_id":"16505551234","errors":[{"code":131047,"title":"Re-engagement message","message":"Re-engagement message","error_data":{"details":"24 h window closed (example text)"},"href":"/documentation/business-messaging/whatsapp/support/error-codes"}]}`),
			failedReceipt("wamid.OUT2", 1751142888, gateway.Error{Class: gateway.ClassPolicy, Code: "131047", Title: "Re-engagement message", Detail: "24 h window closed (example text)"}, nil),
		},
		{
			"W-04 failed, undeliverable",
			statuses(`{"id":"wamid.OUT3","status":"failed","timestamp":"1751142889","recipient_id":"16505550000","errors":[{"code":131026,"title":"Message undeliverable","message":"Message undeliverable","error_data":{"details":"recipient cannot receive (example text)"}}]}`),
			failedReceipt(
				"wamid.OUT3", 1751142889,
				gateway.Error{Class: gateway.ClassRecipient, Code: "131026", Title: "Message undeliverable", Detail: "recipient cannot receive (example text)"},
				&gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: "undeliverable", For: 24 * time.Hour},
			),
		},
		{
			"W-05 failed after delivered",
			statuses(`{"id":"wamid.OUT1","status":"failed","timestamp":"1750030200","recipient_id":"16505551234","errors":[{"code":131000,"title":"Something went wrong"}]}`),
			failedReceipt("wamid.OUT1", 1750030200, gateway.Error{Class: gateway.ClassTransient, Code: "131000", Title: "Something went wrong"}, nil),
		},
		{
			"W-06 out of order and doubled, as they came",
			statuses(`{"id":"wamid.OUT4","status":"delivered","timestamp":"1750030075","recipient_id":"16505551234"},{"id":"wamid.OUT4","status":"sent","timestamp":"1750030074","recipient_id":"16505551234"},{"id":"wamid.OUT4","status":"delivered","timestamp":"1750030075","recipient_id":"16505551234"}`),
			receipts(
				gateway.Receipt{ProviderMessageID: "wamid.OUT4", Status: gateway.StatusDelivered, At: unix(1750030075)},
				gateway.Receipt{ProviderMessageID: "wamid.OUT4", Status: gateway.StatusSent, At: unix(1750030074)},
				gateway.Receipt{ProviderMessageID: "wamid.OUT4", Status: gateway.StatusDelivered, At: unix(1750030075)},
			),
		},
		{
			"W-07 opted out of marketing",
			statuses(`{"id":"wamid.OUT5","status":"failed","timestamp":"1751142890","recipient_id":"16505551234","errors":[{"code":131050,"title":"User stopped marketing messages"}]}`),
			failedReceipt(
				"wamid.OUT5", 1751142890,
				gateway.Error{Class: gateway.ClassRecipient, Code: "131050", Title: "User stopped marketing messages"},
				&gateway.Suppression{Scope: gateway.SuppressMarketing, Reason: "recipient stopped marketing messages"},
			),
		},
		{
			"W-08 held template dropped",
			statuses(`{"id":"wamid.OUT6","status":"failed","timestamp":"1751142891","recipient_id":"16505551234","errors":[{"code":132015,"title":"Template is paused"}]}`),
			failedReceipt("wamid.OUT6", 1751142891, gateway.Error{Class: gateway.ClassPolicy, Code: "132015", Title: "Template is paused"}, nil),
		},
		{
			"W-09 a person writes stop",
			messages(`{"from":"16505551234","id":"wamid.IN10","timestamp":"1749416383","type":"text","text":{"body":" Stop. "}}`),
			said(1749416383, " Stop. "),
		},
		{
			"W-10 a template's quick reply",
			messages(`{"context":{"from":"15550783881","id":"wamid.OUT1"},"from":"16505551234","id":"wamid.IN11","timestamp":"1750091045","type":"button","button":{"payload":"Unsubscribe","text":"Unsubscribe"}}`),
			said(1750091045, "Unsubscribe"),
		},
		{
			"W-11 a chosen row, by its id and its label",
			messages(`{"context":{"from":"15550783881","id":"wamid.OUT7"},"from":"16505551234","id":"wamid.IN12","timestamp":"1750091050","type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"p1","title":"Express","description":"1 day"}}}`),
			said(1750091050, "Express", "p1"),
		},
		{
			"W-12 a voice message opens the window and says nothing",
			messages(`{"from":"16505551234","id":"wamid.IN13","timestamp":"1750091060","type":"audio","audio":{"mime_type":"audio/ogg; codecs=opus","sha256":"abc=","id":"1908","url":"https://lookaside.fbsbx.com/x","voice":true}}`),
			said(1750091060, ""),
		},
		{
			"W-13 unsupported opens no window",
			messages(`{"from":"16505551234","id":"wamid.IN14","timestamp":"1750090702","type":"unsupported","errors":[{"code":131051,"title":"Message type unknown","message":"Message type unknown","error_data":{"details":"type not supported (example text)"}}],"unsupported":{"type":"edit"}}`),
			gateway.Callback{},
		},
		{
			"W-14 a change of number takes the person along, and opens no window",
			wrap(`{"field":"messages","value":{"messaging_product":"whatsapp",` + metadata + `,"messages":[{"from":"16505551234","id":"wamid.IN15","timestamp":"1750269342","type":"system","system":{"type":"user_changed_number","wa_id":"12195555358","body":"User A changed from 16505551234 to 12195555358"}}]}}`),
			gateway.Callback{Inbound: []gateway.Inbound{{From: "+16505551234", At: unix(1750269342), Aside: true, Moved: "+12195555358"}}},
		},
		{
			"W-15 no marketing any more",
			wrap(`{"field":"user_preferences","value":{"messaging_product":"whatsapp",` + metadata + `,"contacts":[{"profile":{"name":"Sheena Nelson"},"wa_id":"16505551234"}],"user_preferences":[{"wa_id":"16505551234","detail":"User requested to stop marketing messages","category":"marketing_messages","value":"stop","timestamp":1731705721}]}}`),
			gateway.Callback{Inbound: []gateway.Inbound{{
				From: "+16505551234", At: unix(1731705721), Consent: gateway.ConsentStopMarketing, Aside: true,
			}}},
		},
		{
			"W-15 resume takes that back",
			wrap(`{"field":"user_preferences","value":{"messaging_product":"whatsapp",` + metadata + `,"user_preferences":[{"wa_id":"16505551234","category":"marketing_messages","value":"resume","timestamp":1731705721}]}}`),
			gateway.Callback{Inbound: []gateway.Inbound{{
				From: "+16505551234", At: unix(1731705721), Consent: gateway.ConsentStartMarketing, Aside: true,
			}}},
		},
		{
			"W-15 another category says nothing",
			wrap(`{"field":"user_preferences","value":{"messaging_product":"whatsapp",` + metadata + `,"user_preferences":[{"wa_id":"16505551234","category":"news","value":"stop","timestamp":1731705721}]}}`),
			gateway.Callback{},
		},
		{
			"W-16 a template's status says nothing of a message",
			wrap(`{"field":"message_template_status_update","value":{"event":"PAUSED","message_template_id":1689556908129832,"message_template_name":"order_confirmation","message_template_language":"en-US","reason":"NONE"}}`),
			gateway.Callback{},
		},
		{
			"W-17 an error of the system names no message, and holds the account",
			wrap(`{"field":"messages","value":{"messaging_product":"whatsapp",` + metadata + `,"errors":[{"code":130429,"title":"Rate limit hit","message":"Rate limit hit","error_data":{"details":"number over its rate (example text)"}}]}}`),
			providertest.Halted(gateway.Callback{}, time.Second, gateway.OutcomeThrottled, "Rate limit hit"),
		},
		{
			"W-18 a status of somebody without a number",
			wrap(`{"field":"messages","value":{"messaging_product":"whatsapp",` + metadata + `,"contacts":[{"profile":{"name":"Pablo M.","username":"@pablomorales"},"user_id":"US.13491208655302741918"}],"statuses":[{"id":"wamid.OUT8","status":"delivered","timestamp":"1750030073","recipient_user_id":"US.13491208655302741918"}]}}`),
			receipts(gateway.Receipt{ProviderMessageID: "wamid.OUT8", Status: gateway.StatusDelivered, At: unix(1750030073)}),
		},
		{
			"the vector's body, its escapes undone",
			vectorBody,
			said(1749416383, "STOP https://x.io"),
		},
	} {
		t.Run(c.name, func(t *testing.T) { parses(t, c.body, c.want) })
	}
}

// What the reference leaves open.
func TestParse(t *testing.T) {
	sent := gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent, At: unix(1750030073)}
	with := func(m gateway.MessageID) gateway.Receipt {
		r := sent
		r.Message = m
		return r
	}
	echo := func(data string) string {
		return statuses(`{"id":"wamid.A","status":"sent","timestamp":"1750030073","biz_opaque_callback_data":` + data + `}`)
	}
	at := func(timestamp string) string {
		return statuses(`{"id":"wamid.A","status":"sent","timestamp":` + timestamp + `}`)
	}
	timeless := sent
	timeless.At = time.Time{}
	unexplained := gateway.Error{Class: gateway.ClassPermanent, Title: "failed without an error code"}
	const plain = `{"id":"wamid.A","status":"sent","timestamp":"1750030073"}`
	const stop = `"from":"16505551234","id":"wamid.I","timestamp":"1749416383"`

	for _, c := range []struct {
		name, body string
		want       gateway.Callback
	}{
		{"our id is that of the first attempt", echo(`"` + string(ours) + `"`), receipts(with(ours))},
		{"a marked one is that of a later attempt", echo(`"` + string(ours) + `#2"`), receipts(with(ours))},
		{"of whatever number", echo(`"` + string(ours) + `#117"`), receipts(with(ours))},
		{"a mark without a number isn't ours", echo(`"` + string(ours) + `#"`), receipts(sent)},
		{"nor is attempt 0", echo(`"` + string(ours) + `#0"`), receipts(sent)},
		{"nor a word", echo(`"` + string(ours) + `#two"`), receipts(sent)},
		{"nor what another system has put there", echo(`"order-4711"`), receipts(sent)},
		{"nor what is no text", echo(`{"id":"` + string(ours) + `"}`), receipts(sent)},
		{"nor nothing", echo(`""`), receipts(sent)},
		{"nor null", echo(`null`), receipts(sent)},
		{
			"our id alone is enough", statuses(`{"status":"sent","timestamp":"1750030073","biz_opaque_callback_data":"` + string(ours) + `"}`),
			receipts(gateway.Receipt{Message: ours, Status: gateway.StatusSent, At: unix(1750030073)}),
		},
		{"without any id it says nothing", statuses(`{"status":"sent","timestamp":"1750030073"}`), gateway.Callback{}},

		{"a time as a number", at(`1750030073`), receipts(sent)},
		{"a time in milliseconds", at(`"1750030073000"`), receipts(sent)},
		{"a time that is a word", at(`"today"`), receipts(timeless)},
		{"a time before all times", at(`"-5"`), receipts(timeless)},
		{"a time with a fraction", at(`1750030073.5`), receipts(timeless)},
		{"a time beyond all times", at(`"99999999999999999999"`), receipts(timeless)},
		{"no time", statuses(`{"id":"wamid.A","status":"sent"}`), receipts(timeless)},

		{
			"played is read, which is the most we know", statuses(`{"id":"wamid.A","status":"played","timestamp":"1750030073"}`),
			receipts(gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusRead, At: unix(1750030073)}),
		},
		{"deleted says nothing of the sending", statuses(`{"id":"wamid.A","status":"deleted","timestamp":"1750030073"}`), gateway.Callback{}},
		{"a status to come says nothing yet", statuses(`{"id":"wamid.A","status":"pondered","timestamp":"1750030073"}`), gateway.Callback{}},
		{"a payment has statuses of its own", statuses(`{"id":"wamid.A","type":"payment","status":"sent","timestamp":"1750030073"}`), gateway.Callback{}},
		{"a status may say that it is a message's", statuses(`{"id":"wamid.A","type":"message","status":"sent","timestamp":"1750030073"}`), receipts(sent)},

		{"failed without errors", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073"}`), failedReceipt("wamid.A", 1750030073, unexplained, nil)},
		{"failed with errors of another shape", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":"131026"}`), failedReceipt("wamid.A", 1750030073, unexplained, nil)},
		{
			"the first error with a code counts", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"title":"odd"},{"code":"131049","title":"Kept back"},{"code":131026}]}`),
			failedReceipt(
				"wamid.A", 1750030073, gateway.Error{Class: gateway.ClassRecipient, Code: "131049", Title: "Kept back"},
				&gateway.Suppression{Scope: gateway.SuppressMarketing, Reason: "marketing limit of the recipient", For: 24 * time.Hour},
			),
		},
		{
			"a code that isn't documented is permanent", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":987654,"message":"odd"}]}`),
			failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassPermanent, Code: "987654", Title: "odd"}, nil),
		},
		{
			"billing fails a message, and would the next ones", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131042,"title":"Payment"}]}`),
			providertest.Halted(
				failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassSuspended, Code: "131042", Title: "Payment"}, nil),
				15*time.Minute, gateway.OutcomeSuspended, "Payment",
			),
		},
		{
			"so does a spam limit, for an hour", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131048,"title":"Spam rate limit hit"}]}`),
			providertest.Halted(
				failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassThrottled, Code: "131048", Title: "Spam rate limit hit"}, nil),
				time.Hour, gateway.OutcomeThrottled, "Spam rate limit hit",
			),
		},
		{
			"a limit of one pair holds nobody else", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131056,"title":"Pair rate limit hit"}]}`),
			failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassThrottled, Code: "131056", Title: "Pair rate limit hit"}, nil),
		},
		{
			"what holds another number isn't ours",
			wrap(`{"field":"messages","value":{"metadata":{"phone_number_id":"777"},"errors":[{"code":130429,"title":"Rate limit hit"}],"statuses":[{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131042,"title":"Payment"}]}]}}`),
			failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassSuspended, Code: "131042", Title: "Payment"}, nil),
		},
		{
			"a webhook of others that was lost concerns no message of ours",
			wrap(`{"field":"messages","value":{` + metadata + `,"errors":[{"code":131035,"title":"Content dropped"},7,{"title":"odd"}]}}`),
			gateway.Callback{},
		},
		{
			"expired before it could be delivered", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131043,"title":"Message expired"}]}`),
			failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassExpired, Code: "131043", Title: "Message expired"}, nil),
		},
		{
			"a file that couldn't be read", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131053,"title":"Media upload error","error_data":{"details":"Unable to fetch the file"}}]}`),
			lostFile(failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassTransient, Code: "131053", Title: "Media upload error", Detail: "Unable to fetch the file"}, nil)),
		},
		{
			"a file that WhatsApp can't use", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"title":"odd"},{"code":131053,"title":"Media upload error"}]}`),
			lostFile(failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassPermanent, Code: "131053", Title: "Media upload error"}, nil)),
		},
		{
			"an uploaded file that has expired", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131009,"title":"Parameter value is not valid","error_data":{"details":"there is no file with the media id 1037"}}]}`),
			lostFile(failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassPermanent, Code: "131009", Title: "Parameter value is not valid", Detail: "there is no file with the media id 1037"}, nil)),
		},
		{
			"an invalid value that is no file", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":131009,"title":"Parameter value is not valid"}]}`),
			failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassPermanent, Code: "131009", Title: "Parameter value is not valid"}, nil),
		},
		{
			"a token quoted in an error is not kept", statuses(`{"id":"wamid.A","status":"failed","timestamp":"1750030073","errors":[{"code":190,"title":"Malformed access token ` + accessToken + `"}]}`),
			providertest.Halted(
				failedReceipt("wamid.A", 1750030073, gateway.Error{Class: gateway.ClassSuspended, Code: "190", Title: "Malformed access token [redacted]"}, nil),
				15*time.Minute, gateway.OutcomeSuspended, "Malformed access token [redacted]",
			),
		},

		{"an unreadable status spoils no other", statuses(`7,"x",null,[],{"id":{},"status":[]},` + plain), receipts(sent)},
		{"an unreadable change spoils no other", wrap(`7,{"field":"messages","value":[]},{"field":"messages","value":{"statuses":{}}},{"field":"messages","value":{"statuses":[` + plain + `]}}`), receipts(sent)},
		{"an unreadable entry spoils no other", `{"object":"whatsapp_business_account","entry":[7,{"changes":"none"},{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, receipts(sent)},
		{"keys to come are no error", `{"object":"whatsapp_business_account","era":2,"entry":[{"time":7,"changes":[{"field":"messages","value":{"statuses":[` + plain + `],"moods":[1]},"more":{}}]}]}`, receipts(sent)},
		{"an object that isn't named is taken for ours", `{"entry":[{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, receipts(sent)},
		{"another product's object is not", `{"object":"instagram","entry":[{"changes":[{"field":"messages","value":{"statuses":[` + plain + `]}}]}]}`, gateway.Callback{}},
		{"whatever it looks like", `{"object":"page","entries":7}`, gateway.Callback{}},
		{"a field that isn't messages may look alike", wrap(`{"field":"history","value":{"statuses":[` + plain + `]}}`), gateway.Callback{}},
		{"what the business sent from a phone isn't inbound", wrap(`{"field":"smb_message_echoes","value":{` + metadata + `,"messages":[{` + stop + `,"type":"text","text":{"body":"Hi"}}]}}`), gateway.Callback{}},
		{
			"events of the account are acknowledged and say nothing of messages",
			wrap(`{"field":"account_update","value":{"event":"DISABLED_UPDATE","ban_info":{"waba_ban_state":"DISABLE"}}},` +
				`{"field":"account_alerts","value":{"entity_type":"WABA","alert_severity":"CRITICAL"}},` +
				`{"field":"account_review_update","value":{"decision":"APPROVED"}},` +
				`{"field":"phone_number_quality_update","value":{"event":"THROUGHPUT_UPGRADE","current_limit":"TIER_UNLIMITED"}},` +
				`{"field":"phone_number_name_update","value":{"decision":"APPROVED"}},` +
				`{"field":"business_capability_update","value":{"max_daily_conversations_per_business":1000}},` +
				`{"field":"message_template_quality_update","value":{"new_quality_score":"RED"}},` +
				`{"field":"template_category_update","value":{"new_category":"MARKETING"}},` +
				`{"field":"security","value":{"event":"PIN_CHANGED"}},{"field":"to come","value":7},{"field":7},{}`),
			gateway.Callback{},
		},
		{
			"what comes beside them is heard", wrap(`{"field":"account_update","value":{"event":"ACCOUNT_DELETED"}},{"field":"messages","value":{"statuses":[` + plain + `]}}`),
			receipts(sent),
		},
		{
			"several entries with several changes, in their order",
			`{"object":"whatsapp_business_account","entry":[` +
				`{"id":"1","time":1750030073,"changes":[{"field":"messages","value":{` + metadata + `,"statuses":[{"id":"wamid.1","status":"sent","timestamp":"1"}]}},{"field":"messages","value":{` + metadata + `,"statuses":[{"id":"wamid.2","status":"read","timestamp":"2"}]}}]},` +
				`{"id":"2","changes":[{"field":"messages","value":{` + metadata + `,"statuses":[{"id":"wamid.3","status":"delivered","timestamp":"3"}],"messages":[{` + stop + `,"type":"text","text":{"body":"Hi"}}]}}]}]}`,
			gateway.Callback{
				Receipts: []gateway.Receipt{
					{ProviderMessageID: "wamid.1", Status: gateway.StatusSent, At: unix(1)},
					{ProviderMessageID: "wamid.2", Status: gateway.StatusRead, At: unix(2)},
					{ProviderMessageID: "wamid.3", Status: gateway.StatusDelivered, At: unix(3)},
				},
				Inbound: said(1749416383, "Hi").Inbound,
			},
		},
		{
			"prices and conversations change nothing, however they look",
			statuses(`{"id":"wamid.A","status":"sent","timestamp":"1750030073","pricing":{"billable":false,"pricing_model":"CBP","type":"free_entry_point","category":"referral_conversion"},"conversation":null},{"id":"wamid.A","status":"sent","timestamp":"1750030073","pricing":"free","conversation":[1]}`),
			receipts(sent, sent),
		},
		{
			"a preference with a '+' and its time as a text",
			wrap(`{"field":"user_preferences","value":{"user_preferences":[{"wa_id":"+16505551234","category":"marketing_messages","value":"stop","timestamp":"1731705721"}]}}`),
			gateway.Callback{Inbound: []gateway.Inbound{{From: user, At: unix(1731705721), Consent: gateway.ConsentStopMarketing, Aside: true}}},
		},
		{
			"preferences of another number, of nobody, or of another mind are left out",
			wrap(`{"field":"user_preferences","value":{"metadata":{"phone_number_id":"777"},"user_preferences":[{"wa_id":"16505551234","category":"marketing_messages","value":"stop","timestamp":1731705721}]}},` +
				`{"field":"user_preferences","value":{"user_preferences":[{"wa_id":"16","category":"marketing_messages","value":"stop"},{"wa_id":"16505551234","category":"marketing_messages","value":"maybe"},7]}}`),
			gateway.Callback{},
		},
		{"no entries", `{"object":"whatsapp_business_account","entry":[]}`, gateway.Callback{}},
		{"nothing at all", " {} ", gateway.Callback{}},
		{
			"statuses and messages in one",
			wrap(`{"field":"messages","value":{` + metadata + `,"statuses":[` + plain + `],"messages":[{` + stop + `,"type":"text","text":{"body":"Hi"}}]}}`),
			gateway.Callback{Receipts: []gateway.Receipt{sent}, Inbound: said(1749416383, "Hi").Inbound},
		},
		{
			"another number's statuses are kept, what people wrote to it is not",
			wrap(`{"field":"messages","value":{"metadata":{"phone_number_id":"777"},"statuses":[` + plain + `],"messages":[{` + stop + `,"type":"text","text":{"body":"Stop"}}]}}`),
			receipts(sent),
		},
		{
			"a number as a number",
			wrap(`{"field":"messages","value":{"metadata":{"phone_number_id":106540352242922},"messages":[{` + stop + `,"type":"text","text":{"body":"Hi"}}]}}`),
			said(1749416383, "Hi"),
		},

		{"a tapped button, by its payload and its label", messages(`{` + stop + `,"type":"button","button":{"payload":"OUT","text":"Stop"}}`), said(1749416383, "OUT", "Stop")},
		{"a payload may be null", messages(`{` + stop + `,"type":"button","button":{"payload":null,"text":"Stop"}}`), said(1749416383, "Stop")},
		{"a tapped reply button", messages(`{` + stop + `,"type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"no","title":"Stop"}}}`), said(1749416383, "Stop", "no")},
		{
			"every kind of message opens the window",
			messages(`{` + stop + `,"type":"image","image":{"id":"1","mime_type":"image/jpeg","sha256":"abc=","caption":"STOP"}},` +
				`{` + stop + `,"type":"video","video":{"id":"1"}},{` + stop + `,"type":"sticker","sticker":{"id":"1","animated":false}},` +
				`{` + stop + `,"type":"document","document":{"id":"1","filename":"STOP"}},{` + stop + `,"type":"location","location":{"latitude":1.5,"longitude":2}},` +
				`{` + stop + `,"type":"contacts","contacts":[{"name":{"formatted_name":"STOP"}}]},{` + stop + `,"type":"order","order":{"catalog_id":"1"}}`),
			said(1749416383, "", "", "", "", "", "", ""),
		},
		{"a form that was filled in opens the window", messages(`{` + stop + `,"type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","response_json":"{}"}}}`), said(1749416383, "")},
		{"a kind to come opens the window", messages(`{` + stop + `,"type":"poll","poll":7}`), said(1749416383, "")},
		{"a first visit opens the window", messages(`{` + stop + `,"type":"request_welcome"}`), said(1749416383, "")},
		{"a reaction doesn't", messages(`{` + stop + `,"type":"reaction","reaction":{"message_id":"wamid.A","emoji":"👍"}}`), gateway.Callback{}},
		{"a change of number to nobody knows which says nothing", messages(`{` + stop + `,"type":"system","system":{"type":"user_changed_number","wa_id":"12"}}`), gateway.Callback{}},
		{"nor does one to the same number", messages(`{` + stop + `,"type":"system","system":{"type":"user_changed_number","wa_id":"16505551234"}}`), gateway.Callback{}},
		{"nor does another notice", messages(`{` + stop + `,"type":"system","system":{"type":"user_changed_user_id","wa_id":"12195555358","body":"STOP"}}`), gateway.Callback{}},
		{"a correction doesn't", messages(`{` + stop + `,"type":"edit"},{` + stop + `,"type":"revoke"}`), gateway.Callback{}},
		{"what is said in a group doesn't", messages(`{` + stop + `,"group_id":"G1","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
		{"somebody without a number can't be placed", messages(`{"from_user_id":"US.13491208655302741918","id":"wamid.I","timestamp":"1749416383","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
		{"nor somebody with half a one", messages(`{"from":"165","type":"text","text":{"body":"Stop"}}`), gateway.Callback{}},
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
	got, err := whatsappcloud.New(settings("")).Parse([]byte(body))
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
		"a flat callback":         `{"statuses":[{"id":"gBGGEgZHMlEfAgkM1RBkhDRr7t8","status":"sent"}]}`,
		"very deep nesting":       strings.Repeat(`{"entry":[`, 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := whatsappcloud.New(settings("")).Parse([]byte(body))
			if !errors.Is(err, whatsappcloud.ErrDialect) {
				t.Errorf("error %v, read %+v", err, c)
			}
			if err != nil && strings.Contains(err.Error(), "gBGG") {
				t.Errorf("the error quotes the body: %v", err)
			}
		})
	}
}

// As large as Meta sends: 1,000 updates, 3 MB.
func TestParseLargest(t *testing.T) {
	const entries, size = 1000, 3 << 20
	names := []gateway.Status{gateway.StatusRead, gateway.StatusSent, gateway.StatusDelivered} // out of order
	var body strings.Builder
	var want gateway.Callback
	body.WriteString(`{"object":"whatsapp_business_account","entry":[`)
	for i := range entries {
		if i > 0 {
			body.WriteString(",")
		}
		id, message, seconds := fmt.Sprintf("wamid.%04d", i/3), fmt.Sprintf("0123456789abcdefghjkmnpqrst%05d", i/3), int64(1_750_030_000+i)
		fmt.Fprintf(&body, `{"id":"1022","changes":[{"field":"messages","value":{"messaging_product":"whatsapp",%s,"statuses":[{"id":%q,"status":%q,"timestamp":"%d","biz_opaque_callback_data":"%s#2","conversation":{"id":%q}}]}}]}`,
			metadata, id, names[i%3], seconds, message, strings.Repeat("c", size/entries-400))
		want.Receipts = append(want.Receipts, gateway.Receipt{
			Message: gateway.MessageID(message), ProviderMessageID: gateway.ProviderMessageID(id), Status: names[i%3], At: unix(seconds),
		})
	}
	body.WriteString(`]}`)
	if n := body.Len(); n < size*9/10 || n > size {
		t.Fatalf("the body has %d bytes, want nearly %d", n, size)
	}
	parses(t, body.String(), want)
}
