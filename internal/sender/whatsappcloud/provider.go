// Package whatsappcloud speaks the WhatsApp Cloud API for one phone number:
// requests to POST /{phone number id}/messages, their answers, and the webhooks
// that report what became of a message.
package whatsappcloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// DefaultBaseURL is Graph at the version this package was written for. Never
// leave the version out: Graph then takes the app's default.
const DefaultBaseURL = "https://graph.facebook.com/v23.0"

// Settings is what one phone number needs.
type Settings struct {
	BaseURL       string // version included; empty: DefaultBaseURL
	PhoneNumberID string
	AccessToken   string
	AppSecrets    []string // key the webhook signatures; two while one is replaced, none: no webhook is authentic
	VerifyToken   string   // of the verification request; empty: every one is refused
}

// Provider implements sender.Provider and sender.Uploader, and reads the
// webhooks. It is safe for concurrent use and holds no state.
type Provider struct {
	settings Settings
	redactor *strings.Replacer
}

var (
	_ sender.Provider    = (*Provider)(nil)
	_ sender.Uploader    = (*Provider)(nil)
	_ sender.PairLimited = (*Provider)(nil)
)

// New makes the provider of one phone number.
func New(s Settings) *Provider {
	if s.BaseURL == "" {
		s.BaseURL = DefaultBaseURL
	}
	s.BaseURL = strings.TrimRight(s.BaseURL, "/")
	var pairs []string
	for _, secret := range append([]string{s.AccessToken, s.VerifyToken}, s.AppSecrets...) {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	return &Provider{settings: s, redactor: strings.NewReplacer(pairs...)}
}

// String names the number and none of the credentials, for whoever prints a
// provider.
func (p *Provider) String() string { return "whatsapp-cloud number " + p.settings.PhoneNumberID }

// PairLimit is what the reference says of messages to one user: one in six
// seconds, 45 borrowed from the future. Beyond it comes error 131056.
func (p *Provider) PairLimit() gateway.PairLimit {
	return gateway.PairLimit{Every: 6 * time.Second, Burst: 45}
}

// MediaRule is the table of the Cloud API reference, media.
func (p *Provider) MediaRule(kind gateway.MediaKind) gateway.MediaRule {
	const kilobyte, megabyte = 1 << 10, 1 << 20
	switch kind {
	case gateway.MediaImage:
		return gateway.MediaRule{MaxBytes: 5 * megabyte, Types: []string{"image/jpeg", "image/png"}}
	case gateway.MediaVideo:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{"video/mp4", "video/3gpp"}}
	case gateway.MediaAudio:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, MonoOnly: true, Types: []string{
			"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg",
		}}
	case gateway.MediaDocument:
		return gateway.MediaRule{MaxBytes: 100 * megabyte, Types: []string{
			"text/plain", "application/pdf", "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
			"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
			"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
			"application/vnd.openxmlformats-officedocument.presentationml.presentation",
		}}
	case gateway.MediaSticker:
		return gateway.MediaRule{MaxBytes: 500 * kilobyte, MaxStill: 100 * kilobyte, Types: []string{"image/webp"}}
	}
	return gateway.MediaRule{}
}

// NewRequest renders the call. What Check would refuse is a permanent error
// here too: an account may have changed its provider since the message was
// accepted. Other errors are defects: a base URL that is none, or raw
// parameters that are no JSON.
func (p *Provider) NewRequest(ctx context.Context, c sender.Call) (*http.Request, error) {
	if refused := p.Check(c.Message); len(refused) > 0 {
		return nil, sender.Unsupported(string(gateway.WhatsAppCloud), refused)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(newRequest(c)); err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	body.Truncate(body.Len() - 1) // the encoder's newline
	target := p.settings.BaseURL + "/" + url.PathEscape(p.settings.PhoneNumberID) + "/messages"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.settings.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// attemptMark divides our id from the attempt in the callback data.
const attemptMark = "#"

// callbackData is what every status of the message echoes: our id, and from
// the second attempt on its number, so that late statuses of an earlier one
// can be told apart. It stays far below the 256 characters Meta once allowed.
func callbackData(id gateway.MessageID, attempt int) string {
	if id == "" || attempt <= 1 {
		return string(id)
	}
	return string(id) + attemptMark + strconv.Itoa(attempt)
}

// messageOf reads callback data back. What isn't ours gives "": other systems
// may send from the same number.
func messageOf(data string) gateway.MessageID {
	id, attempt, marked := strings.Cut(data, attemptMark)
	if marked {
		if n, err := strconv.Atoi(attempt); err != nil || n < 1 {
			return ""
		}
	}
	if m := gateway.MessageID(id); m.Valid() {
		return m
	}
	return ""
}
