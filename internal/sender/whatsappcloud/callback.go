package whatsappcloud

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender/whatsapp"
)

// Why a webhook isn't authentic, or isn't a webhook.
var (
	ErrUnsigned  = whatsapp.ErrUnsigned
	ErrSignature = whatsapp.ErrSignature
	ErrDialect   = errors.New("no webhook of a WhatsApp business account")
)

// Challenge answers the verification request of a webhook's setup; ok false
// means refuse.
func (p *Provider) Challenge(query url.Values) (body string, ok bool) {
	return whatsapp.Challenge(query, p.settings.VerifyToken)
}

// Verify checks the signature over the bytes as they came: Meta escapes
// characters as no encoder of ours does, so nothing may be decoded before. nil
// means authentic. The query is not looked at.
func (p *Provider) Verify(header http.Header, _ url.Values, raw []byte) error {
	return whatsapp.Verify(header, raw, p.settings.AppSecrets)
}

// The parts of a webhook that are read. Everything else may change under us.
type webhook struct {
	Object whatsapp.Loose `json:"object"`
	Entry  []struct {
		Changes []struct {
			Field whatsapp.Loose `json:"field"`
			Value value          `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type value struct {
	Metadata struct {
		PhoneNumberID whatsapp.Loose `json:"phone_number_id"`
	} `json:"metadata"`
	Statuses    []status           `json:"statuses"`
	Errors      []wireError        `json:"errors"` // of no message
	Messages    []whatsapp.Message `json:"messages"`
	Preferences []preference       `json:"user_preferences"`
}

// preference is what a user chose in WhatsApp itself.
type preference struct {
	WAID      whatsapp.Loose `json:"wa_id"`
	Category  whatsapp.Loose `json:"category"`
	Value     whatsapp.Loose `json:"value"` // "stop" or "resume"
	Timestamp whatsapp.Loose `json:"timestamp"`
}

type status struct {
	ID           whatsapp.Loose `json:"id"`
	Type         whatsapp.Loose `json:"type"` // absent or "message"; payments and calls have statuses of their own
	Status       whatsapp.Loose `json:"status"`
	Timestamp    whatsapp.Loose `json:"timestamp"`
	CallbackData whatsapp.Loose `json:"biz_opaque_callback_data"`
	Errors       []wireError    `json:"errors"`
}

// Parse reads a webhook. It tolerates what it doesn't know, and leaves out
// single entries it can't read; an error means that the body is no webhook of
// this dialect at all.
//
// A webhook may carry several numbers of one app. Receipts of other numbers
// are kept: our message id in them says whose they are. What people wrote to
// other numbers is left out, and what is said of those numbers.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var w webhook
	if err := whatsapp.Decode(raw, &w); err != nil {
		return gateway.Callback{}, fmt.Errorf("%w: %w", ErrDialect, err)
	}
	if w.Object != "" && w.Object != "whatsapp_business_account" {
		return gateway.Callback{}, nil // another product of the same app
	}
	if w.Entry == nil && string(bytes.TrimSpace(raw)) != "{}" { // which says nothing
		return gateway.Callback{}, fmt.Errorf("%w: no entry", ErrDialect)
	}
	var out gateway.Callback
	for _, e := range w.Entry {
		for _, c := range e.Changes {
			switch c.Field {
			case "messages":
				p.read(&c.Value, &out)
			case "user_preferences":
				p.readPreferences(&c.Value, &out)
			}
		}
	}
	return out, nil
}

// ours reports whether what people said was said to our number.
func (p *Provider) ours(v *value) bool {
	number := string(v.Metadata.PhoneNumberID)
	return number == "" || p.settings.PhoneNumberID == "" || number == p.settings.PhoneNumberID
}

// readPreferences reads who wants marketing and who doesn't. It opens no
// service window.
func (p *Provider) readPreferences(v *value, out *gateway.Callback) {
	if !p.ours(v) {
		return
	}
	for _, pref := range v.Preferences {
		from, err := whatsapp.Number(pref.WAID)
		if err != nil || pref.Category != "marketing_messages" {
			continue
		}
		in := gateway.Inbound{From: from, At: pref.Timestamp.Instant(), Aside: true}
		switch pref.Value {
		case "stop":
			in.Consent = gateway.ConsentStopMarketing
		case "resume":
			in.Consent = gateway.ConsentStartMarketing
		default:
			continue
		}
		out.Inbound = append(out.Inbound, in)
	}
}

func (p *Provider) read(v *value, out *gateway.Callback) {
	ours := p.ours(v)
	for i := range v.Statuses {
		r, why, ok := p.receipt(&v.Statuses[i])
		if !ok {
			continue
		}
		out.Receipts = append(out.Receipts, r)
		if ours {
			out.Halt(why, r.At)
		}
	}
	if !ours {
		return
	}
	for i := range v.Errors {
		out.Halt(p.reason(v.Errors[i:i+1]), time.Time{})
	}
	for i := range v.Messages {
		out.Inbound = append(out.Inbound, inbound(&v.Messages[i])...)
	}
}

// receipt reads one status. "played" is more than read, which is the most we
// know; "deleted" says nothing of the sending, nor do names to come. why is why
// a message failed.
func (p *Provider) receipt(s *status) (r gateway.Receipt, why gateway.Result, ok bool) {
	r = gateway.Receipt{
		Message:           messageOf(string(s.CallbackData)),
		ProviderMessageID: gateway.ParseProviderMessageID(string(s.ID)),
		At:                s.Timestamp.Instant(),
	}
	if r.Message == "" && r.ProviderMessageID == "" || s.Type != "" && s.Type != "message" {
		return r, why, false
	}
	switch s.Status {
	case "sent":
		r.Status = gateway.StatusSent
	case "delivered":
		r.Status = gateway.StatusDelivered
	case "read", "played":
		r.Status = gateway.StatusRead
	case "failed":
		r.Status = gateway.StatusFailed
		why = p.reason(s.Errors)
		r.Error, r.Suppress = why.Error, why.Suppress
		r.LostFile = slices.ContainsFunc(s.Errors, func(e wireError) bool {
			// By now a link is out of the question, and what Graph has made of the
			// file is no good, whatever was uploaded.
			code, _ := e.number()
			return code == codeMediaUpload || p.lostFile(&e)
		})
	default:
		return r, why, false
	}
	return r, why, true
}

// reason is why a message failed, by the first error that has a code. A code
// that isn't documented is permanent: Meta reports failures when it has given
// up.
func (p *Provider) reason(errs []wireError) gateway.Result {
	for i := range errs {
		code, ok := errs[i].number()
		if !ok {
			continue
		}
		r, ok := p.rule(code, &errs[i])
		if !ok {
			r = permanent()
		}
		return p.result(r, nil, p.describe(code, &errs[i]))
	}
	return p.result(permanent(), nil, &gateway.Error{Title: "failed without an error code"})
}

// inbound reads what one message means to sending. Reactions and corrections
// say nothing; nor does what is said in a group, for it isn't said to us.
func inbound(m *whatsapp.Message) []gateway.Inbound {
	if m.GroupID != "" {
		return nil
	}
	return m.Inbound("reaction", "unsupported", "edit", "revoke")
}
