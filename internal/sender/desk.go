package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/gateway"
)

// Options are what a desk works with. All are needed but Media and Links.
type Options struct {
	// Account is the account's configuration in force, and the provider made
	// from it; they change together. It is asked often.
	Account func() (*gateway.Account, Provider)
	Lease   gateway.Lease
	Alive   func() bool // whether the lease holds at this moment
	Wake    func()      // has the queue look at ShutUntil and call Keep soon

	Store  Store
	Queue  Queue
	Pacer  Pacer
	Slots  Slots
	Pairs  Pairs
	Media  Media // nil: linked files are not looked at
	Links  Links // nil: no callback URLs
	Client *http.Client

	Backoff func(spent int) time.Duration // the wait after so many attempts that count
	Log     *slog.Logger
	Metrics *Metrics
}

// Desk is the sending side of one account, from taking it over until letting it
// go. It is safe for concurrent use.
type Desk struct {
	Options

	account      gateway.AccountID
	breaker      *breaker
	recipients   recipients
	lookers      map[gateway.Priority]chan struct{} // holds a token for each file that is looked at
	lookPatience time.Duration                      // how long a lane waits for one
	door         door

	// working ends with Stop: nothing waits for its turn any longer. recording
	// ends with Drain's patience: calls are cut off, and what was not recorded
	// then is lost to us, and found by the next owner.
	working, recording context.Context //nolint:containedctx // the desk's two lifetimes, which no caller's context outlives
	stop, abandon      context.CancelFunc

	mu                   sync.Mutex
	stopped              bool
	applied              *gateway.Account               // whose rate and cap are in force
	held                 time.Time                      // by this desk's own attempts
	doubt                map[gateway.Priority]time.Time // until when the store is taken to hold a lane
	kept                 chores                         // as of the last Keep
	looked               bool                           // there was one
	throttled, suspended streak
	behindAt             time.Time // the next message comes back that was behind another
	readmitted           time.Time // what waited for room in the tier, last
	running              sync.WaitGroup
	announce             chan struct{} // holds a token while the breaker's state is written
}

// chores is what the store said when it was last asked.
type chores struct {
	held   time.Time
	paused []gateway.Priority
	next   time.Time // or sooner, by wakeFor; zero: Keep runs, or nothing waits
	beyond int       // messages that wait for room in the tier
}

// NewDesk opens a desk.
func NewDesk(o Options) *Desk {
	d := &Desk{Options: o, account: o.Lease.Account, doubt: make(map[gateway.Priority]time.Time), announce: make(chan struct{}, 1), lookers: make(map[gateway.Priority]chan struct{}), lookPatience: lookPatience}
	for _, p := range gateway.Priorities() {
		d.lookers[p] = make(chan struct{}, lookersMost)
	}
	d.Log = o.Log.With("account", d.account)
	d.working, d.stop = context.WithCancel(context.Background())
	d.recording, d.abandon = context.WithCancel(context.Background())
	account, _ := d.current()
	d.breaker = newBreaker(account.Timeout, func(state gateway.BreakerState) {
		d.Log.Warn("breaker", "state", state)
		d.Wake()
		d.running.Go(d.announceBreaker)
	})
	d.running.Go(d.announceBreaker) // the owner before may have left another state
	return d
}

// current is the configuration in force, which is applied to the limits when it
// has changed.
func (d *Desk) current() (*gateway.Account, Provider) {
	d.mu.Lock()
	defer d.mu.Unlock()
	account, provider := d.Account() // under the lock, so that an older one isn't applied last
	if account != d.applied {
		if d.applied != nil && (d.suspended.n > 0 || d.kept.held.After(time.Now())) && !d.stopped {
			d.running.Go(func() { d.lift(true) })
		}
		if d.kept.beyond > 0 && account.Tier != d.applied.Tier {
			d.Wake() // there may be room
		}
		d.applied = account
		d.Pacer.SetRate(account.Rate)
		d.Slots.SetMax(account.InFlightCap())
		var pair gateway.PairLimit
		if p, ok := provider.(PairLimited); ok {
			pair = p.PairLimit()
		}
		d.Pairs.SetLimit(pair)
	}
	return account, provider
}

