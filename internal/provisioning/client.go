// Package provisioning is a client of the Sinch Provisioning API for one
// project: its WhatsApp account, senders, templates and webhooks.
//
// Answers are read leniently: a member of an unexpected type is left zero, a
// value that is newer than this package is kept as it is, and Raw holds the
// whole object. Whatever in an answer is a secret is masked unless it is asked
// for by Reveal.
package provisioning

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultBaseURL is where the API is. It has no regions.
const DefaultBaseURL = "https://provisioning.api.sinch.com"

const (
	maxAnswer      = 16 << 20 // of a whole page of templates
	maxErrorAnswer = 64 << 10

	callTimeout = 30 * time.Second

	maxTries  = 3
	firstWait = 500 * time.Millisecond
	maxWait   = 10 * time.Second // a longer Retry-After is left to the caller
)

// Settings is what a client needs.
type Settings struct {
	// BaseURL is where the API is; empty: DefaultBaseURL. Plain http is for
	// loopback only, for every request carries the credentials.
	BaseURL   string
	ProjectID string
	// Token is an access token, sent as Bearer. Without it KeyID and KeySecret
	// are sent as Basic. The API wants one of the two.
	Token            string
	KeyID, KeySecret string
	// Client carries the requests; nil: one that gives each try 30 seconds.
	// Redirects aren't followed, whatever it says.
	Client *http.Client
}

// Client calls the API for one project. It is safe for concurrent use, and has
// nothing to be closed. A call that the provider refused returns an *Error.
// Reads are tried three times when the provider is busy or broken; nothing else
// is repeated, because the API knows no idempotency keys.
type Client struct {
	project   string // the URL that paths are appended to
	authorize func(*http.Request)
	secrets   []string // never to be seen in errors
	http      http.Client
}

// New checks the settings and calls nobody.
func New(s Settings) (*Client, error) {
	base := s.BaseURL
	if base == "" {
		base = DefaultBaseURL
	}
	if err := checkBaseURL(base); err != nil {
		return nil, err
	}
	project, err := segment("project id", s.ProjectID)
	if err != nil {
		return nil, err
	}
	c := &Client{project: strings.TrimRight(base, "/") + "/v1/projects" + project}
	switch {
	case s.Token != "":
		c.secrets = []string{s.Token}
		c.authorize = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.Token) }
	case s.KeyID != "" && s.KeySecret != "":
		c.secrets = []string{s.KeySecret}
		c.authorize = func(r *http.Request) { r.SetBasicAuth(s.KeyID, s.KeySecret) }
	default:
		return nil, errors.New("provisioning needs a token, or a key id and its secret")
	}
	c.http = http.Client{Timeout: callTimeout}
	if s.Client != nil {
		c.http = *s.Client
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

func checkBaseURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("the base URL must be an absolute https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the base URL must not hold a user, a query or a fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return errors.New("the base URL must be https; http is for loopback")
	}
	return nil
}

func loopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// segment is an id as one step of a path; what would lead elsewhere is refused.
func segment(what, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", fmt.Errorf("%s: must be an id, not %q", what, id)
	}
	return "/" + url.PathEscape(id), nil
}

// call is one request and where its answer goes.
type call struct {
	method  string
	path    string // after the project
	query   url.Values
	body    any      // nil: none
	secrets []string // in the body
	answer  any      // nil: whatever it says
}

// do makes the call, and repeats it if that is safe and of use.
func (c *Client) do(ctx context.Context, k call) error {
	for try := 1; ; try++ {
		err := c.once(ctx, k)
		refusal, refused := errors.AsType[*Error](err)
		if !refused || k.method != http.MethodGet || try == maxTries || !refusal.busy() {
			return err
		}
		wait := refusal.RetryAfter
		if wait == 0 {
			wait = firstWait<<try/2 + rand.N(firstWait<<try/2)
		}
		if wait > maxWait {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (c *Client) once(ctx context.Context, k call) error {
	act := k.method + " " + k.path
	req, err := c.request(ctx, k)
	if err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", act, c.bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return readError(act, resp, append(k.secrets, c.secrets...))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: read answer: %w", act, err)
	case len(body) > maxAnswer:
		return fmt.Errorf("%s: the answer is longer than %d bytes", act, maxAnswer)
	case k.answer == nil:
		return nil
	}
	if err := json.Unmarshal(body, k.answer); err != nil {
		return fmt.Errorf("%s: HTTP %d, but the answer can't be read: %w", act, resp.StatusCode, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	address := c.project + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		text, err := encode(k.body)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, address, body)
	if err != nil {
		return nil, err
	}
	c.authorize(req)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// bare drops the URL, which the act already names.
func (c *Client) bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// encode writes JSON without the escapes that are for HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
