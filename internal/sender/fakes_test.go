package sender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/gateway"
)

const (
	shop      = gateway.AccountID("shop-eu")
	recipient = gateway.Recipient("+46732001122")
	secret    = "your code is 774411" // stands for what no log may show
)

// fakeStore behaves as the store's scripts do, in memory.
type fakeStore struct {
	mu       sync.Mutex
	messages map[gateway.MessageID]*kept
	owner    gateway.Lease
	ahead    time.Duration // of its clock before ours

	away     bool           // nothing is done and nothing answered
	mute     map[string]int // acts that are done, but whose answer is lost, so many times
	awayFrom map[string]int // acts that don't arrive, so many times

	holdUntil time.Time
	share     float64
	grows     time.Time
	why       gateway.Outcome
	told      bool // of the hold, by a callback
	scope     gateway.Scope
	reason    string
	paused    []gateway.Priority
	breaker   []gateway.BreakerState
	struck    []gateway.Task
	reminded  int
	begins    []string // nonces
	standing  gateway.Standing
	inKeep    func() // runs after Keep has looked and before it answers
	files     map[gateway.FileKey]gateway.KeptFile
	counted   map[gateway.Recipient]time.Time // by the tier
	asked     int                             // for a place in it
}

// kept is one message in the store.
type kept struct {
	gateway.Record
	till     time.Time // parked; zero: not
	behind   bool
	beyond   bool // parked until the tier has room
	previous gateway.MessageID
	nonce    string
	recorded string // nonce of the last record
	deadline time.Time
	endings  []gateway.Ending
	defers   []time.Duration
	task     bool               // a task is to be enqueued
	files    []gateway.KeptFile // that its last attempt names
}

var errAway = fmt.Errorf("store: %w", gateway.ErrUnavailable)

// act runs one script: whole or not at all, and then perhaps unheard.
func (s *fakeStore) act(ctx context.Context, name string, script func()) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w: %w", name, gateway.ErrUnavailable, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
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

func (s *fakeStore) now() time.Time { return time.Now().Add(s.ahead) }

func (s *fakeStore) move(m *kept, to gateway.Status) {
	m.Status, m.till = to, time.Time{}
	m.History = append(m.History, gateway.StatusChange{Status: to, At: s.now()})
}

func (s *fakeStore) Load(ctx context.Context, _ gateway.AccountID, id gateway.MessageID) (rec *gateway.Record, st gateway.Standing, err error) {
	err = s.act(ctx, "load", func() {
		if m := s.messages[id]; m != nil {
			c := m.Record
			c.Attempts = slices.Clone(c.Attempts)
			rec, st = &c, s.standing
		}
	})
	if err == nil && rec == nil {
		return nil, st, gateway.ErrNotFound
	}
	return rec, st, err
}

func (s *fakeStore) ProviderID(ctx context.Context, id gateway.MessageID) (pid gateway.ProviderMessageID, err error) {
	err = s.act(ctx, "provider id", func() {
		if m := s.messages[id]; m != nil {
			pid = m.ProviderMessageID
		}
	})
	if err == nil && pid == "" {
		return "", gateway.ErrNotFound
	}
	return pid, err
}

func (s *fakeStore) Begin(ctx context.Context, in gateway.Intent) (v gateway.Verdict, attempt int, err error) {
	err = s.act(ctx, "begin", func() { v, attempt = s.begin(in) })
	if err != nil {
		return "", 0, err
	}
	return v, attempt, nil
}

