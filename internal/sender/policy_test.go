package sender

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestSuppressedRecipientCostsNoTokenAndNoAttempt(t *testing.T) {
	inBubble(t, func(w *world) {
		w.store.set(func(s *fakeStore) {
			s.standing = gateway.Standing{Suppressed: []gateway.Suppressed{{Scope: gateway.SuppressAll, Reason: "opt-out"}}}
		})
		task := w.post()
		w.process(task)
		m := w.expect(task, gateway.StatusRejected)
		if m.Error == nil || m.Error.Class != gateway.ClassSuppression || len(m.Attempts) != 0 {
			w.Errorf("error %v after %d attempts", m.Error, len(m.Attempts))
		}
		if len(w.pacer.waited) != 0 || w.net.asked != 0 {
			w.Error("a token was spent, or the provider asked")
		}
	})
}

func TestARecipientWhoIsSentTooMuchWaitsAndNobodyElse(t *testing.T) {
	inBubble(t, func(w *world) {
		w.pairs.waits[recipient] = 6 * time.Second
		task, other := w.post(), w.post(func(m *kept) { m.Recipient = "+4670000001" })
		w.process(task)
		w.process(other)
		w.expect(other, gateway.StatusAccepted)
		m := w.expect(task, gateway.StatusQueued)
		if !m.behind || m.Spent != 0 || len(m.Attempts) != 0 || time.Until(m.till).Round(10*time.Millisecond) != 6*time.Second {
			w.Errorf("parked until %v, keeps its place: %v, %d attempts", m.till, m.behind, len(m.Attempts))
		}
		if d := cmp.Diff([]string{string(other.Message)}, w.pacer.waited); d != "" {
			w.Errorf("tokens taken (-want +got):\n%s", d)
		}
		delete(w.pairs.waits, recipient)
		pass(time.Until(m.till))
		w.process(w.keep()[0])
		w.expect(task, gateway.StatusAccepted)
		if w.pairs.begun != 2 {
			w.Errorf("%d messages were charged, want 2", w.pairs.begun)
		}
	})
}

func TestAPairsThrottleIsRememberedForTheRecipient(t *testing.T) {
	inBubble(t, func(w *world) {
		w.net.next = []wire{{status: 409}, {status: 429}}
		w.process(w.post())
		w.process(w.post(func(m *kept) { m.Recipient = "+4670000001" }))
		if d := cmp.Diff(map[gateway.Recipient]time.Duration{recipient: time.Second}, w.pairs.refused); d != "" {
			w.Errorf("refused (-want +got):\n%s", d)
		}
	})
}

type limitedProvider struct{ *fakeProvider }

func (limitedProvider) PairLimit() gateway.PairLimit {
	return gateway.PairLimit{Every: time.Second, Burst: 3}
}

func TestTheProviderSaysWhatARecipientMayBeSent(t *testing.T) {
	provider := Provider(&fakeProvider{url: "http://provider.test/messages"})
	inBubbleWith(t, func(o *Options) {
		account, _ := o.Account()
		o.Account = func() (*gateway.Account, Provider) { return account, provider }
	}, func(w *world) {
		w.mu.Lock()
		changed := *w.account
		w.mu.Unlock()
		provider = limitedProvider{w.provider}
		w.desk.Account = func() (*gateway.Account, Provider) { return &changed, provider }
		w.desk.ShutUntil(gateway.Bulk) // whoever asks notices
		if d := cmp.Diff([]gateway.PairLimit{{}, {Every: time.Second, Burst: 3}}, w.pairs.limits); d != "" {
			w.Errorf("limits (-want +got):\n%s", d)
		}
	})
}

func TestRefusalThatConcernsTheRecipientIsRemembered(t *testing.T) {
	inBubble(t, func(w *world) {
		suppression := &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "no WhatsApp"}
		w.provider.interpret = func(Answer) gateway.Result {
			return gateway.Result{
				Outcome: gateway.OutcomeRejected, Scope: gateway.ScopeRecipient, Suppress: suppression,
				Error: &gateway.Error{Class: gateway.ClassRecipient, Code: "131026"},
			}
		}
		task := w.post()
		w.process(task)
		synctest.Wait()
		m := w.expect(task, gateway.StatusFailed)
		if got := m.endings[0].Suppress; got != suppression {
			w.Errorf("recorded with suppression %+v", got)
		}
	})
}

func TestChangesThatSomebodyWantsToKnowWakeTheQueue(t *testing.T) {
	inBubble(t, func(w *world) {
		task := w.post(func(k *kept) { k.CallbackURL = "https://caller.example/hook" })
		before := w.wakeCount()
		w.process(task)
		synctest.Wait()
		w.expect(task, gateway.StatusAccepted)
		if w.wakeCount() == before {
			w.Error("nobody was woken to tell")
		}
	})
}

func TestSlowFilesDoNotKeepTheLaneWaiting(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	inBubbleWith(t, func(o *Options) {
		release = make(chan struct{})
		o.Media = fakeMedia(func(gateway.File) (*gateway.Error, bool) {
			<-release
			return nil, false
		})
	}, func(w *world) {
		w.desk.lookPatience = lookPatience
		defer once.Do(func() { close(release) })
		w.mu.Lock()
		changed := *w.account
		changed.CheckMedia = true
		w.account = &changed
		w.mu.Unlock()
		picture := func(k *kept) {
			k.Content = gateway.Content{Type: gateway.TypeImage, Image: &gateway.Media{Link: "https://slow.example/a.jpg"}}
		}
		began := time.Now()
		var tasks []gateway.Task
		for range lookersMost + 8 {
			task := w.post(picture)
			w.process(task)
			tasks = append(tasks, task)
		}
		if took := time.Since(began); took.Round(time.Millisecond) != lookersMost*lookPatience {
			w.Errorf("%d pictures kept the lane for %v, want %v and nothing for those beyond", len(tasks), took, lookersMost*lookPatience)
		}
		for _, task := range tasks {
			if m := w.message(task); m.Status != gateway.StatusQueued || !m.behind || m.Spent != 0 {
				w.Fatalf("a picture is %s, keeps its place: %v", m.Status, m.behind)
			}
		}
		w.expectCalls(0)
		once.Do(func() { close(release) })
		pass(lookDefer)
		synctest.Wait()
		for _, task := range w.keep() {
			w.process(task)
		}
		synctest.Wait()
		w.expectCalls(len(tasks))
	})
}
