package whatsapponprem_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
	"sluice/internal/sender/providertest"
	"sluice/internal/sender/whatsapponprem"
)

const loginPath = "/v1/users/login"

func loggingIn(h *host) whatsapponprem.Settings {
	return whatsapponprem.Settings{BaseURL: hostURL, Username: username, Password: password, Client: h.client()}
}

func plainCall(t *testing.T, id gateway.MessageID) sender.Call {
	t.Helper()
	m := providertest.Message(t, `{"type":"text","text":{"body":"Hi"}}`)
	m.ID, m.Recipient = id, "+250788123123"
	return sender.Call{Message: &m, Attempt: 1}
}

// bearer is the authorization of a request made now.
func bearer(ctx context.Context, t *testing.T, p *whatsapponprem.Provider) (string, error) {
	t.Helper()
	req, err := p.NewRequest(ctx, plainCall(t, "m"))
	if err != nil {
		return "", err
	}
	return req.Header.Get("Authorization"), nil
}

func wantBearer(t *testing.T, p *whatsapponprem.Provider, want string) {
	t.Helper()
	if got, err := bearer(t.Context(), t, p); err != nil || got != want {
		t.Errorf("authorization %q, %v, want %q", got, err, want)
	}
}

func wantLogins(t *testing.T, h *host, want int) {
	t.Helper()
	if got := len(h.made(loginPath)); got != want {
		t.Errorf("%d logins, want %d", got, want)
	}
}

