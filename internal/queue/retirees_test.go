package queue

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redistest"
)

const former = gateway.AccountID("former")

// grants lists what the account's desks were opened with, and whether they are
// still open.
func (w *world) grants(account gateway.AccountID) (retired, open []bool) {
	w.do(func() {
		for _, d := range w.desks {
			if d.g.Lease.Account == account {
				retired, open = append(retired, d.g.Retired), append(open, !d.isStopped())
			}
		}
	})
	return retired, open
}

func TestARetiredAccountIsKeptButNothingOfItIsSent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		var accounts atomic.Pointer[[]gateway.AccountID]
		accounts.Store(&[]gateway.AccountID{shop})
		m := start(t, url, w, nil, func(o *Options) {
			o.Accounts = func() []gateway.AccountID { return *accounts.Load() }
		})
		eventually(t, patience, "the other is owned", func() bool { return len(w.owned()) == 1 })
		id := s.enqueue(former, gateway.Bulk, 1)[0]
		w.do(func() { w.seen[former] = time.Now().UnixMilli() })
		eventually(t, patience, "it is kept and settled", func() (settled bool) {
			w.do(func() { settled = len(w.seen) == 0 && w.kept[former] > 0 })
			return settled
		})
		s.ring(former, gateway.Bulk)
		w.do(func() { w.seen[former] = time.Now().UnixMilli() })
		eventually(t, patience, "it is settled again", func() (settled bool) {
			w.do(func() { settled = len(w.seen) == 0 })
			return settled
		})
		retired, open := w.grants(former)
		if !slices.Equal(retired, []bool{true}) || !slices.Equal(open, []bool{true}) {
			t.Fatalf("desks opened as retired %v, open %v; want one", retired, open)
		}
		if got := pendingIDs(t, s.rdb, "former:bulk"); !slices.Equal(got, []gateway.MessageID{id}) {
			t.Errorf("its lane holds %v, want %v", got, id)
		}

		// It isn't shown for long.
		m.retirees.mu.Lock()
		m.retirees.seen[former] = sighting{shownAt: time.Now().Add(-retiredFor - time.Second)}
		m.retirees.mu.Unlock()
		m.Refresh()
		eventually(t, patience, "it is let go", func() bool {
			_, open := w.grants(former)
			return slices.Equal(open, []bool{false}) && m.owned() == 1
		})

		w.do(func() { w.seen[former] = time.Now().UnixMilli() })
		eventually(t, patience, "it is taken again", func() bool {
			_, open := w.grants(former)
			return slices.Equal(open, []bool{false, true})
		})
		accounts.Store(&[]gateway.AccountID{shop, former})
		m.Refresh()
		eventually(t, patience, "it is sent for once it is configured again", func() bool { return w.hasSent(id) })
		retired, open = w.grants(former)
		if !slices.Equal(retired, []bool{true, true, false}) || !slices.Equal(open, []bool{false, false, true}) {
			t.Errorf("desks opened as retired %v, open %v", retired, open)
		}
		accounts.Store(&[]gateway.AccountID{shop})
		m.Refresh()
		w.do(func() { w.seen[former] = time.Now().UnixMilli() })
		eventually(t, patience, "it retires anew", func() bool {
			retired, open = w.grants(former)
			return slices.Equal(retired, []bool{true, true, false, true}) && slices.Equal(open, []bool{false, false, false, true})
		})
	})
}

func TestRetiredAccountsHaveOneOwnerEach(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		w, all := newWorld(), accountIDs(20)
		first := start(t, url, w, all[:2], nil)
		start(t, url, w, all[:2], nil)
		shown := func() {
			w.do(func() {
				for _, account := range all[2:] {
					w.seen[account] = time.Now().UnixMilli()
				}
			})
		}
		owned := func() []gateway.AccountID {
			return slices.Sorted(func(yield func(gateway.AccountID) bool) {
				for _, accounts := range w.owned() {
					for _, account := range accounts {
						if !yield(account) {
							return
						}
					}
				}
			})
		}
		shown()
		eventually(t, patience, "each has an owner", func() bool { return slices.Equal(owned(), all) })
		if n := len(w.owned()); n != 2 {
			t.Errorf("%d workers have them all, want 2", n)
		}
		first.stop()
		shown()
		eventually(t, patience, "the other has them", func() bool { return slices.Equal(owned(), all) && len(w.owned()) == 1 })
	})
}

func TestAnAccountThatAnOlderWorkerDoesNotKnowGoesToANewerOne(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w, s := newWorld(), newSender(t, url)
	start(t, url, w, nil, nil)
	id := s.enqueue(shop, gateway.Bulk, 1)[0]
	w.do(func() { w.seen[shop] = time.Now().UnixMilli() })
	eventually(t, patience, "the older takes it for retired", func() bool {
		retired, _ := w.grants(shop)
		return slices.Equal(retired, []bool{true})
	})
	start(t, url, w, oneShop, func(o *Options) { o.Revision = func() int64 { return 2 } })
	eventually(t, patience, "the newer sends for it", func() bool { return w.hasSent(id) })
}

