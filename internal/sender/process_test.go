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

func TestProcessReturnsOnceTheAttemptHasBegun(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.rest = wire{slow: 5 * time.Second}
		task := w.post()
		began := time.Now()
		w.process(task)
		if took := time.Since(began); took != 0 {
			w.Errorf("Process took %v of the provider's time", took)
		}
		w.expect(task, gateway.StatusSending)
		if w.slots.taken() != 1 || w.busy() != 0 {
			w.Errorf("%d slots and %d recipients are taken, want 1 and, as the request is written, 0", w.slots.taken(), w.busy())
		}
		pass(5 * time.Second) // the answer comes
		synctest.Wait()

		m := w.expect(task, gateway.StatusAccepted)
		want := gateway.Ending{
			Message: task.Message, Next: gateway.StatusAccepted, Spent: true,
			ProviderMessageID: gateway.ProviderMessageID("wamid." + task.Message),
			Attempt:           gateway.Attempt{Number: 1, StartedAt: began, EndedAt: began.Add(5 * time.Second), Outcome: gateway.OutcomeAccepted},
		}
		if d := cmp.Diff(want, m.endings[0], cmpopts.IgnoreFields(gateway.Ending{}, "Nonce")); d != "" {
			w.Errorf("ending (-want +got):\n%s", d)
		}
		if n := w.slots.taken(); n != 0 {
			w.Errorf("%d slots are open", n)
		}
		link := "https://sluice.test/shop-eu/" + string(task.Message) + "/1"
		if got := w.provider.calls[0].CallbackURL; got != link {
			w.Errorf("callback URL is %s, want %s", got, link)
		}
		if c := w.desk.breaker.cb.Counts(); c.TotalSuccesses != 1 {
			w.Errorf("the breaker heard of %d successes, want 1", c.TotalSuccesses)
		}
	})
}

func TestVoidTaskIsDropped(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*kept)
		want   gateway.Status
	}{
		{"of an earlier sequence", func(m *kept) { m.Sequence = 2 }, gateway.StatusQueued},
		{"of a cancelled message", func(m *kept) { m.Status = gateway.StatusCancelled }, gateway.StatusCancelled},
		{"of a message whose attempt is under way", func(m *kept) { m.Status = gateway.StatusSending }, gateway.StatusSending},
		{"of a message that waits for its time", func(m *kept) { m.Status = gateway.StatusScheduled }, gateway.StatusScheduled},
		{"of a parked message", func(m *kept) { m.till = time.Now().Add(time.Hour) }, gateway.StatusQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				task := w.post(c.change)
				task.Sequence = 0
				w.process(task)
				w.expect(task, c.want)
				w.expectCalls(0)
				w.store.set(func(s *fakeStore) { s.messages[task.Message].deadline = time.Now().Add(time.Hour) })
			})
		})
	}
	t.Run("of a message that is gone", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.process(gateway.Task{Message: gateway.NewMessageID(shop, time.Now()), Priority: gateway.Bulk})
			w.expectCalls(0)
		})
	})
	t.Run("that was handed out twice", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post()
			w.process(task)
			w.process(task)
			w.expect(task, gateway.StatusAccepted)
			w.expectCalls(1)
		})
	})
}

func TestMessagePastItsTimeExpires(t *testing.T) {
	past := func(m *kept) { m.ExpiresAt = time.Now() }
	t.Run("by both clocks", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post(past)
			w.process(task)
			w.expect(task, gateway.StatusExpired)
			w.expectCalls(0)
		})
	})
	t.Run("by the store's clock alone", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.store.ahead = time.Minute
			task := w.post(func(m *kept) { m.ExpiresAt = time.Now().Add(30 * time.Second) })
			w.process(task)
			w.expect(task, gateway.StatusExpired)
			w.expectCalls(0)
		})
	})
	t.Run("but not by ours alone", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.store.ahead = -time.Minute
			task := w.post(past)
			w.process(task)
			w.expect(task, gateway.StatusAccepted)
		})
	})
}

