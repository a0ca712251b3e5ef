// Package whatsappv2 speaks the "WhatsApp Business API v2" for one account:
// texts to POST /send-message, files to /send-media, templates to /messages;
// their answers; the webhooks that report what became of a message, and the
// same asked for with GET /message-status.
//
// The dialect resembles Meta's Cloud API and isn't it: its error codes mean
// other things, and nothing of a request comes back in a report. An attempt
// whose answer is lost therefore stays unknown, for there is no id to ask for.
package whatsappv2

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// DefaultBaseURL is where the API is.
const DefaultBaseURL = "https://api.whatsapp.com/v2"

// Settings is what one account needs. The token decides which number sends.
type Settings struct {
	BaseURL     string // version included; empty: DefaultBaseURL
	AccessToken string
	AppSecrets  []string // key the webhook signatures; two while one is replaced, none: no webhook is authentic
	VerifyToken string   // of the verification request; empty: every one is refused
}

// Provider implements sender.Provider, reads the webhooks, and asks for the
// status of single messages. It is safe for concurrent use and holds no state.
type Provider struct {
	settings Settings
	redactor *strings.Replacer
}

var (
	_ sender.Provider = (*Provider)(nil)
	_ sender.Poller   = (*Provider)(nil)
)

// New makes the provider of one account. It does not connect.
func New(s Settings) *Provider {
	s.BaseURL = strings.TrimRight(cmp.Or(s.BaseURL, DefaultBaseURL), "/")
	secrets := append([]string{s.AccessToken, s.VerifyToken}, s.AppSecrets...)
	// The longest first: of a secret that begins with another one nothing may
	// be left over.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	return &Provider{settings: s, redactor: strings.NewReplacer(pairs...)}
}

// String names the dialect and none of the credentials, for whoever prints a
// provider.
func (p *Provider) String() string { return dialect }

// Check implements sender.Provider.
func (p *Provider) Check(m *gateway.Message) []gateway.FieldError {
	_, refused := render(m)
	return refused
}

// MediaRule is the table of the provider's reference, supported formats, which
// says nothing of stickers: theirs are WhatsApp's own.
func (p *Provider) MediaRule(kind gateway.MediaKind) gateway.MediaRule {
	const kilobyte, megabyte = 1 << 10, 1 << 20
	switch kind {
	case gateway.MediaImage:
		return gateway.MediaRule{MaxBytes: 5 * megabyte, Types: []string{"image/jpeg", "image/png"}}
	case gateway.MediaVideo:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{"video/mp4", "video/3gpp"}}
	case gateway.MediaAudio:
		return gateway.MediaRule{MaxBytes: 16 * megabyte, Types: []string{"audio/mpeg", "audio/ogg"}}
	case gateway.MediaDocument:
		return gateway.MediaRule{MaxBytes: 100 * megabyte, Types: []string{
			"application/pdf", "text/plain",
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
// accepted. Another error is a defect: a base URL that is none.
func (p *Provider) NewRequest(ctx context.Context, c sender.Call) (*http.Request, error) {
	r, refused := render(c.Message)
	if len(refused) > 0 {
		return nil, sender.Unsupported(dialect, refused)
	}
	if r.text != nil {
		r.text.ReplyTo = c.ReplyTo
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.body()); err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	body.Truncate(body.Len() - 1) // the encoder's newline
	req, err := p.request(ctx, http.MethodPost, r.path(), &body)
	if err != nil {
		return nil, fmt.Errorf("render message %s: %w", c.Message.ID, err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

// NewStatusRequest asks what became of a message that the provider has taken.
// InterpretStatus reads the answer. An error is a defect: no id, or a base URL
// that is none.
func (p *Provider) NewStatusRequest(ctx context.Context, id gateway.ProviderMessageID) (*http.Request, error) {
	if id == "" {
		return nil, errors.New("ask for a status: no message id")
	}
	req, err := p.request(ctx, http.MethodGet, "/message-status?message_id="+url.QueryEscape(string(id)), nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the status of %s: %w", id, err)
	}
	return req, nil
}

// request makes a call to a path under the base URL. It quotes no credential
// in its errors.
func (p *Provider) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.settings.BaseURL+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.settings.AccessToken)
	req.Header.Set("Accept", "application/json")
	return req, nil
}
