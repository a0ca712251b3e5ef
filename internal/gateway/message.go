package gateway

import (
	"time"
)

// Message is what a caller asked to be sent, with every default filled in.
type Message struct {
	ID          MessageID
	Account     AccountID
	Recipient   Recipient
	Content     Content
	Priority    Priority
	Reference   string
	ReplyTo     string // a message id, ours or the provider's
	Batch       BatchID
	OnUnknown   OnUnknown
	CallbackURL string
	Metadata    map[string]string
	CreatedAt   time.Time
	SendAt      time.Time // zero: at once
	ExpiresAt   time.Time // no attempt begins at or after it
}

// Record is what is known of a message.
type Record struct {
	Message
	Purged            bool // the content is gone
	Status            Status
	UpdatedAt         time.Time // of the last change of status
	ProviderMessageID ProviderMessageID
	PossibleDuplicate bool
	Error             *Error
	Attempts          []Attempt // the last 20, the oldest first
	History           []StatusChange
	Sequence          int // of the task that may begin the next attempt
	Spent             int // attempts that count
}

// StatusAt is the status a reader sees at the given time: a message whose time
// to live has ended is expired, whether or not its record says so yet.
func (r *Record) StatusAt(now time.Time) Status {
	if r.Status.Waiting() && !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt) {
		return StatusExpired
	}
	return r.Status
}

// StatusChange is one line of a message's history.
type StatusChange struct {
	Status Status
	At     time.Time
}

// Attempt is one call to the provider. An attempt in flight has no outcome and
// no end.
type Attempt struct {
	Number    int // from 1, every call counted
	StartedAt time.Time
	EndedAt   time.Time
	Outcome   Outcome
	Code      string
	Detail    string
}

// Error says why a message ended or waits. It is shown to callers: neither
// Title nor Detail holds personal data of our own making, and no secret.
type Error struct {
	Class  Class
	Code   string // the provider's, or ours where no provider spoke
	Title  string
	Detail string
}

func (e *Error) Error() string {
	s := string(e.Class)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Title != "" {
		s += ": " + e.Title
	}
	return s
}

// Result is what one attempt came to.
type Result struct {
	Outcome           Outcome
	ProviderMessageID ProviderMessageID // with OutcomeAccepted, and only then; an answer that holds none is OutcomeUnknown
	Alias             Recipient         // with OutcomeAccepted: the number by which the provider knows the recipient, if it says; it may be another
	Error             *Error            // nil only with OutcomeAccepted
	Scope             Scope             // what the outcome is about; empty means ScopeMessage
	RetryAfter        time.Duration     // the wait the provider asks for; zero: our policy decides
	MaxAttempts       int               // of this kind of failure, if lower than the account's; zero: the account's
	Suppress          *Suppression      // to be written, with OutcomeRejected and ClassRecipient
}

// Retryable reports whether the message goes back to its queue.
func (r Result) Retryable() bool {
	switch r.Outcome {
	case OutcomeThrottled, OutcomeTransient, OutcomeSuspended:
		return true
	case OutcomeAccepted, OutcomeRejected, OutcomeUnknown:
		return false
	}
	return false
}

// SuppressionScope is how much of an account's traffic a suppression stops.
type SuppressionScope string

// The scopes of a suppression.
const (
	SuppressAll       SuppressionScope = "all"
	SuppressMarketing SuppressionScope = "marketing"
	SuppressCooldown  SuppressionScope = "cooldown"
)

// Suppression is a do-not-send entry for one recipient of one account.
type Suppression struct {
	Scope  SuppressionScope
	Reason string
	For    time.Duration // zero: until it is removed
}

// Receipt is one status the provider reports of a message it has.
type Receipt struct {
	Message           MessageID // from correlation data, if it was ours and echoed
	ProviderMessageID ProviderMessageID
	Status            Status // sent, delivered, read, failed or accepted
	At                time.Time
	Error             *Error // with StatusFailed
	Suppress          *Suppression
	LostFile          bool // with StatusFailed: what the message names by its id must be uploaded again
}

