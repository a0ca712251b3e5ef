package redisdb_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

// While a slot moves, with scripts of it and of others in the same pipelines:
// its own wait until it has moved, for they would find half of their keys, and
// no other is run twice on their account.
func TestScriptsOutlastAMoveOfTheirSlot(t *testing.T) {
	c := redistest.Shared(t)
	rdb := pipelined(t, c.URL, redisdb.ForWorker)
	hasty := pipelined(t, c.URL, redisdb.ForAPI)
	const prefix = "sl:{moving}:"
	keys := []string{prefix, prefix + "none"}
	filler := func(i int) string { return fmt.Sprint(prefix, "filler", i%200) }
	for i := range 200 {
		if err := rdb.Set(t.Context(), filler(i), "full", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	both := redis.NewScript(`local n = redis.call('INCR', KEYS[1] .. 'a')
return {n, redis.call('INCR', KEYS[1] .. 'b')}`)
	one := redis.NewScript(`return redis.call('GET', KEYS[1])`) // as asynq's, of whose keys some are mostly missing
	take := redis.NewScript(`return redis.call('INCR', KEYS[1])`)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	var moved, others atomic.Int64
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				n, err := both.Run(t.Context(), rdb, keys).Int64Slice()
				if err != nil || n[0] != n[1] {
					t.Errorf("a script of the slot that moves: %v, %v", n, err)
					return
				}
				moved.Add(1)
			}
		})
	}
	for i := range 8 {
		callers.Go(func() {
			for n := i; ctx.Err() == nil; n += 7 {
				if got, err := one.Run(t.Context(), rdb, []string{filler(n), prefix + "none"}).Text(); err != nil || got != "full" {
					t.Errorf("a script of a key that moves: %q, %v", got, err)
					return
				}
			}
		})
	}
	for i := range 32 {
		callers.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				if got, err := take.Run(t.Context(), rdb, []string{fmt.Sprint("other", i)}).Int64(); err != nil || got != n {
					t.Errorf("a script of another slot gives %d, %v; want %d", got, err, n)
					return
				}
				others.Add(1)
			}
		})
	}
	c.Migrate(t, prefix, func() {
		began := time.Now()
		if err := both.Run(t.Context(), hasty, keys).Err(); !redis.IsTryAgainError(err) {
			t.Errorf("midway a script of the slot answers %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("who is in a hurry learns it after %v", took)
		}
		grow(t, &others, 500)
	})
	grow(t, &moved, 100)
	stop()
	callers.Wait()
	for _, name := range []string{"a", "b"} {
		if n, err := rdb.Get(t.Context(), prefix+name).Int64(); err != nil || n != moved.Load() {
			t.Errorf("%s counts %d, %v; %d scripts had their answer", name, n, err, moved.Load())
		}
	}
}

// grow waits until the count is that much higher.
func grow(t *testing.T, count *atomic.Int64, by int64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for enough := count.Load() + by; count.Load() < enough && !t.Failed(); <-tick.C {
		if time.Now().After(deadline) {
			t.Errorf("only %d scripts in all", count.Load())
		}
	}
}