func TestARetiredAccountWithoutADeskIsLeftAlone(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t)
	w := newWorld()
	w.refuse = true
	w.seen[former] = time.Now().UnixMilli()
	m := start(t, url, w, nil, nil)
	asked := func() (n int) {
		w.do(func() { n = w.asked[former] })
		return n
	}
	eventually(t, patience, "a desk is asked for", func() bool { return asked() == 1 })
	pause(t.Context(), 2*dueEvery)
	if n := asked(); n != 1 {
		t.Errorf("%d desks were asked for, want one", n)
	}
	if m.owned() != 0 {
		t.Error("the account is still owned")
	}
}

func TestRetireesAreRememberedForAWhile(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	one := []gateway.AccountID{former}
	members := []member{{nonce: "1", accepts: true, keeps: true}, {nonce: "older", keeps: true}, {nonce: "leaving"}}
	type owners = map[gateway.AccountID]string
	tests := []struct {
		name    string
		since   time.Duration // it was shown
		refused bool
		owners  owners
		want    owners
	}{
		{name: "one just shown is to be taken", want: owners{former: "1"}},
		{name: "one that is shown no more isn't taken", since: shownFor + 1, want: owners{}},
		{name: "it stays with its owner", since: shownFor + 1, owners: owners{former: "1"}, want: owners{former: "1"}},
		{name: "its owner is gone", since: shownFor + 1, owners: owners{former: "gone"}, want: owners{}},
		{name: "one with an older configuration lets go of it first", owners: owners{former: "older"}, want: owners{}},
		{name: "one that leaves does so by itself", owners: owners{former: "leaving"}, want: owners{}},
		{name: "after a while it is let go", since: retiredFor + 1, owners: owners{former: "1"}, want: owners{}},
		{name: "one without a desk is left alone", refused: true, want: owners{}},
		{name: "for a while", refused: true, since: refusedFor, owners: owners{former: "1"}, want: owners{former: "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := retirees{seen: make(map[gateway.AccountID]sighting)}
			if !r.show(one, now) || r.show(one, now) {
				t.Error("an account is news once")
			}
			if tt.refused {
				r.refuse(former, now)
			}
			if diff := cmp.Diff(tt.want, r.share(members, tt.owners, now.Add(tt.since))); diff != "" {
				t.Errorf("share (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetireesAreBoundedAndMakeRoom(t *testing.T) {
	t.Parallel()
	r := retirees{seen: make(map[gateway.AccountID]sighting)}
	named := func(kind string) (accounts []gateway.AccountID) {
		for i := range retiredLimit {
			accounts = append(accounts, gateway.AccountID(fmt.Sprintf("%s-%d", kind, i)))
		}
		return accounts
	}
	now := time.Unix(1000, 0)
	r.show(named("a"), now)
	if r.show(named("b"), now.Add(shownFor)); len(r.seen) != retiredLimit {
		t.Fatalf("%d are remembered, want %d", len(r.seen), retiredLimit)
	}
	if !r.show(named("b"), now.Add(shownFor+1)) {
		t.Error("those that came instead are no news")
	}
	if got, want := slices.Sorted(maps.Keys(r.seen)), slices.Sorted(slices.Values(named("b"))); !slices.Equal(got, want) {
		t.Errorf("%d are remembered, from %s", len(got), got[0])
	}
}

func TestAHomeMovesOnlyWithItsWorker(t *testing.T) {
	t.Parallel()
	on := func(nonces ...string) (members []member) {
		for _, nonce := range nonces {
			members = append(members, member{nonce: nonce, accepts: true, keeps: true})
		}
		return members
	}
	homes := make(map[string]int)
	for _, account := range accountIDs(300) {
		three, _ := homeOf(account, on("a", "b", "c"))
		homes[three]++
		if again, _ := homeOf(account, on("c", "a", "b")); again != three {
			t.Errorf("%s: home is %s or %s, by the order of workers", account, three, again)
		}
		if two, _ := homeOf(account, on("a", "b")); three != "c" && two != three {
			t.Errorf("%s: home moved from %s to %s as c left", account, three, two)
		}
	}
	for _, nonce := range []string{"a", "b", "c"} {
		if homes[nonce] < 60 {
			t.Errorf("%s is home to %d of 300", nonce, homes[nonce])
		}
	}
	if home, ok := homeOf(former, []member{{nonce: "older", keeps: true}}); ok {
		t.Errorf("home = %s, though nobody accepts", home)
	}
}
