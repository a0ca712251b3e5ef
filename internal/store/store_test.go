package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
	"sluice/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

const shop = gateway.AccountID("shop")

// bench is a store over an empty Redis, with an owner for shop.
type bench struct {
	*store.Store
	t         *testing.T
	rdb       redis.UniversalClient
	keys      func(pattern string) []string // whatever node has them
	lease     gateway.Lease
	retention gateway.Retention
	grace     time.Duration
	polls     bool
	lookups   bool
}

func newBench(t *testing.T, url string) *bench {
	t.Helper()
	return newBenchFor(t, url, redisdb.ForAPI, 0)
}

func newBenchFor(t *testing.T, url string, use redisdb.Use, replicas int) *bench {
	t.Helper()
	direct, err := redisdb.Open(url, use)
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := redisdb.Pipelined(direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	b := &bench{
		t: t, rdb: rdb, keys: func(pattern string) []string { return keys(t, direct, pattern) },
		lease:     gateway.Lease{Account: shop, Worker: "w1", Epoch: 7},
		retention: gateway.Retention{Content: time.Hour, Record: 2 * time.Hour, DeadLetter: 3 * time.Hour},
		grace:     time.Minute,
	}
	b.Store = store.New(rdb, store.Options{
		Retention:    func(gateway.AccountID) gateway.Retention { return b.retention },
		UnknownGrace: func(gateway.AccountID) time.Duration { return b.grace },
		Polls:        func(gateway.AccountID) bool { return b.polls },
		Lookups:      func(gateway.AccountID) bool { return b.lookups },
		WaitReplicas: replicas,
	})
	b.own(b.lease)
	return b
}

func keys(t *testing.T, rdb redis.UniversalClient, pattern string) (all []string) {
	t.Helper()
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return rdb.Keys(t.Context(), pattern).Val()
	}
	var mu sync.Mutex
	if err := cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		found, err := node.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func (b *bench) own(l gateway.Lease) {
	b.t.Helper()
	b.must(b.rdb.HSet(b.t.Context(), redisdb.OwnerKey(l.Account), "worker", l.Worker, "epoch", l.Epoch).Err())
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func text(to, body string) gateway.Message {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return gateway.Message{
		ID: gateway.NewMessageID(shop, time.Now()), Account: shop, Recipient: gateway.Recipient(to),
		Content:  gateway.Content{Type: gateway.TypeText, Text: &gateway.Text{Body: body}},
		Priority: gateway.Transactional, OnUnknown: gateway.HoldUnknown, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func (b *bench) accept(m gateway.Message) gateway.Message {
	b.t.Helper()
	if _, err := b.Accept(b.t.Context(), gateway.Post{Message: m}); err != nil {
		b.t.Fatal(err)
	}
	return m
}

func (b *bench) get(id gateway.MessageID) *gateway.Record {
	b.t.Helper()
	r, err := b.Get(b.t.Context(), id)
	b.must(err)
	return r
}

func (b *bench) begin(id gateway.MessageID, seq int, nonce string) (gateway.Verdict, int) {
	b.t.Helper()
	v, n, err := b.Begin(b.t.Context(), b.intent(id, seq, nonce))
	b.must(err)
	return v, n
}

func (b *bench) intent(id gateway.MessageID, seq int, nonce string) gateway.Intent {
	return gateway.Intent{
		Lease: b.lease, Nonce: nonce, Deadline: time.Minute,
		Task: gateway.Task{Message: id, Priority: gateway.Transactional, Sequence: seq},
	}
}

func (b *bench) mustBegin(id gateway.MessageID, seq int, nonce string) {
	b.t.Helper()
	if v, _ := b.begin(id, seq, nonce); v != gateway.VerdictBegun {
		b.t.Fatalf("begin: %s", v)
	}
}

func (b *bench) record(e gateway.Ending) {
	b.t.Helper()
	if e.Attempt.Number == 0 {
		e.Attempt = gateway.Attempt{Number: 1, StartedAt: time.UnixMilli(1), EndedAt: time.UnixMilli(2), Outcome: gateway.OutcomeAccepted}
	}
	b.must(b.Record(b.t.Context(), shop, e))
}

func (b *bench) keep() gateway.Chores {
	b.t.Helper()
	c, err := b.Keep(b.t.Context(), b.lease, 8)
	b.must(err)
	return c
}

func (b *bench) receipt(r gateway.Receipt) {
	b.t.Helper()
	b.must(b.Apply(b.t.Context(), shop, gateway.Callback{Receipts: []gateway.Receipt{r}}))
}

func statuses(r *gateway.Record) string {
	var s []string
	for _, h := range r.History {
		s = append(s, string(h.Status))
	}
	return strings.Join(s, " ")
}

// checkCounters recounts every record of shop and compares the counters.
func (b *bench) checkCounters() {
	b.t.Helper()
	want := map[gateway.Priority]gateway.LaneState{gateway.Transactional: {}, gateway.Bulk: {}}
	cursor := ""
	for {
		page, err := b.List(b.t.Context(), gateway.Query{Accounts: []gateway.AccountID{shop}, Cursor: cursor, Limit: 50})
		b.must(err)
		for _, r := range page.Records {
			parked := b.rdb.HExists(b.t.Context(), redisdb.Key(shop.Tag(), "m:"+r.ID.Local()), "k").Val()
			l := want[r.Priority]
			switch {
			case r.Status == gateway.StatusScheduled:
				l.Scheduled++
			case r.Status == gateway.StatusQueued && parked:
				l.Parked++
			case r.Status == gateway.StatusQueued:
				l.Pending++
			case r.Status == gateway.StatusSending:
				l.Active++
			}
			want[r.Priority] = l
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	state, err := b.State(b.t.Context(), shop)
	b.must(err)
	if diff := cmp.Diff(want, state.Lanes); diff != "" {
		b.t.Errorf("counters differ from records (-records +counters):\n%s", diff)
	}
}

// each runs a test on a fresh real Redis, a fresh miniredis and a cluster.
func each(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	redistest.Everywhere(t, func(t *testing.T, url string) {
		b := newBench(t, url)
		f(t, b)
		b.checkCounters()
	})
}

func TestAcceptedMessageReadsBackAsItWas(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := text("+46732001122", "hej")
		m.Reference, m.ReplyTo = "order-1", "wamid.IN"
		m.Batch = b.open("")
		m.ID = m.Batch.Line(1)
		m.CallbackURL, m.Metadata = "https://internal.example/hook", map[string]string{"campaign": "nov"}
		m.OnUnknown, m.Priority = gateway.ResendUnknown, gateway.Bulk
		b.add(m.Batch, false, gateway.Post{Message: m})
		want := &gateway.Record{
			Message: m, Status: gateway.StatusQueued, UpdatedAt: m.CreatedAt,
			History: []gateway.StatusChange{{Status: gateway.StatusQueued, At: m.CreatedAt}},
		}
		if diff := cmp.Diff(want, b.get(m.ID), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
		if _, err := b.Get(t.Context(), gateway.NewMessageID(shop, time.Now())); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("unknown id: %v", err)
		}
	})
}

func TestIdempotencyKeyAnswersAsTheFirstTime(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		post := func(body string) gateway.Post {
			return gateway.Post{Message: text("+46732001122", body), IdempotencyKey: "k1", BodyHash: sha256.Sum256([]byte(body))}
		}
		first, err := b.Accept(t.Context(), post("one"))
		b.must(err)
		b.mustBegin(first.ID, 0, "n")
		again, err := b.Accept(t.Context(), post("one"))
		b.must(err)
		if !again.Replayed {
			t.Error("the second post is not marked as a repetition")
		}
		again.Replayed = false
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("answers differ:\n%s", diff)
		}
		if _, err := b.Accept(t.Context(), post("two")); !errors.Is(err, gateway.ErrKeyReused) {
			t.Errorf("another body: %v", err)
		}
	})
}

func TestConcurrentPostsWithOneKeyMakeOneMessage(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		ids := make([]gateway.MessageID, 20)
		for i := range ids {
			wg.Go(func() {
				a, err := b.Accept(context.Background(), gateway.Post{Message: text("+46732001122", "x"), IdempotencyKey: "k", BodyHash: [32]byte{1}})
				if err != nil {
					t.Error(err)
				}
				ids[i] = a.ID
			})
		}
		wg.Wait()
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != 1 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestSameAcceptTwiceIsOneMessage(t *testing.T) {
	each(t, func(_ *testing.T, b *bench) {
		m := text("+46732001122", "x")
		b.accept(m)
		b.accept(m)
	})
}

func TestBeginTwiceIsOneAttempt(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		for range 2 {
			if v, n := b.begin(m.ID, 0, "n1"); v != gateway.VerdictBegun || n != 1 {
				t.Errorf("begin: %s %d", v, n)
			}
		}
		if v, _ := b.begin(m.ID, 0, "n2"); v != gateway.VerdictDropped {
			t.Errorf("a second worker with the same task: %s", v)
		}
		if got := statuses(b.get(m.ID)); got != "queued sending" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestBeginRefuses(t *testing.T) {
	tests := []struct {
		name string
		prep func(b *bench, m gateway.Message) gateway.Intent
		want gateway.Verdict
	}{
		{"a task with an old sequence", func(b *bench, m gateway.Message) gateway.Intent { return b.intent(m.ID, 3, "n") }, gateway.VerdictDropped},
		{"a message that isn't there", func(b *bench, _ gateway.Message) gateway.Intent {
			return b.intent(gateway.NewMessageID(shop, time.Now()), 0, "n")
		}, gateway.VerdictDropped},
		{"a cancelled message", func(b *bench, m gateway.Message) gateway.Intent {
			_, err := b.Cancel(b.t.Context(), m.ID)
			b.must(err)
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictDropped},
		{"a worker of an older epoch", func(b *bench, m gateway.Message) gateway.Intent {
			b.own(gateway.Lease{Account: shop, Worker: "w1", Epoch: 8})
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictFenced},
		{"another worker", func(b *bench, m gateway.Message) gateway.Intent {
			b.own(gateway.Lease{Account: shop, Worker: "w2", Epoch: 7})
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictFenced},
		{"a held account", func(b *bench, m gateway.Message) gateway.Intent {
			b.must(b.Hold(b.t.Context(), shop, time.Minute, gateway.OutcomeThrottled, "throttled", gateway.ScopeAccount, 0))
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictHeld},
		{"a paused account", func(b *bench, m gateway.Message) gateway.Intent {
			b.must(b.Pause(b.t.Context(), shop, ""))
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictHeld},
		{"a paused lane", func(b *bench, m gateway.Message) gateway.Intent {
			b.must(b.Pause(b.t.Context(), shop, gateway.Transactional))
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictHeld},
		{"nothing because of a pause of the other lane", func(b *bench, m gateway.Message) gateway.Intent {
			b.must(b.Pause(b.t.Context(), shop, gateway.Bulk))
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictBegun},
		{"nothing after a pause has ended", func(b *bench, m gateway.Message) gateway.Intent {
			b.must(b.Pause(b.t.Context(), shop, gateway.Transactional))
			b.must(b.Resume(b.t.Context(), shop, ""))
			return b.intent(m.ID, 0, "n")
		}, gateway.VerdictBegun},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				v, _, err := b.Begin(t.Context(), tc.prep(b, b.accept(text("+46732001122", "x"))))
				b.must(err)
				if v != tc.want {
					t.Errorf("verdict %s, want %s", v, tc.want)
				}
			})
		})
	}
}

func TestMessagePastItsTimeExpiresInsteadOfBeginning(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := text("+46732001122", "x")
		m.ExpiresAt = time.Now().Add(-time.Millisecond)
		b.accept(m)
		if v, _ := b.begin(m.ID, 0, "n"); v != gateway.VerdictExpired {
			t.Errorf("verdict %s", v)
		}
		if got := statuses(b.get(m.ID)); got != "queued expired" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestOrderForOneRecipientInOneLane(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		first, second := b.accept(text("+46732001122", "1")), b.accept(text("+46732001122", "2"))
		other := b.accept(text("+46732001133", "3"))
		bulk := text("+46732001122", "4")
		bulk.Priority = gateway.Bulk
		b.accept(bulk)
		if v, _ := b.begin(second.ID, 0, "n"); v != gateway.VerdictBehind {
			t.Errorf("overtaking: %s", v)
		}
		b.mustBegin(other.ID, 0, "n")
		b.mustBegin(bulk.ID, 0, "n")

		// While it is parked behind the first, a third must not overtake it.
		b.must(b.Defer(t.Context(), shop, gateway.Task{Message: second.ID}, time.Hour, true))
		third := b.accept(text("+46732001122", "5"))
		if v, _ := b.begin(third.ID, 0, "n"); v != gateway.VerdictBehind {
			t.Errorf("overtaking who waits: %s", v)
		}
		// But who waits for a retry is overtaken.
		b.mustBegin(first.ID, 0, "n")
		b.record(gateway.Ending{Message: first.ID, Nonce: "n", Next: gateway.StatusQueued, RetryIn: time.Hour, Spent: true, Error: &gateway.Error{Class: gateway.ClassTransient}})
		fourth := text("+46732001122", "6")
		fourth.Priority = gateway.Transactional
		b.accept(fourth)
		if v, _ := b.begin(fourth.ID, 0, "n"); v != gateway.VerdictBehind { // behind the third, which is still there
			t.Errorf("fourth: %s", v)
		}
	})
}

func TestRecordTwiceChangesNothing(t *testing.T) {
	for _, next := range []gateway.Status{gateway.StatusAccepted, gateway.StatusFailed, gateway.StatusQueued, gateway.StatusUnknown} {
		t.Run(string(next), func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				m := b.accept(text("+46732001122", "x"))
				b.mustBegin(m.ID, 0, "n")
				e := gateway.Ending{Message: m.ID, Nonce: "n", Next: next, RetryIn: time.Hour, Spent: true}
				if next != gateway.StatusAccepted {
					e.Error = &gateway.Error{Class: gateway.ClassTransient, Code: "1", Title: "t", Detail: "d"}
				} else {
					e.ProviderMessageID = "wamid.1"
				}
				b.record(e)
				once := b.get(m.ID)
				b.record(e)
				if diff := cmp.Diff(once, b.get(m.ID)); diff != "" {
					t.Errorf("the second time changed it:\n%s", diff)
				}
				if once.Status != next || len(once.Attempts) != 1 || once.Spent != 1 {
					t.Errorf("record: %+v", once)
				}
				if diff := cmp.Diff(e.Error, once.Error); diff != "" {
					t.Errorf("error:\n%s", diff)
				}
				n, err := b.rdb.XLen(t.Context(), redisdb.Key(shop.Tag(), "ev")).Result()
				b.must(err)
				if n != 3 { // queued, sending, the end
					t.Errorf("%d events", n)
				}
			})
		})
	}
}

func TestRetryComesBackWithAFreshTask(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.must(b.Enqueued(t.Context(), shop, gateway.Task{Message: m.ID}))
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusQueued, RetryIn: time.Millisecond, Error: &gateway.Error{Class: gateway.ClassTransient}})
		var got gateway.Chores
		for len(got.Tasks) == 0 {
			got = b.keep()
		}
		want := []gateway.Task{{Message: m.ID, Priority: gateway.Transactional, Sequence: 1}}
		if diff := cmp.Diff(want, got.Tasks); diff != "" {
			t.Errorf("tasks:\n%s", diff)
		}
		if v, _ := b.begin(m.ID, 0, "n2"); v != gateway.VerdictDropped {
			t.Errorf("the old task: %s", v)
		}
		if v, n := b.begin(m.ID, 1, "n2"); v != gateway.VerdictBegun || n != 2 {
			t.Errorf("the new task: %s %d", v, n)
		}
	})
}

