package sinchconversation

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The reference's test vector: secret gateway-test-secret.
const (
	vectorBody      = `{"app_id":"01HAPP00000000000000000000","project_id":"11111111-2222-3333-4444-555555555555","message_delivery_report":{"message_id":"01HMSG00000000000000000000","status":"DELIVERED","channel_identity":{"channel":"WHATSAPP","identity":"46732001122","app_id":""},"metadata":"gw-0001","processing_mode":"DISPATCH"}}`
	vectorNonce     = "01HNONCE000000000000000000"
	vectorTime      = "1760000000"
	vectorSignature = "gL9yqzVzzRpXyOicM9psmOwYK2jLfjhdAd5SPrFPOuk="
)

func signed(signature, nonce, timestamp string) http.Header {
	h := http.Header{}
	h.Set("x-sinch-webhook-signature", signature)
	h.Set("x-sinch-webhook-signature-nonce", nonce)
	h.Set("x-sinch-webhook-signature-timestamp", timestamp)
	h.Set("x-sinch-webhook-signature-algorithm", "HmacSHA256")
	return h
}

func vector() http.Header { return signed(vectorSignature, vectorNonce, vectorTime) }

func without(h http.Header, name string) http.Header {
	h.Del(name)
	return h
}

func with(h http.Header, name, value string) http.Header {
	h.Set(name, value)
	return h
}

// passUntil lets it be the given Unix time; in a bubble only.
func passUntil(tb testing.TB, seconds int64) {
	tb.Helper()
	pass(time.Until(time.Unix(seconds, 0))) // the bubble's clock begins in 2000
}

func TestVerify(t *testing.T) {
	if len(vectorBody) != 311 {
		t.Fatalf("the vector's body has %d bytes, want 311", len(vectorBody))
	}
	const header = "x-sinch-webhook-signature"
	own := []string{testSecret}
	for _, c := range []struct {
		name    string
		secrets []string
		header  http.Header
		body    string
		want    error
	}{
		{"the vector of the reference", own, vector(), vectorBody, nil},
		{"the old secret during a rotation", []string{"new", testSecret}, vector(), vectorBody, nil},
		{"the new secret during a rotation", []string{testSecret, "old"}, vector(), vectorBody, nil},
		{"no algorithm named", own, without(vector(), header+"-algorithm"), vectorBody, nil},
		{"the algorithm in other letters", own, with(vector(), header+"-algorithm", "HMACSHA256"), vectorBody, nil},

		{"D15 a byte of the body changed", own, vector(), strings.Replace(vectorBody, "DELIVERED", "DELIVEREd", 1), ErrSignature},
		{"a space added", own, vector(), vectorBody + " ", ErrSignature},
		{"another nonce", own, signed(vectorSignature, vectorNonce+"0", vectorTime), vectorBody, ErrSignature},
		{"another time", own, signed(vectorSignature, vectorNonce, "1760000001"), vectorBody, ErrSignature},
		{"the same time written otherwise", own, signed(vectorSignature, vectorNonce, "+1760000000"), vectorBody, ErrSignature},
		{"another secret", []string{"other"}, vector(), vectorBody, ErrSignature},
		{"half a signature", own, signed(vectorSignature[:20], vectorNonce, vectorTime), vectorBody, ErrSignature},
		{"a signature without its padding", own, signed(strings.TrimRight(vectorSignature, "="), vectorNonce, vectorTime), vectorBody, ErrSignature},
		{"no base 64", own, signed("~~~", vectorNonce, vectorTime), vectorBody, ErrSignature},
		{"D15 no signature", own, without(vector(), header), vectorBody, ErrUnsigned},
		{"D15 no nonce", own, without(vector(), header+"-nonce"), vectorBody, ErrUnsigned},
		{"D15 no timestamp", own, without(vector(), header+"-timestamp"), vectorBody, ErrUnsigned},
		{"D15 no header at all", own, http.Header{}, vectorBody, ErrUnsigned},
		{"another algorithm", own, with(vector(), header+"-algorithm", "none"), vectorBody, ErrAlgorithm},
		{"no secret configured", nil, vector(), vectorBody, ErrNoSecret},
		{"an empty secret configured", []string{""}, vector(), vectorBody, ErrNoSecret},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				passUntil(t, 1760000000)
				p := New(Settings{WebhookSecrets: c.secrets})
				if got := p.Verify(c.header, nil, []byte(c.body)); !errors.Is(got, c.want) {
					t.Errorf("%v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestASignatureHoldsForItsTime(t *testing.T) {
	const day = 24 * 60 * 60
	for _, c := range []struct {
		name string
		now  int64
		want error
	}{
		{"at once", 1760000000, nil},
		{"when our clock is five minutes slow", 1760000000 - 300, nil},
		{"not when it is slower", 1760000000 - 301, ErrStale},
		{"for a day of tries", 1760000000 + day, nil},
		{"no longer", 1760000000 + day + 1, ErrStale},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				passUntil(t, c.now)
				if got := newProvider("", nil).Verify(vector(), nil, []byte(vectorBody)); !errors.Is(got, c.want) {
					t.Errorf("%v, want %v", got, c.want)
				}
			})
		})
	}
	for name, timestamp := range map[string]string{
		"a time that is no number": "soon", "a time beyond all numbers": strings.Repeat("9", 30), "a time beyond all years": strconv.FormatInt(1<<62, 10),
	} {
		t.Run(name, func(t *testing.T) {
			h := signed(sign(testSecret, vectorBody, vectorNonce, timestamp), vectorNonce, timestamp)
			if got := newProvider("", nil).Verify(h, nil, []byte(vectorBody)); !errors.Is(got, ErrStale) {
				t.Errorf("%v, want %v", got, ErrStale)
			}
		})
	}
}
