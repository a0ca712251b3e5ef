package sinchconversation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/sender"
)

// fakeLogin is Sinch's token server behind a client. It gives out jwt-1,
// jwt-2, … and takes the time it is told to.
type fakeLogin struct {
	takes    time.Duration
	lifetime int // seconds; 0: 3599, below: the token names none

	mu       sync.Mutex
	next     []fakeAnswer // before tokens are given out
	requests []string     // method, URL, the two headers and the body
	given    int
}

type fakeAnswer struct {
	status int
	body   string
	err    error // instead of an answer
}

func (f *fakeLogin) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{}) // as a real transport does
	}
	body, _ := io.ReadAll(req.Body)
	f.mu.Lock()
	f.requests = append(f.requests, strings.Join([]string{
		req.Method, req.URL.String(), req.Header.Get("Authorization"), req.Header.Get("Content-Type"), string(body),
	}, "\n"))
	f.mu.Unlock()
	if f.takes > 0 {
		select {
		case <-time.After(f.takes):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	a := f.answer()
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: req,
	}, nil
}

func (f *fakeLogin) answer() fakeAnswer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) > 0 {
		a := f.next[0]
		f.next = f.next[1:]
		return a
	}
	f.given++
	life := ""
	switch {
	case f.lifetime == 0:
		life = `,"expires_in":3599`
	case f.lifetime > 0:
		life = fmt.Sprintf(`,"expires_in":%d`, f.lifetime)
	}
	return fakeAnswer{status: 200, body: fmt.Sprintf(`{"access_token":"jwt-%d"%s,"scope":"","token_type":"bearer"}`, f.given, life)}
}

func (f *fakeLogin) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.requests)
}

func (f *fakeLogin) refuse(answers ...fakeAnswer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, answers...)
}

func (f *fakeLogin) provider() *Provider { return newProvider("", f) }

func call(tb testing.TB, n int) sender.Call {
	tb.Helper()
	m := message(tb, `{"type":"text","text":{"body":"Hello"}}`)
	m.ID = gateway.MessageID(fmt.Sprintf("gw-%04d", n))
	return sender.Call{Message: &m, Attempt: 1}
}

// pass lets time pass; in a bubble only.
func pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
}

// expectToken makes a request and looks at the token it carries.
func expectToken(tb testing.TB, p *Provider, want string) {
	tb.Helper()
	req, err := p.NewRequest(tb.Context(), call(tb, 1))
	if err != nil {
		tb.Fatalf("NewRequest: %v", err)
	}
	if got := req.Header.Get("Authorization"); got != "Bearer "+want {
		tb.Errorf("Authorization %q, want the token %s", got, want)
	}
}

func TestC14TheLoginsBytes(t *testing.T) {
	f := &fakeLogin{}
	expectToken(t, f.provider(), "jwt-1")
	want := []string{"POST\nhttps://auth.sinch.com/oauth2/token\nBasic a2V5LTE6c2VjcmV0LTE=\napplication/x-www-form-urlencoded\ngrant_type=client_credentials"}
	if diff := cmp.Diff(want, f.requests); diff != "" {
		t.Errorf("login (-want +got):\n%s", diff)
	}
}

func TestTheLoginsAddressCanBeSet(t *testing.T) {
	f := &fakeLogin{}
	p := New(Settings{Region: "eu", KeyID: "k", KeySecret: "s", AuthURL: "http://127.0.0.1:8090/token", Client: &http.Client{Transport: f}})
	expectToken(t, p, "jwt-1")
	if !strings.HasPrefix(f.requests[0], "POST\nhttp://127.0.0.1:8090/token\n") {
		t.Errorf("login at %q", f.requests[0])
	}
}

func TestPrepareLogsInForTheRequest(t *testing.T) {
	f := &fakeLogin{}
	p := f.provider()
	for range 3 {
		p.Prepare(t.Context())
	}
	expectToken(t, p, "jwt-1")
	if n := f.asked(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestC14FiftySendersOnAColdCacheLogInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: time.Second}
		p := f.provider()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { expectToken(t, p, "jwt-1") })
		}
		wg.Wait()
		if n := f.asked(); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
	})
}

func TestATokenIsRenewedBeforeItsEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		lifetime int
		keeps    time.Duration
	}{
		{"a minute before", 3599, 3538 * time.Second},
		{"after half its life if that is short", 30, 14 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeLogin{lifetime: c.lifetime}
				p := f.provider()
				expectToken(t, p, "jwt-1")
				pass(c.keeps) // it is still fresh
				expectToken(t, p, "jwt-1")
				pass(time.Second) // it is time
				expectToken(t, p, "jwt-2")
			})
		})
	}
	t.Run("and kept if it names no end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeLogin{lifetime: -1}
			p := f.provider()
			expectToken(t, p, "jwt-1")
			pass(1000 * time.Hour)
			expectToken(t, p, "jwt-1")
		})
	})
}

