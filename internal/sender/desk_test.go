package sender

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/gateway"
)

func TestStopLetsAttemptsAtTheGateOut(t *testing.T) {
	inBubble(t, func(w *world) {
		w.pacer.atGate = 100 * time.Millisecond
		task := w.post()
		done, cancel := w.goProcess(task)
		defer cancel()
		w.expect(task, gateway.StatusSending)
		began := time.Now()
		w.desk.Stop()
		if took := time.Since(began); took != 100*time.Millisecond {
			w.Errorf("Stop took %v, want 100ms", took)
		}
		synctest.Wait()
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(task, gateway.StatusAccepted)
		w.expectCalls(1)
	})
}

func TestStopTurnsBackWhoStandsAtTheGateTooLong(t *testing.T) {
	inBubble(t, func(w *world) {
		w.pacer.atGate = time.Second
		task := w.post()
		done, cancel := w.goProcess(task)
		defer cancel()
		began := time.Now()
		w.desk.Stop()
		if took := time.Since(began); took != stopPatience {
			w.Errorf("Stop took %v, want %v", took, stopPatience)
		}
		w.desk.Drain(w.Context())
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		m := w.expect(task, gateway.StatusQueued)
		if m.Spent != 0 || m.endings[0].Attempt.Code != "not_made" || m.Error != nil {
			w.Errorf("%d spent, error %v, attempt %+v", m.Spent, m.Error, m.endings[0].Attempt)
		}
		w.expectCalls(0)
	})
}

func TestGateThatTakesTooLongUndoesTheAttempt(t *testing.T) {
	inBubble(t, func(w *world) {
		w.pacer.atGate = time.Hour
		task := w.post()
		w.process(task)
		pass(gateAllowance) // at the gate
		synctest.Wait()
		if m := w.expect(task, gateway.StatusQueued); m.Spent != 0 {
			w.Errorf("%d spent", m.Spent)
		}
		w.expectCalls(0)
		w.pacer.atGate = 0
		w.process(w.keep()[0])
		w.expect(task, gateway.StatusAccepted)
	})
}

func TestLeaseLostAtTheLastLook(t *testing.T) {
	inBubble(t, func(w *world) {
		w.lose()
		task := w.post()
		w.process(task)
		if m := w.expect(task, gateway.StatusQueued); m.Spent != 0 {
			w.Errorf("%d spent", m.Spent)
		}
		w.expectCalls(0)
		if w.store.reminded != 1 {
			w.Errorf("the next owner was told %d times, want 1", w.store.reminded)
		}
	})
}

func TestRetryAfterTheLeaseWasLostIsTold(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{slow: time.Second, status: 503}
		task := w.post()
		w.process(task)
		w.lose()
		w.store.set(func(s *fakeStore) { s.owner.Epoch++; s.awayFrom["remind"] = 2 })
		pass(2 * time.Second) // the answer comes
		synctest.Wait()
		w.expect(task, gateway.StatusQueued)
		if w.store.reminded != 1 {
			w.Errorf("the next owner was told %d times, want 1", w.store.reminded)
		}
	})
}

func TestDrainWaitsForCallsAndTheirRecords(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{slow: 3 * time.Second}
		task := w.post()
		w.process(task)
		w.store.set(func(s *fakeStore) { s.awayFrom["record"] = 5 })
		w.desk.Stop()
		began := time.Now()
		w.desk.Drain(w.Context())
		if took := time.Since(began); took != 4*time.Second {
			w.Errorf("Drain took %v, want 4s", took)
		}
		w.expect(task, gateway.StatusAccepted)
	})
}

func TestDrainGivesUpWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"while a call hangs":         func(w *world) { w.net.rest = wire{hang: true} },
		"while one connects":         func(w *world) { w.net.rest = wire{connect: time.Hour} },
		"while the store is away":    func(w *world) { w.store.awayFrom["record"] = 1 << 30 },
		"while a hold isn't taken":   func(w *world) { w.net.rest = wire{status: 429}; w.store.awayFrom["hold"] = 1 << 30 },
		"while begin isn't answered": func(w *world) { w.store.mute["begin"] = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				prepare(w)
				task := w.post()
				_, cancel := w.goProcess(task)
				defer cancel()
				w.desk.Stop()
				ctx, end := context.WithTimeout(w.Context(), 2*time.Second)
				defer end()
				began := time.Now()
				w.desk.Drain(ctx)
				if took := time.Since(began); took != 2*time.Second {
					w.Errorf("Drain took %v, want 2s", took)
				}
				w.expect(task, gateway.StatusSending)
			})
		})
	}
}

func TestNextSendInIsThePacers(t *testing.T) {
	inBubble(t, func(w *world) {
		if got := w.desk.NextSendIn(); got != 20*time.Millisecond {
			w.Errorf("NextSendIn is %v", got)
		}
	})
}

func TestKeepEnqueuesAndStrikes(t *testing.T) {
	inBubble(t, func(w *world) {
		due := func(m *kept) { m.till = time.Now() }
		bulk := func(m *kept) { m.till, m.Priority = time.Now(), gateway.Bulk }
		w.post(due)
		w.post(bulk)
		w.post(due)
		w.post(func(m *kept) { m.till = time.Now().Add(9 * time.Second) })
		began := time.Now()
		next, lanes, err := w.desk.Keep(w.Context())
		if err != nil || next.IsZero() || next.Sub(began) > 9*time.Second {
			w.Errorf("next in %v, error %v", next.Sub(began), err)
		}
		if d := cmp.Diff([]gateway.Priority{gateway.Transactional, gateway.Bulk}, lanes); d != "" {
			w.Errorf("lanes (-want +got):\n%s", d)
		}
		byMessage := cmpopts.SortSlices(func(a, b gateway.Task) bool { return a.Message < b.Message }) // lanes don't wait for each other
		if d := cmp.Diff(w.queue.tasks, w.store.struck, byMessage); d != "" || len(w.queue.tasks) != 3 {
			w.Errorf("%d enqueued; enqueued and struck differ:\n%s", len(w.queue.tasks), d)
		}
	})
}

// endless is a store with more due than can ever be done.
type endless struct {
	*fakeStore
	rounds int
}

func (s *endless) Keep(ctx context.Context, l gateway.Lease, most int) (gateway.Chores, error) {
	s.rounds++
	pass(60 * time.Millisecond)
	c, err := s.fakeStore.Keep(ctx, l, most)
	c.More, c.NextIn = true, time.Millisecond
	return c, err
}

func TestLanesOpenSoonHoweverMuchIsDue(t *testing.T) {
	var store *endless
	inBubbleWith(t, func(o *Options) {
		store = &endless{fakeStore: o.Store.(*fakeStore)}
		o.Store = store
	}, func(w *world) {
		w.post(func(m *kept) { m.till = time.Now() })
		began := time.Now()
		next, lanes, err := w.desk.Keep(w.Context())
		if took := time.Since(began); err != nil || took > 300*time.Millisecond || store.rounds != 4 {
			w.Errorf("%d rounds in %v, error %v; want 4", store.rounds, took, err)
		}
		if !slices.Equal(lanes, []gateway.Priority{gateway.Transactional}) || time.Until(next) > time.Millisecond {
			w.Errorf("lanes %v, and again in %v; want the one with a message, and at once", lanes, time.Until(next))
		}
	})
}

