package callback

import "net/http"

// result is how one request ended: a metric's label, a log line's reason, and
// what the answer's status follows from.
type result string

const (
	resultStored           result = "stored"
	resultIgnored          result = "ignored" // authentic, and nothing in it concerns us
	resultChallenged       result = "challenged"
	resultChallengeRefused result = "challenge_refused"
	resultUnknownAccount   result = "unknown_account"
	resultPeerRefused      result = "peer_refused" // not from the account's networks
	resultUnsigned         result = "unsigned"     // no signature to check, and not on a per-message URL
	resultBadSignature     result = "bad_signature"
	resultBadLink          result = "bad_link"
	resultOtherMessage     result = "other_message" // unsigned, and about another message than the URL's
	resultTooLarge         result = "too_large"
	resultIncomplete       result = "incomplete" // the body broke off, or came too slowly
	resultNotJSON          result = "not_json"
	resultUnreadable       result = "unreadable" // JSON, but not as the dialect knows it
	resultUnavailable      result = "unavailable"
	resultBusy             result = "busy" // too much is being read already
)

func results() []result {
	return []result{
		resultStored, resultIgnored, resultChallenged, resultChallengeRefused, resultUnknownAccount, resultPeerRefused,
		resultUnsigned, resultBadSignature, resultBadLink, resultOtherMessage, resultTooLarge, resultIncomplete,
		resultNotJSON, resultUnreadable, resultUnavailable, resultBusy,
	}
}

// status is the answer to the provider; the package comment says why.
func (r result) status() int {
	switch r {
	case resultStored, resultIgnored, resultChallenged:
		return http.StatusOK
	case resultNotJSON:
		return http.StatusBadRequest
	case resultUnknownAccount, resultPeerRefused, resultUnsigned, resultBadSignature, resultBadLink, resultOtherMessage:
		return http.StatusUnauthorized
	case resultChallengeRefused:
		return http.StatusForbidden
	case resultTooLarge:
		return http.StatusRequestEntityTooLarge
	case resultIncomplete, resultUnreadable, resultUnavailable, resultBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusServiceUnavailable
}
