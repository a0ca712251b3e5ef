package provisioning

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"unicode"
)

// What is shown of a document is a document: the same each time, without one
// secret, and masked again it stays as it is.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		`{"id":"s-1","bearerToken":"very-secret","nested":[{"facebookToken":"very-secret","secret":""}],"nextPageToken":"a"}`,
		`{"n":12345678901234567890,"f":1.50,"x":"<&>"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Sender
		var tm Template
		var w Webhook
		for _, err := range []error{json.Unmarshal(text, &s), json.Unmarshal(text, &tm), json.Unmarshal(text, &w)} {
			if err == nil && !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && strings.TrimSpace(string(text)) != "null" {
				t.Errorf("no object was read: %s", text)
			}
		}
		d := Document(text)
		shown, err := d.MarshalJSON()
		if err != nil {
			if json.Valid(text) {
				t.Errorf("%s can't be shown: %v", text, err)
			}
			return
		}
		if again, err := d.MarshalJSON(); err != nil || !bytes.Equal(again, shown) {
			t.Errorf("%s is shown as %s, and then as %s, %v", text, shown, again, err)
		}
		if again, err := Document(shown).MarshalJSON(); err != nil || !bytes.Equal(again, shown) {
			t.Errorf("%s masked again is %s, %v", shown, again, err)
		}
		dec := json.NewDecoder(bytes.NewReader(shown))
		dec.UseNumber() // some fit no float
		var v any
		if err := dec.Decode(&v); err != nil || !json.Valid(shown) {
			t.Fatalf("%s: %v", shown, err)
		}
		noSecrets(t, v)
	})
}

func noSecrets(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if secretName(name) && hides(member) && member != mask {
				t.Errorf("%s: %v is shown", name, member)
			}
			noSecrets(t, member)
		}
	case []any:
		for _, e := range v {
			noSecrets(t, e)
		}
	}
}

// Whatever the API answers, each call ends with what was read or a reason that
// can be shown: one line, without our token.
func FuzzAnswer(f *testing.F) {
	const token = "jwt-of-the-project"
	f.Add(200, []byte(`{"senders":[{"id":"s-1","maxTps":80,"countryCode":"46","phoneNumber":"0732 00 11 22"}],"nextPageToken":"p"}`))
	f.Add(200, []byte(`{"templates":[{"name":"a","language":"en"}],"webhooks":[{"id":"w"}],"longLivedAccessToken":"x"}`))
	f.Add(404, []byte(`{"errorCode":"sender_not_found","message":"jwt-of-the-project","resolution":"x","additionalInformation":{"metaError":{"code":100,"subcode":33}}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 999 || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			return // no answer, or one that is asked for again later
		}
		c, err := New(Settings{ProjectID: "p-1", Token: token, Client: &http.Client{Transport: answering{status, body}}})
		if err != nil {
			t.Fatal(err)
		}
		wanted := func(err error) {
			t.Helper()
			if err == nil {
				return
			}
			text := err.Error()
			if refusal, ok := errors.AsType[*Error](err); ok && (refusal.Status != status || strings.ContainsFunc(text, unicode.IsControl)) {
				t.Errorf("status %d: %q", status, text)
			}
			if strings.Contains(text, token) {
				t.Errorf("it tells the token: %q", text)
			}
		}
		_, err = c.Account(t.Context())
		wanted(err)
		_, err = c.Sender(t.Context(), "s-1")
		wanted(err)
		_, err = c.LongLivedToken(t.Context(), FacebookGrant{})
		wanted(err)
		_, err = c.WABADetails(t.Context(), "facebook-token")
		wanted(err)
		wanted(pages(t, c.Senders(t.Context(), SenderFilter{}), func(s *Sender) {
			if n := s.Number(); n != "" && strings.Trim(n, "0123456789") != "+" {
				t.Errorf("number %q", n)
			}
			_ = s.App()
		}))
		wanted(pages(t, c.Templates(t.Context(), TemplateFilter{}), func(*Template) {}))
		wanted(pages(t, c.Webhooks(t.Context()), func(*Webhook) {}))
	})
}

// pages goes through a list whose every page is the same one: it ends.
func pages[T any](t *testing.T, list iter.Seq2[*T, error], each func(*T)) (last error) {
	t.Helper()
	for item, err := range list {
		if (item == nil) == (err == nil) {
			t.Errorf("item %v beside error %v", item, err)
		}
		if err != nil {
			return err
		}
		each(item)
	}
	return nil
}

// answering is a transport that answers everything alike.
type answering struct {
	status int
	body   []byte
}

func (a answering) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: req,
	}, nil
}
