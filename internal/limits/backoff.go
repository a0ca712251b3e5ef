package limits

import "time"

// The waits between attempts that failed with a transient outcome: 2, 4, 8, …,
// 256, 300 seconds at most.
const (
	BackoffBase = 2 * time.Second
	BackoffCap  = 5 * time.Minute
)

// FullJitter is the wait after the given attempt, counted from 1: a random
// time below base doubled for each attempt before, and below limit. rnd
// returns a number in [0, n) for n > 0, as rand.Int64N does.
func FullJitter(attempt int, base, limit time.Duration, rnd func(n int64) int64) time.Duration {
	ceiling := min(base, limit)
	for i := 1; i < attempt && ceiling < limit; i++ {
		if ceiling > limit/2 { // doubling could overflow
			ceiling = limit
			break
		}
		ceiling *= 2
	}
	if ceiling <= 0 {
		return 0
	}
	return time.Duration(rnd(int64(ceiling)))
}