func TestProcessWaitsForTheStore(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post()
		w.store.awayFrom["load"] = 3
		if err := w.desk.Process(w.Context(), task); err != nil {
			w.Fatal(err)
		}
		synctest.Wait()
		w.expect(task, gateway.StatusAccepted)
	})
}

func TestProcessGivesUpWithItsContext(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"while the store is away":     func(w *world) { w.store.away = true },
		"while the account is paused": func(w *world) { w.account = &gateway.Account{Rate: 1, Timeout: time.Second, Paused: true} },
		"while no slot is free":       func(w *world) { w.slots.open += w.slots.limit },
		"while it is fenced":          func(w *world) { w.store.owner.Epoch++ },
		"while the recipient is busy": func(w *world) {
			unlock, _ := w.desk.recipients.lock(w.Context(), turn{recipient, gateway.Transactional})
			context.AfterFunc(w.desk.recording, unlock)
		},
	} {
		for _, stop := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, func(w *world) {
					task := w.post()
					prepare(w)
					done, cancel := w.goProcess(task)
					defer cancel()
					pass(90 * time.Millisecond) // nothing may change meanwhile
					select {
					case err := <-done:
						w.Fatalf("Process returned %v", err)
					default:
					}
					if stop {
						w.desk.Stop()
					} else {
						cancel()
					}
					synctest.Wait()
					select {
					case err := <-done:
						if err == nil {
							w.Error("Process returned nil, but nothing was done")
						}
					default:
						w.Error("Process goes on")
					}
					w.store.set(func(s *fakeStore) { s.away = false })
					w.expect(task, gateway.StatusQueued)
					w.expectCalls(0)
					w.slots.open %= w.slots.limit
				})
			})
		}
	}
}

func TestStoppedDeskTakesNoTask(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post()
		w.desk.Stop()
		if err := w.desk.Process(w.Context(), task); !errors.Is(err, errStopped) {
			w.Errorf("Process returned %v, want %v", err, errStopped)
		}
		w.expect(task, gateway.StatusQueued)
		if len(w.store.begins) != 0 {
			w.Error("an intent was asked for")
		}
	})
}

func TestReferencesAreResolved(t *testing.T) {
	sent := func(m *kept) {
		m.Status, m.ProviderMessageID, m.Recipient = gateway.StatusAccepted, "wamid.7", "+4670000001"
	}
	waiting := func(m *kept) { m.Status, m.Recipient = gateway.StatusScheduled, "+4670000002" }
	reply := func(name string) func(*kept) { return func(m *kept) { m.ReplyTo = name } }
	reaction := func(name string) func(*kept) {
		return func(m *kept) {
			m.Content = gateway.Content{Type: gateway.TypeReaction, Reaction: &gateway.Reaction{MessageID: name, Emoji: "👍"}}
		}
	}
	for name, change := range map[string]func(string) func(*kept){"reply": reply, "reaction": reaction} {
		target := func(c Call) gateway.ProviderMessageID {
			if r := c.Message.Content.Reaction; r != nil {
				return gateway.ProviderMessageID(r.MessageID)
			}
			return c.ReplyTo
		}
		t.Run("a "+name+" to a message of ours names the provider's id", func(t *testing.T) {
			inBubble(t, func(w *world) {
				to := w.post(sent)
				task := w.post(change(string(to.Message)))
				w.process(task)
				w.expect(task, gateway.StatusAccepted)
				if got := target(w.provider.calls[0]); got != "wamid.7" {
					w.Errorf("it names %q", got)
				}
			})
		})
		t.Run("a "+name+" to a provider's id names it", func(t *testing.T) {
			inBubble(t, func(w *world) {
				task := w.post(change("wamid.theirs"))
				w.process(task)
				if got := target(w.provider.calls[0]); got != "wamid.theirs" {
					w.Errorf("it names %q", got)
				}
			})
		})
		t.Run("a "+name+" to a message of ours that wasn't sent is refused", func(t *testing.T) {
			inBubble(t, func(w *world) {
				to := w.post(waiting)
				task := w.post(change(string(to.Message)))
				w.process(task)
				if m := w.expect(task, gateway.StatusRejected); m.Error.Code != "reply_target" {
					w.Errorf("error is %v", m.Error)
				}
				w.expectCalls(0)
			})
		})
	}
}

