package callback

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"

	"sluice/internal/gateway"
)

// Links makes per-message callback URLs:
// {public URL}/callbacks/{account}/{message id}/{attempt}/{mac}. Whoever holds
// one may report on that message and no other. Safe for concurrent use.
type Links struct {
	base string
}

// NewLinks takes the URL where providers reach the API (api.public_url), with
// or without a path and a slash at its end. Empty means that they don't.
func NewLinks(publicURL string) *Links {
	if publicURL == "" {
		return &Links{}
	}
	return &Links{base: strings.TrimRight(publicURL, "/") + "/callbacks/"}
}

// For is the URL on which the provider may report on one attempt, counted from
// 1. Empty if there is no public URL, or no secret: a mac that anyone could
// make would be worse than no correlation.
func (l *Links) For(account gateway.AccountID, secret []byte, message gateway.MessageID, attempt int) string {
	if l.base == "" || len(secret) == 0 {
		return ""
	}
	return l.base + strings.Join([]string{
		string(account), string(message), strconv.Itoa(attempt), linkMAC(account, secret, message, attempt),
	}, "/")
}

// CheckLink reports in constant time whether For made the mac from the same
// account, secret, message and attempt.
func CheckLink(account gateway.AccountID, secret []byte, message gateway.MessageID, attempt int, mac string) bool {
	if len(secret) == 0 {
		return false
	}
	return hmac.Equal([]byte(mac), []byte(linkMAC(account, secret, message, attempt)))
}

// The domain of the macs. The secret serves other purposes too, such as
// verifying signatures; a key derived from it for this one alone keeps a mac
// made here from meaning anything there.
const linkDomain = "sluice callback link v1"

// macBytes is the length of a mac before encoding: 128 bits, which no one
// guesses over a network.
const macBytes = 16

func linkMAC(account gateway.AccountID, secret []byte, message gateway.MessageID, attempt int) string {
	key, err := hkdf.Key(sha256.New, secret, nil, linkDomain, sha256.Size)
	if err != nil {
		panic("callback: derive link key: " + err.Error()) // only for lengths HKDF can't make
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(linkInput(account, message, attempt))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:macBytes])
}

// linkInput encodes its arguments so that no two lists of arguments share an
// encoding: each field follows its length.
func linkInput(account gateway.AccountID, message gateway.MessageID, attempt int) []byte {
	var b []byte
	for _, field := range []string{linkDomain, string(account), string(message), strconv.Itoa(attempt)} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	return b
}

// link is the path of a per-message URL, read but not yet checked.
type link struct {
	account gateway.AccountID
	message gateway.MessageID
	attempt int
	mac     string
}

// parseLink reads the parts of a path. It takes only what For writes, so that
// one attempt has one URL: no sign, no leading zero, no other alphabet.
func parseLink(account, message, attempt, mac string) (link, bool) {
	l := link{account: gateway.AccountID(account), message: gateway.MessageID(message), mac: mac}
	n, err := strconv.Atoi(attempt)
	if err != nil || n < 1 || strconv.Itoa(n) != attempt {
		return link{}, false
	}
	l.attempt = n
	ok := l.account.Valid() && l.message.Valid() && l.message.Tag() == l.account.Tag() &&
		len(mac) == base64.RawURLEncoding.EncodedLen(macBytes)
	if !ok {
		return link{}, false
	}
	return l, true
}

// check reports whether any of the secrets made the link. All are tried: how
// long it takes doesn't say which one it was.
func (l link) check(secrets [][]byte) bool {
	ok := false
	for _, secret := range secrets {
		if CheckLink(l.account, secret, l.message, l.attempt, l.mac) {
			ok = true
		}
	}
	return ok
}