// S2-02 of the reference.
func TestLoginIsMadeOnceAndWithoutABody(t *testing.T) {
	h := newHost()
	p := whatsapponprem.New(loggingIn(h))
	p.Prepare(t.Context())
	for range 3 {
		wantBearer(t, p, "Bearer OPTOKEN-1")
	}
	want := []call{{Method: "POST", Path: loginPath, Authorization: basic}}
	if diff := cmp.Diff(want, h.made("")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// S2-01 of the reference: admin and secret are what a new host knows.
func TestFirstLoginChangesThePassword(t *testing.T) {
	h := newHost()
	h.password, h.mustChange = "secret", true
	username := "admin"
	s := whatsapponprem.Settings{BaseURL: hostURL, Username: username, Password: "secret", NewPassword: newPassword, Client: h.client()}
	h.answerFirst(loginPath,
		reply{status: 401, body: `{"errors":[{"code":1024,"title":"Password change required"}]}`},
		reply{status: 200, body: `{"users":[{"token":"eyJ","expires_after":"2018-03-01 15:29:26+00:00"}]}`},
	)
	wantBearer(t, whatsapponprem.New(s), "Bearer eyJ")
	want := []call{
		{Method: "POST", Path: loginPath, Authorization: "Basic YWRtaW46c2VjcmV0"},
		{Method: "POST", Path: loginPath, Authorization: "Basic YWRtaW46c2VjcmV0", ContentType: "application/json", Length: 32, Body: `{"new_password":"N3w-Passw0rd!"}`},
	}
	if diff := cmp.Diff(want, h.made("")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestANewPasswordIsUsedFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.mustChange = true
		s := loggingIn(h)
		s.NewPassword = newPassword
		p := whatsapponprem.New(s)
		wantBearer(t, p, "Bearer OPTOKEN-1")
		wantLogins(t, h, 2) // the one that is refused, and the one that changes it
		pass(8 * 24 * time.Hour)
		wantBearer(t, p, "Bearer OPTOKEN-2")
		wantLogins(t, h, 3)

		another := whatsapponprem.New(s) // which begins with the old one
		wantBearer(t, another, "Bearer OPTOKEN-3")
		wantLogins(t, h, 5)
	})
}

func TestAFailedLoginSaysWhatItMeans(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*host)
		want   gateway.Error
	}{
		{
			"a wrong password suspends the account", func(h *host) { h.password = "another" },
			gateway.Error{Class: gateway.ClassSuspended, Code: "1005", Title: "login refused: Access denied", Detail: "Invalid credentials."},
		},
		{
			"a first login without a new password suspends the account", func(h *host) { h.mustChange = true },
			gateway.Error{Class: gateway.ClassSuspended, Code: "1024", Title: "login refused: the host demands a new password first"},
		},
		{
			"a path that doesn't exist suspends the account", func(h *host) { h.answerFirst(loginPath, reply{status: 404, body: "<html>"}) },
			gateway.Error{Class: gateway.ClassSuspended, Code: "http_404", Title: "login refused: HTTP 404 without an error code: Not Found"},
		},
		{
			"a request that is no good suspends the account, for no message is at fault",
			func(h *host) {
				h.answerFirst(loginPath, reply{status: 400, body: `{"errors":[{"code":1008,"title":"Required parameter is missing"}]}`})
			},
			gateway.Error{Class: gateway.ClassSuspended, Code: "1008", Title: "login refused: Required parameter is missing"},
		},
		{
			"a redirect isn't followed with a password", func(h *host) { h.answerFirst(loginPath, reply{status: 307}) },
			gateway.Error{Class: gateway.ClassSuspended, Code: "http_307", Title: "login refused: redirect refused"},
		},
		{
			"too many logins", func(h *host) {
				h.answerFirst(loginPath, reply{status: 429, body: `{"errors":[{"code":1015,"title":"Too many requests"}]}`})
			},
			gateway.Error{Class: gateway.ClassThrottled, Code: "1015", Title: "login refused: Too many requests"},
		},
		{
			"a host in distress", func(h *host) { h.answerFirst(loginPath, reply{status: 502, body: "<html>"}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "http_502", Title: "login refused: HTTP 502 without an error code: Bad Gateway"},
		},
		{
			"an answer without a token", func(h *host) { h.answerFirst(loginPath, reply{status: 200, body: `{"users":[]}`}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "login: the host answered something else"},
		},
		{
			"an answer of errors with 200", func(h *host) { h.answerFirst(loginPath, reply{status: 200, body: denied}) },
			gateway.Error{Class: gateway.ClassSuspended, Code: "1005", Title: "login refused: Access denied", Detail: "Invalid credentials."},
		},
		{
			"half an answer", func(h *host) { h.answerFirst(loginPath, reply{status: 200, body: `{"users":[{"token":"eyJ`}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "login: the host answered something else"},
		},
		{
			"no answer's body", func(h *host) { h.answerFirst(loginPath, reply{status: 200}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "login: the host answered something else"},
		},
		{
			"a token that is none", func(h *host) { h.answerFirst(loginPath, reply{status: 200, body: `{"users":[{"token":null}]}`}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "login: the host answered something else"},
		},
		{
			"an answer of something else", func(h *host) { h.answerFirst(loginPath, reply{status: 200, body: `{"messages":[{"id":"x"}]}`}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "odd_answer", Title: "login: the host answered something else"},
		},
		{
			"a name that doesn't resolve", func(h *host) { h.answerFirst(loginPath, reply{err: &net.DNSError{Err: "no such host", Name: "wa"}}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "dns", Title: "logging in: the host couldn't be reached", Detail: "its name didn't resolve"},
		},
		{
			"a certificate nobody trusts", func(h *host) {
				h.answerFirst(loginPath, reply{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}})
			},
			gateway.Error{Class: gateway.ClassTransient, Code: "tls", Title: "logging in: the host couldn't be reached", Detail: "its certificate isn't trusted; one that it signed itself needs ca_file"},
		},
		{
			"a refused connection", func(h *host) { h.answerFirst(loginPath, reply{err: errors.New("connection refused")}) },
			gateway.Error{Class: gateway.ClassTransient, Code: "connect", Title: "logging in: the host couldn't be reached", Detail: "the connection failed"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			c.change(h)
			p := whatsapponprem.New(loggingIn(h))
			_, err := bearer(t.Context(), t, p)
			got, ok := errors.AsType[*gateway.Error](err)
			if !ok {
				t.Fatalf("%v, want a *gateway.Error", err)
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	const hour, day = time.Hour, 24 * time.Hour
	for _, c := range []struct {
		name         string
		life         time.Duration
		expires      func(time.Time) string
		kept, before time.Duration // used after kept, replaced by before
	}{
		{"at 80 % of a week", 7 * day, nil, 127 * hour, 135 * hour},
		{"a day before the end of three days", 3 * day, nil, 45 * hour, 48 * hour},
		{"at half of a day and a bit", 25 * hour, nil, 11 * hour, 12*hour + 31*time.Minute},
		{"at half of an hour", hour, nil, 28 * time.Minute, 31 * time.Minute},
		{"in RFC 3339", 7 * day, func(at time.Time) string { return at.Format(time.RFC3339) }, 127 * hour, 135 * hour},
		{"in another zone", 7 * day, func(at time.Time) string {
			return at.In(time.FixedZone("", -5*3600)).Format("2006-01-02 15:04:05-07:00")
		}, 127 * hour, 135 * hour},
		{"a week if the host doesn't say", 7 * day, func(time.Time) string { return "" }, 127 * hour, 135 * hour},
		{"nor if it can't be read", 7 * day, func(time.Time) string { return "next Tuesday" }, 127 * hour, 135 * hour},
		{"a minute whatever the host's clock says", 7 * day, func(at time.Time) string { return at.Add(-30 * day).Format(time.RFC3339) }, 28 * time.Second, 31 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost()
				h.life, h.expires = c.life, c.expires
				p := whatsapponprem.New(loggingIn(h))
				wantBearer(t, p, "Bearer OPTOKEN-1")
				pass(c.kept)
				wantBearer(t, p, "Bearer OPTOKEN-1")
				wantLogins(t, h, 1)
				pass(c.before - c.kept)
				wantBearer(t, p, "Bearer OPTOKEN-2")
				wantLogins(t, h, 2)
			})
		})
	}
}

func TestAFailedRefreshCostsNothingWhileTheTokenIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		p := whatsapponprem.New(loggingIn(h))
		wantBearer(t, p, "Bearer OPTOKEN-1")
		pass(6 * 24 * time.Hour)
		h.answerFirst(loginPath, reply{status: 502})
		wantBearer(t, p, "Bearer OPTOKEN-1")
		wantBearer(t, p, "Bearer OPTOKEN-1")
		wantLogins(t, h, 2) // not again at once
		pass(time.Minute)
		wantBearer(t, p, "Bearer OPTOKEN-2")
		wantLogins(t, h, 3)
	})
}

// many makes n requests at one time and gives what became of them, when all
// wait for a login and it may go on.
func many(t *testing.T, h *host, p *whatsapponprem.Provider, n int) (texts map[string]int) {
	t.Helper()
	h.gate = make(chan struct{})
	texts = map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			text, err := bearer(t.Context(), t, p)
			mu.Lock()
			defer mu.Unlock()
			texts[fmt.Sprint(text, err)]++
		})
	}
	synctest.Wait()
	close(h.gate)
	wg.Wait()
	return texts
}

func TestOneLoginServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		got := many(t, h, whatsapponprem.New(loggingIn(h)), 100)
		if diff := cmp.Diff(map[string]int{"Bearer OPTOKEN-1<nil>": 100}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		wantLogins(t, h, 1)
	})
}

func TestOneFailedLoginServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.password = "another"
		p := whatsapponprem.New(loggingIn(h))
		got := many(t, h, p, 100)
		if diff := cmp.Diff(map[string]int{"suspended 1005: login refused: Access denied": 100}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		wantLogins(t, h, 1)
		h.password = password
		if _, err := bearer(t.Context(), t, p); err == nil {
			t.Error("a login was tried again at once")
		}
		pass(5 * time.Second)
		wantBearer(t, p, "Bearer OPTOKEN-1") // who comes later tries anew
		wantLogins(t, h, 2)
	})
}

// While a refresh is under way the old token serves everybody else.
func TestARefreshKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		p := whatsapponprem.New(loggingIn(h))
		wantBearer(t, p, "Bearer OPTOKEN-1")
		pass(6 * 24 * time.Hour)
		got := many(t, h, p, 100)
		if diff := cmp.Diff(map[string]int{"Bearer OPTOKEN-1<nil>": 99, "Bearer OPTOKEN-2<nil>": 1}, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		wantLogins(t, h, 2)
	})
}

func TestWhoGoesAwaySpoilsNobodysLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.gate = make(chan struct{})
		p := whatsapponprem.New(loggingIn(h))
		ctx, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := bearer(ctx, t, p); err == nil {
				t.Error("who went away got a token")
			}
		})
		synctest.Wait()
		wg.Go(func() { wantBearer(t, p, "Bearer OPTOKEN-1") })
		wg.Go(func() {
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := bearer(short, t, p)
			if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassTransient || e.Code != "timeout" {
				t.Errorf("who waited too long got %v", err)
			}
		})
		pass(2 * time.Second)
		leave()
		synctest.Wait()
		close(h.gate)
		wg.Wait()
		wantLogins(t, h, 2)
	})
}

func TestAHostThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.gate = make(chan struct{})
		began := time.Now()
		_, err := bearer(t.Context(), t, whatsapponprem.New(loggingIn(h)))
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Code != "timeout" || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// The sender watches the message's own request to know whether it left; a login
// must not look like it.
func TestALoginIsNotTakenForTheMessage(t *testing.T) {
	h := newHost()
	seen := false
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) { seen = true }})
	s := loggingIn(h)
	s.Client.Transport = roundTripper{h, func(ctx context.Context) { seen = seen || httptrace.ContextClientTrace(ctx) != nil }}
	if _, err := bearer(ctx, t, whatsapponprem.New(s)); err != nil {
		t.Fatal(err)
	}
	if seen {
		t.Error("the login carries the message's trace")
	}
}

func TestATokenQuotedByTheHostIsNotKept(t *testing.T) {
	h := newHost()
	p := whatsapponprem.New(loggingIn(h))
	wantBearer(t, p, "Bearer OPTOKEN-1")
	r := p.Interpret(sender.Answer{Status: 401, Body: []byte(`{"errors":[{"code":1005,"title":"Access denied","details":"bad OPTOKEN-1, ` + basic + `"}]}`)})
	if strings.Contains(r.Error.Detail, "OPTOKEN") || strings.Contains(r.Error.Detail, "Z2F0") {
		t.Errorf("a secret in %q", r.Error.Detail)
	}
}
