package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
)

const (
	// pokeGap lets pokes that come together be one.
	pokeGap = 10 * time.Millisecond

	// dueEvery is how often the due index is read.
	dueEvery = time.Second

	// closeGrace is what Run allows beyond DrainTimeout for what should take
	// milliseconds.
	closeGrace = 5 * time.Second

	// reportTimeout bounds one writing of the directory.
	reportTimeout = 2 * time.Second

	// breadth is how many accounts are worked at through Redis at one time when
	// many change hands.
	breadth = 32
)

// Options are what a Manager needs. Durations that are zero get their default.
type Options struct {
	// Redis is the client for lanes and scripts. Its retries must outlast a
	// blip: asynq forgets a task's end when its one try fails.
	Redis redis.UniversalClient
	// Liveness is a client of its own with a short deadline and no retries, so
	// that a renewal never waits behind other commands.
	Liveness redis.UniversalClient

	// Accounts lists the accounts of the configuration, Revision says how new it
	// is, and Digest, which may be nil, tells configurations apart: one with the
	// newest's digest isn't older, whatever its revision. They are read again
	// after Refresh.
	Accounts func() []gateway.AccountID
	Revision func() int64
	Digest   func() string

	// Open makes the desk of an account that this worker owns from now on. It
	// must not block. nil: the account has just left the configuration, or is
	// retired and shall be left alone for a while.
	Open func(Grant) Desk
	Due  Due

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: metrics aren't shown
	Host       string                // shown to operators

	TTL          time.Duration // of the liveness key; 5 s
	Renew        time.Duration // between renewals; 1.5 s
	Idle         time.Duration // after which a lane closes; 10 s
	DrainTimeout time.Duration // for calls begun when an account is let go; 30 s
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.TTL, 5*time.Second)
	set(&o.Renew, 1500*time.Millisecond)
	set(&o.Idle, 10*time.Second)
	set(&o.DrainTimeout, 30*time.Second)
}

func (o *Options) validate() error {
	var errs []error
	require := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("queue options: "+problem))
		}
	}
	require(o.Redis != nil, "Redis is missing")
	require(o.Liveness != nil, "Liveness is missing")
	require(o.Accounts != nil, "Accounts is missing")
	require(o.Revision != nil, "Revision is missing")
	require(o.Open != nil, "Open is missing")
	require(o.Due != nil, "Due is missing")
	require(o.Log != nil, "Log is missing")
	require(o.DrainTimeout > 0, "DrainTimeout must be above 0")
	require(o.Renew > 0 && o.TTL >= 2*o.Renew, "TTL must allow for a missed renewal")
	require(o.Idle > silence, "Idle must be longer than one ring stands for others")
	return errors.Join(errs...)
}

// Manager owns a fair share of the accounts, alone among all workers, and has
// their desks send what their lanes hold.
type Manager struct {
	o        Options
	started  time.Time
	registry registry
	retirees retirees
	metrics  *metrics
	look     chan struct{} // workers or the configuration changed
	slots    chan struct{} // breadth of them, for what seats do with Redis

	running sync.WaitGroup  // seats
	hard    context.Context // ends what outlasts every bound

	mu         sync.Mutex
	configured map[gateway.AccountID]bool // as balance saw it last
	seats      map[gateway.AccountID]*seat
	reports    map[gateway.AccountID]ownership // not yet in the directory
	freed      bool                            // one of them is free to be taken
	report     chan struct{}
}

// NewManager checks the options and registers the metrics. It doesn't connect.
func NewManager(o Options) (*Manager, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Manager{
		o: o, started: time.Now(), registry: registry{o.Redis}, metrics: metrics,
		retirees: retirees{seen: make(map[gateway.AccountID]sighting)},
		look:     make(chan struct{}, 1), slots: make(chan struct{}, breadth), report: make(chan struct{}, 1),
		seats: make(map[gateway.AccountID]*seat), reports: make(map[gateway.AccountID]ownership),
	}, nil
}

// Refresh says that the configuration changed: which accounts there are, and
// perhaps what their desks say of their lanes. It doesn't block.
func (m *Manager) Refresh() {
	signal(m.look)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.seats {
		s.stir()
	}
}

