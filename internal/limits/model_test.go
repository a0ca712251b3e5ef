package limits

import (
	"slices"
	"time"
)

// busiest recounts, without any of the pacer's own arithmetic, how many of the
// passages the busiest sliding window holds. A window includes its first
// instant and not its last.
func busiest(passages []time.Time, window time.Duration) int {
	slices.SortFunc(passages, time.Time.Compare)
	most, first := 0, 0
	for i, at := range passages {
		for at.Sub(passages[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// withMargin is the window that holds no more passages than the rate even if
// the network brings some of them 8 ms closer together.
const withMargin = time.Second + 8*time.Millisecond
