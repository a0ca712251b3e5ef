package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
)

const (
	// ringGap is how long one ring stands for those that follow it. A lane is
	// looked into once more after that, so what was enqueued meanwhile is seen.
	ringGap = 20 * time.Millisecond

	// noTimeout outlasts every message: how long a task may take is the desk's
	// business, but asynq insists on a bound.
	noTimeout = 100 * 365 * 24 * time.Hour

	// noRetryLimit keeps asynq from its archive, which forgets.
	noRetryLimit = 1 << 20
)

// Client puts tasks into lanes and reads their state. It is safe for
// concurrent use.
type Client struct {
	rdb   redis.UniversalClient
	asynq *asynq.Client
	log   *slog.Logger

	mu   sync.Mutex
	rung map[string]time.Time // by the ring's payload
}

// NewClient builds a client; it doesn't connect, and closing rdb is the
// caller's business.
func NewClient(rdb redis.UniversalClient, log *slog.Logger) *Client {
	return &Client{
		rdb:   rdb,
		asynq: asynq.NewClientFromRedisClient(rdb),
		log:   log,
		rung:  make(map[string]time.Time),
	}
}

// Enqueue puts the task into its lane, at the tail. A task that is there
// already stays where it is, and that is success.
func (c *Client) Enqueue(ctx context.Context, account gateway.AccountID, t gateway.Task) error {
	return enqueue(ctx, c.asynq, account, t)
}

func enqueue(ctx context.Context, client *asynq.Client, account gateway.AccountID, t gateway.Task) error {
	id := taskID(t)
	queue, err := queueFor(account, t)
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", id, err)
	}
	_, err = client.EnqueueContext(
		ctx, asynq.NewTask(taskType, nil), asynq.Queue(queue), asynq.TaskID(id),
		asynq.MaxRetry(noRetryLimit), asynq.Timeout(noTimeout),
	)
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("enqueue %s: %w", id, err)
	}
	return nil
}

// Ring tells the lane's owner that there is work. Call it after the enqueue is
// acknowledged. Rings of one lane within 20 ms are one. A ring may get lost;
// the due index catches what it was for.
func (c *Client) Ring(ctx context.Context, account gateway.AccountID, p gateway.Priority) error {
	payload := ringPayload(account, p)
	now := time.Now()
	c.mu.Lock()
	last, ok := c.rung[payload]
	if ok && now.Sub(last) < ringGap {
		c.mu.Unlock()
		return nil
	}
	c.rung[payload] = now
	c.mu.Unlock()

	if err := c.rdb.Publish(ctx, doorbellChannel, payload).Err(); err != nil {
		c.mu.Lock()
		delete(c.rung, payload) // the next ring isn't covered by this one
		c.mu.Unlock()
		return fmt.Errorf("ring %s: %w", payload, err)
	}
	return nil
}

// Head names the message that leaves each lane next, in one round trip. A lane
// with nothing pending is missing.
func (c *Client) Head(ctx context.Context, account gateway.AccountID) (map[gateway.Priority]gateway.MessageID, error) {
	type read struct {
		priority gateway.Priority
		id       *redis.StringCmd
	}
	var reads []read
	pipe := c.rdb.Pipeline()
	for _, p := range gateway.Priorities() {
		for _, queue := range queuesOf(account, p) {
			reads = append(reads, read{p, pipe.LIndex(ctx, pendingKey(queue), -1)})
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("head of %s: %w", account, err)
	}
	heads := make(map[gateway.Priority]gateway.MessageID)
	for _, r := range reads {
		id, err := r.id.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("head of %s: %w", account, err)
		}
		t, err := parseTaskID(id, r.priority)
		if err != nil {
			c.log.WarnContext(ctx, "a task in the queue is none of ours", "account", account, "err", err)
			continue
		}
		if _, ok := heads[r.priority]; !ok {
			heads[r.priority] = t.Message
		}
	}
	return heads, nil
}

// Workers lists the workers that are alive, by id, each with its accounts.
func (c *Client) Workers(ctx context.Context) ([]gateway.Worker, error) {
	v, err := readView(ctx, c.rdb)
	if err != nil {
		return nil, fmt.Errorf("read workers: %w", err)
	}
	return v.workers(), nil
}

// Owners says which worker sends for each account. An account that nobody
// alive sends for is missing.
func (c *Client) Owners(ctx context.Context) (map[gateway.AccountID]string, error) {
	v, err := readView(ctx, c.rdb)
	if err != nil {
		return nil, fmt.Errorf("read owners: %w", err)
	}
	owners := make(map[gateway.AccountID]string)
	for account, o := range v.owners {
		if v.alive(o.worker) {
			owners[account] = o.worker
		}
	}
	return owners, nil
}
