package redisdb

import (
	"context"
	"fmt"

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
// what a short command costs both ends. They run in the order in which they were
// asked for. Every other command goes its own way.
type pipelined struct {
	redis.UniversalClient
	auto *redis.AutoPipeliner
}

// Pipelined returns rdb with its scripts pipelined; closing it closes rdb. A
// caller whose context ends stops waiting, but the script may still run, as one
// may whose answer is lost: those that change something have to bear being
// asked for twice. A connection that breaks has a whole pipeline sent again.
func Pipelined(rdb redis.UniversalClient) (redis.UniversalClient, error) {
	p, ok := rdb.(pipeliner)
	if !ok {
		return nil, fmt.Errorf("a client of type %T can't be pipelined", rdb)
	}
	auto, err := p.AsyncAutoPipelineWithOptions(&redis.AutoPipelineOptions{MaxConcurrentBatches: 1, MaxQueuedCommands: queueLimit})
	if err != nil {
		return nil, fmt.Errorf("pipeline a client: %w", err)
	}
	return &pipelined{UniversalClient: rdb, auto: auto}, nil
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
func send[C redis.Cmder](ctx context.Context, p *pipelined, command func(context.Context, ...any) C, args []any) C {
	cmd := command(ctx, args...)
	err := ctx.Err()
	if err == nil {
		err = p.auto.Submit(ctx, cmd).WaitContext(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		cmd = command(ctx, args...) // the first belongs to the pipeline still
		cmd.SetErr(err)
	case passes(err):
		cmd = command(ctx, args...)
		_ = p.Process(ctx, cmd) // the error is cmd's too
	}
	return cmd
}

// passes reports whether a node refused a command for now. The client tries it
// again then, but in a pipeline only if it is the first.
func passes(err error) bool {
	return redis.IsLoadingError(err) || redis.IsReadOnlyError(err) || redis.IsMasterDownError(err) ||
		redis.IsClusterDownError(err) || redis.IsTryAgainError(err) || redis.IsNoReplicasError(err)
}

// Master is a client of the node that has the key: rdb itself, but in a cluster.
func Master(ctx context.Context, rdb redis.UniversalClient, key string) (redis.UniversalClient, error) {
	if p, ok := rdb.(*pipelined); ok {
		rdb = p.UniversalClient
	}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, key)
	}
	return rdb, nil
}
