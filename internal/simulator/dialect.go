package simulator

import (
	"net/http"
	"time"
)

// dialect is one provider's language: its endpoints, what it takes, how it
// answers and what it reports. The pipeline of send.go does the rest.
type dialect interface {
	// routes mounts the provider's endpoints.
	routes(mux *http.ServeMux)

	// keys is how requests tell the account they are for, by path or by
	// credentials. No two accounts of a dialect share one.
	keys(a *Account) []string
	// newID makes a provider message id for a message to the recipient.
	newID(recipient string, at time.Time) string
	// accept answers that the message was taken, refuse that it was not. With
	// nobody taken the answer has everything but ids.
	accept(m *message, taken []taken) reply
	refuse(r refusal) reply

	// magic is how a recipient with these last four digits behaves.
	magic(lastFour string) (magic, bool)
	// course is what becomes of a message of the kind if nothing goes wrong.
	course(kind string) []event

	// batches is whether one callback holds several reports.
	batches() bool
	// statuses renders reports of one account as the body of one callback.
	statuses(a *account, reports []report) []byte
	// inbound renders a message somebody wrote to the account.
	inbound(a *account, in Inbound, id string, at time.Time) []byte
	// sign adds the headers that prove where a callback to the URL comes from.
	sign(a *account, target string, body []byte, h http.Header)
	// judge decides about a callback by the HTTP status of its answer; zero
	// means there was none.
	judge(status int) verdict
}

// parser reads a send request as strictly as the provider would.
type parser func(a *account, body []byte) (*message, *refusal)

// rememberer is a dialect that can be asked what became of a message.
type rememberer interface {
	remember(a *account, r receipt, accepted time.Time, steps []step)
	forget()
}

// expirer is a dialect that issues tokens.
type expirer interface {
	// expire makes those of the account stale.
	expire(a *account)
}

// waiter is a dialect whose callbacks aren't tried again after times that
// double.
type waiter interface {
	wait(first time.Duration, tries int) time.Duration
}

// challenger is a dialect that verifies a callback URL before it uses it.
type challenger interface {
	challenge(a *account) (url, want string, err error)
}

// reply is an HTTP answer.
type reply struct {
	status int
	header http.Header // besides Content-Type; may be nil
	body   []byte
}

// message is what a dialect understood of one send request.
type message struct {
	kind        string // as the dialect names it
	recipients  []string
	inputs      []string // the recipients as they were written
	correlation string   // what the caller can recognise the message by later
	callback    string   // where this request's statuses go, instead of the account's URL
	doom        *event   // what its content leads to later; nil: nothing out of the ordinary
	template    *templateUse
	files       []string // ids of uploaded files
	reference   string   // what callbacks repeat besides correlation
	content     []byte   // what callbacks repeat of the message itself
	at          time.Time
}

// taken is one recipient's message that was accepted.
type taken struct {
	id        string
	recipient string // digits
	input     string
	behaviour behaviour
}

// report is one status of one message, about to be called back.
type report struct {
	*receipt
	step
	at time.Time // when it happened
}

// receipt is what the statuses of a message say of it.
type receipt struct {
	id          string
	recipient   string // digits
	kind        string
	correlation string
	reference   string
	content     []byte
}

// verdict is what becomes of a callback.
type verdict int

const (
	callbackTaken verdict = iota + 1
	callbackAgain
	callbackDropped
)

// state is one status of a message, of any dialect.
type state int

const (
	stateDispatched state = iota + 1
	stateSent
	stateDelivered
	stateRead
	stateFailed
	stateDeleted
	stateNoCapability
	stateNoOptIn
	stateStopMarketing // not of the message: its reader wants no more marketing
)

// event is a state with its reason, if it is a bad one. Zero members are the
// dialect's choice.
type event struct {
	state  state
	code   int
	reason string // Conversation: the reason's code, of which code is the channel's
	detail string
}

// reason says why a request was refused. Statistics show it.
type reason string

const (
	reasonInvalid      reason = "invalid"
	reasonUnauthorized reason = "unauthorized"
	reasonThrottled    reason = "throttled"
	reasonPairLimited  reason = "pair_limited"
	reasonUnavailable  reason = "unavailable"
	reasonError        reason = "error"
	reasonHung         reason = "hung"
	reasonClosed       reason = "closed"
)

// refusal is an answer other than acceptance. Zero members are the dialect's
// choice.
type refusal struct {
	reason     reason
	status     int
	code       int
	detail     string
	retryAfter time.Duration
	bare       bool // body as it stands, without the provider's envelope
	body       string
}