// Run owns and serves accounts until ctx ends. Then it lets go of all at once,
// stays alive until the calls begun are recorded, DrainTimeout at most, and
// returns nil. If Redis doesn't let it end, it returns an error ten seconds
// after that. While Redis is away it keeps trying. Call it once.
func (m *Manager) Run(ctx context.Context) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	hard, giveUp := context.WithCancel(base)
	defer giveUp()
	m.hard = hard

	var helpers sync.WaitGroup
	helpers.Go(func() { m.listen(base) })
	helpers.Go(func() { m.reportOwners(base) })
	helpers.Go(func() { m.watchDue(ctx) })
	helpers.Go(func() {
		<-ctx.Done()
		pause(base, m.o.DrainTimeout+closeGrace)
		giveUp()
	})
	defer helpers.Wait()
	defer end()

	for ctx.Err() == nil {
		m.live(ctx)
	}
	// A life that lapsed may have left seats behind that still drain.
	ended := m.ended()
	select {
	case <-ended:
		return nil
	case <-hard.Done():
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("queue: %d accounts didn't close in time", m.owned())
	}
}

// ended is closed once no seat is left.
func (m *Manager) ended() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		m.running.Wait()
		close(done)
	}()
	return done
}

// live is one life: from the first successful renewal until the worker lapses
// or ctx ends and everything is drained.
func (m *Manager) live(ctx context.Context) {
	l := newLife(context.WithoutCancel(ctx), m.presence(), m.o.TTL)
	defer l.end(context.Canceled)
	if !m.begin(ctx, l) {
		return
	}
	m.poke(l.ctx)
	wait := m.keepAlive(l, m.balance)
	for !m.lapsed(l) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			m.leave(l)
			return
		case <-timer.C:
		case <-m.look:
			timer.Stop()
			pause(ctx, pokeGap)
		}
		l.presence = m.presence()
		wait = m.keepAlive(l, m.balance)
	}
}

// presence is what this worker says of itself now.
func (m *Manager) presence() presence {
	p := presence{Host: m.o.Host, Revision: m.o.Revision(), StartedAt: m.started}
	if m.o.Digest != nil {
		p.Digest = m.o.Digest()
	}
	return p
}

// begin registers the worker, as often as it takes.
func (m *Manager) begin(ctx context.Context, l *life) bool {
	for failed := false; ctx.Err() == nil; pause(ctx, m.retryIn()) {
		try, cancel := context.WithTimeout(ctx, m.o.Renew)
		err := l.begin(try, m.o.Liveness)
		cancel()
		if err == nil {
			m.o.Log.InfoContext(ctx, "worker joined", "worker", l.nonce)
			return true
		}
		if !failed && ctx.Err() == nil {
			failed = true
			m.o.Log.WarnContext(ctx, "worker can't join, trying on", "err", err)
		}
	}
	return false
}

func (m *Manager) retryIn() time.Duration { return m.o.Renew / 3 }

// keepAlive renews once, has next act on what the renewal showed, and says when
// to renew again.
func (m *Manager) keepAlive(l *life, next func(*life)) time.Duration {
	try, cancel := context.WithTimeout(l.ctx, min(m.o.Renew, max(l.left(), 0)))
	defer cancel()
	if err := l.renew(try, m.o.Liveness); err != nil {
		if errors.Is(err, errLapsed) {
			l.end(errLapsed)
		} else {
			m.o.Log.WarnContext(l.ctx, "liveness not renewed", "worker", l.nonce, "left", l.left(), "err", err)
		}
		return min(m.retryIn(), max(l.left(), 0))
	}
	seen := time.Now()
	next(l)
	wait := m.o.Renew
	if soonest := l.last.soonest; soonest >= 0 {
		// Those who renew in time are never waited for.
		wait = min(wait, soonest+pokeGap)
	}
	return max(wait-time.Since(seen), 0)
}

// lapsed reports whether the life is over. Its desks stop with it.
func (m *Manager) lapsed(l *life) bool {
	if l.alive() {
		return false
	}
	l.end(errLapsed)
	m.metrics.lapses.Inc()
	m.o.Log.ErrorContext(l.ctx, "worker lapsed, its accounts are no longer its own", "worker", l.nonce, "accounts", m.owned())
	return true
}

