package whatsapponprem

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

const (
	maxWait  = time.Hour // that a limit asks for in words
	maxRunes = 300       // of a title or a detail

	// cutAttempts is how often a message is tried whose refusal was cut short.
	cutAttempts = 3
)

// envelope is what is read of an answer to a message.
type envelope struct {
	Messages []struct {
		ID whatsapp.Loose `json:"id"`
	} `json:"messages"`
	Contacts []contact   `json:"contacts"`
	Errors   []wireError `json:"errors"`
	Meta     struct {
		// What 360dialog's hosts say before the stack is asked.
		DeveloperMessage whatsapp.Loose `json:"developerMessage"`
		DeveloperSnake   whatsapp.Loose `json:"developer_message"`
	} `json:"meta"`
}

// contact is how the host knows a number.
type contact struct {
	Input  whatsapp.Loose `json:"input"`
	Status whatsapp.Loose `json:"status"` // of a check only
	WaID   whatsapp.Loose `json:"wa_id"`
}

// id is the number by which the host knows the contact; "" if that is none.
func (c *contact) id() string {
	s := strings.TrimPrefix(string(c.WaID), "+")
	if s != digits(s) {
		return "" // a name, as newer hosts have them
	}
	return s
}

// wireError is one entry of errors, in an answer or in a callback.
type wireError struct {
	Code    whatsapp.Loose `json:"code"`
	Title   whatsapp.Loose `json:"title"`
	Details whatsapp.Loose `json:"details"`
}

// read reads an answer as far as it can; false means that it is no JSON.
func read(body []byte) (e envelope, readable bool) {
	readable = whatsapp.Decode(body, &e) == nil
	if !readable {
		e = envelope{}
	}
	return e, readable
}

// code is the first code among the errors.
func (e *envelope) code() (int, wireError) {
	for _, w := range e.Errors {
		if code, ok := w.Code.Number(); ok {
			return code, w
		}
	}
	return 0, wireError{}
}

// developerMessage is what a host before the stack says.
func (e *envelope) developerMessage() string {
	if e.Meta.DeveloperMessage != "" {
		return string(e.Meta.DeveloperMessage)
	}
	return string(e.Meta.DeveloperSnake)
}

// says is the first error without a code that says something.
func (e *envelope) says() (wireError, bool) {
	for _, w := range e.Errors {
		if w.Title != "" || w.Details != "" {
			return w, true
		}
	}
	return wireError{}, false
}

// Interpret reads an answer. An id counts before everything, for what was taken
// must not be sent again; then errors, whatever the status, for hosts report
// them with 200 too; then the status.
func (p *Provider) Interpret(a sender.Answer) gateway.Result {
	e, readable := read(a.Body)
	if ok := a.Status >= 200 && a.Status <= 299; ok && len(e.Messages) > 0 {
		if id := gateway.ParseProviderMessageID(string(e.Messages[0].ID)); id != "" {
			p.learn(e.Contacts)
			return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id, Alias: e.alias()}
		}
	}
	if code, w := e.code(); w.Code != "" {
		return p.result(judge(a.Status, code, w), a.Header, p.describe(code, w))
	}
	if w, ok := e.says(); ok {
		r := judgeStatus(a.Status)
		if a.Status >= 500 && a.Status <= 599 && a.Status != http.StatusServiceUnavailable {
			r = unknown() // without a code it is no clear answer
		}
		return p.result(r, a.Header, p.describeStatus(a.Status, w))
	}
	if message := e.developerMessage(); message != "" {
		return p.result(judgeDeveloper(a.Status, message), a.Header, p.describeStatus(a.Status, wireError{Details: whatsapp.Loose(message)}))
	}
	r := judgeBare(a.Status)
	if r.class == gateway.ClassPermanent && !readable && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{")) {
		// Half an envelope: the message was refused, by a code that is lost.
		r = transient(cutAttempts)
	}
	return p.result(r, a.Header, p.describeStatus(a.Status, wireError{}))
}

// alias is how the host knows the one recipient there is, if it says.
func (e *envelope) alias() gateway.Recipient {
	if len(e.Contacts) != 1 {
		return ""
	}
	r, _ := whatsapp.Number(e.Contacts[0].WaID)
	return r
}

// learn keeps the numbers under which the host knows recipients.
func (p *Provider) learn(contacts []contact) {
	for _, c := range contacts {
		input, waID := digits(string(c.Input)), c.id()
		if input == "" || waID == "" || input == waID && p.aliases.get(gateway.Recipient("+"+input)) == "" {
			continue
		}
		p.aliases.update(gateway.Recipient("+"+input), func(alias *string) { *alias = waID })
	}
}

// digits leaves out what people put between them; "" if it is no number that
// can be sent to.
func digits(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if len(s) < 5 || len(s) > 20 {
		return ""
	}
	return s
}

// judge finds what a coded error means.
func judge(status, code int, w wireError) rule {
	switch {
	case code == status: // a host that repeats its status: not the code of a message
		return judgeStatus(status)
	case code == codeNotFound && unknownContact(w):
		// That the host has never asked for the number says nothing about it: see
		// Recover. Where nobody asks (a worker that stops), the next attempt does.
		return transient(0)
	case code == codeRecipientType && saysNotOnWhatsApp(w):
		return notOnWhatsApp()
	}
	if r, ok := codes[code]; ok {
		return r
	}
	return judgeStatus(status)
}

