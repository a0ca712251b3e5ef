// Package redistest gives tests a Redis of their own: a real redis-server on a
// free port, and an embedded one beside it for suites that must hold on both.
package redistest

import (
	"context"
	"testing"

	"sluice/internal/localredis"
)

// Start runs an empty redis-server until the test ends and returns its URL.
func Start(tb testing.TB) string {
	tb.Helper()
	return New(tb).URL
}

// Each runs the suite twice, each time on an empty Redis: on a redis-server and
// on an embedded one.
func Each(t *testing.T, suite func(t *testing.T, url string)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { suite(t, Start(t)) })
	t.Run("embedded", func(t *testing.T) { suite(t, Mini(t)) })
}

// Mini runs an empty embedded Redis until the test ends and returns its URL.
func Mini(tb testing.TB) string {
	tb.Helper()
	e, err := localredis.Embed()
	if err != nil {
		tb.Fatalf("embedded Redis: %v", err)
	}
	tb.Cleanup(e.Close)
	return e.URL
}

// Server is a redis-server that a test may take down and bring back.
type Server struct {
	URL string // redis://127.0.0.1:port/0

	server *localredis.Server
}

// New starts an empty redis-server on a free port; it ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s, err := localredis.Start(context.Background(), tb.TempDir(), "--save", "", "--appendonly", "no")
	if err != nil {
		tb.Fatalf("%v (make test installs it)", err)
	}
	tb.Cleanup(s.Kill)
	return &Server{URL: s.URL, server: s}
}

// Down kills the server; what it held is gone. It may be called again.
func (s *Server) Down() { s.server.Kill() }

// Up starts the server again, empty, on the same port.
func (s *Server) Up(tb testing.TB) {
	tb.Helper()
	if err := s.server.Restart(context.Background()); err != nil {
		tb.Fatal(err)
	}
}
