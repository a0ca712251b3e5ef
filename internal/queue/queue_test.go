package queue

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redistest"
)

func TestShare(t *testing.T) {
	t.Parallel()
	type owners = map[gateway.AccountID]string
	on := func(nonce string) member { return member{nonce: nonce, accepts: true, keeps: true} }
	leaving := func(nonce string) member { return member{nonce: nonce} }
	older := func(nonce string) member { return member{nonce: nonce, keeps: true} }
	tests := []struct {
		name     string
		members  []member
		accounts []gateway.AccountID
		owners   owners
		want     owners
	}{
		{
			name: "nobody is there, nothing is given", accounts: []gateway.AccountID{"a"},
			owners: owners{"a": "gone"}, want: owners{},
		},
		{
			name: "free accounts go to those who have least", members: []member{on("2"), on("1")},
			accounts: []gateway.AccountID{"d", "c", "b", "a"}, owners: owners{"a": "1"},
			want: owners{"a": "1", "b": "2", "c": "1", "d": "2"},
		},
		{
			name: "a difference of one is left alone", members: []member{on("1"), on("2")},
			accounts: []gateway.AccountID{"a", "b", "c"}, owners: owners{"a": "2", "b": "2", "c": "1"},
			want: owners{"a": "2", "b": "2", "c": "1"},
		},
		{
			name: "a worker that joins gets no more than its share", members: []member{on("1"), on("2")},
			accounts: []gateway.AccountID{"a", "b", "c", "d"}, owners: owners{"a": "1", "b": "1", "c": "1", "d": "1"},
			want: owners{"a": "1", "b": "1", "c": "2", "d": "2"},
		},
		{
			name: "a worker that leaves gets nothing and isn't asked to give", members: []member{on("1"), leaving("2")},
			accounts: []gateway.AccountID{"a", "b", "c", "d"}, owners: owners{"b": "2", "c": "2", "d": "2"},
			want: owners{"a": "1", "b": "2", "c": "2", "d": "2"},
		},
		{
			name: "an older configuration gives and gets nothing", members: []member{on("1"), older("2")},
			accounts: []gateway.AccountID{"a", "b", "c", "d"}, owners: owners{"b": "2", "c": "2", "d": "2"},
			want: owners{"a": "1", "b": "2", "c": "2", "d": "1"},
		},
		{
			name: "without anybody who accepts, what is free stays free", members: []member{older("1")},
			accounts: []gateway.AccountID{"a", "b"}, owners: owners{"b": "1"},
			want: owners{"b": "1"},
		},
		{
			name: "an account that left the configuration isn't counted", members: []member{on("1"), on("2")},
			accounts: []gateway.AccountID{"a"}, owners: owners{"a": "1", "x": "1", "y": "1"},
			want: owners{"a": "1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, share(tt.members, tt.accounts, tt.owners)); diff != "" {
				t.Errorf("share (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShareMovesNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	accounts := accountIDs(100)
	var members []member
	owners := make(map[gateway.AccountID]string)
	for _, nonce := range []string{"c", "a", "e", "b", "d"} {
		members = append(members, member{nonce: nonce, accepts: true, keeps: true})
		plan := share(members, accounts, owners)
		if again := share(members, reversed(accounts), plan); !maps.Equal(plan, again) {
			t.Fatalf("with %d workers the plan isn't at rest", len(members))
		}
		has, moved := make(map[string]int), 0
		for account, owner := range plan {
			has[owner]++
			if owner != owners[account] {
				moved++
			}
		}
		if moved > 100/len(members) {
			t.Errorf("worker %d moved %d accounts", len(members), moved)
		}
		for owner, n := range has {
			if n < 100/len(members) || n > 100/len(members)+1 {
				t.Errorf("of %d workers %s has %d accounts", len(members), owner, n)
			}
		}
		owners = plan
	}
}

func reversed(ids []gateway.AccountID) []gateway.AccountID {
	ids = slices.Clone(ids)
	slices.Reverse(ids)
	return ids
}

func TestMembersWithAnOlderConfigurationAcceptNothing(t *testing.T) {
	t.Parallel()
	accepts, keeps, leaves := member{accepts: true, keeps: true}, member{keeps: true}, member{}
	tests := []struct {
		name string
		live map[string]presence
		want map[string]member
	}{
		{
			name: "an older revision only keeps, one that leaves not even that",
			live: map[string]presence{"old": {Revision: 1}, "new": {Revision: 2}, "left": {Revision: 2, Leaving: true}},
			want: map[string]member{"old": keeps, "new": accepts, "left": leaves},
		},
		{
			name: "the same configuration is as new on every host",
			live: map[string]presence{"a": {Revision: 1, Digest: "x"}, "b": {Revision: 7, Digest: "x"}},
			want: map[string]member{"a": accepts, "b": accepts},
		},
		{
			name: "another configuration of an older revision only keeps",
			live: map[string]presence{"a": {Revision: 1, Digest: "x"}, "b": {Revision: 7, Digest: "y"}, "c": {Revision: 5, Digest: "x"}},
			want: map[string]member{"a": keeps, "b": accepts, "c": keeps},
		},
		{
			name: "two configurations of the newest revision both count as new",
			live: map[string]presence{"a": {Revision: 7, Digest: "x"}, "b": {Revision: 7, Digest: "y"}, "c": {Revision: 1, Digest: "x"}},
			want: map[string]member{"a": accepts, "b": accepts, "c": accepts},
		},
		{
			name: "what leaves still says what is newest",
			live: map[string]presence{"a": {Revision: 1, Digest: "x"}, "b": {Revision: 7, Digest: "y", Leaving: true}},
			want: map[string]member{"a": keeps, "b": leaves},
		},
		{
			name: "without a digest the revision decides",
			live: map[string]presence{"a": {Revision: 1}, "b": {Revision: 7}, "c": {Revision: 1, Digest: "x"}, "d": {Revision: 7, Digest: "x"}},
			want: map[string]member{"a": keeps, "b": accepts, "c": accepts, "d": accepts},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(map[string]member)
			for _, m := range (view{live: tt.live}).members() {
				got[m.nonce] = member{accepts: m.accepts, keeps: m.keeps}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(member{})); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTaskID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, id string
		want     gateway.Task // zero: refused
	}{
		{"the first task is named as its message", "m1", gateway.Task{Message: "m1", Priority: gateway.Bulk}},
		{"a later one has its sequence", "m1#12", gateway.Task{Message: "m1", Priority: gateway.Bulk, Sequence: 12}},
		{"nothing is no id", "", gateway.Task{}},
		{"a sequence alone is no id", "#1", gateway.Task{}},
		{"a sequence of 0 has no mark", "m1#0", gateway.Task{}},
		{"a sequence is not negative", "m1#-1", gateway.Task{}},
		{"a sequence has one form", "m1#01", gateway.Task{}},
		{"a sequence has no sign", "m1#+1", gateway.Task{}},
		{"a mark without a sequence is refused", "m1#", gateway.Task{}},
		{"two marks are refused", "m1#1#2", gateway.Task{}},
		{"a sequence beyond all bounds is refused", "m1#99999999999999999999", gateway.Task{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseTaskID(tt.id, gateway.Bulk)
			if (err == nil) != (tt.want != gateway.Task{}) {
				t.Fatalf("parseTaskID(%q) error = %v", tt.id, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("parseTaskID(%q) (-want +got):\n%s", tt.id, diff)
			}
			if err == nil && taskID(got) != tt.id {
				t.Errorf("taskID = %q, want %q", taskID(got), tt.id)
			}
		})
	}
}

func FuzzParseTaskID(f *testing.F) {
	for _, id := range []string{"m1", "m1#1", "m1#01", "#1", "", "m#1#2"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		task, err := parseTaskID(id, gateway.Transactional)
		if err == nil && taskID(task) != id {
			t.Errorf("%q is read as %+v, which is named %q", id, task, taskID(task))
		}
		if err == nil && (task.Message == "" || task.Sequence < 0) {
			t.Errorf("%q is read as %+v", id, task)
		}
	})
}

func TestParseRing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, payload string
		account       gateway.AccountID
		priority      gateway.Priority
		ok            bool
	}{
		{"a ring for a lane", ringPayload("shop-eu", gateway.Bulk), "shop-eu", gateway.Bulk, true},
		{"a ring for the other", "shop.eu_1:transactional", "shop.eu_1", gateway.Transactional, true},
		{"an unknown lane", "shop:slow", "shop", "slow", false},
		{"no lane", "shop", "shop", "", false},
		{"nothing", "", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			account, p, ok := parseRing(tt.payload)
			if account != tt.account || p != tt.priority || ok != tt.ok {
				t.Errorf("parseRing(%q) = %q, %q, %v", tt.payload, account, p, ok)
			}
		})
	}
}

func TestQueues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		task gateway.Task
		want string
	}{
		{"transactional", gateway.Task{Priority: gateway.Transactional}, "shop:transactional"},
		{"transactional again", gateway.Task{Priority: gateway.Transactional, Sequence: 1}, "shop:transactional"},
		{"bulk", gateway.Task{Priority: gateway.Bulk}, "shop:bulk"},
		{"bulk again goes before the backlog", gateway.Task{Priority: gateway.Bulk, Sequence: 3}, "shop:bulk-retry"},
		{"no lane is an error", gateway.Task{Priority: "slow"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := queueFor(shop, tt.task)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("queueFor = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseViewRefusesOtherShapes(t *testing.T) {
	t.Parallel()
	list := func(of ...any) []any { return of }
	tests := []struct {
		name   string
		answer []any
	}{
		{"too few parts", list("1", list(), list())},
		{"a version that is a number", list(int64(1), list(), list(), int64(-1))},
		{"workers that are no pairs", list("1", list("a"), list(), int64(-1))},
		{"a worker that is no JSON", list("1", list("a", "{"), list(), int64(-1))},
		{"an owner without an epoch", list("1", list(), list("shop", "a"), int64(-1))},
		{"a time that is a string", list("1", list(), list(), "soon")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if v, err := parseView(tt.answer, view{}); err == nil {
				t.Errorf("parseView = %+v, want an error", v)
			}
		})
	}
}

func TestLineLetsTasksEnterInTheOrderTheyLeftTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		ids := []string{"a", "b", "c", "d"}
		for _, id := range ids {
			l.leave(id)
		}
		var got []string
		for _, id := range slices.Backward(ids) {
			go l.enter(t.Context(), id, func() { got = append(got, id) })
			synctest.Wait()
		}
		if diff := cmp.Diff(ids, got); diff != "" {
			t.Errorf("order of entry (-want +got):\n%s", diff)
		}
	})
}

