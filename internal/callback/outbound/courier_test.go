package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

const host, other = "hooks.example", "other.example"

func TestNoticesOfAMessageComeInOrderOverRetries(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, func(_ call, nth int) reply {
			if nth <= 2 || nth == 4 {
				return reply{status: 500}
			}
			return reply{}
		})
		w.post("m1", host, 3)
		pass(time.Minute)
		if d := cmp.Diff([]string{"m1_1", "m1_1", "m1_1", "m1_2", "m1_2", "m1_3"}, w.ids(host)); d != "" || w.left() != 0 {
			w.Errorf("%d left; arrived (-want +got):\n%s", w.left(), d)
		}
		calls := w.net.to(host)
		if calls[0].body != calls[2].body {
			w.Error("a repetition has another body")
		}
		if a, b := calls[0].header.Get("webhook-timestamp"), calls[2].header.Get("webhook-timestamp"); a == b {
			w.Errorf("every try has the timestamp %s", a)
		}
	})
}

func TestNextNoticeOfAMessageGoesAtOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.post("m1", host, 5)
		pass(time.Second)
		if n := len(w.ids(host)); n != 5 {
			w.Errorf("%d of 5 arrived within a second", n)
		}
	})
}

func TestWaitsGrowToAnHourAndEndAfterADay(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, func(c call, _ int) reply {
			if c.id == "m1_1" {
				return reply{status: 404}
			}
			return reply{}
		})
		w.post("m1", host, 2)
		pass(25 * time.Hour)
		calls := w.net.to(host)
		want := []float64{5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600}
		var waits []float64
		for i := range want {
			waits = append(waits, calls[i+1].at.Sub(calls[i].at).Round(time.Second).Seconds())
		}
		if d := cmp.Diff(want, waits); d != "" {
			w.Errorf("waits (-want +got):\n%s", d)
		}
		last := calls[len(calls)-2]
		if after := last.at.Sub(calls[0].at); after < day || after > day+time.Second {
			w.Errorf("the last try was after %v", after)
		}
		if len(w.store.dead) != 1 || w.store.dead[0].Number != 1 || w.store.dead[0].Tries != len(calls)-1 {
			w.Fatalf("dropped were %+v", w.store.dead)
		}
		wantErr := gateway.Error{
			Class: gateway.ClassTransient, Code: CodeUnconfirmed, Title: "the callback wasn't confirmed within a day",
			Detail: "the last try: HTTP 404",
		}
		if d := cmp.Diff(wantErr, w.store.dead[0].why); d != "" {
			w.Errorf("why (-want +got):\n%s", d)
		}
		if next := calls[len(calls)-1]; next.id != "m1_2" || next.at.Sub(last.at) > time.Second {
			w.Errorf("%s came %v after the drop", next.id, next.at.Sub(last.at))
		}
	})
}

func TestWaitsAreAnywhereBelowTheLimit(t *testing.T) {
	inBubbleWith(t, func(o *Options) { o.Random = func(n int64) int64 { return n / 2 } }, func(w *world) {
		w.net.answer(host, always(reply{status: 404}))
		w.post("m1", host, 1)
		pass(8 * time.Second)
		if n := len(w.ids(host)); n != 3 { // after 2.5 and 5 more seconds
			w.Errorf("%d tries, want 3", n)
		}
	})
}

