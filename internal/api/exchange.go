package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// Header names in their canonical form.
const (
	headerIdempotencyKey     = "Idempotency-Key"
	headerIdempotentReplayed = "Idempotent-Replayed"
	headerRequestID          = "X-Request-Id"
	headerRetryAfter         = "Retry-After"
)

const (
	typeJSON    = "application/json"
	typeNDJSON  = "application/x-ndjson"
	typeProblem = "application/problem+json"
)

// call is one request and its answer: Echo's context, and what the log and the
// handlers need besides.
type call struct {
	echo.Context
	id    string // of the request
	began time.Time
	key   Key // zero where the scope is open, and before it was found
}

// parameter is a part of the path, without escapes. The router works on the
// path as it was sent where that differs from how Go would write it, and else
// on one that has been unescaped already.
func (c *call) parameter(name string) string {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value
	}
	if plain, err := url.PathUnescape(value); err == nil {
		return plain
	}
	return value // not possible: such a path isn't read as a request
}

type handler func(c *call) error

// scope is what a key must be allowed for a route.
type scope int

const (
	scopeOpen scope = iota + 1 // for everybody
	scopeSend
	scopeRead
	scopeOperate
)

func (s scope) grantedBy(k *Key) bool {
	switch s {
	case scopeOpen:
		return true
	case scopeSend:
		return k.Send
	case scopeRead:
		return k.Read
	case scopeOperate:
		return k.Operate
	}
	return false
}

func (s scope) String() string {
	switch s {
	case scopeOpen:
		return "none"
	case scopeSend:
		return "send"
	case scopeRead:
		return "read"
	case scopeOperate:
		return "operate"
	}
	return "unknown"
}

// observe surrounds every request: it gives it an id, turns errors and panics
// into problems, and writes its line of the log and its metrics. Neither holds
// the path or the query, for they can hold a recipient, nor any body.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		x := &call{Context: c, id: requestID(c.Request().Header.Get(headerRequestID)), began: s.Now()}
		c.Response().Header().Set(headerRequestID, x.id)
		err := recovered(next, x)
		if err != nil {
			s.refuse(x, problemOf(err))
		}
		s.conclude(x, err)
		return nil
	}
}

// recovered turns a panic into an error. What was thrown is named by its type
// alone unless the runtime threw it: it could hold anything.
func recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch thrown := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w\n%s", thrown, debug.Stack())
		case error:
			if thrown == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(thrown)
			}
			err = fmt.Errorf("panic with %T\n%s", thrown, debug.Stack())
		default:
			err = fmt.Errorf("panic with %T\n%s", thrown, debug.Stack())
		}
	}()
	return next(c)
}

// conclude counts the request and logs it.
func (s *Server) conclude(c *call, err error) {
	route, status := c.Path(), c.Response().Status
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
	case route == "/healthz" || route == "/readyz" || route == "/metrics":
		level = slog.LevelDebug // asked every few seconds, for ever
	}
	if route == "" {
		route = noRoute
	}
	s.metrics.answered(route, status)
	ctx := c.Request().Context()
	if !s.Logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", knownMethod(c.Request().Method)),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Duration("duration", s.Now().Sub(c.began)),
		slog.String("request_id", c.id),
	}
	if c.key.Name != "" {
		attrs = append(attrs, slog.String("caller", c.key.Name))
	}
	if err != nil && status >= http.StatusInternalServerError {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.Logger.LogAttrs(ctx, level, "request", attrs...)
}

// knownMethod keeps what a caller made up out of the log.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

const maxRequestID = 128

// requestID takes the caller's id if it is short and printable, else makes one.
func requestID(given string) string {
	if given != "" && len(given) <= maxRequestID && printable(given) && !strings.Contains(given, " ") {
		return given
	}
	return rand.Text()
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// guard lets a request through to its handler if its key has the scope.
func (s *Server) guard(needs scope, h handler) echo.HandlerFunc {
	return func(ec echo.Context) error {
		c, ok := ec.(*call)
		if !ok {
			return fmt.Errorf("request to %s went past observe", ec.Path())
		}
		c.Response().Header().Set("Cache-Control", "no-store") // personal data, or true for this moment only
		if needs == scopeOpen {
			return h(c)
		}
		if c.key, ok = s.authenticate(c.Request()); !ok {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
			return &problem{kind: kindUnauthenticated, detail: "Send a known API key as Authorization: Bearer <api key>."}
		}
		if !needs.grantedBy(&c.key) {
			return &problem{kind: kindForbidden, detail: fmt.Sprintf("The API key lacks the scope %q.", needs)}
		}
		return h(c)
	}
}

// authenticate finds the key of a request. Keys are looked up by their hash:
// how long that takes tells a guesser about hashes, which don't lead to keys.
func (s *Server) authenticate(r *http.Request) (Key, bool) {
	scheme, secret, ok := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return Key{}, false
	}
	return s.Directory.Key(sha256.Sum256([]byte(strings.TrimSpace(secret))))
}

// bounded is the context of a read: it ends with the caller's patience or ours.
func (s *Server) bounded(c *call) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), s.RequestTimeout)
}

// detached is the context of a write: a caller who hangs up doesn't stop what
// has begun.
func (s *Server) detached(c *call) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.Request().Context()), s.RequestTimeout)
}

// answer writes v as JSON.
func (s *Server) answer(c echo.Context, status int, v any) error {
	return s.write(c, status, typeJSON, v)
}

// refuse writes a problem, unless an answer has begun.
func (s *Server) refuse(c echo.Context, p *problem) {
	s.metrics.refused.WithLabelValues(p.kind.name).Inc()
	if c.Response().Committed {
		return
	}
	if p.kind == kindUnavailable {
		c.Response().Header().Set(headerRetryAfter, retryAfter)
	}
	if err := s.write(c, p.kind.status, typeProblem, p.body()); err != nil {
		s.Logger.LogAttrs(c.Request().Context(), slog.LevelDebug, "answer not written", slog.Any("error", err))
	}
}

func (s *Server) write(c echo.Context, status int, contentType string, v any) error {
	b := s.buffer()
	defer s.release(b)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.Response().Header().Set(echo.HeaderContentType, contentType)
	c.Response().WriteHeader(status)
	_, _ = c.Response().Write(b.Bytes()) // a caller who left can't be told
	return nil
}

// buffer lends an empty buffer, to be given back by release.
func (s *Server) buffer() *bytes.Buffer {
	b, ok := s.buffers.Get().(*bytes.Buffer)
	if !ok {
		return new(bytes.Buffer)
	}
	b.Reset()
	return b
}

func (s *Server) release(b *bytes.Buffer) {
	if b.Cap() <= maxBody { // what one large body needed isn't kept for the rest
		s.buffers.Put(b)
	}
}
