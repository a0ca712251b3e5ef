// Command loop writes records and tasks as POST /v1/batches does, pipelined and
// with nothing between: no validation, no scripts, no counters, no idempotency.
// It writes so many and says how long it took.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/bench/internal/load"
	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// together is how many messages go in one pipeline.
const together = 500

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: loop REDIS MESSAGES BYTES")
		os.Exit(2)
	}
	messages, err1 := strconv.Atoi(os.Args[2])
	size, err2 := strconv.Atoi(os.Args[3])
	if err1 != nil || err2 != nil {
		fmt.Fprintln(os.Stderr, "loop: MESSAGES and BYTES are numbers")
		os.Exit(2)
	}
	rdb := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	begun := time.Now()
	if err := write(context.Background(), rdb, messages, fmt.Appendf(nil, `{"text":{"body":%q}}`, load.Text(size))); err != nil {
		fmt.Fprintln(os.Stderr, "loop:", err)
		os.Exit(1)
	}
	fmt.Println(time.Since(begun).Nanoseconds())
}

func write(ctx context.Context, rdb *redis.Client, messages int, content []byte) error {
	const account, queue = gateway.AccountID("bench-0000"), "asynq:{bench-0000:bulk}:"
	for n := 0; n < messages; {
		pipe := rdb.Pipeline()
		for range min(together, messages-n) {
			now := time.Now()
			id, to, ms := gateway.NewMessageID(account, now), fmt.Sprintf("+46%09d7777", n), now.UnixMilli()
			pipe.HSet(ctx, redisdb.Key(account.Tag(), "m:"+id.Local()),
				"a", string(account), "p", "b", "to", to, "y", "text", "c", content, "ct", ms, "ex", ms+86_400_000, "b", 1, "s", "q", "tb", ms)
			pipe.ZAdd(ctx, redisdb.Key(account.Tag(), "ix"), redis.Z{Member: "a" + id.Local()}, redis.Z{Member: "t" + to[1:13] + id.Local()})
			pipe.HSet(ctx, queue+"t:"+string(id), "msg", string(id)+string(id), "state", "pending", "pending_since", now.UnixNano())
			pipe.LPush(ctx, queue+"pending", string(id))
			n++
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
