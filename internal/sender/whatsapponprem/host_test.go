package whatsapponprem_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	hostURL     = "https://wa.example.net"
	username    = "gateway"
	password    = "Str0ng!Pass"
	newPassword = "N3w-Passw0rd!"
	basic       = "Basic Z2F0ZXdheTpTdHIwbmchUGFzcw==" // of username and password
)

// host is an on-premises API in memory, reached as a transport. It keeps to the
// rules of logins: tokens live for a while, and a login ends no other token.
type host struct {
	mu         sync.Mutex
	password   string
	mustChange bool // at the next login
	life       time.Duration
	expires    func(time.Time) string // nil: the host's own format
	tokens     map[string]time.Time   // by their end
	revoked    map[string]bool
	script     map[string][]reply // by path: answers to give first, in order
	contacts   string             // answer to a check
	always     *reply             // to everything, if it is set
	gate       chan struct{}      // logins wait for it, if it is set
	calls      []call
}

type reply struct {
	status int
	body   string
	err    error
}

type call struct {
	Method, Path  string
	Authorization string
	ContentType   string
	Length        int64
	Body          string
}

func newHost() *host {
	return &host{
		password: password, life: 7 * 24 * time.Hour,
		tokens: map[string]time.Time{}, revoked: map[string]bool{}, script: map[string][]reply{},
	}
}

func (h *host) client() *http.Client { return &http.Client{Transport: h} }

// answerFirst makes the path give these answers before the host's own.
func (h *host) answerFirst(path string, replies ...reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script[path] = append(h.script[path], replies...)
}

// made lists the calls to a path; "" lists all.
func (h *host) made(path string) []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []call
	for _, c := range h.calls {
		if path == "" || c.Path == path {
			out = append(out, c)
		}
	}
	return out
}

// revoke ends every token there is.
func (h *host) revoke() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.tokens {
		h.revoked[t] = true
	}
}

func (h *host) RoundTrip(req *http.Request) (*http.Response, error) {
	at := strings.TrimPrefix(req.URL.Path, "/base")
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body.Close()
	}
	h.mu.Lock()
	h.calls = append(h.calls, call{
		Method: req.Method, Path: req.URL.RequestURI(), Authorization: req.Header.Get("Authorization"),
		ContentType: req.Header.Get("Content-Type"), Length: req.ContentLength, Body: string(body),
	})
	gate := h.gate
	h.mu.Unlock()
	if gate != nil && at == "/v1/users/login" {
		select {
		case <-gate:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.respond(at, req, body)
	if r.err != nil {
		return nil, r.err
	}
	return &http.Response{
		StatusCode: r.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(r.body)), Request: req,
	}, nil
}

const denied = `{"errors":[{"code":1005,"title":"Access denied","details":"Invalid credentials."}],"meta":{"version":"v2.45.1","api_status":"stable"}}`

func (h *host) respond(at string, req *http.Request, body []byte) reply {
	if h.always != nil {
		return *h.always
	}
	if first := h.script[at]; len(first) > 0 {
		h.script[at] = first[1:]
		return first[0]
	}
	if at == "/v1/users/login" {
		return h.login(req, body)
	}
	bearer, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if end, ok := h.tokens[bearer]; !ok || h.revoked[bearer] || !time.Now().Before(end) {
		return reply{status: 401, body: denied}
	}
	if at == "/v1/contacts" {
		return reply{status: 200, body: h.contacts}
	}
	return reply{err: errors.New("no such path: " + at)}
}

func (h *host) login(req *http.Request, body []byte) reply {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(username+":"+h.password))
	if req.Header.Get("Authorization") != want {
		return reply{status: 401, body: denied}
	}
	if h.mustChange {
		var change struct {
			NewPassword string `json:"new_password"`
		}
		if json.Unmarshal(body, &change) != nil || change.NewPassword == "" {
			return reply{status: 401, body: `{"errors":[{"code":1024,"title":"Password change required"}]}`}
		}
		h.password, h.mustChange = change.NewPassword, false
	}
	token := fmt.Sprintf("OPTOKEN-%d", len(h.tokens)+1)
	end := time.Now().Add(h.life)
	h.tokens[token] = end
	format := h.expires
	if format == nil {
		format = func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05+00:00") }
	}
	return reply{status: 200, body: fmt.Sprintf(`{"users":[{"token":%q,"expires_after":%q}],"meta":{"version":"v2.45.1","api_status":"stable"}}`, token, format(end))}
}

// roundTripper lets a test see the contexts of the calls.
type roundTripper struct {
	*host
	see func(context.Context)
}

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	r.see(req.Context())
	return r.host.RoundTrip(req)
}

// pass lets time go by inside a test bubble.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock, which nobody waits for
}
