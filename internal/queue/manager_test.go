package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

const shop = gateway.AccountID("shop")

var oneShop = []gateway.AccountID{shop}

func TestTasksOfALaneArriveInOrder(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		want := s.enqueue(shop, gateway.Bulk, 100) // found after the take
		start(t, url, w, oneShop, nil)
		want = append(want, s.send(shop, gateway.Bulk, 100)...)
		eventually(t, patience, "all are sent", func() bool { return w.sentCount() == len(want) })
		if diff := cmp.Diff(want, w.arrived); diff != "" {
			t.Errorf("order of arrival (-want +got):\n%s", diff)
		}
	})
}

func TestDrainReturnsTasksNotBegunToTheHeadInOrder(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		letGo := w.holdBack()
		first := start(t, url, w, oneShop, nil)
		want := s.send(shop, gateway.Transactional, 40)
		eventually(t, patience, "the desk is full", func() bool {
			n := 0
			w.do(func() { n = len(w.arrived) })
			return n == laneConcurrency
		})
		first.stop()
		if diff := cmp.Diff(want, pendingIDs(t, s.rdb, "shop:transactional")); diff != "" {
			t.Fatalf("the queue after the drain (-want +got):\n%s", diff)
		}
		w.do(func() {
			w.arrived = nil
			if !w.desks[0].drained {
				t.Error("the desk was not drained")
			}
		})
		letGo()
		start(t, url, w, oneShop, nil)
		eventually(t, patience, "all are sent", func() bool { return w.sentCount() == len(want) })
		if diff := cmp.Diff(want, w.arrived); diff != "" {
			t.Errorf("order at the next owner (-want +got):\n%s", diff)
		}
	})
}

// counts is how many accounts each worker has, the fewest first.
func counts(w *world) []int {
	var n []int
	for _, accounts := range w.owned() {
		n = append(n, len(accounts))
	}
	slices.Sort(n)
	return n
}

func TestWorkersShareAccountsAndMoveFew(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, accounts := newWorld(), accountIDs(10)
		opens := func() (n int) {
			w.do(func() { n = len(w.desks) })
			return n
		}
		shared := func(want ...int) {
			t.Helper()
			eventually(t, patience, fmt.Sprintf("accounts are shared %v", want), func() bool { return slices.Equal(counts(w), want) })
		}
		start(t, url, w, accounts, nil)
		shared(10)
		start(t, url, w, accounts, nil)
		shared(5, 5)
		before := opens()
		third := start(t, url, w, accounts, nil)
		shared(3, 3, 4)
		// What is least is share's to say and proven there. A worker that looked
		// before another's move was told may move one once more.
		if moved := opens() - before; moved > 5 {
			t.Errorf("a third worker moved %d accounts, want about 3", moved)
		}
		before = opens()
		third.stop()
		shared(5, 5)
		if moved := opens() - before; moved > 6 {
			t.Errorf("a worker that left moved %d accounts, want about its own 4", moved)
		}
	})
}

// An embedded Redis has keys expire up to a tick early, so this is for the real
// one alone.
func TestAKilledWorkersAccountsAreTakenOnceItIsFenced(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, accounts := newWorld(), accountIDs(6)
	first := start(t, url, w, accounts, nil)
	eventually(t, patience, "the first has all", func() bool { return slices.Equal(counts(w), []int{6}) })
	start(t, url, w, accounts, nil)
	eventually(t, patience, "both have three", func() bool { return slices.Equal(counts(w), []int{3, 3}) })
	w.do(func() {
		w.opened = func(g Grant) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, d := range w.desks {
				if d.g.Lease.Account == g.Lease.Account && d.g.Alive() && !d.isStopped() {
					t.Errorf("%s opened at epoch %d while epoch %d is alive", g.Lease.Account, g.Lease.Epoch, d.g.Lease.Epoch)
				}
			}
		}
	})
	first.kill()
	eventually(t, testTTL+2*time.Second, "the second has all", func() bool { return slices.Equal(counts(w), []int{6}) })
}

