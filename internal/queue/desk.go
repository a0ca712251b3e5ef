package queue

import (
	"context"
	"time"

	"sluice/internal/gateway"
)

// Desk sends for one account while this worker owns it. Its methods are called
// from several goroutines at one time.
type Desk interface {
	// Process handles one task; nil lets the queue forget it. An error says that
	// it can't be handled now: the task goes back to the head of its lane, which
	// closes for a moment, or until ShutUntil. A task that fails several times in
	// a row, or panics, steps aside for half a minute instead, behind those that
	// wait. Process returns promptly once its ctx ends or Stop was called.
	Process(ctx context.Context, t gateway.Task) error
	// Adopt is called with messages whose tasks asynq counts as active though
	// nobody has them: after a takeover from a dead worker, before any task is
	// processed, and later with those that got lost on their way. It enqueues
	// anew what has no intent. An error has it called again.
	Adopt(ctx context.Context, tasks []gateway.MessageID) error
	// Keep does what is due (parked retries, stale outbox, expiries) and says
	// when it wants to be called next at the latest; zero: nothing is waiting.
	// lanes are those that got tasks. It is called by one goroutine at a time,
	// again after an error.
	Keep(ctx context.Context) (next time.Time, lanes []gateway.Priority, err error)
	// ShutUntil says until when no attempt of the lane may begin (hold, pause,
	// open breaker); zero: it may. It is asked often and must not block.
	ShutUntil(p gateway.Priority) time.Time
	// Stop ends all begins; after it returns none happens any more. Calls already
	// begun go on.
	Stop()
	// Drain waits until calls begun are recorded, or ctx ends. It is called
	// last.
	Drain(ctx context.Context)
	// NextSendIn is how long the next owner must wait before its first send. It
	// is asked after Stop.
	NextSendIn() time.Duration
}

// Arriver is a Desk that has to know in which order tasks left their lane:
// Process runs for several at one time. Arrive is called before each Process,
// for one task of a lane at a time, in that order; it must not block.
type Arriver interface {
	Arrive(t gateway.Task)
}

// Grant is what a desk is opened with.
type Grant struct {
	Lease gateway.Lease
	// Retired: the account isn't in the configuration, but has something due. Its
	// lanes never open; Keep is called as for every other.
	Retired bool
	// FirstSendIn is how long to wait before the first send, so that the pace
	// holds across owners.
	FirstSendIn time.Duration
	// Alive reports whether the lease holds at this moment. Ask it last before a
	// send. It costs no I/O.
	Alive func() bool
	// Wake has the desk's ShutUntil looked at and Keep called soon. It doesn't
	// block and may be called from anywhere, also after Stop.
	Wake func()
}

// Due is the index of accounts by the time at which something of theirs is due
// at the latest, in Unix milliseconds by Redis' clock.
type Due interface {
	// DueAccounts reads the accounts whose time has come, with that time, in one
	// command.
	DueAccounts(ctx context.Context) (map[gateway.AccountID]int64, error)
	// Claim moves the time that was seen to two seconds from now, before the
	// account is looked after, and returns the account's time as it is then. Who
	// asks for the account within a second of it moves the time again, so that
	// Settle sees it.
	Claim(ctx context.Context, account gateway.AccountID, seen int64) (claimed int64, err error)
	// Settle replaces the time that was seen by next, or removes the account if
	// next is zero. If the time is no longer the one seen, nothing changes.
	Settle(ctx context.Context, account gateway.AccountID, seen int64, next time.Time) error
}