func TestKeepStrikesOnlyWhatIsInTheLanes(t *testing.T) {
	inBubble(t, func(w *world) {
		w.queue.room = 1
		for range 3 {
			w.post(func(m *kept) { m.till = time.Now() })
		}
		_, lanes, err := w.desk.Keep(w.Context())
		if !errors.Is(err, errFull) || !slices.Equal(lanes, []gateway.Priority{gateway.Transactional}) {
			w.Errorf("error %v, lanes %v", err, lanes)
		}
		if d := cmp.Diff(w.queue.tasks, w.store.struck); d != "" || len(w.queue.tasks) != 1 {
			w.Errorf("%d enqueued; enqueued and struck differ:\n%s", len(w.queue.tasks), d)
		}
		w.queue.room = 10
		if got := w.keep(); len(got) != 2 {
			w.Errorf("%d tasks came again, want 2", len(got))
		}
	})
}

func TestKeepOfAnAccountWithAnotherOwner(t *testing.T) {
	inBubble(t, func(w *world) {
		w.store.owner.Epoch++
		_, _, err := w.desk.Keep(w.Context())
		if _, ok := errors.AsType[gateway.Fenced](err); !ok {
			w.Errorf("error is %v, want gateway.Fenced", err)
		}
		err = w.desk.Adopt(w.Context(), nil)
		if _, ok := errors.AsType[gateway.Fenced](err); !ok {
			w.Errorf("error is %v, want gateway.Fenced", err)
		}
	})
}

func TestAdoptEnqueuesFreshTasks(t *testing.T) {
	inBubble(t, func(w *world) {
		orphan := w.post()
		ended := w.post(func(m *kept) { m.Status = gateway.StatusAccepted })
		if err := w.desk.Adopt(w.Context(), []gateway.MessageID{orphan.Message, ended.Message}); err != nil {
			w.Fatal(err)
		}
		want := []gateway.Task{{Message: orphan.Message, Priority: gateway.Transactional, Sequence: 1}}
		if d := cmp.Diff(want, w.queue.tasks); d != "" {
			w.Errorf("tasks (-want +got):\n%s", d)
		}
		w.process(orphan) // the dead worker's task, should it come back
		w.expectCalls(0)
		w.process(want[0])
		w.expect(orphan, gateway.StatusAccepted)
	})
}

func TestPausesAndHoldsAreSeenThroughKeep(t *testing.T) {
	inBubble(t, func(w *world) {
		shut := func() (d [2]time.Duration) {
			for i, p := range gateway.Priorities() {
				if until := w.desk.ShutUntil(p); !until.IsZero() {
					d[i] = time.Until(until)
				}
			}
			return d
		}
		expect := func(what string, want [2]time.Duration) {
			w.Helper()
			if got := shut(); got != want {
				w.Errorf("%s: lanes are shut for %v, want %v", what, got, want)
			}
		}
		w.store.set(func(s *fakeStore) {
			s.holdUntil, s.paused = time.Now().Add(4*time.Second), []gateway.Priority{gateway.Bulk}
		})
		expect("before Keep", [2]time.Duration{})
		w.keep()
		expect("held, bulk paused", [2]time.Duration{4 * time.Second, pausedFor})
		w.store.set(func(s *fakeStore) { s.paused = nil })
		w.keep()
		expect("held", [2]time.Duration{4 * time.Second, 4 * time.Second})
		pass(4 * time.Second) // the hold passes
		expect("after the hold", [2]time.Duration{})

		w.mu.Lock()
		paused := *w.account
		paused.Paused = true
		w.account = &paused
		w.mu.Unlock()
		expect("paused by the configuration", [2]time.Duration{pausedFor, pausedFor})
	})
}

// A callback may have said that the account is suspended; no attempt did.
func TestAHoldForCredentialsEndsWithTheirChange(t *testing.T) {
	for why, want := range map[gateway.Outcome]bool{gateway.OutcomeSuspended: true, gateway.OutcomeThrottled: false} {
		t.Run(string(why), func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.store.set(func(s *fakeStore) { s.holdUntil, s.why = time.Now().Add(15*time.Minute), why })
				w.keep()
				w.mu.Lock()
				account := *w.account
				w.account = &account
				w.mu.Unlock()
				w.desk.ShutUntil(gateway.Bulk)
				synctest.Wait()
				w.keep()
				if open := w.desk.ShutUntil(gateway.Bulk).IsZero(); open != want {
					w.Errorf("open %v, want %v", open, want)
				}
			})
		})
	}
}

