package telemetry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func get(t *testing.T, h http.Handler, method, path string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAdminHandler(t *testing.T) {
	const plain, problemJSON = "text/plain; charset=utf-8", "application/problem+json"
	redisAway := func(context.Context) error {
		return errors.Join(errors.New("redis: connection refused"), errors.New("configuration: no accounts"))
	}
	tests := []struct {
		name         string
		ready        func(context.Context) error
		method, path string
		status       int
		contentType  string
		body         string
	}{
		{"a process that is up is healthy", nil, http.MethodGet, "/healthz", 200, plain, "ok"},
		{"it is healthy while it isn't ready", redisAway, http.MethodGet, "/healthz", 200, plain, "ok"},
		{"ready when nothing objects", func(context.Context) error { return nil }, http.MethodGet, "/readyz", 200, plain, "ok"},
		{"ready when nothing is asked", nil, http.MethodGet, "/readyz", 200, plain, "ok"},
		{
			"not ready names each part that isn't", redisAway, http.MethodGet, "/readyz", 503, problemJSON,
			`{"type":"about:blank","title":"Not ready","status":503,"detail":"redis: connection refused\nconfiguration: no accounts"}` + "\n",
		},
		{"other methods are refused", nil, http.MethodPost, "/readyz", 405, plain, "Method Not Allowed\n"},
		{"other paths are not found", nil, http.MethodGet, "/debug", 404, plain, "404 page not found\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := get(t, AdminHandler(Options{Ready: tt.ready, Gatherer: prometheus.NewRegistry()}), tt.method, tt.path)
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.contentType || body != tt.body {
				t.Errorf("got %d %q %q, want %d %q %q", resp.StatusCode, resp.Header.Get("Content-Type"), body, tt.status, tt.contentType, tt.body)
			}
		})
	}
}

func TestReadyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := AdminHandler(Options{Ready: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		if resp, _ := get(t, h, http.MethodGet, "/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status = %d, want 503", resp.StatusCode)
		}
		if took := time.Since(began); took != defaultReadyTimeout {
			t.Errorf("took %v, want %v", took, defaultReadyTimeout)
		}
	})
}

func TestRegistryShowsTheProcess(t *testing.T) {
	r := NewRegistry()
	resp, body := get(t, AdminHandler(Options{Gatherer: r}), http.MethodGet, "/metrics")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status = %d, want 200", resp.StatusCode)
	}
	want := []string{"go_goroutines ", `sluice_build_info{goversion="` + runtime.Version() + `",version="`}
	if runtime.GOOS == "linux" {
		want = append(want, "process_resident_memory_bytes ")
	}
	for _, series := range want {
		if !slices.ContainsFunc(strings.Split(body, "\n"), func(line string) bool { return strings.HasPrefix(line, series) }) {
			t.Errorf("/metrics lacks %s", series)
		}
	}
	if n, err := testutil.GatherAndCount(r, "sluice_build_info"); err != nil || n != 1 {
		t.Errorf("%d series of sluice_build_info (%v), want 1", n, err)
	}
}

func TestMetricsNeedAGatherer(t *testing.T) {
	if resp, _ := get(t, AdminHandler(Options{}), http.MethodGet, "/metrics"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("status = %d, want 404", resp.StatusCode)
	}
}
