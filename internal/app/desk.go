package app

import (
	"context"
	"sync"
	"time"

	"sluice/internal/callback/outbound"
	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// desk is what the queue keeps for one account: its sender, the courier's
// round that tells callers what became of their messages, and the monitor of
// its provider.
type desk struct {
	*sender.Desk
	round   *outbound.Round
	monitor *monitor
}

// Keep implements queue.Desk.
func (d *desk) Keep(ctx context.Context) (next time.Time, lanes []gateway.Priority, err error) {
	d.monitor.look()
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
	d.round.Stop()
	d.Desk.Stop()
}

// Drain implements queue.Desk.
func (d *desk) Drain(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { d.round.Drain(ctx) })
	d.Desk.Drain(ctx)
	both.Wait()
	d.monitor.drain()
}
