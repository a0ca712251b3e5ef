package limits

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// sleepVirtual waits on a bubble's clock.
func sleepVirtual(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
}

// backlog keeps senders going through the pacer for a while: token, the work
// of beginning, gate. It returns when each passed the gate.
func backlog(t *testing.T, p *Pacer, senders int, lasting time.Duration, begin func() time.Duration) []time.Time {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		passed []time.Time
	)
	for range senders {
		wg.Go(func() {
			for p.Wait(ctx, gateway.Bulk, "") == nil {
				sleepVirtual(begin())
				if p.Gate(ctx) != nil {
					return
				}
				at := time.Now()
				mu.Lock()
				passed = append(passed, at)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return passed
}

// jitter is a begin latency of 0 to 15 ms.
func jitter() time.Duration { return time.Duration(rand.Int64N(int64(15*time.Millisecond) + 1)) }

func TestAnySlidingSecondHoldsTheRateAtMostAndNearlyAllOfIt(t *testing.T) {
	for _, tc := range []struct {
		rate    float64
		lasting time.Duration
		senders int
	}{
		{1, 300 * time.Second, 4},
		{20, 60 * time.Second, 10},
		{50, 60 * time.Second, 10},
		{80, 60 * time.Second, 20},
		{125, 30 * time.Second, 20},
		{1000, 10 * time.Second, 100},
		{100_000, 1500 * time.Millisecond, 3000},
	} {
		t.Run(fmt.Sprintf("%v a second", tc.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				p := NewPacer(tc.rate, 0)
				passed := backlog(t, p, tc.senders, tc.lasting, jitter)
				if got := busiest(passed, withMargin); got > int(tc.rate) {
					t.Errorf("a window holds %d passages", got)
				}
				used := float64(len(passed)) / passed[len(passed)-1].Sub(start).Seconds() / tc.rate
				if used < 0.97 {
					t.Errorf("only %.3f of the rate is used", used)
				}
			})
		})
	}
}

func TestAStallBeforeTheGateIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := NewPacer(50, 0)
		passed := backlog(t, p, 200, 20*time.Second, func() time.Duration {
			if at := time.Since(start); at > 4*time.Second && at < 6*time.Second {
				return 6*time.Second - at // whoever begins now is stuck until then
			}
			return jitter()
		})
		if got := busiest(passed, withMargin); got > 50 {
			t.Errorf("a window holds %d passages", got)
		}
		late := 0
		for _, at := range passed {
			if at.Sub(start) > 10*time.Second {
				late++
			}
		}
		if late < 485 {
			t.Errorf("%d passages in the last 10 s: the pace did not come back", late)
		}
	})
}

func TestTokensStopWhileManyStandAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(50, 0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { _ = p.Gate(ctx) })
		}
		synctest.Wait()
		var tokens atomic.Int64
		wg.Go(func() {
			for p.Wait(ctx, gateway.Bulk, "") == nil {
				tokens.Add(1)
			}
		})
		sleepVirtual(time.Second)
		synctest.Wait()
		if got := tokens.Load(); got != 0 {
			t.Errorf("%d tokens came while 150 callers stood at the gate", got)
		}
		sleepVirtual(4 * time.Second)
		synctest.Wait()
		if tokens.Load() == 0 {
			t.Error("no token came after the gate was free")
		}
		cancel()
		wg.Wait()
	})
}

func TestTransactionalFirstThenByOrderThenByArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(50, time.Second)
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			got []string
		)
		for i, w := range []struct {
			priority gateway.Priority
			order    string
		}{
			{gateway.Bulk, "b2"},
			{gateway.Bulk, "b1"},
			{gateway.Transactional, "t9"},
			{gateway.Bulk, "b1"},
			{gateway.Transactional, "t3"},
		} {
			wg.Go(func() {
				if err := p.Wait(t.Context(), w.priority, w.order); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%s#%d", w.order, i))
			})
			synctest.Wait()
		}
		wg.Wait()
		if diff := cmp.Diff([]string{"t3#4", "t9#2", "b1#1", "b1#3", "b2#0"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnUrgentLatecomerTakesTheTokenAnotherWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1, 0)
		_ = p.Wait(t.Context(), gateway.Bulk, "")
		first := make(chan gateway.Priority, 2)
		var wg sync.WaitGroup
		wait := func(priority gateway.Priority) {
			wg.Go(func() {
				_ = p.Wait(t.Context(), priority, "")
				first <- priority
			})
			synctest.Wait()
		}
		wait(gateway.Bulk)
		sleepVirtual(time.Second)
		wait(gateway.Transactional)
		if got := <-first; got != gateway.Transactional {
			t.Errorf("%s got the token", got)
		}
		wg.Wait()
	})
}

func TestACancelledWaiterGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1, 0)
		_ = p.Wait(t.Context(), gateway.Bulk, "")
		start := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Wait(ctx, gateway.Transactional, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		if err := p.Wait(t.Context(), gateway.Bulk, "b"); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > 1020*time.Millisecond {
			t.Errorf("the token came after %v", got)
		}
		wg.Wait()

		// With nobody behind, the token goes back to the limiter.
		start = time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_ = p.Wait(ctx, gateway.Bulk, "c")
		_ = p.Wait(t.Context(), gateway.Bulk, "d")
		if got := time.Since(start); got > 1020*time.Millisecond {
			t.Errorf("the token came after %v", got)
		}
	})
}

func TestADeadContextTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1, 0)
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Wait(dead, gateway.Bulk, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v", err)
		}
		if err := p.Gate(dead); !errors.Is(err, context.Canceled) {
			t.Errorf("Gate: %v", err)
		}
		if got := p.NextIn(); got != 0 {
			t.Errorf("next in %v", got)
		}
	})
}

func TestTheGateLetsTheNextPassWhenOneGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1, 0)
		_ = p.Gate(t.Context())
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Gate(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		if err := p.Gate(t.Context()); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > 1015*time.Millisecond {
			t.Errorf("passed after %v", got)
		}
		wg.Wait()
	})
}

func TestNextInCarriesThePaceToTheNextOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var passed []time.Time
		next := time.Duration(0)
		for range 20 { // owners, one after the other
			p := NewPacer(50, next)
			passed = append(passed, backlog(t, p, 10, 300*time.Millisecond, func() time.Duration { return 0 })...)
			next = p.NextIn()
		}
		if got := busiest(passed, withMargin); got > 50 {
			t.Errorf("a window over several owners holds %d passages", got)
		}
		if len(passed) < 250 {
			t.Errorf("%d passages in 6 s", len(passed))
		}
	})
}

func TestNothingPassesBeforeTheFirstTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		p := NewPacer(1000, 3*time.Second)
		if got := p.NextIn(); got != 3*time.Second {
			t.Errorf("next in %v", got)
		}
		if err := p.Wait(t.Context(), gateway.Transactional, "a"); err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("the first token came after %v", got)
		}
	})
}

func TestSetRateTakesHoldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(0.01, 0)
		_ = p.Wait(t.Context(), gateway.Bulk, "")
		_ = p.Gate(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = p.Wait(t.Context(), gateway.Bulk, "") })
		synctest.Wait()
		start := time.Now()
		p.SetRate(100)
		wg.Wait()
		if got := time.Since(start); got > 11*time.Millisecond {
			t.Errorf("the token came %v after the change", got)
		}

		p.SetRate(20)
		passed := backlog(t, p, 5, 10*time.Second, jitter)
		if got := busiest(passed, withMargin); got > 20 {
			t.Errorf("a window holds %d passages", got)
		}
	})
}

func TestARateThatIsNoneStillIsALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{0, -5} {
			p := NewPacer(rate, 0)
			if got := len(backlog(t, p, 2, 100*time.Second, func() time.Duration { return 0 })); got != 1 {
				t.Errorf("rate %v: %d passages in 100 s", rate, got)
			}
		}
	})
}

func BenchmarkPacerUncontended(b *testing.B) {
	p := NewPacer(1e9, 0)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Wait(ctx, gateway.Transactional, "0123456789abcdef")
		_ = p.Gate(ctx)
	}
}
