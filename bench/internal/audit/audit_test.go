package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
	"sluice/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shop = gateway.AccountID("shop")

func open(t *testing.T) redis.UniversalClient {
	t.Helper()
	rdb, err := redisdb.Open(redistest.Start(t), redisdb.ForAPI)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// populate has a message in each state, written by the store itself, and
// returns them by what they are.
func populate(t *testing.T, rdb redis.UniversalClient) map[string]gateway.MessageID {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lease := gateway.Lease{Account: shop, Worker: "w1", Epoch: 1}
	must(rdb.HSet(ctx, redisdb.OwnerKey(shop), "worker", lease.Worker, "epoch", lease.Epoch).Err())
	st := store.New(rdb, store.Options{
		Retention: func(gateway.AccountID) gateway.Retention {
			return gateway.Retention{Content: time.Hour, Record: time.Hour, DeadLetter: time.Hour}
		},
		UnknownGrace: func(gateway.AccountID) time.Duration { return time.Minute },
	})
	ids := make(map[string]gateway.MessageID)
	message := func(id gateway.MessageID, to string) gateway.Message {
		now := time.Now()
		return gateway.Message{
			ID: id, Account: shop, Recipient: gateway.Recipient(to), OnUnknown: gateway.HoldUnknown, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			Content: gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: "Hello"}},
		}
	}
	add := func(name string, p gateway.Priority, change func(*gateway.Message)) gateway.Task {
		m := message(gateway.NewMessageID(shop, time.Now()), fmt.Sprintf("+4673000%04d", len(ids)))
		m.Priority = p
		change(&m)
		_, err := st.Accept(ctx, gateway.Post{Message: m})
		must(err)
		ids[name] = m.ID
		return gateway.Task{Message: m.ID, Priority: p}
	}
	begin := func(task gateway.Task) {
		v, _, err := st.Begin(ctx, gateway.Intent{Lease: lease, Task: task, Nonce: "n", Deadline: time.Minute})
		must(err)
		if v != gateway.VerdictBegun {
			t.Fatalf("begin: %s", v)
		}
	}
	record := func(task gateway.Task, e gateway.Ending) {
		e.Message, e.Nonce, e.Attempt = task.Message, "n", gateway.Attempt{Number: 1, StartedAt: time.Now(), EndedAt: time.Now(), Outcome: gateway.OutcomeAccepted}
		must(st.Record(ctx, shop, e))
	}
	as := func(*gateway.Message) {}

	add("queued", gateway.Bulk, func(m *gateway.Message) { m.Reference = "order-1" })
	add("scheduled", gateway.Transactional, func(m *gateway.Message) { m.SendAt = time.Now().Add(time.Hour) })
	must(st.Defer(ctx, shop, add("parked", gateway.Bulk, as), time.Minute, false))
	begin(add("sending", gateway.Transactional, as))
	accepted := add("accepted", gateway.Transactional, as)
	begin(accepted)
	record(accepted, gateway.Ending{Next: gateway.StatusAccepted, Spent: true, ProviderMessageID: "wamid.1"})
	retried := add("retried", gateway.Transactional, as)
	begin(retried)
	record(retried, gateway.Ending{Next: gateway.StatusQueued, Spent: true, RetryIn: time.Minute})
	add("cancelled", gateway.Transactional, as)
	_, err := st.Cancel(ctx, ids["cancelled"])
	must(err)

	batch := func(name string, lines int) gateway.BatchID {
		now := time.Now()
		id, _, err := st.OpenBatch(ctx, gateway.Batch{ID: gateway.NewBatchID(shop, now), Account: shop, CreatedAt: now}, "")
		must(err)
		var posts []gateway.Post
		for n := 1; n <= lines; n++ {
			m := message(id.Line(n), fmt.Sprintf("+4674%03d%04d", len(ids), n))
			m.Priority, m.Batch = gateway.Bulk, id
			posts = append(posts, gateway.Post{Message: m})
		}
		_, err = st.AcceptLines(ctx, id, posts, false)
		must(err)
		ids[name] = posts[0].Message.ID
		return id
	}
	batch("first of a batch", 2)
	_, err = st.CancelBatch(ctx, batch("first of a cancelled batch", 2))
	must(err)
	return ids
}

