package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"sluice/internal/gateway"
)

const (
	// A chunk is what is written at one time. Its script runs alone in Redis, so
	// it must be short; the transactional lane is served by the same Redis.
	chunkLines = 100
	chunkBytes = 64 << 10

	maxLineErrors = 1000

	// confirmPatience is how long a batch of which something was confirmed bears
	// with a store that doesn't answer.
	confirmPatience = 5 * time.Second
	confirmGap      = 100 * time.Millisecond
)

// lineBody is one message of a batch.
type lineBody struct {
	postBody
	IdempotencyKey string `json:"idempotency_key"`
}

// fill takes over what the message leaves out. Of what belongs together none is
// taken over if the message has some: a type of its own comes with content of
// its own, and so do times to live.
func (p *postBody) fill(d *postBody) {
	switch {
	case p.Type != "":
	case reflect.ValueOf(&p.Content).Elem().IsZero():
		p.Content = d.Content
	default:
		p.Type = d.Type
	}
	if p.TTL == "" && p.ExpiresAt == "" {
		p.TTL, p.ExpiresAt = d.TTL, d.ExpiresAt
	}
	if p.Metadata == nil {
		p.Metadata = d.Metadata
	}
	for _, s := range []struct{ mine, other *string }{
		{(*string)(&p.Account), (*string)(&d.Account)},
		{(*string)(&p.Priority), (*string)(&d.Priority)},
		{(*string)(&p.OnUnknown), (*string)(&d.OnUnknown)},
		{&p.Reference, &d.Reference},
		{&p.SendAt, &d.SendAt},
		{&p.ReplyTo, &d.ReplyTo},
		{&p.CallbackURL, &d.CallbackURL},
	} {
		if *s.mine == "" {
			*s.mine = *s.other
		}
	}
}

// chunk is some lines of an upload in their order.
type chunk struct {
	account gateway.AccountID // of the batch; empty: not known yet
	lines   []line
	posts   []gateway.Post // those of lines that aren't refused for good
	bytes   int
}

// line is what was found of one line before the store was asked.
type line struct {
	index   int
	refusal *problem // nil: there is nothing against it
	posted  bool     // the next of the chunk's posts is its own
}

// upload takes in a batch. Three stages work at one time: one reads and judges
// lines, one writes them durably, one brings them into their lanes. Each deals
// with one chunk after another, so that lines keep their order.
type upload struct {
	s        *Server
	c        *call
	body     arrival
	conn     *http.ResponseController
	key      string
	defaults postBody // its account is the batch's, once it is known
	limit    int      // of lines

	// Of the first stage.
	out     chan<- *chunk
	pending *chunk

	// Of the second.
	batch    gateway.BatchID // empty: not opened yet
	known    bool            // the key was used before
	added    int64
	accepted int64
	rejected int64
	errors   []lineErrorBody
}

