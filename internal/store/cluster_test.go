package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

// In a cluster they lie on several nodes.
func TestManyAccountsAreReadTogether(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const perAccount = 3
		var accounts []gateway.AccountID
		var batches []gateway.BatchID
		var newestFirst []gateway.MessageID
		for i := range 12 {
			account := gateway.AccountID(fmt.Sprint("shop-", i))
			accounts = append(accounts, account)
			now := time.Now()
			id, _, err := b.OpenBatch(t.Context(), gateway.Batch{ID: gateway.NewBatchID(account, now), Account: account, CreatedAt: now}, "")
			b.must(err)
			batches = append([]gateway.BatchID{id}, batches...)
		}
		for range perAccount {
			for _, account := range accounts {
				m := text("+46732001122", "x")
				m.Account, m.ID = account, gateway.NewMessageID(account, time.Now())
				b.accept(m)
				newestFirst = append([]gateway.MessageID{m.ID}, newestFirst...)
			}
		}
		b.must(b.Hold(t.Context(), accounts[7], time.Minute, gateway.OutcomeThrottled, "asked to wait", gateway.ScopeAccount, 0))

		states, err := b.States(t.Context(), accounts)
		b.must(err)
		for i, account := range accounts {
			st := states[account]
			if n := st.Lanes[gateway.Transactional].Pending; n != perAccount || (st.Hold != nil) != (i == 7) {
				t.Errorf("%s has %d messages, hold %v", account, n, st.Hold)
			}
		}
		var listed []gateway.MessageID
		for q := (gateway.Query{Accounts: accounts, Recipient: "+46732001122", Limit: 5, Now: time.Now()}); ; {
			page, err := b.List(t.Context(), q)
			b.must(err)
			for i := range page.Records {
				listed = append(listed, page.Records[i].ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(newestFirst, listed); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		var found []gateway.BatchID
		for q := (gateway.BatchQuery{Accounts: accounts, Limit: 5}); ; {
			page, err := b.Batches(t.Context(), q)
			b.must(err)
			for _, batch := range page.Batches {
				found = append(found, batch.ID)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(batches, found); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		ages, err := b.Since(t.Context(), listed)
		b.must(err)
		if len(ages) != len(listed) {
			t.Errorf("the ages of %d messages of %d", len(ages), len(listed))
		}
		due, err := b.DueAccounts(t.Context())
		b.must(err)
		for account := range due {
			if !strings.HasPrefix(string(account), "shop-") {
				t.Errorf("%s is due", account)
			}
		}
	})
}

func TestACallbackIsAppliedByANodeThatForgotItsScripts(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n")
		b.must(b.rdb.ScriptFlush(t.Context()).Err())
		b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "wamid.1", Status: gateway.StatusDelivered})
		if r := b.get(m.ID); r.Status != gateway.StatusDelivered {
			t.Errorf("the message is %s", r.Status)
		}
	})
}

// Half of its keys are elsewhere then, and a script would find them missing.
func TestNothingOfAnAccountChangesWhileItsSlotMoves(t *testing.T) {
	c := redistest.Shared(t)
	b, worker := newBench(t, c.URL), newBenchFor(t, c.URL, redisdb.ForWorker, 0)
	var m gateway.Message
	for i := range 30 {
		m = b.accept(text(fmt.Sprintf("+467320011%02d", i), "x"))
	}
	type begun struct {
		verdict gateway.Verdict
		err     error
	}
	begin := make(chan begun, 1)
	c.Migrate(t, redisdb.OwnerKey(shop), func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Accept(ctx, gateway.Post{Message: text("+46732001122", "x")}); !errors.Is(err, gateway.ErrUnavailable) || ctx.Err() != nil {
			t.Errorf("a message is posted: %v", err)
		}
		read := gateway.Receipt{Message: m.ID, Status: gateway.StatusRead}
		if err := b.Apply(ctx, shop, gateway.Callback{Receipts: []gateway.Receipt{read}}); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("a callback comes: %v", err)
		}
		if r := b.get(m.ID); r.Status != gateway.StatusQueued {
			t.Errorf("the message is %s", r.Status)
		}
		go func() {
			v, _, err := worker.Begin(t.Context(), worker.intent(m.ID, 0, "n"))
			begin <- begun{v, err}
		}()
	})
	if got := <-begin; got.verdict != gateway.VerdictBegun || got.err != nil {
		t.Errorf("who waited for the slot to move: %s, %v", got.verdict, got.err)
	}
	if r := b.get(m.ID); r.Status != gateway.StatusSending {
		t.Errorf("the message is %s", r.Status)
	}
	b.checkCounters()
}

// A confirmed message is there when the master that took it is gone, for those
// who waited a replica has it; and a worker finds the replica that stands in.
func TestAMessageThatAReplicaHasOutlivesItsNode(t *testing.T) {
	c := redistest.NewCluster(t, 1)
	worker := newBenchFor(t, c.URL, redisdb.ForWorker, 0)
	api := newBenchFor(t, c.URL, redisdb.ForAPI, 1)
	m := api.accept(text("+46732001122", "x"))
	if _, err := newBenchFor(t, c.URL, redisdb.ForAPI, 2).Accept(t.Context(), gateway.Post{Message: text("+46732001122", "x")}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("with one replica where two should have it: %v", err)
	}

	standIn := c.Kill(t, redisdb.OwnerKey(shop))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := api.Get(ctx, m.ID); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a caller who is in a hurry: %v", err)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("he learns it after %v", took)
	}
	standIn()
	worker.mustBegin(m.ID, 0, "n")
	worker.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted})
	if r := worker.get(m.ID); r.Status != gateway.StatusAccepted {
		t.Errorf("the message is %s", r.Status)
	}
}