func TestSomeAnswersAreFinal(t *testing.T) {
	for name, c := range map[string]struct {
		reply reply
		url   string
		code  string
	}{
		"410 drops at once":                {reply{status: 410}, host, CodeGone},
		"the guard's refusal drops":        {reply{err: errRefused}, host, CodeRefused},
		"a URL that is none drops":         {reply{}, "[", CodeURL},
		"a URL with a broken escape drops": {reply{}, host + "/%zz", CodeURL},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.net.answer(host, func(_ call, nth int) reply {
					if nth == 1 {
						return c.reply
					}
					return reply{}
				})
				w.post("m1", c.url, 1)
				pass(time.Second)
				if len(w.store.dead) != 1 || w.store.dead[0].why.Code != c.code || w.store.dead[0].why.Class != gateway.ClassPermanent {
					w.Fatalf("dropped were %+v", w.store.dead)
				}
				if n := len(w.ids(host)); n > 1 {
					w.Errorf("%d tries", n)
				}
			})
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		earliest   time.Duration
		latest     time.Duration
	}{
		"by 429":                      {429, "100", 100 * time.Second, 105 * time.Second},
		"by 503, as a date":           {503, "Sat, 01 Jan 2000 00:05:00 GMT", 5 * time.Minute, 5*time.Minute + 5*time.Second},
		"up to an hour":               {429, "86400", time.Hour, time.Hour},
		"not with other answers":      {500, "100", 5 * time.Second, 5 * time.Second},
		"without it the wait is ours": {503, "", 5 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.net.answer(host, func(_ call, nth int) reply {
					if nth == 1 {
						return reply{status: c.status, header: http.Header{"Retry-After": {c.retryAfter}}}
					}
					return reply{}
				})
				w.post("m1", host, 1)
				pass(2 * time.Hour)
				calls := w.net.to(host)
				if len(calls) != 2 {
					w.Fatalf("%d tries", len(calls))
				}
				if wait := calls[1].at.Sub(calls[0].at); wait < c.earliest-time.Millisecond || wait > c.latest+time.Second {
					w.Errorf("the second try came after %v", wait)
				}
			})
		})
	}
}

func TestRetryAfterIsHonouredBeyondTheDay(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{status: 429, header: http.Header{"Retry-After": {"3500"}}}))
		w.post("m1", host, 1)
		pass(26 * time.Hour)
		calls := w.net.to(host)
		for i := range calls[1:] {
			if wait := calls[i+1].at.Sub(calls[i].at); wait < 3500*time.Second {
				w.Errorf("try %d came after %v", i+2, wait)
			}
		}
		if len(w.store.dead) != 1 {
			w.Errorf("%d dropped", len(w.store.dead))
		}
	})
}

// TestSlowReceiverDelaysNoOther has thousands of notices for receivers that
// don't answer come due before one for another.
func TestSlowReceiverDelaysNoOther(t *testing.T) {
	for name, r := range map[string]reply{
		"one that hangs":           {hang: true},
		"one that isn't there":     {err: errors.New("connection refused " + private)},
		"one that answers slowly":  {slow: 10 * time.Second},
		"one that is overwhelmed":  {status: 503},
		"one that always fails":    {status: 500},
		"one that is slow to fail": {status: 504, slow: 14 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.net.answer(host, always(r))
				const backlog = 2000
				for i := range backlog {
					w.post(gateway.MessageID(fmt.Sprintf("a%04d", i)), host, 1)
				}
				posted := time.Now()
				w.post("z", other, 1)
				pass(5 * time.Second)
				if calls := w.net.to(other); len(calls) != 1 || calls[0].at.Sub(posted) > 2*time.Second {
					w.Errorf("calls to the other: %v", calls)
				}
				for i := range 6 { // and so it stays
					pass(time.Minute)
					id := gateway.MessageID(fmt.Sprintf("z%d", i))
					posted := time.Now()
					w.post(id, other, 1)
					pass(time.Second)
					calls := w.net.to(other)
					if last := calls[len(calls)-1]; last.id != string(id)+"_1" || last.at.Sub(posted) > 500*time.Millisecond {
						w.Fatalf("minute %d: last call %s after %v", i, last.id, last.at.Sub(posted))
					}
				}
				if w.net.most[host] > 8 {
					w.Errorf("%d calls at one time", w.net.most[host])
				}
				claimed := 0
				for _, n := range w.store.claims {
					claimed += n
				}
				// Each for its calls, and besides each a few times until it is known for
				// slow, then hardly more often than every ten minutes: what is put off isn't churned.
				if most := len(w.net.to(host)) + backlog*6; claimed > most {
					w.Errorf("%d claims, want %d at most", claimed, most)
				}
			})
		})
	}
}

