package limits

import (
	"math"
	"time"
)

// How the allowance of a second is shared out. A receiver counts arrivals, and
// those are never as even as departures: exactly the rate, evenly spaced, puts
// one too many into half of all windows.
const (
	tokenShare  = 0.984 // tokens come at this part of the rate
	gateStretch = 1.012 // a second's worth of passages takes this many seconds
	// lateness is how far passages may catch up with a timer that fired late.
	// What remains of the stretch is for the network: rate+1 passages never
	// lie within less than 1.008 s.
	lateness = 4 * time.Millisecond
)

// perWindow is how many messages any sliding second may hold: whole ones. Below
// one a second, where a window can't tell, it is the rate itself.
func perWindow(rate float64) float64 {
	if rate < 1 {
		return rate
	}
	return math.Floor(rate)
}

// spacing keeps passages apart (GCRA): on average one in each interval, and
// never more than lateness ahead of that. Any n+1 passages take at least
// n×interval − lateness, whatever stalls came before. It is pure: the caller
// brings the time and the lock.
type spacing struct {
	interval time.Duration
	next     time.Time // when the next passage is due
}

// setRate changes the pace of passages after the one that is due.
func (s *spacing) setRate(rate float64) {
	s.interval = time.Duration(math.Ceil(gateStretch / perWindow(rate) * float64(time.Second)))
}

// slack is how late bytes may leave after their passage without a word.
const slack = 2 * time.Millisecond

// left moves what is due next behind bytes that left late: at the receiver the
// passage counts from then.
func (s *spacing) left(passed, now time.Time) {
	if now.Sub(passed) < slack {
		return
	}
	if next := now.Add(s.interval); s.next.Before(next) {
		s.next = next
	}
}

// take passes at now and returns zero, or doesn't and returns how long until
// it could.
func (s *spacing) take(now time.Time) time.Duration {
	if wait := s.next.Sub(now); wait > 0 {
		return wait
	}
	if earliest := now.Add(-lateness); s.next.Before(earliest) {
		s.next = earliest // what a stall or an idle time left unused is gone
	}
	s.next = s.next.Add(s.interval)
	return 0
}
