package providertest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// Bounds on what an answer may say: a day's wait (spam limits; tiers, counted
// over a day, and five minutes more), and texts that fit a record.
const (
	maxRetryAfter = 24*time.Hour + 5*time.Minute
	maxText       = 1000 // runes, of a title or a detail
)

// interpret calls Interpret and checks what must hold of every Result.
func (s *Suite) interpret(t *testing.T, status int, h http.Header, body []byte) gateway.Result {
	t.Helper()
	r := s.New(BaseURL).Interpret(sender.Answer{Status: status, Header: h, Body: body})
	for _, problem := range unsound(r) {
		t.Errorf("status %d, body %.200q: %s: %+v", status, body, problem, r)
	}
	return r
}

// unsound lists what a Result says that no Result may say.
func unsound(r gateway.Result) []string {
	var out []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(!slices.Contains(gateway.Outcomes(), r.Outcome), "outcome %q isn't one", r.Outcome)
	add((r.Outcome == gateway.OutcomeAccepted) != (r.Error == nil), "an error goes with every outcome but accepted")
	add(r.ProviderMessageID != "" && r.Outcome != gateway.OutcomeAccepted, "an id goes with accepted only")
	add(r.Alias != "" && r.Outcome != gateway.OutcomeAccepted, "a number of the recipient goes with accepted only")
	add(r.RetryAfter < 0 || r.RetryAfter > maxRetryAfter, "wait of %v", r.RetryAfter)
	add(r.RetryAfter > 0 && !r.Retryable(), "a wait goes with outcomes that are tried again only")
	add(r.MaxAttempts < 0, "negative attempts")
	add(!slices.Contains(scopes(r.Outcome), r.Scope), "scope %q doesn't go with outcome %q", r.Scope, r.Outcome)
	if e := r.Error; e != nil {
		add(!slices.Contains(classes(r.Outcome), e.Class), "class %q doesn't go with outcome %q", e.Class, r.Outcome)
		add(e.Title == "" && e.Detail == "", "the error says nothing")
		for _, text := range []string{e.Code, e.Title, e.Detail} {
			add(!utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText, "text too long or not UTF-8")
		}
	}
	if r.Suppress != nil {
		add(r.Outcome != gateway.OutcomeRejected || r.Error == nil || r.Error.Class != gateway.ClassRecipient,
			"a suppression goes with rejected and class recipient only")
		add(r.Scope != gateway.ScopeRecipient && r.Scope != gateway.ScopePair, "a suppression is about a recipient, not a %q", r.Scope)
		add(r.Suppress.Reason == "", "a suppression without a reason")
		add(r.Suppress.Scope == gateway.SuppressCooldown && r.Suppress.For <= 0, "a cooldown without an end")
	}
	return out
}

// classes are the classes that may go with an outcome.
func classes(o gateway.Outcome) []gateway.Class {
	switch o {
	case gateway.OutcomeAccepted:
		return nil
	case gateway.OutcomeRejected:
		return []gateway.Class{
			gateway.ClassPermanent, gateway.ClassRecipient, gateway.ClassPolicy, gateway.ClassMedia, gateway.ClassWindow,
			gateway.ClassExpired, gateway.ClassInternal,
		}
	case gateway.OutcomeThrottled:
		return []gateway.Class{gateway.ClassThrottled}
	case gateway.OutcomeTransient:
		return []gateway.Class{gateway.ClassTransient}
	case gateway.OutcomeSuspended:
		return []gateway.Class{gateway.ClassSuspended}
	case gateway.OutcomeUnknown:
		return []gateway.Class{gateway.ClassUnknown}
	}
	return nil
}

// scopes are the scopes that may go with an outcome. Empty means the message.
// A limit and a suspension hold something, and so must say what.
func scopes(o gateway.Outcome) []gateway.Scope {
	switch o {
	case gateway.OutcomeAccepted, gateway.OutcomeUnknown:
		return []gateway.Scope{"", gateway.ScopeMessage}
	case gateway.OutcomeRejected, gateway.OutcomeTransient:
		return []gateway.Scope{
			"", gateway.ScopeMessage, gateway.ScopeRecipient, gateway.ScopePair, gateway.ScopeTemplate,
			gateway.ScopeAccount, gateway.ScopeApp, gateway.ScopePortfolio,
		}
	case gateway.OutcomeThrottled:
		return []gateway.Scope{
			gateway.ScopeMessage, gateway.ScopeRecipient, gateway.ScopePair, gateway.ScopeTemplate,
			gateway.ScopeAccount, gateway.ScopeApp, gateway.ScopePortfolio,
		}
	case gateway.OutcomeSuspended:
		return []gateway.Scope{gateway.ScopeAccount, gateway.ScopeApp, gateway.ScopePortfolio}
	}
	return nil
}

