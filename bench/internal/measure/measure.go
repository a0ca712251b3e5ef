// Package measure turns what was observed into figures: percentiles, the most
// that any sliding second held, how much of a limit was used. It does no I/O.
package measure

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Percentile is the nearest-rank percentile, p from 0 to 100, of durations in
// any order. Of none it is zero.
func Percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median is the middle of the values, or the mean of the two in the middle. Of
// none it is zero.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Highest is the most events that any window of the length held, wherever it
// began. The window is open at one end: events exactly its length apart are not
// in one. Events must be in order.
func Highest(events []time.Time, length time.Duration) int {
	highest, first := 0, 0
	for last := range events {
		for events[last].Sub(events[first]) >= length {
			first++
		}
		highest = max(highest, last-first+1)
	}
	return highest
}

// Rate is events a second between the first and the last.
func Rate(events []time.Time) float64 {
	if len(events) < 2 {
		return 0
	}
	return float64(len(events)-1) / events[len(events)-1].Sub(events[0]).Seconds()
}

// Span is a time from From until before To.
type Span struct{ From, To time.Time }

// Contains reports whether the time lies in the span.
func (s Span) Contains(t time.Time) bool { return !t.Before(s.From) && t.Before(s.To) }

// Limits is a limit that changes: what was saved, and when, in order. After a
// save both the limit before and the new one may be in force until Grace has
// passed.
type Limits struct {
	Saves []Save
	Grace time.Duration
}

// Save is a limit a second that was saved. The first one is in force from the
// beginning of time.
type Save struct {
	At    time.Time
	Limit int
}

// InForce is the lowest and the highest limit that is in force at any time from
// from until before to.
func (l Limits) InForce(from, to time.Time) (lowest, highest int) {
	lowest = math.MaxInt
	for i, s := range l.Saves {
		begins := i == 0 || s.At.Before(to)
		ends := i+1 < len(l.Saves) && !l.Saves[i+1].At.Add(l.Grace).After(from)
		if begins && !ends {
			lowest, highest = min(lowest, s.Limit), max(highest, s.Limit)
		}
	}
	return lowest, highest
}

// Excess is by how much the worst sliding second exceeded the highest limit in
// force in it, and when that second began; zero or less: none did. Events must
// be in order. Seconds are looked at that begin with an event and that end with
// one: where limits change at most once in a second, that finds every one.
func (l Limits) Excess(events []time.Time) (worst int, at time.Time) {
	worst = math.MinInt
	judge := func(from time.Time, held int) {
		_, limit := l.InForce(from, from.Add(time.Second))
		if held-limit > worst {
			worst, at = held-limit, from
		}
	}
	first, next := 0, 0
	for i, e := range events {
		for e.Sub(events[first]) >= time.Second {
			first++
		}
		judge(e.Add(1-time.Second), i-first+1) // ends with it
		for next < len(events) && events[next].Sub(e) < time.Second {
			next++
		}
		judge(e, next-i) // begins with it
	}
	return worst, at
}

// Used is how much of the lowest limit in force was used from the first event
// to the last, leaving the spans out. More than 1 is possible after a save.
func (l Limits) Used(events []time.Time, without ...Span) float64 {
	if len(events) < 2 {
		return 0
	}
	left := func(t time.Time) bool {
		return slices.ContainsFunc(without, func(s Span) bool { return s.Contains(t) })
	}
	sent, allowed := 0, 0.0
	for _, e := range events[1:] {
		if !left(e) {
			sent++
		}
	}
	const step = 10 * time.Millisecond
	end := events[len(events)-1]
	for t := events[0]; t.Before(end); t = t.Add(step) {
		if !left(t) {
			lowest, _ := l.InForce(t, t.Add(1))
			allowed += float64(lowest) * min(step, end.Sub(t)).Seconds()
		}
	}
	return float64(sent) / allowed
}

// Sorted is the times in order.
func Sorted(times []time.Time) []time.Time {
	return slices.SortedFunc(slices.Values(times), func(a, b time.Time) int { return cmp.Compare(a.UnixNano(), b.UnixNano()) })
}
