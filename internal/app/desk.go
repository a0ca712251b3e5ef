package app

import (
	"context"
	"sync"
	"time"

	"sluice/internal/callback/outbound"
	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/store"
)

// desk is what the queue keeps for one account: its sender, the courier's round
// that tells callers what became of their messages, the polls that ask the
// provider where it can't tell or its answer was lost, and the monitor of its health.
type desk struct {
	*sender.Desk
	round   *outbound.Round
	polls   *sender.Polls
	monitor *monitor
}

// pollPatience is how long a message may wait that the owner before has left to
// be asked after.
const pollPatience = time.Minute

// recorder is a store that has what was accepted, or became unknown, asked after.
type recorder struct {
	*store.Store
	polls *sender.Polls
}

// Record implements sender.Store.
func (r recorder) Record(ctx context.Context, account gateway.AccountID, e gateway.Ending) error {
	err := r.Store.Record(ctx, account, e)
	if err == nil {
		r.expect(account, e.Next)
	}
	return err
}

// Keep implements sender.Store.
func (r recorder) Keep(ctx context.Context, lease gateway.Lease, maxAttempts int) (gateway.Chores, error) {
	chores, err := r.Store.Keep(ctx, lease, maxAttempts)
	if chores.Doubts {
		r.expect(lease.Account, gateway.StatusUnknown)
	}
	return chores, err
}

// expect has the polls look in time for what was recorded so.
func (r recorder) expect(account gateway.AccountID, status gateway.Status) {
	if first := r.FirstPoll(account, status); first > 0 {
		r.polls.Expect(first)
	}
}

// Keep implements queue.Desk.
func (d *desk) Keep(ctx context.Context) (next time.Time, lanes []gateway.Priority, err error) {
	d.monitor.look()
	d.polls.Expect(pollPatience)
	next, lanes, err = d.Desk.Keep(ctx)
	if err != nil {
		return next, lanes, err
	}
	notices, err := d.round.Look(ctx)
	if next.IsZero() || !notices.IsZero() && notices.Before(next) {
		next = notices
	}
	return next, lanes, err
}

// Stop implements queue.Desk.
func (d *desk) Stop() {
	d.monitor.close()
	d.polls.Stop()
	d.round.Stop()
	d.Desk.Stop()
}

// Drain implements queue.Desk.
func (d *desk) Drain(ctx context.Context) {
	var others sync.WaitGroup
	others.Go(func() { d.round.Drain(ctx) })
	others.Go(func() { d.polls.Drain(ctx) })
	d.Desk.Drain(ctx)
	others.Wait()
	d.monitor.drain()
}