func TestMedia(t *testing.T) {
	link := func(m *kept) {
		m.Content = gateway.Content{Type: gateway.TypeImage, Image: &gateway.Media{Link: "https://media.test/a.png"}}
	}
	byID := func(m *kept) {
		m.Content = gateway.Content{Type: gateway.TypeImage, Image: &gateway.Media{ID: "99"}}
	}
	why := &gateway.Error{Class: gateway.ClassMedia, Code: "media_type", Title: "not taken"}
	for _, c := range []struct {
		name    string
		content func(*kept)
		check   bool
		media   fakeMedia
		want    gateway.Status
		parked  []time.Duration
		calls   int
	}{
		{
			name: "a file that the provider takes is sent", content: link, check: true,
			media: func(gateway.File) (*gateway.Error, bool) { return nil, false }, want: gateway.StatusAccepted, calls: 1,
		},
		{
			name: "a file that it doesn't take is refused", content: link, check: true,
			media: func(gateway.File) (*gateway.Error, bool) { return why, false }, want: gateway.StatusRejected,
		},
		{
			name: "a file that can't be looked at now is parked", content: link, check: true,
			media: func(gateway.File) (*gateway.Error, bool) { return why, true },
			want:  gateway.StatusQueued, parked: []time.Duration{15 * time.Second},
		},
		{
			name: "an account that doesn't want it has no file looked at", content: link,
			media: func(gateway.File) (*gateway.Error, bool) { return why, false }, want: gateway.StatusAccepted, calls: 1,
		},
		{
			name: "a file that the provider has isn't looked at", content: byID, check: true,
			media: func(gateway.File) (*gateway.Error, bool) { return why, false }, want: gateway.StatusAccepted, calls: 1,
		},
		{name: "without a checker no file is looked at", content: link, check: true, want: gateway.StatusAccepted, calls: 1},
		{
			name: "a checker that panics makes a dead letter", content: link, check: true,
			media: func(gateway.File) (*gateway.Error, bool) { panic(secret) }, want: gateway.StatusFailed,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			with := func(o *Options) {
				if c.media != nil {
					o.Media = c.media
				}
			}
			inBubbleWith(t, with, func(w *world) {
				w.account.CheckMedia = c.check
				task := w.post(c.content)
				w.process(task)
				m := w.expect(task, c.want)
				if d := cmp.Diff(c.parked, m.defers); d != "" {
					w.Errorf("parked (-want +got):\n%s", d)
				}
				if c.want == gateway.StatusFailed && m.Error.Class != gateway.ClassInternal {
					w.Errorf("error is %v", m.Error)
				}
				w.expectCalls(c.calls)
			})
		})
	}
}

func TestSecondMessageToARecipientFollowsTheFirst(t *testing.T) {
	t.Run("also when the first one hangs in connecting", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.net.next = []wire{{connect: 7 * time.Second, slow: time.Minute}}
			first, second := w.post(), w.post()
			other := w.post(func(m *kept) { m.Recipient = "+4670000003" })
			w.process(first)
			w.process(second) // it keeps its place, and not the lane
			if m := w.expect(second, gateway.StatusQueued); !m.behind {
				w.Error("the second one may be overtaken")
			}
			w.process(other)
			w.expect(other, gateway.StatusAccepted)
			pass(7*time.Second + time.Millisecond) // the first one is written
			synctest.Wait()
			w.process(w.keep()[0])
			w.expect(second, gateway.StatusAccepted)
			if d := cmp.Diff([]gateway.MessageID{other.Message, first.Message, second.Message}, w.net.written); d != "" {
				w.Errorf("written (-want +got):\n%s", d)
			}
		})
	})
	t.Run("and goes on when the first one never connects", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.net.next = []wire{{connect: time.Hour}}
			first, second := w.post(), w.post()
			w.process(first)
			w.process(second)
			pass(20*time.Second + time.Millisecond) // the call's limit
			synctest.Wait()
			w.expect(first, gateway.StatusQueued)
			for _, task := range w.keep() {
				if task.Message == second.Message {
					w.process(task)
				}
			}
			w.expect(second, gateway.StatusAccepted)
		})
	})
	t.Run("in its own lane only", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.net.next = []wire{{connect: 7 * time.Second}}
			first := w.post(func(m *kept) { m.Priority = gateway.Bulk })
			second := w.post()
			w.process(first)
			w.process(second)
			w.expect(second, gateway.StatusAccepted)
		})
	})
}

