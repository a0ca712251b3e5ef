package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
)

const (
	// keepEvery is the backstop: Keep is called this often, more or less,
	// whatever it and the due index say.
	keepEvery = time.Minute

	// keepGap lets reasons to call Keep that come together be one.
	keepGap = 50 * time.Millisecond

	// retryGap is the wait after an error of Redis or of the desk.
	retryGap = time.Second

	// failureGap is how long a lane closes after a task that failed, and
	// failureLimit how often in a row it may before it steps aside.
	failureGap   = 250 * time.Millisecond
	failureLimit = 3

	// releaseTimeout bounds the letting go of one account.
	releaseTimeout = 5 * time.Second
)

// seat is one account that this worker owns: it opens and closes the lanes and
// has the desk keep house, in one goroutine.
type seat struct {
	m     *Manager
	log   *slog.Logger
	lease gateway.Lease
	life  *life
	since time.Time
	// before is the seat of the account in an earlier life of this process.
	before *seat
	desk   Desk

	ctx   context.Context // ends when the seat is given up, for whatever reason
	end   context.CancelFunc
	quiet chan struct{} // closed when no lane is open any more

	adopted atomic.Bool // no task is out with a dead worker
	doubt   atomic.Bool // the owner's key may say otherwise
	lost    atomic.Bool // it does

	lanes map[gateway.Priority]*laneSlot // of run's goroutine
	busy  sync.WaitGroup                 // lanes that close, Keep

	event chan struct{} // there is something new below
	mu    sync.Mutex
	rung  map[gateway.Priority]bool
	woken bool
	dueAt int64 // as the due index showed it; 0: not due
	kept  *kept // Keep has returned
}

// laneSlot is the place of a lane, open or not.
type laneSlot struct {
	lane     *lane     // open or closing
	wanted   bool      // there may be something in its queues
	notUntil time.Time // it stays closed after a failure
	returnAt time.Time // a task that stepped aside comes back

	mu       sync.Mutex
	failures map[string]int // in a row, by task
	reopenAt time.Time      // it has to give tasks back first; zero: it hasn't
}

// kept is what Keep said.
type kept struct {
	next  time.Time
	lanes []gateway.Priority
	err   error
}

func newSeat(m *Manager, l *life, lease gateway.Lease, before *seat) *seat {
	s := &seat{
		m: m, log: m.o.Log.With("account", lease.Account), lease: lease, life: l, since: time.Now(), before: before,
		quiet: make(chan struct{}), event: make(chan struct{}, 1),
		lanes: make(map[gateway.Priority]*laneSlot), rung: make(map[gateway.Priority]bool),
	}
	for _, p := range gateway.Priorities() {
		s.lanes[p] = &laneSlot{failures: make(map[string]int)}
	}
	s.ctx, s.end = context.WithCancel(l.ctx)
	return s
}

func (s *seat) ownership() ownership { return ownership{s.lease.Worker, s.lease.Epoch} }

// alive is the Grant's.
func (s *seat) alive() bool { return s.life.alive() && !s.lost.Load() }

// wake is the Grant's.
func (s *seat) wake() { s.note(func() { s.woken = true }) }

// ring says that something was enqueued.
func (s *seat) ring(p gateway.Priority) { s.note(func() { s.rung[p] = true }) }

// due says that the due index shows the account, at that time.
func (s *seat) due(at int64) { s.note(func() { s.dueAt = at }) }

func (s *seat) note(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	signal(s.event)
}

// run serves the account until the seat ends, lets go of it, and returns once
// the desk is drained.
func (s *seat) run() {
	stopped := make(chan struct{})
	context.AfterFunc(s.ctx, func() {
		defer close(stopped)
		s.desk.Stop()
	})
	if s.inherit() {
		s.serve()
	}
	<-stopped
	s.closeLanes()
	s.before = nil
	close(s.quiet)
	// What lapsed, is lost, or may have tasks with a dead worker isn't ours to
	// let go of: the next owner takes it as from the dead.
	if s.alive() && s.adopted.Load() {
		ctx, cancel := context.WithTimeout(s.m.hard, releaseTimeout)
		if s.release(ctx, s.desk.NextSendIn()) {
			s.m.tell(s.lease.Account, ownership{epoch: s.lease.Epoch}, true)
		}
		cancel()
	}
	s.m.forget(s)
	ctx, cancel := context.WithTimeout(s.m.hard, s.m.o.DrainTimeout)
	defer cancel()
	s.desk.Drain(ctx)
}

