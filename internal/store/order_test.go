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
