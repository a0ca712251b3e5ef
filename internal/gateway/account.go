package gateway

import "time"

// ProviderName names the system an account sends through.
type ProviderName string

// The systems of the contract.
const (
	WhatsAppCloud     ProviderName = "whatsapp-cloud"
	WhatsAppV2        ProviderName = "whatsapp-v2"
	WhatsAppOnPrem    ProviderName = "whatsapp-onprem"
	SinchConversation ProviderName = "sinch-conversation"
	SinchWhatsApp     ProviderName = "sinch-whatsapp"
)

// ProviderNames lists every system there is.
func ProviderNames() []ProviderName {
	return []ProviderName{WhatsAppCloud, WhatsAppV2, WhatsAppOnPrem, SinchConversation, SinchWhatsApp}
}

// Account is who pays and owns the limits: one sender at one provider. What
// only its provider needs (credentials, addressing) is not here.
type Account struct {
	ID           AccountID
	Provider     ProviderName
	Sender       SenderNumber
	Rate         float64       // messages a second, 1 to 100,000; never exceeded in any sliding second
	Timeout      time.Duration // of one call
	MaxInFlight  int           // calls at one time; zero: from rate and timeout
	MaxAttempts  int
	TTL          time.Duration // default of its messages
	OnUnknown    OnUnknown     // default of its messages
	UnknownGrace time.Duration
	CallbackURL  string // default of its messages
	CheckMedia   bool   // look at linked files before sending
	UploadMedia  bool   // then upload each once, and send it by the provider's id
	NeedsWindow  bool   // refuse what only an open service window lets through when none is known
	Paused       bool   // by the configuration
	Tier         Tier
	Retention    Retention
}

// Retention is how long things are kept, counted from a message's end.
type Retention struct {
	Content    time.Duration
	Record     time.Duration
	DeadLetter time.Duration // of what is failed or unknown, content included
}

// InFlightCap is the number of calls the account may have open at one time:
// what was configured, or rate × timeout between 4 and 1,000.
func (a *Account) InFlightCap() int {
	const low, high = 4, 1000
	calls := a.Rate * a.Timeout.Seconds()
	switch { // compared as they are: an int may not hold the product
	case a.MaxInFlight > 0:
		return a.MaxInFlight
	case calls >= high:
		return high
	case calls > low:
		return int(calls)
	}
	return low
}

// Lease is one worker's right to send for an account. Epoch grows with every
// change of owner; a script that meets another owner or epoch refuses.
type Lease struct {
	Account AccountID
	Worker  string
	Epoch   int64
}

// Hold stops an account for a while: nothing begins before Until.
type Hold struct {
	Until  time.Time
	Reason string
	Scope  Scope
}

// Ramp is how an account comes back from a throttle: with Share of its rate from
// From on, and then with more and more of it. The zero value is the whole rate.
type Ramp struct {
	Share float64
	From  time.Time
}

// Tier is how many different recipients may be written to within any 24 hours
// while they have no service window open.
type Tier struct {
	Limit int    // zero: as many as there are
	Count string // the tag it is counted under: the account's, or that of its portfolio
}

// TierWindow is what a tier looks back on.
const TierWindow = 24 * time.Hour

// TierState is how far a tier is used up.
type TierState struct {
	Limit     int
	Used      int
	FullUntil time.Time // zero: there is room
	Parked    int64     // messages of the account that wait for room
}

// PairLimit is what a provider lets one account send one recipient: one message
// in every interval, and a burst ahead of that. A zero Every is no limit.
type PairLimit struct {
	Every time.Duration
	Burst int
}

// Task is one entry of an account's queue: permission to begin the attempt
// that carries this sequence, and nothing else of the message.
type Task struct {
	Message  MessageID
	Priority Priority
	Sequence int // 0 for the first; a bulk task above 0 is a retry
}

// LaneState is the state of one lane as operators see it.
type LaneState struct {
	Pending       int64 // queued, with a task
	Active        int64 // sending
	Parked        int64 // queued, waiting for a retry
	Scheduled     int64
	OldestPending time.Duration // age of the message at the head; zero if none
}
