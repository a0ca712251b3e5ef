// Package redistest gives tests a Redis of their own: a real redis-server on a
// free port, and miniredis beside it for suites that must hold on both.
package redistest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// startTimeout bounds how long a server may take to answer its first PING.
const startTimeout = 10 * time.Second

// Start runs an empty redis-server until the test ends and returns its URL.
func Start(tb testing.TB) string {
	tb.Helper()
	return New(tb).URL
}

// Each runs the suite twice, each time on an empty Redis: on a redis-server and
// on miniredis, whose keys expire in real time here.
func Each(t *testing.T, suite func(t *testing.T, url string)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) { suite(t, Start(t)) })
	t.Run("miniredis", func(t *testing.T) { suite(t, Mini(t)) })
}

// Mini runs an empty miniredis until the test ends and returns its URL. Keys
// expire in real time, at most tick late.
func Mini(tb testing.TB) string {
	tb.Helper()
	const tick = 20 * time.Millisecond
	mr := miniredis.RunT(tb)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				now := time.Now()
				mr.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	tb.Cleanup(func() { close(stop); <-done })
	return "redis://" + mr.Addr() + "/0"
}

// Server is a redis-server that a test may take down and bring back.
type Server struct {
	URL string // redis://127.0.0.1:port/0

	port int
	dir  string
	cmd  *exec.Cmd
	// alive keeps the server up: it goes down when this end closes, so also
	// when the test binary dies before its cleanup.
	alive io.Closer
}

// New starts an empty redis-server on a free port; it ends with the test.
func New(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{dir: tb.TempDir()}
	var err error
	for range 5 { // somebody else may take the port before redis-server does
		if s.port, err = freePort(); err != nil {
			continue
		}
		if err = s.start(); err == nil {
			break
		}
	}
	if err != nil {
		tb.Fatalf("redis-server (make test installs it): %v", err)
	}
	s.URL = fmt.Sprintf("redis://127.0.0.1:%d/0", s.port)
	tb.Cleanup(s.Down)
	return s
}

// Down stops the server; what it held is gone. It may be called again.
func (s *Server) Down() {
	if s.cmd == nil {
		return
	}
	_ = s.alive.Close()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Up starts the server again, empty, on the same port.
func (s *Server) Up(tb testing.TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatalf("redis-server again: %v", err)
	}
}

func (s *Server) start() error {
	// The shell waits for the end of its input, then ends the one process it
	// started.
	args := []string{
		"-c", `"$@" & read -r _; kill -9 $!; wait`, "sh", "redis-server",
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning",
	}
	cmd := exec.CommandContext(context.Background(), "sh", args...) //nolint:gosec // every argument is made here
	alive, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.alive = cmd, alive
	if err := s.awaitPong(); err != nil {
		s.Down()
		return err
	}
	return nil
}

func (s *Server) awaitPong() error {
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(startTimeout); ; <-retry.C {
		err := ping(s.port)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func ping(port int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "+PONG") {
		return fmt.Errorf("PING answered %q", strings.TrimSpace(line))
	}
	return nil
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("listener has address %v", l.Addr())
	}
	return addr.Port, nil
}
