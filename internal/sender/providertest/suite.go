// Package providertest is the conformance suite that every sender.Provider
// passes. A provider brings what only it knows (the requests and answers of
// its documents); what must hold of every provider is checked here: nothing a
// caller wrote is dropped, no secret leaks, and no answer, however odd, is
// taken for more than it says.
package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// BaseURL is what the suite builds providers with. Its path must be kept.
const BaseURL = "https://provider.example/base"

// To is the recipient of the suite's own messages.
const To gateway.Recipient = "+16505551234"

// Suite is what one provider brings.
type Suite struct {
	// New builds the provider against a base URL, with and without a slash at
	// its end.
	New func(baseURL string) sender.Provider

	Requests []RequestCase
	Refused  []RefusedCase
	Answers  []AnswerCase

	// Secrets lists every credential New gives the provider.
	Secrets []string
}

// RequestCase is a sound message that the provider can express, and the
// request it becomes.
type RequestCase struct {
	Name        string
	Message     gateway.Message
	ReplyTo     gateway.ProviderMessageID
	Attempt     int // 0 means 1
	CallbackURL string

	WantMethod string            // empty means POST
	WantPath   string            // after BaseURL, with its slash and query
	WantHeader map[string]string // these at least
	// WantBody is the whole body as JSON, compared by value: member order and
	// white space are free, everything else is not. Empty: no body.
	WantBody string
}

// RefusedCase is a sound message that the provider can't express.
type RefusedCase struct {
	Name       string
	Message    gateway.Message
	WantFields []string // the paths Check names, in any order
}

// AnswerCase is an answer and what it means.
type AnswerCase struct {
	Name   string
	Status int
	Header map[string]string
	Body   string
	// Want is compared whole, except that an empty Error.Detail allows any.
	Want gateway.Result
}

// Message makes a message of the content a caller would post: an object with
// type and the member it names. It fails the test if the content isn't sound.
func Message(tb testing.TB, content string) gateway.Message {
	tb.Helper()
	m := gateway.Message{Recipient: To, Priority: gateway.Transactional}
	if err := json.Unmarshal([]byte(content), &m.Content); err != nil {
		tb.Fatalf("content %s: %v", content, err)
	}
	if errs := m.Content.Validate(); errs != nil {
		tb.Fatalf("content %s isn't sound: %v", content, errs)
	}
	return m
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	t.Run("requests", s.requests)
	t.Run("refused", s.refused)
	t.Run("answers", s.answers)
	t.Run("nothing is dropped silently", s.nothingDropped)
	t.Run("flags make a difference", s.flagsMatter)
	t.Run("request manners", s.requestManners)
	t.Run("odd answers", s.oddAnswers)
	t.Run("cut answers", s.cutAnswers)
	t.Run("secrets", s.secrets)
	t.Run("media rules", s.mediaRules)
	t.Run("concurrent use", s.concurrentUse)
	if _, ok := s.New(BaseURL).(sender.Uploader); ok {
		t.Run("uploads", s.uploads)
	}
}

func (c *RequestCase) call() sender.Call {
	m := c.Message
	return sender.Call{Message: &m, ReplyTo: c.ReplyTo, Attempt: max(c.Attempt, 1), CallbackURL: c.CallbackURL}
}

func (s *Suite) requests(t *testing.T) {
	for _, c := range s.Requests {
		t.Run(c.Name, func(t *testing.T) {
			p := s.New(BaseURL)
			call := c.call()
			if errs := p.Check(call.Message); len(errs) > 0 {
				t.Fatalf("Check refuses what the case sends: %v", errs)
			}
			req, body := render(t.Context(), t, p, call)
			want := c.WantMethod
			if want == "" {
				want = http.MethodPost
			}
			if req.Method != want {
				t.Errorf("method %s, want %s", req.Method, want)
			}
			if got := req.URL.String(); got != BaseURL+c.WantPath {
				t.Errorf("URL %s, want %s", got, BaseURL+c.WantPath)
			}
			for name, value := range c.WantHeader {
				if diff := cmp.Diff([]string{value}, req.Header.Values(name)); diff != "" {
					t.Errorf("header %s (-want +got):\n%s", name, diff)
				}
			}
			diffJSON(t, c.WantBody, body)
		})
	}
}

func (s *Suite) refused(t *testing.T) {
	for _, c := range s.Refused {
		t.Run(c.Name, func(t *testing.T) {
			if errs := c.Message.Content.Validate(); errs != nil {
				t.Fatalf("the case's content isn't sound, nobody would ask the provider: %v", errs)
			}
			m := c.Message
			errs := s.New(BaseURL).Check(&m)
			var got []string
			for _, e := range errs {
				got = append(got, e.Field)
				if e.Message == "" {
					t.Errorf("%s: no message", e.Field)
				}
			}
			_, err := s.New(BaseURL).NewRequest(t.Context(), sender.Call{Message: &m, ReplyTo: gateway.ProviderMessageID(m.ReplyTo), Attempt: 1})
			if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassPermanent {
				t.Errorf("an account may change its provider after the message was accepted: NewRequest gives error %v, want one of class permanent", err)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.WantFields))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func (s *Suite) answers(t *testing.T) {
	for _, c := range s.Answers {
		t.Run(c.Name, func(t *testing.T) {
			body := []byte(c.Body)
			first := s.interpret(t, c.Status, c.header(), body)
			if string(body) != c.Body {
				t.Error("Interpret changed the answer")
			}
			// A result is the caller's: what it does to one must not show in the
			// next.
			if first.Error != nil {
				*first.Error = gateway.Error{}
			}
			if first.Suppress != nil {
				*first.Suppress = gateway.Suppression{}
			}
			got := s.interpret(t, c.Status, c.header(), body)
			if c.Want.Error != nil && c.Want.Error.Detail == "" && got.Error != nil {
				got.Error.Detail = ""
			}
			if diff := cmp.Diff(c.Want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func (c *AnswerCase) header() http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for name, value := range maps.All(c.Header) {
		h.Set(name, value)
	}
	return h
}

// render calls NewRequest, reads the body and checks that its length was told.
func render(ctx context.Context, t *testing.T, p sender.Provider, c sender.Call) (*http.Request, []byte) {
	t.Helper()
	req, err := p.NewRequest(ctx, c)
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	body := readBody(t, req)
	if req.ContentLength != int64(len(body)) {
		t.Errorf("ContentLength %d, the body has %d bytes", req.ContentLength, len(body))
	}
	return req, body
}
