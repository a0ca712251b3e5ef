package whatsappcloud

import (
	"time"

	"sluice/internal/gateway"
)

// rule is what an error code means: for the attempt it answers, and, by its
// class and suppression, for the message a webhook reports as failed.
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

func recipient(scope gateway.SuppressionScope, d time.Duration, reason string) rule {
	return rule{
		outcome: gateway.OutcomeRejected, class: gateway.ClassRecipient, scope: gateway.ScopeRecipient,
		suppress: gateway.Suppression{Scope: scope, Reason: reason, For: d},
	}
}

// transient is tried again after wait (zero: our back-off decides) until it
// had as many attempts (zero: the account's).
func transient(wait time.Duration, attempts int) rule {
	return rule{
		outcome: gateway.OutcomeTransient, class: gateway.ClassTransient, scope: gateway.ScopeMessage, wait: wait, attempts: attempts,
	}
}

func throttled(scope gateway.Scope, wait time.Duration) rule {
	return rule{outcome: gateway.OutcomeThrottled, class: gateway.ClassThrottled, scope: scope, wait: wait}
}

func suspended() rule {
	return rule{outcome: gateway.OutcomeSuspended, class: gateway.ClassSuspended, scope: gateway.ScopeAccount}
}

func unknown() rule {
	return rule{outcome: gateway.OutcomeUnknown, class: gateway.ClassUnknown, scope: gateway.ScopeMessage}
}

func expired() rule {
	return rule{outcome: gateway.OutcomeRejected, class: gateway.ClassExpired, scope: gateway.ScopeMessage}
}

const day = 24 * time.Hour

// Codes whose meaning needs more than the number.
const (
	codeInvalidParameter = 100
	codeInvalidValue     = 131009
	codeMediaUpload      = 131053

	subcodeNoSuchObject = "33" // of codeInvalidParameter: the object in the path
)