func TestMessageBehindAnother(t *testing.T) {
	t.Run("goes as soon as the other has begun", func(t *testing.T) {
		inBubble(t, func(w *world) {
			first, second := w.post(), w.post()
			done, cancel := w.goProcess(second)
			defer cancel()
			pass(52 * time.Millisecond) // it asks again and again
			w.process(first)
			if err := <-done; err != nil {
				w.Fatal(err)
			}
			synctest.Wait()
			w.expect(second, gateway.StatusAccepted)
			if d := cmp.Diff([]gateway.MessageID{first.Message, second.Message}, w.net.written); d != "" {
				w.Errorf("written (-want +got):\n%s", d)
			}
		})
	})
	t.Run("is parked after a while, and those behind it still wait for it", func(t *testing.T) {
		inBubble(t, func(w *world) {
			first, second, third := w.post(), w.post(), w.post()
			began := time.Now()
			w.process(second)
			if took := time.Since(began); took != behindTries*behindPause {
				w.Errorf("it took %v, want %v", took, behindTries*behindPause)
			}
			m := w.expect(second, gateway.StatusQueued)
			if d := cmp.Diff([]time.Duration{behindDefer}, m.defers); d != "" || !m.behind {
				w.Errorf("behind %v, parked (-want +got):\n%s", m.behind, d)
			}
			w.process(third)
			w.expect(third, gateway.StatusQueued)
			w.process(first)
			pass(behindDefer) // they are due
			for _, task := range w.keep() {
				w.process(task)
			}
			if d := cmp.Diff([]gateway.MessageID{first.Message, second.Message, third.Message}, w.net.written); d != "" {
				w.Errorf("written (-want +got):\n%s", d)
			}
		})
	})
	t.Run("isn't stopped by one that waits for a retry", func(t *testing.T) {
		inBubble(t, func(w *world) {
			w.net.next = []wire{{refuse: true}}
			first, second := w.post(), w.post()
			w.process(first)
			w.process(second)
			w.expect(first, gateway.StatusQueued)
			w.expect(second, gateway.StatusAccepted)
		})
	})
}

func TestBeginIsAskedAgainWithTheSameNonce(t *testing.T) {
	t.Run("when its answer was lost, and exactly one call is made", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post()
			w.store.mute["begin"] = 3
			w.process(task)
			w.expect(task, gateway.StatusAccepted)
			w.expectCalls(1)
			if b := w.store.begins; len(b) != 4 || b[0] != b[1] || b[0] != b[3] {
				w.Errorf("nonces are %v, want four times the same", b)
			}
		})
	})
	t.Run("and undone when it took too long to know", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post()
			w.store.mute["begin"] = 16 // 3.2 s
			w.process(task)
			m := w.expect(task, gateway.StatusQueued)
			if m.Spent != 0 || m.endings[0].Attempt.Code != "not_made" {
				w.Errorf("%d spent, ending %+v", m.Spent, m.endings[0])
			}
			w.expectCalls(0)
		})
	})
	t.Run("and taken back from unknown when its deadline passed meanwhile", func(t *testing.T) {
		inBubble(t, func(w *world) {
			task := w.post()
			w.store.mute["begin"] = 1
			w.store.inKeep = nil
			done, cancel := w.goProcess(task)
			defer cancel()
			w.expect(task, gateway.StatusSending)
			w.store.set(func(s *fakeStore) { s.away = true })
			pass(30 * time.Second) // the store is away
			w.store.set(func(s *fakeStore) { s.away = false })
			w.keep()
			w.expect(task, gateway.StatusUnknown)
			pass(writePause) // it asks again
			synctest.Wait()
			if err := <-done; err != nil {
				w.Fatal(err)
			}
			if m := w.expect(task, gateway.StatusQueued); m.Spent != 0 {
				w.Errorf("%d attempts spent", m.Spent)
			}
			w.expectCalls(0)
			for _, task := range w.keep() {
				w.process(task)
			}
			w.expect(task, gateway.StatusAccepted)
			w.expectCalls(1)
		})
	})
}