// oddBodies hold neither an id where the provider puts it nor an error code.
func oddBodies() map[string]string {
	return map[string]string{
		"nothing":                       "",
		"white space":                   " \r\n\t",
		"HTML":                          "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
		"plain text":                    "upstream connect error or disconnect/reset before headers",
		"null":                          "null",
		"true":                          "true",
		"a number":                      "7",
		"a string":                      `"wamid.X"`,
		"an array":                      `["wamid.X"]`,
		"an empty object":               "{}",
		"half an object":                `{"messages":[{"id":"wamid.`,
		"an id in an unexpected place":  `{"result":{"deep":[{"identifier":"wamid.X"}]}}`,
		"no messages":                   `{"messages":[]}`,
		"messages that are no array":    `{"messages":"wamid.X"}`,
		"messages that are no objects":  `{"messages":["wamid.X"]}`,
		"an id that is an object":       `{"messages":[{"id":{}}],"message_id":{}}`,
		"an empty id":                   `{"messages":[{"id":""}],"message_id":"","id":""}`,
		"a null id":                     `{"messages":[{"id":null}],"message_id":null,"id":null}`,
		"a null error":                  `{"error":null,"errors":null}`,
		"an empty error":                `{"error":{},"errors":[]}`,
		"an error without a code":       `{"error":"boom","message":"boom"}`,
		"bytes that are no UTF-8":       "\xff\xfe\x00{\"messages\":[",
		"a byte order mark and nothing": "\ufeff",
		"very deep nesting":             strings.Repeat("[", 100_000),
		"a mebibyte of one string":      `{"error":"` + strings.Repeat("x", sender.MaxAnswer-10),
		"a mebibyte of zero bytes":      strings.Repeat("\x00", sender.MaxAnswer),
	}
}

func (s *Suite) oddAnswers(t *testing.T) {
	for name, body := range oddBodies() {
		for _, contentType := range []string{"application/json", "text/html; charset=utf-8", ""} {
			t.Run(name+" as "+contentType, func(t *testing.T) {
				h := http.Header{}
				if contentType != "" {
					h.Set("Content-Type", contentType)
				}
				for _, status := range []int{200, 201, 202, 204, 500, 502, 503, 504, 520} {
					if r := s.interpret(t, status, h, []byte(body)); r.Outcome != gateway.OutcomeUnknown {
						t.Errorf("status %d: %s; the request was written and there is no clear answer: want unknown", status, r.Outcome)
					}
				}
				for _, status := range []int{301, 302, 303, 307, 308, 304} {
					if r := s.interpret(t, status, h, []byte(body)); r.Outcome != gateway.OutcomeSuspended && r.Outcome != gateway.OutcomeUnknown {
						t.Errorf("status %d: %s; a redirect is no message's fault: want suspended or unknown", status, r.Outcome)
					}
				}
				if r := s.interpret(t, 429, h, []byte(body)); r.Outcome != gateway.OutcomeThrottled {
					t.Errorf("status 429: %s, want throttled", r.Outcome)
				}
				if r := s.interpret(t, 401, h, []byte(body)); r.Outcome != gateway.OutcomeSuspended {
					t.Errorf("status 401: %s, want suspended", r.Outcome)
				}
				for _, status := range []int{0, 100, 400, 403, 404, 405, 408, 413, 418, 422, 600, 999} {
					if r := s.interpret(t, status, h, []byte(body)); r.Outcome == gateway.OutcomeAccepted {
						t.Errorf("status %d: accepted", status)
					}
				}
			})
		}
	}
	for _, value := range []string{"", "-1", "-10000000000", "soon", "1e9", "99999999999999999999", "NaN", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2099 07:28:00 GMT"} {
		t.Run("Retry-After "+value, func(t *testing.T) {
			s.interpret(t, 429, http.Header{"Retry-After": {value}}, nil)
			s.interpret(t, 503, http.Header{"Retry-After": {value}}, nil)
		})
	}
}

// cutAnswers cuts every answer of the provider short, as a connection that
// breaks does.
func (s *Suite) cutAnswers(t *testing.T) {
	for _, c := range s.Answers {
		body := strings.TrimSpace(c.Body)
		if !strings.HasPrefix(body, "{") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			for n := range len(body) {
				r := s.interpret(t, c.Status, c.header(), []byte(body[:n]))
				switch {
				case c.Status >= 200 && c.Status < 300 && r.Outcome != gateway.OutcomeUnknown,
					c.Status >= 500 && r.Outcome != gateway.OutcomeUnknown,
					r.Outcome == gateway.OutcomeAccepted:
					t.Fatalf("status %d, cut after %d bytes: %s", c.Status, n, r.Outcome)
				}
			}
		})
	}
}
