package redisdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// queueLimit bounds the scripts that wait in one client while Redis is slow;
// those beyond fail at once.
const queueLimit = 50_000

// pipeliner is what go-redis' own clients have beside redis.UniversalClient.
type pipeliner interface {
	AsyncAutoPipelineWithOptions(*redis.AutoPipelineOptions) (*redis.AutoPipeliner, error)
}

// pipelined sends the scripts of concurrent callers together, and what goes with
// every message beside them: one write and one read for many, which is most of
// what a short command costs both ends. Those of one slot run in the order in
// which they were asked for. Every other command goes its own way.
type pipelined struct {
	redis.UniversalClient
	auto    *redis.AutoPipeliner
	batches *redis.ClusterClient // what auto sends through; nil: UniversalClient
	tries   tries
}

// Pipelined returns rdb with its scripts pipelined; closing it closes rdb. A
// caller whose context ends stops waiting, but the script may still run, as one
// may whose answer is lost: those that change something have to bear being
// asked for twice. A script is asked for again, with the patience of rdb, only
// because of what became of itself: others in its pipeline have their answers.
func Pipelined(rdb redis.UniversalClient) (redis.UniversalClient, error) {
	wrapped := &pipelined{UniversalClient: rdb, tries: triesOf(rdb)}
	p, ok := rdb.(pipeliner)
	if !ok {
		return nil, fmt.Errorf("a client of type %T can't be pipelined", rdb)
	}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		// A pipeline is done when the last of its nodes is. So that one that is away
		// doesn't hold up what the others answered, those who wait for it try again by
		// themselves; here a command is sent after its slot once.
		o := *cluster.Options()
		o.MaxRedirects, o.MinRetryBackoff, o.MaxRetryBackoff = 1, time.Millisecond, time.Millisecond
		wrapped.batches = redis.NewClusterClient(&o)
		p = wrapped.batches
	}
	var err error
	wrapped.auto, err = p.AsyncAutoPipelineWithOptions(&redis.AutoPipelineOptions{MaxConcurrentBatches: 1, MaxQueuedCommands: queueLimit})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pipeline a client: %w", err), wrapped.closeBatches())
	}
	return wrapped, nil
}

// Close implements redis.UniversalClient.
func (p *pipelined) Close() error {
	return errors.Join(p.closeBatches(), p.UniversalClient.Close())
}

func (p *pipelined) closeBatches() error {
	if p.batches == nil {
		return nil
	}
	return p.batches.Close()
}

// EvalSha implements redis.UniversalClient.
func (p *pipelined) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return p.script(ctx, "evalsha", sha, keys, args)
}

// Eval implements redis.UniversalClient.
func (p *pipelined) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return p.script(ctx, "eval", script, keys, args)
}

func (p *pipelined) script(ctx context.Context, command, script string, keys []string, args []any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, command, script, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return send(ctx, p, redis.NewCmd, append(all, args...))
}

// ZRem implements redis.UniversalClient.
func (p *pipelined) ZRem(ctx context.Context, key string, members ...any) *redis.IntCmd {
	return send(ctx, p, redis.NewIntCmd, append([]any{"zrem", key}, members...))
}

// Publish implements redis.UniversalClient.
func (p *pipelined) Publish(ctx context.Context, channel string, message any) *redis.IntCmd {
	return send(ctx, p, redis.NewIntCmd, []any{"publish", channel, message})
}

// send has a command sent and waits for its answer.
func send[C redis.Cmder](ctx context.Context, p *pipelined, command func(context.Context, ...any) C, args []any) (cmd C) {
	answered := false
	err := p.tries.run(ctx, func() error {
		if answered = false; ctx.Err() != nil {
			return ctx.Err()
		}
		cmd = command(ctx, args...)
		if err := p.auto.Submit(ctx, once{cmd}).WaitContext(ctx); err != nil && ctx.Err() != nil {
			return err // it belongs to the pipeline still
		}
		answered = true
		return cmd.Err()
	})
	if !answered || ctx.Err() != nil && err != nil {
		cmd = command(ctx, args...)
		cmd.SetErr(err)
	}
	return cmd
}

// once is a command that go-redis doesn't send again by itself. It would send
// the whole pipeline again because of one of its commands, also those that have
// their answer: what a queue gave out the first time would be lost.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
