package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"

	"sluice/internal/gateway"
)

const (
	// laneConcurrency is how many tasks of a lane are with the desk at one time.
	// A desk keeps a task only until its attempt has begun.
	laneConcurrency = 8

	// forwardEvery is how often asynq brings back tasks of its retry set: those
	// its own recovery found, 60 to 120 s after a crash, and those that step
	// aside. It costs two commands a queue, so it is done rarely in a lane that was
	// opened for something else. A lane with a task that comes back within linger
	// stays open for it.
	forwardEvery  = time.Second
	forwardRarely = 15 * time.Second
	linger        = forwardEvery + forwardEvery/2

	// checkEvery is asynq's wait after it found nothing; whether it asks Redis at
	// all is the bell's business.
	checkEvery = time.Millisecond

	// stepAsideDelay is how long a task waits that failed again and again.
	stepAsideDelay = 30 * time.Second

	// shutdownTimeout is what asynq waits before it puts back what isn't
	// handled.
	shutdownTimeout = time.Millisecond
)

// lane is one open lane: an asynq server over its queues, which it serves until
// it is closed, once.
type lane struct {
	priority gateway.Priority
	desk     Desk
	line     *line
	client   *linedClient
	forward  time.Duration // between looks into asynq's retry set
	server   *asynq.Server
	log      *slog.Logger

	// failed is told when the desk didn't take a task; it says whether the task
	// steps aside. Otherwise the lane is about to be closed, and the task goes
	// back to the head.
	failed  func(id string, err error) (stepAside bool)
	handled func(id string)

	opened  time.Time
	used    atomic.Int64 // when it last had something to do, in ns since opened
	out     atomic.Int64 // tasks that are with the desk
	closing atomic.Bool
	closed  chan struct{}
}

// open starts a server over the lane's queues. It returns at once. bound ends
// what of the server's business with Redis is still under way then.
func (l *lane) open(bound context.Context, account gateway.AccountID, o *Options) error {
	l.opened, l.closed = time.Now(), make(chan struct{})
	l.line = &line{}
	queues := queuesOf(account, l.priority)
	weights := make(map[string]int, len(queues))
	for i, queue := range queues {
		weights[queue] = len(queues) - i
	}
	l.client = &linedClient{UniversalClient: o.Redis, line: l.line, bell: newBell(), bound: bound}
	for _, queue := range queues {
		l.client.queues = append(l.client.queues, pendingKey(queue))
	}
	l.server = asynq.NewServerFromRedisClient(l.client, asynq.Config{
		Concurrency:              laneConcurrency,
		Queues:                   weights,
		StrictPriority:           true,
		TaskCheckInterval:        checkEvery,
		ShutdownTimeout:          shutdownTimeout,
		DelayedTaskCheckInterval: l.forward,
		JanitorInterval:          time.Hour, // nothing is retained
		Logger:                   asynqLog{l.log},
		LogLevel:                 asynq.WarnLevel,
		RetryDelayFunc: func(_ int, err error, _ *asynq.Task) time.Duration {
			if errors.Is(err, asynq.ErrLeaseExpired) {
				return 0
			}
			return stepAsideDelay
		},
	})
	if err := l.server.Start(l); err != nil {
		return fmt.Errorf("open %s lane of %s: %w", l.priority, account, err)
	}
	return nil
}

// touch keeps the lane open for a while longer.
func (l *lane) touch() { l.used.Store(int64(time.Since(l.opened))) }

// idleAt is when the lane will have been idle for the given time.
func (l *lane) idleAt(idle time.Duration) time.Time {
	if l.out.Load() > 0 {
		l.touch()
	}
	return l.opened.Add(time.Duration(l.used.Load()) + idle)
}

// close puts back what isn't handled and ends the server. It takes as long as
// Redis does.
func (l *lane) close() {
	l.closing.Store(true)
	l.client.bell.close()
	l.server.Shutdown()
	close(l.closed)
}

// ProcessTask hands the task to the desk. An error is returned only if asynq
// shall have the task step aside; a task that is given back waits here until
// asynq has put it at the head of its queue, and then ends ctx.
func (l *lane) ProcessTask(ctx context.Context, _ *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx) // a task is its id, and nothing else
	panicked := true
	l.out.Add(1)
	defer func() {
		if panicked { // asynq has the task step aside
			l.line.forget(id)
		}
		l.touch()
		l.out.Add(-1)
	}()
	err := l.process(ctx, id)
	panicked = false
	return err
}

func (l *lane) process(ctx context.Context, id string) error {
	t, err := parseTaskID(id, l.priority)
	if err != nil {
		l.line.forget(id)
		l.log.ErrorContext(ctx, "task can't be read, archived", "err", err)
		return fmt.Errorf("%w: %w", asynq.SkipRetry, err)
	}
	if !l.enter(ctx, id, t) {
		return giveBack(ctx)
	}
	if err := l.desk.Process(ctx, t); err != nil {
		if l.closing.Load() || !l.failed(id, err) {
			return giveBack(ctx)
		}
		l.line.forget(id)
		return err
	}
	l.line.forget(id)
	l.handled(id)
	return nil
}

// enter waits for the task's turn. It reports false if the lane closes first.
func (l *lane) enter(ctx context.Context, id string, t gateway.Task) (open bool) {
	l.line.enter(ctx, id, func() {
		open = !l.closing.Load()
		if a, ok := l.desk.(Arriver); ok && open {
			a.Arrive(t)
		}
	})
	return open
}

// giveBack waits until asynq has put the task back.
func giveBack(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// asynqLog passes on what asynq has to say. Its messages name tasks by our
// message ids and never show a payload beyond that.
type asynqLog struct{ log *slog.Logger }

func (a asynqLog) Debug(args ...any) { a.write(slog.LevelDebug, args) }

func (a asynqLog) Info(args ...any) { a.write(slog.LevelDebug, args) }

func (a asynqLog) Warn(args ...any) { a.write(slog.LevelWarn, args) }

func (a asynqLog) Error(args ...any) { a.write(slog.LevelError, args) }

// Fatal doesn't end the process: nothing in asynq's server calls it for a
// reason that concerns more than one lane.
func (a asynqLog) Fatal(args ...any) { a.write(slog.LevelError, args) }

func (a asynqLog) write(level slog.Level, args []any) {
	text := fmt.Sprint(args...)
	if strings.HasPrefix(text, "Quitting worker.") {
		level = slog.LevelDebug // a task goes back as its lane closes, as it should
	}
	a.log.Log(context.Background(), level, "asynq", "says", text)
}
