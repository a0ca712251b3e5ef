package sinchwhatsapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// The states of a message. Source: Sinch WhatsApp API v1, "Delivery report
// callback".
const (
	stateQueued       = "queued"
	stateDispatched   = "dispatched" // handed to WhatsApp's servers
	stateSent         = "sent"
	stateDelivered    = "delivered"
	stateRead         = "read"
	stateDeleted      = "deleted" // deleted or expired in the app
	stateFailed       = "failed"
	stateNoOptIn      = "no_opt_in"
	stateNoCapability = "no_capability"

	statusSuccess = "success"
	statusFailure = "failure"

	envelopeType = "whatsapp"
)

// suppressFor is how long a recipient rests after no_capability or no_opt_in.
// Both lists are Sinch's and change without word to us: people join WhatsApp,
// and writing to the bot is an opt-in. So neither stops a recipient for good;
// consent is kept here, as a suppression of its own.
const suppressFor = 24 * time.Hour

// envelope is a callback, and the answer to a send. Contacts beside the
// notifications are of no use here.
type envelope struct {
	Type          string `json:"type"`
	Statuses      list   `json:"statuses"`
	Notifications list   `json:"notifications"`
}

// list reads an array, or a single element as an older schema shows it. The
// elements are read one by one, so that one bad element spoils no other.
type list []json.RawMessage

// UnmarshalJSON never fails on valid JSON.
func (l *list) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return json.Unmarshal(b, (*[]json.RawMessage)(l))
	}
	*l = list{bytes.Clone(b)}
	return nil
}

// deliveryStatus is one status of one message.
type deliveryStatus struct {
	Status    string  `json:"status"` // success or failure; State says more
	State     string  `json:"state"`
	MessageID string  `json:"message_id"`
	Timestamp instant `json:"timestamp"`
	Details   string  `json:"details"`
}

func (s deliveryStatus) id() gateway.ProviderMessageID {
	return gateway.ParseProviderMessageID(s.MessageID)
}

// gatewayStatus is the domain's word for the state, or "" if nothing is known
// of it. A state newer than the documents is read by its status: a success
// proves that the provider has the message, and no more.
func (s deliveryStatus) gatewayStatus() gateway.Status {
	switch s.State {
	case stateQueued, stateDispatched:
		return gateway.StatusAccepted
	case stateSent:
		return gateway.StatusSent
	case stateDelivered:
		return gateway.StatusDelivered
	case stateRead:
		return gateway.StatusRead
	case stateDeleted, stateFailed, stateNoOptIn, stateNoCapability:
		return gateway.StatusFailed
	}
	switch s.Status {
	case statusSuccess:
		return gateway.StatusAccepted
	case statusFailure:
		return gateway.StatusFailed
	}
	return ""
}

// failure says why a message failed, as far as the state tells; the details
// are for people. Deleted is a failure of class expired: as such it ends a
// message on its way and leaves a delivered or read one alone.
func (p *Provider) failure(s deliveryStatus) *gateway.Error {
	e := &gateway.Error{Code: s.State, Detail: p.quote(s.Details)}
	switch s.State {
	case stateDeleted:
		e.Class, e.Title = gateway.ClassExpired, "Deleted or expired in the recipient's app"
	case stateNoOptIn:
		e.Class, e.Title = gateway.ClassRecipient, "The recipient is not opted in at Sinch"
	case stateNoCapability:
		e.Class, e.Title = gateway.ClassRecipient, "The recipient has no WhatsApp"
	default:
		e.Class, e.Title = gateway.ClassUnknown, "Failed at the provider, which names no reason"
		e.Code = stateFailed
	}
	return e
}

func (s deliveryStatus) suppression() *gateway.Suppression {
	switch s.State {
	case stateNoOptIn, stateNoCapability:
		return &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: s.State, For: suppressFor}
	}
	return nil
}

func statusesOf(e envelope) []deliveryStatus {
	statuses := make([]deliveryStatus, 0, len(e.Statuses))
	for _, raw := range e.Statuses {
		var s deliveryStatus
		_ = lenient(raw, &s) // an element of JSON is JSON
		statuses = append(statuses, s)
	}
	return statuses
}

// notification is one message to the bot.
type notification struct {
	From      string         `json:"from"` // digits; national in some examples
	InGroup   string         `json:"in_group"`
	Timestamp instant        `json:"timestamp"`
	Message   inboundMessage `json:"message"`
}

type inboundMessage struct {
	Type    string `json:"type"`
	Body    string `json:"body"`    // text
	Text    string `json:"text"`    // button: its label
	Payload string `json:"payload"` // button: what we put behind it
	Message struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	} `json:"message"` // interactive: what was tapped
}

// words is what the sender said. A tapped choice says two things, its label and
// what we put behind it, for either may be an opt-out word.
func (m inboundMessage) words() []string {
	var said []string
	switch m.Type {
	case wireText:
		said = []string{m.Body}
	case wireButton:
		said = []string{m.Text, m.Payload}
	case wireInteractive:
		said = []string{m.Message.Title, m.Message.ID}
	}
	said = slices.DeleteFunc(slices.Compact(said), func(s string) bool { return s == "" })
	if len(said) == 0 {
		return []string{""} // a file, a place, something new: they have written
	}
	return said
}

// instant is an ISO 8601 time; what can't be read is zero.
type instant struct{ time.Time }

// UnmarshalJSON never fails.
func (t *instant) UnmarshalJSON(b []byte) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05"} {
		if at, err := time.Parse(layout, strings.Trim(string(b), `"`)); err == nil {
			t.Time = gateway.Instant(at)
			break
		}
	}
	return nil
}

// lenient reads what it can: a member of another type than documented must not
// spoil its neighbours. An error means that raw is not JSON.
func lenient(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil
	}
	return err
}

// Challenge is never asked for: the dialect has no verification request.
func (p *Provider) Challenge(url.Values) (body string, ok bool) { return "", false }

// Parse reads a callback, which may hold statuses and messages to the bot
// alike. What it doesn't know, and elements it can't read, it leaves out; an
// error means that the body is not this dialect's at all.
//
// Receipts name no message of ours: the URL they come to does. A receipt or
// an inbound message without a readable time has a zero At. A message from
// what is no E.164 number, or in a group, is left out: it opens no service
// window that could be found again.
func (p *Provider) Parse(raw []byte) (gateway.Callback, error) {
	var c gateway.Callback
	var e envelope
	if err := lenient(raw, &e); err != nil {
		return c, fmt.Errorf("read callback: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return c, errors.New("read callback: not a JSON object")
	}
	if e.Type != "" && e.Type != envelopeType {
		return c, errors.New("read callback: type is not " + envelopeType)
	}
	for _, s := range statusesOf(e) {
		status := s.gatewayStatus()
		if status == "" {
			continue
		}
		r := gateway.Receipt{ProviderMessageID: s.id(), Status: status, At: s.Timestamp.Time}
		if status == gateway.StatusFailed {
			r.Error, r.Suppress = p.failure(s), s.suppression()
		}
		c.Receipts = append(c.Receipts, r)
	}
	for _, raw := range e.Notifications {
		var n notification
		_ = lenient(raw, &n) // an element of JSON is JSON
		from, err := gateway.ParseRecipient("+" + strings.TrimPrefix(n.From, "+"))
		if err != nil || n.InGroup != "" {
			continue
		}
		for _, words := range n.Message.words() {
			c.Inbound = append(c.Inbound, gateway.Inbound{From: from, At: n.Timestamp.Time, Text: words})
		}
	}
	return c, nil
}
