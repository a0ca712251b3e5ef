package whatsappv2_test

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
	"sluice/internal/sender/whatsappv2"
)

func result(o gateway.Outcome, c gateway.Class, s gateway.Scope, code, title string) gateway.Result {
	return gateway.Result{Outcome: o, Scope: s, Error: &gateway.Error{Class: c, Code: code, Title: title}}
}

func after(r gateway.Result, wait time.Duration) gateway.Result {
	r.RetryAfter = wait
	return r
}

func permanent(code, title string) gateway.Result {
	return result(gateway.OutcomeRejected, gateway.ClassPermanent, gateway.ScopeMessage, code, title)
}

func suspended(code, title string) gateway.Result {
	return result(gateway.OutcomeSuspended, gateway.ClassSuspended, gateway.ScopeAccount, code, title)
}

func throttled(code, title string) gateway.Result {
	return after(result(gateway.OutcomeThrottled, gateway.ClassThrottled, gateway.ScopeAccount, code, title), time.Second)
}

func transient(code, title string) gateway.Result {
	return result(gateway.OutcomeTransient, gateway.ClassTransient, gateway.ScopeMessage, code, title)
}

func unknown(code, title string) gateway.Result {
	return result(gateway.OutcomeUnknown, gateway.ClassUnknown, gateway.ScopeMessage, code, title)
}

func badNumber(title string) gateway.Result {
	r := result(gateway.OutcomeRejected, gateway.ClassRecipient, gateway.ScopeRecipient, "132000", title)
	r.Suppress = &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "the number's format was refused"}
	return r
}

