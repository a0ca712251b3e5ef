package sender

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"sluice/internal/gateway"
)

var errStopped = errors.New("the desk is closed")

// gateAllowance is how long an attempt may stand at the gate. It takes longer
// only at rates below one a second, or when many come at once because
// connecting was slow; then it is undone.
const gateAllowance = 3 * time.Second

const (
	behindPause = 5 * time.Millisecond
	behindTries = 20
	behindDefer = 500 * time.Millisecond
	mediaDefer  = 15 * time.Second

	lookPatience = 150 * time.Millisecond
	lookDefer    = 500 * time.Millisecond
	lookersMost  = 32 // files of a lane that are looked at at one time
)

// Process takes one task through the stages until its attempt has begun, which
// goes on by itself. nil means that the task is done with: it was void, its
// message has ended or is parked, or its attempt has begun. An error means that
// nothing has happened and the task is as good as before.
func (d *Desk) Process(ctx context.Context, t gateway.Task) (err error) {
	d.mu.Lock()
	if d.stopped {
		d.mu.Unlock()
		return errStopped
	}
	d.running.Add(1)
	d.mu.Unlock()
	defer d.running.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.working, cancel)()
	defer func() {
		if v := recover(); v != nil {
			d.Log.ErrorContext(ctx, "sending panicked", "message", t.Message, "panic", defectName(v), "stack", string(debug.Stack()))
			err = d.refuse(ctx, t, &gateway.Error{Class: gateway.ClassInternal, Code: "internal", Title: "a defect of ours"})
		}
	}()

	rec, standing, err := d.load(ctx, t)
	if err != nil || rec == nil {
		return err
	}
	account, provider := d.current()
	if why := standing.Refuse(account, &rec.Message, time.Now()); why != nil {
		return d.refuse(ctx, t, why)
	}
	a := &attempt{task: t, record: rec, call: Call{Message: &rec.Message}, account: account, provider: provider}
	a.admitted = standing.Open(time.Now())
	if done, err := d.check(ctx, a); done || err != nil {
		return err
	}
	return d.allow(ctx, a)
}

// load reads the message and the standing of its recipient; nil if the task is
// void.
func (d *Desk) load(ctx context.Context, t gateway.Task) (rec *gateway.Record, standing gateway.Standing, err error) {
	rec, err = persist(ctx, func(ctx context.Context) (rec *gateway.Record, err error) {
		rec, standing, err = d.Store.Load(ctx, d.account, t.Message)
		return rec, err
	})
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return nil, standing, nil
	case err != nil:
		return nil, standing, fmt.Errorf("load %s: %w", t.Message, err)
	case rec.Status != gateway.StatusQueued || rec.Sequence != t.Sequence:
		return nil, standing, nil
	}
	if rec.StatusAt(time.Now()) != gateway.StatusExpired {
		return rec, standing, nil
	}
	expired, err := persist(ctx, func(ctx context.Context) (bool, error) { return d.Store.Expire(ctx, d.account, t.Message) })
	if err != nil || expired {
		d.Wake() // somebody may be waiting for the notice
		return nil, standing, err
	}
	return rec, standing, nil // our clock is ahead of the store's, which decides
}

// check does what we can find out before the provider is asked. done: the task
// has come to an end here.
func (d *Desk) check(ctx context.Context, a *attempt) (done bool, err error) {
	t := a.task
	if refused, err := d.resolve(ctx, &a.call); err != nil {
		return false, err
	} else if refused != nil {
		return true, d.refuse(ctx, t, refused)
	}
	if d.Media == nil || !a.account.CheckMedia {
		return false, nil
	}
	for _, f := range a.call.Message.Content.Files() {
		if f.Media.Link == "" {
			continue
		}
		if a.account.UploadMedia { // while it is shut the provider is left alone
			if err := d.untilOpen(ctx, t.Priority); err != nil {
				return false, err
			}
		}
		r, ended := d.lookAside(ctx, a, f)
		switch {
		case !ended:
			return true, d.park(ctx, t, lookDefer, true)
		case r.err != nil:
			return false, r.err
		case r.refused == nil:
		case r.refused.Class == gateway.ClassSuspended:
			return true, d.suspend(ctx, a, r.refused)
		case r.retryable:
			d.Log.InfoContext(ctx, "a file can't be looked at now", "message", t.Message, "code", r.refused.Code)
			return true, d.park(ctx, t, mediaDefer, false)
		default:
			return true, d.refuse(ctx, t, r.refused)
		}
	}
	a.nameUploads()
	return false, nil
}

