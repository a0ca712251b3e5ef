package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

// resent is a message whose first attempt is unknown and that waits to be sent
// again.
func (b *bench) resent() (m gateway.Message, sequence int) {
	b.t.Helper()
	b.grace = time.Millisecond
	m = text("+46732001133", "x")
	m.OnUnknown = gateway.ResendUnknown
	b.accept(m)
	in := b.intent(m.ID, 0, "n1")
	in.Deadline = time.Millisecond
	if v, _, err := b.Begin(b.t.Context(), in); err != nil || v != gateway.VerdictBegun {
		b.t.Fatal(v, err)
	}
	b.must(b.Enqueued(b.t.Context(), shop, gateway.Task{Message: m.ID}))
	for {
		if tasks := b.keep().Tasks; len(tasks) > 0 {
			return m, tasks[0].Sequence
		}
	}
}

func yes(m gateway.Message, nonce, pid string) gateway.Ending {
	return gateway.Ending{
		Message: m.ID, Nonce: nonce, Next: gateway.StatusAccepted, ProviderMessageID: gateway.ProviderMessageID(pid), Spent: true,
	}
}

func TestAYesIsProofWhoeverBringsIt(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m, seq := b.resent()
		b.mustBegin(m.ID, seq, "n2")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n2", Next: gateway.StatusQueued, RetryIn: time.Hour})
		b.record(yes(m, "n1", "wamid.1"))
		if r := b.get(m.ID); r.Status != gateway.StatusAccepted || r.ProviderMessageID != "wamid.1" {
			t.Errorf("it is %s with %s", r.Status, r.ProviderMessageID)
		}
		b.checkCounters()
	})
}

func TestAYesStandsThoughItsIntentWasLost(t *testing.T) {
	b := newBench(t, redistest.Start(t)) // the embedded Redis can't restore
	m := b.accept(text("+46732001133", "x"))
	key := redisdb.Key(shop.Tag(), "m:"+m.ID.Local())
	before := b.rdb.Dump(t.Context(), key).Val()
	b.mustBegin(m.ID, 0, "n1")
	b.must(b.rdb.RestoreReplace(t.Context(), key, 0, before).Err()) // a failover to a replica that lagged
	b.record(yes(m, "n1", "wamid.1"))
	if v, _ := b.begin(m.ID, 0, "n2"); v != gateway.VerdictDropped || b.get(m.ID).Status != gateway.StatusAccepted {
		t.Errorf("it is %s, and a second begin %s", b.get(m.ID).Status, v)
	}
}

func TestAnEarlierAttemptsFailureSaysNothingOfTheLater(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m, seq := b.resent()
		b.mustBegin(m.ID, seq, "n2")
		failed := gateway.Receipt{
			Message: m.ID, ProviderMessageID: "wamid.1", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassPermanent},
		}
		b.receipt(failed)
		b.record(yes(m, "n2", "wamid.2"))
		b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "wamid.2", Status: gateway.StatusSent})
		b.receipt(failed)
		if r := b.get(m.ID); r.Status != gateway.StatusSent || r.ProviderMessageID != "wamid.2" || r.Error != nil {
			t.Errorf("it is %s with %s, error %v", r.Status, r.ProviderMessageID, r.Error)
		}
	})
}

func TestTheLaterAttemptsFailureCounts(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m, seq := b.resent()
		b.mustBegin(m.ID, seq, "n2")
		b.receipt(gateway.Receipt{
			Message: m.ID, ProviderMessageID: "wamid.2", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassPermanent},
		})
		b.record(yes(m, "n2", "wamid.2")) // the answer comes after its receipt
		if r := b.get(m.ID); r.Status != gateway.StatusFailed || r.Error == nil {
			t.Errorf("it is %s, error %v", r.Status, r.Error)
		}
	})
}

func TestWhatMayHaveBeenSentIsNotCancelled(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m, _ := b.resent()
		if _, err := b.Cancel(t.Context(), m.ID); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("cancel: %v", err)
		}
	})
}