// answerCases are of the reference, named as there, and what they
// leave out.
func answerCases() []providertest.AnswerCase {
	const (
		badToken = `{"status":"error","code":131030,"message":"Invalid or expired access token","details":"Generate a new token"}`
		limit    = `{"status":"error","code":133000,"message":"Rate limit exceeded","details":"Wait"}`
		template = `{"status":"error","code":134000,"message":"Template not found"}`
		format   = `{"status":"error","code":132000,"message":"Incorrect phone number format"}`
		notReady = `{"status":"error","code":503,"message":"Try again"}`
	)
	accepted := gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "wamid.A"}
	known := accepted
	known.Alias = "+14155552671"
	invalid := permanent("400", "Invalid phone number format")
	invalid.Error.Detail = "Phone number must include country code"
	noTemplate := result(gateway.OutcomeRejected, gateway.ClassPolicy, gateway.ScopeTemplate, "134000", "Template not found")
	half := transient("http_400", "HTTP 400 without an error code: Bad Request")
	half.MaxAttempts = 3
	return []providertest.AnswerCase{
		{Name: "R-01 accepted", Status: 200, Body: `{"status":"success","message_id":"wamid.A","timestamp":"2025-04-27T12:00:00Z","recipient":"+14155552671"}`, Want: known},
		{Name: "the recipient's number without its plus", Status: 200, Body: `{"status":"success","message_id":"wamid.A","recipient":14155552671}`, Want: known},
		{Name: "a recipient that is no number is left out", Status: 200, Body: `{"status":"success","message_id":"wamid.A","recipient":"US.1349"}`, Want: accepted},
		{Name: "an id may be a number", Status: 200, Body: `{"status":"success","message_id":4711}`, Want: gateway.Result{Outcome: gateway.OutcomeAccepted, ProviderMessageID: "4711"}},
		{Name: "an id beside an error is of nothing that was taken", Status: 200, Body: `{"status":"error","code":400,"message":"m","message_id":"wamid.A"}`, Want: permanent("400", "m")},
		{Name: "a limit in a list of errors", Status: 200, Body: `{"errors":[{"title":"odd"},{"code":133000,"title":"Rate limit exceeded"}]}`, Want: throttled("133000", "Rate limit exceeded")},
		{Name: "any 2xx accepts", Status: 202, Body: `{"status":"success","message_id":"wamid.A"}`, Want: accepted},
		{Name: "a template accepted in the Cloud API's form", Status: 200, Body: `{"messaging_product":"whatsapp","contacts":[{"input":"14155552671","wa_id":"14155552671"}],"messages":[{"id":"wamid.A"}]}`, Want: accepted},
		{Name: "an id accepts whatever else is odd", Status: 200, Body: `{"status":[],"message_id":"wamid.A","error":{},"errors":"none","code":null}`, Want: accepted},

		{Name: "R-02 invalid number", Status: 400, Body: `{"status":"error","code":400,"message":"Invalid phone number format","details":"Phone number must include country code"}`, Want: invalid},
		{Name: "the same with status 200", Status: 200, Body: `{"status":"error","code":400,"message":"Invalid phone number format","details":"Phone number must include country code"}`, Want: invalid},
		{Name: "the same with its code as text", Status: 400, Body: `{"status":"error","code":"400","message":"Invalid phone number format","details":"Phone number must include country code"}`, Want: invalid},
		{Name: "R-03 bad token as 401", Status: 401, Body: badToken, Want: suspended("131030", "Invalid or expired access token")},
		{Name: "R-03 bad token as 200", Status: 200, Body: badToken, Want: suspended("131030", "Invalid or expired access token")},
		{Name: "bad token as 400", Status: 400, Body: badToken, Want: suspended("131030", "Invalid or expired access token")},
		{Name: "bad token as 403", Status: 403, Body: badToken, Want: suspended("131030", "Invalid or expired access token")},
		{Name: "R-04 rate limit", Status: 429, Body: limit, Want: throttled("133000", "Rate limit exceeded")},
		{Name: "rate limit as 400", Status: 400, Body: limit, Want: throttled("133000", "Rate limit exceeded")},
		{Name: "rate limit as 200", Status: 200, Body: limit, Want: throttled("133000", "Rate limit exceeded")},
		{Name: "rate limit as 500", Status: 500, Body: limit, Want: throttled("133000", "Rate limit exceeded")},
		{Name: "Retry-After goes before the documented wait", Status: 429, Body: limit, Header: map[string]string{"Retry-After": "7"}, Want: after(throttled("133000", "Rate limit exceeded"), 7*time.Second)},
		{Name: "Retry-After is believed for an hour at most", Status: 429, Body: limit, Header: map[string]string{"Retry-After": "86400"}, Want: after(throttled("133000", "Rate limit exceeded"), time.Hour)},
		{Name: "the number's format is the recipient's fault", Status: 400, Body: format, Want: badNumber("Incorrect phone number format")},
		{Name: "a template that isn't approved is the template's", Status: 400, Body: template, Want: noTemplate},
		{Name: "the same with 404", Status: 404, Body: template, Want: noTemplate},
		{Name: "a code in the Cloud API's envelope keeps the meaning it has here", Status: 400, Body: `{"error":{"message":"Bad token","type":"OAuthException","code":131030,"error_data":{"details":"d"}}}`, Want: suspended("131030", "Bad token")},
		{Name: "a failure told at once", Status: 200, Body: `{"status":"failed","message_id":"wamid.A","error":{"code":132000,"message":"Bad number"}}`, Want: badNumber("Bad number")},

		{Name: "an error with code 401", Status: 200, Body: `{"status":"error","code":401,"message":"m"}`, Want: suspended("401", "m")},
		{Name: "an error with code 403", Status: 400, Body: `{"status":"error","code":403,"message":"m"}`, Want: suspended("403", "m")},
		{Name: "an error with code 404 is about the message", Status: 404, Body: `{"status":"error","code":404,"message":"m"}`, Want: permanent("404", "m")},
		{Name: "an error with code 429", Status: 400, Body: `{"status":"error","code":429,"message":"m"}`, Want: throttled("429", "m")},
		{Name: "an error with code 500 is unclear", Status: 500, Body: `{"status":"error","code":500,"message":"Internal error"}`, Want: unknown("500", "Internal error")},
		{Name: "an error with code 500 and status 200 too", Status: 200, Body: `{"status":"error","code":500,"message":"Internal error"}`, Want: unknown("500", "Internal error")},
		{Name: "an error with code 503 wasn't accepted", Status: 503, Body: notReady, Want: transient("503", "Try again")},
		{Name: "and waits as it is told", Status: 503, Body: notReady, Header: map[string]string{"Retry-After": "30"}, Want: after(transient("503", "Try again"), 30*time.Second)},
		{Name: "a proxy's code 503 is unclear", Status: 503, Body: `{"code":503,"message":"no healthy upstream"}`, Want: unknown("http_503", "HTTP 503 without an error code: Service Unavailable")},
		{Name: "an error without a code, by its status", Status: 400, Body: `{"status":"error","message":"m","details":"d"}`, Want: permanent("http_400", "m")},
		{Name: "an error without a code with status 200 was refused", Status: 200, Body: `{"status":"error","message":"m"}`, Want: permanent("http_200", "m")},
		{Name: "an error without words", Status: 400, Body: `{"status":"error"}`, Want: permanent("http_400", "error without a code")},
		{Name: "a code without words", Status: 400, Body: `{"status":"error","code":134000}`, Want: result(gateway.OutcomeRejected, gateway.ClassPolicy, gateway.ScopeTemplate, "134000", "error without a title")},
		{Name: "an unknown code of a 400", Status: 400, Body: `{"status":"error","code":139999,"message":"m"}`, Want: permanent("139999", "m")},
		{Name: "an unknown code of a 401", Status: 401, Body: `{"status":"error","code":139999,"message":"m"}`, Want: suspended("139999", "m")},
		{Name: "an unknown code of a 429", Status: 429, Body: `{"status":"error","code":139999,"message":"m"}`, Want: throttled("139999", "m")},
		{Name: "an unknown code of a 500", Status: 500, Body: `{"status":"error","code":139999,"message":"m"}`, Want: unknown("139999", "m")},
		{Name: "a code that is no failure is none", Status: 400, Body: `{"status":"error","code":200,"message":"m"}`, Want: permanent("200", "m")},
		{Name: "a negative code is none", Status: 400, Body: `{"status":"error","code":-1,"message":"m"}`, Want: permanent("http_400", "m")},

		{Name: "400 without a body", Status: 400, Want: permanent("http_400", "HTTP 400 without an error code: Bad Request")},
		{Name: "half an error may have been a limit", Status: 400, Body: `{"status":"error","code":13`, Want: half},
		{Name: "401 without a body", Status: 401, Want: suspended("http_401", "HTTP 401 without an error code: Unauthorized")},
		{Name: "402 without a body", Status: 402, Want: suspended("http_402", "HTTP 402 without an error code: Payment Required")},
		{Name: "403 without a body", Status: 403, Want: suspended("http_403", "HTTP 403 without an error code: Forbidden")},
		{Name: "404 without a body is the base URL's fault", Status: 404, Body: "404 page not found", Want: suspended("http_404", "HTTP 404 without an error code: Not Found")},
		{Name: "405 without a body is the base URL's fault", Status: 405, Want: suspended("http_405", "HTTP 405 without an error code: Method Not Allowed")},
		{Name: "407 is a proxy's", Status: 407, Want: suspended("http_407", "HTTP 407 without an error code: Proxy Authentication Required")},
		{Name: "408 is unclear", Status: 408, Want: unknown("http_408", "HTTP 408 without an error code: Request Timeout")},
		{Name: "413 without a body", Status: 413, Want: permanent("http_413", "HTTP 413 without an error code: Request Entity Too Large")},
		{Name: "429 without a body", Status: 429, Want: throttled("http_429", "HTTP 429 without an error code: Too Many Requests")},
		{Name: "a redirect is refused", Status: 307, Want: suspended("http_307", "redirect refused")},
		{Name: "500 is unclear", Status: 500, Want: unknown("http_500", "HTTP 500 without an error code: Internal Server Error")},
		{Name: "R-23 a 502 of a proxy is unclear", Status: 502, Body: "<html>502 Bad Gateway</html>", Want: unknown("http_502", "HTTP 502 without an error code: Bad Gateway")},
		{Name: "success without an id is unclear", Status: 200, Body: `{"status":"success","timestamp":"2025-04-27T12:00:00Z"}`, Want: unknown("http_200", "answer without a message id")},
		{Name: "an id with a status that isn't 2xx is no success", Status: 500, Body: `{"status":"success","message_id":"wamid.A"}`, Want: unknown("http_500", "HTTP 500 without an error code: Internal Server Error")},
		{Name: "a status of no kind", Status: 700, Want: unknown("http_700", "HTTP 700 without an error code:")},
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
				r := whatsappv2.New(settings("")).Interpret(sender.Answer{Status: 429, Header: h})
				if r.RetryAfter != c.want {
					t.Errorf("wait %v, want %v", r.RetryAfter, c.want)
				}
			})
		})
	}
}