func TestTheReleasesNextSendTimeReachesTheNextOwner(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w := newWorld()
		w.next = 30 * time.Second
		first := start(t, url, w, oneShop, nil)
		eventually(t, patience, "the account is owned", func() bool { return len(w.owned()) == 1 })
		start(t, url, w, oneShop, nil)
		begun := time.Now()
		first.stop()
		eventually(t, patience, "the next owner has it", func() bool { return len(w.owned()) == 1 })
		if took := time.Since(begun); took > testTTL-testRenew {
			t.Errorf("the next owner had the account after %v, want it to be told at once", took)
		}
		w.do(func() {
			got := w.desks[len(w.desks)-1].g.FirstSendIn
			if got > 30*time.Second || got < 30*time.Second-patience {
				t.Errorf("FirstSendIn = %v, want what is left of 30 s", got)
			}
		})
	})
}

func TestATakeoverAdoptsBeforeAnythingIsProcessed(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		ids := s.enqueue(shop, gateway.Transactional, 5)
		for range 3 { // what a dead worker leaves
			if err := s.rdb.LMove(t.Context(), pendingKey("shop:transactional"), activeKey("shop:transactional"), "RIGHT", "LEFT").Err(); err != nil {
				t.Fatal(err)
			}
		}
		dead := registry{s.rdb}
		c, err := dead.take(t.Context(), shop, ownership{}, "dead")
		if err != nil || !c.taken {
			t.Fatalf("take = %+v, %v", c, err)
		}
		if err := dead.record(t.Context(), report, false, map[gateway.AccountID]ownership{shop: c.now}); err != nil {
			t.Fatal(err)
		}
		w.fail = func(gateway.Task) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.adopted) != 3 {
				t.Errorf("a task was processed when %d were adopted", len(w.adopted))
			}
			return nil
		}
		start(t, url, w, oneShop, nil)
		eventually(t, patience, "the rest is sent", func() bool { return w.sentCount() == 2 })
		if diff := cmp.Diff(ids[:3], w.adopted); diff != "" {
			t.Errorf("adopted (-want +got):\n%s", diff)
		}
	})
}

func TestAHoldClosesTheLaneWhichReopensAtItsEnd(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		letGo := w.holdBack()
		m := start(t, url, w, oneShop, nil)
		ids := s.send(shop, gateway.Bulk, 20)
		eventually(t, patience, "the lane is open", func() bool {
			n := 0
			w.do(func() { n = len(w.arrived) })
			return n == laneConcurrency
		})
		until := time.Now().Add(3 * time.Second)
		w.do(func() {
			w.shut[gateway.Bulk] = until
			w.desks[0].g.Wake()
		})
		eventually(t, time.Until(until), "the tasks are back", func() bool { return len(pendingIDs(t, s.rdb, "shop:bulk")) == 20 })
		letGo()
		w.do(func() { w.arrived = nil })
		other := s.send(shop, gateway.Transactional, 1)
		eventually(t, patience, "the other lane is open", func() bool { return w.hasSent(other[0]) })
		if time.Now().After(until) {
			t.Error("the other lane waited for the hold")
		}
		eventually(t, patience, "all are sent", func() bool { return w.sentCount() == 21 })
		if late := time.Since(until); late < 0 || late > 3*time.Second {
			t.Errorf("all were sent %v after the end of the hold", late)
		}
		w.do(func() {
			w.arrived = slices.DeleteFunc(w.arrived, func(id gateway.MessageID) bool { return id == other[0] })
			if diff := cmp.Diff(ids, w.arrived); diff != "" {
				t.Errorf("order after the hold (-want +got):\n%s", diff)
			}
		})
		if m.owned() != 1 {
			t.Error("the account was let go")
		}
	})
}

