package outbound

import (
	"sync"
	"time"
)

// How receivers are treated.
const (
	failuresToShut = 5 // in a row
	firstShut      = 5 * time.Second
	longestShut    = 2 * time.Minute

	// waitingFactor is how many notices may be in hand for each call that may be
	// open: enough that a fast receiver isn't idle until the next claim.
	waitingFactor = 8

	// What is put off comes due one by one: at the pace at which the receiver
	// answers, but not faster than shortestGap; for one that is shut, so far
	// apart and further with each probe that failed.
	shortestGap = time.Millisecond
	firstGuess  = 100 * time.Millisecond // of the time it takes to answer
	shutGap     = 20 * time.Millisecond
	longestGap  = 320 * time.Millisecond
	farthest    = 10 * time.Minute // nothing is put off longer: the receiver may be well by then

	sweepFrom = 1024 // receivers known, above which idle ones are looked for
)

// receivers is what this process knows of those it calls, all accounts taken
// together. It is safe for concurrent use.
type receivers struct {
	calls   int           // at one time, for each
	probe   time.Duration // how long one call may take
	random  func(n int64) int64
	changed func(name string, shut bool)

	mu      sync.Mutex
	known   map[string]*receiver
	sweepAt int
}

// receiver is one of them. Its fields are under receivers.mu.
type receiver struct {
	name  string
	slots chan struct{} // holds a token for each open call

	inHand   int           // notices that are called for, or wait to
	failures int           // in a row
	shut     bool          // by them
	closings int           // in a row
	until    time.Time     // while shut: no probe before
	took     time.Duration // by a call, lately; zero: none has ended
	line     time.Time     // when the last one that was put off comes due
}

// putOff is an answer to a notice that can't be called for now.
type putOff struct {
	wait time.Duration
	shut bool // the receiver is; else it is only busy
}

// enter takes a notice in hand, or puts it off.
func (rs *receivers) enter(name string, now time.Time) (*receiver, *putOff) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.known[name]
	if r == nil {
		rs.sweep(now)
		r = &receiver{name: name, slots: make(chan struct{}, rs.calls)}
		rs.known[name] = r
	}
	if r.shut && now.Before(r.until) || r.inHand >= rs.calls*waitingFactor {
		return nil, rs.place(r, now)
	}
	r.inHand++
	return r, nil
}

// leave is the end of what enter began.
func (rs *receivers) leave(r *receiver) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.inHand--
	if r.inHand == 0 && r.failures == 0 && !r.line.After(time.Now()) {
		delete(rs.known, r.name)
	}
}

// sweep forgets receivers that failed and were not called since, when there are
// many: names are others' to choose.
func (rs *receivers) sweep(now time.Time) {
	if len(rs.known) < max(rs.sweepAt, sweepFrom) {
		return
	}
	for name, r := range rs.known {
		if r.inHand == 0 && !r.until.After(now) && !r.line.After(now) {
			if r.shut {
				rs.changed(name, false)
			}
			delete(rs.known, name)
		}
	}
	rs.sweepAt = 2 * len(rs.known)
}

// begin allows a call, or puts the notice off. While the receiver is shut the
// call is a probe, and no other begins until it must have ended, so that a
// probe that never came about blocks nothing.
func (rs *receivers) begin(r *receiver, now time.Time) (probe bool, off *putOff) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !r.shut {
		return false, nil
	}
	if now.Before(r.until) {
		return false, rs.place(r, now)
	}
	r.until = now.Add(rs.probe)
	return true, nil
}

// ended says how a call went that began with begin. after is how long the
// receiver asked to wait.
func (rs *receivers) ended(r *receiver, probe, well bool, took, after time.Duration, now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.took == 0 {
		r.took = max(took, 1)
	}
	r.took += (took - r.took) / 8
	switch {
	case well && r.shut:
		rs.changed(r.name, false)
		r.shut, r.until, r.line = false, time.Time{}, time.Time{}
		fallthrough
	case well:
		r.failures, r.closings = 0, 0
	case probe, !r.shut && r.failures+1 >= failuresToShut:
		if !r.shut {
			rs.changed(r.name, true)
		}
		r.failures, r.shut = r.failures+1, true
		wait := min(firstShut<<min(r.closings, 10), longestShut)
		r.until = now.Add(max(wait, after))
		r.closings++
	case !r.shut:
		r.failures++
	}
}

// off puts off a notice that is in hand.
func (rs *receivers) off(r *receiver, now time.Time) *putOff {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.place(r, now)
}

// place is the next place in the receiver's line. Places are apart, so that
// what waits for it is claimed again at a bounded pace, however much that is.
func (rs *receivers) place(r *receiver, now time.Time) *putOff {
	took := r.took
	if took == 0 {
		took = firstGuess
	}
	from, gap := now, max(took/time.Duration(rs.calls), shortestGap)
	if r.shut {
		from, gap = later(now, r.until), min(shutGap<<min(r.closings-1, 10), longestGap)
	}
	at := later(r.line, from).Add(gap)
	if wait := at.Sub(now); wait < farthest {
		r.line = at
		return &putOff{wait, r.shut}
	}
	// Behind the end, at a place by chance.
	r.line = now.Add(farthest)
	return &putOff{farthest/2 + time.Duration(rs.random(int64(farthest/2))), r.shut}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