func TestScheduledMessageWaitsForItsTime(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := text("+46732001122", "x")
		m.SendAt = m.CreatedAt.Add(300 * time.Millisecond)
		a, err := b.Accept(t.Context(), gateway.Post{Message: m})
		b.must(err)
		if a.Status != gateway.StatusScheduled {
			t.Errorf("answered %s", a.Status)
		}
		if v, _ := b.begin(m.ID, 0, "n"); v != gateway.VerdictDropped {
			t.Errorf("early: %s", v)
		}
		b.checkCounters()
		var got gateway.Chores
		for len(got.Tasks) == 0 {
			got = b.keep()
			if len(got.Tasks) == 0 && (got.NextIn <= 0 || got.NextIn > 300*time.Millisecond) {
				t.Fatalf("due in %v", got.NextIn)
			}
		}
		if time.Now().Before(m.SendAt) {
			t.Error("it came early")
		}
		if got := statuses(b.get(m.ID)); got != "scheduled queued" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestOutboxLineThatStayedIsEnqueuedAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		if c := b.keep(); len(c.Tasks) != 0 || c.NextIn <= 0 || c.NextIn > store.OutboxPatience {
			t.Fatalf("too early: %+v", c)
		}
		b.rdb.ZAdd(t.Context(), redisdb.Key(shop.Tag(), "out"), redis.Z{Score: float64(time.Now().Add(-3 * time.Second).UnixMilli()), Member: m.ID.Local() + "#0"})
		want := []gateway.Task{{Message: m.ID, Priority: gateway.Transactional}}
		if diff := cmp.Diff(want, b.keep().Tasks); diff != "" {
			t.Errorf("tasks:\n%s", diff)
		}
		if c := b.keep(); len(c.Tasks) != 0 {
			t.Errorf("again at once: %+v", c)
		}
	})
}

