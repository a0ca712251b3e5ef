package limits

import (
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/gateway"
)

const (
	// pairSpare is how much of a provider's burst is left alone. It counts
	// arrivals: in each lane one message may be on its way for long, and the
	// network moves the others.
	pairSpare = 3
	// pairsKept is how many recipients are remembered before those that owe
	// nothing are forgotten.
	pairsKept = 10_000
	// promisesKept bounds the messages that are told each a time of their own.
	// Those beyond come together, and may have to wait again.
	promisesKept = 100_000
	// promiseGrace is how long after its time a promise is kept for a message
	// that may never come.
	promiseGrace = time.Minute
)

// Pairs limits what each single recipient is sent: one message in an interval,
// and a burst ahead of that (GCRA). Who has to wait is told when to come back,
// each one interval after the one before of its priority, so that nobody comes
// in vain and nobody overtakes; transactional waits for no bulk that waits. It is
// safe for concurrent use.
type Pairs struct {
	mu       sync.Mutex
	limit    gateway.PairLimit
	pairs    map[gateway.Recipient]*pair
	promises int // of all pairs
	sweepAt  int // pairs, when the next sweep is worth its while
}

// pair is what one recipient was sent lately.
type pair struct {
	free    time.Time // when it owes nothing
	entered int       // have entered, and neither begun nor left
	waiting map[gateway.Priority]*promises
}

// promises are the times that those who wait were told.
type promises struct {
	times map[gateway.MessageID]time.Time
	last  time.Time
}

// NewPairs makes limits that let everybody in until SetLimit.
func NewPairs() *Pairs {
	return &Pairs{pairs: make(map[gateway.Recipient]*pair), sweepAt: pairsKept}
}

// SetLimit changes the limit; none forgets what was counted.
func (l *Pairs) SetLimit(limit gateway.PairLimit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit.Burst = max(limit.Burst-pairSpare, 1)
	if l.limit = limit; limit.Every <= 0 {
		clear(l.pairs)
		l.promises = 0
	}
}

// Enter lets a message to a recipient in, or says how long it has to wait
// before it asks again. Who was let in is followed by one Begin or Leave.
func (l *Pairs) Enter(to gateway.Recipient, priority gateway.Priority, id gateway.MessageID) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit.Every <= 0 {
		return 0
	}
	now := time.Now()
	l.sweep(now)
	p := l.pair(to)
	line := p.waiting[priority]
	if line == nil {
		line = &promises{}
	}
	due, promised := line.times[id]
	if promised && due.After(now) {
		return due.Sub(now)
	}
	debt := l.limit.Every * time.Duration(p.entered-l.limit.Burst+1)
	at := latest(p.free, now).Add(debt)
	switch {
	case promised && at.After(now): // somebody more urgent came, or the provider refused one
		line.putOff(id, at, now, l.limit.Every)
		return at.Sub(now)
	case promised:
		delete(line.times, id)
		l.promises--
	case at.After(now) || line.last.After(now):
		at = latest(at, line.last.Add(l.limit.Every))
		l.promise(p, priority, line, id, at)
		return at.Sub(now)
	}
	p.entered++
	return 0
}

func (l *Pairs) pair(to gateway.Recipient) *pair {
	p := l.pairs[to]
	if p == nil {
		p = &pair{}
		l.pairs[to] = p
	}
	return p
}

func (l *Pairs) promise(p *pair, priority gateway.Priority, line *promises, id gateway.MessageID, at time.Time) {
	if l.promises >= promisesKept {
		return
	}
	if line.times == nil {
		line.times = make(map[gateway.MessageID]time.Time)
	}
	if p.waiting == nil {
		p.waiting = make(map[gateway.Priority]*promises, 1)
	}
	p.waiting[priority] = line
	line.times[id], line.last = at, at
	l.promises++
}

// putOff gives a message that came in its time another one, and moves those
// behind it as far as that needs: they hear of it when they come.
func (w *promises) putOff(id gateway.MessageID, at, now time.Time, every time.Duration) {
	delete(w.times, id)
	behind := slices.Collect(maps.Keys(w.times))
	behind = slices.DeleteFunc(behind, func(id gateway.MessageID) bool { return !w.times[id].After(now) })
	slices.SortFunc(behind, func(a, b gateway.MessageID) int { return w.times[a].Compare(w.times[b]) })
	w.times[id], w.last = at, at
	for _, id := range behind {
		w.last = latest(w.times[id], w.last.Add(every))
		w.times[id] = w.last
	}
}

// Begin charges a message that was let in.
func (l *Pairs) Begin(to gateway.Recipient) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.leave(to); p != nil {
		p.free = latest(p.free, time.Now()).Add(l.limit.Every)
	}
}

// Leave says that a message that was let in isn't sent now. It keeps its place
// before those that wait.
func (l *Pairs) Leave(to gateway.Recipient, priority gateway.Priority, id gateway.MessageID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, now := l.leave(to), time.Now()
	if p == nil {
		return
	}
	if line := p.waiting[priority]; line != nil && line.last.After(now) {
		last := line.last
		l.promise(p, priority, line, id, now)
		line.last = last
	}
}

// leave is the pair that one has left; nil if the limit has changed meanwhile.
func (l *Pairs) leave(to gateway.Recipient) *pair {
	p := l.pairs[to]
	if p == nil || p.entered == 0 {
		return nil
	}
	p.entered--
	return p
}

// Refused says that the provider counts otherwise and wants a wait: after it
// the recipient gets one message, and the next one an interval later.
func (l *Pairs) Refused(to gateway.Recipient, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit.Every <= 0 {
		return
	}
	p := l.pair(to)
	p.free = latest(p.free, time.Now().Add(wait+l.limit.Every*time.Duration(l.limit.Burst-1)))
}

// sweep forgets, once there is much of it, what says nothing any more.
func (l *Pairs) sweep(now time.Time) {
	if len(l.pairs) < l.sweepAt {
		return
	}
	for to, p := range l.pairs {
		left := 0
		for _, line := range p.waiting {
			for id, due := range line.times {
				if now.Sub(due) > promiseGrace {
					delete(line.times, id)
					l.promises--
				}
			}
			left += len(line.times)
		}
		if p.entered == 0 && left == 0 && !p.free.After(now) {
			delete(l.pairs, to)
		}
	}
	l.sweepAt = max(pairsKept, 2*len(l.pairs)) // seldom, when all of them owe
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