func (s *fakeStore) begin(in gateway.Intent) (gateway.Verdict, int) {
	s.begins = append(s.begins, in.Nonce)
	m := s.messages[in.Task.Message]
	number := func() int { return m.Attempts[len(m.Attempts)-1].Number }
	switch {
	case m == nil:
		return gateway.VerdictDropped, 0
	case m.Status == gateway.StatusSending && m.nonce == in.Nonce:
		return gateway.VerdictBegun, number()
	case m.Status != gateway.StatusQueued || !m.till.IsZero() || m.Sequence != in.Task.Sequence:
		return gateway.VerdictDropped, 0
	case s.owner != in.Lease:
		return gateway.VerdictFenced, 0
	case !m.ExpiresAt.After(s.now()):
		s.move(m, gateway.StatusExpired)
		return gateway.VerdictExpired, 0
	case s.holdUntil.After(s.now()) || slices.Contains(s.paused, m.Priority):
		return gateway.VerdictHeld, 0
	}
	if p := s.messages[m.previous]; p != nil && p.Status == gateway.StatusQueued && (p.till.IsZero() || p.behind) {
		return gateway.VerdictBehind, 0
	}
	m.previous, m.nonce, m.deadline, m.files = "", in.Nonce, s.now().Add(in.Deadline), in.Files
	m.Attempts = append(m.Attempts, gateway.Attempt{Number: len(m.Attempts) + 1})
	s.move(m, gateway.StatusSending)
	return gateway.VerdictBegun, number()
}

func (s *fakeStore) Record(ctx context.Context, _ gateway.AccountID, e gateway.Ending) error {
	return s.act(ctx, "record", func() {
		m := s.messages[e.Message]
		if m == nil || m.recorded == e.Nonce || m.nonce != e.Nonce {
			return
		}
		m.recorded = e.Nonce
		m.endings = append(m.endings, e)
		m.Attempts[len(m.Attempts)-1] = e.Attempt
		if e.Spent {
			m.Spent++
		}
		if e.ProviderMessageID != "" {
			m.ProviderMessageID = e.ProviderMessageID
		}
		if m.Status == gateway.StatusSending || m.Status == gateway.StatusUnknown && e.Next != gateway.StatusUnknown {
			m.Error = e.Error
			s.move(m, e.Next)
			if e.Next == gateway.StatusQueued {
				m.till, m.behind = s.now().Add(e.RetryIn), false
			}
		}
	})
}

// waits reports whether the task may still change its message.
func (m *kept) waits(t gateway.Task) bool {
	return m != nil && m.Status == gateway.StatusQueued && m.till.IsZero() && m.Sequence == t.Sequence
}

func (s *fakeStore) Defer(ctx context.Context, _ gateway.AccountID, t gateway.Task, d time.Duration, behind bool) error {
	return s.act(ctx, "defer", func() {
		if m := s.messages[t.Message]; m.waits(t) {
			m.till, m.behind = s.now().Add(d), behind
			m.defers = append(m.defers, d)
		}
	})
}

func (s *fakeStore) Await(ctx context.Context, _ gateway.AccountID, t gateway.Task) error {
	return s.act(ctx, "await", func() {
		if m := s.messages[t.Message]; m.waits(t) {
			m.till, m.behind, m.beyond = s.now().Add(1<<62), true, true
		}
	})
}

func (s *fakeStore) Release(ctx context.Context, _ gateway.Lease, most int) (tasks []gateway.Task, err error) {
	err = s.act(ctx, "release", func() {
		for _, id := range s.ids() {
			if m := s.messages[id]; m.beyond && len(tasks) < most {
				m.till, m.behind, m.beyond, m.task = time.Time{}, false, false, true
				m.Sequence++
				tasks = append(tasks, m.tasks()...)
			}
		}
	})
	return tasks, err
}

func (s *fakeStore) forget() {
	for to, at := range s.counted {
		if s.now().Sub(at) >= gateway.TierWindow {
			delete(s.counted, to)
		}
	}
}

func (s *fakeStore) Admit(ctx context.Context, tier gateway.Tier, to gateway.Recipient) (admitted bool, err error) {
	err = s.act(ctx, "admit", func() {
		s.asked++
		s.forget()
		if _, known := s.counted[to]; known || len(s.counted) < tier.Limit {
			s.counted[to] = s.now()
			admitted = true
		}
	})
	return admitted, err
}

func (s *fakeStore) TierRoom(ctx context.Context, tier gateway.Tier) (room int, fullFor time.Duration, err error) {
	err = s.act(ctx, "room", func() {
		s.forget()
		if room = tier.Limit - len(s.counted); room > 0 {
			return
		}
		fullFor = gateway.TierWindow
		for _, at := range s.counted {
			fullFor = min(fullFor, at.Add(gateway.TierWindow).Sub(s.now()))
		}
	})
	return max(room, 0), fullFor, err
}

