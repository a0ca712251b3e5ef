package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"sluice/internal/gateway"
)

// PollStore is what polls need of the message store.
type PollStore interface {
	// DuePoll claims the message to be asked after next. Errors: gateway.Fenced,
	// gateway.ErrUnavailable.
	DuePoll(context.Context, gateway.Lease) (gateway.Poll, error)
	// Apply writes what was learned, as it does with callbacks.
	Apply(context.Context, gateway.AccountID, gateway.Callback) error
}

// Asked is what a provider can be asked, and how long one question may take.
type Asked struct {
	Poller  Poller // what became of a message that it has; nil: not that
	Finder  Finder // whether it has one whose answer was lost; nil: not that
	Timeout time.Duration
}

func (a Asked) nothing() bool { return a.Poller == nil && a.Finder == nil }

// PollOptions are what polls work with. All are needed.
type PollOptions struct {
	Asked  func() Asked
	Lease  gateway.Lease
	Store  PollStore
	Client *http.Client
	Log    *slog.Logger
}

// Polls ask a provider what became of one account's messages, where it can't
// tell by itself, and whether it has those that are unknown: one question at a
// time, five a second at most. They wait for none of the account's rate and take
// none of it, for a question is no message.
// All methods are safe for concurrent use.
type Polls struct {
	o PollOptions

	// working ends with Stop: nothing is claimed any longer. asking ends with
	// Drain's patience: a question is cut off, and the message's next one tells.
	working, asking context.Context //nolint:containedctx // the two lifetimes, which no caller's context outlives
	stop, abandon   context.CancelFunc

	mu            sync.Mutex
	runs, stopped bool
	next          time.Time     // when the store is looked at; zero: it just is
	sooner        chan struct{} // holds a token when next was moved
	running       sync.WaitGroup
}

const (
	pollPace    = 200 * time.Millisecond // from question to question
	pollIdle    = time.Minute            // until the store is looked at that had nothing
	pollBackoff = time.Second            // after a question that got no answer, doubled while none does
	pollTired   = time.Minute            // the longest of these
)

// NewPolls makes the polls of one account. They begin with Expect.
func NewPolls(o PollOptions) *Polls {
	p := &Polls{o: o, sooner: make(chan struct{}, 1)}
	p.o.Log = o.Log.With("account", o.Lease.Account)
	p.working, p.stop = context.WithCancel(context.Background())
	p.asking, p.abandon = context.WithCancel(context.Background())
	return p
}

// Expect has the store looked at within d, and at once the first time. It does
// nothing where nobody can be asked, costs no I/O and never blocks.
func (p *Polls) Expect(d time.Duration) {
	if p.o.Asked().nothing() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	if !p.runs {
		p.runs, p.next = true, time.Now()
		p.running.Go(p.run)
		return
	}
	p.within(d)
}

// within is Expect under the lock.
func (p *Polls) within(d time.Duration) {
	if at := time.Now().Add(d); p.next.IsZero() || at.Before(p.next) {
		p.next = at
		select {
		case p.sooner <- struct{}{}:
		default:
		}
	}
}

// Stop ends all claims. A question under way goes on.
func (p *Polls) Stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.stop()
}

// Drain stops, and waits until the answer to the question under way is written,
// or ctx ends.
func (p *Polls) Drain(ctx context.Context) {
	p.Stop()
	defer p.abandon()
	defer context.AfterFunc(ctx, p.abandon)()
	p.running.Wait()
}

// run asks until it is stopped, the lease is over, or nobody can be asked any
// longer.
func (p *Polls) run() {
	defer func() {
		p.mu.Lock()
		p.runs = false
		p.mu.Unlock()
	}()
	failures := 0
	for p.await() {
		who := p.o.Asked()
		if who.nothing() {
			return
		}
		asked, err := p.step(who)
		if errors.As(err, new(gateway.Fenced)) {
			return
		}
		wait := time.Duration(0)
		switch {
		case err != nil:
			wait = min(pollBackoff<<min(failures, 10), pollTired)
			if failures++; failures == 1 { // once, not with every try
				p.o.Log.Warn("the provider couldn't be asked for statuses", "err", err)
			}
		case asked:
			failures, wait = 0, pollPace
		}
		if wait > 0 && pause(p.working, wait) != nil {
			return
		}
	}
}

// await waits until the store is to be looked at, and reports false once the
// polls are stopped.
func (p *Polls) await() bool {
	for {
		p.mu.Lock()
		wait := time.Until(p.next)
		if wait <= 0 {
			p.next = time.Time{} // what is expected from here on may be missing in the answer
		}
		p.mu.Unlock()
		if wait <= 0 {
			return p.working.Err() == nil
		}
		due := time.NewTimer(wait)
		select {
		case <-due.C:
		case <-p.sooner:
		case <-p.working.Done():
		}
		due.Stop()
		if p.working.Err() != nil {
			return false
		}
	}
}

