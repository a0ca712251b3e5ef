package redisdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// tries says how often what failed is tried again, and how soon.
type tries struct {
	more        int
	least, most time.Duration // backoffs
}

// triesOf is the patience a client was opened with.
func triesOf(rdb redis.UniversalClient) tries {
	switch c := rdb.(type) {
	case *redis.Client:
		o := c.Options()
		return tries{o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff}
	case *redis.ClusterClient:
		o := c.Options()
		return tries{o.MaxRedirects, o.MinRetryBackoff, o.MaxRetryBackoff}
	}
	return tries{}
}

// run calls act until it succeeds, fails for good or has used up its tries.
func (t tries) run(ctx context.Context, act func() error) error {
	for n := 0; ; n++ {
		err := act()
		if n >= t.more || !passing(err) || ctx.Err() != nil {
			return err
		}
		backoff := min(t.least<<n, t.most)
		timer := time.NewTimer(backoff/2 + rand.N(backoff/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w after %w", ctx.Err(), err)
		}
	}
}

// passing reports whether an error says nothing of what was asked for: Redis
// wasn't reached, or the node can't answer now, or is no longer the one to ask.
func passing(err error) bool {
	if err == nil {
		return false
	}
	if _, answered := errors.AsType[redis.Error](err); answered {
		_, moved := redis.IsMovedError(err)
		_, ask := redis.IsAskError(err)
		return moved || ask || redis.IsTryAgainError(err) || redis.IsClusterDownError(err) || redis.IsLoadingError(err) ||
			redis.IsReadOnlyError(err) || redis.IsMasterDownError(err) || redis.IsNoReplicasError(err) || redis.IsMaxClientsError(err)
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, redis.ErrPoolTimeout)
}

// OnMaster calls act with a client of the node that has the key: rdb itself, but
// in a cluster. There act may be called again, with the patience of rdb, for the
// client of one node neither tries again nor follows a key that moves.
func OnMaster(ctx context.Context, rdb redis.UniversalClient, key string, act func(node redis.UniversalClient) error) error {
	if p, ok := rdb.(*pipelined); ok {
		rdb = p.UniversalClient
	}
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return act(rdb)
	}
	return triesOf(cluster).run(ctx, func() error {
		node, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return err
		}
		err = act(node)
		if _, moved := redis.IsMovedError(err); moved {
			cluster.ReloadState(ctx)
		}
		return err
	})
}
