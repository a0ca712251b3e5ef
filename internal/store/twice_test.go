package store_test

import (
	"testing"
	"time"

	"sluice/internal/gateway"
)

// TestEveryStepTwiceIsOnce runs the steps that have no test of their own for it
// as a client does that lost the answer: the second time nothing changes.
func TestEveryStepTwiceIsOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		step func(b *bench, m gateway.Message) error
		want string // history
	}{
		{"parking", func(b *bench, m gateway.Message) error {
			return b.Defer(b.t.Context(), shop, gateway.Task{Message: m.ID}, time.Hour, false)
		}, "queued"},
		{"refusing", func(b *bench, m gateway.Message) error {
			return b.Refuse(b.t.Context(), shop, gateway.Task{Message: m.ID}, &gateway.Error{Class: gateway.ClassMedia})
		}, "queued rejected"},
		{"expiring", func(b *bench, m gateway.Message) error {
			_, err := b.Expire(b.t.Context(), shop, m.ID)
			return err
		}, "queued expired"},
		{"cancelling", func(b *bench, m gateway.Message) error {
			_, err := b.Cancel(b.t.Context(), m.ID)
			return err
		}, "queued cancelled"},
		{"adopting", func(b *bench, m gateway.Message) error {
			_, err := b.Adopt(b.t.Context(), b.lease, []gateway.MessageID{m.ID})
			return err
		}, "queued"},
		{"keeping house", func(b *bench, _ gateway.Message) error {
			b.keep()
			return nil
		}, "queued"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				m := text("+46732001122", "x")
				if c.name == "expiring" {
					m.ExpiresAt = m.CreatedAt.Add(-time.Second)
				}
				b.accept(m)
				b.must(c.step(b, m))
				first := b.get(m.ID)
				b.must(c.step(b, m))
				again := b.get(m.ID)
				if got := statuses(again); got != c.want {
					t.Errorf("history %q, want %q", got, c.want)
				}
				if first.Status != again.Status || first.UpdatedAt != again.UpdatedAt || len(first.Attempts) != len(again.Attempts) {
					t.Errorf("the second time made %+v of %+v", again, first)
				}
				b.checkCounters()
			})
		})
	}
}
