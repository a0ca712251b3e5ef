package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/store"
)

func (b *bench) admit(tier gateway.Tier, to string) bool {
	b.t.Helper()
	ok, err := b.Admit(b.t.Context(), tier, gateway.Recipient(to))
	b.must(err)
	return ok
}

func (b *bench) room(tier gateway.Tier) (int, time.Duration) {
	b.t.Helper()
	room, fullFor, err := b.TierRoom(b.t.Context(), tier)
	b.must(err)
	return room, fullFor
}

// age has what a tier counted lie further back.
func (b *bench) age(tier gateway.Tier, by time.Duration) {
	b.t.Helper()
	key := redisdb.Key(tier.Count, "tier")
	counted, err := b.rdb.ZRangeWithScores(b.t.Context(), key, 0, -1).Result()
	b.must(err)
	for _, z := range counted {
		b.must(b.rdb.ZAdd(b.t.Context(), key, redis.Z{Score: z.Score - float64(by.Milliseconds()), Member: z.Member}).Err())
	}
}

func TestTierCountsEachRecipientOnceIn24Hours(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tier := gateway.Tier{Limit: 2, Count: shop.Tag()}
		if room, fullFor := b.room(tier); room != 2 || fullFor != 0 {
			t.Errorf("a fresh tier has room for %d, full for %v", room, fullFor)
		}
		for range 3 {
			if !b.admit(tier, "+46700000001") {
				t.Fatal("the first recipient isn't admitted, or not again")
			}
		}
		b.age(tier, 10*time.Hour)
		if !b.admit(tier, "+46700000002") || b.admit(tier, "+46700000003") {
			t.Error("the second recipient isn't admitted, or a third is")
		}
		room, fullFor := b.room(tier)
		if room != 0 || fullFor > 14*time.Hour || fullFor < 14*time.Hour-time.Minute {
			t.Errorf("room for %d, full for %v; want none for 14 h", room, fullFor)
		}
		if !b.admit(tier, "+46700000001") {
			t.Error("one who is counted isn't admitted when it is full")
		}
		if _, fullFor := b.room(tier); fullFor < 24*time.Hour-time.Minute {
			t.Errorf("full for %v; who was written to again counts anew", fullFor)
		}
		b.age(tier, 24*time.Hour)
		if room, _ := b.room(tier); room != 2 {
			t.Errorf("a day later there is room for %d", room)
		}
		if !b.admit(tier, "+46700000003") {
			t.Error("a day later nobody is admitted")
		}
		if n := b.rdb.ZCard(t.Context(), redisdb.Key(tier.Count, "tier")).Val(); n != 1 {
			t.Errorf("%d recipients are kept, want those of the last day", n)
		}
		if ttl := b.rdb.PTTL(t.Context(), redisdb.Key(tier.Count, "tier")).Val(); ttl <= 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("the count is kept for %v", ttl)
		}
	})
}

func TestALowerTierIsFullUntilEnoughHaveLeft(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tier := gateway.Tier{Limit: 5, Count: "pportfolio"}
		for i := range 5 {
			if !b.admit(tier, fmt.Sprintf("+4670000000%d", i)) {
				t.Fatal("not admitted")
			}
			b.age(tier, time.Hour)
		}
		tier.Limit = 2 // they are 1 to 5 hours old: the one of 2 hours has to leave
		room, fullFor := b.room(tier)
		if room != 0 || fullFor > 22*time.Hour || fullFor < 22*time.Hour-time.Minute {
			t.Errorf("room for %d, full for %v; want none for 22 h", room, fullFor)
		}
	})
}

func TestWhatWaitsForTheTierComesBackInOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var ms []gateway.Message
		for i := range 4 {
			m := text(fmt.Sprintf("+4670000000%d", i), "hello")
			if i == 3 {
				m.Priority = gateway.Transactional
			} else {
				m.Priority = gateway.Bulk
			}
			m.CreatedAt = m.CreatedAt.Add(time.Duration(i) * time.Millisecond)
			ms = append(ms, b.accept(m))
		}
		task := func(m gateway.Message, seq int) gateway.Task {
			return gateway.Task{Message: m.ID, Priority: m.Priority, Sequence: seq}
		}
		for _, i := range []int{2, 0, 3, 1} { // not the order of acceptance
			for range 2 { // again, as a client may
				b.must(b.Await(t.Context(), shop, task(ms[i], 0)))
			}
		}
		b.checkCounters()
		c := b.keep()
		if len(c.Tasks) != 0 || c.Beyond != 4 || c.NextIn <= 0 || c.NextIn > 2*time.Hour {
			t.Errorf("Keep: %+v", c)
		}
		if v, _ := b.begin(ms[0].ID, 0, "n"); v != gateway.VerdictDropped {
			t.Errorf("one that waits begins: %s", v)
		}
		if _, err := b.Cancel(t.Context(), ms[1].ID); err != nil {
			t.Fatal(err)
		}
		got, err := b.Release(t.Context(), b.lease, 2)
		b.must(err)
		if d := cmp.Diff([]gateway.Task{task(ms[3], 1), task(ms[0], 1)}, got); d != "" {
			t.Errorf("released first (-want +got):\n%s", d)
		}
		if got, err = b.Release(t.Context(), b.lease, 100); err != nil || len(got) != 1 || got[0].Message != ms[2].ID {
			t.Errorf("released then: %v, %v", got, err)
		}
		b.checkCounters()
		if c := b.keep(); c.Beyond != 0 {
			t.Errorf("%d are said to wait", c.Beyond)
		}
		b.mustBegin(ms[0].ID, 1, "n")
		stranger := b.lease
		stranger.Epoch++
		if _, err := b.Release(t.Context(), stranger, 1); err == nil {
			t.Error("another worker released some")
		}
	})
}