func (s *seat) release(ctx context.Context, nextSendIn time.Duration) bool {
	released, err := s.m.registry.release(ctx, s.lease, nextSendIn)
	if err != nil {
		s.log.WarnContext(ctx, "account not released", "err", err)
	}
	return released
}

// inherit finds what is in the lanes, and has the desk adopt what a dead worker
// had taken out of them. It reports false if the seat ends first.
func (s *seat) inherit() bool {
	if s.before != nil {
		// What it still puts back shouldn't be adopted. A Redis that doesn't let
		// it end can't keep us for ever.
		await := time.NewTimer(s.m.o.TTL)
		defer await.Stop()
		select {
		case <-s.before.quiet:
		case <-await.C:
		case <-s.ctx.Done():
		}
	}
	for s.ctx.Err() == nil {
		err := s.exclusively(s.tryInherit)
		if err == nil {
			return true
		}
		s.failedWith("take over", err)
		pause(s.ctx, s.m.retryIn())
	}
	return false
}

func (s *seat) tryInherit() error {
	if !s.adopted.Load() {
		tasks, err := s.orphans()
		if err != nil {
			return err
		}
		if len(tasks) > 0 {
			if err := s.desk.Adopt(s.ctx, tasks); err != nil {
				return fmt.Errorf("adopt %d tasks: %w", len(tasks), err)
			}
		}
		s.adopted.Store(true)
	}
	pending, returnAt, err := s.pending(gateway.Priorities()...)
	if err != nil {
		return err
	}
	for p, slot := range s.lanes {
		slot.wanted, slot.returnAt = pending[p] > 0, returnAt[p]
	}
	return nil
}

// orphans lists the messages that asynq counts as active, the oldest first.
func (s *seat) orphans() ([]gateway.MessageID, error) {
	var messages []gateway.MessageID
	for _, p := range gateway.Priorities() {
		for _, queue := range queuesOf(s.lease.Account, p) {
			ids, err := s.m.o.Redis.LRange(s.ctx, activeKey(queue), 0, -1).Result()
			if err != nil {
				return nil, fmt.Errorf("read active tasks of %s: %w", queue, err)
			}
			for _, id := range slices.Backward(ids) {
				t, err := parseTaskID(id, p)
				if err != nil {
					s.log.WarnContext(s.ctx, "a task in the queue is none of ours", "err", err)
				} else if !slices.Contains(messages, t.Message) {
					messages = append(messages, t.Message)
				}
			}
		}
	}
	return messages, nil
}

// pending counts what waits in the lanes, and says when the first task that
// stepped aside comes back to each.
func (s *seat) pending(priorities ...gateway.Priority) (map[gateway.Priority]int64, map[gateway.Priority]time.Time, error) {
	type read struct {
		p     gateway.Priority
		n     *redis.IntCmd
		aside *redis.ZSliceCmd
	}
	var reads []read
	pipe := s.m.o.Redis.Pipeline()
	for _, p := range priorities {
		for _, queue := range queuesOf(s.lease.Account, p) {
			reads = append(reads, read{p, pipe.LLen(s.ctx, pendingKey(queue)), pipe.ZRangeWithScores(s.ctx, retryKey(queue), 0, 0)})
		}
	}
	if _, err := pipe.Exec(s.ctx); err != nil {
		return nil, nil, fmt.Errorf("read lanes of %s: %w", s.lease.Account, err)
	}
	pending, returnAt := make(map[gateway.Priority]int64), make(map[gateway.Priority]time.Time)
	for _, r := range reads {
		pending[r.p] += r.n.Val()
		for _, z := range r.aside.Val() {
			returnAt[r.p] = earlier(returnAt[r.p], time.Unix(int64(z.Score), 0))
		}
	}
	return pending, returnAt, nil
}