// Poll is a message whose provider is to be asked what became of it.
type Poll struct {
	Message           MessageID         // empty: none is due
	ProviderMessageID ProviderMessageID // empty: it is unknown whether the provider has the message at all
	Recipient         Recipient
	AttemptedAt       time.Time     // when its last attempt began
	NextIn            time.Duration // until the next one is due; zero: none waits
}

// Inbound is what sending needs to know of what a recipient wrote or chose.
type Inbound struct {
	From    Recipient
	At      time.Time // zero: it wasn't told
	Text    string    // to be looked at for opt-out words, never stored
	Consent Consent   // what it says about being written to; empty: nothing
	Aside   bool      // it opens no service window
	Moved   Recipient // the number From has been changed to; empty: it hasn't
}

// Instant is a time that a provider has told, in UTC, or the zero time if it is
// none of this era: from the year 10000 on JSON can't say it.
func Instant(told time.Time) time.Time {
	const end = 253402300800 // the year 10000
	if s := told.Unix(); s <= 0 || s >= end {
		return time.Time{}
	}
	return told.UTC()
}

// Consent is a recipient's word on being written to.
type Consent string

// What a recipient may say.
const (
	ConsentStop           Consent = "stop"
	ConsentStart          Consent = "start"
	ConsentStopMarketing  Consent = "stop-marketing"
	ConsentStartMarketing Consent = "start-marketing"
)

// Halt is what a provider says of an account by itself, beside what became of
// messages: nothing may begin for a while.
type Halt struct {
	For     time.Duration
	Outcome Outcome // throttled or suspended
	Reason  string
	Scope   Scope
	At      time.Time // when it was said; zero: it doesn't say
}

// haltNews is for how long what was said of an account stands. Providers repeat
// callbacks for days; one that comes so late says nothing of now.
const haltNews = 15 * time.Minute

// Stale reports whether the word is too old to be heeded.
func (h Halt) Stale(now time.Time) bool { return !h.At.IsZero() && now.Sub(h.At) > haltNews }

// suspendedHalt is long, for nobody tries in between: what is sent to a provider
// that suspends an account by callbacks is taken first and fails then.
const suspendedHalt = 15 * time.Minute

// Halt is what follows for the account from a result that a callback tells;
// false: nothing.
func (r Result) Halt() (h Halt, ok bool) {
	h = Halt{For: r.RetryAfter, Outcome: r.Outcome, Scope: r.Scope}
	if r.Error != nil {
		h.Reason = r.Error.Title
	}
	if r.Outcome == OutcomeSuspended {
		h.For = max(h.For, suspendedHalt)
	}
	if r.Outcome != OutcomeSuspended && r.Outcome != OutcomeThrottled || !r.Scope.Wide() || h.For <= 0 {
		return Halt{}, false
	}
	return h, true
}

// Blame is what a failure that a callback tells means for the account, of a
// provider whose errors are known by their class alone: one that suspends the
// sender fails whatever comes next.
func Blame(e *Error) Result {
	if e == nil || e.Class != ClassSuspended {
		return Result{Outcome: OutcomeRejected, Error: e}
	}
	return Result{Outcome: OutcomeSuspended, Scope: ScopeAccount, Error: e}
}

// Callback is what one provider callback carries.
type Callback struct {
	Receipts []Receipt
	Inbound  []Inbound
	Halts    []Halt
}

// Halt adds what follows for the account from a result, once; at is when it was
// said, or zero. Of the same said at several times the latest counts.
func (c *Callback) Halt(r Result, at time.Time) {
	h, ok := r.Halt()
	if !ok {
		return
	}
	for i := range c.Halts {
		told := &c.Halts[i]
		if h.At = told.At; h == *told {
			if at.After(told.At) {
				told.At = at
			}
			return
		}
	}
	h.At = at
	c.Halts = append(c.Halts, h)
}

// Empty reports whether nothing is to be done about it.
func (c *Callback) Empty() bool {
	return len(c.Receipts) == 0 && len(c.Inbound) == 0 && len(c.Halts) == 0
}

// FieldError names one field of a request and what is wrong with it.
type FieldError struct {
	Field   string `json:"field"`   // a path such as "interactive.action.buttons[0].reply.title"
	Message string `json:"message"` // a phrase that continues the field's name: "must be …"
}

func (e FieldError) Error() string { return e.Field + ": " + e.Message }
