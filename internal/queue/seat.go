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

	// lookEvery is how often the lanes are looked into at least: with each of the
	// backstop's calls.
	lookEvery = keepEvery * 3 / 4

	// settleWithin is how soon after the claim of a due account it has to be
	// settled: Claim doesn't see everybody who asks later than that.
	settleWithin = time.Second

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
	// retired: the account isn't configured, so its lanes never open.
	retired bool
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

	event  chan struct{} // there is something new below
	mu     sync.Mutex
	rung   map[gateway.Priority]bool
	woken  bool
	missed bool  // rings, perhaps
	dueAt  int64 // as the due index showed it; 0: not due
	kept   *kept // Keep has returned
}

// laneSlot is the place of a lane, open or not.
type laneSlot struct {
	lane     *lane     // open or closing
	wanted   bool      // there may be something in its queues
	notUntil time.Time // it stays closed after a failure
	returnAt time.Time // a task that stepped aside comes back
	returned bool      // it is opened for such a task
	strays   []stray   // the oldest first

	mu       sync.Mutex
	failures map[string]int // in a row, by task
	reopenAt time.Time      // it has to give tasks back first; zero: it hasn't
}

// chore is one call of Keep and what goes with it.
type chore struct {
	dueAt int64                         // as the due index showed it; 0: not due
	look  bool                          // into the lanes
	lost  map[gateway.Priority][]string // strays, to be adopted
}

// kept is what came of it.
type kept struct {
	next    time.Time
	lanes   []gateway.Priority
	found   map[gateway.Priority]content // nil: nobody looked
	adopted map[gateway.Priority][]string
	err     error
}

// content is what asynq has of a lane.
type content struct {
	pending  int64
	active   []string  // ids of tasks, the oldest first
	returnAt time.Time // the first task that stepped aside comes back
}

