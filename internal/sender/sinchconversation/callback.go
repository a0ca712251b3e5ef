package sinchconversation

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// The words of webhooks. Source: Conversation API 1.0, callbacks.
const (
	statusQueued    = "QUEUED_ON_CHANNEL"
	statusSwitching = "SWITCHING_CHANNEL" // on to the next channel
	statusDelivered = "DELIVERED"
	statusRead      = "READ"
	statusFailed    = "FAILED"

	directionToApp = "TO_APP"
	optOutDone     = "OPT_OUT_SUCCEEDED"

	noSubcode = "UNSPECIFIED_SUB_CODE"
)

// webhook is the envelope. Which of its payloads is there says what it is
// about; those that aren't here have nothing to do with sending.
type webhook struct {
	AppID        text    `json:"app_id"`
	AcceptedTime instant `json:"accepted_time"`
	EventTime    instant `json:"event_time"`

	Submit   *report  `json:"message_submit_notification"`
	Delivery *report  `json:"message_delivery_report"`
	Message  *inbound `json:"message"`
	OptOut   *optOut  `json:"opt_out_notification"`
}

// at is when it happened, or when Sinch heard of it.
func (w *webhook) at() time.Time {
	if !w.EventTime.IsZero() {
		return w.EventTime.Time
	}
	return w.AcceptedTime.Time
}

type report struct {
	MessageID text `json:"message_id"`
	Status    text `json:"status"`
	Metadata  text `json:"metadata"`
	Reason    struct {
		Code        text   `json:"code"`
		Description text   `json:"description"`
		Subcode     text   `json:"sub_code"`
		ChannelCode scalar `json:"channel_code"` // WhatsApp's own
	} `json:"reason"`
}

type inbound struct {
	Direction  text     `json:"direction"`
	AcceptTime instant  `json:"accept_time"`
	Injected   bool     `json:"injected"` // by the business, not by the contact
	Identity   identity `json:"channel_identity"`
	Contact    struct {
		Text struct {
			Text text `json:"text"`
		} `json:"text_message"`
		Choice struct {
			Postback text `json:"postback_data"`
		} `json:"choice_response_message"`
	} `json:"contact_message"`
}

type identity struct {
	Channel  text `json:"channel"`
	Identity text `json:"identity"`
}

// recipient is whose identity it is; not ok if it is none of WhatsApp's.
func (i identity) recipient() (gateway.Recipient, bool) {
	if i.Channel != "" && i.Channel != channelWhatsApp {
		return "", false
	}
	r, err := gateway.ParseRecipient("+" + strings.TrimPrefix(string(i.Identity), "+"))
	return r, err == nil
}

type optOut struct {
	identity
	Status text `json:"status"`
}

// instant is an RFC 3339 time; what can't be read is zero.
type instant struct{ time.Time }

// UnmarshalJSON never fails.
func (t *instant) UnmarshalJSON(b []byte) error {
	if at, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`)); err == nil {
		t.Time = gateway.Instant(at)
	}
	return nil
}

// Challenge is never asked for: the dialect has no verification request.
func (p *Provider) Challenge(url.Values) (body string, ok bool) { return "", false }

// Parse reads a webhook, which tells of one thing. What it doesn't know, and
// members it can't read, it leaves out; an error means that the body is not
// this dialect's at all.
//
// A receipt or an inbound message without a readable time has a zero At. A
// project may send the webhooks of several apps to one address: receipts of
// other apps are kept, for our message id in them says whose they are; what
// people wrote to other apps is left out, and what a failure says of those. An
// opt-out counts whoever registered it; an opt-in is registered by the business
// and must not overrule what the recipient wrote.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var c gateway.Callback
	var w webhook
	if err := decode(raw, &w); err != nil {
		return c, fmt.Errorf("read webhook: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return c, errors.New("read webhook: not a JSON object")
	}
	if w.Submit != nil {
		w.Submit.Status = statusQueued
		c.Receipts = p.receipt(w.at(), w.Submit)
	}
	if w.Delivery != nil {
		c.Receipts = append(c.Receipts, p.receipt(w.at(), w.Delivery)...)
	}
	if own := p.settings.AppID; w.AppID != "" && own != "" && string(w.AppID) != own {
		return c, nil
	}
	for _, r := range c.Receipts {
		c.Halt(gateway.Blame(r.Error), r.At)
	}
	if w.Message != nil {
		c.Inbound = w.Message.inbound(w.at())
	}
	if o := w.OptOut; o != nil && o.Status == optOutDone {
		if from, ok := o.recipient(); ok {
			c.Inbound = append(c.Inbound, gateway.Inbound{From: from, At: w.at(), Consent: gateway.ConsentStop, Aside: true})
		}
	}
	return c, nil
}

// receipt is what a report says of a message, if it names one and the status is
// known. A channel that was changed and one that waits prove no more than that
// Sinch has the message.
func (p *Provider) receipt(at time.Time, d *report) []gateway.Receipt {
	r := gateway.Receipt{
		Message:           messageOf(string(d.Metadata)),
		ProviderMessageID: gateway.ParseProviderMessageID(string(d.MessageID)),
		At:                at,
	}
	if r.Message == "" && r.ProviderMessageID == "" {
		return nil
	}
	switch d.Status {
	case statusQueued, statusSwitching:
		r.Status = gateway.StatusAccepted
	case statusDelivered:
		r.Status = gateway.StatusDelivered
	case statusRead:
		r.Status = gateway.StatusRead
	case statusFailed:
		r.Status = gateway.StatusFailed
		r.Error, r.Suppress = p.failure(d)
	default:
		return nil
	}
	return []gateway.Receipt{r}
}

// failure says why a message failed, with the channel's own code where it is
// told.
func (p *Provider) failure(d *report) (*gateway.Error, *gateway.Suppression) {
	code, subcode := string(d.Reason.Code), string(d.Reason.Subcode)
	why := reasonOf(code, subcode)
	e := &gateway.Error{Class: why.class, Code: p.quote(cmp.Or(code, "UNKNOWN")), Title: why.title}
	said := []string{p.quote(string(d.Reason.Description))}
	if subcode != "" && subcode != noSubcode {
		said = append(said, "(sub code "+p.quote(subcode)+")")
	}
	if d.Reason.ChannelCode != "" {
		said = append(said, "(channel code "+p.quote(string(d.Reason.ChannelCode))+")")
	}
	e.Detail = strings.TrimSpace(strings.Join(said, " "))
	if !why.cooldown || why.class != gateway.ClassRecipient {
		return e, nil
	}
	return e, &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: e.Code, For: suppressFor}
}

// inbound is what a message to the app means to sending. A tapped choice says
// what we put behind it; a file, a place or a kind that is new says nothing.
func (m *inbound) inbound(heard time.Time) []gateway.Inbound {
	from, ok := m.Identity.recipient()
	if !ok || m.Injected || m.Direction != "" && m.Direction != directionToApp {
		return nil
	}
	at := m.AcceptTime.Time
	if at.IsZero() {
		at = heard
	}
	words := cmp.Or(m.Contact.Text.Text, m.Contact.Choice.Postback)
	return []gateway.Inbound{{From: from, At: at, Text: string(words)}}
}
