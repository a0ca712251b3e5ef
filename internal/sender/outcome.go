package sender

import (
	"time"

	"sluice/internal/gateway"
)

// How long a scope is held where the provider doesn't say. The progressions
// follow the providers' advice (docs/design.md, "Waits").
const (
	throttleBase = time.Second
	throttleCap  = 30 * time.Second
	longThrottle = time.Hour          // of a quota or for spam: it doubles up to a day
	pairCap      = 1024 * time.Second // 4^5, Cloud API error 131056
	longestWait  = 24 * time.Hour
	suspendBase  = 30 * time.Second
	suspendCap   = 15 * time.Minute
)

// decision is what follows from one result.
type decision struct {
	next    gateway.Status
	retryIn time.Duration
	spent   bool
	hold    time.Duration // of the account, which the message waits out with all others; zero: none
}

// strikes is what came several times in a row before, for waits that grow.
type strikes struct {
	throttled int // of the account
	suspended int
	message   int // throttled attempts of this message
}

// streak counts strikes in a row. Calls that were open at one time are one.
type streak struct {
	n    int
	last time.Time
}

// strike counts the call that was begun then, and says how many strikes came
// before.
func (s *streak) strike(begun time.Time) int {
	if s.n == 0 || begun.After(s.last) {
		s.n, s.last = s.n+1, time.Now()
	}
	return s.n - 1
}

// stands notes that the hold for the last strike is in force: until now calls
// could begin that are one with it.
func (s *streak) stands() { s.last = time.Now() }

// end ends the streak, unless the call was begun before its last strike.
func (s *streak) end(begun time.Time) {
	if begun.After(s.last) {
		s.n = 0
	}
}

// decide applies the policy: pure, so that it can be read and tested as a
// table. spent is the number of attempts that counted before this one.
func decide(r gateway.Result, a *gateway.Account, spent int, s strikes, backoff func(spent int) time.Duration) decision {
	switch r.Outcome {
	case gateway.OutcomeAccepted:
		return decision{next: gateway.StatusAccepted, spent: true}
	case gateway.OutcomeRejected:
		return decision{next: gateway.StatusFailed, spent: true}
	case gateway.OutcomeUnknown:
		return decision{next: gateway.StatusUnknown, spent: true}
	case gateway.OutcomeTransient:
		most := a.MaxAttempts
		if r.MaxAttempts > 0 {
			most = min(most, r.MaxAttempts)
		}
		if spent+1 >= most {
			return decision{next: gateway.StatusFailed, spent: true}
		}
		return decision{next: gateway.StatusQueued, spent: true, retryIn: max(r.RetryAfter, backoff(spent+1))}
	case gateway.OutcomeSuspended:
		wait := max(r.RetryAfter, grow(suspendBase, 2, s.suspended, suspendCap))
		return decision{next: gateway.StatusQueued, hold: wait}
	case gateway.OutcomeThrottled:
		return throttled(r, s)
	}
	return decision{next: gateway.StatusUnknown, spent: true}
}

// throttled holds the account when the limit is the account's or wider; a
// narrower limit parks the message and nobody else.
func throttled(r gateway.Result, s strikes) decision {
	base := max(r.RetryAfter, throttleBase)
	switch {
	case r.Scope.Wide():
		limit := max(base, throttleCap)
		if base >= longThrottle {
			limit = longestWait
		}
		wait := grow(base, 2, s.throttled, limit)
		return decision{next: gateway.StatusQueued, hold: wait}
	case r.Scope == gateway.ScopePair, r.Scope == gateway.ScopeRecipient:
		return decision{next: gateway.StatusQueued, retryIn: grow(base, 4, s.message, pairCap)}
	}
	return decision{next: gateway.StatusQueued, retryIn: grow(base, 2, s.message, longestWait)}
}

// grow is base × factor^n, at most limit (but never less than base).
func grow(base time.Duration, factor int64, n int, limit time.Duration) time.Duration {
	d := base
	for range n {
		if d *= time.Duration(factor); d >= limit {
			return max(limit, base)
		}
	}
	return d
}

// throttledInARow counts how often the message itself met a limit last.
func throttledInARow(attempts []gateway.Attempt) int {
	n := 0
	for i := len(attempts) - 1; i >= 0 && attempts[i].Outcome == gateway.OutcomeThrottled; i-- {
		n++
	}
	return n
}

// outage reports whether the result speaks of a provider that is down or
// unreachable, which is all that the breaker is for.
func outage(r gateway.Result) bool {
	return r.Outcome == gateway.OutcomeTransient || r.Outcome == gateway.OutcomeUnknown
}
