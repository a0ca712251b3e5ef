package limits

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestAThrottleHalvesTheRateAndItClimbsBack(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	halved := Slower(gateway.Ramp{}, at(0), at(10))
	again := Slower(halved, at(11), at(12))
	least := gateway.Ramp{Share: rampLeast, From: at(0)}
	for _, c := range []struct {
		name string
		ramp gateway.Ramp
		rate float64
		now  time.Time
		want float64
	}{
		{"no throttle leaves the rate", gateway.Ramp{}, 80, at(0), 80},
		{"a throttle halves it", halved, 80, at(10), 40},
		{"also while it is held", halved, 80, at(3), 40},
		{"it doesn't grow before its time", halved, 80, at(14), 40},
		{"it grows by a tenth of the whole", halved, 80, at(15), 48},
		{"step by step", halved, 80, at(34), 72},
		{"up to the whole", halved, 80, at(35), 80},
		{"and no further", halved, 80, at(3600), 80},
		{"a second throttle halves what there was", again, 80, at(12), 20},
		{"the least is an eighth", Slower(Slower(Slower(again, at(13), at(13)), at(14), at(14)), at(15), at(15)), 80, at(15), 10},
		{"from the least it takes 45 s", least, 80, at(44), 74},
		{"and then it is whole", least, 80, at(45), 80},
		{"the least is one a second", least, 4, at(0), 1},
		{"which half of one is too", halved, 1, at(10), 1},
		{"a rate below one stays", halved, 0.5, at(10), 0.5},
		{"messages are whole", halved, 5, at(10), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := RampRate(c.rate, c.ramp, c.now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCallsThrottledAtOneTimeAreOneThrottle(t *testing.T) {
	start := time.Now()
	r := Slower(gateway.Ramp{}, start, start.Add(time.Second))
	for _, sent := range []time.Duration{0, time.Millisecond, time.Second} {
		r = Slower(r, start.Add(sent), start.Add(3*time.Second))
	}
	if d := cmp.Diff(gateway.Ramp{Share: 0.5, From: start.Add(3 * time.Second)}, r); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	r = Slower(r, start, start.Add(2*time.Second))
	if want := start.Add(3 * time.Second); !r.From.Equal(want) {
		t.Error("a shorter hold made it come back sooner")
	}
	if r = Slower(r, start.Add(4*time.Second), start.Add(5*time.Second)); r.Share != 0.25 {
		t.Errorf("after the next throttle it has %v, want a quarter", r.Share)
	}
}

// passage is one through the gate, with the rate that was in force.
type passage struct {
	at   time.Time
	rate float64
}

// No window that begins with a passage holds more of them than the highest rate
// that was in force within it.
func checkWindows(t *testing.T, passed []passage) {
	t.Helper()
	for i, first := range passed {
		n, highest := 0, 0.0
		for _, p := range passed[i:] {
			if p.at.Sub(first.at) >= withMargin {
				break
			}
			n++
			highest = max(highest, p.rate)
		}
		if float64(n) > highest {
			t.Fatalf("a window %v holds %d passages at a rate of %v at most", first.at.Sub(passed[0].at), n, highest)
		}
	}
}

func TestAnySlidingSecondHoldsTheRateInForceWhileItChanges(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(7, seed))
				full := []float64{8, 50, 80, 400}[seed%4]
				p := NewPacer(full, 0)
				var (
					mu     sync.Mutex
					held   time.Time
					passed []passage
					wg     sync.WaitGroup
				)
				start := time.Now()
				over := func() bool { return time.Since(start) > 90*time.Second }
				for range 20 {
					wg.Go(func() {
						for !over() && p.Wait(t.Context(), gateway.Bulk, "") == nil {
							sleepVirtual(jitter())
							mu.Lock()
							wait := time.Until(held)
							mu.Unlock()
							sleepVirtual(max(wait, 0)) // its intent is refused
							_ = p.Gate(t.Context())
							mu.Lock()
							passed = append(passed, passage{time.Now(), RampRate(p.full, p.ramp, time.Now())})
							mu.Unlock()
						}
					})
				}
				for !over() {
					sleepVirtual(time.Duration(1+r.IntN(20_000)) * time.Millisecond)
					sent, until := time.Now(), time.Now().Add(time.Duration(r.IntN(3000))*time.Millisecond)
					mu.Lock()
					held = until
					mu.Unlock()
					p.Slow(sent, until)
				}
				wg.Wait()
				checkWindows(t, passed)
			})
		})
	}
}

func TestAPacerComesBackToItsWholeRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(80, 0)
		p.Slow(time.Now(), time.Now())
		start := time.Now()
		perStep := make([]int, 8)
		for _, at := range backlog(t, p, 20, 40*time.Second-time.Millisecond, jitter) {
			perStep[at.Sub(start)/rampEvery]++
		}
		for i, n := range perStep {
			want := min(40+8*i, 80) * 5
			if n > want || float64(n) < 0.96*float64(want) {
				t.Errorf("%d in step %d, want nearly %d", n, i, want)
			}
		}
	})
}

func TestTheNextOwnerGoesOnWithTheRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := NewPacer(80, 0)
		r := before.Slow(time.Now(), time.Now().Add(2*time.Second))
		sleepVirtual(8 * time.Second) // one step
		next := NewPacer(80, before.NextIn())
		next.Resume(gateway.Ramp{})
		next.Resume(r)
		if got := len(backlog(t, next, 20, time.Second, jitter)); got > 48 || got < 45 {
			t.Errorf("%d passages in the first second, want nearly 48", got)
		}
		next.SetRate(20)
		if next.rate != 12 {
			t.Errorf("another rate is used in full: %v", next.rate)
		}
		newer := next.Slow(time.Now(), time.Now())
		next.Resume(r)
		if d := cmp.Diff(newer, next.ramp); d != "" {
			t.Errorf("an older ramp came back (-want +got):\n%s", d)
		}
	})
}