func TestShutReceiverIsOnlyProbed(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{hang: true}))
		for i := range 100 {
			w.post(gateway.MessageID(fmt.Sprintf("a%03d", i)), host, 1)
		}
		pass(31 * time.Second) // eight time out, of which five shut it; others began in between
		before := len(w.ids(host))
		if before > 8+failuresToShut {
			w.Fatalf("%d calls before it was shut", before)
		}
		w.net.mu.Lock()
		w.net.most[host] = 0
		w.net.mu.Unlock()
		pass(10 * time.Minute)
		probes := len(w.ids(host)) - before
		if w.net.most[host] != 1 || probes < 5 || probes > 10 {
			w.Errorf("%d probes, %d at one time", probes, w.net.most[host])
		}
		tries := 0
		w.store.set(func(s *fakeStore) {
			for _, m := range s.messages {
				tries += m.notices[0].Tries
				if m.notices[0].Since.IsZero() {
					w.Error("the day of a notice hasn't begun")
				}
			}
		})
		if inFlight := w.net.total; tries+inFlight != before+probes {
			w.Errorf("%d tries counted, %d made", tries, before+probes)
		}
		w.net.answer(host, nil)
		pass(longestShut + w.courier.o.Timeout + time.Minute)
		// What was tried waits for its own time, all else was waiting for the
		// receiver only.
		if n := w.left(); n > before+probes {
			w.Errorf("%d left after it recovered", n)
		}
		if w.courier.receivers.known[host+":443"] != nil && w.courier.receivers.known[host+":443"].shut {
			w.Error("it is still shut")
		}
		pass(time.Hour)
		if n := w.left(); n != 0 {
			w.Errorf("%d left an hour after it recovered", n)
		}
	})
}

func TestNoticeForADeadReceiverIsDroppedAfterADayTriedOrNot(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{hang: true}))
		for i := range 30 {
			w.post(gateway.MessageID(fmt.Sprintf("a%04d", i)), host, 1)
		}
		pass(day + time.Hour)
		if len(w.store.dead) != 30 || w.left() != 0 {
			w.Fatalf("%d dropped, %d left", len(w.store.dead), w.left())
		}
		for _, d := range w.store.dead {
			if age := d.at.Sub(w.began); age < day || age > day+30*time.Minute || d.why.Code != CodeUnconfirmed {
				w.Fatalf("dropped after %v: %v", age, d.why)
			}
		}
	})
}

func TestFastReceiverIsServedAtItsPace(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{slow: 10 * time.Millisecond}))
		const backlog = 10_000
		for i := range backlog {
			w.post(gateway.MessageID(fmt.Sprintf("a%05d", i)), host, 1)
		}
		pass(20 * time.Second) // eight at one time make 800 a second
		if n := len(w.ids(host)); n < backlog*8/10 {
			w.Errorf("%d of %d arrived", n, backlog)
		}
		pass(40 * time.Second)
		if n := w.left(); n != 0 {
			w.Errorf("%d left after a minute", n)
		}
	})
}

func TestCallsAtOneTimeAreBounded(t *testing.T) {
	inBubbleWith(t, func(o *Options) { o.Parallel = 20 }, func(w *world) {
		for h := range 10 {
			name := fmt.Sprintf("h%d.example", h)
			w.net.answer(name, always(reply{slow: time.Second}))
			for i := range 30 {
				w.post(gateway.MessageID(fmt.Sprintf("m%d-%d", h, i)), name, 1)
			}
		}
		pass(time.Minute)
		if w.net.peak != 20 || w.left() != 0 {
			w.Errorf("%d calls at one time, %d left", w.net.peak, w.left())
		}
	})
}

func TestNothingIsClaimedWithoutRoom(t *testing.T) {
	inBubbleWith(t, func(o *Options) { o.Parallel, o.PerReceiver = 2, 2 }, func(w *world) {
		for h := range 10 { // 32 in hand at most
			name := fmt.Sprintf("h%d.example", h)
			w.net.answer(name, always(reply{slow: 8 * time.Second}))
			for i := range 16 {
				w.post(gateway.MessageID(fmt.Sprintf("m%d-%02d", h, i)), name, 1)
			}
		}
		for range 100 {
			pass(50 * time.Millisecond)
			if n := w.inHand(); n > 32 {
				w.Errorf("%d in hand", n)
			}
		}
	})
}

func TestStoreThatIsAwayLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(s *fakeStore)
		replies func(call, int) reply
		arrive  []string
	}{
		"a confirmation that doesn't arrive is repeated": {
			prepare: func(s *fakeStore) { s.awayFrom["done"] = 20 }, arrive: []string{"m1_1", "m1_2"},
		},
		"a confirmation whose answer is lost is repeated": {
			prepare: func(s *fakeStore) { s.mute["done"] = 20 }, arrive: []string{"m1_1", "m1_2"},
		},
		"a failure that doesn't arrive is repeated": {
			prepare: func(s *fakeStore) { s.awayFrom["failed"] = 20 },
			replies: func(_ call, nth int) reply { return reply{status: []int{500, 200, 200}[nth-1]} },
			arrive:  []string{"m1_1", "m1_1", "m1_2"},
		},
		"a drop whose answer is lost is repeated": {
			prepare: func(s *fakeStore) { s.mute["dropped"] = 20 },
			replies: func(_ call, nth int) reply { return reply{status: []int{410, 200}[nth-1]} },
			arrive:  []string{"m1_1", "m1_2"},
		},
		"what is claimed again while it is in hand isn't told twice": {
			prepare: func(s *fakeStore) { s.awayFrom["done"] = 400 }, arrive: []string{"m1_1", "m1_2"}, // more than a minute
		},
		"a claim whose answer is lost runs out": {
			prepare: func(s *fakeStore) { s.mute["due"] = 1 }, arrive: []string{"m1_1", "m1_2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.store.set(c.prepare)
				w.net.answer(host, c.replies)
				w.post("m1", host, 2)
				pass(5 * time.Minute)
				if d := cmp.Diff(c.arrive, w.ids(host)); d != "" || w.left() != 0 {
					w.Errorf("%d left; arrived (-want +got):\n%s", w.left(), d)
				}
			})
		})
	}
}

func TestWriteThatIsRefusedIsNotRepeated(t *testing.T) {
	inBubble(t, func(w *world) {
		w.store.set(func(s *fakeStore) { s.fail = gateway.ErrNotFound })
		w.post("m1", host, 1)
		pass(time.Second)
		if n := w.inHand(); n != 0 {
			w.Errorf("%d in hand", n)
		}
		if !strings.Contains(w.logs.String(), "wasn't written") {
			w.Errorf("the log says %s", w.logs)
		}
	})
}

func TestLookFails(t *testing.T) {
	inBubble(t, func(w *world) {
		w.stopKeeping()
		w.store.set(func(s *fakeStore) { s.owner.Epoch++ })
		if _, err := w.round.Look(w.Context()); err == nil {
			w.Error("a lease that is lost claims")
		} else if fenced, ok := errors.AsType[gateway.Fenced](err); !ok || fenced.Account != shop {
			w.Errorf("a lost lease is %v", err)
		}
		w.store.set(func(s *fakeStore) { s.away = true })
		if _, err := w.round.Look(w.Context()); !errors.Is(err, gateway.ErrUnavailable) {
			w.Errorf("a store away is %v", err)
		}
		if w.courier.reserved != 0 {
			w.Errorf("room for %d is kept", w.courier.reserved)
		}
	})
}

