package sinchconversation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed webhook. Source: Conversation API, "Validating
// callbacks".
const (
	headerSignature = "X-Sinch-Webhook-Signature"
	headerNonce     = "X-Sinch-Webhook-Signature-Nonce"
	headerTimestamp = "X-Sinch-Webhook-Signature-Timestamp"
	headerAlgorithm = "X-Sinch-Webhook-Signature-Algorithm"

	algorithm = "HmacSHA256"
)

// How far a signature's time may lie from ours. It isn't documented whether a
// webhook that is tried again is signed again, and Sinch tries for most of a
// day: a narrow window would lose what a shorter outage of ours delayed. Within
// it a repetition changes nothing, for receipts never take a status back.
const (
	oldestSignature = 24 * time.Hour
	newestSignature = 5 * time.Minute
)

// Why a webhook isn't taken for the provider's. Test with errors.Is.
var (
	ErrNoSecret  = errors.New("no webhook secret is configured")
	ErrUnsigned  = errors.New("signature, nonce or timestamp header is missing")
	ErrAlgorithm = errors.New("signature algorithm is not " + algorithm)
	ErrSignature = errors.New("signature does not match")
	ErrStale     = errors.New("signature's timestamp is out of the window")
)

// Verify checks the HMAC over the raw body, the nonce and the timestamp, with
// each secret in turn, and that the timestamp is near. nil means authentic. The
// query is not looked at.
func (p *Provider) Verify(header http.Header, _ url.Values, raw []byte) error {
	if len(p.secrets) == 0 {
		return ErrNoSecret
	}
	signature, nonce, timestamp := header.Get(headerSignature), header.Get(headerNonce), header.Get(headerTimestamp)
	if signature == "" || nonce == "" || timestamp == "" {
		return ErrUnsigned
	}
	if a := header.Get(headerAlgorithm); a != "" && !strings.EqualFold(a, algorithm) {
		return ErrAlgorithm
	}
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return ErrSignature
	}
	ok := false
	for _, secret := range p.secrets { // all of them: the time says nothing about which matched
		mac := hmac.New(sha256.New, secret)
		mac.Write(raw)
		mac.Write([]byte("." + nonce + "." + timestamp))
		if hmac.Equal(given, mac.Sum(nil)) {
			ok = true
		}
	}
	if !ok {
		return ErrSignature
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return ErrStale
	}
	if now := time.Now(); time.Unix(seconds, 0).Before(now.Add(-oldestSignature)) || time.Unix(seconds, 0).After(now.Add(newestSignature)) {
		return ErrStale
	}
	return nil
}
