package queue

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"sync"
	"time"

	"sluice/internal/gateway"
)

const (
	// retiredFor is how long a retired account is kept after the due index has
	// shown it last.
	retiredFor = 3 * time.Minute

	// shownFor is how long ago that may be for it to be taken. What is due is
	// shown once a second until somebody looks after it.
	shownFor = 5 * time.Second

	// refusedFor is how long one is left alone that has no desk.
	refusedFor = time.Minute

	// retiredLimit is how many are remembered. Those that are shown no more make
	// room for others.
	retiredLimit = 1000
)

// retirees remembers the accounts that left the configuration and still have
// something due: what they hold expires and is purged like everything else. It
// is safe for concurrent use.
type retirees struct {
	mu   sync.Mutex
	seen map[gateway.AccountID]sighting
}

type sighting struct {
	shownAt      time.Time // last
	refusedUntil time.Time
}

// show notes that the due index shows the accounts, and reports whether one of
// them waits to be taken since.
func (r *retirees) show(accounts []gateway.AccountID, now time.Time) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, retiredFor)
	for _, account := range accounts {
		old, known := r.seen[account]
		if !known && len(r.seen) >= retiredLimit {
			if r.forget(now, shownFor); len(r.seen) >= retiredLimit {
				return news
			}
		}
		news = news || now.Sub(old.shownAt) > shownFor
		r.seen[account] = sighting{shownAt: now, refusedUntil: old.refusedUntil}
	}
	return news
}

func (r *retirees) forget(now time.Time, after time.Duration) {
	maps.DeleteFunc(r.seen, func(_ gateway.AccountID, s sighting) bool { return now.Sub(s.shownAt) > after })
}

// refuse has the account left alone for a while.
func (r *retirees) refuse(account gateway.AccountID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.seen[account]; ok {
		s.refusedUntil = now.Add(refusedFor)
		r.seen[account] = s
	}
}

// share says who should own each of them. They stay where they are; what is
// free has its place by its name alone, for not every worker has seen the same
// ones: to even out what they don't agree on would have one worker leave to
// another what that one leaves to it. A worker with an older configuration lets
// go of them: the account may be one that it doesn't know yet.
func (r *retirees) share(members []member, owners map[gateway.AccountID]string, now time.Time) map[gateway.AccountID]string {
	accepts := make(map[string]bool, len(members))
	for _, m := range members {
		accepts[m.nonce] = m.accepts
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, retiredFor)
	plan := make(map[gateway.AccountID]string, len(r.seen))
	for account, s := range r.seen {
		if s.refusedUntil.After(now) {
			continue
		}
		owner := owners[account]
		if may, alive := accepts[owner]; alive {
			if may {
				plan[account] = owner
			}
		} else if home, ok := homeOf(account, members); ok && now.Sub(s.shownAt) <= shownFor {
			plan[account] = home
		}
	}
	return plan
}

// homeOf is the member that gets the account: the same for every worker, and
// another's coming or going moves it only from or to that one.
func homeOf(account gateway.AccountID, members []member) (home string, ok bool) {
	var highest [sha256.Size]byte
	for _, m := range members {
		if !m.accepts {
			continue
		}
		score := sha256.Sum256([]byte(m.nonce + ":" + string(account)))
		if !ok || bytes.Compare(score[:], highest[:]) > 0 {
			home, highest, ok = m.nonce, score, true
		}
	}
	return home, ok
}