func (s *fakeStore) Expire(ctx context.Context, _ gateway.AccountID, id gateway.MessageID) (expired bool, err error) {
	err = s.act(ctx, "expire", func() {
		if m := s.messages[id]; m.Status.Waiting() && !m.ExpiresAt.After(s.now()) {
			s.move(m, gateway.StatusExpired)
			expired = true
		}
	})
	return expired, err
}

func (s *fakeStore) Refuse(ctx context.Context, _ gateway.AccountID, t gateway.Task, why *gateway.Error) error {
	return s.act(ctx, "refuse", func() {
		m := s.messages[t.Message]
		if !m.waits(t) {
			return
		}
		m.Error = why
		if why.Class == gateway.ClassInternal {
			s.move(m, gateway.StatusFailed)
		} else {
			s.move(m, gateway.StatusRejected)
		}
	})
}

func (s *fakeStore) Keep(ctx context.Context, l gateway.Lease, _ int) (c gateway.Chores, err error) {
	var fenced bool
	err = s.act(ctx, "keep", func() {
		if fenced = s.owner != l; fenced {
			return
		}
		now := s.now()
		soon := func(t time.Time) {
			if in := max(t.Sub(now), time.Millisecond); c.NextIn == 0 || in < c.NextIn {
				c.NextIn = in
			}
		}
		for _, id := range s.ids() {
			m := s.messages[id]
			if m.Status == gateway.StatusSending {
				if m.deadline.After(now) {
					soon(m.deadline)
					continue
				}
				s.move(m, gateway.StatusUnknown)
			}
			if !m.till.IsZero() && !m.till.After(now) {
				m.till, m.behind, m.task = time.Time{}, false, true
				m.Sequence++
			}
			if m.beyond {
				c.Beyond++
			} else if !m.till.IsZero() {
				soon(m.till)
			}
			if m.task {
				c.Tasks = append(c.Tasks, m.tasks()...)
				soon(now.Add(2 * time.Second))
			}
		}
		if s.holdUntil.After(now) {
			c.HeldFor = s.holdUntil.Sub(now)
			soon(s.holdUntil)
		}
		c.Paused = slices.Clone(s.paused)
		c.Share, c.GrowsIn = s.share, s.grows.Sub(now)
	})
	s.mu.Lock()
	after := s.inKeep
	s.inKeep = nil
	s.mu.Unlock()
	if after != nil {
		after()
	}
	if fenced {
		return gateway.Chores{}, gateway.Fenced{Account: l.Account}
	}
	return c, err
}

func (m *kept) tasks() []gateway.Task {
	return []gateway.Task{{Message: m.ID, Priority: m.Priority, Sequence: m.Sequence}}
}

