package whatsappv2

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

const (

	// cutAttempts is how often a message is tried whose refusal was cut short.
	cutAttempts = 3
)

// The statuses by which the provider tells its bodies apart, beside those of a
// delivery.
const (
	statusError  = "error"
	statusFailed = "failed"
)

// sendAnswer is the answer to a send. Templates may be answered in the Cloud
// API's form: what theirs is isn't documented.
type sendAnswer struct {
	MessageID whatsapp.Loose `json:"message_id"`
	Messages  []struct {
		ID whatsapp.Loose `json:"id"`
	} `json:"messages"`
	Recipient whatsapp.Loose `json:"recipient"`
	report
}

func (a *sendAnswer) id() string {
	if a.MessageID == "" && len(a.Messages) > 0 {
		return string(a.Messages[0].ID)
	}
	return string(a.MessageID)
}

// alias is how the provider knows the recipient, if it says.
func (a *sendAnswer) alias() gateway.Recipient {
	r, _ := whatsapp.Number(a.Recipient)
	return r
}

// Interpret reads an answer. The code in it decides, and its status of "error";
// the HTTP status, which the reference leaves open, only where there is
// neither.
func (p *Provider) Interpret(a sender.Answer) gateway.Result {
	var body sendAnswer
	readable := whatsapp.Decode(a.Body, &body) == nil
	refused := body.Status == statusError || body.Status == statusFailed
	id := gateway.ParseProviderMessageID(body.id())
	if taken := a.Status >= 200 && a.Status <= 299; taken && !refused && id != "" {
		return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id, Alias: body.alias()}
	}
	e := body.fault()
	r := judge(a.Status, refused, e)
	if r.class == gateway.ClassPermanent && !readable && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{")) {
		// Half an error: the message was refused, by a code that is lost. It may
		// have been the limit, whose HTTP status isn't documented.
		r = transient(cutAttempts)
	}
	return p.result(r, a.Header, p.describe(a.Status, refused, e))
}

func (p *Provider) result(r rule, h http.Header, e *gateway.Error) gateway.Result {
	e.Class = r.class
	out := gateway.Result{Outcome: r.outcome, Error: e, Scope: r.scope, MaxAttempts: r.attempts, Suppress: r.suppression()}
	if out.Retryable() {
		out.RetryAfter = cmp.Or(sender.RetryAfter(h, time.Now()), r.wait)
	}
	return out
}

// InterpretStatus reads the answer to a NewStatusRequest. Not ok: it tells no
// status of a message; for an unknown id, one more question later may.
func (p *Provider) InterpretStatus(a sender.Answer) (gateway.Receipt, bool) {
	var body struct {
		MessageID whatsapp.Loose `json:"message_id"`
		report
	}
	if a.Status < 200 || a.Status > 299 || whatsapp.Decode(a.Body, &body) != nil {
		return gateway.Receipt{}, false
	}
	return p.receipt(string(body.MessageID), &body.report)
}

// receipt reads one status of a message. Names that say nothing of a delivery
// are left out.
func (p *Provider) receipt(id string, s *report) (gateway.Receipt, bool) {
	r := gateway.Receipt{ProviderMessageID: gateway.ParseProviderMessageID(id), At: instant(s.Timestamp)}
	switch s.Status {
	case "sent":
		r.Status = gateway.StatusSent
	case "delivered":
		r.Status = gateway.StatusDelivered
	case "read":
		r.Status = gateway.StatusRead
	case statusFailed:
		r.Status = gateway.StatusFailed
		why := p.reason(s.fault())
		r.Error, r.Suppress = why.Error, why.Suppress
	}
	if r.ProviderMessageID == "" || r.Status == "" {
		return gateway.Receipt{}, false
	}
	return r, true
}

// reason is why a message failed.
func (p *Provider) reason(e *wireError) gateway.Result {
	out := &gateway.Error{Title: cmp.Or(p.clean(e.title()), "failed without a reason"), Detail: p.clean(e.details())}
	if code, ok := e.number(); ok {
		out.Code = strconv.Itoa(code)
	}
	return p.result(judgeFailure(e), nil, out)
}