func TestIntentPastItsDeadlineIsUnknownAndYields(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		in := b.intent(m.ID, 0, "n")
		in.Deadline = time.Millisecond
		_, _, err := b.Begin(t.Context(), in)
		b.must(err)
		for b.get(m.ID).Status != gateway.StatusUnknown {
			b.keep()
		}
		r := b.get(m.ID)
		if len(r.Attempts) != 1 || r.Attempts[0].Outcome != gateway.OutcomeUnknown || r.Error.Class != gateway.ClassUnknown {
			t.Errorf("record: %+v", r)
		}
		b.record(gateway.Ending{Message: m.ID, Nonce: "other", Next: gateway.StatusFailed})
		if got := b.get(m.ID).Status; got != gateway.StatusUnknown {
			t.Errorf("a stranger's record made it %s", got)
		}
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "wamid.1"})
		if r := b.get(m.ID); r.Status != gateway.StatusAccepted || r.Error != nil {
			t.Errorf("the caller's late record made it %s, %v", r.Status, r.Error)
		}
	})
}

func TestALateYesStopsTheSendingAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.grace = time.Millisecond
		m := text("+46732001133", "x")
		m.OnUnknown = gateway.ResendUnknown
		b.accept(m)
		b.must(b.Enqueued(t.Context(), shop, gateway.Task{Message: m.ID}))
		in := b.intent(m.ID, 0, "n")
		in.Deadline = time.Millisecond
		if v, _, err := b.Begin(t.Context(), in); err != nil || v != gateway.VerdictBegun {
			t.Fatal(v, err)
		}
		var tasks []gateway.Task
		for len(tasks) == 0 { // unknown at the deadline, queued again after the grace
			tasks = b.keep().Tasks
		}
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "wamid.1"})
		if r := b.get(m.ID); r.Status != gateway.StatusAccepted {
			t.Errorf("the caller's late yes left it %s", r.Status)
		}
		if v, _ := b.begin(m.ID, tasks[0].Sequence, "n2"); v != gateway.VerdictDropped {
			t.Errorf("its task was %s", v)
		}
		b.checkCounters()
	})
}