func (s *fakeStore) ids() []gateway.MessageID {
	var ids []gateway.MessageID
	for id := range s.messages {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *fakeStore) Adopt(ctx context.Context, l gateway.Lease, ids []gateway.MessageID) (tasks []gateway.Task, err error) {
	err = s.act(ctx, "adopt", func() {
		for _, id := range ids {
			if m := s.messages[id]; m != nil && m.Status == gateway.StatusQueued && m.till.IsZero() {
				m.Sequence++
				m.task = true
				tasks = append(tasks, m.tasks()...)
			}
		}
	})
	if err == nil && s.owner != l {
		return nil, gateway.Fenced{Account: l.Account}
	}
	return tasks, err
}

func (s *fakeStore) Enqueued(ctx context.Context, _ gateway.AccountID, tasks ...gateway.Task) error {
	return s.act(ctx, "enqueued", func() {
		for _, t := range tasks {
			if m := s.messages[t.Message]; m.Sequence == t.Sequence {
				m.task = false
			}
		}
		s.struck = append(s.struck, tasks...)
	})
}

func (s *fakeStore) Remind(ctx context.Context, _ gateway.AccountID) error {
	return s.act(ctx, "remind", func() { s.reminded++ })
}

func (s *fakeStore) Hold(ctx context.Context, _ gateway.AccountID, d time.Duration, why gateway.Outcome, reason string, scope gateway.Scope, share float64) error {
	return s.act(ctx, "hold", func() {
		if share > 0 {
			s.share, s.grows = share, later(s.holdUntil, s.now().Add(d))
		}
		if till := s.now().Add(d); till.After(s.holdUntil) {
			s.holdUntil, s.why, s.reason, s.scope = till, why, reason, scope
		}
	})
}

func (s *fakeStore) Lift(ctx context.Context, _ gateway.AccountID, why gateway.Outcome, told bool) (lifted bool, err error) {
	err = s.act(ctx, "lift", func() {
		if lifted = s.why == why && (told || !s.told); lifted {
			s.holdUntil, s.why, s.told = time.Time{}, "", false
		}
	})
	return lifted, err
}

func (s *fakeStore) SetBreaker(ctx context.Context, _ gateway.AccountID, b gateway.BreakerState) error {
	return s.act(ctx, "breaker", func() { s.breaker = append(s.breaker, b) })
}

func (s *fakeStore) File(ctx context.Context, _ gateway.AccountID, key gateway.FileKey) (f gateway.KeptFile, err error) {
	err = s.act(ctx, "file", func() { f = s.files[key] })
	return f, err
}

func (s *fakeStore) KeepFile(ctx context.Context, _ gateway.AccountID, f gateway.KeptFile) error {
	return s.act(ctx, "keep file", func() {
		if s.files == nil {
			s.files = map[gateway.FileKey]gateway.KeptFile{}
		}
		s.files[f.Key] = f
	})
}

func (s *fakeStore) DropFile(ctx context.Context, _ gateway.AccountID, f gateway.KeptFile) error {
	return s.act(ctx, "drop file", func() {
		if s.files[f.Key].ID == f.ID {
			delete(s.files, f.Key)
		}
	})
}

// set changes the store from outside.
func (s *fakeStore) set(change func(*fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// fakeQueue takes tasks until it is full.
type fakeQueue struct {
	mu    sync.Mutex
	room  int
	tasks []gateway.Task
}

var errFull = errors.New("queue: no room")

func (q *fakeQueue) Enqueue(_ context.Context, _ gateway.AccountID, t gateway.Task) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.room == 0 {
		return errFull
	}
	q.room--
	q.tasks = append(q.tasks, t)
	return nil
}

// fakePacer lets everybody pass, after a while if it shall.
type fakePacer struct {
	mu     sync.Mutex
	atGate time.Duration
	rates  []float64
	waited []string
	slowed []time.Time // until when, each time
	ramp   gateway.Ramp
}

func (p *fakePacer) Wait(ctx context.Context, _ gateway.Priority, order string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waited = append(p.waited, order)
	return ctx.Err()
}

func (p *fakePacer) Gate(ctx context.Context) error {
	p.mu.Lock()
	wait := p.atGate
	p.mu.Unlock()
	if wait == 0 {
		return ctx.Err()
	}
	return pause(ctx, wait)
}

func (p *fakePacer) Left(time.Time) {}

func (p *fakePacer) NextIn() time.Duration { return 20 * time.Millisecond }

func (p *fakePacer) Slow(_, until time.Time) gateway.Ramp {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowed = append(p.slowed, until)
	return gateway.Ramp{Share: 0.5, From: until}
}

func (p *fakePacer) Resume(r gateway.Ramp) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ramp = r
}

func (p *fakePacer) SetRate(r float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rates = append(p.rates, r)
}

// fakePairs lets everybody in but those it has a wait for, and counts.
type fakePairs struct {
	mu      sync.Mutex
	limits  []gateway.PairLimit
	waits   map[gateway.Recipient]time.Duration
	inside  int
	begun   int
	refused map[gateway.Recipient]time.Duration
}

func (p *fakePairs) SetLimit(l gateway.PairLimit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = append(p.limits, l)
}

func (p *fakePairs) Enter(to gateway.Recipient, _ gateway.Priority, _ gateway.MessageID) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.waits[to]; wait > 0 {
		return wait
	}
	p.inside++
	return 0
}

