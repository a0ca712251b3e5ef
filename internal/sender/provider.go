package sender

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// Provider speaks one system's dialect for one account. It does not send: the
// sender does, and knows whether the request was written. Implementations are
// safe for concurrent use.
type Provider interface {
	// Check names what the dialect can't express in a message that is sound
	// otherwise (gateway.Content.Validate), by the field's path in the request.
	// It does no I/O; it is asked at accept.
	Check(m *gateway.Message) []gateway.FieldError

	// MediaRule says what files of a kind the provider takes. No Types means
	// the kind isn't taken at all.
	MediaRule(kind gateway.MediaKind) gateway.MediaRule

	// NewRequest renders the call: method, URL, headers, body with its length.
	// An error that is a *gateway.Error ends the attempt as its class says, and
	// a *Verdict as that says; any other is a defect.
	NewRequest(ctx context.Context, c Call) (*http.Request, error)

	// Interpret reads a complete answer. It never fails: what it can't
	// understand is an outcome too.
	Interpret(a Answer) gateway.Result
}

// Preparer is a Provider whose requests need something that takes time to get,
// such as a token from a login. Prepare gets it, so that NewRequest finds it:
// it is called before the attempt begins, for what happens after the gate is
// not paced. What goes wrong shows in NewRequest.
type Preparer interface {
	Prepare(ctx context.Context)
}

// PairLimited is a Provider that limits what one recipient is sent, beside the
// account's rate.
type PairLimited interface {
	PairLimit() gateway.PairLimit
}

// Verdict is an error of NewRequest that knows in full what the attempt came to:
// Recover found it out.
type Verdict struct{ Result gateway.Result }

func (v *Verdict) Error() string { return v.Result.Error.Error() }

// Recoverer is a Provider that can do something about certain refusals.
type Recoverer interface {
	// Recover is given an answer that took nothing, does what must be done
	// before the same call can succeed (a fresh login, a check of the recipient)
	// and reports whether the call may be made again now, as part of the same
	// attempt. It is asked at most twice for one attempt, and by a worker that
	// stops not at all: what Interpret said must be right then too.
	Recover(ctx context.Context, c Call, a Answer) (again bool)
}

// Reporter is a Provider that can be asked how it is.
type Reporter interface {
	// Report asks, for no longer than ctx; At is the caller's to set. A provider
	// that couldn't be asked isn't connected, and Error says why. The names of
	// Stats are a small closed set, fit for labels, and so are those of Unread;
	// numbers are finite, and no secret is anywhere.
	Report(ctx context.Context) gateway.Health
}

// Poller is a Provider that can be asked what became of a message it has taken.
type Poller interface {
	// NewStatusRequest renders the question. An error is a defect.
	NewStatusRequest(ctx context.Context, id gateway.ProviderMessageID) (*http.Request, error)

	// InterpretStatus reads a complete answer. Not ok: it tells no status.
	InterpretStatus(a Answer) (r gateway.Receipt, ok bool)
}

// longestRetryAfter is for how long the header of that name is believed.
const longestRetryAfter = time.Hour

// RetryAfter reads the header of that name, seconds or a date, up to an hour;
// zero if it is neither or has passed.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(longestRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestRetryAfter)
}

// Unsupported is NewRequest's error for what Check would refuse: the account may
// have changed its provider since the message was accepted.
func Unsupported(provider string, refused []gateway.FieldError) *gateway.Error {
	details := make([]string, len(refused))
	for i, e := range refused {
		details[i] = e.Error()
	}
	return &gateway.Error{
		Class: gateway.ClassPermanent, Code: "unsupported_by_provider",
		Title: "the message can't be expressed by " + provider, Detail: strings.Join(details, "; "),
	}
}

// UsableToken reports whether a token that a login gave can stand in a header:
// one that can't would fail as a connection does, at every call. Ids of files
// are such tokens too.
func UsableToken(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// Finder is a Provider that can be asked whether it has a message whose answer was
// lost.
type Finder interface {
	// NewLookup renders the question: what was sent to the recipient between two
	// moments, from the page that the answer before named, empty for the first. Of
	// the call it needs the message's id and recipient. An error is as
	// NewRequest's.
	NewLookup(ctx context.Context, c Call, from, to time.Time, page string) (*http.Request, error)

	// InterpretLookup reads a complete answer: the provider's id for the message,
	// or the page to ask for next, or neither if there is no more. Not ok: the
	// answer says nothing. That a message isn't there proves nothing.
	InterpretLookup(c Call, a Answer) (id gateway.ProviderMessageID, page string, ok bool)
}

// Call is one attempt about to be made.
type Call struct {
	Message *gateway.Message // references to our own ids are resolved to the provider's
	ReplyTo gateway.ProviderMessageID
	Attempt int // from 1
	// CallbackURL is where the provider may report on this very attempt, for
	// dialects whose only correlation is a URL. Empty if the API has no public
	// address.
	CallbackURL string
}

// Answer is what the provider said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most MaxAnswer bytes
}

// MaxAnswer is how much of an answer is read, in bytes.
const MaxAnswer = 1 << 20