func TestUnknownIsSentAgainOnlyIfItsSenderAskedForIt(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.grace = time.Millisecond
		hold, resend := text("+46732001122", "x"), text("+46732001133", "x")
		resend.OnUnknown = gateway.ResendUnknown
		for _, m := range []gateway.Message{hold, resend} {
			b.accept(m)
			b.must(b.Enqueued(t.Context(), shop, gateway.Task{Message: m.ID}))
			b.mustBegin(m.ID, 0, "n")
			b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusUnknown, Error: &gateway.Error{Class: gateway.ClassUnknown}})
		}
		var tasks []gateway.Task
		for len(tasks) == 0 {
			tasks = b.keep().Tasks
		}
		if diff := cmp.Diff([]gateway.Task{{Message: resend.ID, Priority: gateway.Transactional, Sequence: 1}}, tasks); diff != "" {
			t.Errorf("tasks:\n%s", diff)
		}
		if r := b.get(resend.ID); r.Status != gateway.StatusQueued || !r.PossibleDuplicate {
			t.Errorf("resend: %s, possible duplicate %v", r.Status, r.PossibleDuplicate)
		}
		if r := b.get(hold.ID); r.Status != gateway.StatusUnknown || r.PossibleDuplicate {
			t.Errorf("hold: %s, possible duplicate %v", r.Status, r.PossibleDuplicate)
		}
	})
}

