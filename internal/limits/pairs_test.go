package limits

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/gateway"
)

const (
	anna = gateway.Recipient("+46732001122")
	bert = gateway.Recipient("+46732001133")
)

var cloudPairs = gateway.PairLimit{Every: 6 * time.Second, Burst: 45}

func newPairs(limit gateway.PairLimit) *Pairs {
	l := NewPairs()
	l.SetLimit(limit)
	return l
}

// receiver counts arrivals as the provider does, without any of our own
// arithmetic: at no time may more have come than a bucket of 45, which leaks one
// in six seconds, takes.
type receiver struct {
	mu     sync.Mutex
	level  map[gateway.Recipient]float64
	looked map[gateway.Recipient]time.Time
	over   int
}

func (r *receiver) arrive(to gateway.Recipient) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.level[to] = max(r.level[to]-now.Sub(r.looked[to]).Seconds()/6, 0)
	r.looked[to] = now
	if r.level[to]+1 > 45 {
		r.over++
		return
	}
	r.level[to]++
}

// send takes a message through the limit as the desk does: those of one
// recipient and priority begin one after the other, and each arrives before the
// next begins.
func send(l *Pairs, r *receiver, turn chan struct{}, to gateway.Recipient, p gateway.Priority, id gateway.MessageID, late time.Duration) {
	for {
		wait := l.Enter(to, p, id)
		if wait == 0 {
			break
		}
		sleepVirtual(wait)
	}
	turn <- struct{}{} // a mutex would stall the bubble's clock
	defer func() { <-turn }()
	l.Begin(to)
	sleepVirtual(late)
	r.arrive(to)
}

func TestOneRecipientGetsTheBurstAndThenOneInAnInterval(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(11, seed))
				l := newPairs(cloudPairs)
				r := &receiver{level: map[gateway.Recipient]float64{}, looked: map[gateway.Recipient]time.Time{}}
				var wg sync.WaitGroup
				turns := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
				start := time.Now()
				for i := range 60 {
					p := gateway.Priorities()[i%2]
					late := time.Duration(rnd.IntN(80)) * time.Millisecond
					if seed%2 == 1 && rnd.IntN(10) == 0 {
						late = time.Duration(rnd.IntN(6000)) * time.Millisecond // a slow connection
					}
					wg.Go(func() {
						send(l, r, turns[i%2], anna, p, gateway.MessageID(fmt.Sprintf("%03d", i)), late)
					})
					sleepVirtual(time.Duration(rnd.IntN(50)) * time.Millisecond)
				}
				wg.Wait()
				if r.over != 0 {
					t.Errorf("the provider refused %d", r.over)
				}
				most := (60-45+pairSpare)*6*time.Second + 12*time.Second
				if took := time.Since(start); took > most {
					t.Errorf("60 messages took %v, want %v at most", took, most)
				}
			})
		})
	}
}

func TestOtherRecipientsAreNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(cloudPairs)
		for i := range 60 {
			if l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i))) == 0 {
				l.Begin(anna)
			}
		}
		if l.Enter(anna, gateway.Bulk, "last") == 0 {
			t.Error("one more to the same recipient got in")
		}
		if wait := l.Enter(bert, gateway.Bulk, "other"); wait != 0 {
			t.Errorf("another recipient waits %v", wait)
		}
	})
}

func TestWhoWaitsComesOnceEachInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		if l.Enter(anna, gateway.Bulk, "0") != 0 {
			t.Fatal("the first has to wait")
		}
		l.Begin(anna)
		var waits []time.Duration
		for i := range 5 {
			waits = append(waits, l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i+1))))
		}
		for i, got := range waits {
			if want := time.Duration(i+1) * 6 * time.Second; got != want {
				t.Errorf("message %d waits %v, want %v", i+1, got, want)
			}
		}
		if got := l.Enter(anna, gateway.Bulk, "3"); got != 18*time.Second {
			t.Errorf("who comes early is told %v, want 18s still", got)
		}
		sleepVirtual(6 * time.Second)
		if got := l.Enter(anna, gateway.Bulk, "newcomer"); got != 30*time.Second {
			t.Errorf("a newcomer waits %v, want 30s: those who wait are before it", got)
		}
		if got := l.Enter(anna, gateway.Bulk, "1"); got != 0 {
			t.Errorf("the first that was put off waits %v more", got)
		}
		l.Begin(anna)
	})
}

func TestTransactionalDoesNotWaitForBulkThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		l.Enter(anna, gateway.Bulk, "0")
		l.Begin(anna)
		for _, id := range []gateway.MessageID{"1", "2", "3"} {
			l.Enter(anna, gateway.Bulk, id)
		}
		if got := l.Enter(anna, gateway.Transactional, "code"); got != 6*time.Second {
			t.Fatalf("a code waits %v behind three bulk messages, want 6s", got)
		}
		sleepVirtual(6 * time.Second)
		if l.Enter(anna, gateway.Transactional, "code") != 0 {
			t.Fatal("and then again")
		}
		l.Begin(anna)
		// The bulk messages move back by one, and keep their order.
		for i := 1; i <= 3; i++ {
			want := time.Duration(i) * 6 * time.Second
			if got := l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i))); got != want {
				t.Errorf("bulk message %d waits %v, want %v", i, got, want)
			}
		}
	})
}

func TestARefusalMakesAllOfTheRecipientWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(cloudPairs)
		if l.Enter(anna, gateway.Bulk, "1") != 0 {
			t.Fatal("the first has to wait")
		}
		l.Begin(anna)
		l.Refused(anna, 16*time.Second)
		if got := l.Enter(anna, gateway.Bulk, "2"); got != 16*time.Second {
			t.Errorf("the next waits %v, want 16s", got)
		}
		if got := l.Enter(anna, gateway.Bulk, "3"); got != 22*time.Second {
			t.Errorf("the one after it waits %v, want 22s", got)
		}
		if got := l.Enter(bert, gateway.Bulk, "4"); got != 0 {
			t.Errorf("another recipient waits %v", got)
		}
	})
}

func TestWhoLeavesIsNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		for range 3 {
			if got := l.Enter(anna, gateway.Bulk, "1"); got != 0 {
				t.Fatalf("it waits %v", got)
			}
			l.Leave(anna, gateway.Bulk, "1")
		}
	})
}

func TestWhoLeavesKeepsTheirPlaceBeforeThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		l.Enter(anna, gateway.Bulk, "0")
		l.Begin(anna)
		for _, id := range []gateway.MessageID{"1", "2", "3"} {
			l.Enter(anna, gateway.Bulk, id)
		}
		sleepVirtual(6 * time.Second)
		if l.Enter(anna, gateway.Bulk, "1") != 0 {
			t.Fatal("the first that was put off has to wait again")
		}
		l.Leave(anna, gateway.Bulk, "1") // it is behind another
		sleepVirtual(500 * time.Millisecond)
		if got := l.Enter(anna, gateway.Bulk, "1"); got != 0 {
			t.Errorf("when it comes again it waits %v", got)
		}
		l.Leave(anna, gateway.Bulk, "1")
		sleepVirtual(5500 * time.Millisecond)
		if l.Enter(anna, gateway.Bulk, "2") != 0 { // it takes the place
			t.Fatal("the second has to wait again")
		}
		l.Begin(anna)
		for _, c := range []struct {
			id   gateway.MessageID
			want time.Duration
		}{{"1", 6 * time.Second}, {"3", 12 * time.Second}, {"newcomer", 18 * time.Second}} {
			if got := l.Enter(anna, gateway.Bulk, c.id); got != c.want {
				t.Errorf("%s waits %v, want %v", c.id, got, c.want)
			}
		}
	})
}

func TestWithoutALimitNobodyWaitsAndNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(cloudPairs)
		for i := range 60 {
			if l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i))) == 0 && i%2 == 0 {
				l.Begin(anna)
			}
		}
		l.SetLimit(gateway.PairLimit{})
		for i := range 1000 {
			if wait := l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i))); wait != 0 {
				t.Fatalf("message %d waits %v", i, wait)
			}
			l.Begin(anna)
		}
		l.Refused(anna, time.Hour)
		if len(l.pairs) != 0 || l.promises != 0 {
			t.Errorf("%d pairs and %d promises are kept", len(l.pairs), l.promises)
		}
	})
}

func TestPairsThatOweNothingAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		most := 0
		for i := range 4 * pairsKept {
			to := gateway.Recipient(fmt.Sprintf("+46%d", i))
			if l.Enter(to, gateway.Bulk, "first") == 0 {
				l.Begin(to)
			}
			if i%100 == 0 {
				l.Enter(to, gateway.Bulk, "cancelled while it waits")
			}
			most = max(most, len(l.pairs))
			sleepVirtual(time.Millisecond)
		}
		// 6,000 owe at any time, and 600 made promises within the last minute.
		if most > 2*pairsKept {
			t.Errorf("%d recipients were remembered at one time", most)
		}
		if l.promises > 2*2*pairsKept/100*6 {
			t.Errorf("%d promises are kept", l.promises)
		}
	})
}

func TestPromisesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPairs(gateway.PairLimit{Every: 6 * time.Second, Burst: 1 + pairSpare})
		l.Enter(anna, gateway.Bulk, "first")
		l.Begin(anna)
		var waits []time.Duration
		for i := range promisesKept + 10 {
			waits = append(waits, l.Enter(anna, gateway.Bulk, gateway.MessageID(fmt.Sprint(i))))
		}
		if l.promises != promisesKept || !slices.IsSorted(waits) || waits[len(waits)-1] <= waits[promisesKept-1] {
			t.Errorf("%d promises; the last waits %v and %v", l.promises, waits[promisesKept-1], waits[len(waits)-1])
		}
	})
}
