package outbound

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

const shop = gateway.AccountID("shop-eu")

// What no log, label or error may show.
const (
	private   = "774411"
	secretURL = "/hook-" + private + "?token=" + private
)

// fakeStore behaves as the store's scripts do, in memory.
type fakeStore struct {
	mu       sync.Mutex
	owner    gateway.Lease
	messages map[gateway.MessageID]*waiting
	dead     []dead
	claims   []int // how many each look got

	away     bool           // nothing is done and nothing answered
	awayFrom map[string]int // acts that don't arrive, so many times
	mute     map[string]int // acts that are done, but whose answer is lost, so many times
	fail     error          // what writes answer
	claimed  func()         // runs before a claim is answered
}

// waiting is what a message's caller has not been told yet.
type waiting struct {
	notices []gateway.Notice // the oldest first
	due     time.Time        // of the oldest, or the end of its claim
}

type dead struct {
	gateway.Notice
	why gateway.Error
	at  time.Time
}

var errAway = fmt.Errorf("store: %w", gateway.ErrUnavailable)

func (s *fakeStore) act(ctx context.Context, name string, script func()) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: %w", name, gateway.ErrUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	if s.fail != nil && name != "due" {
		return s.fail
	}
	if s.awayFrom[name] > 0 {
		s.awayFrom[name]--
		return errAway
	}
	script()
	if s.mute[name] > 0 {
		s.mute[name]--
		return errAway
	}
	return nil
}

func (s *fakeStore) DueNotices(ctx context.Context, lease gateway.Lease, most int) (notices []gateway.Notice, nextIn time.Duration, err error) {
	fenced := false
	err = s.act(ctx, "due", func() {
		if fenced = lease != s.owner; fenced {
			return
		}
		now := time.Now()
		var due []*waiting
		soon := func(at time.Time) {
			if in := at.Sub(now); nextIn == 0 || in < nextIn {
				nextIn = in
			}
		}
		for _, w := range s.messages {
			if w.due.After(now) {
				soon(w.due)
			} else {
				due = append(due, w)
			}
		}
		slices.SortFunc(due, func(a, b *waiting) int {
			return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.notices[0].Message, b.notices[0].Message))
		})
		for i, w := range due {
			if i == most {
				soon(now.Add(1))
				break
			}
			w.due = now.Add(time.Minute)
			soon(w.due)
			notices = append(notices, w.notices[0])
		}
		s.claims = append(s.claims, len(notices))
	})
	if fenced {
		return nil, 0, gateway.Fenced{Account: lease.Account}
	}
	if err != nil {
		return nil, 0, err
	}
	if s.claimed != nil {
		s.claimed()
	}
	return notices, nextIn, nil
}

// oldest is the message if the notice is still the oldest of it.
func (s *fakeStore) oldest(account gateway.AccountID, n *gateway.Notice) *waiting {
	w := s.messages[n.Message]
	if account != n.Account || w == nil || w.notices[0].Number != n.Number {
		return nil
	}
	return w
}

// advance makes the message's next notice due.
func (s *fakeStore) advance(w *waiting) {
	id := w.notices[0].Message
	w.notices, w.due = w.notices[1:], time.Now()
	if len(w.notices) == 0 {
		delete(s.messages, id)
	}
}

func (s *fakeStore) NoticeDone(ctx context.Context, account gateway.AccountID, n gateway.Notice) error {
	return s.act(ctx, "done", func() {
		if w := s.oldest(account, &n); w != nil {
			s.advance(w)
		}
	})
}

func (s *fakeStore) NoticeFailed(ctx context.Context, account gateway.AccountID, n gateway.Notice, retryIn time.Duration) error {
	return s.act(ctx, "failed", func() {
		if w := s.oldest(account, &n); w != nil {
			w.notices[0].Tries, w.notices[0].Since = n.Tries, n.Since
			w.due = time.Now().Add(retryIn)
		}
	})
}

func (s *fakeStore) NoticeDropped(ctx context.Context, account gateway.AccountID, n gateway.Notice, why *gateway.Error) error {
	return s.act(ctx, "dropped", func() {
		if w := s.oldest(account, &n); w != nil {
			s.dead = append(s.dead, dead{n, *why, time.Now()})
			s.advance(w)
		}
	})
}

func (s *fakeStore) set(change func(*fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// call is one request that arrived.
type call struct {
	at     time.Time
	host   string
	id     string
	header http.Header
	body   string
}

// reply is how a receiver answers.
type reply struct {
	status int
	header http.Header
	slow   time.Duration
	hang   bool
	err    error
}

// fakeNet is a RoundTripper with receivers behind it. Without a script they
// answer 200 at once.
type fakeNet struct {
	mu     sync.Mutex
	script map[string]func(c call, nth int) reply // by host; nth counts from 1
	calls  []call
	count  map[string]int
	open   map[string]int
	most   map[string]int // open at one time
	total  int
	peak   int
}

func (f *fakeNet) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c := call{time.Now(), r.URL.Host, r.Header.Get("webhook-id"), r.Header, string(body)}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	f.open[c.host]++
	f.total++
	f.most[c.host], f.peak = max(f.most[c.host], f.open[c.host]), max(f.peak, f.total)
	f.count[c.host]++
	nth := f.count[c.host]
	script := f.script[c.host]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open[c.host]--
		f.total--
	}()
	a := reply{}
	if script != nil {
		a = script(c, nth)
	}
	if a.hang {
		a.slow = 1000 * time.Hour
	}
	select {
	case <-time.After(a.slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: cmp.Or(a.status, 200), Header: a.header, Body: http.NoBody, Request: r}, nil
}

// answer gives the host a script; nil: it answers 200 at once.
func (f *fakeNet) answer(host string, script func(call, int) reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script[host] = script
}

// to lists the calls to one host.
func (f *fakeNet) to(host string) (calls []call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c.host == host {
			calls = append(calls, c)
		}
	}
	return calls
}