func TestReceiptsOnlyGoForward(t *testing.T) {
	const (
		accepted, sent, delivered = gateway.StatusAccepted, gateway.StatusSent, gateway.StatusDelivered
		read, failed, unknown     = gateway.StatusRead, gateway.StatusFailed, gateway.StatusUnknown
	)
	tests := []struct {
		name     string
		recorded gateway.Status // "" leaves the attempt in flight
		receipts []gateway.Status
		want     string // history after "queued sending"
	}{
		{"in order", accepted, []gateway.Status{sent, delivered, read}, "accepted sent delivered read"},
		{"doubled", accepted, []gateway.Status{sent, sent, delivered, delivered}, "accepted sent delivered"},
		{"out of order", accepted, []gateway.Status{read, delivered, sent}, "accepted read"},
		{"delivered skipped", accepted, []gateway.Status{sent, read}, "accepted sent read"},
		{"failed below delivered", accepted, []gateway.Status{sent, failed}, "accepted sent failed"},
		{"failed after delivered", accepted, []gateway.Status{delivered, failed}, "accepted delivered"},
		{"failed twice", accepted, []gateway.Status{failed, failed}, "accepted failed"},
		{"sent after failed", accepted, []gateway.Status{failed, sent}, "accepted failed"},
		{"delivered after failed", accepted, []gateway.Status{failed, delivered}, "accepted failed delivered"},
		{"any receipt settles unknown", unknown, []gateway.Status{sent}, "unknown sent"},
		{"failed settles unknown", unknown, []gateway.Status{failed}, "unknown failed"},
		{"before the answer is recorded", "", []gateway.Status{sent, delivered}, "sent delivered"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				m := b.accept(text("+46732001122", "x"))
				b.mustBegin(m.ID, 0, "n")
				e := gateway.Ending{Message: m.ID, Nonce: "n", Next: tc.recorded}
				switch tc.recorded { //nolint:exhaustive // "" is a worker that died
				case accepted:
					e.ProviderMessageID = "wamid.1"
					b.record(e)
				case unknown:
					e.Error = &gateway.Error{Class: gateway.ClassUnknown}
					b.record(e)
				}
				for _, s := range tc.receipts {
					r := gateway.Receipt{Message: m.ID, ProviderMessageID: "wamid.1", Status: s, At: time.Now()}
					if s == failed {
						r.Error = &gateway.Error{Class: gateway.ClassRecipient, Code: "131026"}
					}
					b.receipt(r)
				}
				r := b.get(m.ID)
				if got, want := statuses(r), "queued sending "+tc.want; got != want {
					t.Errorf("history %q, want %q", got, want)
				}
				if (r.Error != nil) != (r.Status == failed) {
					t.Errorf("status %s with error %v", r.Status, r.Error)
				}
				if r.ProviderMessageID != "wamid.1" {
					t.Errorf("provider id %q", r.ProviderMessageID)
				}
				if tc.recorded == "" { // the answer comes after its receipts
					b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: accepted, ProviderMessageID: "wamid.1"})
					if r := b.get(m.ID); r.Status != delivered || len(r.Attempts) != 1 || r.Attempts[0].EndedAt.IsZero() {
						t.Errorf("after the answer: %+v", r)
					}
				}
			})
		})
	}
}

func TestReceiptBeforeItsProviderIDIsKnownWaitsForIt(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n")
		b.receipt(gateway.Receipt{ProviderMessageID: "P1", Status: gateway.StatusDelivered})
		b.receipt(gateway.Receipt{ProviderMessageID: "P1", Status: gateway.StatusSent})
		if got := statuses(b.get(m.ID)); got != "queued sending" {
			t.Fatalf("history: %s", got)
		}
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "P1"})
		if got := statuses(b.get(m.ID)); got != "queued sending accepted delivered" {
			t.Errorf("history: %s", got)
		}
		b.receipt(gateway.Receipt{ProviderMessageID: "P1", Status: gateway.StatusRead})
		if got := b.get(m.ID).Status; got != gateway.StatusRead {
			t.Errorf("by provider id: %s", got)
		}
	})
}

func TestReceiptForAnotherAccountsMessageIsNotApplied(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n")
		err := b.Apply(t.Context(), "elsewhere", gateway.Callback{Receipts: []gateway.Receipt{{Message: m.ID, Status: gateway.StatusRead}}})
		b.must(err)
		if got := b.get(m.ID).Status; got != gateway.StatusSending {
			t.Errorf("status %s", got)
		}
	})
}

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		for range 2 {
			r, err := b.Cancel(t.Context(), m.ID)
			b.must(err)
			if got := statuses(r); got != "queued cancelled" {
				t.Errorf("history: %s", got)
			}
		}
		flying := b.accept(text("+46732001122", "x"))
		b.mustBegin(flying.ID, 0, "n")
		if _, err := b.Cancel(t.Context(), flying.ID); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("in flight: %v", err)
		}
		if _, err := b.Cancel(t.Context(), gateway.NewMessageID(shop, time.Now())); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		b.record(gateway.Ending{Message: flying.ID, Nonce: "n", Next: gateway.StatusQueued, RetryIn: time.Hour, Error: &gateway.Error{Class: gateway.ClassTransient}})
		r, err := b.Cancel(t.Context(), flying.ID)
		b.must(err)
		if r.Status != gateway.StatusCancelled {
			t.Errorf("waiting for a retry: %s", r.Status)
		}
		if c := b.keep(); len(c.Tasks) != 0 {
			t.Errorf("cancelled message came back: %+v", c)
		}
	})
}

func TestRefusedByOurOwnChecks(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		why := &gateway.Error{Class: gateway.ClassMedia, Code: "media_too_large", Title: "too large"}
		for range 2 {
			b.must(b.Refuse(t.Context(), shop, gateway.Task{Message: m.ID}, why))
		}
		r := b.get(m.ID)
		if statuses(r) != "queued rejected" || len(r.Attempts) != 0 {
			t.Errorf("record: %+v", r)
		}
		if diff := cmp.Diff(why, r.Error); diff != "" {
			t.Error(diff)
		}
	})
}

