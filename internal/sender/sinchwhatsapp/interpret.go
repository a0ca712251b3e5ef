package sinchwhatsapp

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

const maxDetail = 500 // code points kept of the provider's words

// Interpret implements sender.Provider. The dialect has no error codes, and
// its texts are for people, so the HTTP status decides. Documented for a send
// are 201, 400, 401 and 503; the rest is inferred.
func (p *Provider) Interpret(a sender.Answer) gateway.Result {
	switch {
	case a.Status >= 200 && a.Status < 300:
		return p.receipt(a)
	case a.Status == http.StatusTooManyRequests:
		return gateway.Result{
			Outcome: gateway.OutcomeThrottled, Scope: gateway.ScopeAccount, RetryAfter: sender.RetryAfter(a.Header, time.Now()),
			Error: p.problem(a, gateway.ClassThrottled),
		}
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status == http.StatusNotFound,
		a.Status == http.StatusPaymentRequired, a.Status == http.StatusMethodNotAllowed, a.Status == http.StatusProxyAuthRequired,
		a.Status >= 300 && a.Status < 400:
		// A bad token, the wrong region, a bill, or a base URL that leads
		// elsewhere: no message of the account would fare better.
		return gateway.Result{
			Outcome: gateway.OutcomeSuspended, Scope: gateway.ScopeAccount,
			Error: p.problem(a, gateway.ClassSuspended),
		}
	case a.Status == http.StatusServiceUnavailable && errorBodyOf(a.Body).coded(a.Status):
		// In Sinch's own words the request could not be handled. Without them
		// it may be a proxy that speaks, and the request may be through.
		return gateway.Result{
			Outcome: gateway.OutcomeTransient, RetryAfter: sender.RetryAfter(a.Header, time.Now()),
			Error: p.problem(a, gateway.ClassTransient),
		}
	case a.Status >= 400 && a.Status < 500 && a.Status != http.StatusRequestTimeout:
		return gateway.Result{Outcome: gateway.OutcomeRejected, Error: p.problem(a, gateway.ClassPermanent)}
	}
	return p.unclear(a)
}

func (p *Provider) unclear(a sender.Answer) gateway.Result {
	return gateway.Result{Outcome: gateway.OutcomeUnknown, Error: p.problem(a, gateway.ClassUnknown)}
}

// receipt reads the answer to a send that went through: a callback's statuses,
// one for each recipient, hence one. An id accepts, unless it comes with a
// failure. Should there be more statuses than one, the message is refused only
// if all of them say so: what may be accepted must not count as refused.
func (p *Provider) receipt(a sender.Answer) gateway.Result {
	var e envelope
	if lenient(a.Body, &e) != nil {
		return p.unclear(a)
	}
	statuses := statusesOf(e)
	refused := 0
	for _, s := range statuses {
		switch {
		case s.gatewayStatus() == gateway.StatusFailed:
			refused++
		case s.id() != "":
			return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: s.id()}
		}
	}
	if refused == 0 || refused < len(statuses) {
		return p.unclear(a)
	}
	return p.refusal(statuses[0])
}

// refusal is a failure told at once: the request was sound, and this recipient
// is refused.
func (p *Provider) refusal(s deliveryStatus) gateway.Result {
	r := gateway.Result{Outcome: gateway.OutcomeRejected, Error: p.failure(s), Suppress: s.suppression()}
	if r.Error.Class == gateway.ClassRecipient {
		r.Scope = gateway.ScopeRecipient
	}
	if r.Error.Class == gateway.ClassUnknown {
		// The reason isn't known; that the message was refused is.
		r.Error.Class = gateway.ClassPermanent
	}
	return r
}

// problem describes an answer that is no receipt, by its HTTP status and the
// provider's words if it has any.
func (p *Provider) problem(a sender.Answer, class gateway.Class) *gateway.Error {
	b, code := errorBodyOf(a.Body), strconv.Itoa(a.Status)
	title := b.title()
	if title == code { // an older schema: the reason is all it says
		title = ""
	}
	fallback := cmp.Or(http.StatusText(a.Status), "Unexpected answer")
	if a.Status >= 200 && a.Status < 300 {
		fallback = "The answer holds no receipt"
	}
	return &gateway.Error{
		Class:  class,
		Code:   code,
		Title:  p.quote(cmp.Or(title, fallback)),
		Detail: p.quote(b.detail()),
	}
}

// quote makes the provider's words fit for a record: without our credentials,
// and no longer than a person would read.
func (p *Provider) quote(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if p.token != "" {
		s = strings.ReplaceAll(s, p.token, "***")
	}
	for _, secret := range p.secrets {
		s = strings.ReplaceAll(s, string(secret), "***")
	}
	if utf8.RuneCountInString(s) > maxDetail {
		s = string([]rune(s)[:maxDetail-1]) + "…"
	}
	return s
}

// errorBody is the body of an error. The documents agree on message and
// details; an older schema says title and reason, and its examples mix both.
type errorBody struct {
	Message string `json:"message"`
	Title   string `json:"title"`
	Details string `json:"details"`
	Reason  string `json:"reason"`
}

func errorBodyOf(body []byte) errorBody {
	var b errorBody
	if lenient(body, &b) != nil {
		return errorBody{}
	}
	return b
}

func (b errorBody) title() string  { return cmp.Or(b.Message, b.Title) }
func (b errorBody) detail() string { return cmp.Or(b.Details, b.Reason) }

// coded reports whether the body is Sinch's own: both texts, or the status as
// the message. A lone message could be any proxy's.
func (b errorBody) coded(status int) bool {
	return b.title() != "" && b.detail() != "" || b.title() == strconv.Itoa(status)
}
