package simulator

import (
	"maps"
	"strings"
	"sync"
	"time"
)

// account is an Account with what has happened to it.
type account struct {
	Account
	dialect dialect
	index   int
	digits  string // of Number
	started time.Time

	mu       sync.Mutex
	requests int64
	accepted int64
	refused  map[reason]int64
	arrivals window // every authorized send request
	granted  window // those within the rate
	lookups  window // capability requests within their rate
	pairs    map[string]time.Duration
	sweepAt  int // pairs, when those that owe nothing are forgotten
}

func newAccount(a Account, d dialect, index int, started time.Time) *account {
	acc := &account{Account: a, dialect: d, index: index, digits: strings.TrimPrefix(a.Number, "+"), started: started}
	acc.reset()
	return acc
}

func (a *account) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests, a.accepted = 0, 0
	a.refused = make(map[reason]int64)
	a.arrivals, a.granted, a.lookups = window{}, window{}, window{}
	a.pairs, a.sweepAt = make(map[string]time.Duration), pairsKept
}

// arrive stamps a request that has been read and says whether it is beyond the
// rate. The stamp is taken under the lock, so that stamps never decrease.
func (a *account) arrive(now func() time.Time) (at time.Time, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at = now()
	t := at.Sub(a.started)
	a.requests++
	a.arrivals.add(t)
	if a.Rate <= 0 {
		return at, false
	}
	if a.granted.count(t) >= a.Rate {
		return at, true
	}
	a.granted.add(t)
	return at, false
}

// lookUp says whether one more lookup is within the rate.
func (a *account) lookUp(now func() time.Time, rate int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := now().Sub(a.started)
	if a.lookups.count(t) >= rate {
		return false
	}
	a.lookups.add(t)
	return true
}

func (a *account) refuse(r reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[r]++
}

func (a *account) accept(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepted += int64(n)
}

func (a *account) stats() AccountStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	refused := make(map[string]int64, len(a.refused))
	for r, n := range a.refused {
		refused[string(r)] = n
	}
	return AccountStats{
		ID: a.ID, Dialect: a.Dialect, Rate: a.Rate,
		Requests: a.requests, Accepted: a.accepted, Refused: refused,
		MaxPerSecond: a.arrivals.highest, MaxGrantedPerSecond: a.granted.highest,
	}
}

// pairsKept bounds the memory of the pair limit: beyond it the pairs that owe
// nothing are forgotten.
const pairsKept = 100_000

// takePair charges one message to the recipient, or says that it is too much.
// It is the generic cell rate algorithm: pairs holds when each would be free of
// debt.
func (a *account) takePair(recipient string, at time.Time) bool {
	if a.PairEvery <= 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := at.Sub(a.started)
	free := max(a.pairs[recipient], now)
	if free-now > time.Duration(max(a.PairBurst, 1)-1)*a.PairEvery {
		return false
	}
	if len(a.pairs) >= a.sweepAt {
		maps.DeleteFunc(a.pairs, func(_ string, free time.Duration) bool { return free <= now })
		a.sweepAt = max(pairsKept, 2*len(a.pairs)) // seldom, when all of them owe
	}
	a.pairs[recipient] = free + a.PairEvery
	return true
}

// window counts events of the last second, an instant exactly one second ago
// excluded, and remembers the highest count there ever was. Instants must not
// decrease; a clock that steps back counts as standing still.
type window struct {
	ring    []time.Duration
	head, n int
	highest int
	last    time.Duration
}

// count is how many of the events so far lie in the second that ends at t.
func (w *window) count(t time.Duration) int {
	w.last = max(w.last, t)
	for w.n > 0 && w.ring[w.head] <= w.last-time.Second {
		w.head = (w.head + 1) % len(w.ring)
		w.n--
	}
	return w.n
}

func (w *window) add(t time.Duration) {
	w.count(t)
	if w.n == len(w.ring) {
		grown := make([]time.Duration, max(16, 2*w.n))
		copied := copy(grown, w.ring[w.head:])
		copy(grown[copied:], w.ring[:w.head])
		w.ring, w.head = grown, 0
	}
	w.ring[(w.head+w.n)%len(w.ring)] = w.last
	w.n++
	w.highest = max(w.highest, w.n)
}