func TestLookSaysWhenItIsWanted(t *testing.T) {
	inBubble(t, func(w *world) {
		w.stopKeeping()
		if next, err := w.round.Look(w.Context()); err != nil || !next.IsZero() {
			w.Errorf("with nothing: %v, %v", next, err)
		}
		w.post("m1", host, 1)
		w.store.set(func(s *fakeStore) { s.messages["m1"].due = time.Now().Add(7 * time.Second) })
		if next, err := w.round.Look(w.Context()); err != nil || time.Until(next) != 7*time.Second {
			w.Errorf("with one to come: in %v, %v", time.Until(next), err)
		}
		pass(7 * time.Second)
		w.net.answer(host, always(reply{status: 500}))
		<-w.wakes // of post
		if _, err := w.round.Look(w.Context()); err != nil {
			w.Fatal(err)
		}
		<-w.wakes // something is due sooner than the claim runs out
		if next, err := w.round.Look(w.Context()); err != nil || time.Until(next).Round(time.Second) != 5*time.Second {
			w.Errorf("with a retry: in %v, %v", time.Until(next), err)
		}
	})
}

func TestDrainWaitsForCallsAndTheirRecords(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{slow: 3 * time.Second}))
		w.store.set(func(s *fakeStore) { s.awayFrom["done"] = 5 })
		w.post("m1", host, 1)
		synctest.Wait()
		w.stopKeeping()
		began := time.Now()
		w.round.Drain(w.Context())
		if took := time.Since(began).Round(time.Second); took != 4*time.Second {
			w.Errorf("Drain took %v, want 4s", took)
		}
		if w.left() != 0 {
			w.Error("what came of it isn't written")
		}
	})
}

func TestStopGivesBackWhatWaits(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{slow: 3 * time.Second}))
		for i := range 40 {
			w.post(gateway.MessageID(fmt.Sprintf("a%02d", i)), host, 1)
		}
		pass(time.Second)
		w.stopKeeping()
		w.round.Stop()
		synctest.Wait()
		waits := 0
		w.store.set(func(s *fakeStore) {
			for _, m := range s.messages {
				if n := m.notices[0]; !m.due.After(time.Now()) && n.Tries == 0 && n.Since.IsZero() {
					waits++
				}
			}
		})
		if waits != 32 {
			w.Errorf("%d are the next owner's at once, want 32", waits)
		}
		if next, err := w.round.Look(w.Context()); !next.IsZero() || err != nil || w.inHand() != 8 {
			w.Errorf("Look claimed after Stop: %v, %v, %d in hand", next, err, w.inHand())
		}
		w.round.Drain(w.Context())
		if n := w.left(); n != 32 || len(w.ids(host)) != 8 {
			w.Errorf("%d left, %d calls", n, len(w.ids(host)))
		}
	})
}

func TestWhatIsClaimedAsTheRoundStopsIsGivenBack(t *testing.T) {
	inBubble(t, func(w *world) {
		w.stopKeeping()
		w.store.claimed = func() { w.round.Stop() }
		w.post("m1", host, 1)
		if _, err := w.round.Look(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.round.Drain(w.Context())
		if m := w.store.messages["m1"]; m.due.After(time.Now()) || m.notices[0].Tries != 0 || len(w.ids(host)) != 0 {
			w.Errorf("due in %v, %d calls", time.Until(m.due), len(w.ids(host)))
		}
	})
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"while a call hangs":      func(w *world) { w.net.answer(host, always(reply{hang: true})) },
		"while the store is away": func(w *world) { w.store.awayFrom["done"] = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.store.set(func(*fakeStore) { prepare(w) })
				w.post("m1", host, 1)
				pass(100 * time.Millisecond)
				w.stopKeeping()
				ctx, end := context.WithTimeout(w.Context(), 2*time.Second)
				defer end()
				began := time.Now()
				w.round.Drain(ctx)
				if took := time.Since(began); took != 2*time.Second {
					w.Errorf("Drain took %v, want 2s", took)
				}
				n := w.store.messages["m1"].notices
				if n[0].Tries != 0 || len(n) != 1 || len(w.store.dead) != 0 {
					w.Errorf("what was cut off is recorded: %+v", n)
				}
			})
		})
	}
}

