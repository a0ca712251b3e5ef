package outbound

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

// How long a notice is told, and how often.
const (
	day       = 24 * time.Hour // from the first try
	firstWait = 5 * time.Second
	maxWait   = time.Hour
)

// Store keeps the notices that callers wait for. What isn't confirmed is
// gateway.ErrUnavailable, and the writes are repeated after it: a second time,
// or for a notice that is no longer the oldest of its message, they change
// nothing and succeed. Writes need no lease: what happened is recorded, whoever
// owns the account now.
type Store interface {
	// DueNotices claims for a minute the oldest notice of each message that is
	// due, at most so many, those that are due longest first. nextIn is how long
	// until another is due, claims that run out included; zero: none waits. It
	// fails with gateway.Fenced for who doesn't own the account.
	DueNotices(ctx context.Context, lease gateway.Lease, most int) (notices []gateway.Notice, nextIn time.Duration, err error)
	// NoticeDone forgets the notice. The next of its message is due.
	NoticeDone(ctx context.Context, account gateway.AccountID, n gateway.Notice) error
	// NoticeFailed ends the claim: the notice is due again after retryIn, with
	// Tries and Since as n has them now. Whether a try is counted was decided
	// there.
	NoticeFailed(ctx context.Context, account gateway.AccountID, n gateway.Notice, retryIn time.Duration) error
	// NoticeDropped makes the notice a dead letter of its own. The next of its
	// message is due.
	NoticeDropped(ctx context.Context, account gateway.AccountID, n gateway.Notice, why *gateway.Error) error
}

// Options are what a courier works with. Store and Client are needed.
type Options struct {
	Store Store
	// Client makes the calls. It decides what may be reached. The courier
	// follows no redirects, whatever the client would do.
	Client *http.Client
	// Refused recognises the client's errors that say a URL leads where nothing
	// may be called, however often it is tried. Default: none does.
	Refused func(error) bool
	// Secrets are the keys in force, see ParseSecret; it is asked for every try.
	// Without any, callbacks carry no signature.
	Secrets func() [][]byte
	Version string // of Sluice, for User-Agent; "devel"

	Timeout     time.Duration // of one try as a whole; 15 s, at most 30 s
	PerReceiver int           // calls to one host and port at one time; 8
	Parallel    int           // calls at one time; 256

	Random     func(n int64) int64 // in [0, n); rand.Int64N
	Log        *slog.Logger        // nil: nothing is logged
	Registerer prometheus.Registerer
}

const (
	// page is how many notices are claimed at one time.
	page = 128

	// inHandFactor is how many notices may be in hand for each call that may be
	// open.
	inHandFactor = 16

	// claim is how long the store keeps a claim; after claimMargin before its end
	// no call is open any more, so that what came of it is written in time.
	claim       = time.Minute
	claimMargin = 10 * time.Second
	maxTimeout  = 30 * time.Second
)

// Courier carries the notices of all accounts that this process owns. It is
// safe for concurrent use.
type Courier struct {
	o         Options
	client    *http.Client
	userAgent string
	metrics   *metrics
	receivers *receivers
	slots     chan struct{} // holds a token for each open call

	mu       sync.Mutex
	hand     map[key]struct{} // claimed, and not yet written what came of it
	reserved int              // room for what is being claimed
}

// key names a notice.
type key struct {
	message gateway.MessageID
	number  int
}

// New makes a courier. It starts no goroutine; its rounds do.
func New(o Options) *Courier {
	if o.Refused == nil {
		o.Refused = func(error) bool { return false }
	}
	if o.Secrets == nil {
		o.Secrets = func() [][]byte { return nil }
	}
	if o.Version == "" {
		o.Version = "devel"
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	o.Timeout = min(o.Timeout, maxTimeout)
	if o.PerReceiver <= 0 {
		o.PerReceiver = 8
	}
	if o.Parallel <= 0 {
		o.Parallel = 256
	}
	if o.Random == nil {
		o.Random = rand.Int64N
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Courier{
		o: o, client: &client, userAgent: "Sluice/" + o.Version,
		metrics: newMetrics(o.Registerer),
		slots:   make(chan struct{}, o.Parallel),
		hand:    make(map[key]struct{}),
	}
	c.receivers = &receivers{
		calls: o.PerReceiver, probe: o.Timeout + time.Second, random: o.Random,
		known: make(map[string]*receiver), changed: c.receiverChanged,
	}
	return c
}

func (c *Courier) receiverChanged(name string, shut bool) {
	if shut {
		c.metrics.shut.Inc()
		c.o.Log.Warn("a receiver of callbacks doesn't answer and is only probed", "receiver", name)
		return
	}
	c.metrics.shut.Dec()
	c.o.Log.Info("a receiver of callbacks is called again", "receiver", name)
}

// reserve takes as much room as there is for notices to be claimed, up to a
// page.
func (c *Courier) reserve() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := max(min(page, c.o.Parallel*inHandFactor-c.reserved-len(c.hand)), 0) // what Look takes counts twice for a moment
	c.reserved += room
	return room
}

func (c *Courier) unreserve(room int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved -= room
}

// take reports false for a notice in hand already: its claim ran out while the
// store was away, and what came of it will be written yet.
func (c *Courier) take(n *gateway.Notice) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{n.Message, n.Number}
	if _, ok := c.hand[k]; ok {
		return false
	}
	c.hand[k] = struct{}{}
	return true
}

// letGo ends what take began.
func (c *Courier) letGo(n *gateway.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.hand, key{n.Message, n.Number})
}

// waitAfter is the wait after a try that failed: by chance below a limit that
// doubles, and not before the receiver asked for it.
func (c *Courier) waitAfter(tries int, asked time.Duration) time.Duration {
	limit := min(firstWait<<min(max(tries-1, 0), 16), maxWait)
	return min(asked+time.Duration(c.o.Random(int64(limit))), maxWait)
}
