package limits

import (
	"context"
	"fmt"
	"sync"

	"sluice/internal/gateway"
)

// InFlight caps the calls of one account that are open at one time. A quarter
// of the slots, at least one, is out of reach for bulk: a provider that hangs
// on bulk never fills transactional's. Of a single slot both may have it.
// It is safe for concurrent use.
type InFlight struct {
	mu      sync.Mutex
	limit   int
	open    map[gateway.Priority]int
	waiting waiters
}

// NewInFlight makes a cap of limit calls; below 1 it is 1.
func NewInFlight(limit int) *InFlight {
	return &InFlight{limit: max(limit, 1), open: make(map[gateway.Priority]int, 2)}
}

// Acquire waits for a slot: transactional callers first, within a priority
// those who came first. Each success is followed by one Release of the same
// priority. It fails only with ctx, and then holds no slot.
func (f *InFlight) Acquire(ctx context.Context, p gateway.Priority) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("acquire %s slot: %w", p, err)
	}
	f.mu.Lock()
	if f.free(p) && f.overtakesNobody(p) {
		f.open[p]++
		f.mu.Unlock()
		return nil
	}
	w := f.waiting.add(p, "")
	f.mu.Unlock()

	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.waiting.remove(w) {
		f.open[p]--
	}
	f.admit()
	return fmt.Errorf("acquire %s slot: %w", p, ctx.Err())
}

// Release gives a slot back. Without an Acquire before, it panics.
func (f *InFlight) Release(p gateway.Priority) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[p] <= 0 {
		panic("limits: Release of a slot that nobody holds")
	}
	f.open[p]--
	f.admit()
}

// SetMax changes the cap. A lower one ends no call: slots are withheld until
// enough have been given back.
func (f *InFlight) SetMax(limit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = max(limit, 1)
	f.admit()
}

// admit lets in whom the slots allow. Who waits first decides for all behind:
// transactional lacks a slot only when there is none, and behind bulk there is
// only bulk.
func (f *InFlight) admit() {
	for w := f.waiting.first(); w != nil && f.free(w.priority); w = f.waiting.first() {
		f.open[w.priority]++
		f.waiting.wakeFirst()
	}
}

func (f *InFlight) free(p gateway.Priority) bool {
	if f.open[gateway.Transactional]+f.open[gateway.Bulk] >= f.limit {
		return false
	}
	if p == gateway.Transactional {
		return true
	}
	reserve := max(1, f.limit/4)
	return f.open[gateway.Bulk] < max(1, f.limit-reserve)
}

// overtakesNobody reports whether a newcomer of the priority would be first.
func (f *InFlight) overtakesNobody(p gateway.Priority) bool {
	w := f.waiting.first()
	return w == nil || p == gateway.Transactional && w.priority == gateway.Bulk
}