func TestKeepAndAdoptAreForTheOwnerOnly(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		old := b.lease
		b.lease.Epoch++
		b.own(b.lease)
		var fenced gateway.Fenced
		if _, err := b.Keep(t.Context(), old, 8); !errors.As(err, &fenced) {
			t.Errorf("keep: %v", err)
		}
		if _, err := b.Adopt(t.Context(), old, []gateway.MessageID{m.ID}); !errors.As(err, &fenced) {
			t.Errorf("adopt: %v", err)
		}
		flying := b.accept(text("+46732001133", "x"))
		b.mustBegin(flying.ID, 0, "n")
		tasks, err := b.Adopt(t.Context(), b.lease, []gateway.MessageID{m.ID, flying.ID, gateway.NewMessageID(shop, time.Now())})
		b.must(err)
		if diff := cmp.Diff([]gateway.Task{{Message: m.ID, Priority: gateway.Transactional, Sequence: 1}}, tasks); diff != "" {
			t.Errorf("adopted:\n%s", diff)
		}
	})
}

func TestExpiryComesWithoutALane(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := text("+46732001122", "x")
		m.ExpiresAt = time.Now().Add(50 * time.Millisecond)
		b.accept(m)
		b.must(b.Pause(t.Context(), shop, ""))
		for b.get(m.ID).Status != gateway.StatusExpired {
			b.keep()
		}
		if e := b.get(m.ID).Error; e == nil || e.Class != gateway.ClassExpired {
			t.Errorf("error %v", e)
		}
	})
}

func TestRetentionLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.polls, b.lookups = true, true
		b.retention = gateway.Retention{Content: 20 * time.Millisecond, Record: 60 * time.Millisecond, DeadLetter: 80 * time.Millisecond}
		for i, next := range []gateway.Status{gateway.StatusAccepted, gateway.StatusFailed, gateway.StatusUnknown} {
			m := text(fmt.Sprintf("+4673200112%d", i), "x")
			m.Reference = "ref"
			b.accept(m)
			b.mustBegin(m.ID, 0, "n")
			b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: next, ProviderMessageID: gateway.ProviderMessageID("P" + string(next)), Error: &gateway.Error{Class: gateway.ClassPermanent}})
			if next == gateway.StatusAccepted {
				for r := b.get(m.ID); !r.Purged; r = b.get(m.ID) {
					b.keep()
				}
				if r := b.get(m.ID); r.Content.Text != nil || r.Content.Type != gateway.TypeText {
					t.Errorf("content after its purge: %+v", r.Content)
				}
			}
		}
		for b.rdb.Exists(t.Context(), redisdb.Key(shop.Tag(), "ix"), redisdb.Key(shop.Tag(), "timer")).Val() > 0 {
			b.keep()
		}
		keys := b.keys("*")
		slices.Sort(keys)
		tag := shop.Tag()
		want := []string{
			redisdb.DueKey, redisdb.Key(tag, "ev"), redisdb.Key(tag, "n"), redisdb.Key(tag, "owner"), redisdb.Key(tag, "sec"),
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, keys); diff != "" {
			t.Errorf("keys that are left (-want +got):\n%s", diff)
		}
	})
}

// A message that was looked at for several reasons isn't looked at for all of
// them for ever.
func TestMessageKeepsOneAlarm(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.grace = time.Millisecond
		m := text("+46732001122", "x")
		m.OnUnknown, m.ExpiresAt = gateway.ResendUnknown, m.CreatedAt.Add(100*time.Millisecond)
		b.accept(m)
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusUnknown})
		for b.get(m.ID).Status != gateway.StatusQueued {
			b.keep()
		}
		for b.get(m.ID).Status != gateway.StatusExpired {
			b.keep()
		}
		last := func() time.Time { // of the alarms that were set before it expired
			h := b.get(m.ID).History
			return h[len(h)-1].At.Add(100 * time.Millisecond)
		}()
		for time.Now().Before(last) {
			b.keep()
		}
		n := 0
		for _, slot := range b.rdb.ZRange(t.Context(), redisdb.Key(shop.Tag(), "timer"), 0, -1).Val() {
			n += int(b.rdb.LLen(t.Context(), redisdb.Key(shop.Tag(), "tm:"+slot)).Val())
		}
		if n != 1 {
			t.Errorf("%d alarms", n)
		}
	})
}

func TestListFiltersAndPages(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var all []gateway.MessageID
		for i := range 25 {
			m := text("+4673200110"+string(rune('0'+i%5)), "x")
			if i%3 == 0 {
				m.Reference = "third"
			}
			b.accept(m)
			all = append(all, m.ID)
			if i%2 == 0 {
				_, err := b.Cancel(t.Context(), m.ID)
				b.must(err)
			}
		}
		slices.Reverse(all)
		walk := func(q gateway.Query) (ids []gateway.MessageID) {
			q.Accounts, q.Limit, q.Now = []gateway.AccountID{shop, "other"}, 4, time.Now()
			for {
				page, err := b.List(t.Context(), q)
				b.must(err)
				for _, r := range page.Records {
					ids = append(ids, r.ID)
				}
				if q.Cursor = page.Next; q.Cursor == "" {
					return ids
				}
			}
		}
		pick := func(want func(i int) bool) (ids []gateway.MessageID) { // i counts in the order of posts
			for j, id := range all {
				if want(len(all) - 1 - j) {
					ids = append(ids, id)
				}
			}
			return ids
		}
		for name, tc := range map[string]struct {
			query gateway.Query
			want  []gateway.MessageID
		}{
			"everything":             {gateway.Query{}, all},
			"by recipient":           {gateway.Query{Recipient: "+46732001103"}, pick(func(i int) bool { return i%5 == 3 })},
			"by reference":           {gateway.Query{Reference: "third"}, pick(func(i int) bool { return i%3 == 0 })},
			"by status":              {gateway.Query{Status: gateway.StatusCancelled}, pick(func(i int) bool { return i%2 == 0 })},
			"by reference, status":   {gateway.Query{Reference: "third", Status: gateway.StatusQueued}, pick(func(i int) bool { return i%3 == 0 && i%2 == 1 })},
			"since the future":       {gateway.Query{Since: time.Now().Add(time.Minute)}, nil},
			"since the past":         {gateway.Query{Since: time.Now().Add(-time.Minute)}, all},
			"of a recipient unknown": {gateway.Query{Recipient: "+46732009999"}, nil},
		} {
			if diff := cmp.Diff(tc.want, walk(tc.query)); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
	})
}

