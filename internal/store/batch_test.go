package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

func (b *bench) open(key string) gateway.BatchID {
	b.t.Helper()
	id, _, err := b.OpenBatch(b.t.Context(), gateway.Batch{ID: gateway.NewBatchID(shop, time.Now()), Account: shop, CreatedAt: time.Now()}, key)
	b.must(err)
	return id
}

func line(batch gateway.BatchID, n int, body string) gateway.Post {
	m := text(fmt.Sprintf("+4673200%05d", n), body)
	m.ID, m.Batch, m.Priority = batch.Line(n), batch, gateway.Bulk
	p := gateway.Post{Message: m}
	copy(p.BodyHash[:], body+strings.Repeat("-", 32))
	return p
}

func lines(batch gateway.BatchID, from, till int) (posts []gateway.Post) {
	for n := from; n <= till; n++ {
		posts = append(posts, line(batch, n, "x"))
	}
	return posts
}

func (b *bench) add(batch gateway.BatchID, remember bool, posts ...gateway.Post) []gateway.LineVerdict {
	b.t.Helper()
	got, err := b.AcceptLines(b.t.Context(), batch, posts, remember)
	b.must(err)
	return got
}

func (b *bench) batch(id gateway.BatchID) gateway.Batch {
	b.t.Helper()
	got, err := b.Batch(b.t.Context(), id)
	b.must(err)
	return got
}

func (b *bench) batchCounts(id gateway.BatchID, want map[gateway.Status]int64) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.batch(id).Counts); diff != "" {
		b.t.Errorf("counts of the batch (-want +got):\n%s", diff)
	}
	b.checkCounters()
}

func TestBatchCountsItsMessagesAsTheyGo(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("")
		posts := lines(id, 1, 4)
		posts[3].Message.SendAt = time.Now().Add(time.Hour)
		b.add(id, false, posts...)
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 3, gateway.StatusScheduled: 1})
		b.mustBegin(id.Line(1), 0, "n1")
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 2, gateway.StatusSending: 1, gateway.StatusScheduled: 1})
		b.record(gateway.Ending{Message: id.Line(1), Nonce: "n1", Next: gateway.StatusQueued, RetryIn: time.Hour})
		b.mustBegin(id.Line(2), 0, "n2")
		b.record(yes(posts[1].Message, "n2", "wamid.2"))
		b.receipt(gateway.Receipt{Message: id.Line(2), Status: gateway.StatusDelivered})
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 2, gateway.StatusDelivered: 1, gateway.StatusScheduled: 1})
		if r := b.get(id.Line(2)); r.Batch != id {
			t.Errorf("the message is of batch %q", r.Batch)
		}
		page, err := b.List(t.Context(), gateway.Query{Accounts: []gateway.AccountID{shop}, Batch: id, Limit: 10})
		b.must(err)
		if len(page.Records) != 4 || page.Next != "" {
			t.Errorf("%d messages are listed, next %q", len(page.Records), page.Next)
		}
	})
}

func TestListOfABatchHasNoOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.accept(text("+46732001122", "before"))
		id := b.open("")
		b.add(id, false, lines(id, 1, 3)...)
		b.accept(text("+46732001122", "after"))
		var got []gateway.MessageID
		for cursor := ""; ; {
			page, err := b.List(t.Context(), gateway.Query{Accounts: []gateway.AccountID{shop}, Batch: id, Limit: 2, Cursor: cursor})
			b.must(err)
			for _, r := range page.Records {
				got = append(got, r.ID)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff([]gateway.MessageID{id.Line(3), id.Line(2), id.Line(1)}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLinesPostedAgainAreRecognised(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("campaign")
		b.add(id, true, lines(id, 1, 2)...)
		if again := b.open("campaign"); again != id {
			t.Fatalf("the key leads to %q, not %q", again, id)
		}
		got := b.add(id, true, line(id, 1, "x"), line(id, 2, "y"), line(id, 3, "x"))
		want := []gateway.LineVerdict{gateway.LineAgain, gateway.LineChanged, gateway.LineAdded}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if n := b.batch(id).Total; n != 3 {
			t.Errorf("total %d", n)
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 3})
	})
}

func TestLineWithAKeyOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("")
		one, other, changed := line(id, 1, "x"), line(id, 2, "x"), line(id, 3, "y")
		one.IdempotencyKey, other.IdempotencyKey, changed.IdempotencyKey = "k", "k", "k"
		got := b.add(id, false, one, other, changed)
		want := []gateway.LineVerdict{gateway.LineAdded, gateway.LineKnown, gateway.LineKeyReused}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 1})
	})
}