func TestWhoeverIsBehindOneThatWaitsForTheTierWaitsWithIt(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		first, second := b.accept(text("+46700000001", "1")), b.accept(text("+46700000001", "2"))
		b.must(b.Await(t.Context(), shop, gateway.Task{Message: first.ID}))
		if v, _ := b.begin(second.ID, 0, "n"); v != gateway.VerdictBehind {
			t.Fatalf("begin: %s, want behind", v)
		}
		b.must(b.Defer(t.Context(), shop, gateway.Task{Message: second.ID}, time.Millisecond, true))
		if c := b.keep(); c.Beyond != 2 || len(c.Tasks) != 0 {
			t.Errorf("Keep: %+v, want both to wait for room", c)
		}
		got, err := b.Release(t.Context(), b.lease, 2)
		b.must(err)
		if len(got) != 2 || got[0].Message != first.ID {
			t.Errorf("released %v, want the first first", got)
		}
	})
}

func TestWhoWritesGetsWhatWaitedForTheTier(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var ms []gateway.Message
		for i, to := range []string{"+46700000001", "+46700000001", "+46700000002"} {
			ms = append(ms, b.accept(text(to, fmt.Sprint(i))))
			b.must(b.Await(t.Context(), shop, gateway.Task{Message: ms[i].ID}))
		}
		say := gateway.Callback{Inbound: []gateway.Inbound{{From: "+46700000001", At: time.Now()}}}
		for range 2 { // providers repeat themselves
			b.must(b.Apply(t.Context(), shop, say))
		}
		b.checkCounters()
		c := b.keep()
		if len(c.Tasks) != 2 || c.Tasks[0].Message != ms[0].ID || c.Tasks[1].Message != ms[1].ID || c.Beyond != 1 {
			t.Errorf("Keep: %+v, want both messages to who wrote", c)
		}
		b.checkCounters()
	})
}

func TestWhoWritesByAnotherNumberGetsWhatWaitedForTheTier(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		sent, waits := b.accept(text(string(person), "x")), b.accept(text(string(person), "y"))
		b.mustBegin(sent.ID, 0, "n")
		e := yes(sent, "n", "wamid.1")
		e.Alias = "+551187654321"
		b.record(e)
		b.must(b.Await(t.Context(), shop, gateway.Task{Message: waits.ID}))
		b.inbound(gateway.Inbound{From: e.Alias})
		b.checkCounters()
		if c := b.keep(); len(c.Tasks) != 1 || c.Tasks[0].Message != waits.ID || c.Beyond != 0 {
			t.Errorf("Keep: %+v, want what waited", c)
		}
	})
}

func TestOperatorsSeeWhyMessagesWait(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		tier := gateway.Tier{Limit: 1, Count: gateway.PortfolioTag(gateway.WhatsAppCloud, "p")}
		s := store.New(b.rdb, store.Options{
			Retention:    func(gateway.AccountID) gateway.Retention { return b.retention },
			UnknownGrace: func(gateway.AccountID) time.Duration { return b.grace },
			Tier: func(id gateway.AccountID) gateway.Tier {
				if id == shop {
					return tier
				}
				return gateway.Tier{}
			},
		})
		read := func(id gateway.AccountID) *gateway.TierState {
			st, err := s.State(t.Context(), id)
			b.must(err)
			return st.Tier
		}
		if got := read("other"); got != nil {
			t.Errorf("an account without a tier shows %+v", got)
		}
		if d := cmp.Diff(&gateway.TierState{Limit: 1}, read(shop)); d != "" {
			t.Errorf("a fresh tier (-want +got):\n%s", d)
		}
		b.admit(tier, "+46700000001")
		m := b.accept(text("+46700000002", "1"))
		b.must(b.Await(t.Context(), shop, gateway.Task{Message: m.ID}))
		got := read(shop)
		in := time.Until(got.FullUntil)
		got.FullUntil = time.Time{}
		if d := cmp.Diff(&gateway.TierState{Limit: 1, Used: 1, Parked: 1}, got); d != "" || in < 23*time.Hour || in > 24*time.Hour+time.Minute {
			t.Errorf("full for %v (-want +got):\n%s", in, d)
		}
	})
}
