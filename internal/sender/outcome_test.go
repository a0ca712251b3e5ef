package sender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

func TestDecide(t *testing.T) {
	const s, m = time.Second, time.Minute
	throttle := func(scope gateway.Scope, after time.Duration) gateway.Result {
		return gateway.Result{Outcome: gateway.OutcomeThrottled, Scope: scope, RetryAfter: after}
	}
	again := func(in time.Duration) decision { return decision{next: gateway.StatusQueued, retryIn: in} }
	hold := func(d time.Duration) decision { return decision{next: gateway.StatusQueued, hold: d} }
	spent := func(next gateway.Status) decision { return decision{next: next, spent: true} }
	transient := gateway.Result{Outcome: gateway.OutcomeTransient}

	for _, c := range []struct {
		name    string
		result  gateway.Result
		spent   int
		strikes strikes
		want    decision
	}{
		{name: "accepted is accepted", result: gateway.Result{Outcome: gateway.OutcomeAccepted}, want: spent(gateway.StatusAccepted)},
		{name: "rejected fails at once", result: gateway.Result{Outcome: gateway.OutcomeRejected}, want: spent(gateway.StatusFailed)},
		{name: "unknown stays unknown", result: gateway.Result{Outcome: gateway.OutcomeUnknown}, want: spent(gateway.StatusUnknown)},
		{name: "an outcome that doesn't exist is unknown", result: gateway.Result{Outcome: "maybe"}, want: spent(gateway.StatusUnknown)},
		{name: "no outcome is unknown", want: spent(gateway.StatusUnknown)},

		{name: "transient is tried again after the backoff", result: transient, want: decision{next: gateway.StatusQueued, spent: true, retryIn: 10 * s}},
		{name: "the second transient waits by the second backoff", result: transient, spent: 1, want: decision{next: gateway.StatusQueued, spent: true, retryIn: 20 * s}},
		{name: "the last attempt fails the message", result: transient, spent: 4, want: spent(gateway.StatusFailed)},
		{name: "more spent than there may be fails the message", result: transient, spent: 9, want: spent(gateway.StatusFailed)},
		{
			name:   "a longer wait of the provider's replaces the backoff",
			result: gateway.Result{Outcome: gateway.OutcomeTransient, RetryAfter: 45 * s},
			want:   decision{next: gateway.StatusQueued, spent: true, retryIn: 45 * s},
		},
		{
			name:   "a shorter wait of the provider's doesn't",
			result: gateway.Result{Outcome: gateway.OutcomeTransient, RetryAfter: s},
			want:   decision{next: gateway.StatusQueued, spent: true, retryIn: 10 * s},
		},
		{
			name:   "a kind of failure may allow fewer attempts than the account",
			result: gateway.Result{Outcome: gateway.OutcomeTransient, MaxAttempts: 2}, spent: 1, want: spent(gateway.StatusFailed),
		},
		{
			name:   "but not more",
			result: gateway.Result{Outcome: gateway.OutcomeTransient, MaxAttempts: 9}, spent: 4, want: spent(gateway.StatusFailed),
		},

		{name: "suspended holds the account and spends nothing", result: gateway.Result{Outcome: gateway.OutcomeSuspended}, want: hold(30 * s)},
		{name: "suspended again holds it longer", result: gateway.Result{Outcome: gateway.OutcomeSuspended}, strikes: strikes{suspended: 3}, want: hold(4 * m)},
		{name: "suspended for ever is looked at every quarter of an hour", result: gateway.Result{Outcome: gateway.OutcomeSuspended}, strikes: strikes{suspended: 90}, want: hold(15 * m)},
		{name: "suspended waits as long as the provider says", result: gateway.Result{Outcome: gateway.OutcomeSuspended, RetryAfter: time.Hour}, want: hold(time.Hour)},

		{name: "an account's throttle holds the account", result: throttle(gateway.ScopeAccount, 0), want: hold(s)},
		{name: "an app's throttle holds the account", result: throttle(gateway.ScopeApp, 7*s), want: hold(7 * s)},
		{name: "a portfolio's throttle holds the account", result: throttle(gateway.ScopePortfolio, 0), want: hold(s)},
		{name: "throttles in a row double the hold", result: throttle(gateway.ScopeAccount, 0), strikes: strikes{throttled: 3}, want: hold(8 * s)},
		{name: "up to half a minute", result: throttle(gateway.ScopeAccount, 0), strikes: strikes{throttled: 30}, want: hold(30 * s)},
		{name: "a hold of an hour doubles too", result: throttle(gateway.ScopeAccount, time.Hour), strikes: strikes{throttled: 2}, want: hold(4 * time.Hour)},
		{name: "up to a day", result: throttle(gateway.ScopeAccount, time.Hour), strikes: strikes{throttled: 20}, want: hold(24 * time.Hour)},
		{name: "a longer hold of the provider's isn't made longer", result: throttle(gateway.ScopeAccount, m), strikes: strikes{throttled: 2}, want: hold(m)},
		{name: "other messages' throttles don't count for a pair", result: throttle(gateway.ScopePair, 0), strikes: strikes{throttled: 9}, want: again(s)},
		{name: "a pair's throttle parks the message fourfold", result: throttle(gateway.ScopePair, 0), strikes: strikes{message: 2}, want: again(16 * s)},
		{name: "a pair's throttle parks 1024 s at most", result: throttle(gateway.ScopePair, 0), strikes: strikes{message: 20}, want: again(1024 * s)},
		{name: "a recipient's throttle does as a pair's", result: throttle(gateway.ScopeRecipient, 0), strikes: strikes{message: 1}, want: again(4 * s)},
		{name: "a template's throttle parks the message twofold", result: throttle(gateway.ScopeTemplate, 0), strikes: strikes{message: 3}, want: again(8 * s)},
		{name: "a message's throttle does so too", result: throttle(gateway.ScopeMessage, 3*s), strikes: strikes{message: 1}, want: again(6 * s)},
		{name: "a throttle without a scope is the message's", result: throttle("", 0), want: again(s)},
		{name: "a message's throttle parks a day at most", result: throttle("", time.Hour), strikes: strikes{message: 19}, want: again(24 * time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			backoff := func(spent int) time.Duration { return time.Duration(spent) * 10 * s }
			got := decide(c.result, &gateway.Account{MaxAttempts: 5}, c.spent, c.strikes, backoff)
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(decision{})); d != "" {
				t.Errorf("decision (-want +got):\n%s", d)
			}
		})
	}
}

