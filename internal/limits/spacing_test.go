package limits

import (
	"math/rand/v2"
	"testing"
	"time"
)

// drive brings passages to a spacing as fast as it lets them, each late by
// what the source says, and returns when they happened.
func drive(s *spacing, passages int, late func() time.Duration) []time.Time {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var at []time.Time
	for len(at) < passages {
		if wait := s.take(now); wait > 0 {
			now = now.Add(wait + late())
			continue
		}
		at = append(at, now)
	}
	return at
}

func TestSpacingHoldsAnyWindow(t *testing.T) {
	lateBy := map[string]func(r *rand.Rand) time.Duration{
		"exact timers": func(*rand.Rand) time.Duration { return 0 },
		"timers late by up to 2 ms": func(r *rand.Rand) time.Duration {
			return time.Duration(r.Int64N(int64(2 * time.Millisecond)))
		},
		"rare stalls of up to 3 s": func(r *rand.Rand) time.Duration {
			if r.IntN(100) == 0 {
				return time.Duration(r.Int64N(int64(3 * time.Second)))
			}
			return 0
		},
	}
	for name, late := range lateBy {
		t.Run(name, func(t *testing.T) {
			for _, rate := range []float64{1, 2, 20, 50, 80, 1000, 20000} {
				r := rand.New(rand.NewPCG(1, uint64(rate)))
				var s spacing
				s.setRate(rate)
				at := drive(&s, int(rate)*5+10, func() time.Duration { return late(r) })
				if got := busiest(at, withMargin); got > int(rate) {
					t.Errorf("rate %v: a window holds %d passages", rate, got)
				}
			}
		})
	}
}

func TestSpacingIsNotSlowedByLateTimers(t *testing.T) {
	for _, rate := range []float64{20, 50, 80, 1000} {
		r := rand.New(rand.NewPCG(2, uint64(rate)))
		var s spacing
		s.setRate(rate)
		n := int(rate) * 20
		at := drive(&s, n+1, func() time.Duration { return time.Duration(r.Int64N(int64(2 * time.Millisecond))) })
		if got := float64(n) / at[n].Sub(at[0]).Seconds(); got < tokenShare*rate {
			t.Errorf("rate %v: %.2f a second pass, fewer than tokens come", rate, got)
		}
	}
}

func TestARateIsWholeMessagesInAWindow(t *testing.T) {
	for _, tc := range []struct {
		rate float64
		most int
	}{{1.9, 1}, {2.5, 2}, {10.99, 10}, {0.5, 1}} {
		var s spacing
		s.setRate(tc.rate)
		if got := busiest(drive(&s, 50, func() time.Duration { return 0 }), withMargin); got != tc.most {
			t.Errorf("rate %v: a window holds %d passages, want %d", tc.rate, got, tc.most)
		}
	}
}

func FuzzSpacing(f *testing.F) {
	f.Add(uint16(50), []byte{0, 1, 200, 255, 3, 0, 0, 9})
	f.Add(uint16(1), []byte{255, 255, 0})
	f.Fuzz(func(t *testing.T, rate uint16, lateness []byte) {
		if rate == 0 || len(lateness) == 0 {
			return
		}
		var s spacing
		s.setRate(float64(rate))
		i := 0
		at := drive(&s, min(3*int(rate), 2000)+10, func() time.Duration {
			i++
			b := int64(lateness[i%len(lateness)])
			return time.Duration(b * b * 20_000) // up to 1.3 s
		})
		if got := busiest(at, withMargin); got > int(rate) {
			t.Errorf("rate %d: a window holds %d passages", rate, got)
		}
	})
}

func TestBytesThatLeftLateCountFromThen(t *testing.T) {
	var s spacing
	s.setRate(50)
	start := time.Now()
	passed := start
	if s.take(passed) != 0 {
		t.Fatal("the first has to wait")
	}
	s.left(passed, passed.Add(time.Millisecond)) // as usual
	if got := s.next.Sub(passed); got > s.interval {
		t.Errorf("a usual delay moved the next passage to %v", got)
	}
	late := passed.Add(40 * time.Millisecond) // the process stood still
	s.left(passed, late)
	if got := s.next.Sub(late); got != s.interval {
		t.Errorf("the next passage is due %v after the late bytes, want %v", got, s.interval)
	}
}
