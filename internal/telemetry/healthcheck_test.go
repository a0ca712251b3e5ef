package telemetry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheck(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", AdminHandler(Options{Ready: func(context.Context) error { return errors.New("redis: connection refused") }}))
	mux.Handle("/moved", http.RedirectHandler("/healthz", http.StatusFound))
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)

	tests := []struct {
		name, url string
		want      string // in the error; empty: none
	}{
		{"a healthy process", srv.URL + "/healthz", ""},
		{"one that isn't ready says what is missing", srv.URL + "/readyz", "503 Service Unavailable: redis: connection refused"},
		{"another answer is an error by its status", srv.URL + "/plain", "502 Bad Gateway"},
		{"a redirect isn't followed", srv.URL + "/moved", "302 Found"},
		{"a password in the URL isn't shown", strings.Replace(srv.URL, "http://", "http://user:pw@", 1) + "/plain", "http://user:xxxxx@"},
		{"nothing listens", "http://127.0.0.1:1/healthz", "connection refused"},
		{"no URL", "://", "missing protocol scheme"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Healthcheck(t.Context(), tt.url)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Healthcheck = %v, want nil", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Healthcheck = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestHealthcheckEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if err := Healthcheck(ctx, srv.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("Healthcheck = %v, want %v", err, context.Canceled)
	}
}
