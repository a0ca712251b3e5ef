package measure

import (
	"testing"
	"time"
)

var zero = time.Unix(1_800_000_000, 0)

// at makes times from milliseconds.
func at(ms ...int) []time.Time {
	times := make([]time.Time, len(ms))
	for i, m := range ms {
		times[i] = zero.Add(time.Duration(m) * time.Millisecond)
	}
	return times
}

// every makes n times, one every gap from ms on.
func every(ms, n int, gap time.Duration) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		times[i] = zero.Add(time.Duration(ms)*time.Millisecond + time.Duration(i)*gap)
	}
	return times
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, tc := range []struct {
		name string
		all  []time.Duration
		p    float64
		want time.Duration
	}{
		{"of none", nil, 99, 0},
		{"of one", []time.Duration{7}, 50, 7},
		{"the median of two is the lower", []time.Duration{2, 1}, 50, 1},
		{"p50 of a hundred in any order", hundred, 50, 50},
		{"p99 of a hundred", hundred, 99, 99},
		{"p100 is the highest", hundred, 100, 100},
		{"p0 is the lowest", hundred, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Percentile(tc.all, tc.p); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"of none", nil, 0},
		{"of three", []float64{9, 1, 5}, 5},
		{"of two is between them", []float64{1, 2}, 1.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Median(tc.values); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestHighestIsOfAnySlidingWindow(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []time.Time
		want   int
	}{
		{"no events", nil, 0},
		{"a second apart is not in one", at(0, 1000), 1},
		{"just below a second is", at(0, 999), 2},
		{"a burst across the border of seconds", at(0, 900, 950, 1000, 1050, 1100, 3000), 5},
		{"at one instant", at(5, 5, 5), 3},
		{"50 a second, evenly", every(0, 500, 20*time.Millisecond), 50},
		{"a little faster", every(0, 500, 19900*time.Microsecond), 51},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Highest(tc.events, time.Second); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// changing goes from 50 to 80 at 10 s, and to 20 at 20 s.
var changing = Limits{
	Grace: 2 * time.Second,
	Saves: []Save{{zero, 50}, {zero.Add(10 * time.Second), 80}, {zero.Add(20 * time.Second), 20}},
}

func TestLimitsAreInForceFromTheSaveUntilTheGraceOfTheNext(t *testing.T) {
	for _, tc := range []struct {
		name            string
		from, to        int // ms
		lowest, highest int
	}{
		{"before anything was saved", -1000, 0, 50, 50},
		{"before the rise", 9000, 10_000, 50, 50},
		{"a window that reaches into the rise", 9500, 10_500, 50, 80},
		{"in the grace of the rise", 11_000, 11_999, 50, 80},
		{"after it", 12_000, 13_000, 80, 80},
		{"in the grace of the fall", 21_500, 22_500, 20, 80},
		{"after it for good", 22_000, 23_000, 20, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := at(tc.from, tc.to)
			lowest, highest := changing.InForce(w[0], w[1])
			if lowest != tc.lowest || highest != tc.highest {
				t.Errorf("got %d to %d, want %d to %d", lowest, highest, tc.lowest, tc.highest)
			}
		})
	}
}

func TestExcessJudgesEachWindowByTheHighestLimitInForceInIt(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []time.Time
		want   int
	}{
		{"exactly 50", every(0, 100, 20*time.Millisecond), 0},
		{"60 before the rise", every(5000, 60, 10*time.Millisecond), 10},
		{"60 that end as the rise is saved", every(9400, 60, 10*time.Millisecond), 10},
		{"60 of which one comes after it", every(9411, 60, 10*time.Millisecond), 9},
		{"70 right after it", every(10_000, 70, 10*time.Millisecond), -10},
		{"80 in the grace of the fall", every(21_000, 80, 12*time.Millisecond), 0},
		{"25 after it", every(22_000, 25, 10*time.Millisecond), 5},
		{"25 that begin just before its end", every(21_999, 25, 10*time.Millisecond), 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, at := changing.Excess(tc.events)
			if got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
			if from := tc.events[0]; at.Before(from.Add(-time.Second)) || at.After(tc.events[len(tc.events)-1]) {
				t.Errorf("the second began at %v, the events at %v", at, from)
			}
		})
	}
}

func TestUsedLeavesSpansOut(t *testing.T) {
	fifty := Limits{Saves: []Save{{zero, 50}}}
	halting := append(every(0, 51, 20*time.Millisecond), every(6000, 51, 20*time.Millisecond)...)
	outage := at(1000, 6000)
	for _, tc := range []struct {
		name    string
		events  []time.Time
		without []Span
		want    float64
	}{
		{"all of it", every(0, 101, 20*time.Millisecond), nil, 1},
		{"half of it", every(0, 51, 40*time.Millisecond), nil, 0.5},
		{"with a gap", halting, nil, 101.0 / 350},
		{"without the gap", halting, []Span{{outage[0].Add(1), outage[1]}}, 1.01},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fifty.Used(tc.events, tc.without...); got < tc.want-0.006 || got > tc.want+0.006 {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRateIsBetweenTheFirstAndTheLast(t *testing.T) {
	if got := Rate(every(0, 101, 10*time.Millisecond)); got != 100 {
		t.Errorf("got %v, want 100", got)
	}
	if got := Rate(at(1)); got != 0 {
		t.Errorf("of one event: %v", got)
	}
}