func TestLineGivesTasksBackInReverse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		for _, id := range []string{"a", "b", "c", "d"} {
			l.leave(id)
		}
		var got []string
		for _, id := range []string{"a", "c", "b"} {
			go l.giveBack(t.Context(), id, func() bool { got = append(got, id); return false })
			synctest.Wait()
		}
		l.giveBack(t.Context(), "d", func() (again bool) { return true })
		synctest.Wait()
		if len(got) > 0 {
			t.Fatalf("%v went back before d", got)
		}
		l.forget("d") // handled after all
		synctest.Wait()
		if diff := cmp.Diff([]string{"c", "b", "a"}, got); diff != "" {
			t.Errorf("order of return (-want +got):\n%s", diff)
		}
		if len(l.out) > 0 {
			t.Errorf("%d tasks are still out", len(l.out))
		}
	})
}

func TestLineDoesNotWaitForALostNeighbour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &line{}
		l.leave("lost")
		l.leave("next")
		begun := time.Now()
		l.enter(t.Context(), "next", func() {})
		l.giveBack(t.Context(), "lost", func() bool { return false })
		if took := time.Since(begun); took != 2*lineWait {
			t.Errorf("waited %v, want %v twice", took, lineWait)
		}
	})
}

func TestClient(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		w, s := newWorld(), newSender(t, url)
		bulk := s.enqueue(shop, gateway.Bulk, 2)
		if err := s.Enqueue(t.Context(), shop, gateway.Task{Message: bulk[0], Priority: gateway.Bulk}); err != nil {
			t.Errorf("Enqueue again: %v", err)
		}
		if got := pendingIDs(t, s.rdb, "shop:bulk"); !slices.Equal(got, bulk) {
			t.Errorf("the queue is %v, want %v", got, bulk)
		}
		if err := s.Enqueue(t.Context(), shop, gateway.Task{Message: "m", Priority: "slow"}); err == nil {
			t.Error("Enqueue took a lane that doesn't exist")
		}
		head := func(want map[gateway.Priority]gateway.MessageID) {
			t.Helper()
			got, err := s.Head(t.Context(), shop)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Head (-want +got):\n%s", diff)
			}
		}
		head(map[gateway.Priority]gateway.MessageID{gateway.Bulk: bulk[0]})
		if err := s.Enqueue(t.Context(), shop, gateway.Task{Message: bulk[1], Priority: gateway.Bulk, Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		head(map[gateway.Priority]gateway.MessageID{gateway.Bulk: bulk[1]}) // a retry goes first

		letGo := w.holdBack()
		defer letGo()
		start(t, url, w, oneShop, func(o *Options) { o.Host = "host-1" })
		var workers []gateway.Worker
		eventually(t, patience, "the owner is shown", func() bool {
			workers, _ = s.Workers(t.Context())
			return len(workers) == 1 && len(workers[0].Accounts) == 1
		})
		if got := workers[0]; got.Host != "host-1" || got.Revision != 1 || got.Accounts[0] != shop {
			t.Errorf("worker = %+v", got)
		}
		owners, err := s.Owners(t.Context())
		if want := (map[gateway.AccountID]string{shop: workers[0].ID}); err != nil || !maps.Equal(owners, want) {
			t.Errorf("Owners = %v, %v; want %v", owners, err, want)
		}
	})
}

