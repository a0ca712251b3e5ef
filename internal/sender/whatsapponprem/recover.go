package whatsapponprem

import (
	"context"
	"net/http"
	"strconv"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// invalid is what a host says of a number that isn't on WhatsApp.
const invalid = "invalid"

// Recover logs in anew, once for an attempt, where the token was refused; and
// asks the host for a contact it says it doesn't know, once for an attempt. Its
// cost for other answers is reading them.
//
// What the host says of a contact ends the attempt where it can't be sent to:
// NewRequest tells that in place of the call that Recover lets be made.
func (p *Provider) Recover(ctx context.Context, c sender.Call, a sender.Answer) (again bool) {
	e, _ := read(a.Body)
	code, w := e.code()
	switch {
	case p.session != nil && deniesToken(a):
		return p.logInAgain(ctx, keyOf(c))
	case w.Code != "" && code == codeNotFound && unknownContact(w):
		p.resolve(ctx, c, p.describe(code, w))
		return true
	}
	return false
}

// deniesToken reports whether the answer refuses the token a call was made with.
func deniesToken(a sender.Answer) bool {
	e, _ := read(a.Body)
	code, w := e.code()
	return a.Status == http.StatusUnauthorized || w.Code != "" && code == codeAccessDenied
}

// logInAgain replaces the token that the attempt was made with, unless somebody
// did.
func (p *Provider) logInAgain(ctx context.Context, key attemptKey) bool {
	state := p.attempts.get(key)
	if state.loggedIn {
		return false
	}
	p.attempts.update(key, func(s *attemptState) { s.loggedIn = true })
	p.session.drop(state.generation)
	_, refused := p.session.get(ctx)
	return refused == nil
}

// resolve asks the host for a recipient it says it doesn't know. Only one that
// it says isn't on WhatsApp is put on the list of those not to be sent to.
func (p *Provider) resolve(ctx context.Context, c sender.Call, refusal *gateway.Error) {
	key := keyOf(c)
	if p.attempts.get(key).resolved {
		p.answer(key, unknownTo("the host doesn't know the recipient under the number it gave"))
		return
	}
	p.attempts.update(key, func(s *attemptState) { s.resolved = true })
	found, refused := p.lookUp(ctx, c.Message.Recipient)
	waID := found.id()
	switch {
	case refused != nil:
		p.answer(key, refused)
	case found.Status == invalid:
		p.aliases.update(c.Message.Recipient, func(alias *string) { *alias = "" })
		p.answer(key, &sender.Verdict{Result: p.result(notOnWhatsApp(), nil, refusal)})
	case waID != "":
		p.aliases.update(c.Message.Recipient, func(alias *string) { *alias = waID })
	default:
		p.answer(key, &gateway.Error{
			Class: gateway.ClassTransient, Code: "contact_check", Title: "the host couldn't say whether it knows the recipient",
			Detail: p.clean(string(found.Status)),
		})
	}
}

// answer has NewRequest tell e.
func (p *Provider) answer(key attemptKey, e error) {
	p.attempts.update(key, func(s *attemptState) { s.verdict = e })
}

// lookUp checks one number, past the host's cache. A token that was refused
// meanwhile is replaced once.
func (p *Provider) lookUp(ctx context.Context, r gateway.Recipient) (contact, *gateway.Error) {
	body, err := encode(struct {
		Blocking string   `json:"blocking"`
		Contacts []string `json:"contacts"`
		Force    bool     `json:"force_check"`
	}{"wait", []string{string(r)}, true})
	if err != nil {
		return contact{}, &gateway.Error{Class: gateway.ClassInternal, Code: "internal", Title: "the contact check couldn't be written"}
	}
	a, refused := p.askAs(ctx, http.MethodPost, "/v1/contacts", body)
	if refused != nil {
		return contact{}, refused
	}
	e, _ := read(a.Body)
	if a.Status < 200 || a.Status > 299 || len(e.Errors) > 0 {
		return p.unchecked(a)
	}
	for _, found := range e.Contacts {
		if digits(string(found.Input)) == r.Digits() {
			return found, nil
		}
	}
	return contact{}, nil
}

// unchecked is what a refused check means. A host that refuses this number
// speaks of the recipient; one that lacks the check, as those before the Cloud
// API may, leaves the recipient unknown and the account as it is.
func (p *Provider) unchecked(a sender.Answer) (contact, *gateway.Error) {
	r := p.Interpret(a)
	switch {
	case r.Suppress != nil && r.Suppress.Scope == gateway.SuppressAll:
		return contact{Status: invalid}, nil
	case r.Outcome == gateway.OutcomeRejected, a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed:
		return contact{}, unknownTo("the host doesn't know the recipient and refused to look")
	}
	failure := p.aside("contact check", a)
	if e, _ := read(a.Body); deniesToken(a) || a.Status == http.StatusForbidden && len(e.Errors) == 0 {
		// The message's own call was let in: it is the check that isn't allowed, and
		// one recipient must not hold up all the others.
		failure.Class = gateway.ClassTransient
	}
	return contact{}, failure
}

func unknownTo(title string) *gateway.Error {
	return &gateway.Error{Class: gateway.ClassRecipient, Code: strconv.Itoa(codeNotFound), Title: title}
}

// askAs makes a call that is no message's with the account's credentials.
func (p *Provider) askAs(ctx context.Context, method, path string, body []byte) (sender.Answer, *gateway.Error) {
	for second := false; ; second = true {
		h := http.Header{"Accept": {"application/json"}}
		if len(body) > 0 {
			h = jsonHeader()
		}
		generation, refused := p.authorize(ctx, h)
		if refused != nil {
			return sender.Answer{}, refused
		}
		a, err := p.ask(ctx, method, path, h, body)
		if err != nil {
			return a, unreachable("asking for "+path, err)
		}
		if second || p.session == nil || a.Status != http.StatusUnauthorized {
			return a, nil
		}
		p.session.drop(generation)
	}
}
