package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
)

// metric is the value of a counter, over all its labels unless some are given
// in pairs.
func (s *stage) metric(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				if !found {
					continue series
				}
			}
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	s := newStage(t)
	scopes := []string{keySend, keyRead, keyOperate}
	id := string(s.store.put(record("shop-eu", noon)))
	for _, tc := range []struct{ method, path, body, granted string }{
		{http.MethodPost, "/v1/messages", text(""), keySend},
		{http.MethodPost, "/v1/messages/" + id + "/cancel", "", keySend},
		{http.MethodGet, "/v1/messages", "", keyRead},
		{http.MethodGet, "/v1/messages/" + id, "", keyRead},
		{http.MethodHead, "/v1/messages/" + id, "", keyRead},
		{http.MethodGet, "/v1/accounts", "", keyRead},
		{http.MethodGet, "/v1/accounts/shop-eu", "", keyRead},
		{http.MethodGet, "/v1/workers", "", keyRead},
		{http.MethodGet, "/metrics", "", keyRead},
		{http.MethodPost, "/v1/accounts/shop-eu/pause", "", keyOperate},
		{http.MethodPost, "/v1/accounts/shop-eu/resume", "", keyOperate},
		{http.MethodGet, "/v1/suppressions", "", keyRead},
		{http.MethodPut, "/v1/suppressions/%2B46732001122", "{}", keyOperate},
		{http.MethodDelete, "/v1/suppressions/%2B46732001122", "", keyOperate},
	} {
		a := s.do(tc.method, tc.path, "", tc.body)
		a.problem(http.StatusUnauthorized, "unauthenticated")
		if a.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s %s: no WWW-Authenticate", tc.method, tc.path)
		}
		for _, key := range scopes {
			if a := s.do(tc.method, tc.path, key, tc.body); key == tc.granted && a.Code >= 300 {
				t.Errorf("%s %s with %s: %d %s", tc.method, tc.path, key, a.Code, a.Body)
			} else if key != tc.granted {
				a.problem(http.StatusForbidden, "forbidden")
			}
		}
	}
}

