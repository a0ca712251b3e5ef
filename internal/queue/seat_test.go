package queue

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

// dequeueTwice is a client that loses the reply of a dequeue, once armed, and
// does what clients do then: it sends the command again.
type dequeueTwice struct {
	tryCounter
	armed atomic.Bool
}

func (d *dequeueTwice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && takesOut(cmd) && d.armed.CompareAndSwap(true, false) {
			return next(ctx, cmd)
		}
		return err
	}
}

func takesOut(cmd redis.Cmder) bool {
	args := cmd.Args()
	if !strings.HasPrefix(cmd.Name(), "evalsha") || len(args) < 7 {
		return false
	}
	var keys []string
	for _, key := range args[3:7] {
		s, _ := key.(string)
		keys = append(keys, s)
	}
	return isDequeue(keys)
}

// takeOut does to the next task of a queue what a worker does that dies at once.
func takeOut(t *testing.T, rdb redis.UniversalClient, queue string) {
	t.Helper()
	if err := rdb.LMove(t.Context(), pendingKey(queue), activeKey(queue), "RIGHT", "LEFT").Err(); err != nil {
		t.Fatal(err)
	}
}

func (w *world) adoptedOnes() (ids []gateway.MessageID) {
	w.do(func() { ids = append(ids, w.adopted...) })
	return ids
}

func TestATaskWhoseDequeueWasLostIsAdopted(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	w.adopt = func(messages []gateway.MessageID) error {
		for _, id := range messages {
			if err := s.Enqueue(t.Context(), shop, gateway.Task{Message: id, Priority: gateway.Bulk, Sequence: 1}); err != nil {
				return err
			}
		}
		return nil
	}
	var lossy dequeueTwice
	start(t, url, w, oneShop, func(o *Options) {
		o.Redis = connectDirectly(t, url, redisdb.ForWorker)
		o.Redis.AddHook(&lossy)
	})
	first := s.send(shop, gateway.Bulk, 1)
	eventually(t, patience, "the lane is open", func() bool { return w.hasSent(first[0]) })
	lossy.armed.Store(true)
	lost := s.send(shop, gateway.Bulk, 1)
	eventually(t, testTTL+patience, "the message is sent", func() bool { return w.hasSent(lost[0]) })
	if lossy.armed.Load() {
		t.Error("no reply was lost")
	}
	if diff := cmp.Diff(lost, w.adoptedOnes()); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
}

func TestATaskThatIsWithNobodyIsAdoptedOnce(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	start(t, url, w, oneShop, nil)
	looked := func() {
		t.Helper()
		w.do(func() { w.seen[shop] = time.Now().UnixMilli() })
		eventually(t, patience, "the account is settled", func() (settled bool) {
			w.do(func() { settled = len(w.seen) == 0 })
			return settled
		})
	}
	looked()
	ids := s.enqueue(shop, gateway.Transactional, 1)
	takeOut(t, s.rdb, "shop:transactional")
	looked()
	if got := w.adoptedOnes(); len(got) > 0 {
		t.Fatalf("%v were adopted at the first look", got)
	}
	eventually(t, testTTL+patience, "the message is adopted", func() bool { return len(w.adoptedOnes()) > 0 })
	pause(t.Context(), testTTL)
	looked()
	looked()
	if diff := cmp.Diff(ids, w.adoptedOnes()); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
}

func TestATaskWithTheDeskIsNoStray(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	letGo := w.holdBack()
	start(t, url, w, oneShop, nil)
	id := s.send(shop, gateway.Transactional, 1)[0]
	eventually(t, patience, "it is with the desk", func() (there bool) {
		w.do(func() { there = len(w.arrived) == 1 })
		return there
	})
	for begun := time.Now(); time.Since(begun) < testTTL+2*dueEvery; pause(t.Context(), dueEvery/4) {
		w.do(func() { w.remind(shop) })
	}
	letGo()
	eventually(t, patience, "it is sent", func() bool { return w.hasSent(id) })
	if got := w.adoptedOnes(); len(got) > 0 {
		t.Errorf("%v were adopted", got)
	}
}