func TestRingsThatComeTogetherAreOne(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		s := newSender(t, url)
		sub := s.rdb.Subscribe(t.Context(), doorbellChannel)
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			s.ring(shop, gateway.Bulk)
		}
		s.ring(shop, gateway.Transactional)
		for _, want := range []string{"shop:bulk", "shop:transactional"} {
			msg, err := sub.ReceiveMessage(t.Context())
			if err != nil || msg.Payload != want {
				t.Fatalf("heard %v, %v; want %q", msg, err, want)
			}
		}
	})
}

func TestARingThatFailedDoesNotStandForTheNext(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	s := newSender(t, server.URL)
	server.Down()
	if err := s.Ring(t.Context(), shop, gateway.Bulk); err == nil {
		t.Fatal("Ring without Redis succeeded")
	}
	server.Up(t)
	s.ring(shop, gateway.Bulk)
	if _, ok := s.rung[ringPayload(shop, gateway.Bulk)]; !ok {
		t.Error("the ring isn't remembered")
	}
}

func TestALifeThatLapsedNeverComesBack(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		rdb := newSender(t, url).rdb
		l := newLife(context.Background(), presence{Host: "h"}, time.Minute)
		if l.alive() {
			t.Error("a life is alive before it begins")
		}
		if err := l.begin(t.Context(), rdb); err != nil {
			t.Fatal(err)
		}
		if err := l.renew(t.Context(), rdb); err != nil || !l.alive() {
			t.Fatalf("renew = %v, alive = %v", err, l.alive())
		}
		if err := rdb.Del(t.Context(), liveKey(l.nonce)).Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.renew(t.Context(), rdb); !errors.Is(err, errLapsed) {
			t.Errorf("renew of a key that is gone = %v, want %v", err, errLapsed)
		}
		if n := rdb.Exists(t.Context(), liveKey(l.nonce)).Val(); n != 0 {
			t.Error("the renewal brought the key back")
		}
	})
}