func TestReceiptThatCameFirstKeepsItsSuppression(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text(string(person), "x"))
		b.mustBegin(m.ID, 0, "n1")
		b.receipt(gateway.Receipt{
			ProviderMessageID: "wamid.1", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassRecipient, Code: "131050"},
			Suppress: &gateway.Suppression{Scope: gateway.SuppressMarketing, Reason: "131050"},
		})
		b.record(yes(m, "n1", "wamid.1"))
		if got := scopes(b.standing()); len(got) != 1 || got[0] != gateway.SuppressMarketing {
			t.Errorf("suppressions: %v", got)
		}
	})
}

func TestRepeatedReceiptDoesNotUndoAnOperator(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text(string(person), "x"))
		b.mustBegin(m.ID, 0, "n1")
		b.record(yes(m, "n1", "wamid.1"))
		r := gateway.Receipt{
			ProviderMessageID: "wamid.1", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassRecipient},
			Suppress: &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "no WhatsApp"},
		}
		b.receipt(r)
		_, err := b.Unsuppress(t.Context(), shop, person, "")
		b.must(err)
		b.receipt(r)
		if got := scopes(b.standing()); len(got) != 0 {
			t.Errorf("suppressions: %v", got)
		}
	})
}

func TestAnOldWordRepeatedSaysNothing(t *testing.T) {
	at := func(hours int) time.Time { return time.Now().Add(time.Duration(hours) * time.Hour) }
	for _, c := range []struct {
		name string
		said []gateway.Inbound
		want int
	}{
		{"an old start after a stop", []gateway.Inbound{
			{Consent: gateway.ConsentStart, At: at(-3)}, {Consent: gateway.ConsentStop, At: at(-2)}, {Consent: gateway.ConsentStart, At: at(-3)},
		}, 1},
		{"an old stop after a start", []gateway.Inbound{
			{Consent: gateway.ConsentStop, At: at(-3)}, {Consent: gateway.ConsentStart, At: at(-2)}, {Consent: gateway.ConsentStop, At: at(-3)},
		}, 0},
		{"a new stop after a start", []gateway.Inbound{{Consent: gateway.ConsentStart, At: at(-2)}, {Consent: gateway.ConsentStop, At: at(-1)}}, 1},
		{"a stop of an unknown time", []gateway.Inbound{{Consent: gateway.ConsentStop}}, 1},
		{"a stop of an unknown time after a start", []gateway.Inbound{{Consent: gateway.ConsentStart, At: at(-2)}, {Consent: gateway.ConsentStop}}, 1},
		{"a start of an unknown time after a stop", []gateway.Inbound{{Consent: gateway.ConsentStop, At: at(-2)}, {Consent: gateway.ConsentStart}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				for _, in := range c.said {
					in.From = person
					b.must(b.Apply(t.Context(), shop, gateway.Callback{Inbound: []gateway.Inbound{in}}))
				}
				if got := scopes(b.standing()); len(got) != c.want {
					t.Errorf("suppressions: %v, want %d", got, c.want)
				}
			})
		})
	}
}

func TestNothingIsLeftOfAMessageWithTwoProviderIDs(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.retention = gateway.Retention{Content: time.Millisecond, Record: time.Millisecond, DeadLetter: time.Millisecond}
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n1")
		b.record(yes(m, "n1", "wamid.1"))
		b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "wamid.2", Status: gateway.StatusSent})
		for {
			b.keep()
			if _, err := b.Get(t.Context(), m.ID); errors.Is(err, gateway.ErrNotFound) {
				break
			}
		}
		if left := b.rdb.ZRange(t.Context(), redisdb.Key(shop.Tag(), "ix"), 0, -1).Val(); len(left) != 0 {
			t.Errorf("the index still has %v", left)
		}
	})
}

func TestThrottledCallsDoNotCountAgainstSendingAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.grace = time.Millisecond
		m := text("+46732001122", "x")
		m.OnUnknown = gateway.ResendUnknown
		b.accept(m)
		b.must(b.Enqueued(t.Context(), shop, gateway.Task{Message: m.ID}))
		next := func() int {
			for {
				if tasks := b.keep().Tasks; len(tasks) > 0 {
					b.must(b.Enqueued(t.Context(), shop, tasks...))
					return tasks[0].Sequence
				}
			}
		}
		seq := 0
		for i := range 9 {
			nonce := "n" + strings.Repeat("x", i)
			b.mustBegin(m.ID, seq, nonce)
			b.record(gateway.Ending{Message: m.ID, Nonce: nonce, Next: gateway.StatusQueued, RetryIn: time.Millisecond})
			seq = next()
		}
		b.mustBegin(m.ID, seq, "last")
		b.record(gateway.Ending{Message: m.ID, Nonce: "last", Next: gateway.StatusUnknown, Spent: true, Error: &gateway.Error{Class: gateway.ClassUnknown}})
		next() // it is sent again
	})
}

