package simulator

import (
	"crypto/rand"
	"maps"
	"sync"
	"time"
)

// grants are the tokens that were issued, each to one owner for a time.
type grants struct {
	mu      sync.Mutex
	tokens  map[string]grant
	sweepAt int
}

type grant struct {
	owner   string
	expires time.Time
}

// grantsKept is how many tokens there may be before those that have expired are
// forgotten.
const grantsKept = 10_000

func newGrants() *grants { return &grants{tokens: make(map[string]grant), sweepAt: grantsKept} }

// issue makes a token that looks as those of the providers.
func (g *grants) issue(owner string, now time.Time, life time.Duration) (token string, expires time.Time) {
	token, expires = "eyJ"+rand.Text()+"."+rand.Text(), now.Add(life)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.tokens) >= g.sweepAt {
		maps.DeleteFunc(g.tokens, func(_ string, t grant) bool { return !now.Before(t.expires) })
		g.sweepAt = max(grantsKept, 2*len(g.tokens))
	}
	g.tokens[token] = grant{owner, expires}
	return token, expires
}

// owner is who a token was issued to, "" if it wasn't, and whether it is still
// good.
func (g *grants) owner(token string, now time.Time) (owner string, good bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.tokens[token]
	return t.owner, t.owner != "" && now.Before(t.expires)
}

// expire makes the owner's tokens stale.
func (g *grants) expire(owner string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for token, t := range g.tokens {
		if t.owner == owner {
			g.tokens[token] = grant{owner: owner}
		}
	}
}

// revoke forgets one token.
func (g *grants) revoke(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tokens, token)
}