func TestACallbackHaltsTheAccount(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "P"})
		c := gateway.Callback{
			Receipts: []gateway.Receipt{{ProviderMessageID: "P", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassSuspended, Code: "402"}}},
			Halts: []gateway.Halt{
				{For: 15 * time.Minute, Outcome: gateway.OutcomeSuspended, Reason: "payment", Scope: gateway.ScopeAccount},
				{For: time.Minute, Outcome: gateway.OutcomeThrottled, Reason: "too fast", Scope: gateway.ScopeAccount},
			},
		}
		for range 2 { // as providers do
			b.must(b.Apply(t.Context(), shop, c))
		}
		if got := b.get(m.ID).Status; got != gateway.StatusFailed {
			t.Errorf("status %s", got)
		}
		got, err := b.State(t.Context(), shop)
		b.must(err)
		if h := got.Hold; h == nil || h.Reason != "payment" || h.Scope != gateway.ScopeAccount || time.Until(h.Until) < 14*time.Minute {
			t.Errorf("hold %+v", h)
		}
		for _, told := range []bool{false, true} { // as a new owner does, and a new configuration
			if lifted, err := b.Lift(t.Context(), shop, gateway.OutcomeSuspended, told); err != nil || lifted != told {
				t.Fatalf("lifted %t, %v, want %t", lifted, err, told)
			}
		}
		if got, err = b.State(t.Context(), shop); err != nil || got.Hold != nil {
			t.Errorf("hold %+v, %v", got.Hold, err)
		}
	})
}

func TestWhatWasSaidLongAgoHaltsNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.must(b.Apply(t.Context(), shop, gateway.Callback{Halts: []gateway.Halt{
			{For: time.Hour, Outcome: gateway.OutcomeSuspended, Scope: gateway.ScopeAccount, At: time.Now().Add(-16 * time.Minute)},
		}}))
		if got, err := b.State(t.Context(), shop); err != nil || got.Hold != nil {
			t.Errorf("hold %+v, %v", got.Hold, err)
		}
	})
}

func TestStateOfAnAccount(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.accept(text("+46732001122", "x"))
		m := b.accept(text("+46732001133", "x"))
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted})
		b.must(b.Pause(t.Context(), shop, gateway.Bulk))
		b.must(b.SetBreaker(t.Context(), shop, gateway.BreakerOpen))
		b.must(b.Hold(t.Context(), shop, time.Minute, gateway.OutcomeThrottled, "throttled", gateway.ScopeApp, 0))
		b.must(b.Hold(t.Context(), shop, time.Second, gateway.OutcomeThrottled, "shorter", gateway.ScopeAccount, 0))
		got, err := b.State(t.Context(), shop)
		b.must(err)
		if got.Hold == nil || time.Until(got.Hold.Until) < 50*time.Second {
			t.Fatalf("hold: %+v", got.Hold)
		}
		got.Hold.Until = time.Time{}
		want := gateway.AccountState{
			PausedLanes: []gateway.Priority{gateway.Bulk}, Breaker: gateway.BreakerOpen, SentLastMinute: 1,
			Hold: &gateway.Hold{Reason: "throttled", Scope: gateway.ScopeApp},
			Lanes: map[gateway.Priority]gateway.LaneState{
				gateway.Transactional: {Pending: 1}, gateway.Bulk: {},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHealthReadsBackAsItWasUntilItIsOld(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		read := func() *gateway.Health {
			all, err := b.States(t.Context(), []gateway.AccountID{"other", shop, "another"})
			b.must(err)
			if all["other"].Health != nil || all["another"].Health != nil {
				t.Error("it is shown for other accounts")
			}
			return all[shop].Health
		}
		if h := read(); h != nil {
			t.Errorf("before anybody asked: %+v", h)
		}
		at := time.Now().UTC().Truncate(time.Millisecond)
		why := &gateway.Error{Class: gateway.ClassSuspended, Code: "1005", Title: "Access denied", Detail: "d"}
		for _, want := range []gateway.Health{
			{At: at, Connected: true, Stats: map[string]float64{"waiting": 0, "sent": 1.5}, Nodes: []gateway.Node{
				{Name: "h1", Status: "connected", Role: "primary_master"}, {Name: "h2", Error: why},
			}},
			{At: at, Connected: true, Unread: map[string]*gateway.Error{"metrics": why}},
			{At: at.Add(time.Minute), Error: why},
		} {
			b.must(b.SetHealth(t.Context(), shop, want))
			if diff := cmp.Diff(&want, read()); diff != "" {
				t.Error(diff)
			}
		}
		key := redisdb.Key(shop.Tag(), "health")
		if ttl := b.rdb.PTTL(t.Context(), key).Val(); ttl <= 14*time.Minute || ttl > 15*time.Minute {
			t.Errorf("it is kept for %v", ttl)
		}
		b.must(b.rdb.Set(t.Context(), key, "{", 0).Err())
		if h := read(); h != nil {
			t.Errorf("what can't be read is %+v", h)
		}
	})
}

