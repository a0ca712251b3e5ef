// Package sinchwhatsapp speaks the standalone Sinch WhatsApp API v1.
//
// Sinch ended support for it on 2023-09-30; what replaced it is the
// Conversation API. The dialect is kept for the accounts that still speak it.
// One request carries one recipient: the answer's HTTP status is then the
// message's, and the callback URL of the request, the dialect's only
// correlation, names one attempt.
package sinchwhatsapp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// Settings is what one account of this provider needs.
type Settings struct {
	// BaseURL is where the API is; empty: https://{region}.whatsapp.api.sinch.com.
	BaseURL string
	// Region is us1 or eu1. A bot lives in one of them; the other answers 401.
	Region string
	// BotID and Token are the pair Sinch hands over at onboarding.
	BotID, Token string
	// CallbackSecrets are the keys that callbacks may be signed with: one, or
	// two during a rotation. Empty ones are ignored, for a signature made with
	// an empty key proves nothing. None: callbacks are not signed.
	CallbackSecrets []string
}

// Provider is the dialect for one account. It holds no state beyond its
// settings and is safe for concurrent use.
type Provider struct {
	endpoint string
	token    string
	secrets  [][]byte
}

var _ sender.Provider = (*Provider)(nil)

// New makes the provider of one account. It does not connect.
func New(s Settings) *Provider {
	base := strings.TrimRight(s.BaseURL, "/")
	if base == "" {
		base = "https://" + s.Region + ".whatsapp.api.sinch.com"
	}
	p := &Provider{
		endpoint: base + "/whatsapp/v1/" + url.PathEscape(s.BotID) + "/messages",
		token:    s.Token,
	}
	for _, secret := range s.CallbackSecrets {
		if secret != "" {
			p.secrets = append(p.secrets, []byte(secret))
		}
	}
	return p
}

// Check implements sender.Provider.
func (p *Provider) Check(m *gateway.Message) []gateway.FieldError {
	_, problems := render(m)
	return problems
}

// NewRequest implements sender.Provider. A message that Check would refuse is
// a permanent error here too: an account may have changed its provider since
// the message was accepted.
func (p *Provider) NewRequest(ctx context.Context, c sender.Call) (*http.Request, error) {
	message, problems := render(c.Message)
	if len(problems) > 0 {
		return nil, sender.Unsupported(dialect, problems)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	err := enc.Encode(sendRequest{
		To:       []string{c.Message.Recipient.Digits()},
		Message:  message,
		Callback: c.CallbackURL,
	})
	if err != nil {
		return nil, fmt.Errorf("encode message %s: %w", c.Message.ID, err)
	}
	body.Truncate(body.Len() - 1) // the encoder's newline
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint, &body)
	if err != nil {
		return nil, fmt.Errorf("make request for message %s: %w", c.Message.ID, err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}
