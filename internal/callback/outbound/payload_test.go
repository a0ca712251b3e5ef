package outbound

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestBody(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 7_900_000, time.FixedZone("", 3600))
	for _, c := range []struct {
		name   string
		notice gateway.Notice
		want   string
	}{
		{
			name: "what there is nothing of is null, metadata is an object",
			notice: gateway.Notice{
				Message: "m1", Number: 1, Account: "shop-eu", URL: "https://hooks.example/", Status: gateway.StatusQueued, At: at,
			},
			want: `{"type":"message.status","timestamp":"2026-11-21T09:00:00.007Z","data":{"id":"m1","account":"shop-eu",` +
				`"status":"queued","previous":null,"reference":null,"batch":null,"provider_message_id":null,"error":null,"metadata":{}}}`,
		},
		{
			name: "everything is told",
			notice: gateway.Notice{
				Message: "m1", Number: 4, Account: "shop-eu", URL: "https://hooks.example/", Status: gateway.StatusFailed,
				Previous: gateway.StatusSent, At: at, Reference: "order <4711> & co", Batch: "b1", ProviderMessageID: "wamid.1",
				Error:    &gateway.Error{Class: gateway.ClassRecipient, Code: "131026", Title: "Message undeliverable", Detail: "not on WhatsApp"},
				Metadata: map[string]string{"z": "1", "campaign": "nov"}, Tries: 3, Since: at,
			},
			want: `{"type":"message.status","timestamp":"2026-11-21T09:00:00.007Z","data":{"id":"m1","account":"shop-eu",` +
				`"status":"failed","previous":"sent","reference":"order <4711> & co","batch":"b1","provider_message_id":"wamid.1",` +
				`"error":{"class":"recipient","code":"131026","title":"Message undeliverable","detail":"not on WhatsApp"},` +
				`"metadata":{"campaign":"nov","z":"1"}}}`,
		},
		{
			name: "an error without words has nulls",
			notice: gateway.Notice{
				Message: "m1", Number: 2, Account: "shop-eu", Status: gateway.StatusUnknown, Previous: gateway.StatusSending, At: at,
				Error: &gateway.Error{Class: gateway.ClassUnknown},
			},
			want: `{"type":"message.status","timestamp":"2026-11-21T09:00:00.007Z","data":{"id":"m1","account":"shop-eu",` +
				`"status":"unknown","previous":"sending","reference":null,"batch":null,"provider_message_id":null,` +
				`"error":{"class":"unknown","code":null,"title":null,"detail":null},"metadata":{}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := encode(&c.notice)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
		})
	}
}

// The vector that the specification's libraries share.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime      = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

// otherSecret is 24 bytes of 'a'; its signature of the vector was made with
// openssl.
const (
	otherSecret    = "whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	otherSignature = "v1,p/aCZAPUoPHV4ef7o8HCy2oI82P4UXjmN+MG//Bx9gE="
)

func secrets(t *testing.T, written ...string) [][]byte {
	t.Helper()
	var keys [][]byte
	for _, s := range written {
		k, err := ParseSecret(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

func TestHeaders(t *testing.T) {
	for _, c := range []struct {
		name      string
		secrets   []string
		signature []string
	}{
		{"one secret signs", []string{vectorSecret}, []string{vectorSignature}},
		{"two sign during a rotation, in their order", []string{otherSecret, vectorSecret}, []string{otherSignature + " " + vectorSignature}},
		{"none leaves the signature out", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			setHeaders(h, vectorID, time.Unix(vectorTime, 999_999_999), []byte(vectorBody), secrets(t, c.secrets...))
			want := http.Header{"Webhook-Id": {vectorID}, "Webhook-Timestamp": {"1614265330"}}
			if c.signature != nil {
				want["Webhook-Signature"] = c.signature
			}
			if d := cmp.Diff(want, h); d != "" {
				t.Errorf("headers (-want +got):\n%s", d)
			}
		})
	}
}

func TestNoticeIDHasNoFullStop(t *testing.T) {
	n := gateway.Notice{Message: gateway.NewMessageID("shop-eu", time.Now()), Number: 12}
	if got := noticeID(&n); got != string(n.Message)+"_12" || strings.Contains(got, ".") {
		t.Errorf("webhook-id is %q", got)
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	for _, s := range []string{"", "whsec_", "whsec_?", "YWFh", "whpk_YWFh", "whsec_YWF"} {
		_, err := ParseSecret(s)
		if !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", s, err)
		}
		if encoded := strings.TrimPrefix(s, "whsec_"); len(encoded) > 1 && strings.Contains(err.Error(), encoded) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