func TestOwnersChangeByCompareAndSet(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		r := registry{newSender(t, url).rdb}
		take := func(expected ownership, worker string, want claim) {
			t.Helper()
			got, err := r.take(t.Context(), shop, expected, worker)
			if err != nil {
				t.Fatal(err)
			}
			if got.wait > 0 && want.wait > 0 {
				got.wait = want.wait // some of it has passed
			}
			if got != want {
				t.Errorf("take(%v, %s) = %+v, want %+v", expected, worker, got, want)
			}
		}
		take(ownership{}, "a", claim{taken: true, now: ownership{"a", 1}})
		take(ownership{}, "a", claim{taken: true, now: ownership{"a", 1}}) // the answer was lost
		take(ownership{}, "b", claim{now: ownership{"a", 1}})
		take(ownership{"a", 1}, "b", claim{taken: true, now: ownership{"b", 2}})
		lease := gateway.Lease{Account: shop, Worker: "a", Epoch: 1}
		if ok, err := r.release(t.Context(), lease, 0); ok || err != nil {
			t.Errorf("release of another's = %v, %v", ok, err)
		}
		lease = gateway.Lease{Account: shop, Worker: "b", Epoch: 2}
		for range 2 {
			if ok, err := r.release(t.Context(), lease, 5*time.Second); !ok || err != nil {
				t.Errorf("release = %v, %v", ok, err)
			}
		}
		take(ownership{"", 2}, "c", claim{taken: true, now: ownership{"c", 3}, wait: time.Second})
	})
}

func TestTheDirectoryIgnoresLateReports(t *testing.T) {
	t.Parallel()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		t.Helper()
		rdb := newSender(t, url).rdb
		r := registry{rdb}
		steps := []struct {
			name      string
			mode      recordMode
			say, want ownership
		}{
			{"the first report", report, ownership{"a", 1}, ownership{"a", 1}},
			{"a younger epoch", report, ownership{"b", 3}, ownership{"b", 3}},
			{"an older epoch comes late", report, ownership{"c", 2}, ownership{"b", 3}},
			{"the release of an older epoch comes late", report, ownership{"", 1}, ownership{"b", 3}},
			{"the release", report, ownership{"", 3}, ownership{"", 3}},
			{"the take before it comes late", report, ownership{"b", 3}, ownership{"", 3}},
			{"a repair counts whatever the epoch", repair, ownership{"d", 1}, ownership{"d", 1}},
		}
		for _, step := range steps {
			if err := r.record(t.Context(), step.mode, false, map[gateway.AccountID]ownership{shop: step.say}); err != nil {
				t.Fatal(err)
			}
			v, err := readView(t.Context(), rdb)
			if err != nil {
				t.Fatal(err)
			}
			if got := v.owners[shop]; got != step.want {
				t.Errorf("%s: the directory says %v, want %v", step.name, got, step.want)
			}
		}
	})
}
