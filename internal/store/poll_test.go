package store_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

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
	began, err := b.rdb.HGet(b.t.Context(), key, "ct").Int64() // from which its other times count
	b.must(err)
	b.must(b.rdb.HSet(b.t.Context(), key, "ct", strconv.FormatInt(began-d.Milliseconds(), 10)).Err())
	b.must(b.rdb.ZIncrBy(b.t.Context(), pollKey(), -float64(d.Milliseconds()), id.Local()).Err())
}

// gaps lie before the questions after a message, which carry the provider's id.
func (b *bench) gaps(m gateway.Message, pid gateway.ProviderMessageID) (gaps []time.Duration) {
	t := b.t
	t.Helper()
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
		if p.Message != m.ID && p.NextIn != 0 || p.Message == m.ID && p.ProviderMessageID != pid {
			t.Fatalf("after %v %+v is due", gaps, p)
		}
	}
	return gaps
}

func TestAcceptedMessageIsAskedAfterWithGrowingGapsForADay(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.polls, b.lookups = true, true
		m := b.taken("wamid.1")
		gaps := b.gaps(m, "wamid.1")
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

// lost is a message whose answer was lost.
func (b *bench) lost() gateway.Message {
	b.t.Helper()
	m := text("+46732001133", "x")
	m.OnUnknown = gateway.ResendUnknown
	b.accept(m)
	b.mustBegin(m.ID, 0, "n")
	b.record(gateway.Ending{Message: m.ID, Nonce: "n", Next: gateway.StatusUnknown, Error: &gateway.Error{Class: gateway.ClassUnknown}})
	return m
}

func TestUnknownMessageIsLookedForWithinItsGraceAndForAnHour(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.lookups = true
		m := b.lost()
		b.must(b.rdb.HIncrBy(t.Context(), redisdb.Key(shop.Tag(), "m:"+m.ID.Local()), "as", -20_000).Err()) // it took its time
		gaps := b.gaps(m, "")
		want := []time.Duration{ // four within a minute; the last one finds that the hour is over
			5 * time.Second, 10 * time.Second, 15 * time.Second, 25 * time.Second, 5 * time.Minute, 30 * time.Minute, 30 * time.Minute,
		}
		if diff := cmp.Diff(want, gaps); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	})
}

func TestAShortGraceIsNotOverBeforeTheFirstLookup(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.lookups, b.grace = true, 3*time.Second
		b.lost()
		if p := b.poll(); p.Message != "" || p.NextIn > 1500*time.Millisecond || p.NextIn < time.Second {
			t.Errorf("%+v", p)
		}
		for status, want := range map[gateway.Status]time.Duration{
			gateway.StatusUnknown: 1500 * time.Millisecond, gateway.StatusAccepted: 0, gateway.StatusFailed: 0, gateway.StatusQueued: 0,
		} {
			if got := b.FirstPoll(shop, status); got != want {
				t.Errorf("%s is asked after in %v, want %v", status, got, want)
			}
		}
	})
}

func TestALookupKnowsWhomAndWhenToAskFor(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.lookups = true
		began := time.Now().Truncate(time.Millisecond)
		m := b.lost()
		ended := time.Now()
		b.must(b.rdb.ZAdd(t.Context(), pollKey(), redis.Z{Score: 1, Member: m.ID.Local()}).Err())
		p := b.poll()
		if p.Message != m.ID || p.ProviderMessageID != "" || p.Recipient != "+46732001133" || p.AttemptedAt.Before(began) || p.AttemptedAt.After(ended) {
			t.Errorf("%+v is due, after an attempt between %v and %v", p, began, ended)
		}
	})
}

func TestWhatSettlesEndsTheLookups(t *testing.T) {
	for name, settle := range map[string]func(b *bench, m gateway.Message){
		"a lookup that finds it": func(b *bench, m gateway.Message) {
			b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "P", Status: gateway.StatusAccepted})
		},
		"a callback": func(b *bench, m gateway.Message) {
			b.receipt(gateway.Receipt{Message: m.ID, ProviderMessageID: "P", Status: gateway.StatusFailed, Error: &gateway.Error{Class: gateway.ClassPolicy}})
		},
		"a resend": func(b *bench, m gateway.Message) {
			for b.get(m.ID).Status != gateway.StatusQueued {
				b.keep()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				b.lookups, b.grace = true, time.Millisecond
				settle(b, b.lost())
				if n := b.rdb.ZCard(t.Context(), pollKey()).Val(); n != 0 {
					t.Errorf("%d are looked for", n)
				}
			})
		})
	}
}

func TestAnAttemptThatNobodyRecordedIsLookedFor(t *testing.T) {
	for _, asked := range []bool{true, false} {
		t.Run(strconv.FormatBool(asked), func(t *testing.T) {
			each(t, func(t *testing.T, b *bench) {
				b.lookups = asked
				m := b.accept(text("+46732001133", "x"))
				in := b.intent(m.ID, 0, "n")
				in.Deadline = time.Millisecond
				_, _, err := b.Begin(t.Context(), in)
				b.must(err)
				doubts := false
				for b.get(m.ID).Status != gateway.StatusUnknown {
					doubts = b.keep().Doubts
				}
				if again := b.keep().Doubts; !doubts || again {
					t.Errorf("keeping house tells of it: %v, and then: %v", doubts, again)
				}
				if n := b.rdb.ZCard(t.Context(), pollKey()).Val(); n == 1 != asked {
					t.Errorf("%d are looked for", n)
				}
			})
		})
	}
}

func TestOnlyWhatAPollingAccountsProviderHasIsAskedAfter(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.lookups = true
		b.taken("wamid.1")
		b.polls, b.lookups = true, false
		b.lost()
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