func TestRoundsShareTheReceiversBounds(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, always(reply{slow: 2 * time.Second}))
		for i := range 20 {
			w.post(gateway.MessageID(fmt.Sprintf("a%02d", i)), host, 1)
		}
		pass(time.Second)
		w.store.set(func(s *fakeStore) { s.owner.Epoch = 2 })
		again := w.courier.Open(w.store.owner, func() {})
		if _, err := again.Look(w.Context()); err != nil {
			w.Fatal(err)
		}
		for i := range 20 {
			w.post(gateway.MessageID(fmt.Sprintf("b%02d", i)), host, 1)
		}
		if _, err := again.Look(w.Context()); err != nil {
			w.Fatal(err)
		}
		pass(10 * time.Second)
		again.Drain(w.Context())
		if w.net.most[host] != 8 || w.left() != 0 {
			w.Errorf("%d calls at one time, %d left", w.net.most[host], w.left())
		}
	})
}

func TestMetrics(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.answer(host, func(_ call, nth int) reply { return reply{status: []int{500, 200, 410}[nth-1]} })
		w.post("m1", host, 2)
		pass(time.Minute)
		families, err := w.metrics.Gather()
		if err != nil {
			w.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				switch {
				case m.GetCounter() != nil:
					got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
				case m.GetHistogram() != nil:
					got[f.GetName()] = float64(m.GetHistogram().GetSampleCount())
				default:
					got[f.GetName()] = m.GetGauge().GetValue()
				}
			}
		}
		want := map[string]float64{
			"confirmed": 1, "failed": 1, "put_off": 0, "dropped": 1,
			"sluice_notice_seconds": 3, "sluice_notice_delay_seconds": 1, "sluice_notice_calls": 0, "sluice_notice_receivers_shut": 0,
		}
		if d := cmp.Diff(want, got); d != "" {
			w.Errorf("metrics (-want +got):\n%s", d)
		}
	})
}

func TestReceiversAreForgotten(t *testing.T) {
	inBubble(t, func(w *world) {
		for i := range 50 {
			w.post(gateway.MessageID(fmt.Sprintf("m%d", i)), fmt.Sprintf("h%d.example", i), 1)
		}
		pass(time.Minute)
		if n := len(w.courier.receivers.known); n != 0 {
			w.Errorf("%d receivers are remembered that answered", n)
		}
		rs := w.courier.receivers
		for i := range 3 * sweepFrom {
			name := fmt.Sprintf("h%d.example:443", i)
			r, _ := rs.enter(name, time.Now())
			rs.ended(r, false, false, time.Second, 0, time.Now())
			rs.leave(r)
		}
		if n := len(rs.known); n > sweepFrom {
			w.Errorf("%d receivers are remembered that failed", n)
		}
		rs.known = map[string]*receiver{}
	})
}

func TestPlacesInLine(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	rs := &receivers{calls: 8, random: func(n int64) int64 { return n - 1 }}
	for name, c := range map[string]struct {
		r    receiver
		want []time.Duration
	}{
		"one that is shut has them after the next probe": {
			receiver{shut: true, closings: 1, until: now.Add(5 * time.Second)},
			[]time.Duration{5020 * time.Millisecond, 5040 * time.Millisecond, 5060 * time.Millisecond},
		},
		"one that stays shut has them further apart": {
			receiver{shut: true, closings: 30, until: now.Add(time.Minute)},
			[]time.Duration{time.Minute + 320*time.Millisecond, time.Minute + 640*time.Millisecond},
		},
		"a busy one at the pace it answers": {
			receiver{took: 8 * time.Second}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second},
		},
		"one that isn't known yet, by a guess": {
			receiver{}, []time.Duration{12500 * time.Microsecond, 25 * time.Millisecond},
		},
		"a fast one a millisecond apart": {
			receiver{took: time.Microsecond}, []time.Duration{time.Millisecond, 2 * time.Millisecond},
		},
		"beyond ten minutes, anywhere in the latter five": {
			receiver{took: 8 * time.Second, line: now.Add(farthest - 1500*time.Millisecond)},
			[]time.Duration{farthest - 500*time.Millisecond, farthest - 1, farthest - 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []time.Duration
			for range c.want {
				got = append(got, rs.place(&c.r, now).wait)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("places %v, want %v", got, c.want)
			}
		})
	}
}
