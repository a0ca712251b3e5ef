package whatsapponprem

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapp"
)

// asideTimeout bounds each call that is no message's, within the caller's time.
const asideTimeout = 10 * time.Second

// codePasswordChange is the error of a first login without a new password.
const codePasswordChange = 1024

// authorize writes what the host knows the account by, and says which token
// that is.
func (p *Provider) authorize(ctx context.Context, h http.Header) (generation uint64, refused *gateway.Error) {
	s := &p.settings
	switch {
	case p.session != nil:
		t, refused := p.session.get(ctx)
		if refused != nil {
			return 0, fresh(refused)
		}
		h.Set("Authorization", "Bearer "+t.text)
		return t.generation, nil
	case s.Token != "":
		h.Set("Authorization", "Bearer "+s.Token)
	case s.APIKey != "":
		h.Set("D360-API-KEY", s.APIKey)
	default:
		return 0, &gateway.Error{Class: gateway.ClassSuspended, Code: "no_credentials", Title: "the account has no credentials"}
	}
	return 0, nil
}

// fresh is a copy, for many callers may be given one failure.
func fresh(e *gateway.Error) *gateway.Error {
	c := *e
	return &c
}

// logIn gets a token, changing the password where the host demands it. A
// password that was changed before, by another process perhaps, is found by
// trying. The session makes one login at a time.
func (p *Provider) logIn(ctx context.Context) (string, time.Time, *gateway.Error) {
	password, other := p.settings.Password, p.settings.NewPassword
	if p.changed {
		password, other = other, password
	}
	text, expires, code, failure := p.logInWith(ctx, password, "")
	if failure == nil || p.settings.NewPassword == "" || failure.Class != gateway.ClassSuspended {
		return text, expires, failure
	}
	if code == codePasswordChange {
		if text, expires, _, failure = p.logInWith(ctx, password, p.settings.NewPassword); failure == nil {
			p.changed = true
		}
		return text, expires, failure
	}
	if other == "" {
		return text, expires, failure
	}
	if again, until, _, refused := p.logInWith(ctx, other, ""); refused == nil {
		p.changed = !p.changed
		return again, until, nil
	}
	return text, expires, failure
}

// logInWith makes one login. With a new password the host takes that from then
// on.
func (p *Provider) logInWith(ctx context.Context, password, newPassword string) (text string, expires time.Time, code int, failure *gateway.Error) {
	h := http.Header{"Accept": {"application/json"}}
	var body []byte
	if newPassword != "" {
		h = jsonHeader()
		var err error
		if body, err = encode(map[string]string{"new_password": newPassword}); err != nil {
			return "", time.Time{}, 0, &gateway.Error{Class: gateway.ClassInternal, Code: "internal", Title: "the login couldn't be written"}
		}
	}
	h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(p.settings.Username+":"+password)))
	a, err := p.ask(ctx, http.MethodPost, "/v1/users/login", h, body)
	if err != nil {
		return "", time.Time{}, 0, unreachable("logging in", err)
	}
	var answer struct {
		Users []struct {
			Token   whatsapp.Loose `json:"token"`
			Expires whatsapp.Loose `json:"expires_after"`
		} `json:"users"`
	}
	readable := whatsapp.Decode(a.Body, &answer) == nil
	if ok := a.Status >= 200 && a.Status <= 299; readable && ok && len(answer.Users) > 0 && sender.UsableToken(string(answer.Users[0].Token)) {
		user := answer.Users[0]
		p.redact(string(user.Token), p.session.look().current.text) // the old one may be quoted still
		return string(user.Token), expiry(string(user.Expires)), 0, nil
	}
	e, _ := read(a.Body)
	code, _ = e.code()
	return "", time.Time{}, code, p.aside("login", a)
}

// expiry reads a host's time of expiry, which is no RFC 3339 but may be; zero
// if it is neither.
func expiry(s string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05-07:00", time.RFC3339, "2006-01-02 15:04:05Z0700"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at
		}
	}
	return time.Time{}
}

// aside is why a call that is no message's was refused, or brought nothing. No
// message is at fault: what would be permanent suspends the account, and what
// would be unknown may be tried again.
func (p *Provider) aside(act string, a sender.Answer) *gateway.Error {
	r := p.Interpret(a)
	if a.Status >= 200 && a.Status <= 299 && (r.Outcome == gateway.OutcomeAccepted || r.Outcome == gateway.OutcomeUnknown) {
		return odd(act)
	}
	e := r.Error
	switch r.Outcome {
	case gateway.OutcomeRejected:
		e.Class = gateway.ClassSuspended
	case gateway.OutcomeUnknown:
		e.Class = gateway.ClassTransient
	case gateway.OutcomeAccepted, gateway.OutcomeThrottled, gateway.OutcomeTransient, gateway.OutcomeSuspended:
	}
	if e.Code == strconv.Itoa(codePasswordChange) {
		e.Title = act + " refused: the host demands a new password first"
	} else {
		e.Title = act + " refused: " + e.Title
	}
	return e
}

// odd is an answer that says yes to something else.
func odd(act string) *gateway.Error {
	return &gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: act + ": the host answered something else"}
}

// ask makes a call that is no message's. It ends with the caller's context, but
// takes nothing else from it: what watches the message's own request must not
// see this one.
func (p *Provider) ask(ctx context.Context, method, path string, h http.Header, body []byte) (sender.Answer, error) {
	own, cancel := context.WithTimeout(context.Background(), asideTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	req, err := http.NewRequestWithContext(own, method, p.settings.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return sender.Answer{}, fmt.Errorf("ask for %s: %w", path, err)
	}
	req.Header = h
	resp, err := p.client.Do(req)
	if err != nil {
		return sender.Answer{}, fmt.Errorf("ask for %s: %w", path, err)
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(io.LimitReader(resp.Body, sender.MaxAnswer))
	if err != nil {
		return sender.Answer{}, fmt.Errorf("read answer of %s: %w", path, err)
	}
	return sender.Answer{Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(read)}, nil
}

// unreachable is what no answer means. Texts of network errors hold addresses
// and are not shown.
func unreachable(act string, err error) *gateway.Error {
	e := &gateway.Error{Class: gateway.ClassTransient, Code: "connect", Title: act + ": the host couldn't be reached", Detail: "the connection failed"}
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		slow net.Error
	)
	switch {
	case errors.As(err, &dns):
		e.Code, e.Detail = "dns", "its name didn't resolve"
	case errors.As(err, &cert):
		e.Code, e.Detail = "tls", "its certificate isn't trusted; one that it signed itself needs ca_file"
	case errors.Is(err, context.Canceled), errors.As(err, &slow) && slow.Timeout():
		e.Code, e.Detail = "timeout", "it took too long"
	}
	return e
}