func TestBeginThatDidNotArriveIsRepeated(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post()
		w.store.awayFrom["begin"] = 5
		w.process(task)
		w.expect(task, gateway.StatusAccepted)
		w.expectCalls(1)
	})
}

func TestAccountThatTheStoreHolds(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post()
		w.store.set(func(s *fakeStore) { s.holdUntil = time.Now().Add(3 * time.Second) })
		done, cancel := w.goProcess(task)
		defer cancel()
		if w.desk.ShutUntil(gateway.Transactional).IsZero() {
			w.Error("the lane is open")
		}
		if !w.desk.ShutUntil(gateway.Bulk).IsZero() {
			w.Error("the other lane is shut too, before anybody knows that it is the account which is held")
		}
		if w.wakeCount() == 0 {
			w.Error("nobody was woken to ask until when")
		}
		w.keep()
		if got := time.Until(w.desk.ShutUntil(gateway.Bulk)); got != 3*time.Second {
			w.Errorf("the lane is shut for %v, want 3s", got)
		}
		pass(3 * time.Second) // the hold passes
		synctest.Wait()
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(task, gateway.StatusAccepted)
		if n := len(w.store.begins); n != 2 {
			w.Errorf("the intent was asked for %d times, want 2", n)
		}
	})
}

func TestConfigurationThatChangedWhileWaitingIsUsed(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post()
		w.slots.SetMax(0)
		done, cancel := w.goProcess(task)
		defer cancel()
		fresh := &fakeProvider{url: "http://new.test/messages"}
		w.mu.Lock()
		account := *w.account
		account.Rate, account.MaxInFlight = 8, 5
		w.account, w.provider = &account, fresh
		w.mu.Unlock()
		w.desk.ShutUntil(gateway.Bulk)
		synctest.Wait()
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(task, gateway.StatusAccepted)
		if len(fresh.calls) != 1 {
			w.Error("the call was made with the configuration of before")
		}
		if d := cmp.Diff([]float64{50, 8}, w.pacer.rates); d != "" || w.slots.limit != 5 {
			w.Errorf("%d slots, rates (-want +got):\n%s", w.slots.limit, d)
		}
	})
}

func TestThoseBehindAnotherLeaveHalfOfTheTokensToIt(t *testing.T) {
	inBubble(t, func(w *world) {
		w.post() // its task is far behind in the lane
		const n = 50
		var tasks []gateway.Task
		var ended []<-chan error
		for range n {
			task := w.post()
			done, cancel := w.goProcess(task)
			defer cancel()
			tasks, ended = append(tasks, task), append(ended, done)
		}
		for _, done := range ended {
			if err := <-done; err != nil {
				w.Fatal(err)
			}
		}
		var back []time.Time
		for _, task := range tasks {
			m := w.expect(task, gateway.StatusQueued)
			if !m.behind {
				w.Fatal("one lost its place")
			}
			back = append(back, m.till)
		}
		slices.SortFunc(back, time.Time.Compare)
		// 50 a second: 25 of them may come in vain, and a half second's worth once.
		if took := back[n-1].Sub(back[0]); took < 1400*time.Millisecond || took > 2*time.Second {
			w.Errorf("%d come back within %v", n, took)
		}
	})
}
