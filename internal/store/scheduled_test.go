package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

var planner = gateway.Lease{Account: "shop", Worker: "w", Epoch: 1}

// newPlanner is a store whose account this worker owns.
func newPlanner(tb testing.TB, url string) (*Store, redis.UniversalClient) {
	tb.Helper()
	rdb, err := redisdb.Open(url, redisdb.ForWorker)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.HSet(tb.Context(), redisdb.OwnerKey(planner.Account), "worker", planner.Worker, "epoch", planner.Epoch).Err(); err != nil {
		tb.Fatal(err)
	}
	return New(rdb, Options{
		Retention: func(gateway.AccountID) gateway.Retention {
			return gateway.Retention{Content: time.Hour, Record: time.Hour, DeadLetter: time.Hour}
		},
		UnknownGrace: func(gateway.AccountID) time.Duration { return time.Minute },
	}), rdb
}

// plan accepts bulk messages that are to be sent at given times.
func plan(tb testing.TB, s *Store, n int, at func(i int) time.Time) map[gateway.MessageID]time.Time {
	tb.Helper()
	now := time.Now()
	batch := gateway.Batch{ID: gateway.NewBatchID(planner.Account, now), Account: planner.Account, CreatedAt: now}
	if _, _, err := s.OpenBatch(tb.Context(), batch, ""); err != nil {
		tb.Fatal(err)
	}
	planned := make(map[gateway.MessageID]time.Time, n)
	var posts []gateway.Post
	for i := range n {
		m := gateway.Message{
			ID: batch.ID.Line(i + 1), Account: planner.Account, Recipient: gateway.Recipient(fmt.Sprintf("+4673%08d", i)),
			Content:  gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "The sale begins."}},
			Priority: gateway.Bulk, OnUnknown: gateway.HoldUnknown, CreatedAt: now.Add(-time.Minute), SendAt: at(i), ExpiresAt: at(i).Add(time.Hour),
		}
		planned[m.ID] = m.SendAt
		if posts = append(posts, gateway.Post{Message: m}); len(posts) == 500 || i == n-1 {
			if _, err := s.AcceptLines(tb.Context(), batch.ID, posts, false); err != nil {
				tb.Fatal(err)
			}
			posts = posts[:0]
		}
	}
	return planned
}

// keepTimes has Redis tell how long each call of Keep takes it.
func keepTimes(tb testing.TB, rdb redis.UniversalClient, during func()) []time.Duration {
	tb.Helper()
	ctx := context.Background()
	for name, value := range map[string]string{"slowlog-log-slower-than": "0", "slowlog-max-len": "100000"} {
		if err := rdb.ConfigSet(ctx, name, value).Err(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := rdb.Do(ctx, "SLOWLOG", "RESET").Err(); err != nil {
		tb.Fatal(err)
	}
	during()
	log, err := rdb.SlowLogGet(ctx, 100_000).Result()
	if err != nil {
		tb.Fatal(err)
	}
	var took []time.Duration
	for _, l := range log {
		if len(l.Args) > 1 && l.Args[1] == keepScript.Hash() {
			took = append(took, l.Duration)
		}
	}
	slices.Sort(took)
	return took
}

func TestNothingScheduledComesEarlyOrLate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		s, _ := newPlanner(t, url)
		r := rand.New(rand.NewPCG(5, 5))
		start := time.Now().Add(time.Second).Truncate(time.Millisecond)
		waiting := plan(t, s, 400, func(int) time.Time { return start.Add(time.Duration(r.IntN(2000)) * time.Millisecond) })
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		stop := time.After(30 * time.Second)
		var worst time.Duration
		var order []time.Time
		for len(waiting) > 0 {
			select {
			case <-tick.C:
			case <-stop:
				t.Fatalf("%d never came", len(waiting))
			}
			asked := time.Now()
			c, err := s.Keep(t.Context(), planner, 8)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			for _, task := range c.Tasks {
				due, ok := waiting[task.Message]
				if !ok {
					t.Fatal("one came twice")
				}
				if now.Before(due) {
					t.Errorf("one came %v early", due.Sub(now))
				}
				worst = max(worst, asked.Sub(due))
				order = append(order, due)
				delete(waiting, task.Message)
			}
			if err := s.Enqueued(t.Context(), planner.Account, c.Tasks...); err != nil {
				t.Fatal(err)
			}
		}
		if worst > time.Second {
			t.Errorf("one came %v late", worst)
		}
		if !slices.IsSortedFunc(order, time.Time.Compare) {
			t.Error("they came in another order than they are due")
		}
	})
}

// What is due at one time comes in pieces, none of which holds Redis up.
func TestManyScheduledForOneSecondComeInSmallPieces(t *testing.T) {
	s, rdb := newPlanner(t, redistest.New(t).URL)
	const n = 20_000
	due, rounds := time.Now().Add(-time.Millisecond), 0
	waiting := plan(t, s, n, func(int) time.Time { return due })
	took := keepTimes(t, rdb, func() {
		for len(waiting) > 0 {
			c, err := s.Keep(t.Context(), planner, 8)
			rounds++
			if err != nil || len(c.Tasks) == 0 || len(c.Tasks) > 2*keepLimit {
				t.Fatalf("%+v with %d waiting, %v", c, len(waiting), err)
			}
			for _, task := range c.Tasks {
				delete(waiting, task.Message)
			}
			if len(waiting) > 0 && !c.More {
				t.Fatalf("with %d waiting it says there is no more", len(waiting))
			}
			if err := s.Enqueued(t.Context(), planner.Account, c.Tasks...); err != nil {
				t.Fatal(err)
			}
		}
	})
	// The median: a busy machine may stop Redis amid any one of them.
	if median := took[len(took)/2]; median > 10*time.Millisecond {
		t.Errorf("half of the pieces hold Redis up for %v and more", median)
	}
	t.Logf("%d calls, the last %d: median %v, 99%% %v, longest %v", rounds, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

// BenchmarkScheduledForOneSecond is how fast half a million come that are due at
// one time, and what a piece costs Redis.
func BenchmarkScheduledForOneSecond(b *testing.B) {
	const n = 500_000
	for b.Loop() {
		b.StopTimer()
		s, rdb := newPlanner(b, redistest.New(b).URL)
		due := time.Now().Add(-time.Millisecond)
		plan(b, s, n, func(int) time.Time { return due })
		came := 0
		b.StartTimer()
		took := keepTimes(b, rdb, func() {
			for came < n {
				c, err := s.Keep(b.Context(), planner, 8)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Enqueued(b.Context(), planner.Account, c.Tasks...); err != nil {
					b.Fatal(err)
				}
				came += len(c.Tasks)
			}
		})
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-us/piece")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us/piece")
		b.ReportMetric(float64(took[len(took)-1].Microseconds()), "longest-us/piece")
		b.ReportMetric(float64(n)/cmp.Or(b.Elapsed().Seconds(), 1), "messages/s")
	}
}
