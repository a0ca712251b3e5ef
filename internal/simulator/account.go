package simulator

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// account is an Account with what has happened to it.
type account struct {
	Account
	dialect dialect
	index   int
	digits  string // of Number
	started time.Time

	terms atomic.Pointer[Rules] // in force

	mu       sync.Mutex
	requests int64
	accepted int64
	refused  map[reason]int64
	arrivals window // every authorized send request
	granted  window // those within the rate
	lookups  window // capability requests within their rate
	pairs    map[string]time.Duration
	sweepAt  int // pairs, when those that owe nothing are forgotten
	others   bucket
	wrote    map[string]time.Time // who wrote to the account, and when last
	consents map[string]bool      // who has opted in
	resolved map[string]bool      // who was looked up
}

func newAccount(a Account, d dialect, index int, started time.Time) *account {
	if a.Dialect == WhatsAppOnPrem {
		a.CallbackURL = withToken(a.CallbackURL, a.CallbackToken)
	}
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
	a.others = bucket{}
	a.wrote, a.consents, a.resolved = make(map[string]time.Time), make(map[string]bool), make(map[string]bool)
	a.terms.Store(rulesOf(&a.Account))
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
	rate := a.rules().rate()
	if rate <= 0 {
		return at, false
	}
	if a.granted.count(t) >= rate {
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

// spend says whether one more request of another kind is within every and
// burst. Accounts without a rate have no such limit either.
func (a *account) spend(now func() time.Time, every time.Duration, burst int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rules().rate() <= 0 || a.others.take(now().Sub(a.started), every, burst)
}

// windowLength is how long somebody who wrote can be answered freely.
const windowLength = 24 * time.Hour

// peopleKept bounds what is remembered of people.
const peopleKept = 100_000

// hear notes that somebody wrote to the account.
func (a *account) hear(from string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.wrote) >= peopleKept {
		clear(a.wrote)
	}
	a.wrote[from] = at
}

func (a *account) windowOpen(to string, at time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	wrote, ok := a.wrote[to]
	return ok && at.Sub(wrote) < windowLength
}

// optedIn is whether somebody opted in, or wrote within the day.
func (a *account) optedIn(to string, at time.Time) bool {
	if a.windowOpen(to, at) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.consents[to]
}

func (a *account) setOptIn(numbers []string, in bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range numbers {
		if !in {
			delete(a.consents, n)
		} else if len(a.consents) < peopleKept {
			a.consents[n] = true
		}
	}
}

// resolve notes that a number was looked up, and says whether it was before.
func (a *account) resolve(number string) (before bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before = a.resolved[number]
	if len(a.resolved) >= peopleKept {
		clear(a.resolved)
	}
	a.resolved[number] = true
	return before
}

func (a *account) isResolved(number string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.resolved[number]
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
		ID: a.ID, Dialect: a.Dialect, Rate: a.rules().rate(),
		Requests: a.requests, Accepted: a.accepted, Refused: refused,
		MaxPerSecond: a.arrivals.highest, MaxGrantedPerSecond: a.granted.highest,
	}
}

// pairsKept bounds the memory of the pair limit: beyond it the pairs that owe
// nothing are forgotten.
const pairsKept = 100_000

// takePair charges one message to the recipient, or says that it is too much.
func (a *account) takePair(recipient string, at time.Time) bool {
	every, burst := a.rules().pair()
	if every <= 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := at.Sub(a.started)
	pair := bucket{a.pairs[recipient]}
	if !pair.take(now, every, burst) {
		return false
	}
	if len(a.pairs) >= a.sweepAt {
		maps.DeleteFunc(a.pairs, func(_ string, free time.Duration) bool { return free <= now })
		a.sweepAt = max(pairsKept, 2*len(a.pairs)) // seldom, when all of them owe
	}
	a.pairs[recipient] = pair.free
	return true
}

// bucket is the generic cell rate algorithm. It holds when it would be free of
// debt.
type bucket struct{ free time.Duration }

// take charges one event, or says that it is too much: there may be one every
// so often, burst at one time.
func (b *bucket) take(now, every time.Duration, burst int) bool {
	free := max(b.free, now)
	if free-now > time.Duration(max(burst, 1)-1)*every {
		return false
	}
	b.free = free + every
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