func (p *fakePairs) Begin(gateway.Recipient) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inside--
	p.begun++
}

func (p *fakePairs) Leave(gateway.Recipient, gateway.Priority, gateway.MessageID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inside--
}

func (p *fakePairs) Refused(to gateway.Recipient, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[to] = wait
}

// fakeSlots counts who has a slot.
type fakeSlots struct {
	mu    sync.Mutex
	open  int
	limit int
	freed chan struct{}
}

func (s *fakeSlots) Acquire(ctx context.Context, _ gateway.Priority) error {
	for {
		s.mu.Lock()
		if s.open < s.limit {
			s.open++
			s.mu.Unlock()
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// taken is how many slots are open.
func (s *fakeSlots) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *fakeSlots) Release(gateway.Priority) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	s.wake()
}

func (s *fakeSlots) SetMax(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.wake()
}

func (s *fakeSlots) wake() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// fakeProvider posts the text, and reads answers by their status alone.
type fakeProvider struct {
	url        string
	newRequest func(Call) error
	interpret  func(Answer) gateway.Result

	mu    sync.Mutex
	calls []Call
}

func (p *fakeProvider) Check(*gateway.Message) []gateway.FieldError { return nil }

func (p *fakeProvider) MediaRule(gateway.MediaKind) gateway.MediaRule { return gateway.MediaRule{} }

func (p *fakeProvider) NewRequest(ctx context.Context, c Call) (*http.Request, error) {
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	if p.newRequest != nil {
		if err := p.newRequest(c); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(map[string]any{"to": c.Message.Recipient, "id": c.Message.ID})
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
}

func (p *fakeProvider) Interpret(a Answer) gateway.Result {
	if p.interpret != nil {
		return p.interpret(a)
	}
	seconds, _ := strconv.Atoi(a.Header.Get("Retry-After"))
	r := gateway.Result{
		RetryAfter: time.Duration(seconds) * time.Second,
		Error:      &gateway.Error{Code: strconv.Itoa(a.Status), Title: "no to " + string(recipient)},
	}
	switch a.Status {
	case 200:
		return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: gateway.ProviderMessageID(a.Body)}
	case 401:
		r.Outcome, r.Error.Class = gateway.OutcomeSuspended, gateway.ClassSuspended
	case 409:
		r.Outcome, r.Error.Class, r.Scope = gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopePair
	case 429:
		r.Outcome, r.Error.Class, r.Scope = gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount
	case 503:
		r.Outcome, r.Error.Class = gateway.OutcomeTransient, gateway.ClassTransient
	case 500:
		r.Outcome, r.Error.Class = gateway.OutcomeUnknown, gateway.ClassUnknown
	default:
		r.Outcome, r.Error.Class = gateway.OutcomeRejected, gateway.ClassPermanent
	}
	return r
}

// wire is what one request meets.
type wire struct {
	connect time.Duration // until the request is written
	refuse  bool          // nobody listens
	hang    bool          // for ever, after connect
	unheard bool          // closed once the request is written
	cut     bool          // the answer breaks off
	status  int
	header  http.Header
	slow    time.Duration // until the answer
}

// fakeNet is a RoundTripper that tells the trace what net/http would.
type fakeNet struct {
	mu      sync.Mutex
	next    []wire // for the next requests
	rest    wire   // for those after
	asked   int
	written []gateway.MessageID // in order
	at      []time.Time
	ended   int
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func (n *fakeNet) RoundTrip(req *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked++
	w := n.rest
	if len(n.next) > 0 {
		w, n.next = n.next[0], n.next[1:]
	}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.ended++
		n.mu.Unlock()
	}()
	ctx := req.Context()
	if w.connect > 0 {
		if err := pause(ctx, w.connect); err != nil {
			return nil, err
		}
	}
	if w.refuse {
		return nil, errRefused
	}
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{})
	if err := ctx.Err(); err != nil {
		n.mu.Lock()
		n.asked-- // it never was
		n.mu.Unlock()
		return nil, err
	}
	var sent struct{ ID gateway.MessageID }
	if err := json.NewDecoder(req.Body).Decode(&sent); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.written, n.at = append(n.written, sent.ID), append(n.at, time.Now())
	n.mu.Unlock()
	trace := httptrace.ContextClientTrace(ctx)
	trace.WroteHeaders()
	trace.WroteRequest(httptrace.WroteRequestInfo{})
	switch {
	case w.hang:
		<-ctx.Done()
		return nil, ctx.Err()
	case w.unheard:
		return nil, io.EOF
	}
	if err := pause(ctx, w.slow); err != nil {
		return nil, err
	}
	body := io.Reader(strings.NewReader(" wamid." + string(sent.ID) + "\n"))
	if w.cut {
		body = io.MultiReader(body, broken{})
	}
	status := w.status
	if status == 0 {
		status = 200
	}
	if w.header == nil {
		w.header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: w.header, Body: io.NopCloser(body), Request: req}, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

type fakeMedia func(gateway.File) (*gateway.Error, bool)

func (m fakeMedia) Judge(_ context.Context, f gateway.File, _ gateway.MediaRule) (*gateway.Error, bool) {
	return m(f)
}

func (m fakeMedia) Upload(
	_ context.Context, f gateway.File, _ gateway.MediaRule, _ string, _ func(context.Context, string, string, int64, io.Reader) (string, time.Duration, *gateway.Error),
) (string, *gateway.Error, bool) {
	refused, retryable := m(f)
	return "", refused, retryable
}

func (fakeMedia) Forget(gateway.File, string) {}

type fakeLinks struct{}

func (fakeLinks) For(a gateway.AccountID, m gateway.MessageID, attempt int) string {
	return fmt.Sprintf("https://sluice.test/%s/%s/%d", a, m, attempt)
}

// world is a desk and all that it works with.
type world struct {
	*testing.T
	desk     *Desk
	store    *fakeStore
	queue    *fakeQueue
	pacer    *fakePacer
	slots    *fakeSlots
	pairs    *fakePairs
	provider *fakeProvider
	net      *fakeNet
	log      *lockedBuffer

	mu      sync.Mutex
	account *gateway.Account
	dead    bool // the lease is lost
	wakes   int
	last    gateway.MessageID
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var lease = gateway.Lease{Account: shop, Worker: "w1", Epoch: 3}

// inBubble runs f in a world with a clock of its own. At the end the desk must
// close, have given back all that it took, and have logged nobody's data.
func inBubble(t *testing.T, f func(w *world)) {
	t.Helper()
	inBubbleWith(t, func(*Options) {}, f)
}

func inBubbleWith(t *testing.T, change func(*Options), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		f(w)
		w.close()
	})
}

