package providertest

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/gateway"
)

// A suite that lets everything pass proves nothing.
func TestUnsound(t *testing.T) {
	result := func(o gateway.Outcome, c gateway.Class, s gateway.Scope) gateway.Result {
		return gateway.Result{Outcome: o, Scope: s, Error: &gateway.Error{Class: c, Title: "t"}}
	}
	rejected := result(gateway.OutcomeRejected, gateway.ClassPermanent, "")
	undeliverable := result(gateway.OutcomeRejected, gateway.ClassRecipient, gateway.ScopeRecipient)
	undeliverable.Suppress = &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: "r", For: time.Hour}
	throttled := result(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopePair)
	throttled.RetryAfter = time.Second
	with := func(r gateway.Result, change func(*gateway.Result)) gateway.Result {
		if r.Error != nil {
			e := *r.Error
			r.Error = &e
		}
		if r.Suppress != nil {
			s := *r.Suppress
			r.Suppress = &s
		}
		change(&r)
		return r
	}
	for _, c := range []struct {
		name string
		in   gateway.Result
		want string // a part of the one complaint; empty: none
	}{
		{"accepted with an id", gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "x"}, ""},
		{"accepted without one", gateway.Result{Outcome: gateway.OutcomeAccepted}, ""},
		{"rejected, of the message", rejected, ""},
		{"rejected, of the recipient", undeliverable, ""},
		{"throttled, of the pair", throttled, ""},
		{"transient", result(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage), ""},
		{"suspended, of the app", result(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeApp), ""},
		{"unknown", result(gateway.OutcomeUnknown, gateway.ClassUnknown, ""), ""},

		{"rejected without an error", gateway.Result{Outcome: gateway.OutcomeRejected}, "an error goes"},
		{"rejected with an id", with(rejected, func(r *gateway.Result) { r.ProviderMessageID = "x" }), "an id goes"},
		{"rejected with a wait", with(rejected, func(r *gateway.Result) { r.RetryAfter = 1 }), "a wait goes"},
		{"rejected of another class", result(gateway.OutcomeRejected, gateway.ClassThrottled, ""), "class"},
		{"an error that says nothing", with(rejected, func(r *gateway.Result) { r.Error.Title = "" }), "says nothing"},
		{"an error that says too much", with(rejected, func(r *gateway.Result) { r.Error.Detail = strings.Repeat("x", maxText+1) }), "too long"},
		{"an error that isn't text", with(rejected, func(r *gateway.Result) { r.Error.Code = "\xff" }), "UTF-8"},
		{"a wait beyond a day", with(throttled, func(r *gateway.Result) { r.RetryAfter = 25 * time.Hour }), "wait of"},
		{"a wait in the past", with(throttled, func(r *gateway.Result) { r.RetryAfter = -1 }), "wait of"},
		{"a limit of nothing", with(throttled, func(r *gateway.Result) { r.Scope = "" }), "scope"},
		{"a limit of what doesn't exist", with(throttled, func(r *gateway.Result) { r.Scope = "galaxy" }), "scope"},
		{"suspended, of one message", result(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeMessage), "scope"},
		{"unknown, of the account", result(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeAccount), "scope"},
		{"negative attempts", with(rejected, func(r *gateway.Result) { r.MaxAttempts = -1 }), "negative"},
		{"a suppression for another class", with(undeliverable, func(r *gateway.Result) { r.Error.Class = gateway.ClassPolicy }), "class recipient only"},
		{"a suppression of a template", with(undeliverable, func(r *gateway.Result) { r.Scope = gateway.ScopeTemplate }), "about a recipient"},
		{"a suppression without a reason", with(undeliverable, func(r *gateway.Result) { r.Suppress.Reason = "" }), "without a reason"},
		{"a cooldown for ever", with(undeliverable, func(r *gateway.Result) { r.Suppress.For = 0 }), "without an end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := unsound(c.in)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("complaints %q about a sound result", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("complaints %q, want one that says %q", got, c.want)
			}
		})
	}
}
