package sender

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name  string
		wire  wire
		took  time.Duration
		want  gateway.Status
		code  string
		spent int
		till  time.Duration // parked for
	}{
		{name: "a refused connection is tried again", wire: wire{refuse: true}, want: gateway.StatusQueued, code: "connect", spent: 1, till: 2 * time.Second},
		{name: "a coded temporary error too", wire: wire{status: 503}, want: gateway.StatusQueued, code: "503", spent: 1, till: 2 * time.Second},
		{
			name: "a connection that doesn't come about too",
			wire: wire{connect: time.Hour}, took: 20 * time.Second,
			want: gateway.StatusQueued, code: "timeout", spent: 1, till: 2 * time.Second,
		},
		{name: "a request that nobody answers is unknown", wire: wire{hang: true}, took: 20 * time.Second, want: gateway.StatusUnknown, code: "no_answer", spent: 1},
		{name: "a connection that closes after the request is unknown", wire: wire{unheard: true}, want: gateway.StatusUnknown, code: "no_answer", spent: 1},
		{name: "a yes that breaks off is unknown", wire: wire{cut: true}, want: gateway.StatusUnknown, code: "no_answer", spent: 1},
		{name: "a no that breaks off is a no", wire: wire{cut: true, status: 400}, want: gateway.StatusFailed, code: "400", spent: 1},
		{name: "an uncoded failure is unknown", wire: wire{status: 500}, want: gateway.StatusUnknown, code: "500", spent: 1},
		{name: "a refusal is a dead letter", wire: wire{status: 400}, want: gateway.StatusFailed, code: "400", spent: 1},
		{name: "a pair's throttle parks the message", wire: wire{status: 409}, want: gateway.StatusQueued, code: "409", till: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.net.rest = c.wire
				task := w.post()
				w.process(task)
				pass(c.took) // the call
				synctest.Wait()
				m := w.expect(task, c.want)
				if m.Spent != c.spent || m.Error == nil || m.Error.Code != c.code {
					w.Errorf("%d spent, error %v; want %d and %s", m.Spent, m.Error, c.spent, c.code)
				}
				if a := m.endings[0].Attempt; a.Code != c.code || a.Number != 1 || a.EndedAt.Sub(a.StartedAt) != c.took {
					w.Errorf("attempt is %+v", a)
				}
				if c.till > 0 {
					if got := time.Until(m.till); got != c.till {
						w.Errorf("parked for %v, want %v", got, c.till)
					}
					if w.wakeCount() == 0 {
						w.Error("nobody was woken for the retry")
					}
				}
				if until := w.desk.ShutUntil(gateway.Transactional); !until.IsZero() {
					w.Errorf("the lane is shut until %v", until)
				}
			})
		})
	}
}

func TestTransientIsRetriedUntilAttemptsAreSpent(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{refuse: true}
		task := w.post()
		w.process(task)
		for _, wait := range []time.Duration{2 * time.Second, 4 * time.Second} {
			if got := w.keep(); len(got) != 0 {
				w.Fatalf("tasks %v came back early", got)
			}
			pass(wait) // the backoff
			tasks := w.keep()
			if len(tasks) != 1 || tasks[0].Sequence != task.Sequence+1 {
				w.Fatalf("tasks are %v, want the next one of %v", tasks, task)
			}
			task = tasks[0]
			w.process(task)
		}
		m := w.expect(task, gateway.StatusFailed)
		if m.Spent != 3 || m.Error.Class != gateway.ClassTransient {
			w.Errorf("%d spent, error %v", m.Spent, m.Error)
		}
		var links []string
		for _, c := range w.provider.calls {
			links = append(links, c.CallbackURL[strings.LastIndex(c.CallbackURL, "/"):])
		}
		if d := cmp.Diff([]string{"/1", "/2", "/3"}, links); d != "" {
			w.Errorf("callback links (-want +got):\n%s", d)
		}
	})
}

