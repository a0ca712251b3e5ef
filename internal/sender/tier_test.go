package sender

import (
	"testing"
	"time"

	"sluice/internal/gateway"
)

// withTier gives the account a tier.
func (w *world) withTier(limit int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := *w.account
	changed.Tier = gateway.Tier{Limit: limit, Count: "t"}
	w.account = &changed
}

func to(r gateway.Recipient) func(*kept) { return func(m *kept) { m.Recipient = r } }

func TestMessagesBeyondTheTierWaitAndOthersGoOn(t *testing.T) {
	inBubble(t, func(w *world) {
		w.withTier(2)
		first, second := w.post(to("+4670000001")), w.post(to("+4670000002"))
		w.process(first)
		pass(time.Hour)
		w.process(second)
		beyond, later := w.post(to("+4670000003")), w.post(to("+4670000004"))
		w.process(beyond)
		w.process(later)
		known := w.post(to("+4670000001"))
		w.process(known)
		w.expect(known, gateway.StatusAccepted)
		m := w.expect(beyond, gateway.StatusQueued)
		if !m.beyond || m.Spent != 0 || len(m.Attempts) != 0 || len(w.pacer.waited) != 3 {
			w.Errorf("waits for room: %v, %d attempts, %d tokens taken", m.beyond, len(m.Attempts), len(w.pacer.waited))
		}

		// The second recipient is the first to leave: the first was written to since.
		next, _, err := w.desk.Keep(w.Context())
		if err != nil || time.Until(next).Round(time.Minute) != 24*time.Hour {
			w.Errorf("Keep is wanted in %v (error %v), want a day", time.Until(next), err)
		}
		asked := w.store.asked
		pass(time.Until(next) - time.Second)
		if got := w.keep(); len(got) != 0 || w.store.asked != asked {
			w.Fatalf("%v came back early, %d questions asked", got, w.store.asked-asked)
		}
		pass(time.Second)
		got := w.keep()
		if len(got) != 1 || got[0].Message != beyond.Message {
			w.Fatalf("tasks %v came back, want the one that waited longest", got)
		}
		w.process(got[0])
		w.expect(beyond, gateway.StatusAccepted)
		w.expect(later, gateway.StatusQueued)
	})
}

func TestAHigherTierLetsThemGoSoon(t *testing.T) {
	inBubble(t, func(w *world) {
		w.withTier(1)
		w.process(w.post(to("+4670000001")))
		var waiting []gateway.Task
		for _, r := range []gateway.Recipient{"+4670000002", "+4670000003", "+4670000004"} {
			waiting = append(waiting, w.post(to(r)))
			w.process(waiting[len(waiting)-1])
		}
		w.keep()
		wakes := w.wakeCount()
		w.withTier(3)
		w.desk.ShutUntil(gateway.Bulk) // whoever asks notices
		if w.wakeCount() == wakes {
			w.Error("nobody was woken to look at the tier")
		}
		tasks := w.keep()
		if len(tasks) != 2 {
			w.Fatalf("%d came back, want 2: one has no room", len(tasks))
		}
		if again := w.keep(); len(again) != 0 {
			w.Errorf("%d more came back before those had asked", len(again))
		}
		for _, task := range tasks {
			w.process(task)
		}
		w.withTier(0)
		pass(readmitGap)
		for _, task := range w.keep() {
			w.process(task)
		}
		for _, task := range waiting {
			w.expect(task, gateway.StatusAccepted)
		}
	})
}

func TestRepliesWithinAServiceWindowAreNotCounted(t *testing.T) {
	inBubble(t, func(w *world) {
		w.withTier(1)
		w.process(w.post(to("+4670000001")))
		w.store.set(func(s *fakeStore) { s.standing.LastInbound = time.Now().Add(-time.Hour) })
		reply := w.post(to("+4670000002"))
		w.process(reply)
		w.expect(reply, gateway.StatusAccepted)
		w.store.set(func(s *fakeStore) { s.standing.LastInbound = time.Now().Add(-gateway.ServiceWindow) })
		late := w.post(to("+4670000003"))
		w.process(late)
		w.expect(late, gateway.StatusQueued)
		if w.store.asked != 2 {
			w.Errorf("%d places were asked for, want 2", w.store.asked)
		}
	})
}

func TestATierThatCannotBeReadLetsNobodyPass(t *testing.T) {
	inBubble(t, func(w *world) {
		w.withTier(1)
		w.store.set(func(s *fakeStore) { s.awayFrom["admit"] = 3 })
		task := w.post()
		done, cancel := w.goProcess(task)
		defer cancel()
		w.expectCalls(0)
		pass(3 * writePause)
		if err := <-done; err != nil {
			w.Fatal(err)
		}
		w.expect(task, gateway.StatusAccepted)
	})
}