func TestWhatIsParkedWhileKeepRunsIsNotForgotten(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{refuse: true}
		task := w.post()
		before := 0
		w.store.inKeep = func() {
			before = w.wakeCount()
			if err := w.desk.Process(w.Context(), task); err != nil {
				w.Error(err)
			}
			synctest.Wait()
		}
		next, _, err := w.desk.Keep(w.Context())
		if err != nil || time.Until(next) != 2*time.Second {
			w.Errorf("Keep is wanted in %v (error %v), want 2s", time.Until(next), err)
		}
		if w.wakeCount() == before {
			w.Error("nobody was woken")
		}
	})
}

func TestConfigurationIsAppliedOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		if w.slots.limit != 1000 {
			w.Errorf("%d slots, want rate × timeout", w.slots.limit)
		}
		change := func(rate float64) {
			w.mu.Lock()
			defer w.mu.Unlock()
			a := *w.account
			a.Rate = rate
			w.account = &a
		}
		w.desk.ShutUntil(gateway.Bulk)
		change(10)
		w.desk.ShutUntil(gateway.Bulk)
		w.desk.ShutUntil(gateway.Bulk)
		if d := cmp.Diff([]float64{50, 10}, w.pacer.rates); d != "" || w.slots.limit != 200 {
			w.Errorf("%d slots, rates (-want +got):\n%s", w.slots.limit, d)
		}
	})
}

// fail sends n messages to a provider that is down, and settles them.
func (w *world) fail(n int) {
	w.Helper()
	w.net.mu.Lock()
	w.net.rest = wire{refuse: true}
	w.net.mu.Unlock()
	w.send(n)
}

func (w *world) succeed(n int) {
	w.Helper()
	w.net.mu.Lock()
	w.net.rest = wire{}
	w.net.mu.Unlock()
	w.send(n)
}

func (w *world) send(n int) {
	w.Helper()
	for range n {
		w.process(w.post())
	}
}

func (w *world) states() []gateway.BreakerState {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return slices.Clone(w.store.breaker)
}

func (w *world) expectOpen(want time.Duration) {
	w.Helper()
	for _, p := range gateway.Priorities() {
		var got time.Duration
		if until := w.desk.ShutUntil(p); !until.IsZero() {
			got = time.Until(until)
		}
		if got != want {
			w.Errorf("the %s lane is shut for %v, want %v", p, got, want)
		}
	}
}

func TestBreakerTripsOnARatioOverEnoughCalls(t *testing.T) {
	for _, c := range []struct {
		name               string
		successes, failing int
		open               bool
	}{
		{"a few failures don't stop a quiet account", 0, breakerCalls - 1, false},
		{"enough of them do", 0, breakerCalls, true},
		{"less than half don't", 30, 29, false},
		{"half do", 30, 30, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.succeed(c.successes)
				w.fail(c.failing)
				if c.open {
					w.expectOpen(breakerOpen)
				} else {
					w.expectOpen(0)
				}
			})
		})
	}
	t.Run("throttles and refusals aren't failures", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.net.rest = wire{status: 409}
			w.send(2 * breakerCalls)
			w.net.rest = wire{status: 400}
			w.send(2 * breakerCalls)
			w.expectOpen(0)
		})
	})
	t.Run("failures of long ago don't count", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.fail(breakerCalls - 1)
			pass(breakerWindow + w.account.Timeout + breakerBucket) // the window passes
			w.fail(1)
			w.expectOpen(0)
		})
	})
	t.Run("calls that are open don't hide that all others time out", func(t *testing.T) {
		for _, timeout := range []time.Duration{20 * time.Second, 5 * time.Minute} {
			inBubbleWith(t, func(o *Options) {
				account, _ := o.Account()
				account.Timeout = timeout
			}, func(w *world) {
				w.net.rest = wire{hang: true}
				began := time.Now()
				for i := range 10000 {
					if w.desk.breaker.openUntil().After(time.Now()) {
						break
					}
					w.process(w.post(func(m *kept) { m.Recipient = gateway.Recipient("+4680000" + time.Duration(i).String()) }))
					pass(500 * time.Millisecond) // the pace
				}
				if took := time.Since(began); took < timeout || took > timeout+breakerWindow {
					w.Errorf("it tripped after %v, want soon after %v", took, timeout)
				}
			})
		}
	})
}

