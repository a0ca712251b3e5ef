package limits

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sluice/internal/gateway"
)

// Pacer keeps the rate of one account. A message passes it twice: Wait gives
// it a token and so the right to begin, Gate lets its bytes leave. Between the
// two lies the work of beginning, which takes now more, now less time; so it
// is the gate that makes the rate true, and the tokens that keep the gate free
// of queues. It is safe for concurrent use and runs nothing while nobody waits.
type Pacer struct {
	mu      sync.Mutex
	full    float64      // as configured
	ramp    gateway.Ramp // what a throttle left of it
	rate    float64      // in force
	opens   time.Time    // no token before
	tokens  *rate.Limiter
	waiting waiters
	turn    *rate.Reservation // the token that the first waiter will get; nil if nobody waits
	alarm   *time.Timer       // goes off when the turn has come

	gate    spacing
	atGate  int           // callers inside Gate
	barrier chan struct{} // held by the one who may pass next; a channel serves its waiters in order
}

const (
	minRate = 0.001
	// tick is the shortest wait worth a timer. Tokens and passages that fall
	// due meanwhile are made up for by the burst and by lateness.
	tick = 500 * time.Microsecond
)

// NewPacer makes a pacer for rate messages in any sliding second. A fraction
// counts only below 1; what isn't positive counts as one message in 1,000
// seconds. Nothing passes before firstIn: it is what NextIn said to the owner
// before.
func NewPacer(perSecond float64, firstIn time.Duration) *Pacer {
	now := time.Now()
	p := &Pacer{
		full:    sane(perSecond),
		rate:    sane(perSecond),
		opens:   now.Add(firstIn),
		barrier: make(chan struct{}, 1),
	}
	limit, burst := tokenPace(p.rate)
	p.tokens = rate.NewLimiter(limit, burst)
	p.tokens.AllowN(now, burst-1) // a new owner begins with one token, not with a burst
	p.gate.setRate(p.rate)
	p.gate.next = p.opens
	return p
}

// Wait blocks until the caller may begin its attempt: transactional callers
// first, within a priority by order (ascending), then by arrival. It fails
// only with ctx, and then has taken nothing.
func (p *Pacer) Wait(ctx context.Context, priority gateway.Priority, order string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for token of %s: %w", order, err)
	}
	p.mu.Lock()
	p.adapt(time.Now())
	if p.waiting.len() == 0 && p.ready() {
		if now := time.Now(); !now.Before(p.opens) && p.tokens.AllowN(now, 1) {
			p.mu.Unlock()
			return nil
		}
	}
	w := p.waiting.add(priority, order)
	p.give(time.Now())
	p.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting.remove(w) && p.waiting.len() > 0 {
		p.waiting.wakeFirst() // the token had come: it is the next one's
	}
	p.give(time.Now())
	return fmt.Errorf("wait for token of %s: %w", order, ctx.Err())
}

// Gate blocks until the caller's bytes may leave. It is the last act before
// the write, and callers pass in the order they came. No sliding second holds
// more passages than the rate, with some milliseconds to spare for the
// network; after a stall nothing is made up for. It fails only with ctx.
func (p *Pacer) Gate(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait at gate: %w", err)
	}
	p.mu.Lock()
	p.adapt(time.Now())
	if p.atGate == 0 && p.gate.take(time.Now()) == 0 {
		p.mu.Unlock()
		return nil
	}
	p.atGate++
	p.mu.Unlock()

	err := p.pass(ctx)

	p.mu.Lock()
	p.atGate--
	p.give(time.Now())
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("wait at gate: %w", err)
	}
	return nil
}

// Left says that the bytes of who passed the gate then have left now. If that
// took long, because the process stood still, those behind wait for it.
func (p *Pacer) Left(passed time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.left(passed, time.Now())
}