func TestThrottledAccountIsHeld(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 429, header: http.Header{"Retry-After": {"7"}}}}
		task, other := w.post(), w.post(func(m *kept) { m.Recipient = "+4670000001" })
		w.process(task)
		m := w.expect(task, gateway.StatusQueued)
		if m.Spent != 0 || time.Until(m.till) > 0 {
			w.Errorf("%d spent, parked for %v, want 0 and not at all: the hold is enough", m.Spent, time.Until(m.till))
		}
		if got := time.Until(w.store.holdUntil); got != 7*time.Second || w.store.scope != gateway.ScopeAccount {
			w.Errorf("the store holds %s for %v, want the account for 7s", w.store.scope, got)
		}
		for _, p := range gateway.Priorities() {
			if got := time.Until(w.desk.ShutUntil(p)); got != 7*time.Second {
				w.Errorf("the %s lane is shut for %v, want 7s", p, got)
			}
		}
		if w.wakeCount() == 0 {
			w.Error("nobody was woken to close the lanes")
		}
		done, cancel := w.goProcess(other)
		defer cancel()
		pass(7*time.Second - time.Millisecond) // the hold
		synctest.Wait()
		w.expectCalls(1)
		pass(time.Millisecond) // the hold's end
		synctest.Wait()
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(other, gateway.StatusAccepted)
	})
}

func TestTheNextOwnerHonoursTheHoldAndComesBackSlowly(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 429, header: http.Header{"Retry-After": {"7"}}}}
		task := w.post()
		w.process(task)
		w.expectCalls(1)
		until := time.Now().Add(7 * time.Second)
		if d := cmp.Diff([]time.Time{until}, w.pacer.slowed); d != "" {
			w.Errorf("slowed until (-want +got):\n%s", d)
		}

		w.desk.Stop()
		w.desk.Drain(w.Context())
		o := w.desk.Options
		o.Lease.Epoch++
		pacer := &fakePacer{}
		o.Pacer = pacer
		w.store.set(func(s *fakeStore) { s.owner = o.Lease })
		w.desk = NewDesk(o)
		// Before it knows, the store refuses.
		other := w.post(func(m *kept) { m.Recipient = "+4670000001" })
		done, cancel := w.goProcess(other)
		defer cancel()
		w.expectCalls(1)
		tasks := w.keep()
		if got := w.desk.ShutUntil(gateway.Transactional); !got.Equal(until) {
			w.Errorf("the next owner is shut until %v, want %v", got, until)
		}
		if d := cmp.Diff(gateway.Ramp{Share: 0.5, From: until}, pacer.ramp); d != "" {
			w.Errorf("its ramp (-want +got):\n%s", d)
		}
		pass(time.Until(until) + time.Second) // the hold
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(other, gateway.StatusAccepted)
		w.process(tasks[0])
		if m := w.expect(task, gateway.StatusAccepted); m.Spent != 1 {
			w.Errorf("%d attempts spent, want the one that was accepted", m.Spent)
		}
	})
}

func TestSuspendedAccountComesBackAtItsWholeRate(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 401}}
		w.process(w.post())
		if len(w.pacer.slowed) != 0 || w.store.share != 0 {
			w.Errorf("slowed %v, %v in the store", w.pacer.slowed, w.store.share)
		}
	})
}

func TestHoldsGrowByRoundsNotByCalls(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{status: 429, slow: 100 * time.Millisecond}
		round := func(want time.Duration) {
			w.Helper()
			for i := range 5 {
				w.process(w.post(func(m *kept) { m.Recipient = gateway.Recipient("+467000000" + string(rune('0'+i))) }))
			}
			pass(100*time.Millisecond - 5*time.Microsecond) // nearly the answers
			for range 5 {
				pass(time.Microsecond) // one answer after the other
				synctest.Wait()
			}
			if got := time.Until(w.desk.ShutUntil(gateway.Bulk)).Round(time.Millisecond); got != want {
				w.Errorf("held for %v, want %v", got, want)
			}
			pass(want) // the hold passes
		}
		round(time.Second)
		round(2 * time.Second)
		round(4 * time.Second)
		w.net.next = []wire{{}}
		w.process(w.post())
		round(time.Second)
	})
}

func TestPairsThrottleDoesNotLengthenTheAccounts(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 409}, {status: 409}, {status: 429}}
		for range 3 {
			w.process(w.post())
		}
		if got := time.Until(w.desk.ShutUntil(gateway.Bulk)); got != time.Second {
			w.Errorf("held for %v, want 1s", got)
		}
	})
}

func TestPairsThrottleGrows(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{status: 409}
		task := w.post()
		for _, want := range []time.Duration{time.Second, 4 * time.Second, 16 * time.Second} {
			w.process(task)
			m := w.expect(task, gateway.StatusQueued)
			if got := time.Until(m.till); got != want || m.Spent != 0 {
				w.Errorf("parked for %v with %d spent, want %v and 0", got, m.Spent, want)
			}
			pass(want) // it is due
			task = w.keep()[0]
		}
	})
}

