package redisdb

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, rawURL string, use Use) redis.UniversalClient {
	t.Helper()
	c, err := Open(rawURL, use)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// address is what a URL says of where Redis is.
type address struct {
	Master   string
	Addrs    []string
	Username string
	Password string
	DB       int
	Secure   bool
}

func TestOpenSingle(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		want      address
	}{
		{"host alone", "redis://cache", address{Addrs: []string{"cache:6379"}}},
		{"host, port and database", "redis://localhost:6380/3", address{Addrs: []string{"localhost:6380"}, DB: 3}},
		{"an IPv6 address", "redis://[::1]:6380/0", address{Addrs: []string{"[::1]:6380"}}},
		{"a password", "redis://:hunter2@localhost:6379/0", address{Addrs: []string{"localhost:6379"}, Password: "hunter2"}},
		{"a user and an escaped password", "redis://app:p%40ss%2F@localhost:6379", address{Addrs: []string{"localhost:6379"}, Username: "app", Password: "p@ss/"}},
		{"TLS", "rediss://app:hunter2@cache.example.com:6380/1", address{Addrs: []string{"cache.example.com:6380"}, Username: "app", Password: "hunter2", DB: 1, Secure: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, ok := open(t, tc.url, ForAPI).(*redis.Client)
			if !ok {
				t.Fatalf("a client of another kind")
			}
			o := c.Options()
			got := address{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, Secure: o.TLSConfig != nil}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if tc.want.Secure && (o.TLSConfig.ServerName != "cache.example.com" || o.TLSConfig.MinVersion < tls.VersionTLS12 || o.TLSConfig.InsecureSkipVerify) {
				t.Errorf("TLS for %q from version %x", o.TLSConfig.ServerName, o.TLSConfig.MinVersion)
			}
		})
	}
}

func TestOpenSeveralHosts(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		want      address
	}{
		{"sentinels", "redis-sentinel://main@h1:26379,h2:26380/2", address{Master: "main", Addrs: []string{"h1:26379", "h2:26380"}, DB: 2}},
		{"one sentinel and no database", "redis-sentinel://main@h1:26379", address{Master: "main", Addrs: []string{"h1:26379"}}},
		{"sentinels and a password", "redis-sentinel://main@h1:26379/0?username=app&password=p%40ss", address{Master: "main", Addrs: []string{"h1:26379"}, Username: "app", Password: "p@ss"}},
		{"cluster", "redis-cluster://h1:7000,h2:7001,[::1]:7002", address{Addrs: []string{"h1:7000", "h2:7001", "[::1]:7002"}}},
		{"cluster with a password", "redis-cluster://app:hunter2@h1:7000", address{Addrs: []string{"h1:7000"}, Username: "app", Password: "hunter2"}},
		{"cluster with a password that holds an at", "redis-cluster://app:p@ss@h1:7000", address{Addrs: []string{"h1:7000"}, Username: "app", Password: "p@ss"}},
		{"cluster with a password in the query", "redis-cluster://h1:7000?password=hunter2", address{Addrs: []string{"h1:7000"}, Password: "hunter2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scheme, rest, _ := strings.Cut(tc.url, "://")
			var o redis.UniversalOptions
			if err := parseHosts(&o, scheme, rest); err != nil {
				t.Fatal(err)
			}
			got := address{Master: o.MasterName, Addrs: o.Addrs, Username: o.Username, Password: o.Password, DB: o.DB}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			switch c := open(t, tc.url, ForAPI).(type) {
			case *redis.ClusterClient:
				o := c.Options()
				got := address{Addrs: o.Addrs, Username: o.Username, Password: o.Password}
				if diff := cmp.Diff(tc.want, got); diff != "" || scheme != "redis-cluster" {
					t.Errorf("cluster client for %s, -want +got:\n%s", scheme, diff)
				}
			case *redis.Client:
				o := c.Options()
				if o.Username != tc.want.Username || o.Password != tc.want.Password || o.DB != tc.want.DB || scheme != "redis-sentinel" {
					t.Errorf("single client for %s: %+v", scheme, o)
				}
			default:
				t.Errorf("a client of another kind: %T", c)
			}
		})
	}
}

