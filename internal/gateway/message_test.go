package gateway

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestInFlightCap(t *testing.T) {
	for _, tc := range []struct {
		name    string
		account Account
		want    int
	}{
		{"as configured", Account{MaxInFlight: 7, Rate: 80, Timeout: 20 * time.Second}, 7},
		{"as configured, beyond the default's bounds", Account{MaxInFlight: 5000}, 5000},
		{"one, as configured", Account{MaxInFlight: 1, Rate: 80, Timeout: time.Second}, 1},
		{"rate times timeout", Account{Rate: 20, Timeout: 10 * time.Second}, 200},
		{"rate times a part of a second", Account{Rate: 100, Timeout: 250 * time.Millisecond}, 25},
		{"a fraction is dropped", Account{Rate: 2.5, Timeout: 3 * time.Second}, 7},
		{"four at least", Account{Rate: 1, Timeout: time.Second}, 4},
		{"four where nothing is known", Account{}, 4},
		{"a thousand at most", Account{Rate: 80, Timeout: 20 * time.Second}, 1000},
		{"a thousand at the highest rate", Account{Rate: 100_000, Timeout: time.Hour}, 1000},
		{"a thousand where an int can't tell the product", Account{Rate: 1e300, Timeout: time.Hour}, 1000},
		{"a thousand where nothing can", Account{Rate: math.Inf(1), Timeout: time.Hour}, 1000},
		{"four for what is no number", Account{Rate: math.NaN(), Timeout: time.Hour}, 4},
		{"four for less than nothing", Account{Rate: -1e300, Timeout: time.Hour}, 4},
		{"a negative cap is none", Account{MaxInFlight: -1, Rate: 20, Timeout: time.Second}, 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.account.InFlightCap(); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestWireStringsNeverChange(t *testing.T) {
	for _, tc := range []struct {
		name string
		got  []string
		want []string
	}{
		{"statuses", texts(Statuses()), []string{
			"scheduled", "queued", "sending", "accepted", "sent", "delivered", "read",
			"failed", "rejected", "expired", "cancelled", "unknown",
		}},
		{"priorities, the first served first", texts(Priorities()), []string{"transactional", "bulk"}},
		{"outcomes", texts(Outcomes()), []string{"accepted", "rejected", "throttled", "transient", "suspended", "unknown"}},
		{"content types", texts(ContentTypes()), []string{
			"text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "interactive", "template",
		}},
		{"policies", texts([]OnUnknown{HoldUnknown, ResendUnknown}), []string{"hold", "resend"}},
		{"providers", texts(ProviderNames()), []string{
			"whatsapp-cloud", "whatsapp-v2", "whatsapp-onprem", "sinch-conversation", "sinch-whatsapp",
		}},
		{"breaker states", texts([]BreakerState{BreakerClosed, BreakerOpen, BreakerHalfOpen}), []string{"closed", "open", "half-open"}},
		{"suppression scopes", texts([]SuppressionScope{SuppressAll, SuppressMarketing, SuppressCooldown}), []string{"all", "marketing", "cooldown"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !slices.Equal(tc.got, tc.want) {
				t.Errorf("got %q, want %q", tc.got, tc.want)
			}
		})
	}
}

func texts[T ~string](in []T) []string {
	var out []string
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

func TestOnlyListedValuesAreValid(t *testing.T) {
	for _, s := range Statuses() {
		if !s.Valid() {
			t.Errorf("status %q isn't valid", s)
		}
	}
	for _, p := range Priorities() {
		if !p.Valid() {
			t.Errorf("priority %q isn't valid", p)
		}
	}
	if !HoldUnknown.Valid() || !ResendUnknown.Valid() {
		t.Error("a policy isn't valid")
	}
	for _, s := range []string{"", "Queued", "sending ", "pending", "archived"} {
		if Status(s).Valid() || Priority(s).Valid() || OnUnknown(s).Valid() {
			t.Errorf("%q is valid", s)
		}
	}
	for _, o := range Outcomes() {
		if o == "" {
			t.Error("the zero outcome is listed")
		}
	}
}

func TestListsAreTheCallersOwn(t *testing.T) {
	Statuses()[0], Priorities()[0], Outcomes()[0], ContentTypes()[0] = "x", "x", "x", "x"
	if Statuses()[0] == "x" || Priorities()[0] == "x" || Outcomes()[0] == "x" || ContentTypes()[0] == "x" {
		t.Error("a caller can change the list")
	}
}

func TestOnlyScheduledAndQueuedMessagesWait(t *testing.T) {
	for _, s := range append(Statuses(), "") {
		if got, want := s.Waiting(), s == StatusScheduled || s == StatusQueued; got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func TestStatusAt(t *testing.T) {
	for _, s := range Statuses() {
		r := &Record{Message: Message{ExpiresAt: noon}, Status: s}
		atEnd := s
		if s.Waiting() {
			atEnd = StatusExpired
		}
		for _, step := range []struct {
			at   time.Time
			want Status
		}{{noon.Add(-1), s}, {noon, atEnd}, {noon.Add(time.Hour), atEnd}} {
			if got := r.StatusAt(step.at); got != step.want {
				t.Errorf("%s at %v: %s, want %s", s, step.at, got, step.want)
			}
		}
		if got := (&Record{Status: s}).StatusAt(noon); got != s {
			t.Errorf("%s without an end is %s", s, got)
		}
	}
}

func TestResultRetryable(t *testing.T) {
	for outcome, want := range map[Outcome]bool{
		OutcomeAccepted: false, OutcomeRejected: false, OutcomeUnknown: false, "": false, "other": false,
		OutcomeThrottled: true, OutcomeTransient: true, OutcomeSuspended: true,
	} {
		if got := (Result{Outcome: outcome}).Retryable(); got != want {
			t.Errorf("%q: %t", outcome, got)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"class, code and title", &Error{Class: ClassRecipient, Code: "131026", Title: "Message undeliverable"}, "recipient 131026: Message undeliverable"},
		{"class and code", &Error{Class: ClassTransient, Code: "503"}, "transient 503"},
		{"class and title", &Error{Class: ClassExpired, Title: "Expired"}, "expired: Expired"},
		{"class alone", &Error{Class: ClassUnknown}, "unknown"},
		{"the detail is for the caller, not for logs", &Error{Class: ClassMedia, Detail: "told by a provider"}, "media"},
		{"a field", FieldError{Field: "to", Message: "is required"}, "to: is required"},
		{"another owner", Fenced{Account: "shop-eu"}, "account shop-eu is owned by another worker"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.err.Error(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestErrorsAreFoundThroughWrapping(t *testing.T) {
	err := fmt.Errorf("send: %w", &Error{Class: ClassPolicy, Code: "131047"})
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != "131047" {
		t.Errorf("got %v", e)
	}
	if f, ok := errors.AsType[Fenced](fmt.Errorf("begin: %w", Fenced{Account: "shop-eu"})); !ok || f.Account != "shop-eu" {
		t.Errorf("got %v", f)
	}
}

func TestWhatACallbackTellsOfTheAccountHaltsIt(t *testing.T) {
	because := &Error{Title: "why"}
	for _, tc := range []struct {
		name   string
		result Result
		want   []Halt
	}{
		{"a limit, for as long as it says", Result{Outcome: OutcomeThrottled, Scope: ScopeAccount, RetryAfter: time.Minute, Error: because}, []Halt{{For: time.Minute, Outcome: OutcomeThrottled, Reason: "why", Scope: ScopeAccount}}},
		{"a suspension, for long", Result{Outcome: OutcomeSuspended, Scope: ScopePortfolio, Error: because}, []Halt{{For: 15 * time.Minute, Outcome: OutcomeSuspended, Reason: "why", Scope: ScopePortfolio}}},
		{"a suspension that says for how long", Result{Outcome: OutcomeSuspended, Scope: ScopeApp, RetryAfter: time.Hour}, []Halt{{For: time.Hour, Outcome: OutcomeSuspended, Scope: ScopeApp}}},
		{"a limit of a template is not the account's", Result{Outcome: OutcomeThrottled, Scope: ScopeTemplate, RetryAfter: time.Minute}, nil},
		{"nor is one of a pair", Result{Outcome: OutcomeThrottled, Scope: ScopePair, RetryAfter: time.Minute}, nil},
		{"a limit without a time", Result{Outcome: OutcomeThrottled, Scope: ScopeAccount}, nil},
		{"a refusal says nothing of the account", Result{Outcome: OutcomeRejected, Scope: ScopeAccount}, nil},
		{"nor does a fault", Result{Outcome: OutcomeTransient, Scope: ScopeAccount, RetryAfter: time.Minute}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Callback
			c.Halt(tc.result, time.Time{})
			c.Halt(tc.result, time.Time{}) // told twice is told once
			if !slices.Equal(c.Halts, tc.want) || c.Empty() != (tc.want == nil) {
				t.Errorf("halts %+v, want %+v", c.Halts, tc.want)
			}
		})
	}
}
