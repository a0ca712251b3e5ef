package config

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/telemetry"
)

// watched is a file under a watcher, in a bubble of virtual time.
type watched struct {
	t       *testing.T
	path    string
	hup     chan os.Signal
	applied []int64 // revisions, in Unix milliseconds
	log     bytes.Buffer
}

// startWatch begins with a file of revision 1000.
func startWatch(t *testing.T) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "sluice.yaml"), hup: make(chan os.Signal)}
	w.save("defaults: {rate: 1}", 1000)
	current, err := Load(w.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		watching := watcher{
			current: current, settled: current.stamp, seen: current.stamp,
			apply: func(c *Config) { w.applied = append(w.applied, c.Revision()) },
			log:   telemetry.NewLogger(&w.log, nil, telemetry.Text), // it masks by name what it takes for secrets
		}
		watching.run(ctx, w.hup)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watched) save(text string, revision int64) {
	w.t.Helper()
	write(w.t, w.path, text, time.UnixMilli(revision))
}

func (w *watched) pass(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // virtual time
	synctest.Wait()
}

func (w *watched) wantApplied(revisions ...int64) {
	w.t.Helper()
	if diff := cmp.Diff(revisions, w.applied); diff != "" {
		w.t.Errorf("applied revisions (-want +got):\n%s", diff)
	}
}

func (w *watched) wantErrors(n int) {
	w.t.Helper()
	if got := strings.Count(w.log.String(), "level=ERROR"); got != n {
		w.t.Errorf("%d errors in the log, want %d:\n%s", got, n, w.log.String())
	}
}

func TestASavedFileIsAppliedOnceWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		w.pass(10 * time.Second)
		w.wantApplied()
		w.save("defaults: {rate: 2}", 2000)
		w.pass(2 * time.Second)
		w.wantApplied(2000)
		w.pass(time.Minute)
		w.wantApplied(2000)
		w.wantErrors(0)
	})
}

func TestAFileReplacedByARenameIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.pass(pollEvery)
		write(t, w.path+".new", "defaults: {rate: 2}", time.UnixMilli(2000))
		if err := os.Rename(w.path+".new", w.path); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Second)
		w.wantApplied(2000)
		w.wantErrors(0)
	})
}

func TestAnInvalidFileKeepsTheOldOneAndIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		w.save("defaults: {rate: 0}", 2000)
		w.pass(time.Minute)
		w.wantApplied()
		w.wantErrors(1)
		if !strings.Contains(w.log.String(), "defaults.rate: must be from 1 to 100,000") {
			t.Errorf("the log doesn't name the key:\n%s", w.log.String())
		}
		w.save("defaults: {rate: 3}", 3000)
		w.pass(2 * time.Second)
		w.wantApplied(3000)
		w.wantErrors(1)
	})
}

func TestARemovedFileKeepsTheOldOneUntilItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.wantApplied()
		w.wantErrors(1)
		w.save("defaults: {rate: 1}", 1000)
		w.pass(2 * time.Second)
		w.wantApplied(1000)
	})
}

// An editor that saves in place empties the file first; an empty file is
// valid, and would remove every account.
func TestAFileHalfWrittenIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		w.pass(pollEvery / 2) // out of step with the looks
		for revision := int64(2000); revision < 2010; revision++ {
			w.save("", revision)
			w.pass(pollEvery)
		}
		w.wantApplied()
		w.save("defaults: {rate: 2}", 3000)
		w.pass(2 * time.Second)
		w.wantApplied(3000)
	})
}

func TestSIGHUPReadsTheFileAtOnceChangedOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		w.hup <- syscall.SIGHUP
		synctest.Wait()
		w.wantApplied(1000)
		w.save("defaults: {rate: 2}", 2000)
		w.hup <- syscall.SIGHUP
		synctest.Wait()
		w.wantApplied(1000, 2000)
		w.pass(time.Minute)
		w.wantApplied(1000, 2000)
	})
}

func TestAChangeThatNeedsARestartIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWatch(t)
		w.save("redis: {wait_replicas: 1}\napi: {listen: ':1'}\nworker: {admin_listen: ':2'}", 2000)
		w.pass(2 * time.Second)
		w.wantApplied(2000)
		if want := "[redis api.listen api.admin_listen worker.admin_listen]"; !strings.Contains(w.log.String(), want) {
			t.Errorf("the log doesn't hold %s:\n%s", want, w.log.String())
		}
	})
}

func TestAConfigurationWithoutAFileIsNeverReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Watch(ctx, parse(t, ""), nil, func(*Config) { t.Error("applied") }, slog.New(slog.DiscardHandler))
		}()
		time.Sleep(time.Minute) //nolint:forbidigo // virtual time
		cancel()
		<-done
	})
}

// The whole way, with a real signal.
func TestWatchHearsSIGHUP(t *testing.T) {
	heard := make(chan os.Signal, 1) // keeps the signal from ending the test, whoever registers first
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)

	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, path, "", time.UnixMilli(1000))
	current, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "", time.UnixMilli(2000)) // after Load and before Watch: not overlooked either
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	applied, done := make(chan int64, 8), make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, current, nil, func(c *Config) { applied <- c.Revision() }, slog.New(slog.DiscardHandler))
	}()
	if got := <-applied; got != 2000 {
		t.Fatalf("applied revision %d, want 2000", got)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if got := <-applied; got != 2000 {
		t.Fatalf("applied revision %d after SIGHUP, want 2000", got)
	}
	cancel()
	<-done
}
