// Package localredis runs a Redis for one process alone: a redis-server child
// that never outlives it, or one embedded in it.
package localredis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Program is the server's name on the PATH.
const Program = "redis-server"

const (
	startTimeout = 10 * time.Second
	portTries    = 5
)

// Server is a redis-server child on a free port of the loopback address, in a
// process group of its own: an interrupt from the terminal doesn't reach it.
type Server struct {
	URL string // redis://127.0.0.1:port/0

	args  []string
	dir   string
	port  int
	bus   int // a cluster's nodes speak to this one here; 0: it is none
	cmd   *exec.Cmd
	alive io.WriteCloser // the server goes down when this end closes, so also when we die
	done  chan struct{}
}

// ErrTaken says that the folder is another server's.
var ErrTaken = errors.New("another redis-server keeps its data there")

// Start runs redis-server with its data in dir and these arguments added, and
// returns when it answers. dir must exist; it is this server's alone until the
// server has ended, however it does.
func Start(ctx context.Context, dir string, args ...string) (*Server, error) {
	return startOn(ctx, dir, false, args)
}

// StartNode is Start for a node of a cluster, which is to be told of the others
// and what its slots are.
func StartNode(ctx context.Context, dir string, args ...string) (*Server, error) {
	return startOn(ctx, dir, true, append([]string{"--cluster-enabled", "yes"}, args...))
}

func startOn(ctx context.Context, dir string, node bool, args []string) (*Server, error) {
	s := &Server{dir: dir, args: append([]string{"--bind", "127.0.0.1", "--dir", dir, "--loglevel", "warning"}, args...)}
	var err error
	for range portTries { // somebody else may take the port before redis-server does
		if s.port, err = freePort(ctx); err != nil {
			continue
		}
		if node {
			if s.bus, err = freePort(ctx); err != nil {
				continue
			}
		}
		switch err = s.Restart(ctx); {
		case err == nil:
			s.URL = fmt.Sprintf("redis://127.0.0.1:%d/0", s.port)
			return s, nil
		case errors.Is(err, ErrTaken), ctx.Err() != nil:
			return nil, err
		}
	}
	return nil, err
}

// Restart starts a server that is down again, on its port.
func (s *Server) Restart(ctx context.Context) error {
	// The shell ends the one process it started by the signal it is told, or by
	// TERM when its third file closes. A server that can't save what it holds
	// refuses to end, so it is killed some seconds later. The fourth file is the
	// lock: who waits for a signal doesn't hold it.
	const script = `"$@" & pid=$!
(exec 4<&-; read -r signal <&3; kill -"${signal:-TERM}" $pid; sleep 5; kill -KILL 0) 2>/dev/null &
wait $pid; kill -KILL 0`
	args := append([]string{"-c", script, "sh", Program, "--port", strconv.Itoa(s.port)}, s.args...)
	if s.bus != 0 {
		args = append(args, "--cluster-port", strconv.Itoa(s.bus))
	}
	// The server ends when told to, not with the context it was started under.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", args...) //nolint:gosec // no argument comes from outside
	ownGroup(cmd)
	// The children hold the lock too, so it is free when the last of them has
	// ended, and not when we are killed.
	locked, err := lock(ctx, filepath.Join(s.dir, "lock"))
	if err != nil {
		return fmt.Errorf("start %s in %s: %w", Program, s.dir, err)
	}
	defer func() { _ = locked.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", Program, err)
	}
	defer func() { _ = read.Close() }()
	cmd.ExtraFiles = []*os.File{read, locked}
	if err := cmd.Start(); err != nil {
		_ = write.Close()
		return fmt.Errorf("start %s: %w", Program, err)
	}
	s.cmd, s.alive, s.done = cmd, write, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		_ = cmd.Wait() // how it ended says nothing that Done doesn't
		_ = write.Close()
	}(s.done)
	if err := s.awaitPong(ctx); err != nil {
		s.Kill()
		return fmt.Errorf("start %s: %w", Program, err)
	}
	return nil
}

// Bus is the port where a cluster's nodes speak to this one.
func (s *Server) Bus() int { return s.bus }

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop has the server write what it holds and end, and waits for that; it is
// killed if ctx ends first. It may be called again.
func (s *Server) Stop(ctx context.Context) error {
	_ = s.alive.Close()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		killGroup(s.cmd)
		<-s.done
		return fmt.Errorf("stop %s: %w", Program, ctx.Err())
	}
}

// Kill ends the server at once. It may be called again.
func (s *Server) Kill() {
	_, _ = io.WriteString(s.alive, "KILL\n")
	_ = s.alive.Close()
	<-s.done
}

func (s *Server) awaitPong(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return err
		case <-retry.C:
		}
	}
}

// ping asks whether the server answers, and it isn't another one that was
// quicker to take the port.
func (s *Server) ping(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "PING\r\nCONFIG GET dir\r\n"); err != nil {
		return err
	}
	answer := bufio.NewScanner(conn)
	if answer.Scan(); answer.Text() != "+PONG" { // while it loads its data it says so
		return fmt.Errorf("it answers %q", answer.Text())
	}
	for range 5 { // *2, $3, dir, the folder's length, the folder
		answer.Scan()
	}
	theirs, err := os.Stat(answer.Text())
	if err != nil {
		return errNotOurs
	}
	if ours, err := os.Stat(s.dir); err != nil || !os.SameFile(ours, theirs) {
		return errNotOurs
	}
	return nil
}

var errNotOurs = errors.New("another server has the port")

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("listener has address %v", l.Addr())
	}
	return addr.Port, nil
}