func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	w := &world{
		T:        t,
		store:    &fakeStore{messages: map[gateway.MessageID]*kept{}, counted: map[gateway.Recipient]time.Time{}, owner: lease, mute: map[string]int{}, awayFrom: map[string]int{}},
		queue:    &fakeQueue{room: 1000},
		pacer:    &fakePacer{},
		slots:    &fakeSlots{limit: 1, freed: make(chan struct{})},
		pairs:    &fakePairs{waits: map[gateway.Recipient]time.Duration{}, refused: map[gateway.Recipient]time.Duration{}},
		provider: &fakeProvider{url: "http://provider.test/messages"},
		net:      &fakeNet{},
		log:      &lockedBuffer{},
		account: &gateway.Account{
			ID: shop, Provider: gateway.WhatsAppCloud, Rate: 50, Timeout: 20 * time.Second, MaxAttempts: 3,
			UnknownGrace: time.Minute,
		},
	}
	o := Options{
		Account: func() (*gateway.Account, Provider) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.account, w.provider
		},
		Lease: lease,
		Alive: func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return !w.dead
		},
		Wake: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wakes++
		},
		Store: w.store, Queue: w.queue, Pacer: w.pacer, Slots: w.slots, Pairs: w.pairs, Links: fakeLinks{},
		Client:  &http.Client{Transport: w.net},
		Backoff: func(spent int) time.Duration { return time.Duration(spent) * 2 * time.Second },
		Log:     slog.New(slog.NewJSONHandler(w.log, nil)),
		Metrics: NewMetrics(prometheus.NewRegistry()),
	}
	change(&o)
	w.desk = NewDesk(o)
	w.desk.lookPatience = time.Hour // where it matters a test says so
	synctest.Wait()
	return w
}

