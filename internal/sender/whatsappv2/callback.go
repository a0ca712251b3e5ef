package whatsappv2

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/gateway"
)

// Why a webhook isn't authentic, or isn't a webhook.
var (
	ErrUnsigned  = errors.New("no sha256 signature in " + signatureHeader)
	ErrSignature = errors.New("the signature in " + signatureHeader + " fits no app secret")
	ErrDialect   = errors.New("no webhook of this dialect")
)

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// Challenge answers the verification request of a webhook's setup; ok false
// means refuse.
func (p *Provider) Challenge(query url.Values) (body string, ok bool) {
	given, want := sha256.Sum256([]byte(query.Get("hub.verify_token"))), sha256.Sum256([]byte(p.settings.VerifyToken))
	same := subtle.ConstantTimeCompare(given[:], want[:]) == 1
	challenge := query.Get("hub.challenge")
	if !same || p.settings.VerifyToken == "" || query.Get("hub.mode") != "subscribe" || challenge == "" {
		return "", false
	}
	return challenge, true
}

// Verify checks the signature over the bytes as they came. The provider's own
// sample signs the body decoded and encoded again, which changes its bytes and
// would refuse genuine webhooks. nil means authentic. The query is not looked
// at.
func (p *Provider) Verify(header http.Header, _ url.Values, raw []byte) error {
	text, ok := strings.CutPrefix(header.Get(signatureHeader), signaturePrefix)
	if !ok {
		return ErrUnsigned
	}
	given, err := hex.DecodeString(text)
	if err != nil {
		return ErrSignature
	}
	for _, secret := range p.settings.AppSecrets {
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

// The events of the provider's reference. In the Cloud API's envelope the
// first two may go by the field of that API.
const (
	eventMessage       = "message"
	eventMessageStatus = "message_status"
	fieldMessages      = "messages"
)

// webhook holds the parts that are read, in the Cloud API's envelope, which
// the reference shows for what people write, or flat, as it may come for a
// status.
type webhook struct {
	Object loose `json:"object"`
	Entry  []struct {
		Changes []struct {
			Field loose `json:"field"`
			Value struct {
				Statuses []status  `json:"statuses"`
				Messages []inbound `json:"messages"`
			} `json:"value"`
		} `json:"changes"`
	} `json:"entry"`

	Event     loose `json:"event"`
	MessageID loose `json:"message_id"`
	report
}

// status is one of the envelope's.
type status struct {
	ID        loose `json:"id"`
	MessageID loose `json:"message_id"`
	report
}

// inbound is what somebody wrote.
type inbound struct {
	From      loose `json:"from"` // digits
	Timestamp loose `json:"timestamp"`
	Type      loose `json:"type"`
	Text      struct {
		Body loose `json:"body"`
	} `json:"text"`
	Button struct {
		Payload loose `json:"payload"`
		Text    loose `json:"text"`
	} `json:"button"`
	Interactive struct {
		ButtonReply choice `json:"button_reply"`
		ListReply   choice `json:"list_reply"`
	} `json:"interactive"`
}

type choice struct {
	ID    loose `json:"id"`
	Title loose `json:"title"`
}

// Parse reads a webhook. It tolerates what it doesn't know, and leaves out
// single entries it can't read; an error means that the body is no webhook of
// this dialect at all.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var w webhook
	if err := decode(raw, &w); err != nil {
		return gateway.Callback{}, fmt.Errorf("%w: %w", ErrDialect, err)
	}
	var out gateway.Callback
	switch {
	case w.Entry != nil:
		if w.Object != "" && w.Object != "whatsapp_business_account" {
			return out, nil // another product of the same app
		}
	case w.Event == eventMessageStatus:
		if r, ok := p.receipt(string(w.MessageID), &w.report); ok {
			out.Receipts = append(out.Receipts, r)
		}
		return out, nil
	case w.Event != "", string(bytes.TrimSpace(raw)) == "{}": // an event whose flat form isn't known, or nothing at all
		return out, nil
	default:
		return out, fmt.Errorf("%w: neither entry nor event", ErrDialect)
	}
	for _, e := range w.Entry {
		for _, c := range e.Changes {
			if c.Field != fieldMessages && c.Field != eventMessage && c.Field != eventMessageStatus {
				continue
			}
			for i := range c.Value.Statuses {
				s := &c.Value.Statuses[i]
				if r, ok := p.receipt(string(cmp.Or(s.ID, s.MessageID)), &s.report); ok {
					out.Receipts = append(out.Receipts, r)
				}
			}
			for i := range c.Value.Messages {
				out.Inbound = append(out.Inbound, c.Value.Messages[i].inbound()...)
			}
		}
	}
	return out, nil
}

// inbound reads what one message of a person means to sending. A tapped choice
// gives an entry for its id and one for its label, for either may be an
// opt-out word. Reactions, notices and corrections give none, for it isn't
// documented that they open the service window.
func (m *inbound) inbound() []gateway.Inbound {
	from, err := gateway.ParseRecipient("+" + strings.TrimPrefix(string(m.From), "+"))
	if err != nil {
		return nil
	}
	words := []loose{""}
	switch m.Type {
	case "reaction", "system", "unsupported", "edit", "revoke":
		return nil
	case "text":
		words = []loose{m.Text.Body}
	case "button":
		words = []loose{m.Button.Payload, m.Button.Text}
	case "interactive":
		button, row := m.Interactive.ButtonReply, m.Interactive.ListReply
		words = []loose{button.ID, button.Title, row.ID, row.Title}
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > 1 && words[0] == "" {
		words = words[1:]
	}
	var out []gateway.Inbound
	for _, w := range words {
		out = append(out, gateway.Inbound{From: from, At: instant(m.Timestamp), Text: string(w)})
	}
	return out
}