func TestSuppressionsAreNotShared(t *testing.T) {
	p := whatsappv2.New(settings(""))
	answer := sender.Answer{Status: 400, Body: []byte(`{"status":"error","message":"m","code":132000}`)}
	p.Interpret(answer).Suppress.Scope = ""
	if got := p.Interpret(answer).Suppress.Scope; got != gateway.SuppressAll {
		t.Errorf("a caller's change to a result shows in the next: %q", got)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	body := fmt.Sprintf(`{"status":"error","message":%q,"code":400,"details":%q}`, long, long)
	e := whatsappv2.New(settings("")).Interpret(sender.Answer{Status: 400, Body: []byte(body)}).Error
	want := &gateway.Error{Class: gateway.ClassPermanent, Code: "400", Title: strings.Repeat("ü", 300) + "…", Detail: strings.Repeat("ü", 300) + "…"}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// One secret may begin with another; nothing of the longer one is left over.
func TestSecretsThatShareABeginning(t *testing.T) {
	p := whatsappv2.New(whatsappv2.Settings{AccessToken: "secret-and-more", VerifyToken: "secret"})
	r := p.Interpret(sender.Answer{Status: 400, Body: []byte(`{"status":"error","code":400,"message":"token secret-and-more"}`)})
	if got, want := r.Error.Title, "token [redacted]"; got != want {
		t.Errorf("title %q, want %q", got, want)
	}
}

func TestInterpretStatus(t *testing.T) {
	at := time.Date(2025, time.April, 27, 12, 5, 0, 0, time.UTC)
	receipt := func(s gateway.Status) gateway.Receipt {
		return gateway.Receipt{ProviderMessageID: "wamid.A", Status: s, At: at}
	}
	failed := func(c gateway.Class, code, title, detail string) gateway.Receipt {
		r := receipt(gateway.StatusFailed)
		r.Error = &gateway.Error{Class: c, Code: code, Title: title, Detail: detail}
		return r
	}
	suppressed := func(r gateway.Receipt) gateway.Receipt {
		r.Suppress = &gateway.Suppression{Scope: gateway.SuppressAll, Reason: "the number's format was refused"}
		return r
	}
	body := func(status, more string) string {
		return `{"status":"` + status + `","message_id":"wamid.A","timestamp":"2025-04-27T12:05:00Z","recipient":"+14155552671"` + more + `}`
	}
	for _, c := range []struct {
		name string
		http int
		body string
		want gateway.Receipt // zero: none
	}{
		{"sent", 200, body("sent", ""), receipt(gateway.StatusSent)},
		{"delivered, as in the reference", 200, body("delivered", ""), receipt(gateway.StatusDelivered)},
		{"read", 200, body("read", ""), receipt(gateway.StatusRead)},
		{"failed, the code in its error", 200, body("failed", `,"error":{"code":134000,"message":"Template not approved","details":"d"}`), failed(gateway.ClassPolicy, "134000", "Template not approved", "d")},
		{"failed by the token", 200, body("failed", `,"error":{"code":131030,"message":"m"}`), failed(gateway.ClassSuspended, "131030", "m", "")},
		{"failed by the number", 200, body("failed", `,"error":{"code":"132000","message":"m"}`), suppressed(failed(gateway.ClassRecipient, "132000", "m", ""))},
		{"failed by the limit", 200, body("failed", `,"error":{"code":133000,"message":"m"}`), failed(gateway.ClassThrottled, "133000", "m", "")},
		{"failed by a code that is an HTTP status", 200, body("failed", `,"error":{"code":400,"message":"m"}`), failed(gateway.ClassPermanent, "400", "m", "")},
		{"failed by a fault of the provider's", 200, body("failed", `,"error":{"code":500,"message":"m"}`), failed(gateway.ClassTransient, "500", "m", "")},
		{"failed by an unknown code", 200, body("failed", `,"error":{"code":131026,"message":"m"}`), failed(gateway.ClassPermanent, "131026", "m", "")},
		{"failed, the code beside the status", 200, body("failed", `,"code":134000,"message":"m"`), failed(gateway.ClassPolicy, "134000", "m", "")},
		{"failed, the code in a list of errors", 200, body("failed", `,"errors":[{"title":"x"},{"code":134000,"title":"t","error_data":{"details":"d"}}]`), failed(gateway.ClassPolicy, "134000", "t", "d")},
		{"failed, the error in words", 200, body("failed", `,"error":"no luck"`), failed(gateway.ClassPermanent, "", "no luck", "")},
		{"failed without a reason", 200, body("failed", ``), failed(gateway.ClassPermanent, "", "failed without a reason", "")},
		{"failed with a null for a reason", 200, body("failed", `,"error":null`), failed(gateway.ClassPermanent, "", "failed without a reason", "")},
		{"a token quoted in an error is not kept", 200, body("failed", `,"error":{"code":131030,"message":"bad token `+accessToken+`"}`), failed(gateway.ClassSuspended, "131030", "bad token [redacted]", "")},
		{"a time that can't be read is none", 200, `{"status":"sent","message_id":"wamid.A","timestamp":"yesterday"}`, gateway.Receipt{ProviderMessageID: "wamid.A", Status: gateway.StatusSent}},

		{"an unknown id", 404, `{"status":"error","code":404,"message":"m"}`, gateway.Receipt{}},
		{"an error", 200, `{"status":"error","code":131030,"message":"m","message_id":"wamid.A"}`, gateway.Receipt{}},
		{"a status with an HTTP status that isn't 2xx", 500, body("delivered", ""), gateway.Receipt{}},
		{"the answer to a send", 200, body("success", ""), gateway.Receipt{}},
		{"a status to come", 200, body("pondered", ""), gateway.Receipt{}},
		{"a number for an id", 200, `{"status":"sent","message_id":7}`, gateway.Receipt{ProviderMessageID: "7", Status: gateway.StatusSent}},
		{"no id", 200, `{"status":"delivered"}`, gateway.Receipt{}},
		{"half an answer", 200, `{"status":"delivered","message_id":"wamid.A"`, gateway.Receipt{}},
		{"HTML", 200, `<html>`, gateway.Receipt{}},
		{"nothing", 204, ``, gateway.Receipt{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := whatsappv2.New(settings("")).InterpretStatus(sender.Answer{Status: c.http, Body: []byte(c.body)})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			if want := c.want.Status != ""; ok != want {
				t.Errorf("ok %v, want %v", ok, want)
			}
		})
	}
}
