package queue

import (
	"context"
	"sync"
	"time"
)

const (
	// silence is for how long after a ring others may have put tasks into the lane
	// without ringing again.
	silence = ringGap + 5*time.Millisecond

	// glance is how long a lane is left alone without any reason to look into it.
	// Rings that got lost are made up for by the due index; this is for what nobody
	// thought of.
	glance = 5 * time.Second
)

// bell tells an open lane's server when to look for tasks, instead of every few
// milliseconds: after a ring, once more when that ring's silence is over, and as
// long as there are any.
type bell struct {
	rung chan struct{}

	mu      sync.Mutex
	reasons int       // to look, so far
	looked  int       // reasons that a look has found nothing for
	again   time.Time // when a silence is over; zero: none is
	closed  bool
}

func newBell() *bell { return &bell{rung: make(chan struct{}, 1), reasons: 1} }

// ring says that there may be tasks.
func (b *bell) ring() {
	b.mu.Lock()
	b.reasons++
	b.again = time.Now().Add(silence)
	b.mu.Unlock()
	signal(b.rung)
}

// close ends all waiting.
func (b *bell) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	signal(b.rung)
}

// await returns once there is a reason to look, with what foundNothing wants to
// know. It reports false if the lane closes or ctx ends first.
func (b *bell) await(ctx context.Context) (reasons int, ok bool) {
	for ctx.Err() == nil {
		b.mu.Lock()
		wait := glance
		if !b.again.IsZero() {
			if wait = time.Until(b.again); wait <= 0 {
				b.reasons, b.again = b.reasons+1, time.Time{}
			}
		}
		reasons, ok = b.reasons, b.reasons != b.looked
		closed := b.closed
		b.mu.Unlock()
		if closed {
			return 0, false
		}
		if ok {
			return reasons, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-b.rung:
		case <-timer.C:
			if wait == glance {
				return reasons, true
			}
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return 0, false
}

// foundNothing says that a look that began with so many reasons found the lane
// empty.
func (b *bell) foundNothing(reasons int) {
	b.mu.Lock()
	b.looked = max(b.looked, reasons)
	b.mu.Unlock()
}
