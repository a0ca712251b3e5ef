package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
)

func (b *bench) notices() []gateway.Notice {
	b.t.Helper()
	n, _, err := b.DueNotices(b.t.Context(), b.lease, 10)
	b.must(err)
	return n
}

func told(body string) gateway.Message {
	m := text("+46732001122", body)
	m.CallbackURL, m.Reference, m.Metadata = "https://caller.example/hook", "order-1", map[string]string{"campaign": "nov"}
	return m
}

func TestCallersAreToldEveryChangeInOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(told("x"))
		if n := b.notices(); len(n) != 0 {
			t.Errorf("told of what the answer to the post said: %+v", n)
		}
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "wamid.1"})
		failure := &gateway.Error{Class: gateway.ClassRecipient, Code: "131026", Title: "undeliverable"}
		b.receipt(gateway.Receipt{Message: m.ID, Status: gateway.StatusFailed, At: time.Now(), Error: failure})
		b.receipt(gateway.Receipt{Message: m.ID, Status: gateway.StatusFailed, At: time.Now(), Error: failure})

		var got []gateway.Notice
		for {
			due := b.notices()
			if len(due) == 0 {
				break
			}
			if again := b.notices(); len(again) != 0 {
				t.Fatalf("claimed twice: %+v", again)
			}
			got = append(got, due...)
			b.must(b.NoticeDone(t.Context(), shop, due[0]))
			b.must(b.NoticeDone(t.Context(), shop, due[0])) // the client sent it twice
		}
		base := gateway.Notice{
			Message: m.ID, Account: shop, URL: m.CallbackURL, Reference: "order-1", Metadata: m.Metadata, ProviderMessageID: "wamid.1",
		}
		step := func(n int, from, to gateway.Status, err *gateway.Error) gateway.Notice {
			s := base
			s.Number, s.Previous, s.Status, s.Error = n, from, to, err
			return s
		}
		want := []gateway.Notice{
			step(1, gateway.StatusQueued, gateway.StatusSending, nil),
			step(2, gateway.StatusSending, gateway.StatusAccepted, nil),
			step(3, gateway.StatusAccepted, gateway.StatusFailed, failure),
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(gateway.Notice{}, "At")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFailedNoticeKeepsTheLaterOnesWaiting(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(told("x"))
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusAccepted, ProviderMessageID: "wamid.1"})
		first := b.notices()
		first[0].Tries, first[0].Since = 1, time.Now().UTC().Truncate(time.Millisecond)
		b.must(b.NoticeFailed(t.Context(), shop, first[0], time.Hour))
		if n, nextIn, err := b.DueNotices(t.Context(), b.lease, 10); err != nil || len(n) != 0 || nextIn < 59*time.Minute {
			t.Errorf("%d due, next in %v, %v", len(n), nextIn, err)
		}
		b.must(b.NoticeFailed(t.Context(), shop, first[0], 0))
		again := b.notices()
		if len(again) != 1 || again[0].Number != 1 || again[0].Tries != 1 || !again[0].Since.Equal(first[0].Since) {
			t.Fatalf("again: %+v", again)
		}
		b.must(b.NoticeDropped(t.Context(), shop, again[0], &gateway.Error{Class: gateway.ClassPermanent, Code: "gone"}))
		if n := b.notices(); len(n) != 1 || n[0].Number != 2 || n[0].Tries != 0 {
			t.Errorf("after it was given up: %+v", n)
		}
	})
}

func TestNoticesAreTheOwnersToTell(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.accept(told("x"))
		other := b.lease
		other.Epoch++
		if _, _, err := b.DueNotices(t.Context(), other, 1); !errors.As(err, new(gateway.Fenced)) {
			t.Errorf("another epoch: %v", err)
		}
	})
}

func TestReceiptsRemindTheOwnerOfNotices(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		m := b.accept(told("x"))
		b.mustBegin(m.ID, 0, "n")
		due := func() int64 {
			d, err := b.DueAccounts(t.Context())
			b.must(err)
			return d[shop]
		}
		if at := due(); at != 0 {
			t.Fatalf("due at %d before the receipt", at)
		}
		b.receipt(gateway.Receipt{Message: m.ID, Status: gateway.StatusSent, At: time.Now()})
		if due() == 0 {
			t.Error("the owner isn't reminded")
		}
	})
}
