package outbound

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sluice/internal/gateway"
)

// Round tells the notices of one account, from taking it over until letting it
// go. Look is called by one goroutine at a time; Stop and Drain from anywhere.
type Round struct {
	c     *Courier
	lease gateway.Lease
	wake  func()
	log   *slog.Logger

	// working ends with Stop: nothing waits for its turn any longer. recording
	// ends with Drain's patience: calls are cut off, and what was not recorded
	// then is told again by the next owner.
	working, recording context.Context //nolint:containedctx // the round's two lifetimes, which no caller's context outlives
	stop, abandon      context.CancelFunc

	mu      sync.Mutex
	stopped bool
	next    time.Time // when Look is called next at the latest; zero: it runs, or nothing waits
	running sync.WaitGroup
}

// noRoomWait is when to look again if all the room was taken, by whichever
// account.
const noRoomWait = 100 * time.Millisecond

// Open begins a round. wake has Look called soon; it must not block and may be
// called from anywhere, also after Stop.
func (c *Courier) Open(lease gateway.Lease, wake func()) *Round {
	r := &Round{c: c, lease: lease, wake: wake, log: c.o.Log.With("account", lease.Account)}
	r.working, r.stop = context.WithCancel(context.Background())
	r.recording, r.abandon = context.WithCancel(context.Background())
	return r
}

// Look claims what is due, as far as there is room, and has it delivered in the
// background. next is when it wants to be called again at the latest; zero: not
// before wake says so. It waits for the store and for no receiver.
func (r *Round) Look(ctx context.Context) (next time.Time, err error) {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return time.Time{}, nil
	}
	r.running.Add(1)
	r.next = time.Time{} // what is written from here on may be missing in the answer
	r.mu.Unlock()
	defer r.running.Done()

	asked := time.Now()
	room := r.c.reserve()
	if room == 0 {
		return r.nextAt(asked.Add(noRoomWait)), nil
	}
	defer r.c.unreserve(room)
	notices, nextIn, err := r.c.o.Store.DueNotices(ctx, r.lease, room)
	if err != nil {
		return time.Time{}, fmt.Errorf("claim notices of %s: %w", r.lease.Account, err)
	}
	patience := asked.Add(claim - claimMargin - r.c.o.Timeout)
	for i := range notices {
		if n := &notices[i]; r.c.take(n) {
			r.begin(n, patience)
		}
	}
	switch {
	case len(notices) >= room:
		next = time.Now() // there may be more
	case nextIn > 0:
		next = time.Now().Add(nextIn)
	}
	return r.nextAt(next), nil
}

// nextAt is the earlier of the time given and what was written meanwhile.
func (r *Round) nextAt(at time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next.IsZero() || !at.IsZero() && at.Before(r.next) {
		r.next = at
	}
	return r.next
}

// dueIn has Look called when a notice that was put back is due again.
func (r *Round) dueIn(d time.Duration) {
	at := time.Now().Add(d)
	r.mu.Lock()
	sooner := r.next.IsZero() || at.Before(r.next)
	if sooner {
		r.next = at
	}
	r.mu.Unlock()
	if sooner {
		r.wake()
	}
}

// Stop ends all claims. Calls under way go on; what waits for its turn is given
// back.
func (r *Round) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.stop()
}

// Drain stops, and waits until what came of every notice in hand is written, or
// ctx ends.
func (r *Round) Drain(ctx context.Context) {
	r.Stop()
	defer r.abandon()
	defer context.AfterFunc(ctx, r.abandon)()
	r.running.Wait()
}

// begin sees to one notice in the background. Who has waited longest is taken
// in hand first.
func (r *Round) begin(n *gateway.Notice, patience time.Time) {
	name := receiverOf(n.URL)
	if name == "" {
		r.running.Go(func() {
			defer r.c.letGo(n)
			r.drop(n, "", errURL())
		})
		return
	}
	rc, off := r.c.receivers.enter(name, time.Now())
	r.running.Go(func() {
		defer r.c.letGo(n)
		if off != nil {
			r.putOff(n, name, off)
			return
		}
		defer r.c.receivers.leave(rc)
		r.deliver(n, rc, patience)
	})
}