// balance does this worker's part of what share says: it takes, lets go, and
// looks after what it has.
func (m *Manager) balance(l *life) {
	ctx, cancel := context.WithTimeout(l.ctx, m.o.Renew)
	defer cancel()
	v := l.last
	accounts := m.o.Accounts()
	owners := make(map[gateway.AccountID]string, len(v.owners))
	for account, o := range v.owners {
		owners[account] = o.worker
	}
	configured := make(map[gateway.AccountID]bool, len(accounts))
	for _, account := range accounts {
		configured[account] = true
	}
	plan := share(v.members(), accounts, owners)
	for account, to := range m.retirees.share(v.members(), owners, time.Now()) {
		if !configured[account] {
			plan[account] = to
		}
	}

	m.mu.Lock()
	m.configured = configured
	seats := maps.Clone(m.seats)
	m.mu.Unlock()
	each := parallel{slots: make(chan struct{}, breadth)}
	for account, s := range seats {
		if s.life != l || s.ctx.Err() != nil {
			continue
		}
		shown := v.owners[account] == s.ownership()
		switch {
		case s.retired == configured[account], shown && plan[account] != l.nonce && s.adopted.Load():
			s.end()
		case s.doubt.Load(), !shown && time.Since(s.since) > 2*m.o.Renew:
			each.do(func() { m.verify(ctx, s) })
		}
	}
	for account, to := range plan {
		s := seats[account]
		if to == l.nonce && (s == nil || s.life != l) {
			each.do(func() { m.take(ctx, l, account, v.owners[account], s, !configured[account]) })
		}
	}
	for account, o := range v.owners {
		if o.worker == l.nonce && plan[account] != l.nonce && seats[account] == nil {
			each.do(func() { m.releaseAgain(ctx, account, o) })
		}
	}
	each.wait()
	m.metrics.owned.Set(float64(m.owned()))
}

// take makes the account this worker's, if it is still as the directory says.
func (m *Manager) take(ctx context.Context, l *life, account gateway.AccountID, seen ownership, before *seat, retired bool) {
	c, err := m.registry.take(ctx, account, seen, l.nonce)
	if err != nil {
		m.o.Log.WarnContext(ctx, "account not taken", "account", account, "err", err)
		return
	}
	if !c.taken {
		m.correct(ctx, account, seen, c.now)
		return
	}
	m.tell(account, c.now, false)
	s := newSeat(m, l, gateway.Lease{Account: account, Worker: l.nonce, Epoch: c.now.epoch}, before, retired)
	if seen.worker == "" {
		s.adopted.Store(true) // it was let go in order
	} else {
		m.metrics.takeovers.Inc()
	}
	s.desk = m.o.Open(Grant{Lease: s.lease, Retired: retired, FirstSendIn: c.wait, Alive: s.alive, Wake: s.wake})
	if s.desk == nil {
		m.retirees.refuse(account, time.Now())
		s.release(ctx, c.wait)
		return
	}
	m.mu.Lock()
	m.seats[account] = s
	m.mu.Unlock()
	m.running.Go(s.run)
}

// correct has the directory say what the owner's key said.
func (m *Manager) correct(ctx context.Context, account gateway.AccountID, seen, now ownership) {
	if now == seen {
		return
	}
	if now.epoch > seen.epoch || now.epoch == seen.epoch && now.worker == "" {
		m.tell(account, now, now.worker == "")
	} else if err := m.registry.record(ctx, repair, true, map[gateway.AccountID]ownership{account: now}); err != nil {
		m.o.Log.WarnContext(ctx, "directory not repaired", "err", err)
	}
}

// verify asks the owner's key whether the account is still the seat's: to take
// it again is to be told.
func (m *Manager) verify(ctx context.Context, s *seat) {
	c, err := m.registry.take(ctx, s.lease.Account, ownership{epoch: s.lease.Epoch - 1}, s.lease.Worker)
	if err != nil {
		return // it is asked again
	}
	s.doubt.Store(false)
	if !c.taken {
		m.o.Log.ErrorContext(ctx, "account is owned by another worker", "account", s.lease.Account, "owner", c.now.worker)
		s.lost.Store(true)
		s.end()
	}
	m.correct(ctx, s.lease.Account, s.life.last.owners[s.lease.Account], c.now)
}

// releaseAgain lets go of an account that the directory says is this worker's,
// for its seat is gone: it couldn't be released then, or the directory is late.
func (m *Manager) releaseAgain(ctx context.Context, account gateway.AccountID, o ownership) {
	lease := gateway.Lease{Account: account, Worker: o.worker, Epoch: o.epoch}
	if released, err := m.registry.release(ctx, lease, 0); err == nil && released {
		m.tell(account, ownership{epoch: o.epoch}, true)
	}
}

// leave lets go of everything and keeps the worker alive until all is drained.
func (m *Manager) leave(l *life) {
	m.mu.Lock()
	for _, s := range m.seats {
		s.end()
	}
	m.mu.Unlock()
	l.presence.Leaving = true
	m.keepAlive(l, func(*life) {})
	m.poke(l.ctx) // nobody leaves it to this worker to take what is free

	ended := m.ended()
	for left := true; left && !m.lapsed(l); {
		timer := time.NewTimer(m.o.Renew)
		select {
		case <-ended:
			left = false
		case <-m.hard.Done():
			left = false
		case <-timer.C:
			m.keepAlive(l, func(*life) {})
		}
		timer.Stop()
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), reportTimeout)
	defer cancel()
	if err := errors.Join(m.flush(ctx), l.quit(ctx, m.o.Liveness)); err != nil {
		m.o.Log.WarnContext(ctx, "worker left without a word", "worker", l.nonce, "err", err)
		return
	}
	m.poke(ctx)
	m.o.Log.InfoContext(ctx, "worker left", "worker", l.nonce)
}

