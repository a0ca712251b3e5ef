package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"sluice/internal/gateway"
)

const (
	maxBatchBody     = 64 << 20         // bytes of a JSON batch
	maxBatchMessages = 10_000           // of a JSON batch
	batchRoom        = 2 * maxBatchBody // for JSON batches in memory at one time
	batchDepth       = maxDepth + 2     // its messages stand in an array of an object

	// lingerTimeout is how long the rest of a body that nobody wants is read, so
	// that the caller gets to see why.
	lingerTimeout = time.Second
)

// headBody is a JSON batch without its messages.
type headBody struct {
	Account  gateway.AccountID `json:"account"`
	Defaults postBody          `json:"defaults"`
	Messages json.RawMessage   `json:"messages"`
}

// postBatch is POST /v1/batches.
func (s *Server) postBatch(c *call) error {
	u := &upload{s: s, c: c, limit: s.BatchLines, conn: http.NewResponseController(c.Response())}
	media := mediaType(c.Request().Header)
	if media != typeNDJSON && media != typeJSON {
		return &problem{kind: kindMediaType, detail: "Send the body as Content-Type: application/x-ndjson or application/json, in UTF-8 and without Content-Encoding."}
	}
	if err := u.prepare(); err != nil {
		return err
	}
	in, release, err := u.source(media)
	if err != nil {
		return err
	}
	defer release()
	if u.defaults.Priority == "" {
		u.defaults.Priority = gateway.Bulk
	}
	ctx := context.WithoutCancel(c.Request().Context()) // what has arrived is taken in, whoever still waits for the answer
	unread, unconfirmed := u.run(ctx, in)
	err = u.conclude(ctx, unread, unconfirmed)
	_ = u.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	u.patience(lingerTimeout)
	u.log(ctx, err == nil)
	if err != nil {
		p := problemOf(err)
		if u.batch != "" {
			p.batch = u.result(false)
		}
		return p
	}
	h := c.Response().Header()
	h.Set(echo.HeaderLocation, "/v1/batches/"+string(u.batch))
	if u.known && u.added == 0 {
		h.Set(headerIdempotentReplayed, "true")
	}
	return s.answer(c, http.StatusAccepted, u.result(true))
}

// prepare reads what stands outside of the body.
func (u *upload) prepare() error {
	r := u.c.Request()
	var account gateway.AccountID
	errs, err := readQuery(r.URL.RawQuery, func(name, value string) string {
		switch name {
		case "account":
			account = gateway.AccountID(value)
		case "priority":
			if u.defaults.Priority = gateway.Priority(value); value != "" && !u.defaults.Priority.Valid() {
				return notAPriority
			}
		default:
			return notAParameter
		}
		return ""
	})
	if err != nil {
		return err
	}
	var faults []gateway.FieldError
	u.key, faults = idempotencyKey(r.Header)
	if errs = append(errs, faults...); len(errs) > 0 {
		return invalid(errs...)
	}
	u.body = arrival{r.Body, func() error { u.patience(u.s.StallTimeout); return nil }}
	if account == "" {
		return nil
	}
	return u.belongsTo(account)
}

// source is where the messages come from; release gives back what it needs.
func (u *upload) source(media string) (in source, release func(), err error) {
	if media == typeNDJSON {
		r, ok := u.s.readers.Get().(*bufio.Reader)
		if !ok {
			r = bufio.NewReaderSize(nil, lineRoom)
		}
		r.Reset(&u.body)
		return ndjson{r}, func() { r.Reset(nil); u.s.readers.Put(r) }, nil
	}
	u.limit = min(u.limit, maxBatchMessages)
	size := u.c.Request().ContentLength
	if size < 0 {
		size = batchRoom // a buffer that grows needs twice as much
	}
	if size > batchRoom {
		return nil, nil, tooLarge(maxBatchBody)
	}
	ctx, cancel := u.s.bounded(u.c)
	defer cancel()
	if err := u.s.room.Acquire(ctx, size); err != nil {
		return nil, nil, &problem{kind: kindUnavailable, detail: "Too many large batches arrive at one time. Ask again, or send application/x-ndjson.", cause: err}
	}
	release = func() { u.s.room.Release(size) }
	in, err = u.readJSON()
	if err != nil {
		release()
		return nil, nil, err
	}
	return in, release, nil
}

