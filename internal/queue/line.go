package queue

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"
)

// asynq hands tasks to goroutines, and on shutdown each of them puts its task
// back: within the few that are out at one time, order is left to chance both
// ways. line remembers the order in which tasks left the queue, lets them be
// processed in it, and puts them back in reverse, so that the queue looks as
// before.

// lineWait bounds every wait of a task for its neighbours. Nothing but a lost
// neighbour takes this long; going out of order is better than stopping then.
const lineWait = 200 * time.Millisecond

// calmDown is how long a failed dequeue waits. asynq itself tries again at once
// (its processor, v0.26), thousands of times a second.
const calmDown = 100 * time.Millisecond

type line struct {
	// returned is set once a task went back to the queue.
	returned atomic.Bool

	mu  sync.Mutex
	out []*place // in the order they left the queue
}

type place struct {
	id      string
	before  *place        // left the queue just before; nil once this one has entered
	entered chan struct{} // closed when its processing begins
	gone    chan struct{} // closed when it is handled or back in the queue
}

func (l *line) leave(id string) {
	p := &place{id: id, entered: make(chan struct{}), gone: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.out); n > 0 {
		p.before = l.out[n-1]
	}
	l.out = append(l.out, p)
}

// enter waits until every task that left the queue earlier has entered, and
// calls arrive before the next one may.
func (l *line) enter(ctx context.Context, id string, arrive func()) {
	p, _ := l.find(id)
	if p == nil {
		arrive()
		return
	}
	if p.before != nil {
		await(ctx, p.before.entered, p.before.gone)
	}
	arrive()
	l.mu.Lock()
	defer l.mu.Unlock()
	p.before = nil
	close(p.entered)
}

// forget takes a task out that is handled.
func (l *line) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.index(id)
	if i < 0 {
		return
	}
	close(l.out[i].gone)
	l.out = slices.Delete(l.out, i, i+1)
}

// has reports whether the task left the queue and is neither handled nor back.
func (l *line) has(id string) bool {
	p, _ := l.find(id)
	return p != nil
}

// giveBack calls put once every task that left the queue later is gone. The
// task keeps its place if put says that it has to be called again.
func (l *line) giveBack(ctx context.Context, id string, put func() (again bool)) {
	for {
		p, later := l.find(id)
		if p == nil || later == nil || !await(ctx, later.gone, nil) {
			break
		}
	}
	if !put() {
		l.forget(id)
	}
}

// find returns the task's place and the one behind it.
func (l *line) find(id string) (p, later *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.index(id)
	if i < 0 {
		return nil, nil
	}
	if i+1 < len(l.out) {
		later = l.out[i+1]
	}
	return l.out[i], later
}

func (l *line) index(id string) int {
	return slices.IndexFunc(l.out, func(p *place) bool { return p.id == id })
}

// await reports whether one of the events came before the wait was too long.
func await(ctx context.Context, event, other <-chan struct{}) bool {
	timer := time.NewTimer(lineWait)
	defer timer.Stop()
	select {
	case <-event:
		return true
	case <-other:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// linedClient is the client of one asynq server. It sees what the server
// dequeues and requeues, and ends what the server left without a bound.
type linedClient struct {
	redis.UniversalClient
	line  *line
	bell  *bell
	bound context.Context

	// queues are the pending lists, the one served first at the front. Of two, the
	// first isn't asked until barren, if it was found empty.
	queues  []string
	barren  atomic.Pointer[time.Time]
	reasons int // of the look under way; asynq looks from one goroutine
}

// barrenFor is how long a lane's retries aren't asked for after there were none.
// asynq would ask before each task, which is a third of a task's cost.
const barrenFor = 100 * time.Millisecond

// ring has the server look into all queues.
func (c *linedClient) ring() {
	c.barren.Store(nil)
	c.bell.ring()
}

// dequeue asks a pending list for a task, once there is a reason to.
func (c *linedClient) dequeue(ctx context.Context, list string, call func() *redis.Cmd) *redis.Cmd {
	first, last := list == c.queues[0], list == c.queues[len(c.queues)-1]
	if first {
		var ok bool
		if c.reasons, ok = c.bell.await(ctx); !ok {
			return nothing(ctx)
		}
	}
	if until := c.barren.Load(); first && !last && until != nil && time.Now().Before(*until) {
		return nothing(ctx)
	}
	cmd := call()
	id, found := dequeued(cmd)
	switch err := cmd.Err(); {
	case found:
		c.line.leave(id)
	case err == redis.Nil: //nolint:errorlint // go-redis returns the value itself
		if last {
			c.bell.foundNothing(c.reasons)
		} else {
			until := time.Now().Add(barrenFor)
			c.barren.Store(&until)
		}
	case err != nil && !unknownScript(err):
		pause(ctx, calmDown)
	}
	return cmd
}

// nothing is the answer of an empty list.
func nothing(ctx context.Context) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(redis.Nil)
	return cmd
}

// EvalSha runs a script of asynq's.
func (c *linedClient) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.run(ctx, keys, args, func() *redis.Cmd { return c.UniversalClient.EvalSha(ctx, sha, keys, args...) })
}

// Eval runs a script of asynq's that the server didn't know yet.
func (c *linedClient) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.run(ctx, keys, args, func() *redis.Cmd { return c.UniversalClient.Eval(ctx, script, keys, args...) })
}

// bounded has ctx end with the client's bound at the latest.
func (c *linedClient) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return c.bound, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.bound, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (c *linedClient) run(ctx context.Context, keys []string, args []any, call func() *redis.Cmd) (cmd *redis.Cmd) {
	switch {
	case isDequeue(keys):
		return c.dequeue(ctx, keys[0], call)
	case isForward(keys):
		cmd = call()
		if n, err := cmd.Int(); err == nil && n > 0 {
			c.ring()
		}
		return cmd
	case isRequeue(keys):
		if id, ok := firstString(args); ok {
			c.line.returned.Store(true)
			c.line.giveBack(ctx, id, func() (again bool) {
				cmd = call()
				return unknownScript(cmd.Err()) // Eval follows
			})
			return cmd
		}
	}
	return call()
}

func unknownScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// The scripts are told apart by the keys they are given (asynq v0.26,
// internal/rdb: Dequeue, Requeue, forward). The tests of order fail if that changes.
func isDequeue(keys []string) bool {
	return len(keys) == 4 && strings.HasSuffix(keys[0], "}:pending") && strings.HasSuffix(keys[1], "}:paused")
}

func isRequeue(keys []string) bool {
	return len(keys) == 4 && strings.HasSuffix(keys[0], "}:active") && strings.HasSuffix(keys[2], "}:pending")
}

func isForward(keys []string) bool {
	return len(keys) == 2 && (strings.HasSuffix(keys[0], "}:retry") || strings.HasSuffix(keys[0], "}:scheduled")) && strings.HasSuffix(keys[1], "}:pending")
}

// taskIDField is the id in asynq's TaskMessage (v0.26, internal/proto).
const taskIDField protowire.Number = 3

// dequeued reads the task's id from what the dequeue script answered.
func dequeued(cmd *redis.Cmd) (string, bool) {
	text, err := cmd.Text()
	if err != nil {
		return "", false
	}
	for b := []byte(text); len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return "", false
		}
		b = b[n:]
		if field == taskIDField && kind == protowire.BytesType {
			id, n := protowire.ConsumeBytes(b)
			return string(id), n >= 0
		}
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return "", false
		}
		b = b[n:]
	}
	return "", false
}

func firstString(args []any) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	s, ok := args[0].(string)
	return s, ok
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
