package sender

import (
	"context"
	"sync"

	"sluice/internal/gateway"
)

// recipients keeps the order of messages to one recipient: from beginning one
// until its request is written nobody else begins one of the same priority.
type recipients struct {
	mu   sync.Mutex
	busy map[turn]*claim
}

type turn struct {
	to       gateway.Recipient
	priority gateway.Priority
}

// claim is a lock that can be waited for with a context. Whoever puts a token
// in has it.
type claim struct {
	token chan struct{}
	users int // who have it or wait for it
}

// lock fails with ctx only. unlock may be called more than once.
func (r *recipients) lock(ctx context.Context, t turn) (unlock func(), err error) {
	r.mu.Lock()
	c := r.busy[t]
	if c == nil {
		if r.busy == nil {
			r.busy = make(map[turn]*claim)
		}
		c = &claim{token: make(chan struct{}, 1)}
		r.busy[t] = c
	}
	c.users++
	r.mu.Unlock()

	select {
	case c.token <- struct{}{}:
		return sync.OnceFunc(func() {
			<-c.token
			r.leave(t, c)
		}), nil
	case <-ctx.Done():
		r.leave(t, c)
		return nil, ctx.Err()
	}
}

func (r *recipients) leave(t turn, c *claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.users--; c.users == 0 {
		delete(r.busy, t)
	}
}