func TestNobodyWaitsForARenewalButTheOneWhoMakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{}
		p := f.provider()
		expectToken(t, p, "jwt-1")
		pass(3540 * time.Second) // it is time to renew
		f.takes = 4 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { expectToken(t, p, "jwt-2") })
		synctest.Wait()
		began := time.Now()
		expectToken(t, p, "jwt-1")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("waited for %v", waited)
		}
		wg.Wait()
		expectToken(t, p, "jwt-2")
	})
}

func TestATokenThatHoldsServesWhileTheLoginIsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{}
		p := f.provider()
		expectToken(t, p, "jwt-1")
		pass(3540 * time.Second) // 59 s are left
		f.refuse(fakeAnswer{status: 503})
		expectToken(t, p, "jwt-1")
		expectToken(t, p, "jwt-1")
		if n := f.asked(); n != 2 {
			t.Errorf("%d logins, want no second try at once", n)
		}
		pass(loginPause)
		expectToken(t, p, "jwt-2")
	})
}

func TestLoginThatFails(t *testing.T) {
	const quoting = `{"error":"invalid_client","error_description":"secret-1 is not the secret of key-1"}`
	for _, c := range []struct {
		name   string
		answer fakeAnswer
		want   gateway.Error
	}{
		{
			"401 is a wrong key",
			fakeAnswer{status: 401, body: quoting},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_401", Title: "Sinch's login refused the access key", Detail: "invalid_client"},
		},
		{
			"400 is a wrong key too",
			fakeAnswer{status: 400, body: `{"error":"unauthorized_client"}`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_400", Title: "Sinch's login refused the access key", Detail: "unauthorized_client"},
		},
		{
			"403 is a key without rights",
			fakeAnswer{status: 403, body: `<html>secret-1</html>`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_403", Title: "Sinch's login refused the access key"},
		},
		{
			"404 is a wrong address",
			fakeAnswer{status: 404},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_404", Title: "Sinch's login refused the access key"},
		},
		{
			"a redirect is a wrong address",
			fakeAnswer{status: 302},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_302", Title: "Sinch's login refused the access key"},
		},
		{
			"half an answer is none",
			fakeAnswer{status: 200, body: `{"access_token":"jwt-1","expires_`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_unreadable", Title: "Sinch's login answered without an access token"},
		},
		{
			"an error under a 200 is one",
			fakeAnswer{status: 200, body: `{"error":"secret-1"}`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_200", Title: "Sinch's login refused the access key", Detail: "[redacted]"},
		},
		{
			"an answer without a token is a wrong address",
			fakeAnswer{status: 200, body: `{}`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_unreadable", Title: "Sinch's login answered without an access token"},
		},
		{
			"an answer that is no JSON is a wrong address",
			fakeAnswer{status: 200, body: `<html>secret-1</html>`},
			gateway.Error{Class: gateway.ClassSuspended, Code: "login_unreadable", Title: "Sinch's login answered without an access token"},
		},
		{
			"429 is a limit",
			fakeAnswer{status: 429},
			gateway.Error{Class: gateway.ClassThrottled, Code: "login_429", Title: "Sinch's login is asked too often"},
		},
		{
			"500 passes",
			fakeAnswer{status: 500, body: `oops`},
			gateway.Error{Class: gateway.ClassTransient, Code: "login_500", Title: "Sinch's login is out of order"},
		},
		{
			"503 passes",
			fakeAnswer{status: 503},
			gateway.Error{Class: gateway.ClassTransient, Code: "login_503", Title: "Sinch's login is out of order"},
		},
		{
			"a connection refused passes",
			fakeAnswer{err: errors.New("dial tcp: connection refused, secret-1")},
			gateway.Error{Class: gateway.ClassTransient, Code: "login_unreachable", Title: "Sinch's login couldn't be reached"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeLogin{next: []fakeAnswer{c.answer}}
				p := f.provider()
				p.Prepare(t.Context())
				_, err := p.NewRequest(t.Context(), call(t, 1))
				got, _ := errors.AsType[*gateway.Error](err)
				if diff := cmp.Diff(&c.want, got); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				if n := f.asked(); n != 1 {
					t.Errorf("%d logins, want 1: what Prepare met shows in NewRequest", n)
				}
				pass(loginPause)
				expectToken(t, p, "jwt-1")
			})
		})
	}
}

func TestAFailedLoginFailsAllWhoWaitedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: time.Second, next: []fakeAnswer{{status: 401}}}
		p := f.provider()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := p.NewRequest(t.Context(), call(t, 1)); err == nil {
					t.Error("a request without a login")
				}
			})
		}
		wg.Wait()
		if n := f.asked(); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
	})
}

func TestALoginGivenUpIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: 2 * time.Second}
		p := f.provider()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := p.NewRequest(ctx, call(t, 1))
			if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassTransient {
				t.Errorf("error %v, want one of class transient", err)
			}
		})
		synctest.Wait()
		expectToken(t, p, "jwt-1")
		wg.Wait()
		if n := f.asked(); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
	})
}

func TestWhoGivesUpWaitingIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: 5 * time.Second}
		p := f.provider()
		var wg sync.WaitGroup
		wg.Go(func() { expectToken(t, p, "jwt-1") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := p.NewRequest(ctx, call(t, 2))
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassTransient {
			t.Errorf("error %v, want one of class transient", err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited for %v", waited)
		}
		wg.Wait()
	})
}

func TestALoginThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: time.Hour}
		began := time.Now()
		_, err := f.provider().NewRequest(t.Context(), call(t, 1))
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Class != gateway.ClassTransient || time.Since(began) != loginTimeout {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
	})
}

// The sender takes what is written under its trace for the message.
func TestALoginIsNotTakenForTheMessage(t *testing.T) {
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { t.Error("the login is traced") },
	})
	if _, err := (&fakeLogin{}).provider().NewRequest(ctx, call(t, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsRefusedCostsNoLogin(t *testing.T) {
	f := &fakeLogin{}
	m := message(t, `{"type":"image","image":{"id":"1"}}`)
	if _, err := f.provider().NewRequest(t.Context(), sender.Call{Message: &m, Attempt: 1}); err == nil {
		t.Error("taken")
	}
	if n := f.asked(); n != 0 {
		t.Errorf("%d logins", n)
	}
}

func refused401(challenge string) sender.Answer {
	return sender.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {challenge}}}
}

const tokenExpired = `Bearer error="invalid_token", error_description="The token Expired"`

func TestR9AnExpiredTokenIsReplacedOnce(t *testing.T) {
	f := &fakeLogin{}
	p := f.provider()
	expectToken(t, p, "jwt-1")
	if !p.Recover(t.Context(), call(t, 1), refused401(tokenExpired)) {
		t.Fatal("the call isn't made again")
	}
	expectToken(t, p, "jwt-2")
	if p.Recover(t.Context(), call(t, 1), refused401(tokenExpired)) {
		t.Error("the call is made a third time")
	}
	if n := f.asked(); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
	if r := p.Interpret(refused401(tokenExpired)); r.Outcome != gateway.OutcomeSuspended {
		t.Errorf("outcome %s, want suspended", r.Outcome)
	}
	again := call(t, 1)
	again.Attempt = 2
	if !p.Recover(t.Context(), again, refused401(tokenExpired)) {
		t.Error("another attempt has no second call")
	}
}

func TestFiftyRefusalsOfOneTokenLogInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLogin{takes: time.Second}
		p := f.provider()
		expectToken(t, p, "jwt-1")
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				pass(time.Duration(n) * 100 * time.Millisecond) // before, during and after the login
				if !p.Recover(t.Context(), call(t, n), refused401(tokenExpired)) {
					t.Errorf("call %d isn't made again", n)
				}
			})
		}
		wg.Wait()
		expectToken(t, p, "jwt-2")
		if n := f.asked(); n != 2 {
			t.Errorf("%d logins, want 2", n)
		}
		pass(underway) // whatever is refused now is refused for itself
		if !p.Recover(t.Context(), call(t, 99), refused401(tokenExpired)) {
			t.Error("a later refusal isn't recovered from")
		}
		expectToken(t, p, "jwt-3")
	})
}

func TestRecover(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer sender.Answer
		login  []fakeAnswer
		then   string // the token of the next call
	}{
		{"another 401 is about the key, and the next attempt logs in anew", refused401(`Bearer error="insufficient_scope"`), nil, "jwt-2"},
		{"a 401 without a word is about the key", sender.Answer{Status: 401}, nil, "jwt-2"},
		{"a login that fails leaves the refusal", refused401(tokenExpired), []fakeAnswer{{status: 401}}, "jwt-2"},
		{"a 403 isn't about the token", sender.Answer{Status: 403, Header: http.Header{"Www-Authenticate": {tokenExpired}}}, nil, "jwt-1"},
		{"a 404 isn't", sender.Answer{Status: 404}, nil, "jwt-1"},
		{"a 500 isn't", sender.Answer{Status: 500}, nil, "jwt-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeLogin{}
				p := f.provider()
				expectToken(t, p, "jwt-1")
				f.refuse(c.login...)
				if p.Recover(t.Context(), call(t, 1), c.answer) {
					t.Error("the call is made again")
				}
				pass(loginPause)
				expectToken(t, p, c.then)
			})
		})
	}
}

func TestRecoveriesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := (&fakeLogin{}).provider()
		for n := range 10 {
			p.Recover(t.Context(), call(t, n), refused401(tokenExpired))
		}
		pass(recoveryKept + time.Second)
		p.Recover(t.Context(), call(t, 10), refused401(tokenExpired))
		if n := len(p.recoveries.seen); n != 1 {
			t.Errorf("%d are kept, want 1", n)
		}
	})
}

func TestAnswersThatQuoteTheTokenAreRedacted(t *testing.T) {
	p := (&fakeLogin{}).provider()
	expectToken(t, p, "jwt-1")
	p.Recover(t.Context(), call(t, 1), refused401(tokenExpired))
	got := p.Interpret(sender.Answer{Status: 401, Body: []byte(`{"code":401,"message":"jwt-1 and jwt-2 are bad"}`)}).Error.Detail
	if want := "[redacted] and [redacted] are bad"; got != want {
		t.Errorf("detail %q, want %q", got, want)
	}
}