// lift ends a hold for what the configuration may just have mended, whether
// this desk came to it or an owner before did. One that callbacks told of is
// ended only if told is true: what is sent too early is taken and fails.
func (d *Desk) lift(told bool) {
	var lifted bool
	err := d.insist("lift", func(ctx context.Context) (err error) {
		lifted, err = d.Store.Lift(ctx, d.account, gateway.OutcomeSuspended, told)
		return err
	})
	if err != nil {
		d.Log.Error("a hold wasn't lifted", "err", err)
		return
	}
	d.mu.Lock()
	if d.suspended.n > 0 {
		d.suspended, d.held = streak{}, time.Time{}
		lifted = true // perhaps by a call whose answer was lost
	}
	if lifted {
		d.kept.held = time.Time{}
	}
	d.mu.Unlock()
	if !lifted {
		return
	}
	d.Log.Info("the account was held for its credentials and is tried again")
	d.Wake()
}

// Stop ends all begins. Attempts that have begun go on; those about to begin
// get a moment to.
func (d *Desk) Stop() {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.stop()
	d.door.shut(stopPatience)
}

// stopPatience is how long Stop waits for attempts between their intent and the
// gate. It takes longer only when Redis doesn't answer.
const stopPatience = 250 * time.Millisecond

// Drain waits until the attempts begun are recorded, or ctx ends.
func (d *Desk) Drain(ctx context.Context) {
	defer d.abandon()
	defer context.AfterFunc(ctx, d.abandon)()
	d.running.Wait()
}

// NextSendIn is how long the next owner must wait before its first send.
func (d *Desk) NextSendIn() time.Duration { return d.Pacer.NextIn() }

// pausedFor is how far ahead the end of a pause is assumed: an operator ends
// it, and the queue hears of that.
const pausedFor = time.Hour

// ShutUntil says until when no attempt of the lane may begin; zero: it may.
func (d *Desk) ShutUntil(p gateway.Priority) time.Time {
	account, _ := d.current()
	until := d.breaker.openUntil()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range []time.Time{d.held, d.kept.held, d.doubt[p]} {
		if t.After(until) {
			until = t
		}
	}
	if now := time.Now(); account.Paused || slices.Contains(d.kept.paused, p) {
		return now.Add(pausedFor)
	} else if !until.After(now) {
		return time.Time{}
	}
	return until
}

// Keep does what is due for the account and puts what comes of it into the
// lanes. next is when it wants to be called again at the latest.
func (d *Desk) Keep(ctx context.Context) (next time.Time, lanes []gateway.Priority, err error) {
	for began := time.Now(); ; {
		var more bool
		var got []gateway.Priority
		next, got, more, err = d.keepOnce(ctx)
		lanes = union(lanes, got)
		if err != nil || !more || time.Since(began) >= keepFor {
			break
		}
	}
	d.mu.Lock()
	beyond := d.kept.beyond
	d.mu.Unlock()
	if err != nil || beyond == 0 {
		return next, lanes, err
	}
	again, got, err := d.readmit(ctx)
	d.mu.Lock()
	if !again.IsZero() && (next.IsZero() || again.Before(next)) {
		next = again
	}
	if d.kept.next.IsZero() || next.Before(d.kept.next) {
		d.kept.next = next
	}
	d.mu.Unlock()
	return next, union(lanes, got), err
}

// keepFor bounds one Keep when very much is due at one time: the lanes open for
// what there is when it returns. The store does a hundred of each kind in a round,
// so that no script holds it up.
const keepFor = 200 * time.Millisecond

func (d *Desk) keepOnce(ctx context.Context) (next time.Time, lanes []gateway.Priority, more bool, err error) {
	account, _ := d.current()
	d.mu.Lock()
	d.kept.next = time.Time{} // what is written from here on may be missing in the answer
	d.mu.Unlock()
	got, err := d.Store.Keep(ctx, d.Lease, account.MaxAttempts)
	if err != nil {
		return time.Time{}, nil, false, err
	}
	now := time.Now()
	if got.NextIn > 0 {
		next = now.Add(got.NextIn)
	}
	d.mu.Lock()
	if due := d.kept.next; !due.IsZero() && (next.IsZero() || due.Before(next)) {
		next = due
	}
	d.kept = chores{paused: got.Paused, next: next, beyond: got.Beyond}
	if got.HeldFor > 0 {
		d.kept.held = now.Add(got.HeldFor)
		if !d.looked && d.suspended.n == 0 && !d.stopped {
			d.running.Go(func() { d.lift(false) }) // the owner before may have had another configuration
		}
	}
	d.looked = true
	d.mu.Unlock()
	if got.Share > 0 {
		d.Pacer.Resume(gateway.Ramp{Share: got.Share, From: now.Add(got.GrowsIn)})
	}
	lanes, err = d.enqueue(ctx, got.Tasks)
	return next, lanes, got.More, err
}