// deliver waits for the notice's turn and makes the call.
func (r *Round) deliver(n *gateway.Notice, rc *receiver, patience time.Time) {
	ctx, cancel := context.WithDeadline(r.working, patience)
	defer cancel()
	// The receiver's slot first: who waits for it takes none of the others'.
	if !acquire(ctx, rc.slots) {
		r.giveBack(n, rc)
		return
	}
	if !acquire(ctx, r.c.slots) {
		<-rc.slots
		r.giveBack(n, rc)
		return
	}
	probe, off := r.c.receivers.begin(rc, time.Now())
	if off != nil {
		<-r.c.slots
		<-rc.slots
		r.putOff(n, rc.name, off)
		return
	}
	r.c.metrics.open.Inc()
	began := time.Now()
	a := r.c.try(r.recording, n)
	ended := time.Now()
	r.c.metrics.open.Dec()
	<-r.c.slots
	<-rc.slots
	if r.recording.Err() != nil {
		return // cut off, which says nothing of the receiver; the claim runs out
	}
	if a.void == nil { // else nobody was called
		r.c.metrics.seconds.Observe(ended.Sub(began).Seconds())
		r.c.receivers.ended(rc, probe, !a.busy(), ended.Sub(began), a.after, ended)
	}
	n.Tries++
	if n.Since.IsZero() {
		n.Since = began
	}
	r.settle(n, rc.name, a, ended)
}

// acquire takes a slot. It takes none once ctx has ended.
func acquire(ctx context.Context, slots chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle records what came of a try.
func (r *Round) settle(n *gateway.Notice, receiver string, a answer, now time.Time) {
	switch {
	case a.void != nil:
		r.drop(n, receiver, a.void)
	case a.confirmed():
		r.c.metrics.confirmed(n.At, now)
		r.write("confirm", n, func(ctx context.Context) error { return r.c.o.Store.NoticeDone(ctx, r.lease.Account, *n) }, r.wake)
	case a.status == http.StatusGone:
		r.drop(n, receiver, errGone())
	case now.Sub(n.Since) >= day:
		r.drop(n, receiver, errUnconfirmed("the last try: "+a.String()))
	default:
		r.c.metrics.became(resultFailed)
		r.log.Debug("a callback wasn't confirmed", "message", n.Message, "number", n.Number, "tries", n.Tries, "receiver", receiver, "answer", a.String())
		wait := r.c.waitAfter(n.Tries, a.after)
		// The last try is when the day ends, unless the receiver asked for more.
		r.again(n, min(wait, max(n.Since.Add(day).Sub(now), a.after)))
	}
}

// giveBack is for a notice that didn't get its turn.
func (r *Round) giveBack(n *gateway.Notice, rc *receiver) {
	if r.working.Err() != nil {
		r.again(n, 0) // the next owner's
		return
	}
	r.putOff(n, rc.name, r.c.receivers.off(rc, time.Now()))
}

// putOff puts a notice off that no call was made for. It counts no try, but for
// a receiver that is shut the day begins: the probes stand for its tries.
func (r *Round) putOff(n *gateway.Notice, receiver string, off *putOff) {
	if now := time.Now(); off.shut {
		if n.Since.IsZero() {
			n.Since = now
		}
		if now.Sub(n.Since) >= day {
			r.drop(n, receiver, errUnconfirmed("the receiver doesn't answer"))
			return
		}
	}
	r.c.metrics.became(resultPutOff)
	r.again(n, off.wait)
}

func (r *Round) again(n *gateway.Notice, wait time.Duration) {
	r.write("put back", n, func(ctx context.Context) error {
		return r.c.o.Store.NoticeFailed(ctx, r.lease.Account, *n, wait)
	}, func() { r.dueIn(wait) })
}

func (r *Round) drop(n *gateway.Notice, receiver string, why *gateway.Error) {
	r.c.metrics.became(resultDropped)
	r.log.Warn("a callback is given up", "message", n.Message, "number", n.Number, "tries", n.Tries, "receiver", receiver, "code", why.Code, "detail", why.Detail)
	r.write("drop", n, func(ctx context.Context) error { return r.c.o.Store.NoticeDropped(ctx, r.lease.Account, *n, why) }, r.wake)
}

const (
	writeTimeout = 5 * time.Second // of one try of a write that must not be lost
	writePause   = 200 * time.Millisecond
)

// write repeats a write until the store confirms it, or Drain gives up. It
// belongs to no caller: what has happened must be written, whoever lost
// patience. Without it the notice is told again when its claim runs out.
func (r *Round) write(act string, n *gateway.Notice, write func(context.Context) error, written func()) {
	for {
		ctx, cancel := context.WithTimeout(r.recording, writeTimeout)
		err := write(ctx)
		cancel()
		if err == nil {
			written()
			return
		}
		if !errors.Is(err, gateway.ErrUnavailable) || !pause(r.recording, writePause) {
			r.log.Error("what came of a callback wasn't written", "act", act, "message", n.Message, "number", n.Number, "err", err)
			return
		}
	}
}

// pause waits for d, and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
