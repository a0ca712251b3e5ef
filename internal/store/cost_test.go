package store_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
	"sluice/internal/store"
)

// meter reads what a Redis has used up.
type meter struct {
	b   *testing.B
	rdb redis.UniversalClient
}

func (m meter) read(section, field string) float64 {
	m.b.Helper()
	info, err := m.rdb.Info(m.b.Context(), section).Result()
	if err != nil {
		m.b.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + field + `:([0-9.]+)`).FindStringSubmatch(info)
	if found == nil {
		m.b.Fatalf("INFO %s has no %s", section, field)
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		m.b.Fatal(err)
	}
	return v
}

func (m meter) cpu() float64 {
	return (m.read("cpu", "used_cpu_user") + m.read("cpu", "used_cpu_sys")) * 1e6
}

func (m meter) bytes() float64 { return m.read("memory", "used_memory_dataset") }

func (m meter) commands() float64 { return m.read("stats", "total_commands_processed") }

// BenchmarkLife takes messages through their life, step by step, with 64 callers
// whose scripts travel together, and reports what each step costs Redis: CPU and
// memory for each message.
func BenchmarkLife(b *testing.B) {
	const messages, callers = 30_000, 64
	url := redistest.Start(b)
	direct, err := redisdb.Open(url, redisdb.ForWorker)
	if err != nil {
		b.Fatal(err)
	}
	rdb, err := redisdb.Pipelined(direct)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	rdb.ConfigSet(b.Context(), "hash-max-listpack-value", "2048")
	s := store.New(rdb, store.Options{
		Retention: func(gateway.AccountID) gateway.Retention {
			return gateway.Retention{Content: 24 * time.Hour, Record: 168 * time.Hour, DeadLetter: 720 * time.Hour}
		},
		UnknownGrace: func(gateway.AccountID) time.Duration { return time.Minute },
	})
	lease := gateway.Lease{Account: shop, Worker: "w", Epoch: 1}
	rdb.HSet(b.Context(), redisdb.OwnerKey(shop), "worker", lease.Worker, "epoch", lease.Epoch)
	m := meter{b, direct}

	ctx := b.Context()
	ids := make([]gateway.MessageID, messages)
	nonce := func(i int) string { return fmt.Sprintf("n%09d", i) }
	body := strings.Repeat("x", 300)
	message := func(i int) gateway.Message {
		msg := text(fmt.Sprintf("+4673%08d", i), body)
		msg.Priority, msg.ExpiresAt = gateway.Bulk, msg.CreatedAt.Add(24*time.Hour)
		return msg
	}
	receipt := func(status gateway.Status) func(int) error {
		return func(i int) error {
			return s.Apply(ctx, shop, gateway.Callback{Receipts: []gateway.Receipt{{Message: ids[i], Status: status}}})
		}
	}
	steps := []struct {
		name string
		do   func(i int) error
	}{
		{"accept", func(i int) error {
			msg := message(i)
			ids[i] = msg.ID
			_, err := s.Accept(ctx, gateway.Post{Message: msg})
			return err
		}},
		{"strike", func(i int) error { return s.Enqueued(ctx, shop, gateway.Task{Message: ids[i]}) }},
		{"load", func(i int) error {
			_, _, err := s.Load(ctx, shop, ids[i])
			return err
		}},
		{"begin", func(i int) error {
			_, _, err := s.Begin(ctx, gateway.Intent{Lease: lease, Task: gateway.Task{Message: ids[i]}, Nonce: nonce(i), Deadline: time.Minute})
			return err
		}},
		{"record", func(i int) error {
			at := time.Now()
			return s.Record(ctx, shop, gateway.Ending{
				Message: ids[i], Nonce: nonce(i), Next: gateway.StatusAccepted, Spent: true,
				ProviderMessageID: gateway.ProviderMessageID(fmt.Sprintf("wamid.HBgLNDY3MzIwMDExMjIVAgARGBI5QTNDQTVCM0Q0Q0Q2RT%08d", i)),
				Attempt:           gateway.Attempt{Number: 1, StartedAt: at, EndedAt: at.Add(80 * time.Millisecond), Outcome: gateway.OutcomeAccepted},
			})
		}},
		{"sent", receipt(gateway.StatusSent)},
		{"delivered", receipt(gateway.StatusDelivered)},
		{"read", receipt(gateway.StatusRead)},
	}
	for b.Loop() {
		for _, step := range steps {
			cpu, bytes, commands := m.cpu(), m.bytes(), m.commands()
			var next atomic.Int64
			var running sync.WaitGroup
			for range callers {
				running.Go(func() {
					for i := int(next.Add(1)) - 1; i < messages; i = int(next.Add(1)) - 1 {
						if err := step.do(i); err != nil {
							b.Error(step.name, err)
						}
					}
				})
			}
			running.Wait()
			b.ReportMetric((m.cpu()-cpu)/messages, "redis-us/"+step.name)
			b.ReportMetric((m.bytes()-bytes)/messages, "bytes/"+step.name)
			b.ReportMetric((m.commands()-commands)/messages, "commands/"+step.name)
		}
	}
}