// tell has the directory brought up to date soon.
func (m *Manager) tell(account gateway.AccountID, o ownership, free bool) {
	m.mu.Lock()
	m.reports[account] = o
	m.freed = m.freed || free
	m.mu.Unlock()
	signal(m.report)
}

// reportOwners writes what tell was told, many at one time.
func (m *Manager) reportOwners(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.report:
		}
		pause(ctx, pokeGap/2)
		if err := m.flush(ctx); err != nil && ctx.Err() == nil {
			m.o.Log.WarnContext(ctx, "directory of owners not written, trying on", "err", err)
			pause(ctx, m.retryIn())
			signal(m.report)
		}
	}
}

func (m *Manager) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	m.mu.Lock()
	reports, freed := m.reports, m.freed
	m.reports, m.freed = make(map[gateway.AccountID]ownership), false
	m.mu.Unlock()
	if len(reports) == 0 {
		return nil
	}
	err := m.registry.record(ctx, report, freed, reports)
	if err != nil {
		m.mu.Lock()
		maps.Copy(reports, m.reports) // what was told meanwhile is newer
		m.reports, m.freed = reports, m.freed || freed
		m.mu.Unlock()
	}
	return err
}

// poke has the other workers look at who is there.
func (m *Manager) poke(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, m.o.Renew)
	defer cancel()
	if err := m.o.Liveness.Publish(ctx, pokeChannel, "").Err(); err != nil {
		m.o.Log.WarnContext(ctx, "other workers not poked", "err", err)
	}
}

// listen hears rings and pokes until ctx ends. go-redis connects and subscribes
// anew by itself; what is rung meanwhile is found through the due index.
func (m *Manager) listen(ctx context.Context) {
	sub := m.o.Redis.Subscribe(ctx, doorbellChannel, pokeChannel)
	defer func() { _ = sub.Close() }()
	events := sub.ChannelWithSubscriptions(redis.WithChannelSize(1000))
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			m.hear(event)
		}
	}
}

// hear takes one event of the subscription. That it stands, for the first time
// or again, says that nothing was heard before.
func (m *Manager) hear(event any) {
	msg, ok := event.(*redis.Message)
	if !ok {
		signal(m.look)
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, s := range m.seats {
			s.deaf()
		}
		return
	}
	if msg.Channel == pokeChannel {
		signal(m.look)
	} else if account, p, ok := parseRing(msg.Payload); ok {
		if s := m.seat(account); s != nil {
			s.ring(p)
		}
	}
}

// watchDue reads the due index until ctx ends.
func (m *Manager) watchDue(ctx context.Context) {
	ticker := time.NewTicker(dueEvery)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due, err := m.o.Due.DueAccounts(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			m.o.Log.WarnContext(ctx, "due index not read, trying on", "err", err)
		}
		failed = err != nil
		m.heed(due)
	}
}

// heed passes on what the due index shows.
func (m *Manager) heed(due map[gateway.AccountID]int64) {
	m.mu.Lock()
	configured := m.configured
	m.mu.Unlock()
	var retired []gateway.AccountID
	for account, at := range due {
		if s := m.seat(account); s != nil {
			s.due(at)
		}
		if configured != nil && !configured[account] {
			retired = append(retired, account)
		}
	}
	if m.retirees.show(retired, time.Now()) {
		signal(m.look)
	}
}

func (m *Manager) seat(account gateway.AccountID) *seat {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seats[account]
}

func (m *Manager) owned() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seats)
}

// forget takes a seat out that serves no more.
func (m *Manager) forget(s *seat) {
	m.mu.Lock()
	if m.seats[s.lease.Account] == s {
		delete(m.seats, s.lease.Account)
	}
	n := len(m.seats)
	m.mu.Unlock()
	m.metrics.owned.Set(float64(n))
}

// parallel runs things side by side, as many as there are slots.
type parallel struct {
	slots chan struct{}
	group sync.WaitGroup
}

func (p *parallel) do(f func()) {
	p.slots <- struct{}{}
	p.group.Go(func() {
		defer func() { <-p.slots }()
		f()
	})
}

func (p *parallel) wait() { p.group.Wait() }

// signal leaves word on a channel that holds one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
