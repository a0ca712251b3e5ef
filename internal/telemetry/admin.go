package telemetry

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// defaultReadyTimeout lets a probe with the usual second of patience hear the
// reason.
const defaultReadyTimeout = 900 * time.Millisecond

// Options is what an admin address shows.
type Options struct {
	// Ready returns nil when the process can do its work, else an error that
	// names each part that can't; it is shown to whoever asks. It ends with its
	// context. Nil: always ready.
	Ready func(context.Context) error

	// ReadyTimeout is how long Ready may take; zero: 0.9 s.
	ReadyTimeout time.Duration

	// Gatherer is what /metrics shows, a *prometheus.Registry as a rule.
	Gatherer prometheus.Gatherer
}

// AdminHandler serves GET /healthz (200 while the process is up), /readyz (200,
// or 503 with the reason as problem details), /metrics, and profiles under
// /debug/pprof/. It checks nobody's credentials: its address isn't for the
// public.
func AdminHandler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	mux.Handle("GET /readyz", ready(o))
	if o.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}))
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func ready(o Options) http.HandlerFunc {
	timeout := o.ReadyTimeout
	if timeout <= 0 {
		timeout = defaultReadyTimeout
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if o.Ready == nil {
			ok(w)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		if err := o.Ready(ctx); err != nil {
			notReady(w, err)
			return
		}
		ok(w)
	}
}

func ok(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok")
}

func notReady(w http.ResponseWriter, reason error) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(problem{
		Type:   "about:blank",
		Title:  "Not ready",
		Status: http.StatusServiceUnavailable,
		Detail: reason.Error(),
	})
}

// problem is RFC 9457 problem details.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}