func TestChangedConfigurationIsTriedAtOnce(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 401}}
		task := w.post()
		w.process(task)
		w.expect(task, gateway.StatusQueued)
		if w.desk.ShutUntil(gateway.Bulk).IsZero() {
			w.Fatal("the account isn't held")
		}
		wakes := w.wakeCount()
		w.mu.Lock()
		changed := *w.account
		w.account = &changed
		w.mu.Unlock()
		w.desk.ShutUntil(gateway.Bulk) // whoever asks notices
		synctest.Wait()
		if until := w.desk.ShutUntil(gateway.Bulk); !until.IsZero() || !w.store.holdUntil.IsZero() {
			w.Errorf("still held until %v, in the store until %v", until, w.store.holdUntil)
		}
		if w.wakeCount() == wakes {
			w.Error("nobody was woken to open the lanes")
		}
		w.process(w.keep()[0])
		w.expect(task, gateway.StatusAccepted)
	})
}

func TestHoldOfTheOwnerBeforeIsTriedAgain(t *testing.T) {
	held := func(w *world, why gateway.Outcome) {
		w.store.set(func(s *fakeStore) { s.holdUntil, s.why = time.Now().Add(15*time.Minute), why })
	}
	t.Run("at once, for its worker may have had another configuration", func(t *testing.T) {
		inBubble(t, func(w *world) {
			held(w, gateway.OutcomeSuspended)
			wakes := w.wakeCount()
			w.keep()
			synctest.Wait()
			if until := w.desk.ShutUntil(gateway.Bulk); !until.IsZero() || !w.store.holdUntil.IsZero() || w.wakeCount() == wakes {
				w.Errorf("held until %v, in the store until %v, woken %d times", until, w.store.holdUntil, w.wakeCount()-wakes)
			}
		})
	})
	t.Run("but once only", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.keep()
			held(w, gateway.OutcomeSuspended)
			w.keep()
			synctest.Wait()
			if w.desk.ShutUntil(gateway.Bulk).IsZero() {
				w.Error("a hold of this owner's time was lifted")
			}
		})
	})
	reload := func(w *world) {
		w.mu.Lock()
		changed := *w.account
		w.account = &changed
		w.mu.Unlock()
		w.desk.ShutUntil(gateway.Bulk) // whoever asks notices
		synctest.Wait()
		if until := w.desk.ShutUntil(gateway.Bulk); !until.IsZero() {
			w.Errorf("still held until %v", until)
		}
	}
	t.Run("when the configuration changes", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.keep()
			held(w, gateway.OutcomeSuspended)
			w.keep()
			reload(w)
		})
	})
	t.Run("only when it changes, if a callback told of it", func(t *testing.T) {
		inBubble(t, func(w *world) {
			held(w, gateway.OutcomeSuspended)
			w.store.set(func(s *fakeStore) { s.told = true })
			w.keep()
			synctest.Wait()
			if w.desk.ShutUntil(gateway.Bulk).IsZero() || w.store.holdUntil.IsZero() {
				w.Error("messages would be taken and fail")
			}
			reload(w)
		})
	})
	t.Run("not if the provider asked to wait", func(t *testing.T) {
		inBubble(t, func(w *world) {
			held(w, gateway.OutcomeThrottled)
			w.keep()
			synctest.Wait()
			if w.desk.ShutUntil(gateway.Bulk).IsZero() || w.store.holdUntil.IsZero() {
				w.Error("the provider's wait was cut short")
			}
		})
	})
}

func TestChangedConfigurationDoesNotEndAThrottle(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 429, header: http.Header{"Retry-After": {"7"}}}}
		w.process(w.post())
		w.mu.Lock()
		changed := *w.account
		w.account = &changed
		w.mu.Unlock()
		w.desk.ShutUntil(gateway.Bulk)
		synctest.Wait()
		if w.desk.ShutUntil(gateway.Bulk).IsZero() {
			w.Error("the provider's wait was cut short")
		}
	})
}

func TestSuspendedAccountIsHeldLonger(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{status: 401}
		task := w.post()
		for _, want := range []time.Duration{
			30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute,
		} {
			w.process(task)
			m := w.expect(task, gateway.StatusQueued)
			if got := time.Until(w.desk.ShutUntil(gateway.Bulk)); got != want || m.Spent != 0 {
				w.Errorf("held for %v with %d spent, want %v and 0", got, m.Spent, want)
			}
			pass(want) // the hold passes
			task = w.keep()[0]
		}
	})
}