// newTestSeat is a seat that nobody runs.
func newTestSeat(t *testing.T, w *world, change func(*Options)) *seat {
	t.Helper()
	rdb := struct{ redis.UniversalClient }{} // nobody asks it for anything
	o := Options{
		Redis: rdb, Liveness: rdb, Accounts: func() []gateway.AccountID { return oneShop },
		Revision: func() int64 { return 1 }, Open: w.open, Due: w, Log: testLog(),
	}
	if change != nil {
		change(&o)
	}
	m, err := NewManager(o)
	if err != nil {
		t.Fatal(err)
	}
	l := newLife(t.Context(), presence{}, time.Minute)
	s := newSeat(m, l, gateway.Lease{Account: shop, Worker: l.nonce, Epoch: 1}, nil, false)
	t.Cleanup(s.end)
	s.desk = w.open(Grant{Lease: s.lease, Alive: s.alive, Wake: s.wake})
	return s
}

func TestTheBackstopLooksIntoTheLanes(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, sends := newWorld(), newSender(t, url)
	s := newTestSeat(t, w, func(o *Options) { o.Redis = sends.rdb })
	ids := sends.enqueue(shop, gateway.Bulk, 2)
	takeOut(t, sends.rdb, "shop:bulk")

	now := time.Now()
	h := housekeeping{nextAt: now, lookedAt: now.Add(-lookEvery + time.Second)}
	keep := func() *kept {
		t.Helper()
		s.keep(&h, h.nextAt)
		s.busy.Wait()
		if s.kept == nil {
			t.Fatal("Keep was not called")
		}
		return s.kept
	}
	if k := keep(); k.found != nil {
		t.Error("the lanes were looked into before it was time")
	}
	s.keep(&h, now) // takes note
	k := keep()
	want := map[gateway.Priority]content{
		gateway.Bulk: {pending: 1, active: []string{string(ids[0])}}, gateway.Transactional: {},
	}
	if diff := cmp.Diff(want, k.found, cmp.AllowUnexported(content{})); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]gateway.Priority{gateway.Bulk}, k.lanes); diff != "" {
		t.Errorf("lanes (-want +got):\n%s", diff)
	}
}

func TestWhoRemindsTheIndexWhileKeepRunsIsNotForgotten(t *testing.T) {
	t.Parallel()
	const again = 2000 * time.Millisecond // as claimed
	tests := []struct {
		name     string
		takes    time.Duration
		reminded bool // at the end
		keep     error
		claim    error
		want     time.Duration // from the call until it is due again; 0: it isn't
	}{
		{name: "nobody does, so it is settled"},
		{name: "a reminder stands", reminded: true, want: reminder},
		{
			name:  "a late reminder stands",
			takes: settleWithin - time.Millisecond, reminded: true, want: settleWithin - time.Millisecond + reminder,
		},
		{
			name:  "one that came too late to be seen has it shown again all the same",
			takes: settleWithin + 200*time.Millisecond, reminded: true, want: again,
		},
		{name: "what couldn't be kept is shown again", keep: errNotNow, want: again},
		{name: "what couldn't be claimed is still shown", claim: errNotNow, want: -time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				begun := time.Now().UnixMilli()
				w.seen[shop], w.claims, w.keepErr = begun-1, tt.claim, tt.keep
				w.keep = func() (time.Time, []gateway.Priority) {
					pause(t.Context(), tt.takes)
					if tt.reminded {
						w.remind(shop)
					}
					return time.Time{}, nil
				}
				s := newTestSeat(t, w, nil)
				k := s.callKeep(chore{dueAt: begun - 1})
				if !errors.Is(k.err, tt.keep) {
					t.Errorf("err = %v, want %v", k.err, tt.keep)
				}
				want := map[gateway.AccountID]int64{}
				if tt.want != 0 {
					want[shop] = begun + tt.want.Milliseconds()
				}
				if diff := cmp.Diff(want, w.seen); diff != "" {
					t.Errorf("due (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestStrays(t *testing.T) {
	t.Parallel()
	before, now := time.Unix(100, 0), time.Unix(200, 0)
	known := []stray{{id: "adopted", lostAt: before, adopted: true}, {id: "known", lostAt: before}, {id: "gone", lostAt: before}}
	withDesk := func(id string) bool { return id == "desk" }
	got := strayed(known, []string{"new", "known", "desk", "adopted"}, withDesk, now)
	want := []stray{{id: "new", lostAt: now}, {id: "known", lostAt: before}, {id: "adopted", lostAt: before, adopted: true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stray{})); diff != "" {
		t.Errorf("strayed (-want +got):\n%s", diff)
	}
	if at := lostAt(got); !at.Equal(before) {
		t.Errorf("lostAt = %v, want %v", at, before)
	}
	if at := lostAt(got[2:]); !at.IsZero() {
		t.Errorf("lostAt = %v though all are adopted", at)
	}
}
