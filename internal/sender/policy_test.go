package sender

import (
	"testing"
	"testing/synctest"

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
