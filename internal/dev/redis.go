package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"sluice/internal/localredis"
)

// redis is where everything is kept, and how to put an end to it.
type redis struct {
	url  string
	kind string // for the user
	warn string
	kept string // what becomes of messages that wait
	stop func(context.Context) error
	gone <-chan struct{}             // closed when a private one ended by itself
	back func(context.Context) error // starts it again
}

const stays = "what waits stays in Redis"

// openRedis finds a Redis: the one named, else a private redis-server, else an
// embedded one, which may also be asked for.
func openRedis(ctx context.Context, o Options) (*redis, error) {
	if o.RedisURL != "" && !o.Embedded {
		return &redis{url: o.RedisURL, kind: "yours (SLUICE_REDIS_URL)", kept: stays, stop: func(context.Context) error { return nil }}, nil
	}
	if _, err := exec.LookPath(localredis.Program); err != nil || o.Embedded {
		return embedRedis(o.Embedded)
	}
	return startRedis(ctx, o.Dir)
}

func embedRedis(wanted bool) (*redis, error) {
	e, err := localredis.Embed()
	if err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	warn := "Messages are kept in memory, and nothing outlives this process."
	if !wanted {
		warn = "No redis-server is installed. " + warn
	}
	return &redis{
		url: e.URL, kind: "embedded, in memory", warn: warn, kept: "what waits is gone with the memory it was in",
		stop: func(context.Context) error { e.Close(); return nil },
	}, nil
}

func startRedis(ctx context.Context, dir string) (*redis, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	server, err := localredis.Start(ctx, data,
		"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		"--maxmemory-policy", "noeviction", "--hash-max-listpack-value", "2048",
	)
	if errors.Is(err, localredis.ErrTaken) {
		return nil, fmt.Errorf("another sluice dev keeps its data in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	return &redis{
		url: server.URL, kept: stays, kind: "private redis-server at " + server.URL + ", data in " + dir,
		stop: server.Stop,
		gone: server.Done(),
		back: server.Restart,
	}, nil
}
