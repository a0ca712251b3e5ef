package gateway

import (
	"errors"
	"time"
)

// What a store may answer besides success. Test with errors.Is.
var (
	// ErrNotFound: nothing of that name is kept.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the message is past the point where this could be done.
	ErrConflict = errors.New("conflict")
	// ErrKeyReused: the idempotency key belongs to a post with another body.
	ErrKeyReused = errors.New("idempotency key was used with another body")
	// ErrUnavailable: the store didn't confirm; what was asked may or may not
	// have happened.
	ErrUnavailable = errors.New("store unavailable")
)

// Post is one message to be accepted, with what makes a repetition of it
// recognisable.
type Post struct {
	Message        Message
	IdempotencyKey string   // scoped to the account; empty: none
	BodyHash       [32]byte // of the request after parsing and defaults
	// Passed: its times have passed since it was written. It is recognised if it
	// was accepted in time, and never accepted anew. Of lines only.
	Passed bool
}

// Accepted is the answer to a post. It is kept with the idempotency key, so
// that a repetition gets the same one.
type Accepted struct {
	ID        MessageID   `json:"id"`
	Account   AccountID   `json:"account"`
	To        Recipient   `json:"to"`
	Type      ContentType `json:"type"`
	Priority  Priority    `json:"priority"`
	Status    Status      `json:"status"` // queued or scheduled
	Reference string      `json:"reference,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	Replayed  bool        `json:"-"` // a repetition: nothing was written
}

// Query selects messages, the newest first. Zero fields select everything.
type Query struct {
	Accounts  []AccountID // at least one
	Status    Status
	Recipient Recipient
	Reference string
	Batch     BatchID
	Since     time.Time
	Now       time.Time // by which messages past their time count as expired
	Cursor    string    // of the page before
	Limit     int       // 1 to 200
}

// Page is one page of messages. Next is empty on the last one; a page may hold
// fewer records than asked for, even none, and still not be the last.
type Page struct {
	Records []Record
	Next    string
}

// BreakerState is the state of an account's circuit breaker.
type BreakerState string

// The states: traffic flows, stopped, single probes.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half-open"
)

// AccountState is what moves about an account.
type AccountState struct {
	Paused         bool // the whole account, by the configuration or an operator
	PausedLanes    []Priority
	Hold           *Hold
	Breaker        BreakerState
	Ramp           Ramp    // after a throttle
	EffectiveRate  float64 // a second, as the ramp leaves it; zero while paused, held or open
	Owner          string  // the worker that sends for it; empty: none
	Lanes          map[Priority]LaneState
	SentLastMinute int64
	Tier           *TierState // nil: the account has none
	Health         *Health    // nil: not known, or the provider can't tell
}

// Health is how an account's provider is, by its own word.
type Health struct {
	At        time.Time // when it was asked
	Connected bool      // messages can go out
	Error     *Error    // why it couldn't be asked; nil: it answered
	Nodes     []Node    // by name
	Stats     map[string]float64
	Unread    map[string]*Error // pages of numbers that couldn't be read, and why
}

// Node is one part of a provider's host. A host of one part has no names.
type Node struct {
	Name   string
	Status string // in the provider's words
	Role   string
	Error  *Error
}

// Worker is one worker process that is alive.
type Worker struct {
	ID        string
	Host      string
	Revision  int64 // of its configuration
	StartedAt time.Time
	Accounts  []AccountID
}