func TestNoTaskIsLostBetweenIdleCloseAndRing(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, accounts := newWorld(), accountIDs(12)
	start(t, url, w, accounts, func(o *Options) { o.Idle = ringGap + 10*time.Millisecond })
	eventually(t, patience, "the accounts are owned", func() bool { return slices.Equal(counts(w), []int{12}) })
	s := newSender(t, url)
	var senders sync.WaitGroup
	for i, account := range accounts {
		senders.Go(func() {
			for round := range 20 {
				id := gateway.NewMessageID(account, time.Now())
				err := s.Enqueue(t.Context(), account, gateway.Task{Message: id, Priority: gateway.Transactional})
				if err = errors.Join(err, s.Ring(t.Context(), account, gateway.Transactional)); err != nil {
					t.Error(err)
					return
				}
				for late := time.Now().Add(patience); !w.hasSent(id); pause(t.Context(), time.Millisecond) {
					if time.Now().After(late) {
						t.Errorf("%s: message %d is not sent", account, round)
						return
					}
				}
				// Just about when the lane closes.
				pause(t.Context(), ringGap+time.Duration(i*3+round*2-15)*time.Millisecond)
			}
		})
	}
	senders.Wait()
}

func TestNothingIsLostWhileWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s, accounts := newWorld(), newSender(t, url), accountIDs(4)
	var want []gateway.MessageID
	more := func() {
		for _, account := range accounts {
			want = append(want, s.send(account, gateway.Transactional, 50)...)
		}
	}
	shared := func(counted ...int) {
		t.Helper()
		eventually(t, patience, fmt.Sprintf("accounts are shared %v", counted), func() bool { return slices.Equal(counts(w), counted) })
	}
	more()
	first := start(t, url, w, accounts, nil)
	more()
	shared(4)
	second := start(t, url, w, accounts, nil)
	more()
	shared(2, 2)
	more()
	first.stop()
	more()
	start(t, url, w, accounts, nil)
	shared(2, 2)
	more()
	second.kill()
	more()
	shared(4)
	eventually(t, patience, "all are sent", func() bool {
		sent := make(map[gateway.MessageID]bool)
		w.do(func() {
			for _, id := range w.sent {
				sent[id] = true
			}
		})
		return len(sent) == len(want)
	})
}

func TestALostRingIsCaughtThroughTheDueIndex(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		start(t, url, w, oneShop, nil)
		eventually(t, patience, "the take's Keep is over", func() (over bool) {
			w.do(func() { over = w.kept[shop] == 1 })
			return over
		})
		w.do(func() {
			w.keep = func() (time.Time, []gateway.Priority) { return time.Time{}, nil } // the task was enqueued, and isn't its concern
			w.seen[shop] = time.Now().UnixMilli()
		})
		id := s.enqueue(shop, gateway.Bulk, 1)[0]
		eventually(t, patience, "the message is sent", func() bool { return w.hasSent(id) })
		eventually(t, patience, "the account is settled", func() (settled bool) {
			w.do(func() { settled = len(w.seen) == 0 })
			return settled
		})
	})
}

func TestKeepIsCalledWhenTheDeskSaid(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		w := newWorld()
		var wish time.Time
		w.keep = func() (time.Time, []gateway.Priority) {
			if !wish.IsZero() {
				return time.Time{}, nil
			}
			wish = time.Now().Add(700 * time.Millisecond)
			return wish, nil
		}
		start(t, url, w, oneShop, nil)
		eventually(t, patience, "Keep was called again", func() (again bool) {
			w.do(func() { again = w.kept[shop] == 2 })
			return again
		})
		if late := time.Since(wish); late < 0 || late > 3*time.Second {
			t.Errorf("Keep was called %v after the time it had wished for", late)
		}
	})
}

