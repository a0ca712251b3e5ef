package gateway

import "time"

// Intent asks for permission to begin an attempt. Nonce makes it the caller's:
// only who knows it may record what became of it before the deadline.
type Intent struct {
	Lease    Lease
	Task     Task
	Nonce    string
	Deadline time.Duration // from now; after it, whoever looks marks the outcome unknown
	Files    []KeptFile    // that the call names by their ids
}

// Verdict is the answer to an Intent.
type Verdict string

// The verdicts.
const (
	VerdictBegun   Verdict = "begun"   // the intent is written; the call may be made
	VerdictDropped Verdict = "dropped" // the task is void: the message went on, ended or waits for a later one
	VerdictExpired Verdict = "expired" // its time to live has ended, and is recorded so
	VerdictHeld    Verdict = "held"    // the account or the lane is held or paused
	VerdictBehind  Verdict = "behind"  // an earlier message to the recipient still waits for its turn
	VerdictFenced  Verdict = "fenced"  // another worker owns the account
)

// Ending is what is to be recorded of an attempt.
type Ending struct {
	Message           MessageID
	Nonce             string
	Next              Status // accepted, failed, unknown, or queued for a retry
	RetryIn           time.Duration
	Spent             bool // the attempt counts
	Attempt           Attempt
	ProviderMessageID ProviderMessageID
	Alias             Recipient // see Result
	Error             *Error    // of the message, unless accepted
	Suppress          *Suppression
}

// Chores are what keeping an account's house has brought up.
type Chores struct {
	Tasks   []Task
	NextIn  time.Duration // until something is due again; zero: nothing waits
	HeldFor time.Duration // what is left of the account's hold
	Paused  []Priority    // lanes that an operator has paused
	More    bool          // there was more to do than is done at one time
	Doubts  bool          // attempts have become unknown, for nobody recorded what became of them

	Share   float64       // of the rate, after a throttle; zero: there was none lately
	GrowsIn time.Duration // until that begins to grow; negative: since
	Beyond  int           // messages that wait for room in the tier
}

// Fenced reports that the account has another owner now.
type Fenced struct{ Account AccountID }

func (f Fenced) Error() string { return "account " + string(f.Account) + " is owned by another worker" }
