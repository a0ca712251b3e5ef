package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/gateway"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		" 7 ":                           7 * time.Second,
		"3600":                          time.Hour,
		"3601":                          time.Hour,
		"99999999999999999999999":       time.Hour,
		"-5":                            0,
		"soon":                          0,
		"1.5":                           0,
		"Sat, 21 Nov 2026 09:01:30 GMT": 90 * time.Second,
		"Sat, 21 Nov 2026 08:00:00 GMT": 0,
		"Sun, 22 Nov 2026 09:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q is %v, want %v", v, got, want)
		}
	}
}

func TestReceiverOf(t *testing.T) {
	for raw, want := range map[string]string{
		"https://hooks.example/a?b=c":    "hooks.example:443",
		"https://Hooks.Example.:443/":    "hooks.example:443",
		"http://hooks.example":           "hooks.example:80",
		"https://hooks.example:8443/x":   "hooks.example:8443",
		"https://[2001:db8::1]/":         "[2001:db8::1]:443",
		"ftp://hooks.example/":           "",
		"https:///path":                  "",
		"":                               "",
		"https://hooks.example/%zz":      "",
		"https://hooks.example:port/abc": "",
	} {
		if got := receiverOf(raw); got != want {
			t.Errorf("%q is called at %q, want %q", raw, got, want)
		}
	}
}

func TestFaultsTellNothingOfTheURL(t *testing.T) {
	for want, err := range map[string]error{
		"its name didn't resolve":         &net.DNSError{Err: "no such host", Name: "hooks.example"},
		"no secure connection came about": &tls.CertificateVerificationError{Err: errors.New("https://hooks.example")},
		"no answer in time":               context.DeadlineExceeded,
		"the connection was closed":       io.ErrUnexpectedEOF,
		"the connection failed":           errors.New("https://hooks.example/secret"),
	} {
		if got := faultOf(fmt.Errorf("Post %q: %w", "https://hooks.example/secret", err)); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}

func live(t *testing.T, h http.HandlerFunc) (*Courier, *gateway.Notice) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	client := s.Client()
	client.CheckRedirect = nil // it would follow them
	c := New(Options{Client: client, Version: "1.2.3", Secrets: func() [][]byte { return secrets(t, vectorSecret) }})
	t.Cleanup(client.CloseIdleConnections)
	return c, &gateway.Notice{Message: "m1", Number: 3, Account: "shop-eu", URL: s.URL + "/hook?token=1", Status: gateway.StatusSent}
}

func TestRequestOnTheWire(t *testing.T) {
	type request struct {
		method, uri string
		header      http.Header
		body        []byte
	}
	got := make(chan request, 1)
	c, n := live(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Method, r.RequestURI, r.Header, body}
	})
	if a := c.try(t.Context(), n); !a.confirmed() {
		t.Fatalf("the answer is %v", a)
	}
	r := <-got
	if r.method != http.MethodPost || r.uri != "/hook?token=1" {
		t.Errorf("request is %s %s", r.method, r.uri)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "Sluice/1.2.3", "Webhook-Id": "m1_3"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	seconds, err := strconv.ParseInt(r.header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(seconds, 0)
	want := http.Header{}
	setHeaders(want, "m1_3", at, r.body, secrets(t, vectorSecret))
	if r.header.Get("Webhook-Signature") != want.Get("Webhook-Signature") || time.Since(at) > time.Minute {
		t.Errorf("signature %q isn't of the body at %v", r.header.Get("Webhook-Signature"), at)
	}
}

func TestRedirectsAreFailures(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			c, n := live(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/hook" {
					t.Errorf("%s was called", r.URL.Path)
				}
				http.Redirect(w, r, "/elsewhere", status)
			})
			if a := c.try(t.Context(), n); a.status != status || a.confirmed() || a.busy() {
				t.Errorf("the answer is %v", a)
			}
		})
	}
}

func TestAnswerWithoutEndIsNotReadOn(t *testing.T) {
	c, n := live(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	})
	if a := c.try(t.Context(), n); !a.confirmed() {
		t.Errorf("the answer is %v", a)
	}
}

func TestURLThatCantBeCalled(t *testing.T) {
	c := New(Options{Client: http.DefaultClient})
	a := c.try(t.Context(), &gateway.Notice{URL: "https://hooks.example/%zz"})
	if a.void == nil || a.void.Code != CodeURL || strings.Contains(a.void.Error(), "hooks") {
		t.Errorf("the answer is %+v", a)
	}
}
