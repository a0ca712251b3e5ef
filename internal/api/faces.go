package api

import (
	"context"
	"slices"

	"sluice/internal/gateway"
)

// Store keeps messages. Its methods answer, besides what each of them names,
// an error that is gateway.ErrUnavailable when the store didn't confirm. They
// are safe for concurrent use and give up when ctx ends.
type Store interface {
	// Accept makes the message durable before it returns. A repetition (same
	// account, key and hash) gets the first answer, marked as replayed, and
	// writes nothing; gateway.ErrKeyReused if the hash differs.
	Accept(ctx context.Context, p gateway.Post) (gateway.Accepted, error)
	// Get answers gateway.ErrNotFound for an id that is not kept.
	Get(ctx context.Context, id gateway.MessageID) (*gateway.Record, error)
	// List answers a gateway.FieldError for a filter it can't follow, such as
	// a cursor it didn't make.
	List(ctx context.Context, q gateway.Query) (gateway.Page, error)
	// Cancel ends a message that waits, and answers its record; repeating it
	// changes nothing. gateway.ErrConflict once a call is in flight or was
	// accepted, gateway.ErrNotFound for an id that is not kept.
	Cancel(ctx context.Context, id gateway.MessageID) (*gateway.Record, error)
}

// Recaller finds the first answer to a post that is repeated after its times
// have passed, when it could no longer be accepted anew.
type Recaller interface {
	// Recall writes nothing. It answers gateway.ErrNotFound if the key is not
	// claimed, gateway.ErrKeyReused if it is by another body.
	Recall(ctx context.Context, account gateway.AccountID, key string, hash [32]byte) (gateway.Accepted, error)
}

// Batches keeps messages that were posted together. Errors are as Store's;
// repeating a write changes nothing.
type Batches interface {
	// OpenBatch begins a batch, or finds the one that the key, if there is one,
	// was used for.
	OpenBatch(ctx context.Context, b gateway.Batch, key string) (id gateway.BatchID, known bool, err error)
	// AcceptLines makes messages of one batch durable before it returns, and says
	// of each what became of it, in their order. remember has it recognise what
	// the same lines say later.
	AcceptLines(ctx context.Context, batch gateway.BatchID, posts []gateway.Post, remember bool) ([]gateway.LineVerdict, error)
	// CompleteBatch says that a batch came to its end.
	CompleteBatch(ctx context.Context, account gateway.AccountID, id gateway.BatchID) error
	// CancelBatch cancels every message of the batch that waits: none of them
	// begins after it returns. gateway.ErrNotFound for an id that is not kept.
	CancelBatch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error)
	// Batch answers gateway.ErrNotFound for an id that is not kept.
	Batch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error)
	Batches(ctx context.Context, q gateway.BatchQuery) (gateway.BatchPage, error)
}

// Queue is told of the messages the store has just accepted, so that they are
// sent without delay. It is best effort: what it misses, the store's outbox
// brings later.
type Queue interface {
	// Accepted takes messages of one account in the order in which they are to be
	// sent.
	Accepted(ctx context.Context, messages ...*gateway.Message) error
}

// Suppressions keeps a do-not-send list for each account. Repeating a write
// changes nothing. Errors are as Store's.
type Suppressions interface {
	// Suppress puts an entry on its account's list, in place of one for the same
	// recipient and scope. A zero Until means until it is removed. The store may
	// date it by a clock of its own.
	Suppress(ctx context.Context, e gateway.Suppressed) error
	// Unsuppress takes a recipient off an account's list: one scope, or with an
	// empty one all. It reports whether anything was there.
	Unsuppress(ctx context.Context, account gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope) (bool, error)
	// Suppressions lists at most limit entries of one account by recipient, the
	// first of them or those after a cursor, and those whose time is over among
	// them. The list may be shorter than the limit and still not be the last;
	// next is empty when it is. A cursor of another's making leads to any place.
	Suppressions(ctx context.Context, account gateway.AccountID, cursor string, limit int) (list []gateway.Suppressed, next string, err error)
}

// Directory is the configuration as it is now; it may change between calls.
// Implementations are safe for concurrent use and answer without I/O.
type Directory interface {
	Account(id gateway.AccountID) (gateway.Account, bool)
	Accounts() []gateway.AccountID
	// Key finds an API key by its SHA-256. Callers keep its slices as they are.
	Key(hash [32]byte) (Key, bool)
}

// Key is what one API key may do, and for whom.
type Key struct {
	Name     string
	Accounts []gateway.AccountID
	All      bool // every account, those of tomorrow too
	Send     bool
	Read     bool
	Operate  bool
}

// Covers reports whether the key may act for the account.
func (k *Key) Covers(id gateway.AccountID) bool {
	return k.All || slices.Contains(k.Accounts, id)
}

// coversTag reports whether a message whose id begins with the tag belongs to
// an account of the key.
func (k *Key) coversTag(tag string) bool {
	return k.All || slices.ContainsFunc(k.Accounts, func(id gateway.AccountID) bool { return id.Tag() == tag })
}

// Checker knows the dialects of the accounts' providers.
type Checker interface {
	// Check names what the account's provider can't express in a message whose
	// content is sound, by the field's path in the request. The rest of it may
	// be at fault: a recipient that can't be read is empty. It does no I/O.
	Check(account gateway.AccountID, m *gateway.Message) []gateway.FieldError
}

// States reads what moves about accounts and workers. Errors are as Store's.
type States interface {
	// States may leave out accounts of which nothing is known yet.
	States(ctx context.Context, ids []gateway.AccountID) (map[gateway.AccountID]gateway.AccountState, error)
	Workers(ctx context.Context) ([]gateway.Worker, error)
}

// Operator steers accounts. Repeating what it did changes nothing. Errors are
// as Store's.
type Operator interface {
	// Pause stops one lane of the account, or with an empty priority both.
	Pause(ctx context.Context, id gateway.AccountID, p gateway.Priority) error
	// Resume lifts what Pause did; a pause by the configuration stays.
	Resume(ctx context.Context, id gateway.AccountID, p gateway.Priority) error
}
