package whatsapponprem_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/whatsapponprem"
)

// S2-06 of the reference.
func TestAnUploadIsTheFilesBytes(t *testing.T) {
	const bytes = "\xff\xd8\xff\xe0 a picture"
	req, err := whatsapponprem.New(settings(hostURL)).NewUpload(t.Context(), sender.Upload{
		Name: "a.jpg", Type: "image/jpeg", Size: int64(len(bytes)), Body: strings.NewReader(bytes),
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != bytes {
		t.Errorf("body %q, %v", body, err)
	}
	if req.Method != http.MethodPost || req.URL.String() != "https://wa.example.net/v1/media" || req.ContentLength != int64(len(bytes)) {
		t.Errorf("%s %s with %d bytes", req.Method, req.URL, req.ContentLength)
	}
	want := http.Header{"Authorization": {"Bearer OPTOKEN"}, "Content-Type": {"image/jpeg"}, "Accept": {"application/json"}}
	if diff := cmp.Diff(want, req.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestInterpretUpload(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		id     string
		class  gateway.Class // of what is refused
	}{
		{"taken", 200, `{"media":[{"id":"f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68"}]}`, "f043afd0-f0ae-4b9c-ab3d-696fb4c8cd68", ""},
		{"taken with 201", 201, `{"media":[{"id":"f0"}],"meta":{"version":"v2.45.1"}}`, "f0", ""},
		{"no id", 200, `{"media":[]}`, "", gateway.ClassTransient},
		{"a message's id", 200, `{"messages":[{"id":"f0"}]}`, "", gateway.ClassTransient},
		{"a proxy's 502", 502, `<html>`, "", gateway.ClassTransient},
		{"an id beside a 500", 500, `{"media":[{"id":"f0"}]}`, "", gateway.ClassTransient},
		{"a volume that is full", 500, `{"errors":[{"code":1014,"title":"Internal error"}]}`, "", gateway.ClassTransient},
		{"an id that the host has drawn twice", 409, `{"errors":[{"code":1004,"title":"Resource already exists"}]}`, "", gateway.ClassTransient},
		{"a file that is refused", 400, `{"errors":[{"code":1009,"title":"Parameter value is not valid"}]}`, "", gateway.ClassPermanent},
		{"a limit", 429, `{"errors":[{"code":1015,"title":"Too many requests"}]}`, "", gateway.ClassThrottled},
		{"a token that is refused", 401, denied, "", gateway.ClassSuspended},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, expires, refused := whatsapponprem.New(settings(hostURL)).InterpretUpload(sender.Answer{Status: c.status, Body: []byte(c.body)})
			if id != c.id || (id != "") != (expires == 30*24*time.Hour) {
				t.Errorf("id %q for %v", id, expires)
			}
			var class gateway.Class
			if refused != nil {
				class = refused.Class
			}
			if class != c.class {
				t.Errorf("refused %v, want class %q", refused, c.class)
			}
		})
	}
}

// A token that was refused is replaced by the next upload's login, unless that
// has helped none of the last ones.
func TestAnUploadsRefusedTokenIsReplaced(t *testing.T) {
	h := newHost()
	p := whatsapponprem.New(loggingIn(h))
	upload := func() string {
		t.Helper()
		req, err := p.NewUpload(t.Context(), sender.Upload{Type: "image/jpeg", Body: strings.NewReader("x")})
		if err != nil {
			t.Fatal(err)
		}
		return req.Header.Get("Authorization")
	}
	deny := func(a sender.Answer, want gateway.Class) {
		t.Helper()
		if _, _, refused := p.InterpretUpload(a); refused == nil || refused.Class != want || refused.Code != "1005" {
			t.Errorf("refused %v, want class %s", refused, want)
		}
	}
	if got := upload(); got != "Bearer OPTOKEN-1" {
		t.Errorf("authorization %q", got)
	}
	deny(unauthorized, gateway.ClassTransient)
	if got := upload(); got != "Bearer OPTOKEN-2" {
		t.Errorf("then authorization %q", got)
	}
	for range 9 {
		deny(sender.Answer{Status: 403, Body: []byte(denied)}, gateway.ClassTransient)
	}
	deny(unauthorized, gateway.ClassSuspended)
	if _, _, refused := p.InterpretUpload(sender.Answer{Status: 200, Body: []byte(`{"media":[{"id":"f0"}]}`)}); refused != nil {
		t.Error(refused)
	}
	deny(unauthorized, gateway.ClassTransient)
}

func TestALoginThatFailsIsTheUploadsRefusal(t *testing.T) {
	h := newHost()
	h.password = "changed"
	_, err := whatsapponprem.New(loggingIn(h)).NewUpload(t.Context(), sender.Upload{Type: "image/jpeg", Body: strings.NewReader("x")})
	if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassSuspended {
		t.Errorf("error %v", err)
	}
}

func TestLostUpload(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer sender.Answer
		want   bool
	}{
		{"a file", sender.Answer{Status: 404, Body: []byte(`{"errors":[{"code":1006,"title":"Resource not found","details":"media f043afd0 not found"}]}`)}, true},
		{"nobody says what", sender.Answer{Status: 404, Body: []byte(`{"errors":[{"code":1006,"title":"Resource not found"}]}`)}, true},
		{"the recipient", noContact, false},
		{"a wrong value", sender.Answer{Status: 400, Body: []byte(`{"errors":[{"code":1009,"title":"Parameter value is not valid"}]}`)}, false},
		{"a path that isn't there", sender.Answer{Status: 404, Body: []byte(`<html>`)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := whatsapponprem.New(settings(hostURL)).LostUpload(c.answer); got != c.want {
				t.Errorf("%t", got)
			}
		})
	}
}

func TestKeeperIsTheHostAndWhoTheCredentialsAreOf(t *testing.T) {
	keeper := func(s whatsapponprem.Settings) string { return whatsapponprem.New(s).Keeper() }
	here := keeper(whatsapponprem.Settings{BaseURL: hostURL, Username: "a", Password: "p4ss"})
	if got := keeper(whatsapponprem.Settings{BaseURL: hostURL, Username: "a", Password: "changed"}); got != here {
		t.Errorf("%q with another password, %q before", got, here)
	}
	seen := map[string]bool{here: true}
	for _, s := range []whatsapponprem.Settings{
		{BaseURL: "https://other.example", Username: "a"},
		{BaseURL: hostURL, Username: "b"},
		{BaseURL: hostURL, Token: "T0KEN"},
		{BaseURL: hostURL, APIKey: "T0KEN"},
		{BaseURL: hostURL, APIKey: "other"},
	} {
		got := keeper(s)
		if seen[got] || strings.Contains(got, "T0KEN") {
			t.Errorf("%q", got)
		}
		seen[got] = true
	}
}