// step claims one message, asks, and writes what it is told.
func (p *Polls) step(who Asked) (asked bool, err error) {
	nextIn := pollIdle
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.within(nextIn)
	}()
	ctx, cancel := context.WithTimeout(p.asking, writeTimeout)
	due, err := p.o.Store.DuePoll(ctx, p.o.Lease)
	cancel()
	if err != nil {
		nextIn = 0 // the caller waits
		return false, err
	}
	if due.NextIn > 0 {
		nextIn = min(nextIn, due.NextIn)
	}
	if due.Message == "" {
		return false, nil
	}
	r, ok, err := p.ask(who, due)
	if err != nil || !ok {
		return true, err
	}
	r.Message = due.Message
	told := gateway.Callback{Receipts: []gateway.Receipt{r}}
	at := r.At
	if at.IsZero() {
		at = due.AttemptedAt // some time after that; the question may come a day late
	}
	told.Halt(gateway.Blame(r.Error), at)
	ctx, cancel = context.WithTimeout(p.asking, writeTimeout)
	defer cancel()
	return true, p.o.Store.Apply(ctx, p.o.Lease.Account, told)
}

// errNoStatus is an answer that says nothing of any message.
type errNoStatus int

func (e errNoStatus) Error() string { return fmt.Sprintf("HTTP %d", int(e)) }

// ask puts one question, and says what it was told if that is anything. An error
// says that others would fare no better.
func (p *Polls) ask(who Asked, due gateway.Poll) (r gateway.Receipt, ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			p.o.Log.Error("a provider's code panicked", "panic", defectName(v), "stack", string(debug.Stack()))
			ok, err = false, nil
		}
	}()
	switch {
	case due.ProviderMessageID == "" && who.Finder != nil:
		return p.find(who, due)
	case due.ProviderMessageID != "" && who.Poller != nil:
		return p.inquire(who, due.ProviderMessageID)
	}
	return r, false, nil // of the provider before
}

// inquire asks what became of a message that the provider has.
func (p *Polls) inquire(who Asked, id gateway.ProviderMessageID) (r gateway.Receipt, ok bool, err error) {
	a, err := p.exchange(who.Timeout, func(ctx context.Context) (*http.Request, error) {
		return who.Poller.NewStatusRequest(ctx, id)
	})
	if err != nil {
		return r, false, err
	}
	r, ok = who.Poller.InterpretStatus(a)
	switch {
	case ok:
		return r, r.ProviderMessageID == id, nil // what it says of another message wasn't asked
	case a.Status >= 200 && a.Status <= 299, a.Status == http.StatusNotFound:
		return r, false, nil // of this message it knows nothing, or nothing new
	}
	return r, false, errNoStatus(a.Status)
}

const (
	lookupPages = 10          // of one question: more were hardly sent to one recipient in that time
	lookupSkew  = time.Minute // between the provider's clock and ours
)

// find asks whether the provider has a message whose answer was lost.
func (p *Polls) find(who Asked, due gateway.Poll) (r gateway.Receipt, ok bool, err error) {
	call := Call{Message: &gateway.Message{ID: due.Message, Recipient: due.Recipient}}
	from, to := due.AttemptedAt.Add(-lookupSkew), due.AttemptedAt.Add(who.Timeout+lookupSkew)
	page, recovered := "", false
	for range lookupPages {
		a, err := p.exchange(who.Timeout, func(ctx context.Context) (*http.Request, error) {
			return who.Finder.NewLookup(ctx, call, from, to, page)
		})
		if err != nil {
			return r, false, err
		}
		id, next, told := who.Finder.InterpretLookup(call, a)
		switch {
		case id != "":
			return gateway.Receipt{ProviderMessageID: id, Status: gateway.StatusAccepted}, true, nil
		case !told && !recovered && p.recovers(who, call, a):
			recovered = true
			continue
		case !told:
			return r, false, errNoStatus(a.Status)
		case next == "":
			return r, false, nil
		}
		page = next
	}
	return r, false, nil
}

// recovers reports whether the provider has mended what a lookup was refused
// for.
func (p *Polls) recovers(who Asked, c Call, a Answer) bool {
	ctx, cancel := context.WithTimeout(p.asking, who.Timeout)
	defer cancel()
	recoverer, ok := who.Finder.(Recoverer)
	return ok && recoverer.Recover(ctx, c, a)
}

// exchange makes one request and reads its answer. Texts of network errors hold
// addresses and are not passed on.
func (p *Polls) exchange(timeout time.Duration, render func(context.Context) (*http.Request, error)) (a Answer, err error) {
	ctx, cancel := context.WithTimeout(p.asking, timeout)
	defer cancel()
	req, err := render(ctx)
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		return a, errors.New(e.Title)
	}
	if err != nil {
		return a, fmt.Errorf("the request couldn't be made: %s", defectName(err))
	}
	resp, err := p.o.Client.Do(req)
	if err != nil {
		_, title := networkCode(err)
		return a, errors.New(title)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer))
	if err != nil {
		_, title := networkCode(err)
		return a, errors.New(title)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(body)}, nil
}
