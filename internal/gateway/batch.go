package gateway

import "time"

// MaxBatchLines is how many messages a batch can have.
const MaxBatchLines = 1_000_000

// Batch is what is known of the messages that were posted together for one
// account.
type Batch struct {
	ID          BatchID
	Account     AccountID
	Total       int64                  // messages accepted
	Counts      map[Status]int64       // of them by status; what retention has removed counts as it ended
	Lanes       map[Priority]LaneState // of them: those that wait or are under way
	Complete    bool                   // the upload came to its end
	CreatedAt   time.Time
	CancelledAt time.Time // zero: it wasn't
}

// BatchQuery selects batches, the newest first.
type BatchQuery struct {
	Accounts []AccountID // at least one
	Cursor   string      // of the page before
	Limit    int         // 1 to 200
}

// BatchPage is one page of batches. Next is empty on the last one.
type BatchPage struct {
	Batches []Batch
	Next    string
}

// LineVerdict is what became of one line of a batch.
type LineVerdict string

// The verdicts.
const (
	LineAdded     LineVerdict = "created"   // the message is durable
	LineKnown     LineVerdict = "known"     // its idempotency key belongs to the same message, accepted before
	LineAgain     LineVerdict = "again"     // the batch has this very line already
	LineChanged   LineVerdict = "changed"   // the batch has this line with other content
	LineKeyReused LineVerdict = "reused"    // its idempotency key belongs to another message
	LineCancelled LineVerdict = "cancelled" // the batch was cancelled meanwhile
	LinePassed    LineVerdict = "passed"    // its times have passed, and it wasn't accepted before
)

// Accepted reports whether a message is kept for the line.
func (v LineVerdict) Accepted() bool { return v == LineAdded || v == LineKnown || v == LineAgain }