func TestATaskThatFailsAgainAndAgainStepsAside(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail func() error
	}{
		{"an error", func() error { return errNotNow }},
		{"a panic", func() error { panic("in the desk") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := redistest.Start(t)
			w, s := newWorld(), newSender(t, url)
			ids := s.enqueue(shop, gateway.Transactional, 12)
			w.fail = func(task gateway.Task) error {
				if task.Message == ids[0] {
					return tt.fail()
				}
				return nil
			}
			start(t, url, w, oneShop, nil)
			eventually(t, patience, "the others are sent", func() bool { return w.sentCount() == 11 })
			eventually(t, patience, "it stepped aside", func() bool {
				return s.rdb.ZCard(t.Context(), retryKey("shop:transactional")).Val() == 1
			})
			if diff := cmp.Diff(ids[0], w.arrived[0]); diff != "" {
				t.Errorf("first to arrive (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARefreshBringsAndTakesAccounts(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, all := newWorld(), accountIDs(4)
	var accounts atomic.Pointer[[]gateway.AccountID]
	set := func(ids ...gateway.AccountID) { accounts.Store(&ids) }
	set(all[:3]...)
	m := start(t, url, w, nil, func(o *Options) {
		o.Accounts = func() []gateway.AccountID { return *accounts.Load() }
		o.TTL, o.Renew = 2*time.Minute, time.Minute // nothing but Refresh is quick
	})
	owns := func(want ...gateway.AccountID) {
		t.Helper()
		eventually(t, patience, fmt.Sprintf("%v are owned", want), func() bool {
			for _, got := range w.owned() {
				slices.Sort(got)
				return slices.Equal(got, want)
			}
			return false
		})
	}
	owns(all[:3]...)
	set(all[1:]...)
	m.Refresh()
	owns(all[1:]...)
	set(all...)
	m.Refresh()
	owns(all...)
}

func TestARefreshHasDesksAskedAgain(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	w.do(func() { w.shut[gateway.Bulk] = time.Now().Add(time.Hour) })
	m := start(t, url, w, oneShop, func(o *Options) {
		o.Idle = time.Minute // no lane closes, which would be a reason to look
		o.TTL, o.Renew = 2*time.Minute, time.Minute
	})
	held := s.send(shop, gateway.Bulk, 1)[0]
	other := s.send(shop, gateway.Transactional, 1)[0]
	eventually(t, patience, "the other lane is open", func() bool { return w.hasSent(other) })
	w.do(func() { clear(w.shut) }) // nobody is woken: the configuration does that
	m.Refresh()
	eventually(t, patience, "the lane that was shut is open", func() bool { return w.hasSent(held) })
}

func TestAWorkerWithAnOlderConfigurationTakesNothing(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, accounts := newWorld(), accountIDs(4)
	var revision atomic.Int64
	revision.Store(1)
	newer := start(t, url, w, accounts, func(o *Options) { o.Revision = func() int64 { return 2 } })
	eventually(t, patience, "the newer has all", func() bool { return slices.Equal(counts(w), []int{4}) })
	older := start(t, url, w, accounts, func(o *Options) { o.Revision = revision.Load })
	client := NewClient(newer.o.Redis, testLog())
	eventually(t, patience, "both are there", func() bool {
		workers, err := client.Workers(t.Context())
		return err == nil && len(workers) == 2
	})
	pause(t.Context(), 3*testRenew) // several looks of both
	if got := counts(w); !slices.Equal(got, []int{4}) {
		t.Fatalf("accounts are shared %v, want all with the newer", got)
	}
	revision.Store(2)
	older.Refresh()
	eventually(t, patience, "both share", func() bool { return slices.Equal(counts(w), []int{2, 2}) })
}

func TestWorkersWithTheSameConfigurationShareWhateverTheirFilesAge(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, accounts := newWorld(), accountIDs(4)
	for revision := range int64(2) {
		start(t, url, w, accounts, func(o *Options) {
			o.Revision = func() int64 { return revision }
			o.Digest = func() string { return "same" }
		})
	}
	eventually(t, patience, "both share", func() bool { return slices.Equal(counts(w), []int{2, 2}) })
}

func TestAThousandIdleAccountsCostAlmostNothing(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	m := start(t, url, w, accountIDs(1000), func(o *Options) { o.TTL, o.Renew = 0, 0 })
	eventually(t, 20*time.Second, "all were looked after once", func() (all bool) {
		w.do(func() { all = len(w.kept) == 1000 })
		return all
	})
	id := s.send("shop-aaa", gateway.Transactional, 1)[0]
	eventually(t, patience, "a message is sent", func() bool { return w.hasSent(id) })
	eventually(t, patience, "its lane is closed", func() bool { return testutil.ToFloat64(m.metrics.lanes) == 0 })
	if err := s.rdb.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	const watched = 3 * time.Second
	pause(t.Context(), watched)
	total := 0
	for _, n := range commandCalls(t, s.rdb) {
		total += n
	}
	t.Logf("%d commands in %v", total, watched)
	// Two or three renewals of seven commands each, one within the other, and
	// pings of the subscription.
	if total > 40 {
		t.Errorf("%d commands in %v: %v", total, watched, commandCalls(t, s.rdb))
	}
}

func TestAWorkerOutlivesRedis(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	w, s := newWorld(), newSender(t, server.URL)
	m := start(t, server.URL, w, oneShop, nil)
	eventually(t, patience, "the account is owned", func() bool { return len(w.owned()) == 1 })
	id := s.send(shop, gateway.Transactional, 1)[0]
	eventually(t, patience, "a message is sent", func() bool { return w.hasSent(id) })

	var tries tryCounter
	m.liveness.AddHook(&tries)
	server.Down()
	away := time.Now()
	eventually(t, testTTL+2*time.Second, "the desk is stopped", func() (stopped bool) {
		w.do(func() { stopped = w.desks[0].isStopped() && !w.desks[0].g.Alive() })
		return stopped
	})
	pause(t.Context(), time.Until(away.Add(4*time.Second)))
	if n := tries.n.Load(); n > 80 {
		t.Errorf("%d commands were tried in 4 s without Redis", n)
	}
	server.Up(t)
	eventually(t, patience, "the account is owned again", func() bool { return len(w.owned()) == 1 })
	id = s.send(shop, gateway.Transactional, 1)[0]
	eventually(t, patience, "a message is sent again", func() bool {
		s.ring(shop, gateway.Transactional) // the subscription may need a moment
		return w.hasSent(id)
	})
}

// tryCounter counts the commands a client was asked for.
type tryCounter struct{ n atomic.Int64 }

func (*tryCounter) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *tryCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (*tryCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestOptionsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := NewManager(Options{Idle: time.Millisecond})
	if err == nil {
		t.Fatal("NewManager took empty options")
	}
	for _, want := range []string{"Redis", "Liveness", "Accounts", "Revision", "Open", "Due", "Log", "Idle"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q doesn't name %s", err, want)
		}
	}
}

func TestAnOwnerWhoseKeyIsAnothersGivesUp(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	start(t, url, w, oneShop, nil)
	eventually(t, patience, "the account is owned", func() bool { return len(w.owned()) == 1 })
	if err := s.rdb.HSet(t.Context(), redisdb.OwnerKey(shop), "worker", "", "epoch", 7).Err(); err != nil {
		t.Fatal(err)
	}
	w.do(func() {
		w.keepErr = fmt.Errorf("keep house: %w", gateway.Fenced{Account: shop})
		w.desks[0].g.Wake()
	})
	eventually(t, patience, "the desk is stopped", func() (stopped bool) {
		w.do(func() { stopped = w.desks[0].isStopped() && !w.desks[0].g.Alive() })
		return stopped
	})
	eventually(t, patience, "the account is taken anew", func() (taken bool) {
		w.do(func() {
			w.keepErr = nil
			taken = len(w.desks) == 2 && w.desks[1].g.Lease.Epoch == 8
		})
		return taken
	})
}

func TestRingsMissedWhileNobodyListenedAreMadeUpFor(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t) // the embedded Redis can't cut connections
	w, s := newWorld(), newSender(t, url)
	start(t, url, w, oneShop, nil)
	eventually(t, patience, "the take's Keep is over", func() (over bool) {
		w.do(func() { over = w.kept[shop] >= 1 })
		return over
	})
	rdb := s.rdb
	id := s.enqueue(shop, gateway.Bulk, 1)[0] // and no ring
	if err := rdb.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the message is sent", func() bool { return w.hasSent(id) })
}