func (p *Pacer) pass(ctx context.Context) error {
	select {
	case p.barrier <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.barrier }()
	for {
		// The caller itself looks at the clock, once it runs: a passage counts
		// from when it really happens, however late the caller was woken.
		p.mu.Lock()
		now := time.Now()
		p.adapt(now)
		wait := p.gate.take(now)
		p.mu.Unlock()
		if wait == 0 {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// SetRate changes the rate for all that comes after. A throttle goes on taking
// its part of it.
func (p *Pacer) SetRate(perSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = sane(perSecond)
	p.give(time.Now())
}

// Slow takes note of a throttle: of a call that was sent then, and for which
// nothing is sent until a time. What comes after goes at a reduced rate, which
// grows by itself. It returns the ramp, for the next owner to Resume.
func (p *Pacer) Slow(sent, until time.Time) gateway.Ramp {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ramp = Slower(p.ramp, sent, until)
	p.give(time.Now())
	return p.ramp
}

// Resume goes on with a ramp that an owner before had. One that is older than
// what is known here changes nothing.
func (p *Pacer) Resume(r gateway.Ramp) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Share <= 0 || !r.From.After(p.ramp.From) {
		return
	}
	p.ramp = r
	p.give(time.Now())
}

// adapt puts in force what the ramp leaves of the rate by now. Between two
// passages that is soon enough: nothing needs a timer of its own.
func (p *Pacer) adapt(now time.Time) {
	perSecond := RampRate(p.full, p.ramp, now)
	if perSecond == p.rate {
		return
	}
	p.dropTurn(now)
	p.rate = perSecond
	limit, burst := tokenPace(perSecond)
	p.tokens.SetLimitAt(now, limit)
	p.tokens.SetBurstAt(now, burst)
	p.gate.setRate(perSecond)
}

// NextIn is how long until the next message could leave after all who stand
// at the gate; zero if it could now. The next owner of the account begins with
// it. Callers who have a token and haven't reached the gate are not counted.
func (p *Pacer) NextIn() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next := p.gate.next.Add(time.Duration(p.atGate) * p.gate.interval).Sub(now)
	var token time.Duration
	if p.turn != nil {
		token = p.turn.DelayFrom(now)
	} else if missing := 1 - p.tokens.TokensAt(now); missing > 0 {
		token = time.Duration(missing / float64(p.tokens.Limit()) * float64(time.Second))
	}
	return max(next, token, p.opens.Sub(now), 0)
}

// give hands out the tokens that are due and sets the alarm for the next one.
// Who gets a token is decided when it is due: someone more urgent may have
// come by then.
func (p *Pacer) give(now time.Time) {
	p.adapt(now)
	for p.waiting.len() > 0 && p.ready() {
		if wait := p.opens.Sub(now); wait > 0 {
			p.setAlarm(wait)
			return
		}
		if p.turn == nil {
			p.turn = p.tokens.ReserveN(now, 1)
		}
		if wait := p.turn.DelayFrom(now); wait > 0 {
			p.setAlarm(wait)
			return
		}
		p.turn = nil
		p.waiting.wakeFirst()
	}
	if p.waiting.len() == 0 {
		p.dropTurn(now)
	}
}

// ready reports whether the gate has room. When many have begun and stand
// there, because beginning was slow for a while, more tokens would only
// lengthen the queue; the next to pass asks again.
func (p *Pacer) ready() bool {
	const backlog = 0.05 // seconds
	return float64(p.atGate) <= 2+backlog*p.rate
}

func (p *Pacer) dropTurn(now time.Time) {
	if p.turn == nil {
		return
	}
	p.turn.CancelAt(now)
	p.turn = nil
	p.alarm.Stop()
}

func (p *Pacer) setAlarm(wait time.Duration) {
	wait = max(wait, tick)
	if p.alarm != nil {
		p.alarm.Reset(wait)
		return
	}
	p.alarm = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.give(time.Now())
	})
}

// tokenPace is the limit and burst of the tokens. The burst is one until a
// token's interval is shorter than timers are precise.
func tokenPace(perSecond float64) (rate.Limit, int) {
	n := perWindow(perSecond)
	return rate.Limit(tokenShare * n), max(1, int(0.008*n))
}

func sane(perSecond float64) float64 {
	if !(perSecond >= minRate) { // not a number fails too
		return minRate
	}
	return math.Min(perSecond, 1e9)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, tick))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
