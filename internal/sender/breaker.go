package sender

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"sluice/internal/gateway"
)

// When the breaker trips: on a ratio over enough calls that have ended, so that
// neither a single failure nor a quiet account's bad luck stops it.
const (
	breakerWindow = 30 * time.Second // besides the longest call: calls count from their beginning
	breakerBucket = 3 * time.Second
	breakerCalls  = 20
	breakerRatio  = 0.5
	breakerOpen   = 10 * time.Second // until a single call probes
)

var (
	errOutage  = errors.New("outage")
	errNotMade = errors.New("the call was not made")
)

// breaker is gobreaker's two-step breaker with a way to wait for its next
// state.
type breaker struct {
	cb *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu      sync.Mutex
	openTil time.Time
	changed chan struct{} // closed and replaced with every change of state
}

// newBreaker reports each change of state to onChange, from the goroutine that
// caused it. longest is how long a call may take.
func newBreaker(longest time.Duration, onChange func(gateway.BreakerState)) *breaker {
	b := &breaker{changed: make(chan struct{})}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1, Interval: breakerWindow + longest, BucketPeriod: breakerBucket, Timeout: breakerOpen,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			// Not of c.Requests: a provider that hangs has many open.
			ended := c.TotalSuccesses + c.TotalFailures
			return ended >= breakerCalls && float64(c.TotalFailures) >= breakerRatio*float64(ended)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNotMade) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			b.mu.Lock()
			b.openTil = time.Time{}
			if to == gobreaker.StateOpen {
				b.openTil = time.Now().Add(breakerOpen)
			}
			close(b.changed)
			b.changed = make(chan struct{})
			b.mu.Unlock()
			onChange(breakerState(to))
		},
	})
	return b
}

func breakerState(s gobreaker.State) gateway.BreakerState {
	switch s {
	case gobreaker.StateOpen:
		return gateway.BreakerOpen
	case gobreaker.StateHalfOpen:
		return gateway.BreakerHalfOpen
	case gobreaker.StateClosed:
		return gateway.BreakerClosed
	}
	return gateway.BreakerClosed
}

// allow waits until the breaker lets a call through; done takes what came of
// it. It fails with ctx only: while the breaker is open the lane is closed, and
// that ends ctx.
func (b *breaker) allow(ctx context.Context) (done func(error), err error) {
	for {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		done, err := b.cb.Allow()
		if err == nil {
			return done, nil
		}
		// In the half-open state one probe is out, and its end changes the state.
		// If it was never made, the state stays: look again by the clock.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

func (b *breaker) state() gateway.BreakerState { return breakerState(b.cb.State()) }

// openUntil is when an open breaker lets a probe through; zero unless it is
// open.
func (b *breaker) openUntil() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.openTil
}
