//go:build unix

package localredis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func set(t *testing.T, s *Server, key string) {
	t.Helper()
	if err := client(t, s.URL).Set(t.Context(), key, "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, url, key string) {
	t.Helper()
	if got, err := client(t, url).Get(t.Context(), key).Result(); err != nil || got != "kept" {
		t.Errorf("GET %s = %q, %v; want what was kept", key, got, err)
	}
}

// processID is the redis-server's own, which is a grandchild of ours.
func processID(t *testing.T, url string) int {
	t.Helper()
	info, err := client(t, url).InfoMap(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(info["Server"]["process_id"])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone reports whether a process has ended. One whose parent was killed may
// wait for a while until somebody asks how it ended.
func gone(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || strings.Contains(string(stat), ") Z ")
}

func TestWhatAStoppedServerKeptComesBackWithRestart(t *testing.T) {
	s := start(t, "--appendonly", "yes", "--appendfsync", "everysec")
	set(t, s, "k")
	url, pid := s.URL, processID(t, s.URL)
	for range 2 { // it may be called again
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	awaitDone(t, s)
	if !gone(pid) {
		t.Error("the server is still there after Stop")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.URL != url {
		t.Errorf("URL = %s after Restart, want %s", s.URL, url)
	}
	mustHold(t, url, "k")
}

func TestAKilledServerIsGoneAtOnceAndRestarts(t *testing.T) {
	s := start(t, "--appendonly", "yes", "--appendfsync", "always")
	set(t, s, "k")
	pid := processID(t, s.URL)
	s.Kill()
	s.Kill() // it may be called again
	if !gone(pid) {
		t.Error("the server is still there after Kill")
	}
	awaitDone(t, s)
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustHold(t, s.URL, "k")
}

func TestDoneIsClosedWhenTheServerIsKilledFromOutside(t *testing.T) {
	s := start(t)
	select {
	case <-s.Done():
		t.Fatal("Done is closed while the server runs")
	default:
	}
	if err := syscall.Kill(processID(t, s.URL), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitDone(t, s)
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("Stop of a server that ended by itself: %v", err)
	}
}

func TestAServerThatRefusesToEndIsKilledOnceItsParentIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, "--save", "1 1")
	set(t, s, "k")
	pid := processID(t, s.URL)
	if err := os.RemoveAll(s.dir); err != nil { // it can't save
		t.Fatal(err)
	}
	s.alive.Close() // as our death would
	awaitDone(t, s)
	await(t, "the server is gone", func() bool { return gone(pid) })
}

func TestStopKillsAServerThatDoesNotEndInTime(t *testing.T) {
	s := start(t)
	pid := processID(t, s.URL)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop = %v, want that time ran out", err)
	}
	awaitDone(t, s)
	await(t, "the server is gone", func() bool { return gone(pid) })
}

func TestTheServerIsInAProcessGroupOfItsOwn(t *testing.T) {
	s := start(t)
	group, err := syscall.Getpgid(processID(t, s.URL))
	if err != nil {
		t.Fatal(err)
	}
	if group != s.cmd.Process.Pid || group == syscall.Getpgrp() {
		t.Errorf("its group is %d; ours is %d, its own would be %d", group, syscall.Getpgrp(), s.cmd.Process.Pid)
	}
}

func TestTheServerEndsWhenItsParentIsKilledAndItsFolderIsFreeThen(t *testing.T) {
	dir := t.TempDir()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), helperDir+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var group int
	var url string
	if _, err := fmt.Sscan(line, &group, &url); err != nil {
		t.Fatalf("the parent said %q", line)
	}
	pid := processID(t, url)
	rdb := client(t, url)
	if err := rdb.Set(t.Context(), "k", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}

	if _, err := Start(t.Context(), dir); !errors.Is(err, ErrTaken) {
		t.Errorf("a second server in the folder: %v, want ErrTaken", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	// At once, while the old one may still write what it holds.
	next, err := Start(t.Context(), dir, "--appendonly", "yes")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Kill()
	if !gone(pid) {
		t.Error("two servers were in the folder at one time")
	}
	await(t, "its shell is gone", func() bool { return gone(group) })
	mustHold(t, next.URL, "k")
}

func TestAnotherServerOnThePortIsNotTakenForOurs(t *testing.T) {
	other := start(t)
	ours := &Server{dir: t.TempDir(), port: other.port, args: []string{"--bind", "127.0.0.1"}}
	err := ours.Restart(t.Context())
	if err == nil {
		t.Fatal("the other server's answer was believed")
	}
	if !strings.HasPrefix(err.Error(), "start redis-server: ") {
		t.Errorf("error %q", err)
	}
}

func TestStartFails(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, start := range map[string]func() (*Server, error){
		"once its context has ended":     func() (*Server, error) { return Start(ended, t.TempDir()) },
		"in a folder that doesn't exist": func() (*Server, error) { return Start(t.Context(), t.TempDir()+"/none") },
		"with a setting nobody knows":    func() (*Server, error) { return Start(t.Context(), t.TempDir(), "--no-such", "thing") },
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := start(); err == nil {
				s.Kill()
				t.Error("it started")
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}