func (w *world) close() {
	w.Helper()
	w.desk.Stop()
	w.desk.Drain(w.Context())
	synctest.Wait()
	if n := w.slots.taken(); n != 0 {
		w.Errorf("%d slots were not given back", n)
	}
	if n := w.pairs.inside; n != 0 {
		w.Errorf("%d messages entered their pairs and neither began nor left", n)
	}
	if n := w.busy(); n != 0 {
		w.Errorf("%d recipients are still locked", n)
	}
	if n := w.desk.door.inside; n != 0 {
		w.Errorf("%d attempts are still inside the door", n)
	}
	if c := w.desk.breaker.cb.Counts(); c.Requests != c.TotalSuccesses+c.TotalFailures+c.TotalExclusions {
		w.Errorf("the breaker still waits for calls: %+v", c)
	}
	log := w.log.String()
	for _, data := range []string{recipient.Digits(), secret} {
		if strings.Contains(log, data) {
			w.Errorf("the log shows %q:\n%s", data, log)
		}
	}
}

// pass lets time go by in a bubble, and all that comes of it happen.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock stands still otherwise
	synctest.Wait()
}

// busy is how many recipients are locked.
func (w *world) busy() int {
	w.desk.recipients.mu.Lock()
	defer w.desk.recipients.mu.Unlock()
	return len(w.desk.recipients.busy)
}

// post has a message in the store whose task is in its lane.
func (w *world) post(change ...func(*kept)) gateway.Task {
	w.Helper()
	pass(time.Microsecond) // ids sort by time
	now := time.Now()
	m := &kept{Record: gateway.Record{
		Message: gateway.Message{
			ID: gateway.NewMessageID(shop, now), Account: shop, Recipient: recipient, Priority: gateway.Transactional,
			Content:   gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: secret}},
			OnUnknown: gateway.HoldUnknown, CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour),
		},
		Status: gateway.StatusQueued,
	}}
	for _, c := range change {
		c(m)
	}
	w.store.set(func(s *fakeStore) {
		if p := s.messages[w.last]; p != nil && p.Recipient == m.Recipient && p.Priority == m.Priority {
			m.previous = p.ID
		}
		s.messages[m.ID] = m
		w.last = m.ID
	})
	return m.tasks()[0]
}

// process runs the task, which must be done with, and lets its attempt go as
// far as it can without time.
func (w *world) process(t gateway.Task) {
	w.Helper()
	if err := w.desk.Process(w.Context(), t); err != nil {
		w.Fatalf("Process: %v", err)
	}
	synctest.Wait()
}

// goProcess runs the task meanwhile.
func (w *world) goProcess(t gateway.Task) (result <-chan error, cancel context.CancelFunc) {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() {
		done <- w.desk.Process(ctx, t)
		cancel()
	}()
	synctest.Wait()
	return done, cancel
}

func (w *world) message(t gateway.Task) kept {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return *w.store.messages[t.Message]
}

// expect compares the message's status.
func (w *world) expect(t gateway.Task, want gateway.Status) kept {
	w.Helper()
	m := w.message(t)
	if m.Status != want {
		w.Fatalf("status is %s (error %v), want %s\n%s", m.Status, m.Error, want, w.log)
	}
	return m
}

func (w *world) expectCalls(want int) {
	w.Helper()
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	if w.net.asked != want {
		w.Fatalf("%d calls were made, want %d", w.net.asked, want)
	}
}

// keep calls Keep and gives back the tasks it put into the lanes.
func (w *world) keep() []gateway.Task {
	w.Helper()
	w.queue.mu.Lock()
	n := len(w.queue.tasks)
	w.queue.mu.Unlock()
	if _, _, err := w.desk.Keep(w.Context()); err != nil {
		w.Fatalf("Keep: %v", err)
	}
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	return slices.Clone(w.queue.tasks[n:])
}

func (w *world) wakeCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wakes
}

func (w *world) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
}