// readJSON reads a JSON batch whole: until its end nothing is known of it to be
// JSON, and its defaults may stand behind its messages.
func (u *upload) readJSON() (source, error) {
	var whole bytes.Buffer
	if n := u.c.Request().ContentLength; n > 0 && n <= maxBatchBody {
		whole.Grow(int(n) + bytes.MinRead)
	}
	if err := readWhole(u.c, &u.body, &whole, maxBatchBody); err != nil {
		return nil, err
	}
	text := whole.Bytes()
	if err := wellFormed(text, batchDepth); err != nil {
		return nil, err
	}
	head, messages, at := text, byte(0), 0
	if text[skipSpace(text, 0)] == '{' {
		if start, end, found := member(text, "messages"); found {
			head = slices.Concat(text[:start], []byte("null"), text[end:])
			messages, at = text[start], start+1
		}
	}
	if err := u.readHead(head, messages); err != nil {
		return nil, err
	}
	return &elements{text: text, at: at}, nil
}

// readHead reads what a JSON batch says of all its messages; bracket is the first
// character of these.
func (u *upload) readHead(text []byte, bracket byte) error {
	b, errs, err := u.s.heads.decode(text)
	if err != nil {
		return err
	}
	fault := func(field, message string) {
		errs = append(errs, gateway.FieldError{Field: field, Message: message})
	}
	switch bracket {
	case '[':
	case 0, 'n':
		fault("messages", "is required")
	default:
		fault("messages", "must be an array")
	}
	d := &b.Defaults
	if d.Account != "" {
		fault("defaults.account", "must stand beside defaults")
	}
	if d.To != "" {
		fault("defaults.to", "must be each message's own")
	}
	if d.Priority != "" && !d.Priority.Valid() {
		fault("defaults.priority", notAPriority)
	}
	asked := u.defaults
	if asked.Account != "" && b.Account != "" && b.Account != asked.Account {
		fault("account", "must be that of the query")
	}
	if len(errs) > 0 {
		return invalid(errs...)
	}
	u.defaults = *d
	if u.defaults.Account = asked.Account; d.Priority == "" {
		u.defaults.Priority = asked.Priority
	}
	if b.Account == "" {
		return nil
	}
	return u.belongsTo(b.Account)
}

// conclude says what came of the whole upload.
func (u *upload) conclude(ctx context.Context, unread, unconfirmed error) error {
	switch {
	case unconfirmed != nil:
		return u.interrupted(unconfirmed)
	case unread != nil:
		return unread
	case u.accepted+u.rejected == 0:
		return invalid(gateway.FieldError{Field: "body", Message: "must have at least one message"})
	case u.batch == "":
		return invalid(gateway.FieldError{Field: "account", Message: "is required: in the query, the batch or a message"})
	}
	if err := u.complete(ctx); err != nil {
		return u.interrupted(err)
	}
	return nil
}

// interrupted is the answer when the store stopped confirming.
func (u *upload) interrupted(err error) error {
	p := problemOf(err)
	if p.kind == kindUnavailable && u.accepted > 0 {
		p.detail = "The store stopped answering. What batch counts as accepted stays; of the rest nothing is known. " +
			"Post the batch again with the same Idempotency-Key."
	}
	return p
}

func (u *upload) result(complete bool) *uploadBody {
	return &uploadBody{ID: u.batch, Accepted: u.accepted, Rejected: u.rejected, Errors: append([]lineErrorBody{}, u.errors...), Complete: complete}
}

