// Package store keeps what is known of messages in Redis: records,
// idempotency, order, attempts in flight, receipts, holds, counters and
// events. Every step is one script, idempotent by nonce or expected state, so
// that a command sent twice changes nothing the second time.
//
// Errors are gateway's (ErrNotFound, ErrConflict, ErrKeyReused), or wrap
// gateway.ErrUnavailable: Redis didn't confirm, and what was asked may or may
// not have happened. A Store is safe for concurrent use.
package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// Options say what a store needs to know beside its messages.
type Options struct {
	// Retention is how long an account's messages are kept.
	Retention func(gateway.AccountID) gateway.Retention
	// UnknownGrace is how long an account's unknown outcomes may settle by
	// themselves.
	UnknownGrace func(gateway.AccountID) time.Duration
	// Polls says whether the provider is asked for the status of what it accepts
	// from now on (DuePoll); nil: of no account.
	Polls func(gateway.AccountID) bool
	// Lookups says whether the provider is asked if it has what has become unknown
	// from now on (DuePoll); nil: of no account.
	Lookups func(gateway.AccountID) bool
	// Tier is an account's tier; nil: no account has one.
	Tier func(gateway.AccountID) gateway.Tier
	// IdempotencyTTL is how long keys are remembered; zero means 24 hours.
	IdempotencyTTL time.Duration
	// WaitReplicas is the number of replicas that must have an accepted
	// message, or an intent, before it counts.
	WaitReplicas int
}

// Store is the state of all accounts in one Redis.
type Store struct {
	rdb  redis.UniversalClient
	opts Options

	reminded sync.Map // account -> when its owner was last reminded of what is new
}

// New returns a store over rdb, which stays the caller's to close.
func New(rdb redis.UniversalClient, opts Options) *Store {
	if opts.IdempotencyTTL == 0 {
		opts.IdempotencyTTL = 24 * time.Hour
	}
	return &Store{rdb: rdb, opts: opts}
}

// replicaWait bounds the wait for replicas, within a request's deadline.
const replicaWait = 500 * time.Millisecond

// unavailable marks err as "not confirmed".
func unavailable(act, key string, err error) error {
	return fmt.Errorf("%s %s: %w: %w", act, key, gateway.ErrUnavailable, err)
}

// args begins a script's arguments with the account's durations, which
// common.lua expects first.
func (s *Store) args(account gateway.AccountID, rest ...any) []any {
	r := s.opts.Retention(account)
	head := []any{
		r.Content.Milliseconds(), r.Record.Milliseconds(), r.DeadLetter.Milliseconds(),
		s.opts.UnknownGrace(account).Milliseconds(),
	}
	return append(head, rest...)
}

// keysOf are what an account's scripts are given: the prefix of its keys, and a
// name. Neither is a key, ever. A cluster refuses two keys of a slot that it
// is moving unless one node has both, so no script runs on one half of an
// account.
func keysOf(account gateway.AccountID) []string {
	return []string{redisdb.Key(account.Tag(), ""), redisdb.Key(account.Tag(), "none")}
}

// run runs an account's script. The bare text answer of most scripts comes
// back as the only element.
func (s *Store) run(ctx context.Context, script *script, account gateway.AccountID, rest ...any) ([]string, error) {
	return answer(script.Run(ctx, s.rdb, keysOf(account), s.args(account, rest...)...))
}

// runReplicated is run for a write that counts only once replicas have it. The
// WAIT follows on the same connection, or it would speak of other writes.
func (s *Store) runReplicated(ctx context.Context, script *script, account gateway.AccountID, rest ...any) ([]string, error) {
	if s.opts.WaitReplicas == 0 {
		return s.run(ctx, script, account, rest...)
	}
	var written *redis.Cmd
	keys := keysOf(account)
	err := redisdb.OnMaster(ctx, s.rdb, keys[0], func(node redis.UniversalClient) error {
		pipe := node.Pipeline()
		written = script.Eval(ctx, pipe, keys, s.args(account, rest...)...)
		waited := pipe.Do(ctx, "WAIT", s.opts.WaitReplicas, replicaWait.Milliseconds())
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		if n, err := waited.Int(); err != nil {
			return err
		} else if n < s.opts.WaitReplicas {
			return fmt.Errorf("%d of %d replicas have it", n, s.opts.WaitReplicas)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer(written)
}

func answer(cmd *redis.Cmd) ([]string, error) {
	v, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			switch e := e.(type) {
			case string:
				out[i] = e
			case int64:
				out[i] = strconv.FormatInt(e, 10)
			}
		}
		return out, nil
	}
	return nil, errors.New("a script answered in no known form")
}
