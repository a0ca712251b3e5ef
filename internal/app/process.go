package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/config"
	"sluice/internal/redisdb"
	"sluice/internal/store"
)

// Options are what both processes are made of.
type Options struct {
	Config  *config.Config
	Environ []string // as os.Environ; for reloads
	Log     *slog.Logger
	Port    *Port // the API's, if it is open already; nil: api.listen is opened
}

// redisPatience is how long a starting process waits for Redis.
const redisPatience = 5 * time.Second

// openRedis builds a client and makes sure that there is a Redis behind it.
func openRedis(ctx context.Context, c *config.Config, use redisdb.Use) (redis.UniversalClient, error) {
	rdb, err := redisdb.Open(string(c.Redis.URL), use)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	if err := ping(ctx, rdb); err != nil {
		return nil, errors.Join(fmt.Errorf("redis.url: %w", err), rdb.Close())
	}
	return rdb, nil
}

func ping(ctx context.Context, rdb redis.UniversalClient) error {
	err := rdb.Ping(ctx).Err()
	if err == nil {
		return nil
	}
	// A dial error names the address and what was wrong; nothing is added, and
	// no user or password is in it.
	return fmt.Errorf("no Redis answers: %w", err)
}

func newStore(rdb redis.UniversalClient, d *Directory) *store.Store {
	return store.New(rdb, store.Options{
		Tier:         d.tier,
		Retention:    d.retention,
		UnknownGrace: d.unknownGrace,
		Polls:        d.polls,
		Lookups:      d.lookups,
		WaitReplicas: d.now.Load().config.Redis.WaitReplicas,
	})
}

// reload keeps the directory as the file says; changed is called after each
// change.
func reload(ctx context.Context, o Options, d *Directory, changed func()) {
	config.Watch(ctx, o.Config, o.Environ, func(next *config.Config) {
		if err := d.Replace(next); err != nil {
			o.Log.ErrorContext(ctx, "configuration not applied, the one before stays", "error", err)
			return
		}
		changed()
	}, o.Log)
}