func TestOutcomeIsRecordedWhenTheStoreIsBack(t *testing.T) {
	for name, lose := range map[string]func(s *fakeStore){
		"after it was away":         func(s *fakeStore) { s.awayFrom["record"] = 50 },
		"after its answer was lost": func(s *fakeStore) { s.mute["record"] = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				task := w.post()
				w.store.set(lose)
				w.process(task)
				pass(15 * time.Second) // it is repeated
				synctest.Wait()
				if m := w.expect(task, gateway.StatusAccepted); len(m.endings) != 1 {
					w.Errorf("%d endings, want 1", len(m.endings))
				}
			})
		})
	}
	t.Run("and after the deadline had made it unknown", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post()
			w.store.set(func(s *fakeStore) { s.awayFrom["record"] = 200 })
			w.process(task)
			pass(30 * time.Second) // the deadline passes
			w.keep()
			w.expect(task, gateway.StatusUnknown)
			pass(15 * time.Second) // the store is back
			synctest.Wait()
			w.expect(task, gateway.StatusAccepted)
		})
	})
}

func TestUnknownThatIsSentAgainIsLookedAtInTime(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{unheard: true}
		w.process(w.post())
		w.keep()
		before := w.wakeCount()
		w.process(w.post(func(m *kept) { m.OnUnknown = gateway.ResendUnknown }))
		if w.wakeCount() == before {
			w.Error("nobody was woken for the end of the grace")
		}
		w.desk.mu.Lock()
		defer w.desk.mu.Unlock()
		if got := time.Until(w.desk.kept.next); got != time.Minute {
			w.Errorf("Keep is wanted in %v, want 1m", got)
		}
	})
}

func TestDefectsOfTheProvidersCode(t *testing.T) {
	boom := func(Answer) gateway.Result { panic("in " + secret) }
	for _, c := range []struct {
		name    string
		request func(Call) error
		read    func(Answer) gateway.Result
		want    gateway.Status
		class   gateway.Class
		calls   int
	}{
		{name: "a panic before the call makes a dead letter", request: func(Call) error { panic("to " + string(recipient)) }, want: gateway.StatusFailed, class: gateway.ClassInternal},
		{
			name:    "so does one of the runtime's, whose words are logged",
			request: func(c Call) error { return errors.New(c.Message.Content.Image.Link) }, want: gateway.StatusFailed, class: gateway.ClassInternal,
		},
		{name: "so does an error it has no name for", request: func(Call) error { return errors.New("to " + string(recipient)) }, want: gateway.StatusFailed, class: gateway.ClassInternal},
		{
			name:    "an error that it names is the message's",
			request: func(Call) error { return &gateway.Error{Class: gateway.ClassPermanent, Code: "shape"} }, want: gateway.StatusFailed, class: gateway.ClassPermanent,
		},
		{
			name:    "a temporary one is tried again",
			request: func(Call) error { return &gateway.Error{Class: gateway.ClassTransient, Code: "token"} }, want: gateway.StatusQueued, class: gateway.ClassTransient,
		},
		{name: "a panic over the answer leaves it unknown", read: boom, want: gateway.StatusUnknown, class: gateway.ClassInternal, calls: 1},
		{
			name: "an answer without an outcome leaves it unknown",
			read: func(Answer) gateway.Result { return gateway.Result{} }, want: gateway.StatusUnknown, calls: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				w.provider.newRequest, w.provider.interpret = c.request, c.read
				task := w.post()
				w.process(task)
				m := w.expect(task, c.want)
				if (m.Error == nil) != (c.class == "") || m.Error != nil && m.Error.Class != c.class {
					w.Errorf("error is %v, want class %q", m.Error, c.class)
				}
				w.expectCalls(c.calls)
			})
		})
	}
}

// silent answers without telling the trace anything.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestAnswerProvesThatTheRequestLeft(t *testing.T) {
	inBubbleWith(t, func(o *Options) { o.Client = &http.Client{Transport: silent{}} }, func(w *world) {
		w.provider.interpret = func(Answer) gateway.Result { panic("defect") }
		task := w.post()
		w.process(task)
		w.expect(task, gateway.StatusUnknown)
	})
}

func TestAnswerIsHandedOverTrimmed(t *testing.T) {
	inBubble(t, func(w *world) {
		var got Answer
		w.provider.interpret = func(a Answer) gateway.Result {
			got = a
			return gateway.Result{Outcome: gateway.OutcomeAccepted}
		}
		task := w.post()
		w.process(task)
		if want := "wamid." + string(task.Message); string(got.Body) != want || got.Status != 200 {
			w.Errorf("answer is %d %q, want 200 %q", got.Status, got.Body, want)
		}
	})
}
