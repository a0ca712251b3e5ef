package sender

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sluice/internal/gateway"
)

const (
	// readmitGap lets those that were brought back ask for their place before
	// others are.
	readmitGap = 2 * time.Second
	// readmitLeast and readmitMost bound how many come back at one time: about
	// what can be sent until the next.
	readmitLeast = 100
	readmitMost  = 2000
)

// beyondTier asks for the message's recipient to be counted against the tier. If
// the tier is full the message is parked until there is room; messages to those
// who are counted already go on.
func (d *Desk) beyondTier(ctx context.Context, a *attempt) (beyond bool, err error) {
	tier := a.account.Tier
	if a.admitted || tier.Limit == 0 {
		return false, nil
	}
	a.admitted, err = persist(ctx, func(ctx context.Context) (bool, error) { return d.Store.Admit(ctx, tier, a.record.Recipient) })
	if err != nil || a.admitted {
		return false, err
	}
	_, err = persist(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, d.Store.Await(ctx, d.account, a.task) })
	d.wakeFor(time.Now().Add(readmitGap)) // Keep finds out how long
	return true, err
}

// readmit brings back messages that wait for room in the tier, as many as there
// is room for. next is when to look again.
func (d *Desk) readmit(ctx context.Context) (next time.Time, lanes []gateway.Priority, err error) {
	account, _ := d.current()
	now := time.Now()
	d.mu.Lock()
	wait := d.readmitted.Add(readmitGap).Sub(now)
	d.mu.Unlock()
	if wait > 0 {
		return now.Add(wait), nil, nil
	}
	most := min(max(int(account.Rate*readmitGap.Seconds()), readmitLeast), readmitMost)
	if account.Tier.Limit > 0 {
		room, fullFor, err := d.Store.TierRoom(ctx, account.Tier)
		if err != nil {
			return time.Time{}, nil, fmt.Errorf("readmit messages of %s: %w", d.account, err)
		}
		if room == 0 {
			return now.Add(fullFor), nil, nil
		}
		most = min(most, room)
	}
	d.mu.Lock()
	d.readmitted = now
	d.mu.Unlock()
	for most > 0 {
		tasks, err := d.Store.Release(ctx, d.Lease, most)
		if err != nil {
			return time.Time{}, lanes, err
		}
		got, err := d.enqueue(ctx, tasks)
		lanes = union(lanes, got)
		if err != nil || len(tasks) == 0 {
			return now.Add(readmitGap), lanes, err
		}
		most -= len(tasks)
	}
	return now.Add(readmitGap), lanes, nil
}

// union adds the lanes of b that a doesn't have.
func union(a, b []gateway.Priority) []gateway.Priority {
	for _, p := range b {
		if !slices.Contains(a, p) {
			a = append(a, p)
		}
	}
	return a
}
