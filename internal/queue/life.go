package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// life is the time a worker spends under one nonce. It ends when a renewal
// comes too late, and never begins again.
type life struct {
	nonce    string
	presence presence
	ttl      time.Duration
	born     time.Time    // of the monotonic clock
	until    atomic.Int64 // lease deadline, in ns since born
	last     view         // of the last renewal

	ctx context.Context // ends with the life
	end context.CancelCauseFunc
}

func newLife(ctx context.Context, p presence, ttl time.Duration) *life {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	l := &life{nonce: hex.EncodeToString(b[:]), presence: p, ttl: ttl, born: time.Now()}
	l.ctx, l.end = context.WithCancelCause(ctx)
	return l
}

// alive reports whether the lease holds now. It is the last thing to ask before
// a send.
func (l *life) alive() bool { return l.left() > 0 && l.ctx.Err() == nil }

// left is how long the lease still holds.
func (l *life) left() time.Duration {
	return time.Duration(l.until.Load()) - time.Since(l.born)
}

// begin registers the worker. It may be tried again until it succeeds once: no
// lease is held before.
func (l *life) begin(ctx context.Context, rdb redis.UniversalClient) error {
	return l.run(ctx, rdb, "start")
}

// renew extends the lease, or returns errLapsed if there is none left.
func (l *life) renew(ctx context.Context, rdb redis.UniversalClient) error {
	if !l.alive() {
		return errLapsed
	}
	return l.run(ctx, rdb, "renew")
}

func (l *life) run(ctx context.Context, rdb redis.UniversalClient, mode string) error {
	// The lease counts from before the command is sent: Redis starts to count
	// later, so the key outlives the deadline.
	sent := time.Since(l.born)
	v, err := runRenew(ctx, rdb, mode, l.nonce, l.presence, l.ttl, l.last)
	if err != nil {
		return err
	}
	l.last = v
	l.until.Store(int64(sent + l.ttl))
	return nil
}

// quit takes the worker out of the living at once.
func (l *life) quit(ctx context.Context, rdb redis.UniversalClient) error {
	return quitScript.Run(ctx, rdb, []string{liveKey(l.nonce), noncesKey()}, l.nonce).Err()
}