func TestLineWhoseTimesHavePassedIsOnlyRecognised(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("campaign")
		keyed := line(id, 2, "x")
		keyed.IdempotencyKey = "k"
		b.add(id, true, line(id, 1, "x"), keyed)
		late := []gateway.Post{line(id, 1, "x"), line(id, 1, "y"), line(id, 3, "x"), keyed, keyed}
		late[4].Message.ID = id.Line(4)
		for i := range late {
			late[i].Passed = true
		}
		want := []gateway.LineVerdict{gateway.LineAgain, gateway.LineChanged, gateway.LinePassed, gateway.LineKnown, gateway.LineKnown}
		if diff := cmp.Diff(want, b.add(id, true, late...)); diff != "" {
			t.Error(diff)
		}
		if n := b.batch(id).Total; n != 2 {
			t.Errorf("total %d", n)
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 2})
	})
}

func TestSameLinesSentTwiceByTheClientAreOne(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("")
		for range 2 {
			b.add(id, false, lines(id, 1, 3)...)
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 3})
		if n := b.batch(id).Total; n != 3 {
			t.Errorf("total %d", n)
		}
		_, err := b.CancelBatch(t.Context(), id)
		b.must(err)
		want := []gateway.LineVerdict{gateway.LineAdded, gateway.LineCancelled}
		if diff := cmp.Diff(want, b.add(id, false, lines(id, 3, 4)...)); diff != "" {
			t.Errorf("once more after it was cancelled: %s", diff)
		}
	})
}

func TestCancelledBatchBeginsNothingAndItsRecordsFollow(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("")
		posts := lines(id, 1, 250)
		posts[200].Message.SendAt = time.Now().Add(time.Hour)
		posts[100].Message.CallbackURL = "https://internal.example/hook"
		b.add(id, false, posts...)
		b.mustBegin(id.Line(1), 0, "n1")
		b.mustBegin(id.Line(2), 0, "n2")
		b.record(yes(posts[1].Message, "n2", "wamid.2"))
		got, err := b.CancelBatch(t.Context(), id)
		b.must(err)
		want := map[gateway.Status]int64{gateway.StatusSending: 1, gateway.StatusAccepted: 1, gateway.StatusCancelled: 248}
		if diff := cmp.Diff(want, got.Counts); diff != "" || got.CancelledAt.IsZero() {
			t.Errorf("counts right after the answer (-want +got):\n%s", diff)
		}
		b.checkCounters()
		if r := b.get(id.Line(9)); r.Status != gateway.StatusCancelled {
			t.Errorf("a message that waited is %s", r.Status)
		}
		if v, _ := b.begin(id.Line(3), 0, "n3"); v != gateway.VerdictDropped {
			t.Errorf("begin says %s", v)
		}
		b.record(gateway.Ending{Message: id.Line(1), Nonce: "n1", Next: gateway.StatusQueued, RetryIn: time.Hour})
		if c := b.keep(); !c.More || c.NextIn != time.Millisecond {
			t.Errorf("the records that are left are looked at in %v", c.NextIn)
		}
		for b.keep().More {
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusAccepted: 1, gateway.StatusCancelled: 249})
		if s := b.rdb.HGet(t.Context(), redisdb.Key(shop.Tag(), "m:"+id.Line(201).Local()), "s").Val(); s != "c" {
			t.Errorf("the record of a scheduled one says %q", s)
		}
		if n := b.rdb.ZCard(t.Context(), redisdb.Key(shop.Tag(), "no")).Val(); n != 1 {
			t.Errorf("%d messages have notices", n)
		}
		if got := b.add(id, false, line(id, 251, "x")); got[0] != gateway.LineCancelled {
			t.Errorf("a line that comes later is %s", got[0])
		}
		again, err := b.CancelBatch(t.Context(), id)
		b.must(err)
		if again.CancelledAt != got.CancelledAt {
			t.Errorf("cancelled at %v, then at %v", got.CancelledAt, again.CancelledAt)
		}
	})
}

func TestKeysOfMessagesAreNotThoseOfBatches(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		for _, key := range []string{"campaign", "batch campaign"} {
			if _, err := b.Accept(t.Context(), gateway.Post{Message: text("+46732001122", "x"), IdempotencyKey: key}); err != nil {
				t.Fatal(err)
			}
		}
		fresh := gateway.Batch{ID: gateway.NewBatchID(shop, time.Now()), Account: shop, CreatedAt: time.Now()}
		if id, known, err := b.OpenBatch(t.Context(), fresh, "campaign"); err != nil || known || id != fresh.ID {
			t.Errorf("the key leads to %q: %v, %v", id, known, err)
		}
	})
}

