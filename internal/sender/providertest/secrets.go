package providertest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// secrets checks that no credential leaves by any way but a header: not in the
// URL, which errors quote, not in errors, and not in a Result when the
// provider's answer quotes it (Meta's "Malformed access token …" does).
func (s *Suite) secrets(t *testing.T) {
	leaks := func(text string) bool {
		for _, secret := range s.Secrets {
			if strings.Contains(text, secret) {
				return true
			}
		}
		return false
	}
	t.Run("in URLs and bodies", func(t *testing.T) {
		req, body := render(t.Context(), t, s.New(BaseURL), s.plainCall(t))
		if leaks(req.URL.String()) || leaks(string(body)) {
			t.Errorf("a secret in %s %s", req.URL, body)
		}
	})
	t.Run("in errors", func(t *testing.T) {
		for _, base := range []string{"https://provider.example:port", "https://a b\x7f", "%zz", ""} {
			if _, err := s.New(base).NewRequest(t.Context(), s.plainCall(t)); err != nil && leaks(err.Error()) {
				t.Errorf("base URL %q: a secret in the error: %v", base, err)
			}
		}
	})
	t.Run("in results", func(t *testing.T) {
		for _, c := range s.Answers {
			v, err := decode([]byte(c.Body))
			if err != nil {
				v = c.Body
			}
			leaves("", v, func(path, _ string) {
				for _, secret := range s.Secrets {
					body, err := json.Marshal(replaceValue("", v, path, "Malformed access token "+secret))
					if err != nil {
						t.Fatal(err)
					}
					r := s.interpret(t, c.Status, c.header(), body)
					r.ProviderMessageID = "" // opaque: it says what the provider says
					if leaks(printed(r)) {
						t.Errorf("%s: a secret at %q of the answer is in the result: %s", c.Name, path, printed(r))
					}
				}
			})
		}
		for _, secret := range s.Secrets {
			for _, status := range []int{200, 302, 400, 401, 403, 429, 500} {
				if r := s.interpret(t, status, nil, []byte("<p>bad token "+secret+"</p>")); leaks(printed(r)) {
					t.Errorf("status %d: a secret in the result: %s", status, printed(r))
				}
			}
		}
	})
}

func printed(r gateway.Result) string {
	s := fmt.Sprintf("%+v", r)
	if r.Error != nil {
		s += fmt.Sprintf(" %+v", *r.Error)
	}
	if r.Suppress != nil {
		s += fmt.Sprintf(" %+v", *r.Suppress)
	}
	return s
}

func (s *Suite) mediaRules(t *testing.T) {
	p := s.New(BaseURL)
	for _, kind := range []gateway.MediaKind{
		gateway.MediaImage, gateway.MediaVideo, gateway.MediaAudio, gateway.MediaDocument, gateway.MediaSticker,
	} {
		rule := p.MediaRule(kind)
		if (len(rule.Types) == 0) != (rule.MaxBytes == 0) {
			t.Errorf("%s: types and size go together: %+v", kind, rule)
		}
		for _, name := range rule.Types {
			if !strings.Contains(name, "/") || strings.Contains(name, ";") || name != strings.ToLower(name) {
				t.Errorf("%s: %q is no content type in lower case without parameters", kind, name)
			}
		}
	}
	if rule := p.MediaRule("hologram"); len(rule.Types) > 0 {
		t.Errorf("a kind that doesn't exist is taken: %+v", rule)
	}
}

// concurrentUse gives the race detector something to see.
func (s *Suite) concurrentUse(t *testing.T) {
	p := s.New(BaseURL)
	call := s.plainCall(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				p.Check(call.Message)
				p.MediaRule(gateway.MediaImage)
				if _, err := p.NewRequest(t.Context(), call); err != nil {
					t.Errorf("NewRequest: %v", err)
				}
				for _, c := range s.Answers {
					p.Interpret(sender.Answer{Status: c.Status, Header: c.header(), Body: []byte(c.Body)})
				}
			}
		})
	}
	wg.Wait()
}
