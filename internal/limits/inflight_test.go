package limits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// acquireAll takes slots until none is left and returns how many it got.
func acquireAll(t *testing.T, f *InFlight, p gateway.Priority) int {
	t.Helper()
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err := f.Acquire(ctx, p)
		cancel()
		if err != nil {
			return n
		}
	}
}

func TestBulkLeavesSlotsToTransactional(t *testing.T) {
	for _, tc := range []struct{ limit, bulk, transactional int }{
		{0, 1, 0}, // as 1
		{1, 1, 0},
		{2, 1, 1},
		{4, 3, 1},
		{8, 6, 2},
		{1000, 750, 250},
	} {
		t.Run(fmt.Sprintf("of %d", tc.limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := NewInFlight(tc.limit)
				if got := acquireAll(t, f, gateway.Bulk); got != tc.bulk {
					t.Errorf("bulk got %d, want %d", got, tc.bulk)
				}
				if got := acquireAll(t, f, gateway.Transactional); got != tc.transactional {
					t.Errorf("transactional got %d beside, want %d", got, tc.transactional)
				}
			})
		})
	}
}

func TestTransactionalMayTakeEverySlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := acquireAll(t, NewInFlight(8), gateway.Transactional); got != 8 {
			t.Errorf("got %d of 8", got)
		}
	})
}

func TestSlotsGoToTransactionalFirstThenByArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(1)
		_ = f.Acquire(t.Context(), gateway.Transactional)
		var (
			wg  sync.WaitGroup
			got []string
		)
		for i, p := range []gateway.Priority{gateway.Bulk, gateway.Transactional, gateway.Bulk, gateway.Transactional} {
			wg.Go(func() {
				if err := f.Acquire(t.Context(), p); err != nil {
					t.Error(err)
				}
				got = append(got, fmt.Sprintf("%s#%d", p, i)) // one slot: one at a time
				f.Release(p)
			})
			synctest.Wait()
		}
		f.Release(gateway.Transactional)
		wg.Wait()
		if diff := cmp.Diff([]string{"transactional#1", "transactional#3", "bulk#0", "bulk#2"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestACancelledCallerHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(2)
		_ = f.Acquire(t.Context(), gateway.Bulk)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := f.Acquire(ctx, gateway.Bulk); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		f.Release(gateway.Bulk)
		if got := acquireAll(t, f, gateway.Transactional); got != 2 {
			t.Errorf("%d slots are left of 2", got)
		}
	})
}

func TestSetMaxAdmitsAndWithholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewInFlight(1)
		_ = f.Acquire(t.Context(), gateway.Transactional)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _ = f.Acquire(t.Context(), gateway.Transactional) })
		}
		synctest.Wait()
		f.SetMax(3)
		wg.Wait()

		f.SetMax(1)
		f.Release(gateway.Transactional)
		if got := acquireAll(t, f, gateway.Transactional); got != 0 {
			t.Errorf("%d slots given while 2 of 1 are held", got)
		}
		f.Release(gateway.Transactional)
		f.Release(gateway.Transactional)
		if got := acquireAll(t, f, gateway.Transactional); got != 1 {
			t.Errorf("%d slots given of 1", got)
		}
	})
}

func TestReleaseWithoutAcquirePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewInFlight(1).Release(gateway.Bulk)
}

// Whatever comes and goes, the cap and the reserve hold and nobody is left
// waiting at a free slot.
func TestInFlightUnderChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 8
		f := NewInFlight(limit)
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			open = map[gateway.Priority]int{}
		)
		for i := range 64 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(3, uint64(i)))
				p := gateway.Priorities()[i%2]
				for range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(40))*time.Millisecond)
					err := f.Acquire(ctx, p)
					cancel()
					if err != nil {
						continue
					}
					mu.Lock()
					open[p]++
					if open[gateway.Bulk] > limit-limit/4 || open[gateway.Bulk]+open[gateway.Transactional] > limit {
						t.Errorf("open: %v", open)
					}
					mu.Unlock()
					sleepVirtual(time.Duration(r.IntN(5)) * time.Millisecond)
					mu.Lock()
					open[p]--
					mu.Unlock()
					f.Release(p)
				}
			})
		}
		wg.Wait()
		if got := acquireAll(t, f, gateway.Transactional); got != limit {
			t.Errorf("%d slots are left of %d", got, limit)
		}
	})
}