func TestGrow(t *testing.T) {
	for _, c := range []struct {
		name        string
		base        time.Duration
		factor      int64
		n           int
		limit, want time.Duration
	}{
		{"nothing before is the base", 3, 2, 0, 100, 3},
		{"each time before multiplies it", 3, 2, 4, 100, 48},
		{"up to the limit", 3, 2, 6, 100, 100},
		{"exactly the limit is the limit", 25, 4, 1, 100, 100},
		{"however often", time.Hour, 4, 1 << 20, 24 * time.Hour, 24 * time.Hour},
		{"a base above the limit stays", 300, 2, 0, 100, 300},
		{"and doesn't grow", 300, 2, 5, 100, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := grow(c.base, c.factor, c.n, c.limit); got != c.want {
				t.Errorf("grow(%d, %d, %d, %d) = %d, want %d", c.base, c.factor, c.n, c.limit, got, c.want)
			}
		})
	}
}

func TestThrottledInARow(t *testing.T) {
	const th, tr = gateway.OutcomeThrottled, gateway.OutcomeTransient
	for _, c := range []struct {
		name     string
		outcomes []gateway.Outcome
		want     int
	}{
		{"no attempts", nil, 0},
		{"all of them", []gateway.Outcome{th, th, th}, 3},
		{"only the last ones", []gateway.Outcome{th, th, tr, th, th}, 2},
		{"not when the last was another", []gateway.Outcome{th, th, tr}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var attempts []gateway.Attempt
			for _, o := range c.outcomes {
				attempts = append(attempts, gateway.Attempt{Outcome: o})
			}
			if got := throttledInARow(attempts); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestStreakCountsCallsOpenAtOneTimeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s streak
		expect := func(what string, sent time.Time, want int) {
			t.Helper()
			if got := s.strike(sent); got != want {
				t.Errorf("%s: %d strikes before, want %d", what, got, want)
			}
		}
		first := time.Now()
		pass(time.Second) // the calls take a while
		expect("first call", first, 0)
		expect("a call sent at the same time", first, 0)
		s.end(first)
		expect("a call sent then, after another of them was accepted", first, 0)
		pass(time.Second) // the hold passes
		expect("the next call", time.Now(), 1)
		pass(time.Millisecond)
		between := time.Now()
		pass(time.Millisecond)
		s.stands()
		expect("a call begun before the hold for it stood", between, 1)
		pass(time.Second) // the hold passes
		s.end(time.Now())
		expect("the first call after one was accepted", time.Now(), 0)
	})
}

