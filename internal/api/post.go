package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"sluice/internal/gateway"
)

// Limits of a post, beside those of its content.
const (
	maxReference    = 255 // characters
	maxReplyTo      = 512 // characters
	maxMetadata     = 20  // pairs
	maxMetadataSize = 2048
	maxKey          = 255 // characters
	minTTL          = time.Second
	maxTTL          = 30 * day
	maxAhead        = 90 * day // of send_at
	sendAtGrace     = time.Minute
	day             = 24 * time.Hour
)

// postBody is the body of POST /v1/messages. With every default filled in, its
// JSON form is also what the body's hash is made of.
type postBody struct {
	Account gateway.AccountID `json:"account"`
	To      string            `json:"to"`
	gateway.Content
	Priority    gateway.Priority  `json:"priority,omitempty"`
	Reference   string            `json:"reference,omitempty"`
	TTL         string            `json:"ttl,omitempty"`
	ExpiresAt   string            `json:"expires_at,omitempty"`
	SendAt      string            `json:"send_at,omitempty"`
	OnUnknown   gateway.OnUnknown `json:"on_unknown,omitempty"`
	ReplyTo     string            `json:"reply_to,omitempty"`
	CallbackURL string            `json:"callback_url,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// verdict is what came of judging a post.
type verdict struct {
	message gateway.Message // without an id
	sound   bool            // the content: a dialect can be asked about it
	errs    []gateway.FieldError
	// passed names the fields at fault only because time went by: the same post
	// may have been accepted before.
	passed []gateway.FieldError
}

func (v *verdict) add(field, format string, args ...any) {
	v.errs = append(v.errs, gateway.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
}

// judge makes a message of the post, or names every field that stands against
// it. It fills the account's defaults into p.
func (p *postBody) judge(account *gateway.Account, now time.Time) verdict {
	v := verdict{errs: contentErrors(&p.Content)}
	v.sound = len(v.errs) == 0
	recipient, err := gateway.ParseRecipient(p.To)
	switch {
	case p.To == "":
		v.add("to", "is required")
	case err != nil:
		v.add("to", "%s", err)
	}
	if p.Priority == "" {
		p.Priority = gateway.Transactional
	}
	if !p.Priority.Valid() {
		v.add("priority", notAPriority)
	}
	if p.OnUnknown == "" {
		p.OnUnknown = account.OnUnknown
	} else if !p.OnUnknown.Valid() {
		v.add("on_unknown", "must be hold or resend")
	}
	if p.CallbackURL == "" {
		p.CallbackURL = account.CallbackURL
	} else if fault := gateway.CheckLink(p.CallbackURL); fault != "" {
		v.add("callback_url", "%s", fault)
	}
	v.atMost("reference", p.Reference, maxReference)
	v.atMost("reply_to", p.ReplyTo, maxReplyTo)
	v.metadata(p.Metadata)
	sendAt, expiresAt := v.times(p, account.TTL, now)
	v.message = gateway.Message{
		Account: p.Account, Recipient: recipient, Content: p.Content, Priority: p.Priority, Reference: p.Reference,
		ReplyTo: p.ReplyTo, OnUnknown: p.OnUnknown, CallbackURL: p.CallbackURL, Metadata: p.Metadata,
		CreatedAt: now, SendAt: sendAt, ExpiresAt: expiresAt,
	}
	return v
}

// contentErrors is Content.Validate, except that without a usable type it
// isn't held against each member that it doesn't match the type.
func contentErrors(c *gateway.Content) []gateway.FieldError {
	errs := c.Validate()
	if len(errs) == 0 || slices.Contains(gateway.ContentTypes(), c.Type) {
		return errs
	}
	return slices.DeleteFunc(errs, func(e gateway.FieldError) bool {
		return strings.HasPrefix(e.Message, "must be absent when type is")
	})
}

func (v *verdict) atMost(field, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		v.add(field, "must have at most %d characters, has %d", limit, n)
	}
}

func (v *verdict) metadata(pairs map[string]string) {
	if len(pairs) > maxMetadata {
		v.add("metadata", "must have at most %d pairs, has %d", maxMetadata, len(pairs))
	}
	size := 0
	for name, value := range pairs {
		if name == "" {
			v.add("metadata", "must not have an empty name")
		}
		size += len(name) + len(value)
	}
	if size > maxMetadataSize {
		v.add("metadata", "must have at most %d bytes in all, has %d", maxMetadataSize, size)
	}
}

// times reads when the message may go and when it ends, and writes both back
// in the form their hash needs: as given, not as counted from now.
func (v *verdict) times(p *postBody, defaultTTL time.Duration, now time.Time) (sendAt, expiresAt time.Time) {
	known := true
	if p.SendAt != "" {
		sendAt, known = v.sendAt(p, now)
	}
	from, since := now, "acceptance"
	if !sendAt.IsZero() {
		from, since = sendAt, "send_at"
	}
	switch {
	case p.TTL != "" && p.ExpiresAt != "":
		v.add("expires_at", "must be absent when ttl is given")
	case p.ExpiresAt != "":
		at, ok := parseTime(p.ExpiresAt)
		if !ok {
			v.add("expires_at", notATime)
			break
		}
		p.ExpiresAt = at.Format(time.RFC3339Nano)
		expiresAt = at.Truncate(time.Millisecond)
		switch {
		case !known: // what it is to be compared with
		case !expiresAt.After(from):
			v.passed = append(v.passed, gateway.FieldError{Field: "expires_at", Message: "must be after " + since})
		case expiresAt.Sub(from) > maxTTL:
			v.add("expires_at", "must be at most 30 days after %s", since)
		}
	default:
		ttl := defaultTTL
		if p.TTL != "" {
			var ok bool
			if ttl, ok = parseTTL(p.TTL); !ok {
				v.add("ttl", "must be a duration such as 90s, 10m, 24h or 2d")
				break
			}
			if ttl < minTTL || ttl > maxTTL {
				v.add("ttl", "must be 1s to 30d")
				break
			}
		}
		if ttl > 0 {
			p.TTL = ttl.String()
			expiresAt = from.Add(ttl)
		}
	}
	return sendAt, expiresAt
}

// sendAt reads when the message may go at the earliest, rounded up to what the
// store keeps; zero means at once. It isn't known if it can't be followed.
func (v *verdict) sendAt(p *postBody, now time.Time) (at time.Time, known bool) {
	at, ok := parseTime(p.SendAt)
	if !ok {
		v.add("send_at", notATime)
		return time.Time{}, false
	}
	p.SendAt = at.Format(time.RFC3339Nano)
	if at.After(now.Add(maxAhead)) {
		v.add("send_at", "must be at most 90 days ahead")
		return time.Time{}, false
	}
	if at.Before(now.Add(-sendAtGrace)) {
		v.passed = append(v.passed, gateway.FieldError{Field: "send_at", Message: "must not be in the past"})
	}
	if !at.After(now) {
		return time.Time{}, true // a little late, by clocks or by the way here
	}
	return ceilMilli(at), true
}

const notATime = "must be a time such as 2026-11-21T09:00:00Z (RFC 3339)"

// parseTime reads RFC 3339 strictly, as time.Parse doesn't.
func parseTime(s string) (time.Time, bool) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, false
	}
	return t.UTC(), true
}

func ceilMilli(t time.Time) time.Time {
	if down := t.Truncate(time.Millisecond); down.Before(t) {
		return down.Add(time.Millisecond)
	}
	return t
}

// parseTTL reads a Go duration, or whole days as in 2d.
func parseTTL(s string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// hash is the same for every post that says the same, however it is written.
// It is asked after judge has filled in the defaults.
func (p *postBody) hash() ([32]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return [32]byte{}, fmt.Errorf("encode post: %w", err)
	}
	return sha256.Sum256(b), nil
}

// postMessage is POST /v1/messages.
func (s *Server) postMessage(c *call) error {
	body, misread, err := decodeBody(s, c, s.posts)
	if err != nil {
		return err
	}
	if body.Account != "" && !c.key.Covers(body.Account) {
		return outsideKey()
	}
	key, keyFaults := idempotencyKey(c.Request().Header)
	post, late, err := s.judge(body, key, misread, keyFaults, key != "")
	if err != nil {
		return err
	}
	post.Message.ID = gateway.NewMessageID(post.Message.Account, s.Now()) // not rounded: ids sort as messages came
	ctx, cancel := s.detached(c)
	defer cancel()
	if late != nil {
		return s.recall(ctx, c, post, late)
	}
	accepted, err := s.Store.Accept(ctx, post)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	if !accepted.Replayed {
		s.enqueue(ctx, slog.String("message", string(accepted.ID)), &post.Message)
	}
	return s.acknowledge(c, &accepted)
}

// enqueue tells the queue of messages of one account; about names them in the
// log.
func (s *Server) enqueue(ctx context.Context, about slog.Attr, messages ...*gateway.Message) {
	if len(messages) == 0 {
		return
	}
	if err := s.Queue.Accepted(ctx, messages...); err != nil {
		s.metrics.late.Add(float64(len(messages)))
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "left to the outbox", about, slog.Any("error", err))
	}
}

// judge makes a post of a body, still without the message's id; keyFaults is what
// is wrong with its key, and hashed has the body hashed, which only what may be
// recognised later needs. A post that is refused only because its times have
// passed since it was written comes with that refusal as late: it may be the
// repetition of one that was accepted in time.
func (s *Server) judge(body *postBody, key string, misread, keyFaults []gateway.FieldError, hashed bool) (post gateway.Post, late *problem, err error) {
	now := s.Now().UTC().Truncate(time.Millisecond)
	account, known := s.Directory.Account(body.Account)
	v := body.judge(&account, now)
	switch {
	case body.Account == "":
		v.add("account", "is required")
	case !known:
		v.add("account", "is not a known account")
	}
	v.errs = append(v.errs, keyFaults...)
	if body.CallbackURL != account.CallbackURL && gateway.CheckLink(body.CallbackURL) == "" {
		if err := s.CheckURL(body.CallbackURL); err != nil {
			v.add("callback_url", "can't be called: %s", err)
		}
	}
	if known && len(misread) == 0 && v.sound {
		v.errs = merge(v.errs, s.dialect(&account, &v.message))
	}
	if len(misread) > 0 || len(v.errs) > 0 {
		return post, nil, invalid(merge(misread, append(v.errs, v.passed...))...)
	}
	if len(v.passed) > 0 {
		late = invalid(v.passed...)
	}
	post = gateway.Post{Message: v.message, IdempotencyKey: key, Passed: late != nil}
	if hashed {
		post.BodyHash, err = body.hash()
	}
	return post, late, err
}

// dialect asks the account's provider, and makes sure that a refusal says whose
// it is.
func (s *Server) dialect(a *gateway.Account, m *gateway.Message) []gateway.FieldError {
	var errs []gateway.FieldError
	for _, e := range s.Checker.Check(a.ID, m) {
		if !strings.Contains(e.Message, string(a.Provider)) {
			e.Message += " (" + string(a.Provider) + ")"
		}
		errs = append(errs, e)
	}
	return errs
}

// idempotencyKey is the header's value, empty without the header, and what is
// wrong with it.
func idempotencyKey(h http.Header) (string, []gateway.FieldError) {
	values := h[headerIdempotencyKey]
	if len(values) == 0 {
		return "", nil
	}
	k := values[0]
	if len(values) > 1 || k == "" || !utf8.ValidString(k) || utf8.RuneCountInString(k) > maxKey {
		return "", []gateway.FieldError{{Field: headerIdempotencyKey, Message: "must be 1 to 255 characters in UTF-8, given once"}}
	}
	return k, nil
}

// merge adds what a later judge found to what an earlier one did, without what
// follows from the latter: a field that couldn't be read isn't also missing.
func merge(first, found []gateway.FieldError) []gateway.FieldError {
	if len(first) == 0 {
		return found
	}
	all := slices.Clone(first)
	for _, f := range found {
		if !slices.ContainsFunc(first, func(m gateway.FieldError) bool { return within(f.Field, m.Field) }) {
			all = append(all, f)
		}
	}
	return all
}

// within reports whether a path is another one or leads on from it.
func within(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// recall answers a repetition that comes too late to be accepted anew.
func (s *Server) recall(ctx context.Context, c *call, post gateway.Post, late *problem) error {
	if post.IdempotencyKey == "" || s.Recall == nil {
		return late
	}
	first, err := s.Recall.Recall(ctx, post.Message.Account, post.IdempotencyKey, post.BodyHash)
	if errors.Is(err, gateway.ErrNotFound) {
		return late
	}
	if err != nil {
		return fmt.Errorf("recall: %w", err)
	}
	first.Replayed = true
	return s.acknowledge(c, &first)
}

func (s *Server) acknowledge(c *call, a *gateway.Accepted) error {
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, "/v1/messages/"+string(a.ID))
	if a.Replayed {
		h.Set(headerIdempotentReplayed, "true")
	}
	s.metrics.accepted(s.Now().Sub(c.began))
	return s.answer(c, http.StatusAccepted, newAcceptedBody(a))
}