// looked is what came of looking at a file.
type looked struct {
	refused   *gateway.Error
	retryable bool
	err       error
	panicked  any
}

// lookAside looks at a file without keeping others waiting: a host that is slow
// must not fill the lane. ended is false if it takes longer than a moment, or if
// too many are being looked at; then it goes on aside, and what it finds is
// there when the message comes back.
func (d *Desk) lookAside(ctx context.Context, a *attempt, f gateway.File) (r looked, ended bool) {
	lookers := d.lookers[a.task.Priority]
	select {
	case lookers <- struct{}{}:
	default:
		return looked{}, false
	}
	result := make(chan looked, 1)
	d.running.Go(func() {
		defer func() { <-lookers }()
		defer func() {
			if v := recover(); v != nil {
				result <- looked{panicked: v}
			}
		}()
		refused, retryable, err := d.look(d.working, a, f)
		result <- looked{refused: refused, retryable: retryable, err: err}
	})
	timer := time.NewTimer(d.lookPatience)
	defer timer.Stop()
	select {
	case r = <-result:
	case <-timer.C:
		return looked{}, false
	case <-ctx.Done():
		return looked{err: ctx.Err()}, true
	}
	if r.panicked != nil {
		panic(r.panicked) // where it is handled
	}
	return r, true
}

// resolve replaces our own ids, where the message names another one, by the
// provider's.
func (d *Desk) resolve(ctx context.Context, call *Call) (refused *gateway.Error, err error) {
	lookUp := func(name string) (gateway.ProviderMessageID, error) {
		id := gateway.MessageID(name)
		if !id.Valid() {
			return gateway.ProviderMessageID(name), nil
		}
		return persist(ctx, func(ctx context.Context) (gateway.ProviderMessageID, error) { return d.Store.ProviderID(ctx, id) })
	}
	unresolved := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "reply_target",
		Title: "the message it refers to has no provider message id",
	}
	if name := call.Message.ReplyTo; name != "" {
		if call.ReplyTo, err = lookUp(name); errors.Is(err, gateway.ErrNotFound) {
			return unresolved, nil
		} else if err != nil {
			return nil, fmt.Errorf("resolve the reply of %s: %w", call.Message.ID, err)
		}
	}
	if r := call.Message.Content.Reaction; r != nil {
		target, err := lookUp(r.MessageID)
		if errors.Is(err, gateway.ErrNotFound) {
			return unresolved, nil
		} else if err != nil {
			return nil, fmt.Errorf("resolve the reaction of %s: %w", call.Message.ID, err)
		}
		resolved := *r
		resolved.MessageID = string(target)
		call.Message.Content.Reaction = &resolved
	}
	return nil, nil //nolint:nilnil // neither refused nor failed
}

// attempt is one attempt on its way.
type attempt struct {
	task     gateway.Task
	record   *gateway.Record
	call     Call
	account  *gateway.Account
	provider Provider
	files    []uploaded // that the call names by the provider's ids
	askedAt  time.Time  // for the last of them

	admitted bool // no tier limits it

	nonce     string
	startedAt time.Time   // of asking for the intent
	leave     func() bool // goes out of the door, once: whether the attempt may go on
	departed  bool        // a connection was had before
	done      func(error)
	written   func() // lets the recipient's next message begin
}

// allow waits for all that must be had before an attempt may begin, and begins
// it. What was had is given back by finish, or here if there was no attempt.
func (d *Desk) allow(ctx context.Context, a *attempt) (err error) {
	p := a.task.Priority
	for {
		if err := d.untilOpen(ctx, p); err != nil {
			return err
		}
		began, again, err := d.tryOnce(ctx, a)
		if err != nil || began || !again {
			return err
		}
	}
}

