package whatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Why a webhook isn't authentic.
var (
	ErrUnsigned  = errors.New("no sha256 signature in " + signatureHeader)
	ErrSignature = errors.New("the signature in " + signatureHeader + " fits no app secret")
)

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// Challenge answers the verification request of a webhook's setup; ok false
// means refuse. No token refuses every one.
func Challenge(query url.Values, token string) (body string, ok bool) {
	given, want := sha256.Sum256([]byte(query.Get("hub.verify_token"))), sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(given[:], want[:]) == 1
	challenge := query.Get("hub.challenge")
	if !same || token == "" || query.Get("hub.mode") != "subscribe" || challenge == "" {
		return "", false
	}
	return challenge, true
}

// Verify checks the signature over the bytes as they came: Meta escapes
// characters as no encoder of ours does, so nothing may be decoded before. nil
// means that one of the secrets made it; empty ones prove nothing.
func Verify(header http.Header, raw []byte, secrets []string) error {
	text, ok := strings.CutPrefix(header.Get(signatureHeader), signaturePrefix)
	if !ok {
		return ErrUnsigned
	}
	given, err := hex.DecodeString(text)
	if err != nil {
		return ErrSignature
	}
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(raw)
		if hmac.Equal(given, mac.Sum(nil)) {
			return nil
		}
	}
	return ErrSignature
}