// Adopt gives fresh tasks to messages whose tasks died with another worker.
func (d *Desk) Adopt(ctx context.Context, ids []gateway.MessageID) error {
	tasks, err := d.Store.Adopt(ctx, d.Lease, ids)
	if err != nil {
		return err
	}
	_, err = d.enqueue(ctx, tasks)
	return err
}

// enqueue puts tasks into their lanes, each lane's in this order, and strikes
// those that are there from the outbox.
func (d *Desk) enqueue(ctx context.Context, tasks []gateway.Task) (lanes []gateway.Priority, err error) {
	there := make([]bool, len(tasks))
	var g errgroup.Group
	for _, p := range gateway.Priorities() {
		g.Go(func() error {
			for i, t := range tasks {
				if t.Priority != p {
					continue
				}
				if err := d.Queue.Enqueue(ctx, d.account, t); err != nil {
					return err
				}
				there[i] = true
			}
			return nil
		})
	}
	err = g.Wait()
	var done []gateway.Task
	for i, t := range tasks {
		if !there[i] {
			continue
		}
		done = append(done, t)
		if !slices.Contains(lanes, t.Priority) {
			lanes = append(lanes, t.Priority)
		}
	}
	return lanes, errors.Join(err, d.Store.Enqueued(ctx, d.account, done...))
}

// hold stops the account for a while because of a call that was sent then, here
// at once and then for every reader. After a throttle it comes back slower.
func (d *Desk) hold(r gateway.Result, wait time.Duration, sent time.Time) {
	until := time.Now().Add(wait)
	d.mu.Lock()
	d.held = later(d.held, until)
	until = d.held
	d.mu.Unlock()
	share := 0.0
	if r.Outcome == gateway.OutcomeThrottled {
		share = d.Pacer.Slow(sent, until).Share
	}
	reason := "the provider asked to wait"
	if r.Error != nil && r.Error.Title != "" {
		reason = r.Error.Title
	}
	err := d.insist("hold", func(ctx context.Context) error {
		return d.Store.Hold(ctx, d.account, wait, r.Outcome, reason, r.Scope, share)
	})
	if err != nil {
		d.Log.Error("a hold wasn't written", "err", err)
	}
	d.mu.Lock()
	if r.Outcome == gateway.OutcomeSuspended {
		d.suspended.stands()
	} else {
		d.throttled.stands()
	}
	d.mu.Unlock()
	line := []any{"for", wait, "outcome", r.Outcome, "scope", r.Scope}
	if r.Error != nil {
		line = append(line, "code", r.Error.Code)
	}
	d.Log.Warn("account held", line...)
	d.Wake()
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// announceBreaker writes the breaker's state for readers. The last writer finds
// the last state.
func (d *Desk) announceBreaker() {
	d.announce <- struct{}{}
	defer func() { <-d.announce }()
	state := d.breaker.state()
	err := d.insist("breaker", func(ctx context.Context) error { return d.Store.SetBreaker(ctx, d.account, state) })
	if err != nil {
		d.Log.Error("the breaker's state wasn't written", "state", state, "err", err)
	}
}

const (
	writeTimeout = 5 * time.Second // of one try of a write that must not be lost
	writePause   = 200 * time.Millisecond
)

// insist repeats a write until the store confirms it, or Drain gives up. It
// belongs to no caller: what has happened must be written, whoever lost
// patience.
func (d *Desk) insist(act string, write func(context.Context) error) error {
	for {
		ctx, cancel := context.WithTimeout(d.recording, writeTimeout)
		err := write(ctx)
		cancel()
		if err == nil || !errors.Is(err, gateway.ErrUnavailable) {
			return err
		}
		if pause(d.recording, writePause) != nil {
			return fmt.Errorf("%s: given up: %w", act, err)
		}
	}
}

// persist repeats a read or a write of Process until the store answers or ctx
// ends. Without the store nothing can be sent, so there is nothing better to do.
func persist[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for {
		got, err := ask(ctx)
		if err == nil || !errors.Is(err, gateway.ErrUnavailable) {
			return got, err
		}
		if pause(ctx, writePause) != nil {
			return got, err
		}
	}
}

// pause waits for d, or fails with ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
