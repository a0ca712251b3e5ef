//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/dev"
)

// demo is a running `sluice dev` with a redis-server of its own.
type demo struct {
	*process
	client           // of its API
	simulator client // without a key
	redis     string // its address
}

var privateRedis = regexp.MustCompile(`redis://(127\.0\.0\.1:[0-9]+)/0`)

func launchDev(t *testing.T, dir string) *demo {
	t.Helper()
	d := &demo{client: client{freeAddr(t), dev.Key}, simulator: client{addr: freeAddr(t)}}
	d.process = launch(t, nil, "sluice", "dev", "--listen", d.addr, "--simulator-listen", d.simulator.addr, "--dir", dir)
	await(t, "it says that it runs", func() bool {
		if d.over() {
			t.Fatal("it ended")
		}
		return strings.Contains(d.stdout.String(), "/ID ")
	})
	found := privateRedis.FindStringSubmatch(d.stdout.String())
	if found == nil {
		t.Fatal("it doesn't say where its Redis is")
	}
	d.redis = found[1]
	return d
}

// slow has every answer of the providers take so many milliseconds.
func (d *demo) slow(t *testing.T, ms int) {
	t.Helper()
	d.simulator.must(t, http.StatusCreated, http.MethodPost, "/_sim/faults", fmt.Sprintf(`{"fault":"slow","delay_ms":%d}`, ms))
}

// mustBeGone fails unless nothing of the demonstration is left.
func (d *demo) mustBeGone(t *testing.T, dir string) {
	t.Helper()
	for _, addr := range []string{d.addr, d.simulator.addr, d.redis} {
		if !free(addr) {
			t.Errorf("%s is still in use", addr)
		}
	}
	if held(t, dir) {
		t.Error("a redis-server still has the folder")
	}
}

func TestDevDrainsOnASignal(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := launchDev(t, dir)
			d.slow(t, 700)
			m := d.post(t, "demo-cloud")
			d.await(t, m.ID, "sending")
			d.signal(t, s)
			d.exit(t, 0)
			d.mustBeGone(t, dir)
			if !strings.Contains(d.stdout.String(), "\nDraining: ") {
				t.Error("it didn't say that it drains")
			}

			d = launchDev(t, dir)
			if m = d.get(t, m.ID); m.Status != "read" || m.ProviderMessageID == "" {
				t.Errorf("the message in flight is %+v", m)
			}
			d.stop(t)
		})
	}
}

func TestASecondSignalKillsDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := launchDev(t, dir)
	d.slow(t, 60_000)
	m := d.post(t, "demo-sinch")
	d.await(t, m.ID, "sending")
	d.signal(t, syscall.SIGINT)
	await(t, "it drains", func() bool { return strings.Contains(d.stdout.String(), "\nDraining: ") })
	await(t, "it is killed", func() bool {
		if !d.over() {
			_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT)
		}
		return d.over()
	})
	if status, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want the signal", d.cmd.ProcessState)
	}
	await(t, "its Redis is gone too", func() bool { return !held(t, dir) && !answers(d.redis) })
}

func TestAKilledDevLeavesNoRedisBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := launchDev(t, dir)
	m := d.post(t, "demo-cloud")
	d.await(t, m.ID, "read")
	if !held(t, dir) {
		t.Fatal("no redis-server has the folder")
	}
	d.signal(t, syscall.SIGKILL)
	await(t, "it is dead", d.over)
	// What a user does next, at once.
	next := launchDev(t, dir)
	if answers(d.redis) {
		t.Error("its redis-server still answers")
	}
	if m := next.get(t, m.ID); m.Status != "read" {
		t.Errorf("the message is %q now", m.Status)
	}
	next.stop(t)
}

func TestWhatIsWrongWithDevIsOneLine(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	first := launchDev(t, taken)
	t.Cleanup(func() { first.stop(t) })
	for _, c := range []struct {
		name      string
		variables []string
		flags     func(t *testing.T, dir string) []string
		want      string
	}{
		{
			"the API's port is in use", nil,
			func(t *testing.T, dir string) []string { return devFlags(occupied(t), freeAddr(t), dir) },
			"address already in use",
		},
		{
			"the simulator's port is in use", nil,
			func(t *testing.T, dir string) []string { return devFlags(freeAddr(t), occupied(t), dir) },
			"address already in use",
		},
		{
			"no Redis is where SLUICE_REDIS_URL says",
			[]string{"SLUICE_REDIS_URL=redis://127.0.0.1:1/0"},
			func(t *testing.T, dir string) []string { return devFlags(freeAddr(t), freeAddr(t), dir) },
			"redis.url: no Redis answers: dial tcp 127.0.0.1:1: connect: connection refused",
		},
		{
			"SLUICE_REDIS_URL can't be read",
			[]string{"SLUICE_REDIS_URL=redis://:secret@127.0.0.1:x/0"},
			func(t *testing.T, dir string) []string { return devFlags(freeAddr(t), freeAddr(t), dir) },
			"redis.url: ",
		},
		{
			"SLUICE_REDIS_URL is of a kind nobody knows",
			[]string{"SLUICE_REDIS_URL=http://127.0.0.1"},
			func(t *testing.T, dir string) []string { return devFlags(freeAddr(t), freeAddr(t), dir) },
			"redis.url: ",
		},
		{
			"another has the folder", nil,
			func(t *testing.T, _ string) []string { return devFlags(freeAddr(t), freeAddr(t), taken) },
			"another sluice dev keeps its data in " + taken,
		},
		{
			"the folder can't be made", nil,
			func(t *testing.T, _ string) []string {
				return devFlags(freeAddr(t), freeAddr(t), filepath.Join("/dev/null", "x"))
			},
			"not a directory",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := launch(t, c.variables, "sluice", c.flags(t, dir)...)
			p.exit(t, 1)
			p.oneLine(t, c.want)
			if strings.Contains(p.stderr.String(), "secret") {
				t.Error("it shows a password")
			}
			if held(t, dir) {
				t.Error("a redis-server was left running")
			}
		})
	}
}

func devFlags(api, simulator, dir string) []string {
	return []string{"dev", "--listen", api, "--simulator-listen", simulator, "--dir", dir}
}
