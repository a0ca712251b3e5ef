package whatsappcloud_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsappcloud"
)

func failed(o gateway.Outcome, c gateway.Class, s gateway.Scope, code, title string) gateway.Result {
	return gateway.Result{Outcome: o, Scope: s, Error: &gateway.Error{Class: c, Code: code, Title: title}}
}

func after(r gateway.Result, wait time.Duration) gateway.Result {
	r.RetryAfter = wait
	return r
}

// answerCases are of the reference, named as there, and what they
// leave out.
func answerCases() []providertest.AnswerCase {
	throttledNumber := after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "130429", "(#130429) Rate limit hit"), time.Second)
	throttledNumber.Error.Detail = "number is over its throughput (fbtrace_id AbCdEfGhIjKlMnOpQrStUvW)"
	const rateLimit = `{"error":{"message":"(#130429) Rate limit hit","type":"OAuthException","code":130429,"error_data":{"messaging_product":"whatsapp","details":"number is over its throughput"},"error_subcode":2494055,"fbtrace_id":"AbCdEfGhIjKlMnOpQrStUvW"}}`
	usage := map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"type":"whatsapp","call_count":100,"total_cputime":25,"total_time":25,"estimated_time_to_regain_access":19}]}`}
	retry := func(r gateway.Result, attempts int) gateway.Result {
		r.MaxAttempts = attempts
		return r
	}
	undeliverable := failed(gateway.OutcomeRejected, gateway.ClassRecipient, gateway.ScopeRecipient, "131026", "Message undeliverable")
	undeliverable.Suppress = &gateway.Suppression{Scope: gateway.SuppressCooldown, Reason: "undeliverable", For: 24 * time.Hour}
	accepted := gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}
	knownAs := func(alias gateway.Recipient) gateway.Result {
		r := accepted
		r.Alias = alias
		return r
	}
	return []providertest.AnswerCase{
		{
			Name: "R-13 accepted", Status: 200,
			Body: `{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA","message_status":"accepted"}]}`,
			Want: knownAs("+16505551234"),
		},
		{
			Name: "accepted for somebody whom Meta knows by another number", Status: 200,
			Body: `{"messaging_product":"whatsapp","contacts":[{"input":"+5511987654321","wa_id":"551187654321"}],"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: knownAs("+551187654321"),
		},
		{
			Name: "a number that is none is nobody's", Status: 200,
			Body: `{"contacts":[{"input":"+16505551234","wa_id":"US.134912"}],"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{
			Name: "of two contacts none is the recipient", Status: 200,
			Body: `{"contacts":[{"wa_id":"551187654321"},{"wa_id":"551187654322"}],"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{
			Name: "R-14 accepted and held for quality", Status: 200,
			Body: `{"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA","message_status":"held_for_quality_assessment"}]}`,
			Want: accepted,
		},
		{
			Name: "accepted although contacts have another shape", Status: 201,
			Body: `{"contacts":"none","messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{
			Name: "accepted and paused with its template, which its receipts will tell", Status: 200,
			Body: `{"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA","message_status":"paused"}]}`,
			Want: accepted,
		},
		{
			Name: "accepted for somebody who goes by a name", Status: 200,
			Body: `{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","user_id":"US.13491208655302741918"}],"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{Name: "R-15 throughput as 400", Status: 400, Body: rateLimit, Want: throttledNumber},
		{Name: "R-15 throughput as 429", Status: 429, Body: rateLimit, Want: throttledNumber},
		{Name: "R-15 throughput as 403", Status: 403, Body: rateLimit, Want: throttledNumber},
		{
			Name: "Retry-After goes before the documented wait", Status: 429, Body: rateLimit,
			Header: map[string]string{"Retry-After": "7"},
			Want:   after(throttledNumber, 7*time.Second),
		},
		{
			Name: "Retry-After is believed for an hour at most", Status: 429, Body: rateLimit,
			Header: map[string]string{"Retry-After": "86400"},
			Want:   after(throttledNumber, time.Hour),
		},
		{
			Name: "R-16 pair limit", Status: 400, Body: `{"error":{"message":"Pair rate limit hit","code":131056}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopePair, "131056", "Pair rate limit hit"), time.Second),
		},
		{
			Name: "R-17 WABA limit with its time in a header", Status: 400, Header: usage, Body: `{"error":{"message":"too many calls","code":80007}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "80007", "too many calls"), 19*time.Minute),
		},
		{
			Name: "app limit with its time in the header", Status: 429, Header: usage, Body: `{"error":{"message":"too many calls","code":4}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "4", "too many calls"), 19*time.Minute),
		},
		{
			Name: "of several businesses in the header the longest wait counts", Status: 400, Body: `{"error":{"message":"too many calls","code":80007}}`,
			Header: map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"estimated_time_to_regain_access":3},{"estimated_time_to_regain_access":"7"}],"2":[{"estimated_time_to_regain_access":5}]}`},
			Want:   after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "80007", "too many calls"), 7*time.Minute),
		},
		{
			Name: "a header without a wait leaves the documented one", Status: 400, Body: `{"error":{"message":"too many calls","code":80007}}`,
			Header: map[string]string{"X-Business-Use-Case-Usage": `{"1":[{"type":"whatsapp","call_count":99,"estimated_time_to_regain_access":0}]}`},
			Want:   after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "80007", "too many calls"), 5*time.Minute),
		},
		{
			Name: "Retry-After goes before the usage header", Status: 429, Body: `{"error":{"message":"too many calls","code":80007}}`,
			Header: map[string]string{"Retry-After": "30", "X-Business-Use-Case-Usage": usage["X-Business-Use-Case-Usage"]},
			Want:   after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "80007", "too many calls"), 30*time.Second),
		},
		{
			Name: "an outage that says when to come back", Status: 503, Header: map[string]string{"Retry-After": "120"}, Body: `{"error":{"message":"Service unavailable","code":131016}}`,
			Want: after(failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "131016", "Service unavailable"), 2*time.Minute),
		},
		{
			Name: "spam limit", Status: 429, Body: `{"error":{"message":"Spam rate limit hit","code":131048}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "131048", "Spam rate limit hit"), time.Hour),
		},
		{
			Name: "R-19 template missing, as newer documents have it", Status: 400, Body: `{"error":{"message":"(#132001) Template does not exist","code":132001}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPolicy, gateway.ScopeTemplate, "132001", "(#132001) Template does not exist"),
		},
		{
			Name: "the usage header says nothing of a pair", Status: 400, Header: usage, Body: `{"error":{"message":"Pair rate limit hit","code":131056}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopePair, "131056", "Pair rate limit hit"), time.Second),
		},
		{
			Name: "WABA limit without a header", Status: 429, Body: `{"error":{"message":"too many calls","code":80007}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeApp, "80007", "too many calls"), 5*time.Minute),
		},
		{
			Name: "R-18 token expired", Status: 401, Body: `{"error":{"message":"Error validating access token","type":"OAuthException","code":190}}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "190", "Error validating access token"),
		},
		{
			Name: "R-19 template missing", Status: 404, Body: `{"error":{"message":"(#132001) Template name does not exist in the translation","code":132001}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPolicy, gateway.ScopeTemplate, "132001", "(#132001) Template name does not exist in the translation"),
		},
		{
			Name: "R-20 template parameters, not a phone format", Status: 400, Body: `{"error":{"message":"Number of parameters does not match","code":132000}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "132000", "Number of parameters does not match"),
		},
		{
			Name: "R-21 certificate, although a 500", Status: 500, Body: `{"error":{"message":"Incorrect certificate","code":131045}}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "131045", "Incorrect certificate"),
		},
		{
			Name: "R-22 something went wrong", Status: 500, Body: `{"error":{"message":"Something went wrong","code":131000}}`,
			Want: retry(failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "131000", "Something went wrong"), 3),
		},
		{
			Name: "R-22 unknown code that calls itself transient", Status: 400, Body: `{"error":{"message":"try later","code":987654,"is_transient":true}}`,
			Want: failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "987654", "try later"),
		},
		{
			Name: "unknown code of a 5xx", Status: 503, Body: `{"error":{"message":"odd","code":987654}}`,
			Want: failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "987654", "odd"),
		},
		{
			Name: "unknown code of a 429", Status: 429, Body: `{"error":{"message":"odd","code":987654}}`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "987654", "odd"), time.Second),
		},
		{
			Name: "unknown code of a 401", Status: 401, Body: `{"error":{"message":"odd","code":987654}}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "987654", "odd"),
		},
		{
			Name: "unknown code of a 400", Status: 400, Body: `{"error":{"message":"odd","code":987654}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "987654", "odd"),
		},
		{
			Name: "R-23 HTML from a gateway", Status: 502, Header: map[string]string{"Content-Type": "text/html"}, Body: `<html><body>502</body></html>`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_502", "HTTP 502 without an error code: Bad Gateway"),
		},
		{
			Name: "an error without a code is no answer, whatever it says", Status: 500, Body: `{"error":{"message":"boom","is_transient":true}}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_500", "HTTP 500 without an error code: Internal Server Error"),
		},
		{
			Name: "200 without an id", Status: 200, Body: `{"messaging_product":"whatsapp","messages":[]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "a coded error in a 200 is an error", Status: 200, Body: `{"error":{"message":"Parameter missing","code":131008}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "131008", "Parameter missing"),
		},
		{
			Name: "an id beside an error is an id: what was taken must not be sent again", Status: 200,
			Body: `{"error":{"message":"odd","code":131000},"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{
			Name: "an id is an id whatever the content type says", Status: 200, Header: map[string]string{"Content-Type": "text/html"},
			Body: `{"messages":[{"id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBIwMTIzNDU2Nzg5QUJDREVGMDEA"}]}`,
			Want: accepted,
		},
		{
			Name: "an id where none is expected", Status: 200, Body: `{"message_id":"wamid.X","id":"wamid.X","messages":[{"message":{"id":"wamid.X"}}]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "an id that no 2xx brings", Status: 500, Body: `{"messages":[{"id":"wamid.X"}]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_500", "HTTP 500 without an error code: Internal Server Error"),
		},
		{
			Name: "a limit in a 200 is a limit", Status: 200, Body: rateLimit,
			Want: throttledNumber,
		},
		{
			Name: "errors as webhooks tell them are no answer", Status: 200, Body: `{"errors":[{"code":131008,"title":"Required parameter is missing"}]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "an error that is a text, in a 200", Status: 200, Body: `{"error":"try again"}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "an id in the second place", Status: 200, Body: `{"messages":[{},{"id":"wamid.X"}]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "an id that is a number", Status: 200, Body: `{"messages":[{"id":7}]}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "204", Status: 204,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_204", "answer without a message id"),
		},
		{
			Name: "the answer to another call", Status: 200, Body: `{"success":true}`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "200 without a body", Status: 200,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "503 without a body", Status: 503,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_503", "HTTP 503 without an error code: Service Unavailable"),
		},
		{
			Name: "half an accepting answer", Status: 200, Body: `{"messaging_product":"whatsapp","messages":[{"id":"wamid.HBgLM`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_200", "answer without a message id"),
		},
		{
			Name: "half a refusal may have been a limit", Status: 400, Body: `{"error":{"message":"(#130429) Rate limit hit","type":"OAuthEx`,
			Want: retry(failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "http_400", "HTTP 400 without an error code: Bad Request"), 3),
		},
		{
			Name: "half a refusal of a token", Status: 401, Body: `{"error":{"message":"Error validating access to`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_401", "HTTP 401 without an error code: Unauthorized"),
		},
		{
			Name: "half a limit", Status: 429, Body: `{"error":{"message":"(#130429) Rate li`,
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "http_429", "HTTP 429 without an error code: Too Many Requests"), time.Second),
		},
		{
			Name: "half an outage may have taken the message", Status: 500, Body: `{"error":{"message":"Something went wr`,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_500", "HTTP 500 without an error code: Internal Server Error"),
		},
		{
			Name: "400 without a body", Status: 400,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "http_400", "HTTP 400 without an error code: Bad Request"),
		},
		{
			Name: "401 without a body", Status: 401,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_401", "HTTP 401 without an error code: Unauthorized"),
		},
		{
			Name: "402 without a body", Status: 402,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_402", "HTTP 402 without an error code: Payment Required"),
		},
		{
			Name: "403 without a body", Status: 403,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_403", "HTTP 403 without an error code: Forbidden"),
		},
		{
			Name: "413 from a gateway", Status: 413, Body: "<html>Request Entity Too Large</html>",
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "http_413", "HTTP 413 without an error code: Request Entity Too Large"),
		},
		{
			Name: "429 without a body that says when", Status: 429, Header: map[string]string{"Retry-After": "7"},
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "http_429", "HTTP 429 without an error code: Too Many Requests"), 7*time.Second),
		},
		{
			Name: "400 that isn't Graph's", Status: 400, Body: "<html>Bad Request</html>",
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "http_400", "HTTP 400 without an error code: Bad Request"),
		},
		{
			Name: "a proxy's time-out may come after the request went on", Status: 408,
			Want: failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, "http_408", "HTTP 408 without an error code: Request Timeout"),
		},
		{
			Name: "a code is kept in its shortest form", Status: 400, Body: `{"error":{"message":"m","code":" 000131009 "}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "131009", "m"),
		},
		{
			Name: "a wait in the past is none", Status: 429, Header: map[string]string{"Retry-After": "-10000000000"},
			Want: after(failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, "http_429", "HTTP 429 without an error code: Too Many Requests"), time.Second),
		},
		{
			Name: "a redirect", Status: 302, Header: map[string]string{"Location": "https://www.example.com/"},
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_302", "redirect refused"),
		},
		{
			Name: "a redirect that keeps the method", Status: 307, Header: map[string]string{"Location": "https://www.example.com/"},
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_307", "redirect refused"),
		},
		{
			Name: "a redirect for good, whatever its body says", Status: 308, Body: `{"messages":[{"id":"wamid.X"}]}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_308", "redirect refused"),
		},
		{
			Name: "404 that isn't Graph's", Status: 404, Body: "<html>nothing here</html>",
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "http_404", "HTTP 404 without an error code: Not Found"),
		},
		{
			Name: "a code as a string and error data as a string", Status: 400,
			Body: `{"error":{"message":"(#131009) Parameter value is not valid","code":"131009","error_data":"the header is too long"}}`,
			Want: gateway.Result{
				Outcome: gateway.OutcomeRejected, Scope: gateway.ScopeMessage,
				Error: &gateway.Error{Class: gateway.ClassPermanent, Code: "131009", Title: "(#131009) Parameter value is not valid", Detail: "the header is too long"},
			},
		},
		{
			Name: "100 about a parameter", Status: 400, Body: `{"error":{"message":"(#100) Invalid parameter","code":100,"error_data":{"details":"text.body is required"}}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "100", "(#100) Invalid parameter"),
		},
		{
			Name: "100 about the number in the path", Status: 400,
			Body: `{"error":{"message":"Unsupported post request. Object with ID '106540352242922' does not exist","code":100,"error_subcode":33}}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "100", "Unsupported post request. Object with ID '106540352242922' does not exist"),
		},
		{
			Name: "100 about a number that isn't named", Status: 404, Body: `{"error":{"message":"Unsupported post request","code":100}}`,
			Want: failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, "100", "Unsupported post request"),
		},
		{
			Name: "100 about another object, such as a file", Status: 400, Body: `{"error":{"message":"Object with ID '1037' does not exist","code":100,"error_subcode":33}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "100", "Object with ID '1037' does not exist"),
		},
		{
			Name: "131053 because of the file", Status: 400, Body: `{"error":{"message":"Media upload error","code":131053,"error_data":{"details":"unsupported type image/tiff"}}}`,
			Want: failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, "131053", "Media upload error"),
		},
		{
			Name: "131053 because of the link", Status: 400, Body: `{"error":{"message":"Media upload error","code":131053,"error_data":{"details":"Downloading media from weblink failed with http code 503"}}}`,
			Want: retry(failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, "131053", "Media upload error"), 2),
		},
		{
			Name: "an undeliverable recipient is left alone for a day", Status: 400, Body: `{"error":{"message":"Message undeliverable","code":131026}}`,
			Want: undeliverable,
		},
	}
}

// The table of the reference, row by row: what each code does, in short form.
func TestEveryCode(t *testing.T) {
	const day = 24 * time.Hour
	result := func(o gateway.Outcome, c gateway.Class, s gateway.Scope) gateway.Result {
		return gateway.Result{Outcome: o, Error: &gateway.Error{Class: c}, Scope: s}
	}
	suspended := result(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount)
	permanent := result(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage)
	policy := func(s gateway.Scope) gateway.Result { return result(gateway.OutcomeRejected, gateway.ClassPolicy, s) }
	throttled := func(s gateway.Scope, wait time.Duration) gateway.Result {
		return after(result(gateway.OutcomeThrottled, gateway.ClassThrottled, s), wait)
	}
	transient := func(wait time.Duration, attempts int) gateway.Result {
		r := after(result(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage), wait)
		r.MaxAttempts = attempts
		return r
	}
	recipient := func(scope gateway.SuppressionScope, d time.Duration) gateway.Result {
		r := result(gateway.OutcomeRejected, gateway.ClassRecipient, gateway.ScopeRecipient)
		r.Suppress = &gateway.Suppression{Scope: scope, For: d}
		return r
	}
	for _, c := range []struct {
		codes []int
		want  gateway.Result
	}{
		{[]int{0}, suspended},
		{[]int{1}, transient(0, 3)},
		{[]int{2}, transient(30*time.Second, 0)},
		{[]int{3}, suspended},
		{[]int{4}, throttled(gateway.ScopeApp, time.Minute)},
		{[]int{10}, suspended},
		{[]int{17}, throttled(gateway.ScopeApp, time.Minute)},
		{[]int{33}, suspended},
		{[]int{100}, permanent},
		{[]int{102, 104, 190}, suspended},
		{[]int{200, 230, 299}, suspended},
		{[]int{368}, suspended},
		{[]int{506}, result(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage)},
		{[]int{613}, throttled(gateway.ScopeApp, time.Minute)},
		{[]int{803}, suspended},
		{[]int{80007}, throttled(gateway.ScopeApp, 5*time.Minute)},
		{[]int{130403}, recipient(gateway.SuppressAll, 0)},
		{[]int{130429}, throttled(gateway.ScopeAccount, time.Second)},
		{[]int{130472}, recipient(gateway.SuppressMarketing, day)},
		{[]int{130497}, policy(gateway.ScopeMessage)},
		{[]int{131000}, transient(0, 3)},
		{[]int{131005}, suspended},
		{[]int{131008, 131009}, permanent},
		{[]int{131016}, transient(0, 0)},
		{[]int{131020, 131041, 131200, 131215, 131299}, permanent},
		{[]int{131021}, permanent},
		{[]int{131026}, recipient(gateway.SuppressCooldown, day)},
		{[]int{131030}, permanent},
		{[]int{131031}, suspended},
		{[]int{131035}, permanent},
		{[]int{131036}, transient(0, 2)},
		{[]int{131037, 131042, 131044, 131045}, suspended},
		{[]int{131047}, policy(gateway.ScopeMessage)},
		{[]int{131048}, throttled(gateway.ScopeAccount, time.Hour)},
		{[]int{131049}, recipient(gateway.SuppressMarketing, day)},
		{[]int{131050}, recipient(gateway.SuppressMarketing, 0)},
		{[]int{131051, 131052, 131053, 131055}, permanent},
		{[]int{131056}, throttled(gateway.ScopePair, time.Second)},
		{[]int{131057}, throttled(gateway.ScopeAccount, time.Minute)},
		{[]int{131059, 131060, 131062}, permanent},
		{[]int{131063}, policy(gateway.ScopeMessage)},
		{[]int{131064}, throttled(gateway.ScopeTemplate, time.Hour)},
		{[]int{132000}, permanent},
		{[]int{132001}, policy(gateway.ScopeTemplate)},
		{[]int{132005, 132007, 132012}, permanent},
		{[]int{132015, 132016}, policy(gateway.ScopeTemplate)},
		{[]int{132018}, permanent},
		{[]int{132068}, policy(gateway.ScopeTemplate)},
		{[]int{132069}, throttled(gateway.ScopeTemplate, time.Hour)},
		{[]int{133000}, suspended},
		{[]int{133004}, transient(0, 0)},
		{[]int{133005, 133006, 133008, 133009, 133010}, suspended},
		{[]int{133015}, throttled(gateway.ScopeAccount, 5*time.Minute)},
		{[]int{133016}, throttled(gateway.ScopeAccount, time.Hour)},
		{[]int{134011}, suspended},
		{[]int{134100, 134102, 134103}, permanent},
		{[]int{134101}, throttled(gateway.ScopeTemplate, 10*time.Minute)},
		{[]int{135000, 135002, 139100, 139101, 139102, 139103}, permanent},
		{[]int{137000}, recipient(gateway.SuppressCooldown, day)},
		{[]int{141002}, policy(gateway.ScopeTemplate)},
		{[]int{147001, 147002, 147003, 147004}, permanent},
		{[]int{2494100}, throttled(gateway.ScopeAccount, 5*time.Minute)},
		{[]int{2388000, 2388019, 2388999, 2593000, 2593999, 200005, 200006, 200007}, permanent},
		{[]int{130470, 131001, 131002, 131006, 131027, 133001, 133002, 133003, 133007, 136025}, permanent},
		{[]int{131043}, result(gateway.OutcomeRejected, gateway.ClassExpired, gateway.ScopeMessage)},
	} {
		for _, code := range c.codes {
			// The code decides whatever the status, also the 500 of the outage
			// that isn't one and the 400 of the outage that is.
			for _, status := range []int{400, 401, 403, 404, 429, 500, 503} {
				body := fmt.Sprintf(`{"error":{"message":"m","code":%d}}`, code)
				got := whatsappcloud.New(settings("")).Interpret(sender.Answer{Status: status, Body: []byte(body)})
				got.Error = &gateway.Error{Class: got.Error.Class}
				if got.Suppress != nil {
					got.Suppress.Reason = "" // a phrase for people
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("code %d, status %d (-want +got):\n%s", code, status, diff)
				}
			}
			// A webhook that reports the code means the same: nothing is tried
			// again, but the class and what follows for the recipient hold.
			told, err := whatsappcloud.New(settings("")).Parse([]byte(statuses(fmt.Sprintf(`{"id":"wamid.A","status":"failed","timestamp":"1","errors":[{"code":%d,"title":"t"}]}`, code))))
			if err != nil || len(told.Receipts) != 1 {
				t.Fatalf("code %d by webhook: %+v, %v", code, told, err)
			}
			r := told.Receipts[0]
			if r.Suppress != nil {
				r.Suppress.Reason = ""
			}
			if r.Status != gateway.StatusFailed || r.Error.Class != c.want.Error.Class {
				t.Errorf("code %d by webhook: %s, class %s, want failed, class %s", code, r.Status, r.Error.Class, c.want.Error.Class)
			}
			if diff := cmp.Diff(c.want.Suppress, r.Suppress); diff != "" {
				t.Errorf("code %d by webhook (-want +got):\n%s", code, diff)
			}
		}
	}
}

func TestSuppressionsAreNotShared(t *testing.T) {
	p := whatsappcloud.New(settings(""))
	answer := sender.Answer{Status: 400, Body: []byte(`{"error":{"message":"m","code":131026}}`)}
	p.Interpret(answer).Suppress.For = 0
	if got := p.Interpret(answer).Suppress.For; got != 24*time.Hour {
		t.Errorf("a caller's change to a result shows in the next: %v", got)
	}
}

func TestRetryAfterDate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   time.Duration
		want time.Duration
	}{
		{"a date ahead is waited for", 90 * time.Second, 90 * time.Second},
		{"for an hour at most", 48 * time.Hour, time.Hour},
		{"a date that has passed leaves the documented wait", -time.Hour, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := http.Header{"Retry-After": {time.Now().Add(c.in).UTC().Format(http.TimeFormat)}}
				r := whatsappcloud.New(settings("")).Interpret(sender.Answer{Status: 429, Header: h})
				if r.RetryAfter != c.want {
					t.Errorf("wait %v, want %v", r.RetryAfter, c.want)
				}
			})
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	body := fmt.Sprintf(`{"error":{"message":%q,"code":100,"error_data":{"details":%q},"fbtrace_id":"Trace"}}`, long, long)
	e := whatsappcloud.New(settings("")).Interpret(sender.Answer{Status: 400, Body: []byte(body)}).Error
	want := &gateway.Error{
		Class: gateway.ClassPermanent, Code: "100",
		Title: strings.Repeat("ü", 300) + "…", Detail: strings.Repeat("ü", 300) + "… (fbtrace_id Trace)",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
