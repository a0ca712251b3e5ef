package gateway

import "slices"

// Priority decides which lane of the account a message travels in.
type Priority string

// The two priorities. Transactional goes first whenever both wait.
const (
	Transactional Priority = "transactional"
	Bulk          Priority = "bulk"
)

// Priorities lists both, the first served first.
func Priorities() []Priority { return []Priority{Transactional, Bulk} }

// Valid reports whether p is one of the two.
func (p Priority) Valid() bool { return p == Transactional || p == Bulk }

// Status says where a message is. docs/states.md draws the steps between them.
type Status string

// The statuses of a message. Wire strings never change.
const (
	StatusScheduled Status = "scheduled" // waits for its send_at
	StatusQueued    Status = "queued"    // waits for its turn, or for a retry
	StatusSending   Status = "sending"   // an attempt has begun
	StatusAccepted  Status = "accepted"  // the provider answered with its id
	StatusSent      Status = "sent"
	StatusDelivered Status = "delivered"
	StatusRead      Status = "read"
	StatusFailed    Status = "failed"    // refused by the provider, or out of attempts
	StatusRejected  Status = "rejected"  // refused by our own checks before any attempt
	StatusExpired   Status = "expired"   // its time to live ended first
	StatusCancelled Status = "cancelled" // by the caller, before any call was in flight
	StatusUnknown   Status = "unknown"   // the provider may or may not have it
)

// Statuses lists every status in the order of a message's life.
func Statuses() []Status {
	return []Status{
		StatusScheduled, StatusQueued, StatusSending, StatusAccepted, StatusSent, StatusDelivered, StatusRead,
		StatusFailed, StatusRejected, StatusExpired, StatusCancelled, StatusUnknown,
	}
}

// Valid reports whether s is a status.
func (s Status) Valid() bool {
	return slices.Contains(Statuses(), s)
}

// Waiting reports whether no attempt is in flight and one may still begin.
func (s Status) Waiting() bool { return s == StatusScheduled || s == StatusQueued }

// Outcome is what became of one attempt.
type Outcome string

// The outcomes. Only OutcomeTransient spends an attempt and is tried again by
// itself; throttled and suspended attempts are not counted.
const (
	OutcomeAccepted  Outcome = "accepted"
	OutcomeRejected  Outcome = "rejected"  // permanent: the message fails
	OutcomeThrottled Outcome = "throttled" // the provider's limit: its scope is held
	OutcomeTransient Outcome = "transient" // surely not accepted, may work later
	OutcomeSuspended Outcome = "suspended" // credentials, billing, configuration: the account is held
	OutcomeUnknown   Outcome = "unknown"   // may have been sent
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeAccepted, OutcomeRejected, OutcomeThrottled, OutcomeTransient, OutcomeSuspended, OutcomeUnknown,
	}
}

// Scope is what an outcome is about: what to hold, or what it says nothing
// about.
type Scope string

// The scopes of an outcome, from the narrowest.
const (
	ScopeMessage   Scope = "message"
	ScopeRecipient Scope = "recipient" // the recipient, whoever sends
	ScopePair      Scope = "pair"      // this sender to this recipient
	ScopeTemplate  Scope = "template"
	ScopeAccount   Scope = "account" // the sending number
	ScopeApp       Scope = "app"
	ScopePortfolio Scope = "portfolio"
)

// Wide reports whether the scope takes in the whole account.
func (s Scope) Wide() bool { return s == ScopeAccount || s == ScopeApp || s == ScopePortfolio }

// Class groups the reasons why a message ended badly, for filters and people.
type Class string

// The classes of an Error.
const (
	ClassPermanent   Class = "permanent"   // the request can never succeed unchanged
	ClassRecipient   Class = "recipient"   // this recipient can't be reached
	ClassPolicy      Class = "policy"      // window, template, integrity rules of the provider
	ClassThrottled   Class = "throttled"   // the provider's limit
	ClassTransient   Class = "transient"   // the provider's fault, out of attempts if the message failed
	ClassSuspended   Class = "suspended"   // credentials, billing, configuration
	ClassUnknown     Class = "unknown"     // no clear answer
	ClassMedia       Class = "media"       // our check of its file refused it
	ClassWindow      Class = "window"      // our check of the service window refused it
	ClassSuppression Class = "suppression" // the recipient is on the do-not-send list
	ClassExpired     Class = "expired"     // its time to live ended
	ClassInternal    Class = "internal"    // a defect of ours
)

// OnUnknown says what to do with a message whose outcome stays unknown.
type OnUnknown string

// The two policies.
const (
	HoldUnknown   OnUnknown = "hold"   // leave it for an operator
	ResendUnknown OnUnknown = "resend" // send again, marked as a possible duplicate
)

// Valid reports whether o is one of the two.
func (o OnUnknown) Valid() bool { return o == HoldUnknown || o == ResendUnknown }