// run takes in everything that the source has. The first error is of the
// source, or a *problem; the second of the store. What was read before an error
// is accepted, unless the store failed.
func (u *upload) run(ctx context.Context, in source) (unread, unconfirmed error) {
	g, within := errgroup.WithContext(ctx)
	chunks, fresh := make(chan *chunk), make(chan []*gateway.Message)
	u.out, u.pending = chunks, new(chunk)
	u.body.before = func() error {
		if err := u.flush(within); err != nil {
			return err
		}
		u.patience(u.s.StallTimeout)
		return within.Err() // asked last, for its end has cut patience short once
	}
	hurried := make(chan struct{})
	release := context.AfterFunc(within, func() { // a store that failed isn't told to a caller who writes nothing
		defer close(hurried)
		u.patience(0)
	})
	g.Go(func() error {
		defer close(fresh)
		for c := range chunks {
			messages, err := u.accept(within, c)
			fresh <- messages
			if err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		for messages := range fresh {
			u.enqueue(ctx, messages)
		}
		return nil
	})
	func() {
		defer close(chunks) // also if judging panics
		unread = u.read(within, in)
	}()
	if !release() {
		<-hurried
	}
	return unread, g.Wait()
}

// patience is how long the next bytes of the body may take. A server that can't
// set deadlines has none to keep; recorders are such.
func (u *upload) patience(d time.Duration) { _ = u.conn.SetReadDeadline(time.Now().Add(d)) }

// read judges one line after another. It is called once, and in the meantime
// flush by whoever is about to wait for more of the body.
func (u *upload) read(ctx context.Context, in source) error {
	for index := 0; ; index++ {
		text, err := in.next()
		switch {
		case errors.Is(err, io.EOF):
			return u.flush(ctx)
		case err != nil && !errors.Is(err, errLong):
			return errors.Join(endedEarly(err), u.flush(ctx))
		case index == u.limit:
			err := &problem{kind: kindTooLarge, detail: fmt.Sprintf("A batch may have at most %d messages here; those up to there were taken.", u.limit)}
			return errors.Join(err, u.flush(ctx))
		case err != nil:
			u.refuse(index, tooLarge(maxBody))
		default:
			if err := u.judge(index, text); err != nil {
				return errors.Join(err, u.flush(ctx))
			}
		}
		u.pending.bytes += len(text)
		if len(u.pending.lines) >= chunkLines || u.pending.bytes >= chunkBytes {
			if err := u.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// flush hands on what was read. While it waits for the stage that writes, more
// of the body arrives: the slower that is, the larger are the chunks.
func (u *upload) flush(ctx context.Context) error {
	if len(u.pending.lines) == 0 {
		return nil
	}
	u.pending.account = u.defaults.Account
	select {
	case u.out <- u.pending:
		u.pending = &chunk{lines: make([]line, 0, chunkLines), posts: make([]gateway.Post, 0, chunkLines)}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (u *upload) refuse(index int, p *problem) {
	u.pending.lines = append(u.pending.lines, line{index: index, refusal: p})
}

// judge puts one line into the chunk: with a post of it, or why it is refused.
// An error is of the whole upload.
func (u *upload) judge(index int, text []byte) error {
	body, misread, err := u.s.lines.decode(text)
	if err != nil {
		u.refuse(index, problemOf(err))
		return nil
	}
	if u.defaults.Account == "" && body.Account != "" {
		if err := u.belongsTo(body.Account); err != nil {
			return err
		}
	}
	body.fill(&u.defaults)
	if body.Account != u.defaults.Account {
		body.Account = u.defaults.Account
		misread = append(misread, gateway.FieldError{Field: "account", Message: "must be that of the batch"})
	}
	var keyFaults []gateway.FieldError
	if utf8.RuneCountInString(body.IdempotencyKey) > maxKey {
		keyFaults = []gateway.FieldError{{Field: "idempotency_key", Message: fmt.Sprintf("must have at most %d characters", maxKey)}}
	}
	keyed := u.key != "" || body.IdempotencyKey != ""
	post, late, err := u.s.judge(&body.postBody, body.IdempotencyKey, misread, keyFaults, keyed)
	if err != nil {
		p := problemOf(err)
		if p.kind == kindInternal {
			return err
		}
		u.refuse(index, p)
		return nil
	}
	posted := late == nil || keyed
	u.pending.lines = append(u.pending.lines, line{index: index, refusal: late, posted: posted})
	if posted {
		u.pending.posts = append(u.pending.posts, post)
	}
	return nil
}

// belongsTo settles whose batch it is.
func (u *upload) belongsTo(id gateway.AccountID) error {
	if !u.c.key.Covers(id) {
		return outsideKey()
	}
	if _, known := u.s.Directory.Account(id); !known {
		return invalid(gateway.FieldError{Field: "account", Message: "is not a known account"})
	}
	u.defaults.Account = id
	return nil
}

// accept writes a chunk durably, and returns the messages that were added.
func (u *upload) accept(ctx context.Context, c *chunk) ([]*gateway.Message, error) {
	if u.batch == "" && c.account != "" {
		if err := u.open(ctx, c.account); err != nil {
			return nil, err
		}
	}
	i := 0
	for _, l := range c.lines {
		if l.posted {
			m := &c.posts[i].Message
			m.Batch, m.ID = u.batch, u.batch.Line(l.index+1)
			i++
		}
	}
	if len(c.posts) == 0 {
		return u.count(c, nil), nil
	}
	var verdicts []gateway.LineVerdict
	err := u.confirmed(ctx, func(ctx context.Context) (err error) {
		verdicts, err = u.s.Batches.AcceptLines(ctx, u.batch, c.posts, u.key != "")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("accept lines: %w", err)
	}
	return u.count(c, verdicts), nil
}

// count notes what became of each line of a chunk.
func (u *upload) count(c *chunk, verdicts []gateway.LineVerdict) (added []*gateway.Message) {
	accepted, rejected := u.accepted, u.rejected
	i := 0
	for _, l := range c.lines {
		if l.posted {
			if l.refusal = refusalOf(verdicts[i], l.refusal); verdicts[i] == gateway.LineAdded {
				added = append(added, &c.posts[i].Message)
			}
			i++
		}
		if l.refusal == nil {
			u.accepted++
			continue
		}
		u.rejected++
		if len(u.errors) < maxLineErrors {
			u.errors = append(u.errors, lineErrorBody{Index: l.index, Problem: l.refusal.body()})
		}
	}
	u.added += int64(len(added))
	u.s.metrics.lines.WithLabelValues(lineAccepted).Add(float64(u.accepted - accepted))
	u.s.metrics.lines.WithLabelValues(lineRejected).Add(float64(u.rejected - rejected))
	return added
}

// refusalOf is what a line is told of a verdict; late is why it can't be accepted
// anew, if it can't.
func refusalOf(v gateway.LineVerdict, late *problem) *problem {
	switch v {
	case gateway.LineAdded, gateway.LineKnown, gateway.LineAgain:
		return nil
	case gateway.LineChanged:
		return &problem{
			kind: kindKeyReused, detail: "The batch has other content on this line.",
			errors: []gateway.FieldError{{Field: headerIdempotencyKey, Message: "was used with another line at this place"}},
		}
	case gateway.LineKeyReused:
		return &problem{
			kind: kindKeyReused, detail: "The line's idempotency_key belongs to a post with another body.",
			errors: []gateway.FieldError{{Field: "idempotency_key", Message: "was used with another body"}},
		}
	case gateway.LineCancelled:
		return &problem{kind: kindConflict, detail: "The batch was cancelled."}
	case gateway.LinePassed:
		return late
	}
	return &problem{kind: kindInternal, detail: "Nothing is known of this line."}
}

func (u *upload) open(ctx context.Context, account gateway.AccountID) error {
	now := u.s.Now()
	b := gateway.Batch{ID: gateway.NewBatchID(account, now), Account: account, CreatedAt: now.UTC().Truncate(time.Millisecond)}
	err := u.confirmed(ctx, func(ctx context.Context) (err error) {
		u.batch, u.known, err = u.s.Batches.OpenBatch(ctx, b, u.key)
		return err
	})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	return nil
}

// confirmed does a write that may be repeated until the store confirms it. While
// nothing of the batch is, it is tried once: the caller is told within a second.
func (u *upload) confirmed(ctx context.Context, write func(context.Context) error) error {
	until := time.Now().Add(confirmPatience)
	for {
		err := u.within(ctx, write)
		if !errors.Is(err, gateway.ErrUnavailable) || u.accepted == 0 || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(confirmGap):
		}
	}
}

func (u *upload) within(ctx context.Context, write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, u.s.RequestTimeout)
	defer cancel()
	return write(ctx)
}

func (u *upload) enqueue(ctx context.Context, messages []*gateway.Message) {
	ctx, cancel := context.WithTimeout(ctx, u.s.RequestTimeout)
	defer cancel()
	u.s.enqueue(ctx, slog.String("batch", string(u.batch)), messages...)
}

// complete says that the batch came to its end.
func (u *upload) complete(ctx context.Context) error {
	err := u.confirmed(ctx, func(ctx context.Context) error {
		return u.s.Batches.CompleteBatch(ctx, u.defaults.Account, u.batch)
	})
	if err != nil {
		return fmt.Errorf("complete: %w", err)
	}
	return nil
}

// arrival is the body of an upload: it may take any time, as long as some of it
// comes now and then.
type arrival struct {
	io.ReadCloser

	before func() error // each wait for more
}

func (a *arrival) Read(p []byte) (int, error) {
	if err := a.before(); err != nil {
		return 0, err
	}
	return a.ReadCloser.Read(p)
}
