package whatsappv2

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapp"
)

// Why a webhook isn't authentic, or isn't a webhook.
var (
	ErrUnsigned  = whatsapp.ErrUnsigned
	ErrSignature = whatsapp.ErrSignature
	ErrDialect   = errors.New("no webhook of this dialect")
)

// Challenge answers the verification request of a webhook's setup; ok false
// means refuse.
func (p *Provider) Challenge(query url.Values) (body string, ok bool) {
	return whatsapp.Challenge(query, p.settings.VerifyToken)
}

// Verify checks the signature over the bytes as they came. The provider's own
// sample signs the body decoded and encoded again, which changes its bytes and
// would refuse genuine webhooks. nil means authentic. The query is not looked
// at.
func (p *Provider) Verify(header http.Header, _ url.Values, raw []byte) error {
	return whatsapp.Verify(header, raw, p.settings.AppSecrets)
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
	Object whatsapp.Loose `json:"object"`
	Entry  []struct {
		Changes []struct {
			Field whatsapp.Loose `json:"field"`
			Value struct {
				Statuses []status           `json:"statuses"`
				Errors   []wireError        `json:"errors"`
				Messages []whatsapp.Message `json:"messages"`
			} `json:"value"`
		} `json:"changes"`
	} `json:"entry"`

	Event     whatsapp.Loose `json:"event"`
	MessageID whatsapp.Loose `json:"message_id"`
	report
}

// status is one of the envelope's.
type status struct {
	ID        whatsapp.Loose `json:"id"`
	MessageID whatsapp.Loose `json:"message_id"`
	report
}

// Parse reads a webhook. It tolerates what it doesn't know, and leaves out
// single entries it can't read; an error means that the body is no webhook of
// this dialect at all.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var w webhook
	if err := whatsapp.Decode(raw, &w); err != nil {
		return gateway.Callback{}, fmt.Errorf("%w: %w", ErrDialect, err)
	}
	var out gateway.Callback
	switch {
	case w.Entry != nil:
		if w.Object != "" && w.Object != "whatsapp_business_account" {
			return out, nil // another product of the same app
		}
	case w.Event == eventMessageStatus:
		p.note(&out, string(w.MessageID), &w.report)
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
				p.note(&out, string(cmp.Or(s.ID, s.MessageID)), &s.report)
			}
			for i := range c.Value.Errors { // of no message
				out.Halt(p.reason(&c.Value.Errors[i]), time.Time{})
			}
			for i := range c.Value.Messages {
				out.Inbound = append(out.Inbound, inbound(&c.Value.Messages[i])...)
			}
		}
	}
	return out, nil
}

// note adds one status, and what follows from it for the account.
func (p *Provider) note(out *gateway.Callback, id string, s *report) {
	r, ok := p.receipt(id, s)
	if !ok {
		return
	}
	out.Receipts = append(out.Receipts, r)
	if r.Status == gateway.StatusFailed {
		out.Halt(p.reason(s.fault()), r.At)
	}
}

// instant reads the two ways in which the provider tells a time: RFC 3339, or
// Unix time as in the Cloud API's envelope. What is no time of this era is zero.
func instant(l whatsapp.Loose) time.Time {
	if at, err := time.Parse(time.RFC3339, string(l)); err == nil {
		return gateway.Instant(at)
	}
	return l.Instant()
}

// inbound reads what one message means to sending. Reactions and corrections
// say nothing.
func inbound(m *whatsapp.Message) []gateway.Inbound {
	return m.Inbound("reaction", "unsupported", "edit", "revoke")
}
