package outbound

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/gateway"
)

// verified is how a receiver checks a callback, after the specification: with a
// secret as it is written, over what arrived.
func verified(h http.Header, body []byte, secret string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("webhook-id") + "." + h.Get("webhook-timestamp") + "." + string(body)))
	for one := range strings.FieldsSeq(h.Get("webhook-signature")) {
		version, sum, _ := strings.Cut(one, ",")
		given, err := base64.StdEncoding.DecodeString(sum)
		if err == nil && version == "v1" && hmac.Equal(given, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// Both secrets of a rotation verify what is sent, and nothing else does: no
// other secret, and neither body, id nor time with one bit flipped.
func FuzzSignature(f *testing.F) {
	f.Add([]byte(vectorBody), int64(vectorTime), uint(0))
	f.Add([]byte(nil), int64(0), uint(1<<20))
	f.Add([]byte("\x00.v1,\r\n"), int64(-1), uint(77))
	f.Fuzz(func(t *testing.T, body []byte, seconds int64, at uint) {
		flip := func(s string) string {
			b := []byte(s)
			b[at%uint(len(b))] ^= 1 << (at % 8)
			return string(b)
		}
		h := http.Header{}
		setHeaders(h, vectorID, time.Unix(seconds, 0), body, secrets(t, vectorSecret, otherSecret))
		for _, secret := range []string{vectorSecret, otherSecret} {
			if !verified(h, body, secret) {
				t.Errorf("the signature fits not %q", secret)
			}
		}
		if verified(h, body, "whsec_"+base64.StdEncoding.EncodeToString([]byte(flip("another secret")))) {
			t.Error("another secret verifies")
		}
		if verified(h, append(bytes.Clone(body), ' '), vectorSecret) || len(body) > 0 && verified(h, []byte(flip(string(body))), vectorSecret) {
			t.Error("another body verifies")
		}
		for _, name := range []string{headerID, headerTimestamp} {
			other := h.Clone()
			other.Set(name, flip(h.Get(name)))
			if verified(other, body, vectorSecret) {
				t.Errorf("another %s verifies", name)
			}
		}
	})
}

// What is taken for a secret is a key, the one that is written.
func FuzzParseSecret(f *testing.F) {
	for _, s := range []string{vectorSecret, otherSecret, "", "whsec_", "whsec_=", "whsec_YW\nFh", "whsec_YWF", "whsec_YWFh\x00", "WHSEC_YWFh", "whsec_whsec_YWFh"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParseSecret(s)
		if (err == nil) != (len(key) > 0) {
			t.Errorf("%q: %q, %v", s, key, err)
		}
		if err != nil {
			return
		}
		again, err := ParseSecret(secretPrefix + base64.StdEncoding.EncodeToString(key))
		if err != nil || !bytes.Equal(again, key) || len(key) > len(s) {
			t.Errorf("%q is %q, and that %q, %v", s, key, again, err)
		}
	})
}

// Whatever a message holds, its notice is JSON, the same each time.
func FuzzEncode(f *testing.F) {
	f.Add("order-4711", "wamid.A", "131026", "<\u2028>", int64(vectorTime))
	f.Add("\xff\xfe", "\x00", "", "\ud7ff", int64(253402300799))
	f.Fuzz(func(t *testing.T, reference, id, code, detail string, seconds int64) {
		n := gateway.Notice{
			Message: "0123456789abcdefghjkmnpqrstvwxyz", Account: "shop-eu", Status: gateway.StatusFailed, At: gateway.Instant(time.Unix(seconds, 0)),
			Reference: reference, ProviderMessageID: gateway.ProviderMessageID(id), Metadata: map[string]string{reference: detail},
			Error: &gateway.Error{Class: gateway.ClassPermanent, Code: code, Detail: detail},
		}
		first, err := encode(&n)
		if err != nil {
			t.Fatal(err)
		}
		second, err := encode(&n)
		if err != nil || !bytes.Equal(first, second) || bytes.ContainsRune(first, '\n') {
			t.Errorf("%s\nand then\n%s, %v", first, second, err)
		}
		var back struct {
			Timestamp time.Time `json:"timestamp"`
			Data      struct {
				Reference string `json:"reference"`
			} `json:"data"`
		}
		if err := json.Unmarshal(first, &back); err != nil || back.Data.Reference != strings.ToValidUTF8(reference, "\ufffd") && !strings.Contains(back.Data.Reference, "\ufffd") {
			t.Errorf("%s: %v", first, err)
		}
		if !back.Timestamp.Equal(n.At) {
			t.Errorf("time %v, want %v", back.Timestamp, n.At)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "-1", "120", " 7 ", "99999999999999999999", "1e9", "\u0661", "Wed, 21 Oct 2099 07:28:00 GMT", "Mon, 02 Jan 0000 00:00:00 GMT"} {
		f.Add(v)
	}
	now := time.Unix(vectorTime, 0)
	f.Fuzz(func(t *testing.T, v string) {
		if wait := retryAfter(v, now); wait < 0 || wait > maxWait || wait != retryAfter(v, now) {
			t.Errorf("%q is %v", v, wait)
		}
	})
}