func TestUnknownRoutesAndMethodsAreProblems(t *testing.T) {
	s := newStage(t)
	for _, path := range []string{"/", "/v1", "/v1/nothing", "/v1/messages/a/b", "/V1/messages", "/callbacks/shop-eu", "/x%20y"} {
		s.do(http.MethodGet, path, keyAll, "").problem(http.StatusNotFound, "not-found")
	}
	for path, allow := range map[string]string{
		"/v1/messages":          "GET, HEAD, POST",
		"/v1/messages/x/cancel": "POST",
		"/v1/workers":           "GET, HEAD",
		"/v1/suppressions":      "GET, HEAD",
		"/healthz":              "GET, HEAD",
	} {
		for _, method := range []string{http.MethodDelete, http.MethodPatch, "BREW"} {
			a := s.do(method, path, keyAll, "")
			a.problem(http.StatusMethodNotAllowed, "method-not-allowed")
			got := strings.Split(a.Header().Get("Allow"), ", ")
			got = slices.DeleteFunc(got, func(m string) bool { return m == http.MethodOptions })
			slices.Sort(got)
			if diff := cmp.Diff(strings.Split(allow, ", "), got); diff != "" {
				t.Errorf("%s: Allow (-want +got):\n%s", path, diff)
			}
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	s := newStage(t)
	s.do(http.MethodGet, "/healthz", "", "").wants(http.StatusOK)
	s.do(http.MethodGet, "/readyz", "", "").wants(http.StatusOK)
	s.ready = errors.New("redis at 10.0.0.7 refuses")
	s.do(http.MethodGet, "/healthz", "", "").wants(http.StatusOK)
	a := s.do(http.MethodGet, "/readyz", "", "")
	a.problem(http.StatusServiceUnavailable, "unavailable")
	if strings.Contains(a.Body.String(), "10.0.0.7") {
		t.Error("everybody is told the reason")
	}
	if !strings.Contains(s.log.String(), "10.0.0.7") {
		t.Error("the log isn't told the reason")
	}
}

func TestMetricsAreServedWithAKey(t *testing.T) {
	s := newStage(t)
	s.post(text("")).wants(http.StatusAccepted)
	body := s.do(http.MethodGet, "/metrics", keyRead, "").wants(http.StatusOK).Body.String()
	for _, want := range []string{
		`sluice_api_requests_total{class="2xx",route="/v1/messages"} 1`,
		`sluice_api_accept_seconds_count 1`,
		`sluice_api_refused_total{reason="validation"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no line %s in\n%s", want, body)
		}
	}
}

func TestCallersCantMakeSeries(t *testing.T) {
	s := newStage(t)
	known := []string{"none"}
	for _, r := range (&Server{Options: s.options}).routes() {
		known = append(known, r.path)
	}
	for _, path := range []string{"/a", "/b/c", "/v1/messages/x", "/v1/messages/y", "/v1/accounts/z", "/v1/accounts/z/w"} {
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodOptions, "BREW"} {
			s.do(method, path, keyAll, "")
		}
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "route" && !slices.Contains(known, l.GetValue()) {
					t.Errorf("route %q", l.GetValue())
				}
			}
		}
	}
	if got := s.metric("sluice_api_requests_total", "route", "/v1/messages/:id", "class", "4xx"); got == 0 {
		t.Error("404s of a route aren't counted under it")
	}
}

func TestCallbacksGoToTheirHandlerWithoutAKey(t *testing.T) {
	s := newStage(t, func(o *Options) {
		o.Callbacks = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery+" "+string(b))
		})
	})
	a := s.do(http.MethodPost, "/callbacks/shop-eu/m/1/a%2Fb?x=1", "", "raw").wants(http.StatusTeapot)
	if got := a.Body.String(); got != "POST /callbacks/shop-eu/m/1/a%2Fb?x=1 raw" {
		t.Errorf("handler saw %q", got)
	}
	if got := s.metric("sluice_api_requests_total", "route", "/callbacks/*"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
}

func TestLogHasOneLineForARequestAndNothingPersonal(t *testing.T) {
	s := newStage(t)
	id := s.store.put(record("shop-eu", noon))
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/messages", text(`"reference":"secret-ref","metadata":{"who":"secret-name"}`)},
		{http.MethodPost, "/v1/messages", `{"account":"shop-eu","to":"46732001122","type":"text","text":{"body":"secret-text"},"secret-field":1}`},
		{http.MethodGet, "/v1/messages?to=%2B46732001122&reference=secret-ref", ""},
		{http.MethodGet, "/v1/messages/" + string(id), ""},
		{http.MethodGet, "/46732001122", ""},
		{http.MethodPut, "/v1/suppressions/%2B46732001122", `{"reason":"secret-reason"}`},
		{http.MethodPut, "/v1/suppressions/46732001122", `{"secret-field":1}`},
		{http.MethodGet, "/v1/suppressions?cursor=secret", ""},
		{http.MethodDelete, "/v1/suppressions/%2B46732001122?scope=secret", ""},
		{"SECRET", "/v1/messages", ""},
	} {
		s.log.Reset()
		a := s.do(r.method, r.path, keyAll, r.body, "Idempotency-Key", "secret-key")
		line := s.log.String()
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%s %s: lines\n%s", r.method, r.path, line)
		}
		for _, private := range []string{"46732001122", "secret", "SECRET", keyAll, "hi"} {
			if strings.Contains(line, private) {
				t.Errorf("%s %s: %q is logged: %s", r.method, r.path, private, line)
			}
		}
		for _, want := range []string{`"route":`, `"status":`, `"duration":`, `"request_id":"` + a.Header().Get("X-Request-Id") + `"`} {
			if !strings.Contains(line, want) {
				t.Errorf("%s %s: no %s in %s", r.method, r.path, want, line)
			}
		}
	}
}

func TestRequestIDIsTheCallersIfItIsSound(t *testing.T) {
	s := newStage(t)
	if got := s.do(http.MethodGet, "/healthz", "", "", "X-Request-Id", "abc-1").Header().Get("X-Request-Id"); got != "abc-1" {
		t.Errorf("request id %q", got)
	}
	for _, bad := range []string{"", "a b", "a\x7f", strings.Repeat("x", 129)} {
		if got := s.do(http.MethodGet, "/healthz", "", "", "X-Request-Id", bad).Header().Get("X-Request-Id"); got == bad || got == "" {
			t.Errorf("request id %q for %q", got, bad)
		}
	}
}

// broken is a directory that panics.
type broken struct{ *directory }

func (broken) Account(gateway.AccountID) (gateway.Account, bool) { panic("+46732001122") }

func TestPanicIsAProblemAndIsLogged(t *testing.T) {
	s := newStage(t, func(o *Options) { o.Directory = broken{o.Directory.(*directory)} })
	a := s.post(text(""))
	p := a.problem(http.StatusInternalServerError, "internal")
	if strings.Contains(a.Body.String(), "46732001122") || strings.Contains(s.log.String(), "46732001122") {
		t.Errorf("the panic's value shows: %+v\n%s", p, s.log)
	}
	if !strings.Contains(s.log.String(), `"level":"ERROR"`) || !strings.Contains(s.log.String(), "server_test.go") {
		t.Errorf("no stack in the log:\n%s", s.log)
	}
	if got := s.metric("sluice_api_requests_total", "class", "5xx"); got != 1 {
		t.Errorf("counted %v, want 1", got)
	}
	nothingAccepted(t, s)
}

func TestAbortedHandlerStaysAborted(t *testing.T) {
	s := newStage(t, func(o *Options) {
		o.Callbacks = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			t.Error("swallowed")
		}
	}()
	s.do(http.MethodPost, "/callbacks/x", "", "")
}

func TestReloadChangesKeysAndAccountsAtOnce(t *testing.T) {
	s := newStage(t)
	s.do(http.MethodPost, "/v1/messages", keySend, text("")).wants(http.StatusAccepted)
	next := newSetup()
	delete(next.accounts, "shop-eu")
	for hash, k := range next.keys {
		if k.Name == "send" {
			delete(next.keys, hash)
		}
	}
	s.directory.Store(next)
	s.do(http.MethodPost, "/v1/messages", keySend, text("")).problem(http.StatusUnauthorized, "unauthenticated")
	s.do(http.MethodPost, "/v1/messages", keyAll, text("")).problem(http.StatusUnprocessableEntity, "validation")
	if n := len(s.store.accepted()); n != 1 {
		t.Errorf("accepted %d posts, want 1", n)
	}
}

func TestNewNamesEveryMissingPart(t *testing.T) {
	_, err := New(Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"Directory", "Store", "Queue", "States", "Operator", "Suppressions", "Checker", "CheckURL", "Ready", "Logger", "Registerer", "Gatherer",
	} {
		if !strings.Contains(err.Error(), "Options."+part+" is required") {
			t.Errorf("%s isn't named in %v", part, err)
		}
	}
}

func TestHTTPServerHasLimits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	srv := NewHTTPServer(ctx, ":0", http.NotFoundHandler(), slog.New(slog.NewTextHandler(&log, nil)))
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": srv.ReadHeaderTimeout, "WriteTimeout": srv.WriteTimeout, "IdleTimeout": srv.IdleTimeout,
	} {
		if d <= 0 {
			t.Errorf("%s isn't set", name)
		}
	}
	if srv.MaxHeaderBytes <= 0 || srv.BaseContext(nil) != ctx {
		t.Error("no limit of headers, or another base context")
	}
}

// TestServesOverASocket covers what a recorder doesn't: deadlines, HEAD
// without a body, and a body that stays away.
func TestServesOverASocket(t *testing.T) {
	s := newStage(t)
	srv := httptest.NewServer(s.handler)
	defer srv.Close()
	ask := func(method, path, body string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+keyAll)
		req.Header.Set("Content-Type", "application/json")
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	res, _ := ask(http.MethodPost, "/v1/messages", text(""))
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("status %d", res.StatusCode)
	}
	if res, body := ask(http.MethodHead, res.Header.Get("Location"), ""); res.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
	if res, body := ask(http.MethodPost, "/v1/messages", text(strings.Repeat(" ", maxBody))); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d %q", res.StatusCode, body)
	}
}

func TestServerBoundsHowLongABodyMayTake(t *testing.T) {
	srv := NewHTTPServer(t.Context(), "", http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if srv.ReadTimeout <= 0 || srv.ReadHeaderTimeout <= 0 || srv.WriteTimeout <= 0 || srv.IdleTimeout <= 0 {
		t.Errorf("a connection may be held for ever: %+v", srv)
	}
}