func always(r reply) func(call, int) reply { return func(call, int) reply { return r } }

// world is a courier with everything around it, in a bubble.
type world struct {
	*testing.T
	store   *fakeStore
	net     *fakeNet
	courier *Courier
	round   *Round
	logs    *safeBuffer
	metrics *prometheus.Registry
	wakes   chan struct{}
	began   time.Time

	stopKeeping func() // ends the housekeeping
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var errRefused = errors.New("refused by a guard " + private)

func inBubble(t *testing.T, test func(*world)) {
	t.Helper()
	inBubbleWith(t, func(*Options) {}, test)
}

// inBubbleWith runs the test beside a housekeeping that works as the queue's
// does.
func inBubbleWith(t *testing.T, change func(*Options), test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lease := gateway.Lease{Account: shop, Worker: "w1", Epoch: 1}
		w := &world{
			T: t,
			store: &fakeStore{
				owner: lease, messages: map[gateway.MessageID]*waiting{}, awayFrom: map[string]int{}, mute: map[string]int{},
			},
			net:   &fakeNet{script: map[string]func(call, int) reply{}, count: map[string]int{}, open: map[string]int{}, most: map[string]int{}},
			logs:  &safeBuffer{},
			wakes: make(chan struct{}, 1),
			began: time.Now(), metrics: prometheus.NewRegistry(),
		}
		o := Options{
			Store: w.store, Client: &http.Client{Transport: w.net},
			Refused:    func(err error) bool { return errors.Is(err, errRefused) },
			Random:     func(n int64) int64 { return n - 1 },
			Log:        slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Registerer: w.metrics,
		}
		change(&o)
		w.courier = New(o)
		w.round = w.courier.Open(lease, func() {
			select {
			case w.wakes <- struct{}{}:
			default:
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var keeping sync.WaitGroup
		keeping.Go(func() { w.keepHouse(ctx) })
		w.stopKeeping = func() { cancel(); keeping.Wait() }
		defer func() { // after a Fatal too, or the bubble never ends
			w.stopKeeping()
			ended, end := context.WithTimeout(t.Context(), time.Minute)
			defer end()
			w.round.Drain(ended)
			w.stayedSilent()
		}()
		test(w)
	})
}

// keepHouse calls Look as the queue's seat calls Keep: when it wants to be, when
// it was woken, each minute, and not more often than every 50 ms.
func (w *world) keepHouse(ctx context.Context) {
	for ctx.Err() == nil {
		wait := time.Minute
		next, err := w.round.Look(ctx)
		if err != nil {
			wait = time.Second
		} else if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-w.wakes:
		case <-ctx.Done():
		}
		t.Stop()
		pause(ctx, 50*time.Millisecond)
	}
}

// stayedSilent checks that no log and no label tells what they may not.
func (w *world) stayedSilent() {
	w.Helper()
	if s := w.logs.String(); strings.Contains(s, private) {
		w.Errorf("the log tells it:\n%s", s)
	}
	families, err := w.metrics.Gather()
	if err != nil {
		w.Error(err)
	}
	if s := fmt.Sprint(families); strings.Contains(s, private) || strings.Contains(s, "example") {
		w.Errorf("the metrics tell it:\n%s", s)
	}
	for _, d := range w.store.dead {
		if strings.Contains(d.why.Error()+d.why.Detail, private) || strings.Contains(d.why.Error()+d.why.Detail, "example") {
			w.Errorf("an error tells it: %v", d.why)
		}
	}
}

// post has a message change its status so many times.
func (w *world) post(id gateway.MessageID, host string, changes int) {
	w.store.set(func(s *fakeStore) {
		m := &waiting{due: time.Now()}
		for i := range changes {
			n := gateway.Notice{
				Message: id, Number: i + 1, Account: shop, URL: "https://" + host + secretURL, Status: gateway.Statuses()[i+1],
				At: time.Now(), Reference: private, Metadata: map[string]string{private: private},
			}
			if i > 0 {
				n.Previous = m.notices[i-1].Status
			}
			m.notices = append(m.notices, n)
		}
		s.messages[id] = m
	})
	select {
	case w.wakes <- struct{}{}:
	default:
	}
}

// pass lets time go by; in a bubble that takes none.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // a bubble's clock
	synctest.Wait()
}

// ids lists which notices arrived at the host.
func (w *world) ids(host string) (ids []string) {
	for _, c := range w.net.to(host) {
		ids = append(ids, c.id)
	}
	return ids
}

// left counts notices that are not settled.
func (w *world) left() (n int) {
	w.store.set(func(s *fakeStore) {
		for _, m := range s.messages {
			n += len(m.notices)
		}
	})
	return n
}

func (w *world) inHand() int {
	w.courier.mu.Lock()
	defer w.courier.mu.Unlock()
	return len(w.courier.hand)
}