// serve tends to the lanes and calls Keep until the seat ends.
func (s *seat) serve() {
	house := housekeeping{nextAt: time.Now()}
	for s.ctx.Err() == nil {
		now := time.Now()
		at := earlier(s.keep(&house, now), s.tend(now))
		timer := time.NewTimer(time.Until(at)) // there is always the backstop
		select {
		case <-s.ctx.Done():
		case <-s.event:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// housekeeping is when Keep was called and is called next.
type housekeeping struct {
	running bool
	lastAt  time.Time
	nextAt  time.Time
}

// keep starts Keep if it is time, and says when it will be.
func (s *seat) keep(h *housekeeping, now time.Time) time.Time {
	s.mu.Lock()
	k, urgent := s.kept, s.woken || s.dueAt != 0
	s.kept = nil
	s.mu.Unlock()
	if k != nil {
		h.running = false
		h.nextAt = now.Add(keepEvery*3/4 + rand.N(keepEvery/2)) // spread over accounts
		if k.err != nil {
			h.nextAt = now.Add(retryGap)
		}
		h.nextAt = earlier(h.nextAt, k.next)
		for _, p := range k.lanes {
			s.want(p)
		}
	}
	if h.running {
		return now.Add(keepEvery)
	}
	if urgent && (k == nil || k.err == nil) {
		h.nextAt = earlier(h.nextAt, now)
	}
	if gap := h.lastAt.Add(keepGap); h.nextAt.Before(gap) {
		h.nextAt = gap
	}
	if h.nextAt.After(now) {
		return h.nextAt
	}
	h.running, h.lastAt = true, now
	s.mu.Lock()
	dueAt := s.dueAt
	s.dueAt, s.woken = 0, false
	s.mu.Unlock()
	s.busy.Go(func() {
		k := s.callKeep(dueAt)
		s.note(func() { s.kept = &k })
	})
	return now.Add(keepEvery)
}

// callKeep has the desk keep house. If the due index showed the account, a ring
// may have been lost, so the lanes are looked at too: what is in them is no
// concern of the desk's any more.
func (s *seat) callKeep(dueAt int64) (k kept) {
	k.err = s.exclusively(func() (err error) {
		k.next, k.lanes, err = s.desk.Keep(s.ctx)
		if err != nil || dueAt == 0 {
			return err
		}
		pending, _, err := s.pending(gateway.Priorities()...)
		if err != nil {
			return err
		}
		for p, n := range pending {
			if n > 0 {
				k.lanes = append(k.lanes, p)
			}
		}
		if err := s.m.o.Due.Settle(s.ctx, s.lease.Account, dueAt, k.next); err != nil {
			s.failedWith("settle", err) // the index shows it again
		}
		return nil
	})
	if k.err != nil {
		k.next = time.Time{}
		s.failedWith("keep house", k.err)
	}
	return k
}

// tend opens and closes lanes as they need it, and says when to look again; the
// zero time: not before something happens.
func (s *seat) tend(now time.Time) (again time.Time) {
	s.mu.Lock()
	rung := s.rung
	s.rung = make(map[gateway.Priority]bool)
	s.mu.Unlock()
	for _, p := range gateway.Priorities() {
		if rung[p] {
			s.want(p)
		}
		again = earlier(again, s.tendLane(p, s.lanes[p], now))
	}
	return again
}

// want has the lane opened, or stay open for a while.
func (s *seat) want(p gateway.Priority) {
	slot := s.lanes[p]
	if slot == nil {
		return
	}
	slot.wanted = true
	if slot.lane != nil {
		slot.lane.touch()
	}
}

func (s *seat) tendLane(p gateway.Priority, slot *laneSlot, now time.Time) (again time.Time) {
	shut := s.desk.ShutUntil(p)
	if l := slot.lane; l != nil {
		switch {
		case l.closing.Load():
			select {
			case <-l.closed:
				slot.lane = nil
				slot.wanted = slot.wanted || l.line.returned.Load()
			default:
				return time.Time{} // its end is an event
			}
		case shut.After(now), slot.takeFailed():
			s.closeLane(slot)
			return time.Time{}
		default:
			idleAt := l.idleAt(s.m.o.Idle)
			if idleAt.After(now) {
				return idleAt
			}
			return s.closeIdle(p, slot, now)
		}
	}
	if !slot.returnAt.IsZero() && !slot.returnAt.After(now) {
		slot.wanted, slot.returnAt = true, time.Time{}
	}
	if !slot.wanted {
		return slot.returnAt
	}
	opensAt := later(shut, slot.notUntil)
	if opensAt.After(now) {
		return opensAt
	}
	if err := s.openLane(p, slot); err != nil {
		s.failedWith("open lane", err)
		slot.notUntil = now.Add(retryGap)
		return slot.notUntil
	}
	return slot.lane.idleAt(s.m.o.Idle)
}

func (s *seat) openLane(p gateway.Priority, slot *laneSlot) error {
	slot.takeFailed() // of the lane before
	l := &lane{
		priority: p, desk: s.desk, log: s.log,
		failed:  func(id string, err error) bool { return s.taskFailed(p, slot, id, err) },
		handled: slot.succeeded,
	}
	if err := l.open(s.m.hard, s.lease.Account, &s.m.o); err != nil {
		return err
	}
	slot.lane = l
	s.m.metrics.lanes.Inc()
	return nil
}

// closeIdle closes the lane if its queues are empty: what came while it was
// quiet isn't left to luck.
func (s *seat) closeIdle(p gateway.Priority, slot *laneSlot, now time.Time) (again time.Time) {
	pending, returnAt, err := s.pending(p)
	back := returnAt[p]
	if err != nil || pending[p] > 0 || !back.IsZero() && back.Before(now.Add(linger)) {
		slot.lane.touch()
		return slot.lane.idleAt(s.m.o.Idle)
	}
	slot.wanted, slot.returnAt = false, back
	s.closeLane(slot)
	return time.Time{}
}

func (s *seat) closeLane(slot *laneSlot) {
	l := slot.lane
	l.closing.Store(true)
	s.busy.Go(func() {
		l.close()
		s.m.metrics.lanes.Dec()
		signal(s.event)
	})
}

// closeLanes returns when no lane is open and Keep has returned.
func (s *seat) closeLanes() {
	for _, slot := range s.lanes {
		if slot.lane != nil && !slot.lane.closing.Load() {
			s.closeLane(slot)
		}
	}
	s.busy.Wait()
}

// taskFailed says whether the task steps aside. If not, the lane is closed, so
// that the task gets back to its head.
func (s *seat) taskFailed(p gateway.Priority, slot *laneSlot, id string, err error) bool {
	blameless := s.ctx.Err() != nil || s.desk.ShutUntil(p).After(time.Now())
	if !blameless {
		s.m.metrics.failures.Inc()
		s.log.WarnContext(s.ctx, "task not handled", "task", id, "err", err)
	}
	aside := slot.fail(id, blameless)
	if !aside {
		signal(s.event)
	}
	return aside
}

func (slot *laneSlot) fail(id string, blameless bool) (aside bool) {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	reopenAt := time.Now()
	if !blameless {
		slot.failures[id]++
		if slot.failures[id] >= failureLimit {
			delete(slot.failures, id)
			return true
		}
		reopenAt = reopenAt.Add(failureGap)
	}
	slot.reopenAt = later(slot.reopenAt, reopenAt)
	return false
}

func (slot *laneSlot) succeeded(id string) {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	delete(slot.failures, id)
}

// takeFailed reports whether the lane has to give tasks back, once.
func (slot *laneSlot) takeFailed() bool {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.reopenAt.IsZero() {
		return false
	}
	slot.notUntil, slot.reopenAt = later(slot.notUntil, slot.reopenAt), time.Time{}
	return true
}

// exclusively runs f in one of the slots that bound what all seats do at once.
func (s *seat) exclusively(f func() error) error {
	select {
	case s.m.slots <- struct{}{}:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	defer func() { <-s.m.slots }()
	return f()
}

// failedWith logs an error, unless it is only that the seat ends.
func (s *seat) failedWith(act string, err error) {
	if _, fenced := errors.AsType[gateway.Fenced](err); fenced {
		s.doubt.Store(true)
		signal(s.m.look)
	}
	if s.ctx.Err() == nil {
		s.log.WarnContext(s.ctx, "queue: "+act, "err", err)
	}
}

// earlier is the first of the two times that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
