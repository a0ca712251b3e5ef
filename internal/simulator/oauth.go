package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// oauthLife is how long an OAuth2 token is good for.
const oauthLife = 3599 * time.Second

// oauth issues the tokens of the Conversation and Provisioning APIs, each to a
// key.
type oauth struct {
	s      *Simulator
	tokens *grants

	mu       sync.Mutex
	requests bucket
}

func newOAuth(s *Simulator) *oauth { return &oauth{s: s, tokens: newGrants()} }

// knows is whether a key and its secret belong to an account.
func (o *oauth) knows(key, secret string) bool {
	return key != "" && slices.ContainsFunc(o.s.accounts, func(a *account) bool { return a.KeyID == key && a.KeySecret == secret })
}

// token answers POST /oauth2/token as RFC 6749 says. The server is a bucket of
// 30 requests, filled with ten a second.
func (o *oauth) token(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, code string) {
		reply{status: status, body: mustJSON(map[string]string{"error": code})}.write(w)
	}
	body, err := readBody(w, r)
	if err != nil {
		return // the client has gone, or means no good
	}
	now := o.s.opts.Now()
	o.mu.Lock()
	within := o.requests.take(now.Sub(o.s.started), time.Second/10, 30)
	o.mu.Unlock()
	if !within {
		fail(http.StatusTooManyRequests, "too_many_requests")
		return
	}
	key, secret, _ := r.BasicAuth()
	form, err := url.ParseQuery(string(body))
	switch {
	case !o.knows(key, secret):
		o.s.unauthorized.Add(1)
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth2"`)
		fail(http.StatusUnauthorized, "invalid_client")
	case err != nil || mediaType(r) != "application/x-www-form-urlencoded" || form.Get("grant_type") == "":
		fail(http.StatusBadRequest, "invalid_request")
	case form.Get("grant_type") != "client_credentials":
		fail(http.StatusBadRequest, "unsupported_grant_type")
	default:
		life := orDefault(o.s.opts.TokenLife, oauthLife)
		token, _ := o.tokens.issue(key, now, life)
		reply{status: http.StatusOK, body: mustJSON(struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"`
			Scope       string `json:"scope"`
			TokenType   string `json:"token_type"`
		}{token, int64(life.Seconds()), "", "bearer"})}.write(w)
	}
}

// key is the one that a request shows, by a token or itself, "" if none is
// good; and whether it was a token that has expired.
func (o *oauth) key(r *http.Request) (key string, expired bool) {
	if key, secret, ok := r.BasicAuth(); ok {
		if o.knows(key, secret) {
			return key, false
		}
		return "", false
	}
	key, good := o.tokens.owner(bearer(r), o.s.opts.Now())
	if !good {
		return "", key != ""
	}
	return key, false
}