func (u *upload) log(ctx context.Context, complete bool) {
	if u.batch == "" {
		return
	}
	u.s.Logger.LogAttrs(ctx, slog.LevelInfo, "batch",
		slog.String("batch", string(u.batch)), slog.String("account", string(u.defaults.Account)),
		slog.Int64("accepted", u.accepted), slog.Int64("added", u.added), slog.Int64("rejected", u.rejected),
		slog.Bool("complete", complete), slog.Duration("duration", u.s.Now().Sub(u.c.began)))
}

// getBatch is GET /v1/batches/{id}.
func (s *Server) getBatch(c *call) error {
	id, err := batchID(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	b, err := s.Batches.Batch(ctx, id)
	if err != nil {
		return fmt.Errorf("get batch %s: %w", id, err)
	}
	return s.answerBatch(ctx, c, b)
}

// cancelBatch is POST /v1/batches/{id}/cancel.
func (s *Server) cancelBatch(c *call) error {
	id, err := batchID(c)
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(c)
	defer cancel()
	b, err := s.Batches.CancelBatch(ctx, id)
	if err != nil {
		return fmt.Errorf("cancel batch %s: %w", id, err)
	}
	return s.answerBatch(ctx, c, b)
}

// batchID is the id of the path, if it may be one of the key's batches.
func batchID(c *call) (gateway.BatchID, error) {
	id := gateway.BatchID(c.Param("id"))
	if gateway.MessageID(id).BatchID() != id || !c.key.coversTag(id.Tag()) {
		return "", gateway.ErrNotFound
	}
	return id, nil
}

func (s *Server) answerBatch(ctx context.Context, c *call, b gateway.Batch) error {
	bodies, err := s.batchBodies(ctx, []gateway.Batch{b})
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, bodies[0])
}

// batchBodies adds to batches what their accounts' lanes say of them.
func (s *Server) batchBodies(ctx context.Context, batches []gateway.Batch) ([]batchBody, error) {
	bodies := make([]batchBody, 0, len(batches))
	var ids []gateway.AccountID
	for i := range batches {
		if waits(&batches[i]) && !slices.Contains(ids, batches[i].Account) {
			ids = append(ids, batches[i].Account)
		}
	}
	var states map[gateway.AccountID]gateway.AccountState
	if len(ids) > 0 {
		var err error
		if states, err = s.States.States(ctx, ids); err != nil {
			return nil, fmt.Errorf("read states: %w", err)
		}
	}
	now := s.Now()
	for i := range batches {
		state := states[batches[i].Account]
		bodies = append(bodies, newBatchBody(&batches[i], &state, now))
	}
	return bodies, nil
}

func waits(b *gateway.Batch) bool {
	for _, lane := range b.Lanes {
		if lane.Pending+lane.Parked > 0 {
			return true
		}
	}
	return false
}

// listBatches is GET /v1/batches.
func (s *Server) listBatches(c *call) error {
	q := gateway.BatchQuery{Limit: defaultLimit}
	errs, err := readQuery(c.Request().URL.RawQuery, func(name, value string) (fault string) {
		switch {
		case value == "" && (name == "account" || name == "cursor" || name == "limit"):
		case name == "account":
			q.Accounts = []gateway.AccountID{gateway.AccountID(value)}
		case name == "cursor":
			if q.Cursor = value; !isCursor(value) {
				return notACursor
			}
		case name == "limit":
			q.Limit, fault = parseLimit(value)
		default:
			return notAParameter
		}
		return fault
	})
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return invalid(errs...)
	}
	if q.Accounts, err = s.accountsOf(c, q.Accounts); err != nil {
		return err
	}
	ctx, cancel := s.bounded(c)
	defer cancel()
	var found gateway.BatchPage
	if len(q.Accounts) > 0 {
		if found, err = s.Batches.Batches(ctx, q); err != nil {
			return fmt.Errorf("list batches: %w", err)
		}
	}
	bodies, err := s.batchBodies(ctx, found.Batches)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, page[batchBody]{Items: bodies, Next: orNull(found.Next)})
}
