package sinchconversation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

const (
	maxQuote = 300 // code points kept of the provider's words
	redacted = "[redacted]"

	// codeBilling is the one thing a 403 says that operators must tell apart.
	codeBilling = "BILLING_CREDIT_LIMIT_BREACHED"
)

// rule is what an HTTP status means for the attempt.
type rule struct {
	outcome gateway.Outcome
	class   gateway.Class
	scope   gateway.Scope
	// coded says that the rule holds for Sinch's own words only. Without them a
	// proxy may be speaking, and the request may be through.
	coded bool
}

// The kinds of rules.
func permanent() rule { return rule{outcome: gateway.OutcomeRejected, class: gateway.ClassPermanent} }
func unknown() rule   { return rule{outcome: gateway.OutcomeUnknown, class: gateway.ClassUnknown} }

func suspended() rule {
	return rule{outcome: gateway.OutcomeSuspended, class: gateway.ClassSuspended, scope: gateway.ScopeAccount}
}

// statuses holds the rule of every status that says something; it is only read.
// The names beside the codes aren't looked at: Sinch's documents disagree on
// them. Source: Conversation API 1.0, errors.
var statuses = map[int]rule{
	http.StatusBadRequest:        permanent(),
	http.StatusUnauthorized:      suspended(), // Recover has had its turn
	http.StatusPaymentRequired:   suspended(),
	http.StatusForbidden:         suspended(), // permissions, or the credit is used up
	http.StatusNotFound:          suspended(), // no such app or project, or the wrong region
	http.StatusMethodNotAllowed:  suspended(), // the base URL leads elsewhere
	http.StatusProxyAuthRequired: suspended(),
	http.StatusRequestTimeout:    unknown(),
	// 800 requests a second of the project, or the app's full queue.
	http.StatusTooManyRequests:     {outcome: gateway.OutcomeThrottled, class: gateway.ClassThrottled, scope: gateway.ScopeApp},
	http.StatusInternalServerError: unknown(),
	http.StatusNotImplemented:      {outcome: gateway.OutcomeRejected, class: gateway.ClassPermanent, coded: true}, // no such route
	http.StatusServiceUnavailable:  {outcome: gateway.OutcomeTransient, class: gateway.ClassTransient, coded: true},
}

func ruleOf(status int, coded bool) rule {
	r, ok := statuses[status]
	switch {
	case ok && r.coded && !coded:
		return unknown()
	case ok:
		return r
	case status >= 300 && status < 400: // the API redirects nothing: the base URL leads elsewhere
		return suspended()
	case status >= 400 && status < 500:
		return permanent()
	}
	return unknown() // a 2xx without an id, other 5xx, and what is no final status
}

// Interpret implements sender.Provider. Only a 2xx with a message id accepts.
func (p *Provider) Interpret(a sender.Answer) gateway.Result {
	body := answerOf(a.Body)
	if id := gateway.ParseProviderMessageID(string(body.MessageID)); a.Status >= 200 && a.Status < 300 && id != "" {
		return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id}
	}
	says := body.error()
	rule := ruleOf(a.Status, says.coded(a.Status))
	r := gateway.Result{Outcome: rule.outcome, Scope: rule.scope, Error: p.problem(a.Status, rule.class, says)}
	if r.Retryable() {
		r.RetryAfter = sender.RetryAfter(a.Header, time.Now())
	}
	return r
}

// problem describes an answer that didn't accept, by its HTTP status and the
// provider's words if it has any.
func (p *Provider) problem(status int, class gateway.Class, says errorBody) *gateway.Error {
	e := &gateway.Error{
		Class:  class,
		Code:   strconv.Itoa(status),
		Title:  cmp.Or(http.StatusText(status), "Unexpected answer"),
		Detail: p.quote(cmp.Or(string(says.Message), string(says.Status))),
	}
	switch {
	case status >= 200 && status < 300:
		e.Title = "The answer holds no message id"
	case status == http.StatusForbidden && says.billing():
		e.Code, e.Title = codeBilling, "The project's credit is used up"
	}
	return e
}

// quote makes the provider's words fit for a record: without our credentials,
// and no longer than a person would read.
func (p *Provider) quote(s string) string {
	s = p.redactor.Replace(strings.ToValidUTF8(s, "\uFFFD"))
	for _, token := range p.tokens.known() {
		if token != "" {
			s = strings.ReplaceAll(s, token, redacted)
		}
	}
	if utf8.RuneCountInString(s) > maxQuote {
		s = string([]rune(s)[:maxQuote-1]) + "…"
	}
	return s
}

// answer is the body of any answer: an acceptance, or an error with or without
// its wrapper, for Sinch's schema and examples differ.
type answer struct {
	MessageID text            `json:"message_id"`
	Wrapped   json.RawMessage `json:"error"`
	errorBody
}

type errorBody struct {
	Code    scalar          `json:"code"`
	Message text            `json:"message"`
	Status  text            `json:"status"`
	Details json.RawMessage `json:"details"`
}

func answerOf(raw []byte) answer {
	var a answer
	if decode(raw, &a) != nil {
		return answer{}
	}
	return a
}

func (a answer) error() errorBody {
	var inner errorBody
	if bytes.HasPrefix(a.Wrapped, []byte("{")) && decode(a.Wrapped, &inner) == nil {
		return inner
	}
	return a.errorBody
}

// coded reports whether the words are Sinch's own: the code repeats the status,
// or a status name stands beside a message.
func (b errorBody) coded(status int) bool {
	return string(b.Code) == strconv.Itoa(status) || b.Status != "" && b.Message != ""
}

func (b errorBody) billing() bool {
	return strings.Contains(string(b.Status), codeBilling) || strings.Contains(string(b.Message), codeBilling) ||
		bytes.Contains(b.Details, []byte(codeBilling))
}

// text is a string; what is none reads as "", so that one odd member spoils no
// other.
type text string

// UnmarshalJSON never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	_ = json.Unmarshal(b, &s) // what is no string leaves it empty
	*t = text(s)
	return nil
}

// scalar is a string or a number, as text.
type scalar string

// UnmarshalJSON never fails.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var t text
	_ = t.UnmarshalJSON(b)
	*s = scalar(t)
	if len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*s = scalar(b)
	}
	return nil
}

// decode reads JSON and leaves out what has another shape than expected. Its
// error means that b is no JSON.
func decode(b []byte, into any) error {
	err := json.Unmarshal(b, into)
	if _, shape := errors.AsType[*json.UnmarshalTypeError](err); shape {
		return nil // the rest has been read
	}
	return err
}