func TestHoldIsLiftedOnlyForItsReason(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		held := func() bool {
			st, err := b.State(t.Context(), shop)
			b.must(err)
			return st.Hold != nil
		}
		b.must(b.Hold(t.Context(), shop, time.Minute, gateway.OutcomeSuspended, "bad token", gateway.ScopeAccount, 0))
		lift := func(why gateway.Outcome) bool {
			lifted, err := b.Lift(t.Context(), shop, why, false)
			b.must(err)
			return lifted
		}
		if lift(gateway.OutcomeThrottled) || !held() {
			t.Error("lifted for another reason")
		}
		if !lift(gateway.OutcomeSuspended) || lift(gateway.OutcomeSuspended) || held() {
			t.Error("not lifted, or more than once")
		}
	})
}

func TestRampIsKeptBesideTheHold(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		if c := b.keep(); c.Share != 0 {
			t.Errorf("without a throttle: %+v", c)
		}
		b.must(b.Hold(t.Context(), shop, time.Minute, gateway.OutcomeThrottled, "limit", gateway.ScopeAccount, 0.5))
		b.must(b.Hold(t.Context(), shop, time.Second, gateway.OutcomeThrottled, "limit", gateway.ScopeAccount, 0.25))
		b.must(b.Hold(t.Context(), shop, time.Second, gateway.OutcomeSuspended, "token", gateway.ScopeAccount, 0))
		c := b.keep()
		if c.Share != 0.25 || c.GrowsIn > c.HeldFor || c.GrowsIn < 55*time.Second {
			t.Errorf("the next owner hears of %v from %v on, held for %v", c.Share, c.GrowsIn, c.HeldFor)
		}
		st, err := b.State(t.Context(), shop)
		b.must(err)
		if st.Ramp.Share != 0.25 || !st.Ramp.From.Equal(st.Hold.Until) {
			t.Errorf("readers see %+v beside %+v", st.Ramp, st.Hold)
		}
		key := redisdb.Key(shop.Tag(), "hold")
		b.must(b.rdb.HSet(t.Context(), key, "until", 1, "grows", time.Now().Add(-11*time.Minute).UnixMilli()).Err())
		if c := b.keep(); c.Share != 0 || b.rdb.HExists(t.Context(), key, "share").Val() {
			t.Errorf("long after it is still kept: %+v", c)
		}
	})
}

func TestDueIndexKeepsTheEarliestWish(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		due := func() map[gateway.AccountID]int64 {
			d, err := b.DueAccounts(t.Context())
			b.must(err)
			return d
		}
		b.accept(text("+46732001122", "x"))
		if d := due(); len(d) != 0 {
			t.Errorf("due before the outbox's patience ended: %v", d)
		}
		b.must(b.Remind(t.Context(), shop))
		d := due()
		if len(d) != 1 || d[shop] == 0 {
			t.Fatalf("due: %v", d)
		}
		b.must(b.Settle(t.Context(), shop, d[shop], time.Time{}))
		if d := due(); len(d) != 0 {
			t.Errorf("after it was settled: %v", d)
		}
		b.must(b.Settle(t.Context(), shop, 0, time.Now().Add(time.Hour)))
		b.must(b.Remind(t.Context(), shop))
		b.must(b.Settle(t.Context(), shop, 12345, time.Time{})) // settled by a reading from before the reminder
		if d := due(); len(d) != 1 {
			t.Errorf("a reminder was lost: %v", d)
		}
	})
}

func TestRedisAwayIsUnavailable(t *testing.T) {
	srv := redistest.New(t)
	b := newBench(t, srv.URL)
	srv.Down()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := b.Accept(ctx, gateway.Post{Message: text("+46732001122", "x")}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("accept: %v", err)
	}
	if _, err := b.Get(ctx, gateway.NewMessageID(shop, time.Now())); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
}

func TestAPageIsBoundedInBytes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const messages, size = 50, 200 << 10
		body := strings.Repeat("x", size)
		for range messages {
			b.accept(text("+46732001122", body))
		}
		q := gateway.Query{Accounts: []gateway.AccountID{shop}, Limit: 200, Now: time.Now()}
		seen, pages := map[gateway.MessageID]bool{}, 0
		for {
			page, err := b.List(t.Context(), q)
			b.must(err)
			if n := len(page.Records); n == 0 || n > 21 {
				t.Fatalf("a page of %d messages of %d bytes", n, size)
			}
			for i := range page.Records {
				seen[page.Records[i].ID] = true
			}
			if pages++; page.Next == "" {
				break
			}
			q.Cursor = page.Next
		}
		if len(seen) != messages || pages < 3 {
			t.Errorf("%d messages on %d pages, want %d on a few", len(seen), pages, messages)
		}
	})
}

func TestTransactionalComesBackFirstHoweverMuchBulkIsDue(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		scheduled := func(p gateway.Priority) gateway.Message {
			m := text("+46732001122", "x")
			m.Priority, m.SendAt = p, m.CreatedAt.Add(time.Millisecond)
			return b.accept(m)
		}
		for range 150 {
			scheduled(gateway.Bulk)
		}
		code := scheduled(gateway.Transactional)
		for code.SendAt.After(time.Now()) { // it is over in a moment
			runtime.Gosched()
		}
		c := b.keep()
		if !c.More {
			t.Error("it doesn't say that there is more")
		}
		if !slices.ContainsFunc(c.Tasks, func(task gateway.Task) bool { return task.Message == code.ID }) {
			t.Error("the one-time code waits for bulk")
		}
	})
}
