package queue

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

const (
	// A worker that can't renew for all of testTTL lapses, as it should: on a busy
	// machine it needs a margin.
	testTTL   = 2500 * time.Millisecond
	testRenew = 250 * time.Millisecond
	testIdle  = 150 * time.Millisecond

	// patience is for what should happen at once, on a machine that is busy.
	patience = 10 * time.Second
)

func testLog() *slog.Logger {
	if os.Getenv("SLUICE_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// connect opens a client as programs do, which closes with the test.
func connect(t *testing.T, url string, use redisdb.Use) redis.UniversalClient {
	t.Helper()
	rdb := connectDirectly(t, url, use)
	if use == redisdb.ForLiveness {
		return rdb
	}
	rdb, err := redisdb.Pipelined(rdb)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// connectDirectly opens a client whose scripts go their own way too.
func connectDirectly(t *testing.T, url string, use redisdb.Use) redis.UniversalClient {
	t.Helper()
	rdb, err := redisdb.Open(url, use)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// eventually waits until the condition holds, and fails the test if that takes too
// long.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

// world is what all workers of a test have in common: their desks, and what
// was sent.
type world struct {
	mu      sync.Mutex
	arrived []gateway.MessageID
	sent    []gateway.MessageID
	adopted []gateway.MessageID
	desks   []*fakeDesk
	shut    map[gateway.Priority]time.Time
	gate    chan struct{}                          // closed: everything goes through
	fail    func(gateway.Task) error               // nil: everything is handled
	keep    func() (time.Time, []gateway.Priority) // nil: nothing to keep
	opened  func(Grant)                            // nil: nobody listens
	next    time.Duration                          // NextSendIn
	seen    map[gateway.AccountID]int64            // due
	kept    map[gateway.AccountID]int              // calls of Keep
	keepErr error
	adopt   func([]gateway.MessageID) error // nil: nothing has to be enqueued anew
	refuse  bool                            // Open answers nil
	asked   map[gateway.AccountID]int       // calls of Open
	claims  error
}

func newWorld() *world {
	w := &world{
		gate: make(chan struct{}), shut: make(map[gateway.Priority]time.Time),
		seen: make(map[gateway.AccountID]int64), kept: make(map[gateway.AccountID]int),
		asked: make(map[gateway.AccountID]int),
	}
	close(w.gate)
	return w
}

// holdBack lets no task through until the function is called.
func (w *world) holdBack() (letGo func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gate := make(chan struct{})
	w.gate = gate
	return sync.OnceFunc(func() { close(gate) })
}

func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) sentCount() (n int) {
	w.do(func() { n = len(w.sent) })
	return n
}

func (w *world) hasSent(id gateway.MessageID) (found bool) {
	w.do(func() { found = slices.Contains(w.sent, id) })
	return found
}

func (w *world) open(g Grant) Desk {
	d := &fakeDesk{w: w, g: g, stopped: make(chan struct{})}
	w.mu.Lock()
	opened, refuse := w.opened, w.refuse
	w.asked[g.Lease.Account]++
	w.mu.Unlock()
	if refuse {
		return nil
	}
	if opened != nil {
		opened(g)
	}
	w.do(func() { w.desks = append(w.desks, d) })
	return d
}

// owned lists the accounts whose desk is open and alive, by worker.
func (w *world) owned() map[string][]gateway.AccountID {
	owned := make(map[string][]gateway.AccountID)
	w.do(func() {
		for _, d := range w.desks {
			if !d.isStopped() && d.g.Alive() {
				owned[d.g.Lease.Worker] = append(owned[d.g.Lease.Worker], d.g.Lease.Account)
			}
		}
	})
	return owned
}

// DueAccounts, Claim and Settle make a world the due index too.
func (w *world) DueAccounts(context.Context) (map[gateway.AccountID]int64, error) {
	due := make(map[gateway.AccountID]int64)
	w.do(func() {
		for account, at := range w.seen {
			if at <= time.Now().UnixMilli() {
				due[account] = at
			}
		}
	})
	return due, nil
}

func (w *world) Claim(_ context.Context, account gateway.AccountID, seen int64) (claimed int64, err error) {
	w.do(func() {
		if err = w.claims; err != nil {
			return
		}
		if w.seen[account] == seen {
			w.seen[account] = time.Now().Add(2 * time.Second).UnixMilli()
		}
		claimed = w.seen[account]
	})
	return claimed, err
}

// reminder is how long after an acceptance its account is due.
const reminder = 900 * time.Millisecond

// remind has the account looked after, as an acceptance does. The caller holds
// the world still.
func (w *world) remind(account gateway.AccountID) {
	at := time.Now().Add(reminder).UnixMilli()
	if old, ok := w.seen[account]; !ok || at < old {
		w.seen[account] = at
	}
}

func (w *world) Settle(_ context.Context, account gateway.AccountID, seen int64, next time.Time) error {
	w.do(func() {
		if w.seen[account] != seen {
			return
		}
		delete(w.seen, account)
		if !next.IsZero() {
			w.seen[account] = next.UnixMilli()
		}
	})
	return nil
}

type fakeDesk struct {
	w       *world
	g       Grant
	once    sync.Once
	stopped chan struct{}
	drained bool
}

var errNotNow = errors.New("not now")

func (d *fakeDesk) isStopped() bool {
	select {
	case <-d.stopped:
		return true
	default:
		return false
	}
}

func (d *fakeDesk) Arrive(t gateway.Task) {
	d.w.do(func() { d.w.arrived = append(d.w.arrived, t.Message) })
}

func (d *fakeDesk) Process(ctx context.Context, t gateway.Task) error {
	d.w.mu.Lock()
	gate, fail := d.w.gate, d.w.fail
	d.w.mu.Unlock()
	select {
	case <-gate:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.stopped:
		return errNotNow
	}
	if d.isStopped() || d.ShutUntil(t.Priority).After(time.Now()) {
		return errNotNow
	}
	if fail != nil {
		if err := fail(t); err != nil {
			return err
		}
	}
	d.w.do(func() { d.w.sent = append(d.w.sent, t.Message) })
	return nil
}

func (d *fakeDesk) Adopt(_ context.Context, messages []gateway.MessageID) error {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	d.w.adopted = append(d.w.adopted, messages...)
	if d.w.adopt == nil {
		return nil
	}
	return d.w.adopt(messages)
}

func (d *fakeDesk) Keep(context.Context) (next time.Time, lanes []gateway.Priority, err error) {
	d.w.do(func() {
		d.w.kept[d.g.Lease.Account]++
		if err = d.w.keepErr; err == nil && d.w.keep != nil {
			next, lanes = d.w.keep()
		}
	})
	return next, lanes, err
}

func (d *fakeDesk) ShutUntil(p gateway.Priority) (until time.Time) {
	d.w.do(func() { until = d.w.shut[p] })
	return until
}

func (d *fakeDesk) Stop() { d.once.Do(func() { close(d.stopped) }) }

func (d *fakeDesk) Drain(context.Context) { d.w.do(func() { d.drained = true }) }

func (d *fakeDesk) NextSendIn() time.Duration { return d.w.next }

// worker is a Manager that runs.
type worker struct {
	*Manager
	liveness redis.UniversalClient
	stop     func() // returns when Run has
}

// kill leaves the worker unable to say anything: its liveness ends in its own
// time, and it releases nothing.
func (w *worker) kill() { _ = w.liveness.Close() }

func start(t *testing.T, url string, w *world, accounts []gateway.AccountID, change func(*Options)) *worker {
	t.Helper()
	liveness := connect(t, url, redisdb.ForLiveness)
	o := Options{
		Redis: connect(t, url, redisdb.ForWorker), Liveness: liveness,
		Accounts: func() []gateway.AccountID { return accounts }, Revision: func() int64 { return 1 },
		Open: w.open, Due: w, Log: testLog(),
		TTL: testTTL, Renew: testRenew, Idle: testIdle, DrainTimeout: 5 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	m, err := NewManager(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		neverScanned(t, o.Redis)
	})
	return &worker{Manager: m, liveness: liveness, stop: stop}
}

// neverScanned fails the test if anybody ran KEYS or SCAN.
func neverScanned(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	for command := range commandCalls(t, rdb) {
		if slices.Contains([]string{"keys", "scan", "hscan", "sscan", "zscan"}, command) {
			t.Errorf("%s was run", strings.ToUpper(command))
		}
	}
}

// commandCalls reads how often each command ran, also within scripts. miniredis
// doesn't know: nothing.
func commandCalls(t *testing.T, rdb redis.UniversalClient) map[string]int {
	t.Helper()
	info, _ := rdb.Info(context.Background(), "commandstats").Result()
	calls := make(map[string]int)
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok || !strings.HasPrefix(line, "cmdstat_") {
			continue
		}
		n := 0
		for _, r := range rest {
			if r < '0' || r > '9' {
				break
			}
			n = n*10 + int(r-'0')
		}
		calls[name] = n
	}
	return calls
}

// sender puts messages into lanes as the API does.
type sender struct {
	t *testing.T
	*Client
}

func newSender(t *testing.T, url string) sender {
	t.Helper()
	return sender{t, NewClient(connect(t, url, redisdb.ForAPI), testLog())}
}

func (s sender) enqueue(account gateway.AccountID, p gateway.Priority, n int) []gateway.MessageID {
	s.t.Helper()
	ids := make([]gateway.MessageID, n)
	for i := range ids {
		ids[i] = gateway.NewMessageID(account, time.Now())
		if err := s.Enqueue(context.Background(), account, gateway.Task{Message: ids[i], Priority: p}); err != nil {
			s.t.Fatal(err)
		}
	}
	return ids
}

func (s sender) ring(account gateway.AccountID, p gateway.Priority) {
	s.t.Helper()
	if err := s.Ring(context.Background(), account, p); err != nil {
		s.t.Fatal(err)
	}
}

func (s sender) send(account gateway.AccountID, p gateway.Priority, n int) []gateway.MessageID {
	s.t.Helper()
	ids := s.enqueue(account, p, n)
	s.ring(account, p)
	return ids
}

// pendingIDs lists a queue, its head first.
func pendingIDs(t *testing.T, rdb redis.UniversalClient, queue string) []gateway.MessageID {
	t.Helper()
	list, err := rdb.LRange(context.Background(), pendingKey(queue), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]gateway.MessageID, 0, len(list))
	for _, id := range slices.Backward(list) {
		ids = append(ids, gateway.MessageID(id))
	}
	return ids
}

func accountIDs(n int) []gateway.AccountID {
	ids := make([]gateway.AccountID, n)
	for i := range ids {
		ids[i] = gateway.AccountID("shop-" + string(rune('a'+i/26/26%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26)))
	}
	return ids
}
