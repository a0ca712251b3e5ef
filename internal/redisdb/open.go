package redisdb

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Use says what a client is for; it decides how long a command may try.
type Use int

const (
	// ForAPI fails fast: a caller waits, and is told 503 within a second.
	ForAPI Use = iota + 1
	// ForWorker outlasts a blip: asynq forgets a task's end when its one try
	// fails (docs/design.md), so the tries happen inside the client.
	ForWorker
	// ForLiveness tries once, and in a cluster once more where the key has
	// moved: a late renewal is worth nothing.
	ForLiveness
)

// Open builds a client from a URL of one of these forms. It doesn't connect.
//
//	redis://user:password@host:6379/0
//	rediss://user:password@host:6379/0
//	redis-sentinel://master@h1:p,h2:p/0
//	redis-cluster://user:password@h1:p,h2:p
//
// Only the scheme, the sentinels' master and the ports of several hosts are
// required. What stands before '@' is percent-encoded, and so are the values
// of the options that may follow '?':
//
//   - for redis and rediss, those of go-redis' ParseURL; use overrules what
//     they say of tries and patience;
//   - for redis-sentinel, username and password of Redis itself,
//     sentinel_username and sentinel_password of the sentinels, for whom there
//     is no place before '@', and tls=true for TLS to both;
//   - for redis-cluster, username and password, unless they stand before '@',
//     and tls=true.
//
// An error says which part of the URL is wrong and quotes nothing that could
// belong to a password, however the URL is written.
func Open(rawURL string, use Use) (redis.UniversalClient, error) {
	a, err := parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	if a.single != nil {
		tune(a.single, use)
		return redis.NewClient(a.single), nil
	}
	var o redis.Options
	tune(&o, use)
	opts := &redis.UniversalOptions{
		Addrs: a.hosts, MasterName: a.master, DB: a.db,
		Username: a.username, Password: a.password,
		SentinelUsername: a.sentinelUsername, SentinelPassword: a.sentinelPassword,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolSize: o.PoolSize, ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		DialerRetries: o.DialerRetries, MaintNotificationsConfig: o.MaintNotificationsConfig,
	}
	if a.tls {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} // the name to expect is each host's own
	}
	if a.scheme == schemeCluster {
		return redis.NewClusterClient(cluster(opts, use)), nil
	}
	return redis.NewFailoverClient(opts.Failover()), nil
}

// minRedirects is how often a client may be sent from one node of a cluster to
// another while slots move.
const minRedirects = 3

// cluster has the tries counted where they may go to another node: a client of
// one node that tries again by itself would stay with one that is dead.
func cluster(opts *redis.UniversalOptions, use Use) *redis.ClusterOptions {
	o := opts.Cluster()
	o.MaxRedirects = max(o.MaxRetries, minRedirects)
	if use == ForLiveness {
		o.MaxRedirects = 1
	}
	o.MaxRetries = -1
	// A node that is dead sends nobody on to its successor, who is found by asking.
	o.ClusterStateReloadInterval = time.Second
	return o
}

func tune(o *redis.Options, use Use) {
	o.ContextTimeoutEnabled = true
	o.DialTimeout = 2 * time.Second
	o.DialerRetries = 1 // tries are counted in one place, MaxRetries
	// A service of Redis Enterprise, for which the client would look the host up
	// and add a command to every handshake.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch use {
	case ForAPI:
		o.MaxRetries = 1
		o.MinRetryBackoff, o.MaxRetryBackoff = 10*time.Millisecond, 50*time.Millisecond
		o.DialTimeout = 500 * time.Millisecond
		o.ReadTimeout, o.WriteTimeout = 900*time.Millisecond, 900*time.Millisecond
		o.PoolSize = 64
	case ForWorker:
		o.MaxRetries = 20
		o.MinRetryBackoff, o.MaxRetryBackoff = 50*time.Millisecond, time.Second
		o.ReadTimeout, o.WriteTimeout = 10*time.Second, 10*time.Second
		o.PoolSize = 100
	case ForLiveness:
		o.MaxRetries = -1
		o.DialTimeout = time.Second
		o.ReadTimeout, o.WriteTimeout = time.Second, time.Second
		o.PoolSize = 2
	}
}