// tryOnce takes a place in the tier, the recipient's allowance, breaker, slot and
// token. again: the account was shut while it waited.
func (d *Desk) tryOnce(ctx context.Context, a *attempt) (began, again bool, err error) {
	p, to := a.task.Priority, a.record.Recipient
	if beyond, err := d.beyondTier(ctx, a); beyond || err != nil {
		return false, false, err
	}
	if wait := d.Pairs.Enter(to, p, a.task.Message); wait > 0 {
		// A hair later than it may: the store's clock has milliseconds.
		return false, false, d.park(ctx, a.task, wait+2*time.Millisecond, true)
	}
	defer func() {
		if began {
			d.Pairs.Begin(to)
		} else {
			d.Pairs.Leave(to, p, a.task.Message)
		}
	}()
	if a.done, err = d.breaker.allow(ctx); err != nil {
		return false, false, err
	}
	defer func() {
		if !began {
			a.done(errNotMade)
		}
	}()
	if err := d.Slots.Acquire(ctx, p); err != nil {
		return false, false, err
	}
	defer func() {
		if !began {
			d.Slots.Release(p)
		}
	}()
	_, provider := d.current()
	if needs, ok := provider.(Preparer); ok {
		needs.Prepare(ctx)
	}
	if err := d.Pacer.Wait(ctx, p, string(a.task.Message)); err != nil {
		return false, false, err
	}
	return d.begin(ctx, a)
}

// untilOpen waits while the account or the lane is shut. The lane closes
// meanwhile, which ends ctx.
func (d *Desk) untilOpen(ctx context.Context, p gateway.Priority) error {
	for {
		wait := time.Until(d.ShutUntil(p))
		if wait <= 0 {
			return ctx.Err()
		}
		d.Wake()
		if err := pause(ctx, min(wait, time.Second)); err != nil {
			return err
		}
	}
}

// begin asks for the intent, in the recipient's turn, and lets the attempt go.
// again: as of tryOnce.
func (d *Desk) begin(ctx context.Context, a *attempt) (began, again bool, err error) {
	key := turn{a.record.Recipient, a.task.Priority}
	for range behindTries {
		if a.written, err = d.turn(ctx, key); err != nil {
			return false, false, err
		}
		if a.written == nil {
			break
		}
		if !d.ShutUntil(a.task.Priority).IsZero() {
			a.written()
			return false, true, nil
		}
		var provider Provider
		if a.account, provider = d.current(); len(a.files) > 0 && keeper(provider) != keeper(a.provider) {
			// The waits were long, and the files are somebody else's now.
			a.written()
			return false, false, d.park(ctx, a.task, behindDefer, true)
		}
		a.provider = provider
		verdict, err := d.enter(a)
		switch {
		case err != nil:
			return false, false, err
		case verdict == gateway.VerdictBegun:
			return true, false, nil
		case verdict == gateway.VerdictDropped, verdict == gateway.VerdictExpired:
			return false, false, nil
		case verdict == gateway.VerdictHeld:
			d.heldElsewhere(a.task.Priority)
			return false, true, nil
		case verdict == gateway.VerdictFenced:
			d.Wake()
			<-ctx.Done() // the queue is about to find out
			return false, false, ctx.Err()
		}
		if err := pause(ctx, behindPause); err != nil {
			return false, false, err
		}
	}
	return false, false, d.park(ctx, a.task, d.behindWait(a.account.Rate), true)
}

// behindWait is how long a message waits that has met an earlier one in its way.
// It has cost a token; so that many of them don't take all, and the one that they
// wait for gets its own, they come back at half of the account's pace at most.
func (d *Desk) behindWait(perSecond float64) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.behindAt = later(d.behindAt, now).Add(time.Duration(2 / perSecond * float64(time.Second)))
	return max(behindDefer, d.behindAt.Sub(now))
}

// turn waits a moment for the recipient's turn; nil: it takes longer, for a call
// to them that is slow in connecting. A lane must not fill up with that.
func (d *Desk) turn(ctx context.Context, t turn) (unlock func(), err error) {
	patience, cancel := context.WithTimeout(ctx, behindTries*behindPause)
	defer cancel()
	unlock, err = d.recipients.lock(patience, t)
	if err != nil && ctx.Err() == nil {
		return nil, nil
	}
	return unlock, err
}

