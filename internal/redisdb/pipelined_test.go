package redisdb_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

func pipelined(t *testing.T, url string, use redisdb.Use) redis.UniversalClient {
	t.Helper()
	direct, err := redisdb.Open(url, use)
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := redisdb.Pipelined(direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestScriptsOfManyCallersGetEachTheirOwnAnswer(t *testing.T) {
	redistest.Everywhere(t, func(t *testing.T, url string) {
		rdb := pipelined(t, url, redisdb.ForAPI)
		echo := redis.NewScript(`return redis.call('INCR', KEYS[1]) .. ' ' .. ARGV[1]`)
		var callers sync.WaitGroup
		for i := range 200 {
			callers.Go(func() {
				got, err := echo.Run(t.Context(), rdb, []string{fmt.Sprint("k", i)}, i).Text()
				if want := fmt.Sprint("1 ", i); err != nil || got != want {
					t.Errorf("%q, %v; want %q", got, err, want)
				}
			})
		}
		callers.Wait()
	})
}

func TestAScriptThatFailsSpoilsNoOther(t *testing.T) {
	redistest.Everywhere(t, func(t *testing.T, url string) {
		rdb := pipelined(t, url, redisdb.ForAPI)
		scripts := map[string]func(*redis.Cmd) bool{
			`return redis.error_reply('ODD as told')`: func(c *redis.Cmd) bool { return redis.HasErrorPrefix(c.Err(), "ODD") },
			`return nil`:                    func(c *redis.Cmd) bool { return errors.Is(c.Err(), redis.Nil) },
			`return redis.call('NONSENSE')`: func(c *redis.Cmd) bool { return c.Err() != nil },
			`return 7`:                      func(c *redis.Cmd) bool { n, err := c.Int(); return n == 7 && err == nil },
		}
		var callers sync.WaitGroup
		for range 20 {
			for text, right := range scripts {
				callers.Go(func() {
					if cmd := rdb.Eval(t.Context(), text, nil); !right(cmd) {
						t.Errorf("%s: %v, %v", text, cmd.Val(), cmd.Err())
					}
				})
			}
		}
		callers.Wait()
		if err := rdb.EvalSha(t.Context(), "0000000000000000000000000000000000000000", nil).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
			t.Errorf("an unknown script: %v", err)
		}
	})
}

func TestOneCallersScriptsRunInTheirOrder(t *testing.T) {
	redistest.Everywhere(t, func(t *testing.T, url string) {
		rdb := pipelined(t, url, redisdb.ForWorker)
		var callers sync.WaitGroup
		for caller := range 20 {
			callers.Go(func() {
				key := []string{strconv.Itoa(caller)}
				for i := range 50 {
					if n, err := rdb.Eval(t.Context(), `return redis.call('INCR', KEYS[1])`, key).Int(); err != nil || n != i+1 {
						t.Errorf("step %d answers %d, %v", i, n, err)
						return
					}
				}
			})
		}
		callers.Wait()
	})
}

func TestACallerWhoGivesUpIsAnsweredAtOnce(t *testing.T) {
	server := redistest.New(t)
	rdb := pipelined(t, server.URL, redisdb.ForWorker)
	if err := rdb.Eval(t.Context(), `return 1`, nil).Err(); err != nil {
		t.Fatal(err)
	}
	server.Down()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := rdb.Eval(ctx, `return 1`, nil).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without Redis: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second { // the client itself tries for much longer
		t.Errorf("it took %v", took)
	}
	if err := rdb.Eval(ctx, `return 1`, nil).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that has ended: %v", err)
	}
	server.Up(t)
	if n, err := rdb.Eval(t.Context(), `return 7`, nil).Int(); err != nil || n != 7 {
		t.Errorf("with Redis back: %d, %v", n, err)
	}
}

func TestClosingEndsThoseWhoWait(t *testing.T) {
	server := redistest.New(t)
	rdb := pipelined(t, server.URL, redisdb.ForAPI)
	server.Down()
	done := make(chan error, 1)
	go func() { done <- rdb.Eval(context.Background(), `return 1`, nil).Err() }()
	if err := rdb.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("a script ran without Redis")
	}
	if err := rdb.Eval(t.Context(), `return 1`, nil).Err(); err == nil {
		t.Error("a script ran on a closed client")
	}
}

func TestTheMasterOfAKeyIsTheClientItselfButInACluster(t *testing.T) {
	redistest.Everywhere(t, func(t *testing.T, url string) {
		rdb := pipelined(t, url, redisdb.ForAPI)
		for i := range 20 {
			key := strconv.Itoa(i)
			if err := redisdb.OnMaster(t.Context(), rdb, key, func(node redis.UniversalClient) error {
				if _, ok := node.(*redis.Client); !ok {
					t.Errorf("it is a %T", node)
				}
				return node.Set(t.Context(), key, i, 0).Err() // another node would say where it has moved
			}); err != nil {
				t.Error(err)
			}
		}
	})
}
