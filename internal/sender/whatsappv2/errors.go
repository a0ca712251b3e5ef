package whatsappv2

import (
	"net/http"
	"time"

	"sluice/internal/gateway"
)

// rule is what an error means: for the attempt it answers, and, by its class
// and suppression, for the message that is reported as failed.
type rule struct {
	outcome  gateway.Outcome
	class    gateway.Class
	scope    gateway.Scope
	wait     time.Duration       // the first; how it grows is the sender's
	attempts int                 // at most, if lower than the account's
	suppress gateway.Suppression // zero: none
}

// The kinds of rules, by the retry classes of the reference.
func permanent() rule {
	return rule{outcome: gateway.OutcomeRejected, class: gateway.ClassPermanent, scope: gateway.ScopeMessage}
}

func policy(scope gateway.Scope) rule {
	return rule{outcome: gateway.OutcomeRejected, class: gateway.ClassPolicy, scope: scope}
}

func recipient(reason string) rule {
	return rule{
		outcome: gateway.OutcomeRejected, class: gateway.ClassRecipient, scope: gateway.ScopeRecipient,
		suppress: gateway.Suppression{Scope: gateway.SuppressAll, Reason: reason},
	}
}

// transient is tried again until it had as many attempts (zero: the account's).
func transient(attempts int) rule {
	return rule{
		outcome: gateway.OutcomeTransient, class: gateway.ClassTransient, scope: gateway.ScopeMessage, attempts: attempts,
	}
}

// firstThrottle is the wait after a limit that says nothing of its own.
const firstThrottle = time.Second

func throttled() rule {
	return rule{outcome: gateway.OutcomeThrottled, class: gateway.ClassThrottled, scope: gateway.ScopeAccount, wait: firstThrottle}
}

func suspended() rule {
	return rule{outcome: gateway.OutcomeSuspended, class: gateway.ClassSuspended, scope: gateway.ScopeAccount}
}

func unknown() rule {
	return rule{outcome: gateway.OutcomeUnknown, class: gateway.ClassUnknown, scope: gateway.ScopeMessage}
}

// firstCode is the first number that is a code of the provider's own. Lower
// ones in an error are HTTP statuses.
const firstCode = 100_000

// codes is the provider's table of errors; it is only read. Three of the four
// mean something else in the Cloud API.
var codes = map[int]rule{
	131030: suspended(),                                  // access token invalid or expired
	132000: recipient("the number's format was refused"), // not a count of template parameters
	133000: throttled(),                                  // rate limit
	134000: policy(gateway.ScopeTemplate),                // template not approved or not found
}

// judge finds what an error means: by the table, else by the HTTP status that
// the error names, else by the one it came with. refused says that the provider
// itself calls it an error.
func judge(status int, refused bool, e *wireError) rule {
	if code, ok := e.number(); ok {
		if r, known := codes[code]; known {
			return r
		}
		if refused && isFailure(code) {
			return judgeStatus(code, refused)
		}
	}
	return judgeStatus(status, refused)
}

func isFailure(status int) bool { return status >= 400 && status <= 599 }

// judgeStatus is for what has no code of the provider's table. Where it isn't
// the provider that refuses, something before it speaks.
func judgeStatus(status int, refused bool) rule {
	switch {
	case status == http.StatusTooManyRequests:
		return throttled()
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusPaymentRequired:
		return suspended()
	case status == http.StatusNotFound && !refused, status == http.StatusMethodNotAllowed,
		status == http.StatusProxyAuthRequired, status >= 300 && status <= 399:
		// The base URL is wrong, or a proxy answers. No message is at fault, and
		// none was taken.
		return suspended()
	case status == http.StatusRequestTimeout:
		return unknown() // how much of the request went on isn't known
	case status >= 400 && status <= 499:
		return permanent()
	case status == http.StatusServiceUnavailable && refused:
		return transient(0)
	case status >= 200 && status <= 299 && refused:
		return permanent()
	}
	return unknown() // 2xx without an id, 5xx, and what is no final status
}

// judgeFailure is what it means that a message the provider had taken failed
// in the end. What isn't documented is permanent: the provider has given up.
func judgeFailure(e *wireError) rule {
	r := judge(0, true, e)
	if code, ok := e.number(); ok && r.class == gateway.ClassUnknown && isFailure(code) {
		return transient(0) // its own fault, and no question left
	}
	if r.class == gateway.ClassUnknown {
		return permanent()
	}
	return r
}

// suppression is a fresh copy, or nil.
func (r rule) suppression() *gateway.Suppression {
	if r.suppress.Scope == "" {
		return nil
	}
	s := r.suppress
	return &s
}