// heldElsewhere: the store knows of a hold or pause that we don't. Keep will
// say which, and whether it is the lane's or the account's.
func (d *Desk) heldElsewhere(p gateway.Priority) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doubt[p] = time.Now().Add(behindDefer)
}

// enter goes through the door and writes the intent. With VerdictBegun the
// attempt is on its way, or its intent is being undone; with any other the
// recipient's turn is given back.
func (d *Desk) enter(a *attempt) (verdict gateway.Verdict, err error) {
	defer func() {
		if verdict != gateway.VerdictBegun {
			a.written()
		}
	}()
	if !d.door.enter() {
		return "", errStopped
	}
	leave := d.door.leave
	defer func() {
		if leave != nil {
			leave()
		}
	}()
	verdict, err = d.intend(a)
	if err != nil || verdict != gateway.VerdictBegun {
		return verdict, err
	}
	// From here the message is ours: no caller's impatience matters any more.
	a.leave, leave = sync.OnceValue(leave), nil
	d.noticed(a)
	if time.Since(a.startedAt) > gateAllowance { // too little is left of the intent
		a.leave()
		d.running.Go(func() { d.undo(a) })
		return verdict, nil
	}
	d.running.Go(func() { d.carryOut(a) })
	return verdict, nil
}

// nonceLength is enough to tell one message's attempts apart: 50 bits.
const nonceLength = 10

// intend writes the intent. An answer that was lost may have been a yes, so it
// asks again with the same nonce until it knows.
func (d *Desk) intend(a *attempt) (verdict gateway.Verdict, err error) {
	a.nonce = rand.Text()[:nonceLength]
	a.startedAt = time.Now()
	in := gateway.Intent{
		Lease: d.Lease, Task: a.task, Nonce: a.nonce,
		Deadline: gateAllowance + a.account.Timeout + time.Second,
		Files:    a.kept(),
	}
	sure := true
	err = d.insist("begin", func(ctx context.Context) (err error) {
		verdict, a.call.Attempt, err = d.Store.Begin(ctx, in)
		sure = sure && err == nil
		return err
	})
	if err != nil {
		return "", fmt.Errorf("begin %s: %w", a.task.Message, err)
	}
	if !sure && verdict == gateway.VerdictDropped {
		// Our own intent may have passed its deadline while the store was away.
		a.call.Attempt = nextNumber(a.record)
		d.running.Go(func() { d.takeBack(a) })
	}
	return verdict, nil
}

// nextNumber is the number the message's next attempt will have.
func nextNumber(rec *gateway.Record) int {
	if n := len(rec.Attempts); n > 0 {
		return rec.Attempts[n-1].Number + 1
	}
	return 1
}

// park has the message come back later; its task is done with.
func (d *Desk) park(ctx context.Context, t gateway.Task, wait time.Duration, behind bool) error {
	_, err := persist(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, d.Store.Defer(ctx, d.account, t, wait, behind)
	})
	d.wakeFor(time.Now().Add(wait))
	return err
}

// refuse ends a message that can't be sent, without an attempt.
func (d *Desk) refuse(ctx context.Context, t gateway.Task, why *gateway.Error) error {
	_, err := persist(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, d.Store.Refuse(ctx, d.account, t, why)
	})
	if err != nil {
		return err
	}
	d.Wake() // somebody may be waiting for the notice
	d.Metrics.refused.WithLabelValues(string(why.Class)).Inc()
	d.Log.InfoContext(ctx, "message refused", "message", t.Message, "class", why.Class, "code", why.Code)
	return nil
}

// wakeFor has Keep called in time for something that is due then, unless it is
// going to be anyway.
func (d *Desk) wakeFor(due time.Time) {
	d.mu.Lock()
	early := d.kept.next.IsZero() || due.Before(d.kept.next)
	if early {
		d.kept.next = due
	}
	d.mu.Unlock()
	if early {
		d.Wake()
	}
}