func TestErrorsAreOneClearLine(t *testing.T) {
	for _, tc := range []struct{ name, url, want string }{
		{"nothing", "", "redis.url: must be a URL such as redis://localhost:6379/0"},
		{"no scheme", "localhost:6379", "redis.url: must be a URL such as redis://localhost:6379/0"},
		{"another scheme", "http://:hunter2@localhost", `redis.url: scheme "http" is none of redis, rediss, redis-sentinel, redis-cluster`},
		{"a database that is no number", "redis://:hunter2@localhost/x", `redis.url: redis: invalid database number: "x"`},
		{"a path", "redis://:hunter2@localhost/0/1", "redis.url: redis: invalid URL path: /0/1"},
		{"a space in the password", "redis://:hunter 2@localhost", "redis.url: net/url: invalid userinfo"},
		{"sentinels without hosts", "redis-sentinel://main@", "redis.url: redis-sentinel needs hosts as h1:p,h2:p"},
		{"a host missing among several", "redis-cluster://app:hunter2@h1:1,,h2:2", "redis.url: redis-cluster needs hosts as h1:p,h2:p"},
		{"a cluster without hosts", "redis-cluster://", "redis.url: redis-cluster needs hosts as h1:p,h2:p"},
		{"sentinels without a master", "redis-sentinel://h1:26379/0?password=hunter2", "redis.url: redis-sentinel needs the master's name before '@'"},
		{"a sentinels' database that is no number", "redis-sentinel://main@h1:26379/x?password=hunter2", "redis.url: the database must be a number"},
		{"a broken query", "redis-sentinel://main@h1:26379/0?password=hunter2%zz", "redis.url: the query can't be read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Open(tc.url, ForAPI)
			if err == nil || c != nil {
				t.Fatalf("got %v, %v", c, err)
			}
			if err.Error() != tc.want || strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %q", err, tc.want)
			}
		})
	}
}

// patience is how long a client tries.
type patience struct {
	Retries                int
	MinBackoff, MaxBackoff time.Duration
	Dial, Read, Write      time.Duration
	Pool                   int
	Context                bool // deadlines of contexts reach the socket
}

// forget drops the backoffs of who never retries: they are the library's.
func (p *patience) forget() {
	if p.Retries <= 0 {
		p.MinBackoff, p.MaxBackoff = 0, 0
	}
}

func TestEachUseHasItsPatience(t *testing.T) {
	const ms = time.Millisecond
	for _, use := range []struct {
		name string
		use  Use
		want patience
	}{
		{"the API fails fast", ForAPI, patience{1, 10 * ms, 50 * ms, 500 * ms, 900 * ms, 900 * ms, 64, true}},
		{"a worker outlasts a blip", ForWorker, patience{20, 50 * ms, time.Second, 2 * time.Second, 10 * time.Second, 10 * time.Second, 100, true}},
		{"liveness tries once", ForLiveness, patience{0, 0, 0, time.Second, time.Second, time.Second, 2, true}},
	} {
		for _, url := range []string{
			"redis://localhost", "redis://localhost?max_retries=7&read_timeout=99s&dial_timeout=99s&pool_size=9",
			"redis-sentinel://main@h1:26379",
		} {
			t.Run(use.name+", "+url, func(t *testing.T) {
				o := open(t, url, use.use).(*redis.Client).Options()
				got := patience{o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff, o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolSize, o.ContextTimeoutEnabled}
				got.forget()
				if diff := cmp.Diff(use.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
		t.Run(use.name+", in a cluster", func(t *testing.T) {
			o := open(t, "redis-cluster://h1:7000", use.use).(*redis.ClusterClient).Options()
			got := patience{o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff, o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolSize, o.ContextTimeoutEnabled}
			got.forget()
			want := use.want
			if use.use == ForLiveness {
				want.Retries = -1 // a cluster's way to say none
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
