package store_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// taken is a message that the provider has accepted.
func (b *bench) taken(pid string) gateway.Message {
	b.t.Helper()
	m := b.accept(text("+46732001122", "x"))
	b.mustBegin(m.ID, 0, "n")
	b.record(yes(m, "n", pid))
	return m
}

func (b *bench) poll() gateway.Poll {
	b.t.Helper()
	p, err := b.DuePoll(b.t.Context(), b.lease)
	b.must(err)
	return p
}

func pollKey() string { return redisdb.Key(shop.Tag(), "poll") }

// pass lets d pass for a message that is asked after.
func (b *bench) pass(id gateway.MessageID, d time.Duration) {
	b.t.Helper()
	key := redisdb.Key(shop.Tag(), "m:"+id.Local())
	at, err := b.rdb.HGet(b.t.Context(), key, "as").Int64()
	b.must(err)
	b.must(b.rdb.HSet(b.t.Context(), key, "as", strconv.FormatInt(at-d.Milliseconds(), 10)).Err())
	b.must(b.rdb.ZIncrBy(b.t.Context(), pollKey(), -float64(d.Milliseconds()), id.Local()).Err())
}

func TestAcceptedMessageIsAskedAfterWithGrowingGapsForADay(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.polls = true
		m := b.taken("wamid.1")
		var gaps []time.Duration
		for range 100 {
			p := b.poll()
			if p.NextIn == 0 {
				break
			}
			if p.Message != "" {
				t.Fatal("it is due before its time")
			}
			gaps = append(gaps, p.NextIn.Round(time.Second))
			b.pass(m.ID, p.NextIn)
			p = b.poll()
			if p.Message != m.ID && p.NextIn != 0 || p.Message == m.ID && p.ProviderMessageID != "wamid.1" {
				t.Fatalf("after %v %+v is due", gaps, p)
			}
		}
		want := []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute}
		for range 24 { // the last one only finds that the day is over
			want = append(want, time.Hour)
		}
		if diff := cmp.Diff(want, gaps); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsReadOrHasFailedIsNotAskedAfter(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.polls = true
		for status, follows := range map[gateway.Status]int64{
			gateway.StatusSent: 1, gateway.StatusDelivered: 1, gateway.StatusRead: 0, gateway.StatusFailed: 0,
		} {
			for _, early := range []bool{false, true} { // before the answer to the send was recorded
				m := b.accept(text("+46732001122", "x"))
				r := gateway.Receipt{Message: m.ID, ProviderMessageID: gateway.ProviderMessageID("P" + m.ID), Status: status, Error: &gateway.Error{Class: gateway.ClassRecipient}}
				b.mustBegin(m.ID, 0, "n")
				if early {
					b.receipt(r)
				}
				b.record(yes(m, "n", "P"+string(m.ID)))
				if !early {
					b.receipt(r)
				}
				if n := b.rdb.ZCard(t.Context(), pollKey()).Val(); n != follows {
					t.Errorf("%s, reported early: %v: %d to be asked after, want %d", status, early, n, follows)
				}
				b.must(b.rdb.Del(t.Context(), pollKey()).Err())
			}
		}
	})
}

func TestOnlyWhatAPollingAccountsProviderHasIsAskedAfter(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.taken("wamid.1")
		b.polls = true
		m := b.accept(text("+46732001133", "x"))
		b.mustBegin(m.ID, 0, "n")
		b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusUnknown, Error: &gateway.Error{Class: gateway.ClassUnknown}})
		if p := b.poll(); p != (gateway.Poll{}) {
			t.Errorf("%+v", p)
		}
	})
}

func TestPollsAreTheOwnersAndSurviveATakeover(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.polls = true
		m := b.taken("wamid.1")
		b.pass(m.ID, 5*time.Second)
		next := b.lease
		next.Worker, next.Epoch = "w2", b.lease.Epoch+1
		b.own(next)
		if _, err := b.DuePoll(t.Context(), b.lease); !errors.As(err, new(gateway.Fenced)) {
			t.Errorf("the owner before: %v", err)
		}
		b.lease = next
		if p := b.poll(); p.Message != m.ID {
			t.Errorf("the next owner gets %+v", p)
		}
		if p := b.poll(); p.Message != "" {
			t.Errorf("claimed twice: %+v", p)
		}
	})
}
