package whatsappcloud

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

const (
	maxRunes = 300 // of a title or a detail

	// firstThrottle is the wait after a 429 that says nothing more.
	firstThrottle = time.Second
	// linkAttempts is how often a file whose link couldn't be read is tried.
	linkAttempts = 2
	// cutAttempts is how often a message is tried whose refusal was cut short.
	cutAttempts = 3
)

// Interpret reads an answer. The code in the error envelope decides; the HTTP
// status, on which Meta's own pages disagree, only where there is no code.
func (p *Provider) Interpret(a sender.Answer) gateway.Result {
	var body struct {
		Contacts []struct {
			WAID whatsapp.Loose `json:"wa_id"`
		} `json:"contacts"`
		Messages []struct {
			ID string `json:"id"`
		} `json:"messages"`
		Error json.RawMessage `json:"error"`
	}
	readable := whatsapp.Decode(a.Body, &body) == nil
	if taken := a.Status >= 200 && a.Status <= 299; readable && taken && len(body.Messages) > 0 {
		if id := gateway.ParseProviderMessageID(body.Messages[0].ID); id != "" {
			out := gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id}
			if len(body.Contacts) == 1 { // the recipient
				out.Alias, _ = whatsapp.Number(body.Contacts[0].WAID) // absent from those who go by a name
			}
			return out
		}
	}
	var e wireError
	if readable && len(body.Error) > 0 && whatsapp.Decode(body.Error, &e) == nil {
		if code, ok := e.number(); ok {
			return p.result(p.judge(a.Status, code, &e), a.Header, p.describe(code, &e))
		}
	}
	r := judgeStatus(a.Status)
	if r.class == gateway.ClassPermanent && !readable && bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{")) {
		// Half an envelope: the message was refused, by a code that is lost. It
		// may have been a limit, which Graph reports with status 400 too.
		r = transient(0, cutAttempts)
	}
	return p.result(r, a.Header, p.describeStatus(a.Status, &e))
}

// judge finds what a coded error means: by the table, else by what Graph says
// of errors in general.
func (p *Provider) judge(status, code int, e *wireError) rule {
	if r, ok := p.rule(code, e); ok {
		return r
	}
	switch {
	case e.transient(), status >= 500 && status <= 599:
		return transient(0, 0)
	case status == http.StatusTooManyRequests:
		return throttled(gateway.ScopeAccount, firstThrottle)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return suspended()
	}
	return permanent()
}

// rule is the table with the two codes that need a look at the text.
func (p *Provider) rule(code int, e *wireError) (rule, bool) {
	switch {
	case code == codeInvalidParameter && p.noSuchSender(e):
		return suspended(), true
	case code == codeMediaUpload && linkFailed(e):
		return transient(0, linkAttempts), true
	}
	return lookup(code)
}

// judgeStatus is for answers without a code of Graph's. Something before Graph
// made them, or Graph in distress.
func judgeStatus(status int) rule {
	switch {
	case status == http.StatusTooManyRequests:
		return throttled(gateway.ScopeAccount, firstThrottle)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusPaymentRequired:
		return suspended()
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusProxyAuthRequired,
		status >= 300 && status <= 399:
		// Graph knows every path under its own address and redirects none: the
		// base URL is wrong, or a proxy answers. No message is at fault, and
		// none was taken.
		return suspended()
	case status == http.StatusRequestTimeout:
		return unknown() // a proxy's: how much of the request went on isn't known
	case status >= 400 && status <= 499:
		return permanent()
	}
	return unknown() // 2xx without an id, 5xx, and what is no final status
}

func (p *Provider) result(r rule, h http.Header, e *gateway.Error) gateway.Result {
	e.Class = r.class
	out := gateway.Result{Outcome: r.outcome, Error: e, Scope: r.scope, MaxAttempts: r.attempts, Suppress: r.suppression()}
	if out.Retryable() {
		out.RetryAfter = wait(r, h)
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

// wait is what the provider asks for: Retry-After, the time until an app or
// WABA gets its calls back, or the documented wait of the code.
func wait(r rule, h http.Header) time.Duration {
	if d := sender.RetryAfter(h, time.Now()); d > 0 {
		return d
	}
	if r.outcome == gateway.OutcomeThrottled && r.scope == gateway.ScopeApp {
		if d := regainAccess(h.Get("X-Business-Use-Case-Usage")); d > 0 {
			return d
		}
	}
	return r.wait
}

// regainAccess reads the longest estimated_time_to_regain_access, in minutes,
// up to a day.
func regainAccess(value string) time.Duration {
	var usage map[string][]struct {
		Minutes whatsapp.Loose `json:"estimated_time_to_regain_access"`
	}
	if whatsapp.Decode([]byte(value), &usage) != nil {
		return 0
	}
	var longest time.Duration
	for _, entries := range usage {
		for _, entry := range entries {
			if minutes, err := strconv.Atoi(string(entry.Minutes)); err == nil && minutes > 0 {
				longest = max(longest, time.Duration(min(minutes, int(day/time.Minute)))*time.Minute)
			}
		}
	}
	return longest
}
