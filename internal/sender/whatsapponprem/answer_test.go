package whatsapponprem_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsapponprem"
)

func failed(o gateway.Outcome, c gateway.Class, s gateway.Scope, code, title string) gateway.Result {
	return gateway.Result{Outcome: o, Scope: s, Error: &gateway.Error{Class: c, Code: code, Title: title}}
}

func rejected(code, title string) gateway.Result {
	return failed(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, code, title)
}

func throttled(code, title string, wait time.Duration) gateway.Result {
	r := failed(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, code, title)
	r.RetryAfter = wait
	return r
}

func suspended(code, title string) gateway.Result {
	return failed(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, code, title)
}

func transient(code, title string) gateway.Result {
	return failed(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, code, title)
}

func unclear(code, title string) gateway.Result {
	return failed(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, code, title)
}

func gone(code, title string) gateway.Result {
	r := failed(gateway.OutcomeRejected, gateway.ClassRecipient, gateway.ScopeRecipient, code, title)
	r.Suppress = &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "not on WhatsApp"}
	return r
}

// answerCases are of the reference, named as there, and what they
// leave out.
func answerCases() []providertest.AnswerCase {
	accepted := func(id gateway.ProviderMessageID) gateway.Result {
		return gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: id}
	}
	return []providertest.AnswerCase{
		{
			Name: "R-05 accepted", Status: 201,
			Body: `{"messages":[{"id":"gBGHSRUUIXKJTwIJVQgXRR0rdXiv"}],"meta":{"version":"v2.45.1","api_status":"stable"}}`,
			Want: accepted("gBGHSRUUIXKJTwIJVQgXRR0rdXiv"),
		},
		{
			Name: "accepted with 200", Status: 200, Body: `{"messages":[{"id":"gBGHSRUUIXKJTwIJVQgXRR0rdXiv"}]}`,
			Want: accepted("gBGHSRUUIXKJTwIJVQgXRR0rdXiv"),
		},
		{Name: "R-06 errors win over 200", Status: 200, Body: `{"errors":[{"code":232,"title":"Error Sending"}]}`, Want: rejected("232", "Error Sending")},
		{Name: "errors without a code win over 200 too", Status: 200, Body: `{"errors":[{"title":"Error Sending"}]}`, Want: rejected("http_200", "Error Sending")},
		{
			Name: "an id wins over errors: what was taken must not be sent again", Status: 200,
			Body: `{"errors":[{"code":1000,"title":"odd"}],"messages":[{"id":"gBGH1"}]}`, Want: accepted("gBGH1"),
		},
		{Name: "null", Status: 201, Body: `null`, Want: unclear("http_201", "answer without a message id")},
		{Name: "201 without a body", Status: 201, Want: unclear("http_201", "answer without a message id")},
		{Name: "an id in the Cloud API's place of v2", Status: 200, Body: `{"message_id":"gBEG1","status":"success"}`, Want: unclear("http_200", "answer without a message id")},
		{
			Name: "a refused token with 200 is one", Status: 200, Body: `{"errors":[{"code":1005,"title":"Access denied"}]}`,
			Want: suspended("1005", "Access denied"),
		},
		{
			Name: "JSON as text", Status: 201, Header: map[string]string{"Content-Type": "text/plain"}, Body: `{"messages":[{"id":"gBEG1"}]}`,
			Want: accepted("gBEG1"),
		},
		{Name: "R-07 200 without an id", Status: 200, Body: `{"messages":[]}`, Want: unclear("http_200", "answer without a message id")},
		{
			Name: "R-08 access denied", Status: 401, Body: `{"errors":[{"code":1005,"title":"Access denied","details":"Invalid credentials."}]}`,
			Want: suspended("1005", "Access denied"),
		},
		{
			Name: "R-09 unknown contact: only who asks the host knows whether they are on WhatsApp", Status: 404,
			Body: `{"errors":[{"code":1006,"title":"Resource not found","details":"unknown contact"}]}`,
			Want: transient("1006", "Resource not found"),
		},
		{
			Name: "R-09 unknown contact as 360dialog says it", Status: 404,
			Body: `{"errors":[{"code":1006,"title":"Resource not found","details":"Could not retrieve phone number from contact store"}]}`,
			Want: transient("1006", "Resource not found"),
		},
		{
			Name: "1006 of a file", Status: 404, Body: `{"errors":[{"code":1006,"title":"Resource not found","details":"media f043afd0 not found"}]}`,
			Want: rejected("1006", "Resource not found"),
		},
		{Name: "1006 without details", Status: 404, Body: `{"errors":[{"code":1006,"title":"Resource not found"}]}`, Want: rejected("1006", "Resource not found")},
		{
			Name: "R-10 too many requests without a code", Status: 429, Body: `{"errors":[{"title":"Too many requests"}]}`,
			Want: throttled("http_429", "Too many requests", 2*time.Second),
		},
		{
			Name: "R-11 overloaded", Status: 503, Body: `{"errors":[{"code":1016,"title":"System overloaded"}]}`,
			Want: throttled("1016", "System overloaded", 5*time.Second),
		},
		{
			Name: "R-12 accepted under another number", Status: 201,
			Body: `{"contacts":[{"input":"5511987654321","wa_id":"551187654321"}],"messages":[{"id":"157b"}]}`,
			Want: gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "157b", Alias: "+551187654321"},
		},
		{
			Name: "a number that is none is nobody's", Status: 201,
			Body: `{"contacts":[{"input":"5511987654321","wa_id":"US.134912"}],"messages":[{"id":"157b"}]}`, Want: accepted("157b"),
		},
		{
			Name: "of two contacts none is the recipient", Status: 201,
			Body: `{"contacts":[{"wa_id":"551187654321"},{"wa_id":"551187654322"}],"messages":[{"id":"157b"}]}`, Want: accepted("157b"),
		},
		{
			Name: "Turn.io's limit, with its wait", Status: 429, Header: map[string]string{"Retry-After": "7", "X-Ratelimit-Remaining": "0"},
			Body: `{"errors":[{"code":429,"title":"Rate limited"}]}`, Want: throttled("429", "Rate limited", 7*time.Second),
		},
		{
			Name: "Retry-After is believed for an hour at most", Status: 429, Header: map[string]string{"Retry-After": "86400"},
			Body: `{"errors":[{"code":1015,"title":"Too many requests"}]}`, Want: throttled("1015", "Too many requests", time.Hour),
		},
		{
			Name: "a status repeated as a code isn't the code of a message", Status: 401, Body: `{"errors":[{"code":401,"title":"Unauthorized"}]}`,
			Want: suspended("401", "Unauthorized"),
		},
		{Name: "a code as a string", Status: 400, Body: `{"errors":[{"code":"1008","title":"Required parameter is missing"}]}`, Want: rejected("1008", "Required parameter is missing")},
		{Name: "Turn.io couldn't read it", Status: 400, Body: `{"errors":[{"code":-1,"title":"Bad request"}]}`, Want: rejected("-1", "Bad request")},
		{
			Name: "1002 of a host that means the recipient", Status: 400, Body: `{"errors":[{"code":1002,"title":"Recipient is not a valid WhatsApp user"}]}`,
			Want: gone("1002", "Recipient is not a valid WhatsApp user"),
		},
		{Name: "the first error with a code counts", Status: 400, Body: `{"errors":[{"title":"odd"},{"code":1009,"title":"Parameter value is not valid"}]}`, Want: rejected("1009", "Parameter value is not valid")},
		{Name: "unknown code of a 429", Status: 429, Body: `{"errors":[{"code":98765,"title":"odd"}]}`, Want: throttled("98765", "odd", 2*time.Second)},
		{Name: "unknown code of a 503", Status: 503, Body: `{"errors":[{"code":98765,"title":"odd"}]}`, Want: throttled("98765", "odd", 5*time.Second)},
		{Name: "unknown code of a 500", Status: 500, Body: `{"errors":[{"code":98765,"title":"odd"}]}`, Want: transient("98765", "odd")},
		{Name: "unknown code of a 401", Status: 401, Body: `{"errors":[{"code":98765,"title":"odd"}]}`, Want: suspended("98765", "odd")},
		{Name: "unknown code of a 400", Status: 400, Body: `{"errors":[{"code":98765,"title":"odd"}]}`, Want: rejected("98765", "odd")},
		{Name: "an error without a code of a 500 is no clear answer", Status: 500, Body: `{"errors":[{"title":"boom"}]}`, Want: unclear("http_500", "boom")},
		{Name: "one of a 503 is", Status: 503, Body: `{"errors":[{"title":"busy"}]}`, Want: throttled("http_503", "busy", 5*time.Second)},
		{Name: "HTML of a 503 isn't", Status: 503, Header: map[string]string{"Content-Type": "text/html"}, Body: `<html>503</html>`, Want: unclear("http_503", "HTTP 503 without an error code: Service Unavailable")},
		{Name: "HTML of a 404: the base URL is wrong", Status: 404, Header: map[string]string{"Content-Type": "text/html"}, Body: `<html>404</html>`, Want: suspended("http_404", "HTTP 404 without an error code: Not Found")},
		{Name: "a redirect", Status: 307, Header: map[string]string{"Location": "https://elsewhere.example"}, Want: suspended("http_307", "redirect refused")},
		{
			Name: "half a refusal", Status: 400, Body: `{"errors":[{"code":10`,
			Want: func() gateway.Result {
				r := transient("http_400", "HTTP 400 without an error code: Bad Request")
				r.MaxAttempts = 3
				return r
			}(),
		},
		{
			Name: "360dialog: invalid key", Status: 401, Body: `{"meta":{"httpCode":404,"developerMessage":"Invalid api key","success":false}}`,
			Want: suspended("http_401", "HTTP 401 without an error code: Unauthorized"),
		},
		{
			Name: "360dialog: path blocked", Status: 403, Body: `{"meta":{"http_code":403,"developer_message":"path is blocked","success":false}}`,
			Want: suspended("http_403", "HTTP 403 without an error code: Forbidden"),
		},
		{
			Name: "360dialog: API disabled", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"API is disabled","success":false}}`,
			Want: suspended("http_400", "HTTP 400 without an error code: Bad Request"),
		},
		{
			Name: "360dialog: usage limit with its seconds", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"Limit is 1 request every 30 seconds","success":false}}`,
			Want: throttled("http_400", "HTTP 400 without an error code: Bad Request", 30*time.Second),
		},
		{
			Name: "360dialog: usage limit", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"1 request every * seconds","success":false}}`,
			Want: throttled("http_400", "HTTP 400 without an error code: Bad Request", 2*time.Second),
		},
		{
			Name: "360dialog: restart window", Status: 502, Body: `{"meta":{"httpCode":502,"developerMessage":"stack is restarting","success":false}}`,
			Want: transient("http_502", "HTTP 502 without an error code: Bad Gateway"),
		},
		{
			Name: "360dialog: usage limit, said otherwise", Status: 400, Body: `{"meta":{"http_code":400,"developer_message":"Usage limit reached","success":false}}`,
			Want: throttled("http_400", "HTTP 400 without an error code: Bad Request", 2*time.Second),
		},
		{
			Name: "360dialog: a limit of what a text may hold is no usage limit", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"text.body exceeds its limit of 4096","success":false}}`,
			Want: rejected("http_400", "HTTP 400 without an error code: Bad Request"),
		},
		{
			Name: "360dialog: a template that is disabled isn't the API", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"template is disabled","success":false}}`,
			Want: rejected("http_400", "HTTP 400 without an error code: Bad Request"),
		},
		{
			Name: "360dialog: internal error", Status: 500, Body: `{"meta":{"httpCode":500,"developerMessage":"Internal error","success":false}}`,
			Want: transient("http_500", "HTTP 500 without an error code: Internal Server Error"),
		},
		{
			Name: "360dialog: something else", Status: 400, Body: `{"meta":{"httpCode":400,"developerMessage":"bad payload","success":false}}`,
			Want: rejected("http_400", "HTTP 400 without an error code: Bad Request"),
		},
	}
}

// The error table of the reference, typed out from there: what each code means
// in an answer, and in a callback. Codes of messages come with no HTTP status of their own; 400
// stands in.
func TestErrorTable(t *testing.T) {
	const (
		message   = gateway.ScopeMessage
		account   = gateway.ScopeAccount
		template  = gateway.ScopeTemplate
		recipient = gateway.ScopeRecipient
	)
	result := func(o gateway.Outcome, c gateway.Class, s gateway.Scope) gateway.Result {
		return gateway.Result{Outcome: o, Scope: s, Error: &gateway.Error{Class: c}}
	}
	perm := result(gateway.OutcomeRejected, gateway.ClassPermanent, message)
	auth := result(gateway.OutcomeSuspended, gateway.ClassSuspended, account)
	trans := result(gateway.OutcomeTransient, gateway.ClassTransient, message)
	paused := result(gateway.OutcomeRejected, gateway.ClassPolicy, template)
	thrice := trans
	thrice.MaxAttempts = 3
	rate := func(s gateway.Scope, wait time.Duration) gateway.Result {
		r := result(gateway.OutcomeThrottled, gateway.ClassThrottled, s)
		r.RetryAfter = wait
		return r
	}
	rcpt := func(s gateway.SuppressionScope, d time.Duration, reason string) gateway.Result {
		r := result(gateway.OutcomeRejected, gateway.ClassRecipient, recipient)
		if s != "" {
			r.Suppress = &gateway.Suppression{Scope: s, Reason: reason, For: d}
		}
		return r
	}
	for _, c := range []struct {
		code, status int
		want         gateway.Result
	}{
		{400, 500, perm},
		{401, 400, perm},
		{402, 400, auth},
		{408, 400, trans},
		{410, 400, result(gateway.OutcomeRejected, gateway.ClassExpired, message)},
		{429, 400, rate(account, time.Minute)},
		{430, 400, auth},
		{432, 400, auth},
		{433, 400, auth},
		{470, 400, result(gateway.OutcomeRejected, gateway.ClassPolicy, message)},
		{471, 400, rate(template, 24*time.Hour+5*time.Minute)},
		{472, 400, rcpt(gateway.SuppressMarketing, 24*time.Hour, "in a marketing experiment")},
		{480, 400, rcpt(gateway.SuppressCooldown, 24*time.Hour, "identity may have changed")},
		{500, 400, trans},
		{501, 400, perm},
		{1000, 400, thrice},
		{1000, 500, thrice},
		{1001, 400, perm},
		{1002, 400, perm},
		{1004, 409, perm},
		{1005, 401, auth},
		{1005, 403, auth},
		{1006, 404, perm},
		{1007, 400, rcpt(gateway.SuppressAll, 0, "blocked by the business")},
		{1008, 400, perm},
		{1009, 400, perm},
		{1010, 400, perm},
		{1011, 503, rate(account, 30*time.Second)},
		{1013, 400, rcpt(gateway.SuppressAll, 0, "not on WhatsApp")},
		{1014, 500, thrice},
		{1014, 400, thrice},
		{1015, 429, rate(account, 2*time.Second)},
		{1016, 503, rate(account, 5*time.Second)},
		{1017, 500, trans},
		{1018, 500, trans},
		{1021, 400, perm},
		{1022, 400, auth},
		{1023, 500, trans},
		{1024, 401, auth},
		{1025, 400, perm},
		{1026, 400, rcpt("", 0, "")},
		{1028, 400, rcpt(gateway.SuppressCooldown, 24*time.Hour, "identity change not acknowledged")},
		{1031, 403, auth},
		{2000, 400, perm},
		{2001, 400, paused},
		{2002, 400, thrice},
		{2003, 400, paused},
		{2004, 400, perm},
		{2005, 400, perm},
		{2006, 400, perm},
		{2007, 400, perm},
		{2008, 400, perm},
		{2009, 400, perm},
		{2010, 400, perm},
		{2011, 400, perm},
		{2012, 400, perm},
		{2013, 400, perm},
		{2014, 400, perm},
		{2015, 400, perm},
		{2016, 400, perm},
		{2017, 400, perm},
		{2023, 400, perm},
		{2024, 400, perm},
		{2025, 400, perm},
		{2026, 400, perm},
		{2027, 400, perm},
		{2028, 400, perm},
		{2029, 400, perm},
		{2030, 400, perm},
		{2036, 400, perm},
		{2050, 400, auth},
		{2060, 400, paused},
		{2061, 400, paused},
		{2062, 400, paused},
		{2068, 400, paused},
		{2069, 400, rate(template, time.Hour)},
		{-1, 400, perm},
	} {
		t.Run(fmt.Sprintf("%d with status %d", c.code, c.status), func(t *testing.T) {
			body := fmt.Sprintf(`{"errors":[{"code":%d,"title":"t","details":"d"}]}`, c.code)
			got := whatsapponprem.New(settings(hostURL)).Interpret(sender.Answer{Status: c.status, Body: []byte(body)})
			want := c.want
			want.Error = &gateway.Error{Class: c.want.Error.Class, Code: fmt.Sprint(c.code), Title: "t", Detail: "d"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if c.code < 0 { // Turn.io's own, in answers only
				return
			}
			failed := gateway.Receipt{
				ProviderMessageID: "gBEG1", Status: gateway.StatusFailed, At: time.Unix(1533332775, 0).UTC(), Error: want.Error, Suppress: want.Suppress,
				LostFile: c.code == 1006, // what isn't a contact is a file
			}
			told := gateway.Callback{Receipts: []gateway.Receipt{failed}}
			told.Halt(want, failed.At)
			parses(t, fmt.Sprintf(`{"statuses":[{"id":"gBEG1","status":"failed","timestamp":"1533332775","errors":[{"code":%d,"title":"t","details":"d"}]}]}`, c.code), told)
		})
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	now := time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
	s := settings(hostURL)
	s.Now = func() time.Time { return now }
	for value, want := range map[string]time.Duration{
		"Sat, 21 Nov 2026 12:00:09 GMT": 9 * time.Second,
		"Sat, 21 Nov 2026 11:00:00 GMT": 2 * time.Second, // passed: the documented wait
		"soon":                          2 * time.Second,
	} {
		got := whatsapponprem.New(s).Interpret(sender.Answer{Status: 429, Header: http.Header{"Retry-After": {value}}})
		if got.RetryAfter != want {
			t.Errorf("%s: %v, want %v", value, got.RetryAfter, want)
		}
	}
}
