package queue

import (
	"context"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
)

// EnqueueAll puts tasks of one account into their lanes in their order, as
// Enqueue does, but in one round trip. After an error any of them may be there.
func (c *Client) EnqueueAll(ctx context.Context, account gateway.AccountID, tasks []gateway.Task) error {
	switch len(tasks) {
	case 0:
		return nil
	case 1:
		return c.Enqueue(ctx, account, tasks[0])
	}
	var failed int
	var err error
	for range 1 + len(gateway.Priorities()) {
		failed, err = c.together(ctx, account, tasks)
		if err == nil || !redis.HasErrorPrefix(err, "NOSCRIPT") {
			break
		}
		// A Redis that is new to us. A task that comes alone brings the script along,
		// to the node where its lane lies; none behind it went before it.
		if err := c.Enqueue(ctx, account, tasks[failed]); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("enqueue %s and others: %w", taskID(tasks[failed]), err)
	}
	return nil
}

// together sends asynq's own commands for the tasks at one time. An error is the
// first one's that failed.
func (c *Client) together(ctx context.Context, account gateway.AccountID, tasks []gateway.Task) (failed int, err error) {
	r := &recorder{UniversalClient: c.rdb, pipe: c.rdb.Pipeline()}
	client := asynq.NewClientFromRedisClient(r)
	for i, t := range tasks {
		if err := enqueue(ctx, client, account, t); err != nil {
			return i, err
		}
	}
	if _, err = r.pipe.Exec(ctx); err == nil {
		return 0, nil
	}
	for i, cmd := range r.scripts {
		if cmd.Err() != nil {
			return i, cmd.Err()
		}
	}
	return 0, err
}

// recorder keeps the commands of an enqueue for one pipeline, and answers each as
// if it had put in a task that was new. One that was there already stays where it
// is, which is as good.
type recorder struct {
	redis.UniversalClient

	pipe    redis.Pipeliner
	scripts []*redis.Cmd // one for each task
}

// EvalSha implements redis.UniversalClient.
func (r *recorder) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	r.scripts = append(r.scripts, r.pipe.EvalSha(ctx, sha, keys, args...))
	cmd := redis.NewCmd(ctx)
	cmd.SetVal(int64(1))
	return cmd
}

// SAdd implements redis.UniversalClient.
func (r *recorder) SAdd(ctx context.Context, key string, members ...any) *redis.IntCmd {
	r.pipe.SAdd(ctx, key, members...)
	return redis.NewIntCmd(ctx)
}
