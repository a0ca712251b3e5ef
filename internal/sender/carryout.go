package sender

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/gateway"
)

// carryOut makes the call of an attempt that has begun and records what came of
// it.
func (d *Desk) carryOut(a *attempt) {
	defer a.leave()
	sent := time.Now()
	d.Metrics.begun(a.record, a.call.Attempt, sent)
	result, lost, err := d.ask(a, sent)
	if err != nil {
		d.Metrics.undone()
		d.undo(a)
		return
	}
	took := time.Since(sent)
	d.Metrics.ended(a.account.Provider, result.Outcome, took)

	d.mu.Lock()
	strikes := strikes{message: throttledInARow(a.record.Attempts)}
	switch result.Outcome {
	case gateway.OutcomeThrottled:
		if result.Scope.Wide() {
			strikes.throttled = d.throttled.strike(a.startedAt)
		}
	case gateway.OutcomeSuspended:
		strikes.suspended = d.suspended.strike(a.startedAt)
	case gateway.OutcomeAccepted:
		d.throttled.end(a.startedAt)
		d.suspended.end(a.startedAt)
	case gateway.OutcomeRejected, gateway.OutcomeTransient, gateway.OutcomeUnknown:
	}
	d.mu.Unlock()

	next := decide(result, a.account, a.record.Spent, strikes, d.Backoff)
	if next.hold > 0 {
		d.hold(result, next.hold, sent) // before the record, so that nothing of ours begins in between
	}
	if result.Outcome == gateway.OutcomeThrottled && result.Scope == gateway.ScopePair {
		d.Pairs.Refused(a.record.Recipient, next.retryIn)
	}
	if outage(result) && !lost {
		d.release(a, errOutage)
	} else {
		d.release(a, nil)
	}
	d.record(a, sent, result, next)

	line := []any{"message", a.task.Message, "attempt", a.call.Attempt, "outcome", result.Outcome, "took", took.Round(time.Microsecond)}
	level := slog.LevelInfo
	if e := result.Error; e != nil {
		line = append(line, "code", e.Code)
		level = slog.LevelWarn
	}
	d.Log.Log(context.Background(), level, "attempt", line...)
}

// ask makes the call with its own time limit, which no caller's impatience
// shortens, but Drain's at the very end. lost: the provider has lost a file that
// was uploaded for the message. The error is errNotMade.
func (d *Desk) ask(a *attempt, now time.Time) (r gateway.Result, lost bool, err error) {
	if d.Links != nil {
		a.call.CallbackURL = d.Links.For(d.account, a.task.Message, a.call.Attempt)
	}
	by := a.startedAt.Add(gateAllowance + a.account.Timeout)
	if limit := now.Add(a.account.Timeout); limit.Before(by) {
		by = limit
	}
	ctx, cancel := context.WithDeadline(d.recording, by)
	defer cancel()
	depart := func(ctx context.Context) error { return d.depart(ctx, a) }
	result, answer, err := d.call(ctx, a.provider, a.call, depart, a.written)
	if err != nil {
		return result, false, err
	}
	for range recoveries {
		if !d.recovered(ctx, a.provider, a.call, result, answer) {
			break
		}
		again, next, err := d.call(ctx, a.provider, a.call, depart, a.written)
		if err != nil {
			return result, false, err // what was refused took nothing, and its cause is mended
		}
		result, answer = again, next
	}
	r, lost = d.lostUpload(ctx, a, result, answer)
	return r, lost, nil
}

// depart waits for the call's place among the others and takes the last look:
// only then may bytes leave. It is asked when a connection is in hand, and again
// for one that replaces it.
func (d *Desk) depart(ctx context.Context, a *attempt) error {
	gate, cancel := context.WithTimeout(ctx, gateAllowance)
	defer cancel()
	if err := d.Pacer.Gate(gate); err != nil {
		return err
	}
	again := a.departed
	a.departed = true
	if !a.leave() || !d.Alive() || again && d.working.Err() != nil { // after a release the next owner sends
		return errNotMade
	}
	return nil
}

// record writes the outcome, however long the store takes.
func (d *Desk) record(a *attempt, sent time.Time, r gateway.Result, next decision) {
	e := gateway.Ending{
		Message: a.task.Message, Nonce: a.nonce, Next: next.next, RetryIn: next.retryIn, Spent: next.spent,
		ProviderMessageID: r.ProviderMessageID, Alias: r.Alias, Error: r.Error, Suppress: r.Suppress,
		Attempt: gateway.Attempt{Number: a.call.Attempt, StartedAt: sent, EndedAt: time.Now(), Outcome: r.Outcome},
	}
	if r.Error != nil {
		e.Attempt.Code, e.Attempt.Detail = r.Error.Code, r.Error.Title
	}
	d.write(a, e)
}

// takeBack records that an attempt was not made after all.
func (d *Desk) takeBack(a *attempt) {
	now := time.Now()
	d.write(a, gateway.Ending{
		Message: a.task.Message, Nonce: a.nonce, Next: gateway.StatusQueued,
		Attempt: gateway.Attempt{
			Number: a.call.Attempt, StartedAt: now, EndedAt: now, Outcome: gateway.OutcomeTransient,
			Code: "not_made", Detail: "the worker let go of the account before the call",
		},
	})
}

// undo takes an attempt back that has begun.
func (d *Desk) undo(a *attempt) {
	d.release(a, errNotMade)
	d.takeBack(a)
	d.Log.Info("attempt not made", "message", a.task.Message, "attempt", a.call.Attempt)
}

// noticed has the message's caller told of a change soon, if they asked for
// that.
func (d *Desk) noticed(a *attempt) {
	if a.record.CallbackURL != "" {
		d.Wake()
	}
}

func (d *Desk) write(a *attempt, e gateway.Ending) {
	err := d.insist("record", func(ctx context.Context) error { return d.Store.Record(ctx, d.account, e) })
	if err != nil {
		d.Log.Error("an outcome wasn't recorded", "message", e.Message, "attempt", e.Attempt.Number, "outcome", e.Attempt.Outcome, "err", err)
		return
	}
	d.noticed(a)
	due := time.Now().Add(e.RetryIn)
	switch {
	case e.Next == gateway.StatusUnknown && a.record.OnUnknown == gateway.ResendUnknown:
		due = due.Add(a.account.UnknownGrace)
	case e.Next != gateway.StatusQueued:
		return
	}
	if d.Alive() {
		d.wakeFor(due)
		return
	}
	// Whoever owns the account now doesn't know that something waits there.
	if err := d.insist("remind", func(ctx context.Context) error { return d.Store.Remind(ctx, d.account) }); err != nil {
		d.Log.Error("the next owner wasn't told", "err", err)
	}
}

// release gives back what the attempt had.
func (d *Desk) release(a *attempt, how error) {
	a.written()
	a.done(how)
	d.Slots.Release(a.task.Priority)
}
