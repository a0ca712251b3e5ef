package sinchwhatsapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// The headers of a signed callback. Source: Sinch WhatsApp API v1, "Callbacks".
const (
	headerSignature = "Sinch-Whatsapp-Callback-Signature"
	headerAlgorithm = "Sinch-Whatsapp-Callback-Signature-Algorithm"
	headerNonce     = "Sinch-Whatsapp-Callback-Signature-Nonce"

	algorithm = "HMAC_SHA_256"
)

// Why a callback isn't taken for the provider's.
var (
	errNoSecret     = errors.New("no callback secret is configured")
	errNotSigned    = errors.New("signature or nonce header is missing")
	errAlgorithm    = errors.New("signature algorithm is not " + algorithm)
	errBadSignature = errors.New("signature does not match")
)

// Signed reports whether callbacks carry a signature: a secret is configured.
// If not, only the per-message URL authenticates.
func (p *Provider) Signed() bool { return len(p.secrets) > 0 }

// Verify checks the HMAC over the raw body, a dot and the nonce, with each
// secret in turn. The dialect signs no time, so a callback that is repeated
// verifies again; applying it again changes nothing. Without a secret nothing
// verifies.
func (p *Provider) Verify(header http.Header, _ url.Values, raw []byte) error {
	if !p.Signed() {
		return errNoSecret
	}
	signature, nonce := header.Get(headerSignature), header.Get(headerNonce)
	if signature == "" || nonce == "" {
		return errNotSigned
	}
	if a := header.Get(headerAlgorithm); a != "" && a != algorithm {
		return errAlgorithm
	}
	got := decodeSignature(signature)
	ok := false
	for _, secret := range p.secrets { // all of them: the time says nothing about which matched
		mac := hmac.New(sha256.New, secret)
		mac.Write(raw)
		mac.Write([]byte("." + nonce))
		if hmac.Equal(got, mac.Sum(nil)) {
			ok = true
		}
	}
	if !ok {
		return errBadSignature
	}
	return nil
}

// decodeSignature takes hex and both alphabets of base 64, for the documents
// don't say which it is. Their lengths tell them apart; nil fits none.
func decodeSignature(s string) []byte {
	if len(s) == hex.EncodedLen(sha256.Size) {
		b, err := hex.DecodeString(s)
		if err != nil {
			return nil
		}
		return b
	}
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
