package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/gateway"
)

// sink is a store that confirms at once and keeps nothing.
type sink struct{ *store }

func (sink) Accept(_ context.Context, p gateway.Post) (gateway.Accepted, error) {
	m := &p.Message
	return gateway.Accepted{
		ID: m.ID, Account: m.Account, To: m.Recipient, Type: m.Content.Type, Priority: m.Priority,
		Status: gateway.StatusQueued, Reference: m.Reference, CreatedAt: m.CreatedAt,
	}, nil
}

type deaf struct{}

func (deaf) Accepted(context.Context, ...*gateway.Message) error { return nil }

// discard is a response that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func BenchmarkPostMessage(b *testing.B) {
	for name, body := range map[string]string{
		"text": text(`"reference":"order-4711","metadata":{"campaign":"nov"}`),
		"template": sending("template", `{"name":"order_update","language":{"code":"en"},"components":[{"type":"body","parameters":[`+
			`{"type":"text","text":"Ada"},{"type":"text","text":"4711"},{"type":"text","text":"Monday"}]}]}`),
	} {
		b.Run(name, func(b *testing.B) {
			s := newStage(b, func(o *Options) {
				o.Store, o.Queue, o.Now = sink{o.Store.(*store)}, deaf{}, nil
				o.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // the line is made, as in service
			})
			proto := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/messages", nil)
			proto.Header.Set("Authorization", "Bearer "+keySend)
			proto.Header.Set("Content-Type", "application/json")
			proto.Header.Set("Idempotency-Key", "5f0c7a52-9d0c-4a44-8a4e-0d5a1a1d1f3e")
			proto.ContentLength = int64(len(body))
			b.ReportAllocs()
			for b.Loop() {
				req := *proto
				req.Body = io.NopCloser(strings.NewReader(body))
				w := discard{header: http.Header{}}
				s.handler.ServeHTTP(&w, &req)
				if w.status != http.StatusAccepted {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}