func TestWhatMayHaveArrivedOfACancelledBatchStaysUnknown(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.grace = time.Millisecond
		id := b.open("")
		posts := lines(id, 1, 2)
		for i := range posts {
			posts[i].Message.OnUnknown = gateway.ResendUnknown
		}
		b.add(id, false, posts...)
		tasks := map[gateway.MessageID]int{}
		for i, p := range posts {
			b.must(b.Enqueued(t.Context(), shop, gateway.Task{Message: p.Message.ID}))
			b.mustBegin(p.Message.ID, 0, fmt.Sprint("n", i))
			b.record(gateway.Ending{Message: p.Message.ID, Nonce: fmt.Sprint("n", i), Next: gateway.StatusUnknown})
		}
		for len(tasks) < 2 {
			for _, task := range b.keep().Tasks {
				tasks[task.Message] = task.Sequence
			}
		}
		b.mustBegin(id.Line(1), tasks[id.Line(1)], "again") // the other one waits
		_, err := b.CancelBatch(t.Context(), id)
		b.must(err)
		b.record(gateway.Ending{Message: id.Line(1), Nonce: "again", Next: gateway.StatusQueued, RetryIn: time.Hour})
		for b.keep().More {
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusUnknown: 2})
	})
}

func TestWhatLinesSayIsRememberedNoLongerThanTheBatchsKey(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("campaign")
		memory := redisdb.Key(shop.Tag(), "bh:"+id.Local()[:gateway.BatchName])
		b.add(id, true, line(id, 1, "x"))
		b.must(b.rdb.Del(t.Context(), memory).Err()) // its time has come, and the upload goes on
		b.add(id, true, line(id, 2, "x"))
		if b.rdb.Exists(t.Context(), memory).Val() != 0 {
			t.Errorf("it is remembered for %v", b.rdb.PTTL(t.Context(), memory).Val())
		}
		b.batchCounts(id, map[gateway.Status]int64{gateway.StatusQueued: 2})
	})
}

func TestLinesOfABatchThatIsNotKeptLeaveNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := gateway.NewBatchID(shop, time.Now())
		if got := b.add(id, false, lines(id, 1, 2)...); got[0] != gateway.LineCancelled {
			t.Errorf("a line is %s", got[0])
		}
		keys, err := b.rdb.Keys(t.Context(), redisdb.Key(shop.Tag(), "[bm]*")).Result()
		b.must(err)
		if len(keys) > 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

func TestBatchesAreListedTheNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var want, got []gateway.BatchID
		for range 5 {
			want = append([]gateway.BatchID{b.open("")}, want...)
		}
		for cursor := ""; ; {
			page, err := b.Batches(t.Context(), gateway.BatchQuery{Accounts: []gateway.AccountID{shop, "other"}, Cursor: cursor, Limit: 2})
			b.must(err)
			for _, batch := range page.Batches {
				got = append(got, batch.ID)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if _, err := b.Batch(t.Context(), gateway.NewBatchID(shop, time.Now())); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("unknown batch: %v", err)
		}
	})
}

func TestNothingIsLeftOfABatchThatWasKeptLongEnough(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.retention = gateway.Retention{Content: 20 * time.Millisecond, Record: 40 * time.Millisecond, DeadLetter: 40 * time.Millisecond}
		id, empty := b.open(""), b.open("")
		b.add(id, false, lines(id, 1, 3)...)
		b.must(b.CompleteBatch(t.Context(), shop, id))
		_, err := b.CancelBatch(t.Context(), id)
		b.must(err)
		for b.rdb.Exists(t.Context(), redisdb.Key(shop.Tag(), "ix"), redisdb.Key(shop.Tag(), "timer")).Val() > 0 {
			b.keep()
		}
		for _, batch := range []gateway.BatchID{id, empty} {
			if _, err := b.Batch(t.Context(), batch); !errors.Is(err, gateway.ErrNotFound) {
				t.Errorf("%s: %v", batch, err)
			}
		}
		if got := b.add(id, false, line(id, 4, "x")); got[0] != gateway.LineCancelled {
			t.Errorf("a line of a batch that isn't kept is %s", got[0])
		}
		keys := b.keys(redisdb.Key(shop.Tag(), "b*"))
		if len(keys) > 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

func TestKeyOfABatchThatIsNotKeptOpensAnother(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		id := b.open("campaign")
		b.rdb.Del(t.Context(), redisdb.Key(shop.Tag(), "b:"+id.Local()[:gateway.BatchName]))
		again := b.open("campaign")
		if again == id {
			t.Fatal("the key leads to a batch that is gone")
		}
		if got := b.add(again, true, line(again, 1, "x")); got[0] != gateway.LineAdded {
			t.Errorf("its first line is %s", got[0])
		}
		if third := b.open("campaign"); third != again {
			t.Errorf("the key leads to %q, not %q", third, again)
		}
	})
}