func TestFullRedisStillLetsWorkEnd(t *testing.T) {
	b := newBench(t, redistest.Start(t))
	m := b.accept(text("+46732001122", "x"))
	b.mustBegin(m.ID, 0, "n1")
	batch := b.open("")
	b.add(batch, false, lines(batch, 1, 3)...)
	b.must(b.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	b.must(b.CompleteBatch(t.Context(), shop, batch))
	_, err := b.CancelBatch(t.Context(), batch)
	b.must(err)
	b.record(yes(m, "n1", "wamid.1"))
	b.keep()
	b.receipt(gateway.Receipt{Message: m.ID, Status: gateway.StatusDelivered})
	b.must(b.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	if r := b.get(m.ID); r.Status != gateway.StatusDelivered {
		t.Errorf("it is %s", r.Status)
	}
}

func TestAReminderDuringHousekeepingIsNotLost(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		due := func() int64 {
			d, err := b.DueAccounts(t.Context())
			b.must(err)
			return d[shop]
		}
		b.must(b.Remind(t.Context(), shop))
		claimed, err := b.Claim(t.Context(), shop, due())
		b.must(err)
		if due() != 0 {
			t.Error("claimed, and still due")
		}
		b.keep() // sees nothing
		m := text("+46732001122", "soon")
		m.SendAt, m.ExpiresAt = m.CreatedAt.Add(100*time.Millisecond), m.CreatedAt.Add(time.Hour)
		b.accept(m)
		b.must(b.Settle(t.Context(), shop, claimed, time.Time{}))
		for due() == 0 {
			if time.Now().After(m.SendAt.Add(time.Second)) {
				t.Fatal("nobody looks after what was accepted meanwhile")
			}
		}
		if early := time.Until(m.SendAt); early > 0 {
			t.Errorf("due %v before its time", early)
		}
	})
}

func TestAReminderThatIsAboutToBeClaimedDoesNotStandForTheNext(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		due := func() float64 { return b.rdb.ZScore(t.Context(), redisdb.DueKey, string(shop)).Val() }
		b.must(b.Remind(t.Context(), shop))
		b.accept(text("+46732001122", "x")) // due already, and so no later
		claimed, err := b.Claim(t.Context(), shop, int64(due()))
		b.must(err)
		b.must(b.Settle(t.Context(), shop, claimed, time.Time{}))
		b.accept(text("+46732001122", "y"))
		if due() == 0 {
			t.Error("nobody looks after what was accepted since")
		}
	})
}

func TestFailureOfAnAttemptThatIsTheOnlyOneOutCounts(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(text("+46732001122", "x"))
		b.mustBegin(m.ID, 0, "n1")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n1", Next: gateway.StatusQueued}) // it wasn't made
		seq := 0
		for seq == 0 {
			for _, task := range b.keep().Tasks {
				seq = task.Sequence
			}
		}
		b.mustBegin(m.ID, seq, "n2")
		b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "p2", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassPermanent}})
		b.record(gateway.Ending{Message: m.ID, Nonce: "n2", Next: gateway.StatusUnknown, Error: &gateway.Error{Class: gateway.ClassUnknown}})
		if r := b.get(m.ID); r.Status != gateway.StatusFailed {
			t.Errorf("it is %s though the provider said that it failed", r.Status)
		}
	})
}

func TestCancellingTellsTheOwnerOfTheNotice(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(told("x"))
		b.must(b.rdb.Del(t.Context(), redisdb.DueKey).Err())
		_, err := b.Cancel(t.Context(), m.ID)
		b.must(err)
		if d, err := b.DueAccounts(t.Context()); err != nil || d[shop] == 0 {
			t.Errorf("due: %v, %v", d, err)
		}
		if n := b.notices(); len(n) != 1 || n[0].Status != gateway.StatusCancelled {
			t.Errorf("notices: %+v", n)
		}
	})
}