// judgeStatus is for errors that the dialect spells, but with a code that isn't
// documented, or none.
func judgeStatus(status int) rule {
	switch {
	case status == http.StatusTooManyRequests:
		return throttled(gateway.ScopeAccount, rateWait)
	case status == http.StatusServiceUnavailable:
		return throttled(gateway.ScopeAccount, nodeWait)
	case status == http.StatusRequestTimeout, status >= 500 && status <= 599:
		return transient(0)
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden,
		status >= 300 && status <= 399:
		return suspended()
	}
	return permanent()
}

// judgeBare is for answers without errors of the dialect. Something before the
// host made them, or the host in distress.
func judgeBare(status int) rule {
	switch {
	case status == http.StatusTooManyRequests:
		return throttled(gateway.ScopeAccount, rateWait)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusPaymentRequired,
		status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusProxyAuthRequired,
		status >= 300 && status <= 399:
		return suspended() // the host knows the path: the base URL is wrong, or a proxy answers
	case status == http.StatusRequestTimeout:
		return unknown() // a proxy's: how much of the request went on isn't known
	case status >= 400 && status <= 499:
		return permanent()
	}
	return unknown() // 2xx without an id, 5xx, and what is no final status
}

// The words of a limit, and of its seconds. Other limits are of what a message
// may hold.
var (
	usageLimit   = regexp.MustCompile(`requests? every|(usage|rate|request) limit|too many requests`)
	everySeconds = regexp.MustCompile(`every (\d{1,4}) ?s`)
)

// judgeDeveloper reads what 360dialog's host says in words only. What can't be
// told apart is the message's fault: a limit would hold up all the others.
func judgeDeveloper(status int, message string) rule {
	says := strings.ToLower(message)
	if status == http.StatusBadRequest {
		switch {
		case usageLimit.MatchString(says):
			wait := rateWait
			if m := everySeconds.FindStringSubmatch(says); m != nil {
				if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
					wait = min(time.Duration(n)*time.Second, maxWait)
				}
			}
			return throttled(gateway.ScopeAccount, wait)
		case strings.Contains(says, "api") && strings.Contains(says, "disabled"):
			return suspended()
		}
	}
	return judgeStatus(status)
}

// unknownContact reports whether what wasn't found is the recipient; it may be
// media or a group too, which only the words tell.
func unknownContact(w wireError) bool {
	says := strings.ToLower(string(w.Details))
	return strings.Contains(says, "unknown contact") || strings.Contains(says, "could not retrieve phone number from contact store")
}

func saysNotOnWhatsApp(w wireError) bool {
	says := strings.ToLower(string(w.Title) + " " + string(w.Details))
	return strings.Contains(says, "not on whatsapp") || strings.Contains(says, "not a whatsapp") || strings.Contains(says, "not a valid whatsapp")
}

func (p *Provider) result(r rule, h http.Header, e *gateway.Error) gateway.Result {
	e.Class = r.class
	out := gateway.Result{Outcome: r.outcome, Error: e, Scope: r.scope, MaxAttempts: r.attempts, Suppress: r.suppression()}
	if out.Retryable() {
		out.RetryAfter = r.wait
		if d := sender.RetryAfter(h, p.settings.Now()); d > 0 {
			out.RetryAfter = d
		}
	}
	return out
}

// suppression is a fresh copy, or nil.
func (r rule) suppression() *gateway.Suppression {
	if r.suppress.Scope == "" {
		return nil
	}
	s := r.suppress
	return &s
}

// describe puts an error in the gateway's words, without its class.
func (p *Provider) describe(code int, w wireError) *gateway.Error {
	out := &gateway.Error{Code: strconv.Itoa(code), Title: p.clean(string(w.Title)), Detail: p.clean(string(w.Details))}
	if out.Title == "" {
		out.Title = "error without a title"
	}
	return out
}

// describeStatus describes an answer without a code of the dialect's. Ours
// carry a prefix, for the dialect has codes between 400 and 501 too.
func (p *Provider) describeStatus(status int, w wireError) *gateway.Error {
	out := &gateway.Error{Code: "http_" + strconv.Itoa(status), Title: p.clean(string(w.Title)), Detail: p.clean(string(w.Details))}
	switch {
	case out.Title != "":
	case out.Detail == "" && status >= 200 && status <= 299:
		out.Title = "answer without a message id"
	case status >= 300 && status <= 399:
		out.Title = "redirect refused"
	default:
		out.Title = strings.TrimSpace(fmt.Sprintf("HTTP %d without an error code: %s", status, http.StatusText(status)))
	}
	return out
}

// clean makes a text of the host's fit to keep: without our secrets, which it
// may quote, and short.
func (p *Provider) clean(s string) string {
	s = strings.TrimSpace(p.redactor.Load().Replace(s))
	n := 0
	for i := range s {
		if n == maxRunes {
			return s[:i] + "…"
		}
		n++
	}
	return s
}
