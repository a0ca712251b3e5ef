package sinchconversation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// ourID is a message id of ours, where the reference's cases say gw-0001.
const ourID gateway.MessageID = "0000000000000000000000000000000a"

func TestParse(t *testing.T) {
	at := time.Date(2026, time.January, 2, 3, 4, 5, 678e6, time.UTC)
	one := func(status gateway.Status) gateway.Callback {
		return gateway.Callback{Receipts: []gateway.Receipt{{Message: ourID, ProviderMessageID: "M", Status: status, At: at}}}
	}
	said := func(text string) gateway.Callback {
		return gateway.Callback{Inbound: []gateway.Inbound{{From: testRecipient, At: at, Text: text}}}
	}
	const (
		head  = `{"app_id":"01HAPP00000000000000000000","project_id":"11111111-2222-3333-4444-555555555555","accepted_time":"2026-01-02T03:04:05.678Z",`
		about = `"message_id":"M","conversation_id":"","contact_id":"","channel_identity":{"channel":"WHATSAPP","identity":"46732001122","app_id":""},"metadata":"0000000000000000000000000000000a","processing_mode":"DISPATCH"`
		who   = `"channel_identity":{"channel":"WHATSAPP","identity":"46732001122","app_id":""}`
	)
	delivery := func(rest string) string { return head + `"message_delivery_report":{` + rest + `,` + about + `}}` }
	message := func(contact string) string {
		return head + `"message":{"id":"I","direction":"TO_APP","contact_message":` + contact + `,` + who + `,"conversation_id":"","contact_id":"","metadata":"","accept_time":"2026-01-02T03:04:05.678Z","sender_id":"s","processing_mode":"DISPATCH","injected":false}}`
	}
	optOut := func(members string) string {
		return head + `"opt_out_notification":{"request_id":"","contact_id":"",` + members + `,"processing_mode":"DISPATCH"}}`
	}

	for _, c := range []struct {
		name string
		body string
		want gateway.Callback
	}{
		{
			"D9 a submission is accepted, with the id for a send whose answer was lost",
			head + `"message_submit_notification":{` + about + `,"submitted_message":{"text_message":{"text":"Hello"}}}}`,
			one(gateway.StatusAccepted),
		},
		{"D10 queued on the channel is accepted", delivery(`"status":"QUEUED_ON_CHANNEL"`), one(gateway.StatusAccepted)},
		{"D10 delivered", delivery(`"status":"DELIVERED"`), one(gateway.StatusDelivered)},
		{"D10 read", delivery(`"status":"READ"`), one(gateway.StatusRead)},
		{
			"D14 switching the channel is no end",
			delivery(`"status":"SWITCHING_CHANNEL","reason":{"code":"RECIPIENT_NOT_REACHABLE","description":"d"}`),
			one(gateway.StatusAccepted),
		},
		{"D16 a status that is new is left out", delivery(`"status":"PONDERED"`), gateway.Callback{}},
		{"D16 a payload that is new is left out", head + `"poll_notification":{"message_id":"M"}}`, gateway.Callback{}},

		{
			"the event's own time goes first",
			strings.Replace(delivery(`"status":"DELIVERED"`), `"accepted_time":"2026-01-02T03:04:05.678Z"`, `"accepted_time":"2026-01-02T03:09:00Z","event_time":"2026-01-02T04:04:05.678+01:00"`, 1),
			one(gateway.StatusDelivered),
		},
		{
			"a time that can't be read is none", `{"accepted_time":1767323045,"message_delivery_report":{"status":"READ",` + about + `}}`,
			gateway.Callback{Receipts: []gateway.Receipt{{Message: ourID, ProviderMessageID: "M", Status: gateway.StatusRead}}},
		},
		{
			"metadata that isn't ours names no message", head + `"message_delivery_report":{"status":"READ","message_id":"M","metadata":"{\"g\":\"gw-0001\"}"}}`,
			gateway.Callback{Receipts: []gateway.Receipt{{ProviderMessageID: "M", Status: gateway.StatusRead, At: at}}},
		},
		{
			"metadata may name the attempt", head + `"message_delivery_report":{"status":"READ","message_id":"M","metadata":"0000000000000000000000000000000a#3"}}`,
			one(gateway.StatusRead),
		},
		{
			"an attempt that is none isn't ours", head + `"message_delivery_report":{"status":"READ","message_id":"M","metadata":"0000000000000000000000000000000a#x"}}`,
			gateway.Callback{Receipts: []gateway.Receipt{{ProviderMessageID: "M", Status: gateway.StatusRead, At: at}}},
		},
		{
			"our id is enough", head + `"message_delivery_report":{"status":"READ","message_id":7,"metadata":"0000000000000000000000000000000a"}}`,
			gateway.Callback{Receipts: []gateway.Receipt{{Message: ourID, Status: gateway.StatusRead, At: at}}},
		},
		{"a report of nothing is left out", head + `"message_delivery_report":{"status":"READ","message_id":null}}`, gateway.Callback{}},
		{
			"a receipt of another app's is told: our id says whose it is",
			strings.Replace(delivery(`"status":"READ"`), "01HAPP", "01HOTH", 1), one(gateway.StatusRead),
		},

		{"a text", message(`{"text_message":{"text":"Stop"}}`), said("Stop")},
		{"a tapped choice says what is behind it", message(`{"choice_response_message":{"message_id":"M","postback_data":"yes"}}`), said("yes")},
		{"a file opens the window and says nothing", message(`{"media_message":{"url":"https://a.example/i"}}`), said("")},
		{"a caption says nothing either", message(`{"media_card_message":{"url":"https://a.example/i","caption":"Stop"}}`), said("")},
		{"a kind that Sinch can't read opens the window too", message(`{"fallback_message":{"raw_message":"{}","reason":{"code":"UNKNOWN"}}}`), said("")},
		{"a kind that is new opens the window too", message(`{"poll_message":7}`), said("")},
		{"a text of another type says nothing", message(`{"text_message":"Stop"}`), said("")},
		{
			"a '+' before the number is fine, and the envelope's time serves",
			head + `"message":{"contact_message":{"text_message":{"text":"a"}},"channel_identity":{"identity":"+46732001122"}}}`, said("a"),
		},
		{"a message from another channel isn't WhatsApp's", strings.Replace(message(`{"text_message":{"text":"a"}}`), `"channel":"WHATSAPP"`, `"channel":"SMS"`, 1), gateway.Callback{}},
		{"a message from what is no number is left out", strings.Replace(message(`{"text_message":{"text":"a"}}`), `46732001122`, `user-7`, 1), gateway.Callback{}},
		{"a message of ours is none to us", strings.Replace(message(`{"text_message":{"text":"a"}}`), `TO_APP`, `TO_CONTACT`, 1), gateway.Callback{}},
		{"an injected message was written by nobody", strings.Replace(message(`{"text_message":{"text":"a"}}`), `"injected":false`, `"injected":true`, 1), gateway.Callback{}},
		{"a message to another app is none to us", strings.Replace(message(`{"text_message":{"text":"a"}}`), "01HAPP", "01HOTH", 1), gateway.Callback{}},

		{
			"an opt-out is a word on being written to, and opens no window",
			optOut(`"channel":"WHATSAPP","identity":"46732001122","status":"OPT_OUT_SUCCEEDED"`),
			gateway.Callback{Inbound: []gateway.Inbound{{From: testRecipient, At: at, Consent: gateway.ConsentStop, Aside: true}}},
		},
		{"an opt-out that failed is none", optOut(`"channel":"WHATSAPP","identity":"46732001122","status":"OPT_OUT_FAILED"`), gateway.Callback{}},
		{"an opt-out from another channel isn't WhatsApp's", optOut(`"channel":"SMS","identity":"46732001122","status":"OPT_OUT_SUCCEEDED"`), gateway.Callback{}},
		{
			"an opt-out from another app is none of ours",
			strings.Replace(optOut(`"channel":"WHATSAPP","identity":"46732001122","status":"OPT_OUT_SUCCEEDED"`), "01HAPP", "01HOTH", 1),
			gateway.Callback{},
		},
		{"an opt-in changes nothing", head + `"opt_in_notification":{"channel":"WHATSAPP","identity":"46732001122","status":"OPT_IN_SUCCEEDED"}}`, gateway.Callback{}},
		{"a callback that Sinch itself can't read is left out", head + `"unsupported_callback":{"channel":"WHATSAPP","payload":"{\"statuses\":[]}"}}`, gateway.Callback{}},
		{"a capability is left out", head + `"capability_notification":{"request_id":"r","channel":"WHATSAPP","identity":"46732001122","capability_status":"NO_CAPABILITY"}}`, gateway.Callback{}},
		{"a channel's event is left out", head + `"channel_event_notification":{"channel_event":{"channel":"WHATSAPP","event_type":"WHATS_APP_QUALITY_RATING_CHANGED"}}}`, gateway.Callback{}},
		{"a channel that has no words for our kind says nothing", message(`{"product_response_message":{"products":[{"id":"1"}]}}`), said("")},
		{"a place opens the window and says nothing", message(`{"location_message":{"title":"Stop","coordinates":{"latitude":1,"longitude":2}}}`), said("")},
		{"WhatsApp's own kinds do too", message(`{"channel_specific_message":{"message_type":"nfm_reply"},"reply_to":{"message_id":"M"}}`), said("")},
		{
			"a report from the channel that was switched to is the message's",
			strings.Replace(delivery(`"status":"DELIVERED"`), `"channel":"WHATSAPP"`, `"channel":"SMS"`, 1), one(gateway.StatusDelivered),
		},
		{"an event's delivery is left out", head + `"event_delivery_report":{"event_id":"e","status":"DELIVERED","metadata":"0000000000000000000000000000000a"}}`, gateway.Callback{}},
		{"a record is left out", head + `"record_notification":{"message_id":"M","metadata":"0000000000000000000000000000000a"}}`, gateway.Callback{}},
		{"a conversation's begin is left out", head + `"conversation_start_notification":{"conversation":{"id":"c"}}}`, gateway.Callback{}},
		{"a new contact is left out", head + `"contact_create_notification":{"contact":{"id":"c"}}}`, gateway.Callback{}},
		{"doubled contacts are left out", head + `"duplicated_contact_identities_notification":{"duplicated_identities":[]}}`, gateway.Callback{}},
		{"what Sinch thinks of a message is left out", head + `"smart_conversation_notification":{"message_id":"M"}}`, gateway.Callback{}},
		{"an opt-in that failed changes nothing", head + `"opt_in_notification":{"channel":"WHATSAPP","identity":"46732001122","status":"OPT_IN_FAILED"}}`, gateway.Callback{}},
		{"an event is left out", head + `"event":{"id":"e","contact_event":{"composing_event":{}}}}`, gateway.Callback{}},
		{"payloads of other types are left out", head + `"message":7,"message_delivery_report":"x","opt_out_notification":[]}`, gateway.Callback{}},
		{"payloads that are null are left out", head + `"message":null,"message_delivery_report":null}`, gateway.Callback{}},
		{"nothing is nothing told", `{}`, gateway.Callback{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := newProvider("", nil).Parse([]byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("callback (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	const (
		permanent = gateway.ClassPermanent
		who       = gateway.ClassRecipient
		policy    = gateway.ClassPolicy
		transient = gateway.ClassTransient
		suspended = gateway.ClassSuspended
		expired   = gateway.ClassExpired
		unknown   = gateway.ClassUnknown
	)
	for _, c := range []struct {
		name   string
		reason string
		class  gateway.Class
		code   string
		detail string
		rests  bool
	}{
		{"", `{"code":"RATE_LIMITED","description":"d"}`, transient, "RATE_LIMITED", "d", false}, // D12
		{"", `{"code":"CHANNEL_FAILURE"}`, transient, "CHANNEL_FAILURE", "", false},
		{"", `{"code":"INTERNAL_ERROR"}`, transient, "INTERNAL_ERROR", "", false},
		{"", `{"code":"MEDIA_NOT_REACHABLE"}`, transient, "MEDIA_NOT_REACHABLE", "", false},
		{"", `{"code":"RECIPIENT_INVALID_CHANNEL_IDENTITY"}`, who, "RECIPIENT_INVALID_CHANNEL_IDENTITY", "", true},
		{"", `{"code":"RECIPIENT_NOT_REACHABLE"}`, who, "RECIPIENT_NOT_REACHABLE", "", true},
		{"", `{"code":"RECIPIENT_NOT_OPTED_IN"}`, who, "RECIPIENT_NOT_OPTED_IN", "", true},
		{"", `{"code":"CONTACT_NOT_FOUND"}`, who, "CONTACT_NOT_FOUND", "", false},
		{"", `{"code":"NO_CHANNEL_IDENTITY_FOR_CONTACT"}`, who, "NO_CHANNEL_IDENTITY_FOR_CONTACT", "", false},
		{"", `{"code":"NO_CHANNELS_LEFT"}`, who, "NO_CHANNELS_LEFT", "", false},
		{"", `{"code":"BAD_REQUEST"}`, permanent, "BAD_REQUEST", "", false},
		{"", `{"code":"MEDIA_TYPE_UNSUPPORTED","sub_code":"MEDIA_TYPE_UNDETERMINED"}`, permanent, "MEDIA_TYPE_UNSUPPORTED", "(sub code MEDIA_TYPE_UNDETERMINED)", false},
		{"", `{"code":"MEDIA_TOO_LARGE"}`, permanent, "MEDIA_TOO_LARGE", "", false},
		{"", `{"code":"TEMPLATE_NOT_FOUND"}`, policy, "TEMPLATE_NOT_FOUND", "", false},
		{"", `{"code":"TEMPLATE_INSUFFICIENT_PARAMETERS"}`, permanent, "TEMPLATE_INSUFFICIENT_PARAMETERS", "", false},
		{"", `{"code":"TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION"}`, policy, "TEMPLATE_NON_EXISTING_LANGUAGE_OR_VERSION", "", false},
		{"", `{"code":"UNSUPPORTED_OPERATION"}`, permanent, "UNSUPPORTED_OPERATION", "", false},
		{"", `{"code":"MESSAGE_SPLIT_REQUIRED"}`, permanent, "MESSAGE_SPLIT_REQUIRED", "", false},
		{
			"D11 a closed window keeps WhatsApp's own code",
			`{"code":"OUTSIDE_ALLOWED_SENDING_WINDOW","description":"re-engagement","sub_code":"UNSPECIFIED_SUB_CODE","channel_code":"131047"}`,
			policy, "OUTSIDE_ALLOWED_SENDING_WINDOW", "re-engagement (channel code 131047)", false,
		},
		{"", `{"code":"DELIVERY_REJECTED_DUE_TO_POLICY"}`, policy, "DELIVERY_REJECTED_DUE_TO_POLICY", "", false},
		{"", `{"code":"CHANNEL_REJECT","channel_code":131049}`, policy, "CHANNEL_REJECT", "(channel code 131049)", false},
		{
			"D13 an inactive sender is the account's", `{"code":"CHANNEL_BAD_CONFIGURATION","sub_code":"INACTIVE_SENDER"}`,
			suspended, "CHANNEL_BAD_CONFIGURATION", "(sub code INACTIVE_SENDER)", false,
		},
		{
			"an inactive sender is the account's under any code", `{"code":"RECIPIENT_NOT_REACHABLE","sub_code":"INACTIVE_SENDER"}`,
			suspended, "RECIPIENT_NOT_REACHABLE", "(sub code INACTIVE_SENDER)", false,
		},
		{"", `{"code":"CHANNEL_BAD_CONFIGURATION"}`, suspended, "CHANNEL_BAD_CONFIGURATION", "", false},
		{"", `{"code":"CHANNEL_CONFIGURATION_MISSING"}`, suspended, "CHANNEL_CONFIGURATION_MISSING", "", false},
		{"", `{"code":"UNKNOWN_APP"}`, suspended, "UNKNOWN_APP", "", false},
		{"", `{"code":"NO_PERMISSION"}`, suspended, "NO_PERMISSION", "", false},
		{"", `{"code":"NO_PROFILE_AVAILABLE"}`, suspended, "NO_PROFILE_AVAILABLE", "", false},
		{"", `{"code":"INACTIVE_CREDENTIAL"}`, suspended, "INACTIVE_CREDENTIAL", "", false},
		{"", `{"code":"MESSAGE_EXPIRED"}`, expired, "MESSAGE_EXPIRED", "", false},
		{"", `{"code":"DELIVERY_TIMED_OUT"}`, expired, "DELIVERY_TIMED_OUT", "", false},
		{"", `{"code":"DELIVERY_REPORT_TIME_OUT"}`, unknown, "DELIVERY_REPORT_TIME_OUT", "", false},
		{"", `{"code":"UNKNOWN"}`, unknown, "UNKNOWN", "", false},
		{"D16 a code that is new fails for a reason unknown", `{"code":"OUT_OF_LUCK","description":"d"}`, unknown, "OUT_OF_LUCK", "d", false},
		{"no reason at all", `null`, unknown, "UNKNOWN", "", false},
		{"a reason of another type", `[7]`, unknown, "UNKNOWN", "", false},
		{"members of other types", `{"code":7,"description":{},"sub_code":[],"channel_code":true}`, unknown, "UNKNOWN", "", false},
		{"our secrets in the words", `{"code":"UNKNOWN","description":"secret-1"}`, unknown, "UNKNOWN", "[redacted]", false},
	} {
		if c.name == "" {
			c.name = c.code
		}
		t.Run(c.name, func(t *testing.T) {
			got, err := newProvider("", nil).Parse([]byte(`{"message_delivery_report":{"message_id":"M","status":"FAILED","reason":` + c.reason + `}}`))
			if err != nil || len(got.Receipts) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			r := got.Receipts[0]
			if r.Error.Title == "" {
				t.Error("no title")
			}
			r.Error.Title = ""
			want := gateway.Receipt{
				ProviderMessageID: "M", Status: gateway.StatusFailed,
				Error: &gateway.Error{Class: c.class, Code: c.code, Detail: c.detail},
			}
			if c.rests {
				want.Suppress = &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: c.code, For: 24 * time.Hour}
			}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if halted := len(got.Halts) == 1 && got.Halts[0].Outcome == gateway.OutcomeSuspended; halted != (c.class == suspended) {
				t.Errorf("halts %+v", got.Halts)
			}
		})
	}
}

// Several apps of a project may report to one address.
func TestAFailureOfAnotherAppHaltsNothing(t *testing.T) {
	for app, halts := range map[string]int{"01HAPP00000000000000000000": 1, "01HOTH00000000000000000000": 0} {
		body := `{"app_id":"` + app + `","message_delivery_report":{"message_id":"M","status":"FAILED","reason":{"code":"CHANNEL_BAD_CONFIGURATION"}}}`
		c, err := newProvider("", nil).Parse([]byte(body))
		if err != nil || len(c.Receipts) != 1 || len(c.Halts) != halts {
			t.Errorf("of %s: %+v, %v, want %d halts", app, c, err, halts)
		}
	}
}

func TestParseRefusesOtherDialects(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":          ``,
		"no JSON":          `status=DELIVERED`,
		"half an object":   `{"message_delivery_report":{"status":"READ"}`,
		"an array":         `[{"message_delivery_report":{}}]`,
		"null":             ` null`,
		"a string":         `"message"`,
		"two values":       `{}{}`,
		"a byte too early": "\x00{}",
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := newProvider("", nil).Parse([]byte(body)); err == nil {
				t.Errorf("read as %+v", c)
			}
		})
	}
}

func TestThereIsNoChallenge(t *testing.T) {
	body, ok := newProvider("", nil).Challenge(map[string][]string{"hub.mode": {"subscribe"}, "hub.challenge": {"1"}})
	if ok || body != "" {
		t.Errorf("answered %q", body)
	}
}
