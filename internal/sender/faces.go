package sender

import (
	"context"
	"io"
	"time"

	"sluice/internal/gateway"
)

// Store is what the sender needs of the message store. All writes are
// idempotent; errors wrap gateway.ErrUnavailable unless said otherwise.
type Store interface {
	Load(context.Context, gateway.AccountID, gateway.MessageID) (*gateway.Record, gateway.Standing, error) // gateway.ErrNotFound
	ProviderID(context.Context, gateway.MessageID) (gateway.ProviderMessageID, error)
	Begin(context.Context, gateway.Intent) (verdict gateway.Verdict, attempt int, err error)
	Record(context.Context, gateway.AccountID, gateway.Ending) error
	Defer(ctx context.Context, account gateway.AccountID, t gateway.Task, d time.Duration, behind bool) error
	Await(context.Context, gateway.AccountID, gateway.Task) error
	Release(ctx context.Context, lease gateway.Lease, most int) ([]gateway.Task, error) // gateway.Fenced
	Admit(context.Context, gateway.Tier, gateway.Recipient) (bool, error)
	TierRoom(context.Context, gateway.Tier) (room int, fullFor time.Duration, err error)
	Expire(context.Context, gateway.AccountID, gateway.MessageID) (bool, error)
	Refuse(context.Context, gateway.AccountID, gateway.Task, *gateway.Error) error
	Keep(ctx context.Context, lease gateway.Lease, maxAttempts int) (gateway.Chores, error) // gateway.Fenced
	Adopt(context.Context, gateway.Lease, []gateway.MessageID) ([]gateway.Task, error)      // gateway.Fenced
	Enqueued(context.Context, gateway.AccountID, ...gateway.Task) error
	Remind(context.Context, gateway.AccountID) error
	Hold(ctx context.Context, account gateway.AccountID, d time.Duration, why gateway.Outcome, reason string, scope gateway.Scope, share float64) error
	Lift(ctx context.Context, account gateway.AccountID, why gateway.Outcome, told bool) (lifted bool, err error)
	SetBreaker(context.Context, gateway.AccountID, gateway.BreakerState) error

	// What providers keep outlives the worker that gave it to them. File is zero
	// for what they don't keep, or not any more.
	File(context.Context, gateway.AccountID, gateway.FileKey) (gateway.KeptFile, error)
	KeepFile(context.Context, gateway.AccountID, gateway.KeptFile) error
	DropFile(context.Context, gateway.AccountID, gateway.KeptFile) error
}

// Queue puts tasks into the account's lanes.
type Queue interface {
	Enqueue(context.Context, gateway.AccountID, gateway.Task) error
}

// Pacer keeps the account's rate: Wait for the right to begin, Gate right
// before the bytes leave, Left once they have. The first two fail with ctx only.
// After a throttle it goes slower for a while; Slow says how, so that the next
// owner can Resume.
type Pacer interface {
	Wait(ctx context.Context, p gateway.Priority, order string) error
	Gate(context.Context) error
	Left(passed time.Time)
	NextIn() time.Duration
	SetRate(perSecond float64)
	Slow(sent, until time.Time) gateway.Ramp
	Resume(gateway.Ramp)
}

// Slots caps the calls open at one time. Acquire fails with ctx only.
type Slots interface {
	Acquire(context.Context, gateway.Priority) error
	Release(gateway.Priority)
	SetMax(limit int)
}

// Pairs limits what one recipient is sent. Enter lets a message in or says how
// long it has to wait; who was let in is followed by one Begin or Leave. Refused
// says that the provider wants the recipient left alone for a while.
type Pairs interface {
	SetLimit(gateway.PairLimit)
	Enter(gateway.Recipient, gateway.Priority, gateway.MessageID) (wait time.Duration)
	Begin(gateway.Recipient)
	Leave(gateway.Recipient, gateway.Priority, gateway.MessageID)
	Refused(to gateway.Recipient, wait time.Duration)
}

// Media looks at linked files. retryable says that a later look may find
// otherwise.
type Media interface {
	// Judge gives nil if the provider will take the file.
	Judge(ctx context.Context, f gateway.File, rule gateway.MediaRule) (refused *gateway.Error, retryable bool)

	// Upload judges likewise and gives the provider's id for the file. put is
	// given the file for that, unless holder is known to have it; what it answers
	// is remembered. version tells versions of the file apart, if it isn't empty.
	// Empty id: the file isn't one to be uploaded, and not refused.
	Upload(ctx context.Context, f gateway.File, rule gateway.MediaRule, holder string,
		put func(ctx context.Context, contentType, version string, size int64, body io.Reader) (id string, life time.Duration, refused *gateway.Error),
	) (id string, refused *gateway.Error, retryable bool)

	// Forget drops an id that the provider doesn't know any more.
	Forget(f gateway.File, id string)
}

// Links makes the URL on which a provider reports about one attempt; empty if
// there is no public address.
type Links interface {
	For(account gateway.AccountID, message gateway.MessageID, attempt int) string
}
