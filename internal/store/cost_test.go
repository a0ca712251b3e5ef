package store

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

var evalshaUsec = regexp.MustCompile(`cmdstat_evalsha:calls=(\d+),usec=(\d+)`)

// spentIn reads what Redis has spent in scripts so far.
func spentIn(tb testing.TB, rdb redis.UniversalClient) (calls, usec float64) {
	info, err := rdb.Info(context.Background(), "commandstats").Result()
	if err != nil {
		tb.Fatal(err)
	}
	m := evalshaUsec.FindStringSubmatch(info)
	if m == nil {
		return 0, 0
	}
	calls, _ = strconv.ParseFloat(m[1], 64)
	usec, _ = strconv.ParseFloat(m[2], 64)
	return calls, usec
}

// BenchmarkMessage is what one message costs Redis in each step of its life,
// and in memory.
func BenchmarkMessage(b *testing.B) {
	ctx := b.Context()
	rdb, err := redisdb.Open(redistest.Start(b), redisdb.ForWorker)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	rdb.ConfigSet(ctx, "hash-max-listpack-value", "2048")
	s := New(rdb, Options{
		Retention: func(gateway.AccountID) gateway.Retention {
			return gateway.Retention{Content: time.Hour, Record: 24 * time.Hour, DeadLetter: 24 * time.Hour}
		},
		UnknownGrace: func(gateway.AccountID) time.Duration { return time.Minute },
	})
	const n = 20000
	ids := make([]gateway.MessageID, n)
	lease := gateway.Lease{Account: "shop", Worker: "w", Epoch: 1}
	rdb.HSet(ctx, redisdb.Key(lease.Account.Tag(), "owner"), "worker", "w", "epoch", 1)
	memory := func() float64 {
		info, _ := rdb.Info(ctx, "memory").Result()
		m := regexp.MustCompile(`used_memory_dataset:(\d+)`).FindStringSubmatch(info)
		v, _ := strconv.ParseFloat(m[1], 64)
		return v
	}
	step := func(name string, each func(i int) error) {
		m0 := memory()
		_, u0 := spentIn(b, rdb)
		for i := range n {
			if err := each(i); err != nil {
				b.Fatal(name, err)
			}
		}
		_, u1 := spentIn(b, rdb)
		fmt.Printf("%-10s %.1f us  %+.0f bytes\n", name, (u1-u0)/n, (memory()-m0)/n)
	}
	for range 1 {
		body := strings.Repeat("x", 300)
		step("accept", func(i int) error {
			m := gateway.Message{
				ID: gateway.NewMessageID("shop", time.Now()), Account: "shop", Recipient: gateway.Recipient(fmt.Sprintf("+4673%08d", i)),
				Content:  gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: body}},
				Priority: gateway.Bulk, OnUnknown: gateway.HoldUnknown,
				CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			}
			ids[i] = m.ID
			_, err := s.Accept(ctx, gateway.Post{Message: m})
			return err
		})
		step("enqueued", func(i int) error {
			return s.Enqueued(ctx, "shop", gateway.Task{Message: ids[i], Priority: gateway.Bulk})
		})
		step("load", func(i int) error { _, _, err := s.Load(ctx, "shop", ids[i]); return err })
		step("begin", func(i int) error {
			_, _, err := s.Begin(ctx, gateway.Intent{Lease: lease, Task: gateway.Task{Message: ids[i]}, Nonce: "n" + strconv.Itoa(i), Deadline: time.Minute})
			return err
		})
		step("record", func(i int) error {
			return s.Record(ctx, "shop", gateway.Ending{Message: ids[i], Nonce: "n" + strconv.Itoa(i), Next: gateway.StatusAccepted,
				Attempt: gateway.Attempt{Number: 1, StartedAt: time.Now(), EndedAt: time.Now(), Outcome: gateway.OutcomeAccepted}, ProviderMessageID: gateway.ProviderMessageID("wamid.HBgLNDY3MzIwMDExMjIVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA" + strconv.Itoa(i)), Spent: true})
		})
		for _, st := range []gateway.Status{gateway.StatusSent, gateway.StatusDelivered, gateway.StatusRead} {
			step(string(st), func(i int) error {
				return s.Apply(ctx, "shop", gateway.Callback{Receipts: []gateway.Receipt{{Message: ids[i], Status: st, At: time.Now()}}})
			})
		}
		step("eval", func(i int) error { return s.remind(ctx, "shop", 0) })
	}
}