func TestWhatTheStoreWritesAddsUp(t *testing.T) {
	rdb := open(t)
	ids := populate(t, rdb)
	r, err := Recount(t.Context(), rdb, []gateway.AccountID{shop, "another"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"q": 7, "h": 1, "s": 1, "a": 1, "c": 1}, r.ByStatus); diff != "" {
		t.Errorf("by status (-want +got):\n%s", diff)
	}
	if r.Records != 11 || len(r.Problems) != 0 {
		t.Errorf("%d records, problems %q", r.Records, r.Problems)
	}
	if got := r.Statuses[string(ids["parked"])]; got != "q" {
		t.Errorf("the parked one has status %q", got)
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	rdb := open(t)
	key := func(name string) string { return redisdb.Key(shop.Tag(), name) }
	for name, tc := range map[string]struct {
		tamper func(context.Context, map[string]gateway.MessageID) error
		want   string
	}{
		"a counter that is one too high": {
			func(ctx context.Context, _ map[string]gateway.MessageID) error {
				return rdb.HIncrBy(ctx, key("n"), "bp", 1).Err()
			}, "the counter bp is 4, and 3 records are so",
		},
		"a counter that nothing belongs to": {
			func(ctx context.Context, _ map[string]gateway.MessageID) error {
				return rdb.HIncrBy(ctx, key("n"), "ba", 1).Err()
			}, "the counter ba is 1, and 0 records are so",
		},
		"a record that is gone": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.Del(ctx, key("m:"+ids["accepted"].Local())).Err()
			}, "the index names a record that isn't there",
		},
		"an index entry that is left": {
			func(ctx context.Context, _ map[string]gateway.MessageID) error {
				return rdb.ZAdd(ctx, key("ix"), redis.Z{Member: "r0123456789ab" + "x"}).Err()
			}, "ix has 25 entries, and the records want 24",
		},
		"an alarm that is missing": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.HSet(ctx, key("m:"+ids["queued"].Local()), "tb", "1").Err()
			}, "the timer won't look at",
		},
		"an alarm of nobody": {
			func(ctx context.Context, _ map[string]gateway.MessageID) error {
				return errors.Join(rdb.RPush(ctx, key("tm:7"), "x").Err(), rdb.ZAdd(ctx, key("timer"), redis.Z{Score: 7, Member: "7"}).Err())
			}, "the timer will look at x, which isn't there",
		},
		"an alarm at which nothing is due": {
			func(ctx context.Context, _ map[string]gateway.MessageID) error {
				return rdb.ZAdd(ctx, key("timer"), redis.Z{Score: 7, Member: "7"}).Err()
			}, "the timer names 7",
		},
		"a batch's counter that is one too high": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.HIncrBy(ctx, key("b:"+ids["first of a batch"].Local()[:batchName]), "bp", 1).Err()
			}, "'s counter bp is 3, and 2 records are so",
		},
		"a batch's end that is counted twice": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.HIncrBy(ctx, key("b:"+ids["first of a cancelled batch"].Local()[:batchName]), "c", 1).Err()
			}, "counts 1 messages that aren't there, and 0 are gone",
		},
		"a batch that isn't listed": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZRem(ctx, key("bl"), ids["first of a batch"].Local()[:batchName]).Err()
			}, "belongs to a batch that isn't there",
		},
		"one in flight that nobody would miss": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZRem(ctx, key("fly"), ids["sending"].Local()).Err()
			}, "fly lacks",
		},
		"one in flight that has ended": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZAdd(ctx, key("fly"), redis.Z{Member: ids["accepted"].Local()}).Err()
			}, `which has status "a"`,
		},
		"one that is parked for ever": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZRem(ctx, key("parkb"), ids["parked"].Local()).Err()
			}, "parkb lacks",
		},
		"one that is parked in the other lane": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZAdd(ctx, key("parkt"), redis.Z{Member: ids["parked"].Local()}).Err()
			}, "parkt holds",
		},
		"one that waits without a task": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZRem(ctx, key("out"), ids["queued"].Local()+"#0").Err()
			}, "waits, and has no task",
		},
		"a line of the outbox for one that ended": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.ZAdd(ctx, key("out"), redis.Z{Member: ids["cancelled"].Local() + "#0"}).Err()
			}, "which doesn't wait",
		},
		"a line that somebody left without leaving": {
			func(ctx context.Context, ids map[string]gateway.MessageID) error {
				return rdb.HSet(ctx, key("lw"), "t"+hash("+4673"), ids["accepted"].Local()).Err()
			}, "is the last in line",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := tc.tamper(t.Context(), populate(t, rdb)); err != nil {
				t.Fatal(err)
			}
			r, err := Recount(t.Context(), rdb, []gateway.AccountID{shop})
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(r.Problems, "\n"); !strings.Contains(all, tc.want) {
				t.Errorf("found %q, want something with %q", all, tc.want)
			}
		})
	}
}

func TestATaskOfAsynqIsEnoughForOneThatWaits(t *testing.T) {
	rdb := open(t)
	ids := populate(t, rdb)
	queued := ids["queued"]
	if err := rdb.ZRem(t.Context(), redisdb.Key(shop.Tag(), "out"), queued.Local()+"#0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.LPush(t.Context(), "asynq:{shop:bulk}:pending", string(queued)).Err(); err != nil {
		t.Fatal(err)
	}
	r, err := Recount(t.Context(), rdb, []gateway.AccountID{shop})
	if err != nil || len(r.Problems) > 0 {
		t.Errorf("problems %q, %v", r.Problems, err)
	}
}

func TestTheLedgerAndTheStatusesAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		status  string
		arrived []string
		want    string // empty: nothing
	}{
		"accepted, and arrived":                {"a", []string{"m"}, ""},
		"read, and never arrived":              {"r", nil, "the provider never got it"},
		"delivered, and arrived twice":         {"d", []string{"m", "m"}, "more than once"},
		"queued, and arrived":                  {"q", []string{"m"}, "and the provider got it"},
		"queued":                               {"q", nil, ""},
		"unknown, and arrived":                 {"u", []string{"m"}, ""},
		"unknown, and didn't":                  {"u", nil, ""},
		"accepted beside one without a record": {"a", []string{"m", "x"}, "the provider got x"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(Ledger(map[string]string{"m": tc.status}, tc.arrived), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestKindsSumUpKeysOfOnePattern(t *testing.T) {
	rdb := open(t)
	populate(t, rdb)
	if err := rdb.Set(t.Context(), redisdb.WorkersKey("live:w1"), "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	kinds, err := Kinds(t.Context(), rdb)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Kind)
	for _, k := range kinds {
		if k.Bytes == 0 {
			t.Errorf("%s takes no room", k.Pattern)
		}
		k.Bytes = 0
		got[k.Pattern] = k
	}
	for _, want := range []Kind{
		{Pattern: "sl:{account}:m:…", OfOne: true, Keys: 11},
		{Pattern: "sl:{account}:ix", Keys: 1},
		{Pattern: "sl:{account}:live:…", Keys: 1},
	} {
		if diff := cmp.Diff(want, got[want.Pattern]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Pattern, diff)
		}
	}
}
