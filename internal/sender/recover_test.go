package sender

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/gateway"
)

// renewing is a provider with credentials that run out.
type renewing struct {
	*fakeProvider
	prepared  int
	recovered int
	again     func(n int) bool // what the nth recovery comes to
}

func (p *renewing) Prepare(context.Context) { p.prepared++ }

func (p *renewing) Recover(_ context.Context, _ Call, a Answer) bool {
	if a.Status != 401 {
		return false
	}
	p.recovered++
	return p.again(p.recovered)
}

func TestRecovery(t *testing.T) {
	for _, c := range []struct {
		name   string
		wires  []wire
		again  func(n int) bool
		want   gateway.Status
		calls  int
		expiry bool // of the lease, while the provider recovers
	}{
		{name: "the call is made again once its cause is mended", wires: []wire{{status: 401}}, again: func(int) bool { return true }, want: gateway.StatusAccepted, calls: 2},
		{name: "and once more", wires: []wire{{status: 401}, {status: 401}}, again: func(int) bool { return true }, want: gateway.StatusAccepted, calls: 3},
		{name: "but not for ever", wires: []wire{{status: 401}, {status: 401}, {status: 401}}, again: func(int) bool { return true }, want: gateway.StatusQueued, calls: 3},
		{name: "what can't be mended counts", wires: []wire{{status: 401}}, again: func(int) bool { return false }, want: gateway.StatusQueued, calls: 1},
		{name: "a defect there is no crash", wires: []wire{{status: 401}}, again: func(int) bool { panic("defect") }, want: gateway.StatusQueued, calls: 1},
		{name: "another refusal isn't asked about twice", wires: []wire{{status: 400}}, again: func(int) bool { return true }, want: gateway.StatusFailed, calls: 1},
		{name: "an unknown outcome is never repeated", wires: []wire{{unheard: true}}, again: func(int) bool { return true }, want: gateway.StatusUnknown, calls: 1},
		{name: "a worker that lost the account doesn't repeat", wires: []wire{{status: 401}}, again: func(int) bool { return true }, want: gateway.StatusQueued, calls: 1, expiry: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p *renewing
			inBubbleWith(t, func(o *Options) {
				account := o.Account
				o.Account = func() (*gateway.Account, Provider) {
					a, fake := account()
					if p == nil {
						p = &renewing{fakeProvider: fake.(*fakeProvider), again: c.again}
					}
					return a, p
				}
			}, func(w *world) {
				w.net.next = c.wires
				if c.expiry {
					p.again = func(int) bool { w.lose(); return true }
				}
				task := w.post()
				w.process(task)
				synctest.Wait()
				w.expect(task, c.want)
				if c.expiry && !w.store.holdUntil.IsZero() {
					w.Error("the account is held for credentials that have been renewed")
				}
				if p.prepared == 0 {
					w.Error("the provider wasn't prepared before the attempt")
				}
				if n := len(w.net.at); n != c.calls {
					w.Errorf("%d calls, want %d", n, c.calls)
				}
			})
		})
	}
}

// learned is a provider that finds out why a call was refused.
type learned struct {
	*renewing
	verdict gateway.Result
}

func (p *learned) NewRequest(ctx context.Context, c Call) (*http.Request, error) {
	if p.recovered > 0 {
		return nil, &Verdict{Result: p.verdict}
	}
	return p.renewing.NewRequest(ctx, c)
}

func TestWhatAProviderFindsOutIsWhatTheAttemptCameTo(t *testing.T) {
	var p *learned
	inBubbleWith(t, func(o *Options) {
		account := o.Account
		o.Account = func() (*gateway.Account, Provider) {
			a, fake := account()
			if p == nil {
				p = &learned{
					renewing: &renewing{fakeProvider: fake.(*fakeProvider), again: func(int) bool { return true }},
					verdict: gateway.Result{
						Outcome: gateway.OutcomeRejected, Scope: gateway.ScopeRecipient,
						Error:    &gateway.Error{Class: gateway.ClassRecipient, Code: "1006", Title: "gone"},
						Suppress: &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "not on WhatsApp"},
					},
				}
			}
			return a, p
		}
	}, func(w *world) {
		w.net.next = []wire{{status: 401}}
		task := w.post()
		w.process(task)
		synctest.Wait()
		ended := w.expect(task, gateway.StatusFailed).endings
		if n := len(w.net.at); n != 1 {
			w.Errorf("%d calls, want one", n)
		}
		if s := ended[len(ended)-1].Suppress; s == nil || *s != *p.verdict.Suppress {
			w.Errorf("suppressed %+v", s)
		}
	})
}

func TestRepeatedCallPassesTheGateAgain(t *testing.T) {
	var p *renewing
	inBubbleWith(t, func(o *Options) {
		account := o.Account
		o.Account = func() (*gateway.Account, Provider) {
			a, fake := account()
			if p == nil {
				p = &renewing{fakeProvider: fake.(*fakeProvider), again: func(int) bool { return true }}
			}
			return a, p
		}
	}, func(w *world) {
		w.pacer.atGate = 20 * time.Millisecond
		w.net.next = []wire{{status: 401}}
		w.process(w.post())
		pass(100 * time.Millisecond)
		if len(w.net.at) != 2 || w.net.at[1].Sub(w.net.at[0]) != 20*time.Millisecond {
			w.Errorf("calls at %v, want two, 20 ms apart", w.net.at)
		}
	})
}
