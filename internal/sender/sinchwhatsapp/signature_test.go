package sinchwhatsapp

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// The reference's test vector: key legacy-test-key, nonce abc123.
const (
	vectorBody   = `{"type":"whatsapp","statuses":[{"status":"success","state":"delivered","message_id":"01DPNXZ0WCF9XD19MH84XD0P62","recipient":"+46732001122","timestamp":"2020-05-02T18:40:42Z"}]}`
	vectorNonce  = "abc123"
	vectorHex    = "71ee6b9415678bece5b551a63002d7d7f4fe4001d0aa0fc47b88f3fce5d15854"
	vectorBase64 = "ce5rlBVni+zltVGmMALX1/T+QAHQqg/Ee4jz/OXRWFQ="
)

func signed(signature, nonce string) http.Header {
	h := http.Header{}
	h.Set("sinch-whatsapp-callback-signature", signature)
	h.Set("sinch-whatsapp-callback-signature-nonce", nonce)
	h.Set("sinch-whatsapp-callback-signature-algorithm", "HMAC_SHA_256")
	return h
}

func without(h http.Header, name string) http.Header {
	h.Del(name)
	return h
}

func with(h http.Header, name, value string) http.Header {
	h.Set(name, value)
	return h
}

func TestVerify(t *testing.T) {
	if len(vectorBody) != 177 {
		t.Fatalf("the vector's body has %d bytes, want 177", len(vectorBody))
	}
	vector := func() http.Header { return signed(vectorBase64, vectorNonce) }
	const nonceHeader, algorithmHeader = "sinch-whatsapp-callback-signature-nonce", "sinch-whatsapp-callback-signature-algorithm"
	for _, c := range []struct {
		name    string
		secrets []string
		header  http.Header
		body    string
		want    error
	}{
		{"base 64", []string{testSecret}, vector(), vectorBody, nil},
		{"base 64 without padding", []string{testSecret}, signed(strings.TrimRight(vectorBase64, "="), vectorNonce), vectorBody, nil},
		{"base 64 for URLs", []string{testSecret}, signed("ce5rlBVni-zltVGmMALX1_T-QAHQqg_Ee4jz_OXRWFQ=", vectorNonce), vectorBody, nil},
		{"hex", []string{testSecret}, signed(vectorHex, vectorNonce), vectorBody, nil},
		{"hex in upper case", []string{testSecret}, signed(strings.ToUpper(vectorHex), vectorNonce), vectorBody, nil},
		{"the old secret during a rotation", []string{"new", testSecret}, vector(), vectorBody, nil},
		{"the new secret during a rotation", []string{testSecret, "old"}, vector(), vectorBody, nil},
		{"no algorithm named", []string{testSecret}, without(vector(), algorithmHeader), vectorBody, nil},

		{"a byte of the body changed", []string{testSecret}, vector(), strings.Replace(vectorBody, "delivered", "delivereD", 1), errBadSignature},
		{"a space added", []string{testSecret}, vector(), vectorBody + " ", errBadSignature},
		{"another nonce", []string{testSecret}, signed(vectorBase64, "abc124"), vectorBody, errBadSignature},
		{"another secret", []string{"other"}, vector(), vectorBody, errBadSignature},
		{"half a signature", []string{testSecret}, signed(vectorBase64[:20], vectorNonce), vectorBody, errBadSignature},
		{"no encoding at all", []string{testSecret}, signed("~~~", vectorNonce), vectorBody, errBadSignature},
		{"64 characters that are no hex", []string{testSecret}, signed(strings.Repeat("g", 64), vectorNonce), vectorBody, errBadSignature},
		{"no signature", []string{testSecret}, signed("", vectorNonce), vectorBody, errNotSigned},
		{"no nonce", []string{testSecret}, without(vector(), nonceHeader), vectorBody, errNotSigned},
		{"no header at all", []string{testSecret}, http.Header{}, vectorBody, errNotSigned},
		{"another algorithm", []string{testSecret}, with(vector(), algorithmHeader, "NONE"), vectorBody, errAlgorithm},
		{"no secret configured", nil, vector(), vectorBody, errNoSecret},
		{"an empty secret configured", []string{""}, vector(), vectorBody, errNoSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(Settings{CallbackSecrets: c.secrets})
			if got := p.Verify(c.header, nil, []byte(c.body)); !errors.Is(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestSigned(t *testing.T) {
	for _, c := range []struct {
		name    string
		secrets []string
		want    bool
	}{
		{"a secret", []string{"s"}, true},
		{"none", nil, false},
		{"an empty one", []string{""}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := New(Settings{CallbackSecrets: c.secrets}).Signed(); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