func TestOutageIsWhatTheBreakerIsFor(t *testing.T) {
	want := map[gateway.Outcome]bool{gateway.OutcomeTransient: true, gateway.OutcomeUnknown: true}
	for _, o := range gateway.Outcomes() {
		if got := outage(gateway.Result{Outcome: o}); got != want[o] {
			t.Errorf("outage(%s) = %v, want %v", o, got, want[o])
		}
	}
}

func TestUnanswered(t *testing.T) {
	wrap := func(err error) error { return &url.Error{Op: "Post", URL: "https://secret.test/?key=1", Err: err} }
	for _, c := range []struct {
		name string
		err  error
		code string
	}{
		{"a name that doesn't resolve", wrap(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "secret.test"}}), "dns"},
		{"a refused connection", wrap(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), "connect"},
		{"a certificate that doesn't verify", wrap(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "tls"},
		{"a certificate for another name", wrap(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "secret.test"}), "tls"},
		{"an answer that isn't TLS", wrap(tls.RecordHeaderError{Msg: "what"}), "tls"},
		{"an alert of the other side's", wrap(&net.OpError{Op: "remote error", Err: tls.AlertError(40)}), "tls"},
		{"our deadline", wrap(context.DeadlineExceeded), "timeout"},
		{"a deadline of the connection's", wrap(&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "timeout"},
		{"the end of the stream", wrap(io.EOF), "closed"},
		{"an end amid the answer", wrap(fmt.Errorf("read: %w", io.ErrUnexpectedEOF)), "closed"},
		{"anything else", wrap(errors.New("secret.test is odd")), "connect"},
	} {
		t.Run(c.name+" before the write is transient", func(t *testing.T) {
			code, title := networkCode(c.err)
			want := gateway.Result{
				Outcome: gateway.OutcomeTransient, Scope: gateway.ScopeAccount,
				Error: &gateway.Error{Class: gateway.ClassTransient, Code: c.code, Title: "the provider couldn't be reached", Detail: title},
			}
			if d := cmp.Diff(want, unanswered(c.err, false)); d != "" || code != c.code {
				t.Errorf("result (-want +got):\n%s", d)
			}
		})
		t.Run(c.name+" after the write is unknown", func(t *testing.T) {
			_, title := networkCode(c.err)
			want := gateway.Result{
				Outcome: gateway.OutcomeUnknown, Scope: gateway.ScopeMessage,
				Error: &gateway.Error{
					Class: gateway.ClassUnknown, Code: "no_answer",
					Title: "the request was written and no clear answer came", Detail: title,
				},
			}
			if d := cmp.Diff(want, unanswered(c.err, true)); d != "" {
				t.Errorf("result (-want +got):\n%s", d)
			}
		})
	}
}

func TestRefusalFollowsItsClass(t *testing.T) {
	want := map[gateway.Class]gateway.Outcome{
		gateway.ClassSuspended: gateway.OutcomeSuspended, gateway.ClassTransient: gateway.OutcomeTransient,
		gateway.ClassThrottled: gateway.OutcomeThrottled, gateway.ClassPermanent: gateway.OutcomeRejected,
		gateway.ClassMedia: gateway.OutcomeRejected, gateway.ClassInternal: gateway.OutcomeRejected,
	}
	for class, outcome := range want {
		if got := refusal(&gateway.Error{Class: class}); got.Outcome != outcome {
			t.Errorf("class %s is %s, want %s", class, got.Outcome, outcome)
		}
	}
}
