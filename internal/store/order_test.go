package store_test

import (
	"testing"
	"time"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

func TestOrderHoldsAcrossWhatEndsInBetween(t *testing.T) {
	const to = "+46732001122"
	for _, c := range []struct {
		name string
		// between makes what stands between the first message and the last one.
		between func(b *bench)
	}{
		{name: "nothing"},
		{name: "a message that was cancelled before", between: func(b *bench) {
			_, err := b.Cancel(b.t.Context(), b.accept(text(to, "b")).ID)
			b.must(err)
		}},
		{name: "a message that is scheduled", between: func(b *bench) {
			m := text(to, "b")
			m.SendAt, m.ExpiresAt = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
			b.accept(m)
		}},
		{name: "messages of the other lane", between: func(b *bench) {
			for range 10 {
				m := text(to, "b")
				m.Priority = gateway.Bulk
				b.accept(m)
			}
		}},
		{name: "messages that are refused", between: func(b *bench) {
			m := b.accept(text(to, "b"))
			b.must(b.Refuse(b.t.Context(), shop, gateway.Task{Message: m.ID, Priority: gateway.Transactional}, &gateway.Error{Class: gateway.ClassMedia}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				first := b.accept(text(to, "a"))
				if c.between != nil {
					c.between(b)
				}
				last := b.accept(text(to, "c"))
				if v, _ := b.begin(last.ID, 0, "n-last"); v != gateway.VerdictBehind {
					t.Errorf("the last one: %s, want behind the first", v)
				}
				b.mustBegin(first.ID, 0, "n-first")
				b.mustBegin(last.ID, 0, "n-last")
			})
		})
	}
}

func TestOrderHoldsWhenTheOneBetweenIsCancelledLater(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "+46732001122"
		first, middle, last := b.accept(text(to, "a")), b.accept(text(to, "b")), b.accept(text(to, "c"))
		_, err := b.Cancel(t.Context(), middle.ID)
		b.must(err)
		if v, _ := b.begin(last.ID, 0, "n"); v != gateway.VerdictBehind {
			t.Errorf("the last one: %s, want behind the first", v)
		}
		b.mustBegin(first.ID, 0, "n1")
		b.mustBegin(last.ID, 0, "n")
		if n := b.rdb.HLen(t.Context(), redisdb.Key(shop.Tag(), "lw")).Val(); n != 0 {
			t.Errorf("%d lines are left though nobody waits", n)
		}
	})
}

func TestAnUndoneAttemptKeepsItsPlace(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "+46732001122"
		first, second := b.accept(text(to, "a")), b.accept(text(to, "b"))
		b.mustBegin(first.ID, 0, "n1")
		b.record(gateway.Ending{Message: first.ID, Nonce: "n1", Next: gateway.StatusQueued})
		third := b.accept(text(to, "c"))
		for _, m := range []gateway.Message{second, third} {
			if v, _ := b.begin(m.ID, 0, "n"+string(m.ID)); v != gateway.VerdictBehind {
				t.Errorf("overtakes the one that wasn't sent after all: %s", v)
			}
		}
	})
}

func TestARetryIsOvertaken(t *testing.T) {
	each(t, func(_ *testing.T, b *bench) {
		const to = "+46732001122"
		first, second := b.accept(text(to, "a")), b.accept(text(to, "b"))
		b.mustBegin(first.ID, 0, "n1")
		b.record(gateway.Ending{Message: first.ID, Nonce: "n1", Next: gateway.StatusQueued, RetryIn: time.Hour})
		b.mustBegin(second.ID, 0, "n2")
	})
}

func TestALongWayBackIsWalkedInSteps(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "+46732001122"
		first := b.accept(text(to, "a"))
		var between []gateway.Message
		for range 70 {
			between = append(between, b.accept(text(to, "x")))
		}
		last := b.accept(text(to, "z"))
		for _, m := range between {
			_, err := b.Cancel(t.Context(), m.ID)
			b.must(err)
		}
		for range 4 {
			if v, _ := b.begin(last.ID, 0, "n"); v != gateway.VerdictBehind {
				t.Fatalf("the last one overtakes: %s", v)
			}
		}
		b.mustBegin(first.ID, 0, "n1")
		b.mustBegin(last.ID, 0, "n")
	})
}

func TestNoLineIsLeftOfWhoEndedWithout(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const to = "+46732001122"
		first, second := b.accept(text(to, "a")), b.accept(text(to, "b"))
		b.mustBegin(first.ID, 0, "n")
		_, err := b.Cancel(t.Context(), second.ID)
		b.must(err)
		if v := b.rdb.HGetAll(t.Context(), redisdb.Key(shop.Tag(), "lw")).Val(); len(v) != 0 {
			t.Errorf("left: %v", v)
		}
	})
}