func TestBreakerProbesAndCloses(t *testing.T) {
	inBubble(t, func(w *world) {
		w.fail(breakerCalls)
		w.expectOpen(breakerOpen)
		if w.wakeCount() == 0 {
			w.Error("nobody was woken to close the lanes")
		}
		pass(breakerOpen + time.Millisecond) // until the probe
		w.expectOpen(0)

		// A probe that is never made leaves its place to the next.
		w.slots.SetMax(0)
		probe := w.post()
		done, cancel := w.goProcess(probe)
		cancel()
		synctest.Wait()
		if err := <-done; err == nil {
			w.Error("Process returned nil")
		}
		w.slots.SetMax(1000)

		// One at a time: those behind wait for what comes of it.
		w.net.mu.Lock()
		w.net.rest = wire{slow: 3 * time.Second}
		asked := w.net.asked
		w.net.mu.Unlock()
		w.process(probe)
		behind := w.post(func(m *kept) { m.Recipient = "+4670000001" })
		done, cancel = w.goProcess(behind)
		defer cancel()
		w.expectCalls(asked + 1)
		pass(3 * time.Second) // the probe is answered
		synctest.Wait()
		w.expectCalls(asked + 2)
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(probe, gateway.StatusAccepted)
		pass(3 * time.Second) // so is the other
		synctest.Wait()
		w.expect(behind, gateway.StatusAccepted)

		want := []gateway.BreakerState{gateway.BreakerClosed, gateway.BreakerOpen, gateway.BreakerHalfOpen, gateway.BreakerClosed}
		if d := cmp.Diff(want, w.states()); d != "" {
			w.Errorf("states written (-want +got):\n%s", d)
		}
	})
}

func TestBreakerOpensAgainWhenTheProbeFails(t *testing.T) {
	inBubble(t, func(w *world) {
		w.fail(breakerCalls)
		pass(breakerOpen + time.Millisecond) // until the probe
		w.fail(1)
		w.expectOpen(breakerOpen)
	})
}

func TestLastStateOfTheBreakerIsWhatIsWritten(t *testing.T) {
	inBubble(t, func(w *world) {
		synctest.Wait()
		w.store.set(func(s *fakeStore) { s.awayFrom["breaker"] = 55 }) // 11 s
		w.fail(breakerCalls)
		pass(breakerOpen + time.Millisecond) // until the probe
		w.succeed(1)
		pass(2 * time.Second) // the store is back
		synctest.Wait()
		if s := w.states(); s[len(s)-1] != gateway.BreakerClosed {
			w.Errorf("states written are %v, want closed last", s)
		}
	})
}

func TestDoor(t *testing.T) {
	t.Run("that is shut lets nobody in", func(t *testing.T) {
		var d door
		d.shut(0)
		if d.enter() {
			t.Error("somebody entered")
		}
	})
	t.Run("that is shut twice waits for the same people", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var d door
			d.enter()
			d.enter()
			for range 2 {
				go d.shut(time.Second)
			}
			synctest.Wait()
			for range 2 {
				if !d.leave() {
					t.Error("who came out in time was turned back")
				}
			}
			synctest.Wait()
			if !d.sealed {
				t.Error("it isn't sealed")
			}
		})
	})
}
