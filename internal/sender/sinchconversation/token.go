package sinchconversation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

const (
	renewEarly   = time.Minute      // before a token's end, or half its life if that is shorter
	loginPause   = 5 * time.Second  // after a fetch that failed
	loginTimeout = 10 * time.Second // of one fetch
	// underway is how long after a forced renewal another refusal is taken for
	// that of the token before: calls were under way.
	underway = 30 * time.Second
)

// tokens keeps the access token of one key. One fetch serves everybody who
// asks meanwhile; it runs in the goroutine of one of them, and if that one's
// context ends the next in line takes over.
type tokens struct {
	config clientcredentials.Config
	client *http.Client
	turn   chan struct{} // holds a value while somebody fetches

	mu     sync.Mutex
	token  token
	before string // the token that this one replaced: answers may still quote it
	forced bool   // the next token replaces one that was refused
	failed error  // the last fetch's, which answers everybody until then
	until  time.Time
}

type token struct {
	value   string
	renewAt time.Time // zero: it has no end
	endsAt  time.Time
	// forcedAt is when it was fetched in place of one that was refused; zero if
	// it wasn't.
	forcedAt time.Time
}

func newTokens(s Settings) *tokens {
	return &tokens{
		config: clientcredentials.Config{
			ClientID: s.KeyID, ClientSecret: s.KeySecret, TokenURL: s.AuthURL, AuthStyle: oauth2.AuthStyleInHeader,
		},
		client: s.Client,
		turn:   make(chan struct{}, 1),
	}
}

// get is the token to call with. Near its end one caller fetches the next
// while the others go on with it.
func (t *tokens) get(ctx context.Context) (string, error) {
	value, settled, err := t.look()
	if settled {
		return value, err
	}
	select {
	case t.turn <- struct{}{}:
	default:
		if value != "" {
			return value, nil
		}
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	defer func() { <-t.turn }()

	if value, settled, err = t.look(); settled { // somebody fetched for us too
		return value, err
	}
	got, err := t.fetch(ctx)
	if err != nil {
		return t.fail(ctx, err)
	}
	return t.keep(got), nil
}

// look is what is known: the token while it holds, or why there is none. If it
// isn't settled a fetch is due.
func (t *tokens) look() (value string, settled bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	resting := now.Before(t.until)
	if t.token.holds(now) {
		return t.token.value, resting || t.token.fresh(now), nil
	}
	return "", resting, t.failed
}

func (t token) holds(now time.Time) bool {
	return t.value != "" && (t.endsAt.IsZero() || now.Before(t.endsAt))
}

func (t token) fresh(now time.Time) bool { return t.renewAt.IsZero() || now.Before(t.renewAt) }

// drop takes back the token that the API has just refused, unless it is the
// one that was fetched for that very reason.
func (t *tokens) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token.value == "" || !t.token.forcedAt.IsZero() && time.Since(t.token.forcedAt) < underway {
		return
	}
	t.before, t.token, t.forced = t.token.value, token{}, true
}

func (t *tokens) keep(got *oauth2.Token) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	next := token{value: got.AccessToken, endsAt: got.Expiry}
	if !got.Expiry.IsZero() {
		next.renewAt = got.Expiry.Add(-min(renewEarly, got.Expiry.Sub(now)/2))
	}
	if t.forced {
		next.forcedAt = now
	}
	if t.token.value != "" {
		t.before = t.token.value
	}
	t.token, t.forced, t.failed, t.until = next, false, nil, time.Time{}
	return next.value
}

// fail notes a fetch that failed. A token that still holds serves on.
func (t *tokens) fail(ctx context.Context, err error) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() == nil { // who gave up speaks for nobody else
		t.failed, t.until = err, time.Now().Add(loginPause)
	}
	if t.token.holds(time.Now()) {
		return t.token.value, nil
	}
	return "", err
}

var errUnusable = errors.New("the token can't stand in a header")

// fetch makes one request for a token.
func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(untraced{ctx}, loginTimeout)
	defer cancel()
	got, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err == nil && !sender.UsableToken(got.AccessToken) {
		return nil, errUnusable
	}
	return got, err
}

// untraced is a context without its values. Among them is the trace by which
// the sender learns that a message has been written, and a login is none.
type untraced struct{ context.Context }

func (untraced) Value(any) any { return nil }

// known lists the tokens an answer may quote.
func (t *tokens) known() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return []string{t.token.value, t.before}
}

// loginError classes a login that failed. What the client or the library says
// may hold addresses and whole answers, and is not shown.
func (p *Provider) loginError(err error) *gateway.Error {
	answer, answered := errors.AsType[*oauth2.RetrieveError](err)
	if !answered {
		if _, network := errors.AsType[*url.Error](err); network || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return &gateway.Error{Class: gateway.ClassTransient, Code: "login_unreachable", Title: "Sinch's login couldn't be reached"}
		}
		return &gateway.Error{Class: gateway.ClassSuspended, Code: "login_unreadable", Title: "Sinch's login answered without an access token"}
	}
	status := answer.Response.StatusCode
	e := &gateway.Error{
		Code:   fmt.Sprintf("login_%d", status),
		Detail: p.quote(answer.ErrorCode),
	}
	switch {
	case status == http.StatusTooManyRequests:
		e.Class, e.Title = gateway.ClassThrottled, "Sinch's login is asked too often"
	case status >= 500, status == http.StatusRequestTimeout:
		e.Class, e.Title = gateway.ClassTransient, "Sinch's login is out of order"
	default:
		e.Class, e.Title = gateway.ClassSuspended, "Sinch's login refused the access key"
	}
	return e
}
