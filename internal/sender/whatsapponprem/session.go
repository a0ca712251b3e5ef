package whatsapponprem

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"sluice/internal/gateway"
)

const (
	// defaultLife is how long a token lives whose host doesn't say.
	defaultLife = 7 * 24 * time.Hour
	// shortestLife is how long a token is used even if its host says less: its
	// clock may be wrong, and a 401 tells.
	shortestLife = time.Minute
	// refreshAgain is the wait after a refresh that failed.
	refreshAgain = time.Minute
	// failurePause is how long a failed login answers for the next ones: those
	// who were about to send come to the same, and hosts count failed logins.
	failurePause = 5 * time.Second
)

// token is what a login gave.
type token struct {
	text       string
	generation uint64    // from 1; each login's is higher than the last one's
	refresh    time.Time // when to log in again, while it is still good
	expires    time.Time
}

func (t token) usable(now time.Time) bool { return t.text != "" && now.Before(t.expires) }

// session keeps the token of one account. One login serves all who wait for
// it, its failure too. It is made by whoever comes first, under that caller's
// context; should the caller go away, the next one begins anew.
type session struct {
	logIn func(context.Context) (text string, expires time.Time, failure *gateway.Error)
	now   func() time.Time
	turn  chan struct{} // of one: held by who logs in

	mu sync.Mutex
	sessionState
}

type sessionState struct {
	current  token
	rounds   uint64         // logins that came to an end
	failure  *gateway.Error // of the last one
	failedAt time.Time
}

func newSession(now func() time.Time, logIn func(context.Context) (string, time.Time, *gateway.Error)) *session {
	return &session{logIn: logIn, now: now, turn: make(chan struct{}, 1)}
}

// get is a token that is good as far as is known.
func (s *session) get(ctx context.Context) (token, *gateway.Error) {
	first, now := s.look(), s.now()
	t := first.current
	switch {
	case t.usable(now) && now.Before(t.refresh):
		return t, nil
	case !t.usable(now) && first.failure != nil && now.Before(first.failedAt.Add(failurePause)):
		return token{}, first.failure
	}
	select {
	case s.turn <- struct{}{}:
	default:
		if t.usable(now) {
			return t, nil // somebody is getting a new one
		}
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return token{}, unreachable("waiting for a login", ctx.Err())
		}
	}
	defer func() { <-s.turn }()

	then := s.look()
	if then.rounds != first.rounds { // a login ended while we waited
		if then.current.usable(s.now()) {
			return then.current, nil
		}
		if then.failure != nil {
			return token{}, then.failure
		}
	}
	return s.renew(ctx)
}

func (s *session) look() sessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessionState
}

// renew logs in. While the old token is good, a failure costs nothing.
func (s *session) renew(ctx context.Context) (token, *gateway.Error) {
	text, expires, failure := s.logIn(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if failure == nil {
		s.rounds, s.failure = s.rounds+1, nil
		s.current = newToken(text, s.rounds, expires, now)
		return s.current, nil
	}
	if ctx.Err() == nil { // else it is the caller who ended it
		s.rounds, s.failure, s.failedAt = s.rounds+1, failure, now
	}
	if s.current.usable(now) {
		s.current.refresh = now.Add(refreshAgain)
		return s.current, nil
	}
	return token{}, failure
}

// drop says that the token of the generation was refused; zero is the current
// one's. A newer one stays.
func (s *session) drop(generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if generation == 0 || generation == s.current.generation {
		s.current.expires = time.Time{}
	}
}

// newToken plans the refresh: at 80 % of the token's life or a day before its
// end, whichever is earlier, but not in the first half of its life; and a
// little before, so that accounts don't all come at one time.
func newToken(text string, generation uint64, expires, now time.Time) token {
	life := defaultLife
	if !expires.IsZero() {
		life = max(expires.Sub(now), shortestLife)
	}
	wait := min(life*8/10, max(life-24*time.Hour, life/2))
	wait -= time.Duration(rand.Float64() * float64(wait) / 20)
	return token{text: text, generation: generation, refresh: now.Add(wait), expires: now.Add(life)}
}
