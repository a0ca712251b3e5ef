package whatsappcloud

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// Why a webhook isn't authentic, or isn't a webhook.
var (
	ErrUnsigned  = errors.New("no sha256 signature in " + signatureHeader)
	ErrSignature = errors.New("the signature in " + signatureHeader + " fits no app secret")
	ErrDialect   = errors.New("no webhook of a WhatsApp business account")
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

// Verify checks the signature over the bytes as they came: Meta escapes
// characters as no encoder of ours does, so nothing may be decoded before. nil
// means authentic. The query is not looked at.
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

// The parts of a webhook that are read. Everything else may change under us.
type webhook struct {
	Object loose `json:"object"`
	Entry  []struct {
		Changes []struct {
			Field loose `json:"field"`
			Value value `json:"value"`
		} `json:"changes"`
	} `json:"entry"`
}

type value struct {
	Metadata struct {
		PhoneNumberID loose `json:"phone_number_id"`
	} `json:"metadata"`
	Statuses    []status     `json:"statuses"`
	Messages    []inbound    `json:"messages"`
	Preferences []preference `json:"user_preferences"`
}

// preference is what a user chose in WhatsApp itself.
type preference struct {
	WAID      loose `json:"wa_id"`
	Category  loose `json:"category"`
	Value     loose `json:"value"` // "stop" or "resume"
	Timestamp loose `json:"timestamp"`
}

type status struct {
	ID           loose       `json:"id"`
	Type         loose       `json:"type"` // absent or "message"; payments and calls have statuses of their own
	Status       loose       `json:"status"`
	Timestamp    loose       `json:"timestamp"`
	CallbackData loose       `json:"biz_opaque_callback_data"`
	Errors       []wireError `json:"errors"`
}

type inbound struct {
	From      loose `json:"from"`     // digits; absent if the user goes by a name
	GroupID   loose `json:"group_id"` // written to a group
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
//
// A webhook may carry several numbers of one app. Receipts of other numbers
// are kept: our message id in them says whose they are. What people wrote to
// other numbers is left out.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var w webhook
	if err := decode(raw, &w); err != nil {
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
		from, err := gateway.ParseRecipient("+" + string(pref.WAID))
		if err != nil || pref.Category != "marketing_messages" {
			continue
		}
		in := gateway.Inbound{From: from, At: instant(pref.Timestamp), Aside: true}
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
	for i := range v.Statuses {
		if r, ok := p.receipt(&v.Statuses[i]); ok {
			out.Receipts = append(out.Receipts, r)
		}
	}
	if !p.ours(v) {
		return
	}
	for i := range v.Messages {
		out.Inbound = append(out.Inbound, v.Messages[i].inbound()...)
	}
}

// receipt reads one status. "played" is more than read, which is the most we
// know; "deleted" says nothing of the sending, nor do names to come.
func (p *Provider) receipt(s *status) (gateway.Receipt, bool) {
	r := gateway.Receipt{
		Message:           messageOf(string(s.CallbackData)),
		ProviderMessageID: gateway.ProviderMessageID(s.ID),
		At:                instant(s.Timestamp),
	}
	if r.Message == "" && r.ProviderMessageID == "" || s.Type != "" && s.Type != "message" {
		return r, false
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
		r.Error, r.Suppress = p.reason(s.Errors)
	default:
		return r, false
	}
	return r, true
}

// reason is why a message failed, by the first error that has a code. A code
// that isn't documented is permanent: Meta reports failures when it has given
// up.
func (p *Provider) reason(errs []wireError) (*gateway.Error, *gateway.Suppression) {
	for i := range errs {
		code, ok := errs[i].number()
		if !ok {
			continue
		}
		r, ok := p.rule(code, &errs[i])
		if !ok {
			r = permanent()
		}
		out := p.describe(code, &errs[i])
		out.Class = r.class
		return out, r.suppression()
	}
	return &gateway.Error{Class: gateway.ClassPermanent, Title: "failed without an error code"}, nil
}

// inbound reads what one message of a user means to sending. A tapped choice
// gives an entry for its id and one for its label, for either may be an
// opt-out word. Reactions, notices and corrections give none, for it isn't
// documented that they open the service window; nor does what is said in a
// group, for it isn't said to us.
func (m *inbound) inbound() []gateway.Inbound {
	from, err := gateway.ParseRecipient("+" + strings.TrimPrefix(string(m.From), "+"))
	if err != nil || m.GroupID != "" {
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

// instant reads a Unix time in seconds, or in milliseconds as some hosts
// write. What is no time of this era is zero.
func instant(l loose) time.Time {
	const (
		milliseconds = 1e11           // seconds beyond it would lie in the year 5138
		end          = 253402300800e3 // the year 10000, which JSON times can't say
	)
	n, err := strconv.ParseInt(string(l), 10, 64)
	switch {
	case err != nil, n <= 0, n >= end:
		return time.Time{}
	case n > milliseconds:
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}