// codes holds the rule of every single code, ranges those of whole families; a
// single code goes first. Both are only read. Source: Cloud API reference,
// error codes, with what its pages say of webhooks. Limits of a WABA are held
// as the app's, for both span numbers; limits of a flow as its template's.
var codes = map[int]rule{
	// Authorization, integrity, billing and configuration of app, token or number.
	0:      suspended(), // AuthException
	3:      suspended(), // capability or permission of the app, although a 500
	10:     suspended(), // permission denied
	33:     suspended(), // phone number deleted, or no such id
	102:    suspended(), // session invalid
	104:    suspended(), // token or proof required
	190:    suspended(), // token expired or invalid
	368:    suspended(), // blocked for policy violations
	803:    suspended(), // no such object
	131005: suspended(), // access denied
	131031: suspended(), // account locked
	131037: suspended(), // 555 number without an approved display name
	131042: suspended(), // payment or eligibility
	131044: suspended(), // the same for calls
	131045: suspended(), // certificate or registration, although a 500
	133000: suspended(), // deregistration incomplete
	133005: suspended(), // PIN mismatch
	133006: suspended(), // number must be verified again
	133008: suspended(), // PIN guessed too often
	133009: suspended(), // PIN guessed too fast
	133010: suspended(), // number not registered
	134011: suspended(), // payment terms not accepted

	// Limits.
	4:       throttled(gateway.ScopeApp, time.Minute),         // calls of the app
	17:      throttled(gateway.ScopeApp, time.Minute),         // calls of the user
	613:     throttled(gateway.ScopeApp, time.Minute),         // custom
	80007:   throttled(gateway.ScopeApp, 5*time.Minute),       // calls of the WABA
	130429:  throttled(gateway.ScopeAccount, time.Second),     // messages a second of the number
	131048:  throttled(gateway.ScopeAccount, time.Hour),       // spam or quality
	131056:  throttled(gateway.ScopePair, time.Second),        // to the same person; grows fourfold
	131057:  throttled(gateway.ScopeAccount, time.Minute),     // maintenance, usually for a minute
	131064:  throttled(gateway.ScopeTemplate, time.Hour),      // template classification
	132069:  throttled(gateway.ScopeTemplate, time.Hour),      // flow throttled: ten an hour
	133015:  throttled(gateway.ScopeAccount, 5*time.Minute),   // number deleted a moment ago
	133016:  throttled(gateway.ScopeAccount, time.Hour),       // ten registrations within 72 hours
	134101:  throttled(gateway.ScopeTemplate, 10*time.Minute), // template still syncing
	2494100: throttled(gateway.ScopeAccount, 5*time.Minute),   // maintenance

	// Faults of the provider.
	1:      transient(0, 3),              // unknown
	2:      transient(30*time.Second, 0), // down or overloaded
	131000: transient(0, 3),              // something went wrong
	131016: transient(0, 0),              // unavailable
	131036: transient(0, 2),              // a device's retry could not be honoured: once more
	133004: transient(0, 0),              // unavailable

	// The recipient.
	130403: recipient(gateway.SuppressAll, 0, "blocked by the business"),                    // our own block
	130472: recipient(gateway.SuppressMarketing, day, "in a marketing experiment"),          // trying again gives the same
	131026: recipient(gateway.SuppressCooldown, day, "undeliverable"),                       // not on WhatsApp, terms not accepted, old client: too vague for a hard stop
	131049: recipient(gateway.SuppressMarketing, day, "marketing limit of the recipient"),   // kept back for a healthy ecosystem
	131050: recipient(gateway.SuppressMarketing, 0, "recipient stopped marketing messages"), // until the user resumes
	137000: recipient(gateway.SuppressCooldown, day, "identity key mismatch"),               // verify first

	// Rules of the provider.
	130497: policy(gateway.ScopeMessage),  // restricted from this country
	131047: policy(gateway.ScopeMessage),  // outside the service window
	131063: policy(gateway.ScopeMessage),  // marketing isn't possible on this path
	132001: policy(gateway.ScopeTemplate), // no such template or translation, or not approved
	132015: policy(gateway.ScopeTemplate), // template paused
	132016: policy(gateway.ScopeTemplate), // template disabled
	132068: policy(gateway.ScopeTemplate), // flow blocked
	141002: policy(gateway.ScopeTemplate), // template not approved

	// The request.
	100:    permanent(), // parameter; suspends if it is about the path, see noSuchSender
	131008: permanent(), // parameter missing
	131009: permanent(), // parameter invalid
	131020: permanent(), // groups
	131021: permanent(), // to oneself
	131030: permanent(), // not in the test number's list
	131035: permanent(), // a webhook's content was dropped: never about an attempt
	131041: permanent(), // groups
	131051: permanent(), // message type
	131052: permanent(), // download of inbound media
	131053: permanent(), // file; transient if the link couldn't be read, see linkFailed
	131055: permanent(), // method
	131059: permanent(), // cursor
	131060: permanent(), // coexistence
	131062: permanent(), // business-scoped user id not possible here
	132000: permanent(), // number of template parameters
	132005: permanent(), // template text too long with its parameters
	132007: permanent(), // template format or characters
	132012: permanent(), // format of template parameters
	132018: permanent(), // template parameters
	134100: permanent(), // Marketing Messages API: marketing only
	134102: permanent(), // Marketing Messages API: template unavailable
	134103: permanent(), // Marketing Messages API: not eligible
	135000: permanent(), // generic
	135002: permanent(), // blocking users
	139100: permanent(), // blocking users
	139101: permanent(), // blocking users
	139102: permanent(), // blocking users
	139103: permanent(), // blocking users
	147001: permanent(), // usernames
	147002: permanent(), // usernames
	147003: permanent(), // usernames
	147004: permanent(), // usernames

	// Retired, still seen from old hosts.
	130470: permanent(),
	131001: permanent(),
	131002: permanent(),
	131006: permanent(),
	131027: permanent(),
	131043: expired(), // expired before it could be delivered
	133001: permanent(),
	133002: permanent(),
	133003: permanent(),
	133007: permanent(),
	136025: permanent(),

	// Refused because an equal post may have gone out before.
	506: unknown(), // duplicate post
}

var ranges = []struct {
	first, last int
	rule        rule
}{
	{200, 299, suspended()},         // API permissions
	{131200, 131299, permanent()},   // groups
	{200005, 200007, permanent()},   // template insights
	{2388000, 2388999, permanent()}, // template authoring
	{2593000, 2593999, permanent()}, // template migration
}

// lookup finds the rule of a code; false means the code is not documented.
func lookup(code int) (rule, bool) {
	if r, ok := codes[code]; ok {
		return r, true
	}
	for _, r := range ranges {
		if code >= r.first && code <= r.last {
			return r.rule, true
		}
	}
	return rule{}, false
}
