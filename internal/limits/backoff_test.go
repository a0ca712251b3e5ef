package limits

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The table of the provider reference (transient errors): the most that each attempt may be followed by.
func TestFullJitterCeilings(t *testing.T) {
	var got []int64
	for attempt := 1; attempt <= 11; attempt++ {
		FullJitter(attempt, BackoffBase, BackoffCap, func(n int64) int64 {
			got = append(got, n/int64(time.Second))
			return 0
		})
	}
	if diff := cmp.Diff([]int64{2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFullJitterReturnsWhatChanceSays(t *testing.T) {
	if got := FullJitter(3, time.Second, time.Minute, func(int64) int64 { return int64(1500 * time.Millisecond) }); got != 1500*time.Millisecond {
		t.Errorf("got %v", got)
	}
}

func FuzzFullJitter(f *testing.F) {
	f.Add(1, int64(BackoffBase), int64(BackoffCap))
	f.Add(math.MaxInt, int64(1), int64(math.MaxInt64))
	f.Add(-1, int64(0), int64(-1))
	f.Fuzz(func(t *testing.T, attempt int, base, limit int64) {
		got := FullJitter(attempt, time.Duration(base), time.Duration(limit), rand.Int64N)
		if got < 0 || got > 0 && got >= time.Duration(limit) {
			t.Errorf("FullJitter(%d, %d, %d) = %d", attempt, base, limit, got)
		}
	})
}