func newSeat(m *Manager, l *life, lease gateway.Lease, before *seat, retired bool) *seat {
	s := &seat{
		m: m, log: m.o.Log.With("account", lease.Account), lease: lease, life: l, since: time.Now(), before: before, retired: retired,
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

// deaf says that rings may have been missed.
func (s *seat) deaf() { s.note(func() { s.missed = true }) }

// stir has the seat look at its desk's lanes again.
func (s *seat) stir() { signal(s.event) }

func (s *seat) note(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	s.stir()
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
	found, err := s.look(gateway.Priorities()...)
	if err != nil {
		return err
	}
	s.noticeAll(found)
	if !s.adopted.Load() {
		orphans := make(map[gateway.Priority][]string)
		for p, c := range found {
			orphans[p] = c.active
		}
		if err := s.adopt(orphans); err != nil {
			return err
		}
		s.settled(orphans)
		s.adopted.Store(true)
		if found, err = s.look(gateway.Priorities()...); err != nil {
			return err
		}
	}
	for p, slot := range s.lanes {
		slot.wanted, slot.returnAt = found[p].pending > 0, found[p].returnAt
	}
	return nil
}

// adopt has the desk see to the messages of tasks that nobody has.
func (s *seat) adopt(tasks map[gateway.Priority][]string) error {
	var messages []gateway.MessageID
	for _, p := range gateway.Priorities() {
		for _, id := range tasks[p] {
			t, err := parseTaskID(id, p)
			if err != nil {
				s.log.WarnContext(s.ctx, "a task in the queue is none of ours", "err", err)
			} else if !slices.Contains(messages, t.Message) {
				messages = append(messages, t.Message)
			}
		}
	}
	if len(messages) == 0 {
		return nil
	}
	if err := s.desk.Adopt(s.ctx, messages); err != nil {
		return fmt.Errorf("adopt %d tasks: %w", len(messages), err)
	}
	return nil
}

// look reads what asynq has of the lanes, in one round trip.
func (s *seat) look(priorities ...gateway.Priority) (map[gateway.Priority]content, error) {
	type read struct {
		p       gateway.Priority
		pending *redis.IntCmd
		active  *redis.StringSliceCmd
		aside   *redis.ZSliceCmd
	}
	var reads []read
	pipe := s.m.o.Redis.Pipeline()
	for _, p := range priorities {
		for _, queue := range queuesOf(s.lease.Account, p) {
			reads = append(reads, read{
				p, pipe.LLen(s.ctx, pendingKey(queue)), pipe.LRange(s.ctx, activeKey(queue), 0, -1),
				pipe.ZRangeWithScores(s.ctx, retryKey(queue), 0, 0),
			})
		}
	}
	if _, err := pipe.Exec(s.ctx); err != nil {
		return nil, fmt.Errorf("read lanes of %s: %w", s.lease.Account, err)
	}
	found := make(map[gateway.Priority]content)
	for _, r := range reads {
		c := found[r.p]
		c.pending += r.pending.Val()
		for _, id := range slices.Backward(r.active.Val()) {
			c.active = append(c.active, id)
		}
		for _, z := range r.aside.Val() {
			c.returnAt = earlier(c.returnAt, time.Unix(int64(z.Score), 0))
		}
		found[r.p] = c
	}
	return found, nil
}

// noticeAll has each lane that was looked into keep an eye on its strays.
func (s *seat) noticeAll(found map[gateway.Priority]content) {
	for p, c := range found {
		s.lanes[p].notice(c.active, time.Now().Add(s.m.o.TTL))
	}
}

// lostTasks lists the strays that are to be adopted by now. They are listed again
// after a while, unless they are settled or gone.
func (s *seat) lostTasks(now time.Time) map[gateway.Priority][]string {
	lost := make(map[gateway.Priority][]string)
	for p, slot := range s.lanes {
		for i, stray := range slot.strays {
			if stray.adopted || stray.lostAt.After(now) {
				continue
			}
			slot.strays[i].lostAt = now.Add(s.m.o.TTL)
			lost[p] = append(lost[p], stray.id)
		}
	}
	return lost
}

// settled says that the desk saw to the messages of these tasks.
func (s *seat) settled(tasks map[gateway.Priority][]string) {
	for p, ids := range tasks {
		for i, stray := range s.lanes[p].strays {
			if slices.Contains(ids, stray.id) {
				s.lanes[p].strays[i].adopted = true
			}
		}
	}
}

// serve tends to the lanes and calls Keep until the seat ends.
func (s *seat) serve() {
	house := housekeeping{nextAt: time.Now(), lookedAt: time.Now()}
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
	running  bool
	lastAt   time.Time
	nextAt   time.Time
	lookedAt time.Time // into the lanes
}

// keep starts Keep if it is time, and says when it will be.
func (s *seat) keep(h *housekeeping, now time.Time) time.Time {
	s.mu.Lock()
	k, urgent := s.kept, s.woken || s.missed || s.dueAt != 0
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
		if k.found != nil {
			h.lookedAt = now
			s.noticeAll(k.found)
		}
		s.settled(k.adopted)
	}
	if h.running {
		return now.Add(keepEvery)
	}
	if urgent && (k == nil || k.err == nil) {
		h.nextAt = earlier(h.nextAt, now)
	}
	for _, slot := range s.lanes {
		h.nextAt = earlier(h.nextAt, lostAt(slot.strays))
	}
	if gap := h.lastAt.Add(keepGap); h.nextAt.Before(gap) {
		h.nextAt = gap
	}
	if h.nextAt.After(now) {
		return h.nextAt
	}
	h.running, h.lastAt = true, now
	s.mu.Lock()
	c := chore{dueAt: s.dueAt, look: s.missed}
	s.dueAt, s.woken, s.missed = 0, false, false
	s.mu.Unlock()
	c.lost = s.lostTasks(now)
	c.look = c.look || c.dueAt != 0 || len(c.lost) > 0 || now.Sub(h.lookedAt) >= lookEvery
	s.busy.Go(func() {
		k := s.callKeep(c)
		s.note(func() { s.kept = &k })
	})
	return now.Add(keepEvery)
}

// callKeep has the desk keep house. If the due index showed the account, a ring
// may have been lost, so the lanes are looked at too: what is in them is no
// concern of the desk's any more. Who reminds the index from here on is seen
// when it is settled.
func (s *seat) callKeep(c chore) (k kept) {
	k.err = s.exclusively(func() error {
		claimed, settleBy := int64(0), time.Now().Add(settleWithin)
		if c.dueAt != 0 {
			claimed = s.claim(c.dueAt)
		}
		var err error
		if c.look {
			err = s.lookAfter(c.lost, &k)
		}
		next, lanes, keepErr := s.desk.Keep(s.ctx)
		k.next, k.lanes = next, append(k.lanes, lanes...)
		if err = errors.Join(err, keepErr); err == nil && claimed > c.dueAt {
			s.settle(claimed, next, settleBy)
		}
		return err
	})
	if k.err != nil {
		k.next = time.Time{}
		s.failedWith("keep house", k.err)
	}
	return k
}

// lookAfter looks into the lanes, and has the desk adopt what is still lost.
func (s *seat) lookAfter(lost map[gateway.Priority][]string, k *kept) error {
	found, err := s.look(gateway.Priorities()...)
	if err != nil {
		return err
	}
	k.found = found
	adopt := make(map[gateway.Priority][]string)
	for p, c := range found {
		for _, id := range lost[p] {
			if slices.Contains(c.active, id) {
				adopt[p] = append(adopt[p], id)
			}
		}
		if c.pending > 0 || len(adopt[p]) > 0 {
			k.lanes = append(k.lanes, p)
		}
	}
	if len(adopt) == 0 {
		return nil
	}
	s.log.WarnContext(s.ctx, "tasks were lost on their way to the desk, adopting their messages", "tasks", adopt)
	if err := s.adopt(adopt); err != nil {
		return err
	}
	k.adopted = adopt
	return nil
}

// claim returns 0 if the account couldn't be claimed: the index shows it again.
func (s *seat) claim(dueAt int64) (claimed int64) {
	claimed, err := s.m.o.Due.Claim(s.ctx, s.lease.Account, dueAt)
	if err != nil {
		s.failedWith("claim", err)
		return 0
	}
	return claimed
}

// settle leaves it to the index to show the account again if it is late.
func (s *seat) settle(claimed int64, next, by time.Time) {
	ctx, cancel := context.WithDeadline(s.ctx, by)
	defer cancel()
	if ctx.Err() != nil {
		return
	}
	if err := s.m.o.Due.Settle(ctx, s.lease.Account, claimed, next); err != nil && time.Now().Before(by) {
		s.failedWith("settle", err)
	}
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
		slot.lane.client.ring()
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
		slot.wanted, slot.returned, slot.returnAt = true, true, time.Time{}
	}
	if !slot.wanted || s.retired {
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
		priority: p, desk: s.desk, log: s.log, forward: forwardRarely,
		failed:  func(id string, err error) bool { return s.taskFailed(p, slot, id, err) },
		handled: slot.succeeded,
	}
	if !slot.returnAt.IsZero() || slot.returned {
		l.forward, slot.returned = forwardEvery, false
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
	found, err := s.look(p)
	s.noticeAll(found)
	c := found[p]
	if err != nil || c.pending > 0 || !c.returnAt.IsZero() && c.returnAt.Before(now.Add(max(linger, slot.lane.forward))) {
		slot.lane.touch()
		return slot.lane.idleAt(s.m.o.Idle)
	}
	slot.wanted, slot.returnAt = false, c.returnAt
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

// notice compares the active tasks with those that are with the desk.
func (slot *laneSlot) notice(active []string, lostAt time.Time) {
	slot.strays = strayed(slot.strays, active, func(id string) bool { return slot.lane != nil && slot.lane.line.has(id) }, lostAt)
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
