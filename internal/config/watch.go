package config

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// pollEvery is how often the file is looked at. A change is read when it has
// been the same at two looks, so that a file half written isn't: at most a
// second after it was saved, where the contract allows two.
const pollEvery = 500 * time.Millisecond

// stamp tells two versions of a file apart without reading it.
type stamp struct {
	modified int64 // Unix nanoseconds
	size     int64
}

func stampOf(info os.FileInfo) stamp {
	return stamp{modified: info.ModTime().UnixNano(), size: info.Size()}
}

// Watch reads the file of the current configuration again on SIGHUP and when
// it was saved, in place or by a rename, and hands each valid new version to
// apply, one at a time. A version that is not valid is logged once, and the
// configuration stays as it was. Files that the configuration refers to aren't
// looked at between the reads; send SIGHUP after changing one. Watch returns
// when ctx ends, with no apply running. A configuration that came from no file
// never changes, and leaves SIGHUP as it was.
func Watch(ctx context.Context, current *Config, environ []string, apply func(*Config), log *slog.Logger) {
	if current.path == "" {
		<-ctx.Done()
		return
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	w := watcher{current: current, settled: current.stamp, seen: current.stamp, environ: environ, apply: apply, log: log}
	w.run(ctx, hup)
}

type watcher struct {
	current *Config
	settled stamp // of the version that was last read, valid or not
	seen    stamp // at the last look
	environ []string
	apply   func(*Config)
	log     *slog.Logger
}

func (w *watcher) run(ctx context.Context, hup <-chan os.Signal) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			w.seen = w.look()
			w.reload(ctx)
		case <-tick.C:
			now := w.look()
			if now == w.seen && now != w.settled {
				w.reload(ctx)
			}
			w.seen = now
		}
	}
}

// look is the file's stamp; zero while there is none, which an editor that
// renames may cause for a moment.
func (w *watcher) look() stamp {
	info, err := os.Stat(w.current.path)
	if err != nil {
		return stamp{}
	}
	return stampOf(info)
}

func (w *watcher) reload(ctx context.Context) {
	w.settled = w.seen
	next, err := Load(w.current.path, w.environ)
	if err != nil {
		w.log.ErrorContext(ctx, "configuration not reloaded, the one before stays", "error", err)
		return
	}
	w.settled = next.stamp
	if keys := w.current.fixedKeys(next); len(keys) > 0 {
		// Not under "keys": a logger that masks secrets by name would hide them.
		w.log.WarnContext(ctx, "changes that take effect after a restart", "changed", keys)
	}
	w.current = next
	w.log.InfoContext(ctx, "configuration reloaded", "revision", next.Revision(), "accounts", len(next.Accounts))
	w.apply(next)
}

// fixedKeys are those that differ in next and that a running process can't
// follow: what it listens on and where its Redis is.
func (c *Config) fixedKeys(next *Config) (keys []string) {
	if c.Redis != next.Redis {
		keys = append(keys, "redis")
	}
	if c.API.Listen != next.API.Listen || c.API.AdminListen != next.API.AdminListen {
		keys = append(keys, "api.listen", "api.admin_listen")
	}
	if c.Worker != next.Worker {
		keys = append(keys, "worker.admin_listen")
	}
	return keys
}
