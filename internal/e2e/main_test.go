//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs is the folder of the built binaries.
var programs string

func TestMain(m *testing.M) { os.Exit(build(m)) }

// atOnce is how many tests run at one time: they wait most of theirs.
const atOnce = "4"

func build(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cmd := exec.CommandContext(context.Background(), "go", "build", "-race", "-o", dir+"/", "sluice/cmd/...")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %s", err, out)
		return 1
	}
	programs = dir
	return m.Run()
}

// patience is for everything that is awaited here and has no bound of its own.
const patience = 20 * time.Second

// await waits until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	awaitFor(t, patience, what, holds)
}

func awaitFor(t *testing.T, bound time.Duration, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(bound)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("within %v it never came to this: %s", bound, what)
		}
	}
}

// text is what a process writes, read meanwhile.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// process is one of the programs, in a process group of its own.
type process struct {
	name           string
	cmd            *exec.Cmd
	stdout, stderr text
	ended          chan struct{}
}

// launch starts a program, with these variables of Sluice and no others.
func launch(t *testing.T, variables []string, name string, args ...string) *process {
	t.Helper()
	p := &process{name: name, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), filepath.Join(programs, name), args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Dir = t.TempDir()
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SLUICE_") {
			p.cmd.Env = append(p.cmd.Env, entry)
		}
	}
	// The race detector would have each of them wait for a second at its end.
	p.cmd.Env = append(append(p.cmd.Env, "GORACE=atexit_sleep_ms=0"), variables...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state says it
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
		if strings.Contains(p.stderr.String(), "DATA RACE") {
			t.Errorf("%s has a data race", name)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s\n%s", p.cmd, p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// signal signals the whole group, as a terminal does.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// exit waits for the end, and fails unless it has this code.
func (p *process) exit(t *testing.T, code int) {
	t.Helper()
	await(t, p.name+" ends", p.over)
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d (%v), want %d", p.cmd, got, p.cmd.ProcessState, code)
	}
}

// stop ends the process in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.exit(t, 0)
}

// oneLine is all of standard error, which must be one line that holds want.
func (p *process) oneLine(t *testing.T, want string) {
	t.Helper()
	got := p.stderr.String()
	if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, p.name+": ") || !strings.Contains(got, want) {
		t.Errorf("%s: standard error is %q, want one line of %s with %q", p.cmd, got, p.name, want)
	}
	if out := p.stdout.String(); out != "" {
		t.Errorf("%s: standard output is %q, want nothing", p.cmd, out)
	}
}

var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: make(map[int]bool)}

// freeAddr is an address of loopback that nobody uses. Its port is none that
// the system gives to outgoing connections, so it stays free.
func freeAddr(t *testing.T) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if !ports.given[port] && free(addr) {
			ports.given[port] = true
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

func free(addr string) bool {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// occupied is an address in use.
func occupied(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// answers reports whether somebody listens there.
func answers(addr string) bool {
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// held reports whether a redis-server has the folder of this sluice dev.
func held(t *testing.T, dir string) bool {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "redis", "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
