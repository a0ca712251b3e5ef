package redisdb

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Use says what a client is for; it decides how long a command may try.
type Use int

const (
	// ForAPI fails fast: a caller waits, and is told 503 within a second.
	ForAPI Use = iota + 1
	// ForWorker outlasts a blip: asynq forgets a task's end when its one try
	// fails (docs/design.md), so the tries happen inside the client.
	ForWorker
	// ForLiveness tries once: a late renewal is worth nothing.
	ForLiveness
)

// Open builds a client for redis://, rediss://, redis-sentinel://master@h1:p,h2:p/0
// or redis-cluster://h1:p,h2:p. It doesn't connect.
func Open(rawURL string, use Use) (redis.UniversalClient, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil, errors.New("redis.url: must be a URL such as redis://localhost:6379/0")
	}
	opts := &redis.UniversalOptions{}
	switch scheme {
	case "redis", "rediss":
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, fmt.Errorf("redis.url: %w", redact(err))
		}
		tune(o, use)
		return redis.NewClient(o), nil
	case "redis-sentinel", "redis-cluster":
		if err := parseHosts(opts, scheme, rest); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("redis.url: scheme %q is none of redis, rediss, redis-sentinel, redis-cluster", scheme)
	}
	var o redis.Options
	tune(&o, use)
	opts.MaxRetries, opts.MinRetryBackoff, opts.MaxRetryBackoff = o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout = o.DialTimeout, o.ReadTimeout, o.WriteTimeout
	opts.PoolSize, opts.ContextTimeoutEnabled = o.PoolSize, o.ContextTimeoutEnabled
	if scheme == "redis-cluster" {
		return redis.NewClusterClient(opts.Cluster()), nil
	}
	return redis.NewFailoverClient(opts.Failover()), nil
}

func parseHosts(opts *redis.UniversalOptions, scheme, rest string) error {
	rest, query, _ := strings.Cut(rest, "?")
	user := ""
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, rest = rest[:at], rest[at+1:]
	}
	hosts, db, _ := strings.Cut(rest, "/")
	opts.Addrs = strings.Split(hosts, ",")
	if slices.Contains(opts.Addrs, "") {
		return fmt.Errorf("redis.url: %s needs hosts as h1:p,h2:p", scheme)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("redis.url: the query can't be read")
	}
	opts.Username, opts.Password = values.Get("username"), values.Get("password")
	if scheme == "redis-cluster" {
		if name, pass, found := strings.Cut(user, ":"); found {
			opts.Username, opts.Password = name, pass
		}
		return nil
	}
	if user == "" {
		return errors.New("redis.url: redis-sentinel needs the master's name before '@'")
	}
	opts.MasterName = user
	if db != "" {
		if _, err := fmt.Sscanf(db, "%d", &opts.DB); err != nil {
			return errors.New("redis.url: the database must be a number")
		}
	}
	return nil
}

func tune(o *redis.Options, use Use) {
	o.ContextTimeoutEnabled = true
	o.DialTimeout = 2 * time.Second
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

// redact keeps a password in the URL out of the error.
func redact(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}
