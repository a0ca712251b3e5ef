package whatsapponprem

import (
	"time"

	"sluice/internal/gateway"
)

// rule is what an error code means: for the attempt it answers, and, by its
// class and suppression, for the message a callback reports as failed.
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

// incapable is a recipient who can't be shown this message, but others.
func incapable() rule {
	return rule{outcome: gateway.OutcomeRejected, class: gateway.ClassRecipient, scope: gateway.ScopeRecipient}
}

// transient is tried again, by our back-off, until it had as many attempts
// (zero: the account's).
func transient(attempts int) rule {
	return rule{outcome: gateway.OutcomeTransient, class: gateway.ClassTransient, scope: gateway.ScopeMessage, attempts: attempts}
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

func notOnWhatsApp() rule { return recipient(gateway.SuppressAll, 0, "not on WhatsApp") }

const (
	day = 24 * time.Hour

	rateWait = 2 * time.Second     // of the number's rate
	nodeWait = 5 * time.Second     // of an overloaded node
	tierWait = day + 5*time.Minute // of the users that may be written to in a day
)

// Codes whose meaning needs more than the number.
const (
	codeRecipientType = 1002
	codeAccessDenied  = 1005
	codeExists        = 1004
	codeNotFound      = 1006
	codeCloudMedia    = 131053 // the Cloud API's "media upload error", from hosts that stand before it
)

// codes holds the rule of every code. It is only read. Source: the reference's
// error table. A number has one host, so what holds a node holds the account.
var codes = map[int]rule{
	// Codes of messages, told by callbacks. They look like HTTP statuses and
	// are none.
	400: permanent(),                                                            // download of inbound media
	401: permanent(),                                                            // group doesn't exist
	402: suspended(),                                                            // payment
	408: transient(0),                                                           // pending for more than a day
	410: expired(),                                                              // the stack's own time to live
	429: throttled(gateway.ScopeAccount, time.Minute),                           // outgoing too fast
	430: suspended(),                                                            // certificate unsigned
	432: suspended(),                                                            // certificate of another id
	433: suspended(),                                                            // certificate's signature
	470: policy(gateway.ScopeMessage),                                           // outside the service window
	471: throttled(gateway.ScopeTemplate, tierWait),                             // tier or quality: what the business begins, which is templates; replies go on
	472: recipient(gateway.SuppressMarketing, day, "in a marketing experiment"), // trying again gives the same
	480: recipient(gateway.SuppressCooldown, day, "identity may have changed"),  // verify first
	500: transient(0),                                                           // generic
	501: permanent(),                                                            // message type

	// The host.
	1000: transient(3),                                    // generic
	1011: throttled(gateway.ScopeAccount, 30*time.Second), // service not ready
	1014: transient(3),                                    // internal
	1015: throttled(gateway.ScopeAccount, rateWait),       // too many requests
	1016: throttled(gateway.ScopeAccount, nodeWait),       // overloaded
	1017: transient(0),                                    // not the primary master
	1018: transient(0),                                    // not the primary coreapp
	1023: transient(0),                                    // database

	// The account.
	codeAccessDenied:   suspended(), // after a fresh login, see Recover
	1022:               suspended(), // no URL for callbacks
	codePasswordChange: suspended(), // at the first login
	1031:               suspended(), // account locked
	2050:               suspended(), // compliance information

	// The recipient.
	1007: recipient(gateway.SuppressAll, 0, "blocked by the business"),
	1013: notOnWhatsApp(),
	1026: incapable(),
	1028: recipient(gateway.SuppressCooldown, day, "identity change not acknowledged"),

	// The request.
	-1:                permanent(), // couldn't be read
	1001:              permanent(), // text too long
	codeRecipientType: permanent(), // some hosts say so of who isn't on WhatsApp
	codeExists:        permanent(), // media exist, under an id that the host has drawn
	codeNotFound:      permanent(), // media or group; of a contact see unknownContact
	1008:              permanent(), // parameter missing
	1009:              permanent(), // parameter invalid
	1010:              permanent(), // parameter not wanted
	1021:              permanent(), // to oneself
	1025:              permanent(), // invalid request

	// Templates.
	2000: permanent(),                                 // number of parameters
	2001: policy(gateway.ScopeTemplate),               // missing or not approved
	2002: transient(3),                                // couldn't be fetched
	2003: policy(gateway.ScopeTemplate),               // pack missing
	2004: permanent(),                                 // parameter too long
	2005: permanent(),                                 // text too long with its parameters
	2006: permanent(),                                 // white space
	2007: permanent(),                                 // format or characters
	2008: permanent(),                                 // media format
	2009: permanent(),                                 // component missing
	2010: permanent(),                                 // URL
	2011: permanent(),                                 // phone number in a button
	2012: permanent(),                                 // format of parameters
	2013: permanent(),                                 // buttons
	2014: permanent(),                                 // namespace empty
	2060: policy(gateway.ScopeTemplate),               // rejected
	2061: policy(gateway.ScopeTemplate),               // paused
	2062: policy(gateway.ScopeTemplate),               // disabled
	2068: policy(gateway.ScopeTemplate),               // flow blocked
	2069: throttled(gateway.ScopeTemplate, time.Hour), // flow throttled

	// What can be tapped, and catalogues.
	2015: permanent(), // sections
	2016: permanent(), // rows
	2017: permanent(), // characters
	2023: permanent(),
	2024: permanent(),
	2025: permanent(),
	2026: permanent(),
	2027: permanent(),
	2028: permanent(),
	2029: permanent(),
	2030: permanent(),
	2036: permanent(), // header
}
