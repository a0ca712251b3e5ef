package redisdb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m)) }

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

// where is what a client knows of where Redis is.
type where struct {
	Addrs    []string
	Username string
	Password string
	DB       int
	Secure   bool
}

func TestOpenSingle(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		want      where
	}{
		{"host alone", "redis://cache", where{Addrs: []string{"cache:6379"}}},
		{"host, port and database", "redis://localhost:6380/3", where{Addrs: []string{"localhost:6380"}, DB: 3}},
		{"an IPv6 address", "redis://[::1]:6380/0", where{Addrs: []string{"[::1]:6380"}}},
		{"a password", "redis://:hunter2@localhost:6379/0", where{Addrs: []string{"localhost:6379"}, Password: "hunter2"}},
		{"a user and an escaped password", "redis://app:p%40ss%2F@localhost:6379", where{Addrs: []string{"localhost:6379"}, Username: "app", Password: "p@ss/"}},
		{"a password that holds an at", "redis://:p@ss@localhost:6379/0", where{Addrs: []string{"localhost:6379"}, Password: "p@ss"}},
		{"a database as an option", "redis://localhost:6379?db=3&client_name=sluice", where{Addrs: []string{"localhost:6379"}, DB: 3}},
		{"a slash and no database", "redis://localhost:6379/", where{Addrs: []string{"localhost:6379"}}},
		{"TLS", "rediss://app:hunter2@cache.example.com:6380/1", where{Addrs: []string{"cache.example.com:6380"}, Username: "app", Password: "hunter2", DB: 1, Secure: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, ok := open(t, tc.url, ForAPI).(*redis.Client)
			if !ok {
				t.Fatalf("a client of another kind")
			}
			o := c.Options()
			got := where{Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, Secure: o.TLSConfig != nil}
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
	const sentinel, cluster = schemeSentinel, schemeCluster
	for _, tc := range []struct {
		name, url string
		want      address
	}{
		{"sentinels", "redis-sentinel://main@h1:26379,h2:26380/2", address{scheme: sentinel, master: "main", hosts: []string{"h1:26379", "h2:26380"}, db: 2}},
		{"one sentinel and no database", "redis-sentinel://my.main_1-a@h1:26379", address{scheme: sentinel, master: "my.main_1-a", hosts: []string{"h1:26379"}}},
		{"sentinels and a password", "redis-sentinel://main@h1:26379/0?username=app&password=p%40ss", address{scheme: sentinel, master: "main", hosts: []string{"h1:26379"}, username: "app", password: "p@ss"}},
		{
			"sentinels with a password of their own, over TLS", "redis-sentinel://main@h1:26379?password=a+b/c=&sentinel_username=watch&sentinel_password=s%26t&tls=true",
			address{scheme: sentinel, master: "main", hosts: []string{"h1:26379"}, password: "a+b/c=", sentinelUsername: "watch", sentinelPassword: "s&t", tls: true},
		},
		{"cluster", "redis-cluster://h1:7000,h2:7001,[::1]:7002", address{scheme: cluster, hosts: []string{"h1:7000", "h2:7001", "[::1]:7002"}}},
		{"cluster and its only database", "redis-cluster://h1:7000/0", address{scheme: cluster, hosts: []string{"h1:7000"}}},
		{"cluster with a password", "redis-cluster://app:hunter2@h1:7000", address{scheme: cluster, hosts: []string{"h1:7000"}, username: "app", password: "hunter2"}},
		{"cluster with an escaped password", "redis-cluster://a%2Fpp:p%40s%3As%25@h1:7000", address{scheme: cluster, hosts: []string{"h1:7000"}, username: "a/pp", password: "p@s:s%"}},
		{"cluster with a password that holds an at", "redis-cluster://app:p@ss@h1:7000", address{scheme: cluster, hosts: []string{"h1:7000"}, username: "app", password: "p@ss"}},
		{"cluster with a password in the query", "redis-cluster://h1:7000?password=hunter2", address{scheme: cluster, hosts: []string{"h1:7000"}, password: "hunter2"}},
		{"cluster over TLS", "redis-cluster://h1:7000?tls=true", address{scheme: cluster, hosts: []string{"h1:7000"}, tls: true}},
		{"cluster expressly without TLS", "redis-cluster://h1:7000?tls=false", address{scheme: cluster, hosts: []string{"h1:7000"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got, cmp.AllowUnexported(address{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			want := where{Addrs: tc.want.hosts, Username: tc.want.username, Password: tc.want.password, DB: tc.want.db, Secure: tc.want.tls}
			var is where
			var config *tls.Config
			switch c := open(t, tc.url, ForAPI).(type) {
			case *redis.ClusterClient:
				o := c.Options()
				is, config = where{Addrs: o.Addrs, Username: o.Username, Password: o.Password, Secure: o.TLSConfig != nil}, o.TLSConfig
				if tc.want.scheme != cluster {
					t.Errorf("a cluster client for %s", tc.want.scheme)
				}
			case *redis.Client:
				o := c.Options()
				is, config = where{Addrs: tc.want.hosts, Username: o.Username, Password: o.Password, DB: o.DB, Secure: o.TLSConfig != nil}, o.TLSConfig
				if tc.want.scheme != sentinel {
					t.Errorf("a single client for %s", tc.want.scheme)
				}
			default:
				t.Fatalf("a client of another kind: %T", c)
			}
			if diff := cmp.Diff(want, is); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if config != nil && (config.ServerName != "" || config.MinVersion < tls.VersionTLS12 || config.InsecureSkipVerify) {
				t.Errorf("TLS for %q from version %x", config.ServerName, config.MinVersion)
			}
		})
	}
}

func TestErrorsAreOneClearLine(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		want      error
	}{
		{"nothing", "", errForm},
		{"no scheme", "localhost:6379", errForm},
		{"a password for a URL", "hunter2", errForm},
		{"another scheme", "http://:hunter2@localhost", errScheme},
		{"a password for a scheme", "app:hunter2://@localhost", errScheme},
		{"a database that is no number", "redis://:hunter2@localhost/x", errDatabase},
		{"a database with letters behind", "redis://:hunter2@localhost/0abc", errDatabase},
		{"a database below zero", "redis://:hunter2@localhost/-1", errDatabase},
		{"a database with a sign", "redis://:hunter2@localhost/+1", errDatabase},
		{"a database below zero as an option", "redis://:hunter2@localhost?db=-1", errDatabase},
		{"a database beyond numbers", "redis://:hunter2@localhost/99999999999999999999", errDatabase},
		{"a path", "redis://:hunter2@localhost/0/1", errDatabase},
		{"a port that is no number", "redis://:hunter2@localhost:x/0", errHost},
		{"a port out of range", "redis://:hunter2@localhost:65536/0", errHost},
		{"port zero", "rediss://:hunter2@localhost:0/0", errHost},
		{"a host without an end", "redis://:hunter2@[::1/0", errHost},
		{"two hosts", "redis://:hunter2@h1:1,h2:2/0", errHost},
		{"a password without a host", "redis://:hunter2", errHost},
		{"a word and a password without a host", "redis://user:hunter2", errHost},

		{"a space in the password", "redis://:hunter 2@localhost", errSpace},
		{"a line break behind", "redis://:hunter2@localhost\n", errSpace},
		{"a hash in the password", "redis://:hunter#hunter@h", errEncoding},
		{"a hash behind digits", "redis://:1234#hunter@h", errEncoding},
		{"a slash in the password", "redis://:hunter/hunter@h", errEncoding},
		{"a slash behind digits", "redis://user:1234/hunter@h/0", errEncoding},
		{"a question mark in the password", "redis://:hunter?hunter@h", errEncoding},
		{"a question mark behind digits", "redis://:1234?hunter=x@h", errEncoding},
		{"a percent sign in the password", "redis://:p%hunter@h", errEncoding},
		{"half an escape", "redis://:hunter%4@h", errEncoding},
		{"a bracket in the password", "redis://:hunter[2@h", errEncoding},
		{"a letter beyond ASCII in the password", "redis://:hünter@h", errEncoding},
		{"a hash in a cluster's password", "redis-cluster://app:hunter#2@h1:7000", errEncoding},
		{"a slash in a cluster's password", "redis-cluster://app:hunter/2@h1:7000", errEncoding},
		{"a percent sign in a cluster's password", "redis-cluster://app:hunter%zz@h1:7000", errEncoding},
		{"an at in a password that is an option", "redis-cluster://h1:7000?password=hunter@2", errEncoding},
		{"a fragment", "redis://h/0#hunter", errEncoding},

		{"sentinels without hosts", "redis-sentinel://main@", errors.New("redis-sentinel needs hosts as h1:p,h2:p")},
		{"a sentinel without a port", "redis-sentinel://main@h1:26379,h2/0", errors.New("redis-sentinel needs hosts as h1:p,h2:p")},
		{"a sentinel's port out of range", "redis-sentinel://main@h1:65536/0", errors.New("redis-sentinel needs hosts as h1:p,h2:p")},
		{"a port without a sentinel", "redis-sentinel://main@:26379/0", errors.New("redis-sentinel needs hosts as h1:p,h2:p")},
		{"a host missing among several", "redis-cluster://app:hunter2@h1:1,,h2:2", errors.New("redis-cluster needs hosts as h1:p,h2:p")},
		{"a cluster without hosts", "redis-cluster://", errors.New("redis-cluster needs hosts as h1:p,h2:p")},
		{"a node without a port", "redis-cluster://app:hunter2@h1", errors.New("redis-cluster needs hosts as h1:p,h2:p")},
		{"a node's port that is no number", "redis-cluster://app:hunter2@h1:redis", errors.New("redis-cluster needs hosts as h1:p,h2:p")},
		{"a cluster's database", "redis-cluster://app:hunter2@h1:7000/1", errClusterDB},
		{"sentinels without a master", "redis-sentinel://h1:26379/0?password=hunter2", errMaster},
		{"a password behind the master's name", "redis-sentinel://main:hunter2@h1:26379/0", errMaster},
		{"a password for a master's name", "redis-sentinel://:hunter2@h1:26379/0", errMaster},
		{"a sentinels' database that is no number", "redis-sentinel://main@h1:26379/x?password=hunter2", errDatabase},
		{"a sentinels' database with letters behind", "redis-sentinel://main@h1:26379/0abc", errDatabase},
		{"a sentinels' database below zero", "redis-sentinel://main@h1:26379/-3", errDatabase},

		{"a broken escape in an option", "redis-sentinel://main@h1:26379/0?password=hunter2%zz", errOptionForm},
		{"an option without a value", "redis-cluster://h1:7000?password=hunter&hunter2", errOptionForm},
		{"an option of nothing", "redis://h?db=1&", errOptionForm},
		{"an unknown option", "redis-cluster://h1:7000?max_redirects=3&password=hunter2", unknownOption("max_redirects")},
		{"sentinels' options where there are none", "redis-cluster://h1:7000?sentinel_password=hunter2", unknownOption("sentinel_password")},
		{"an unknown option of one server", "redis://:hunter2@h?tls=true", unknownOption("tls")},
		{"a value of another kind", "redis://:hunter2@h?db=1&pool_size=hunter2", unknownOption("pool_size")},
		{"a password as an option of one server", "redis://h?password=hunter2&hunter=hunter", unknownOption("password")},
		{"another word for true", "redis-sentinel://main@h1:26379?tls=hunter2", unknownOption("tls")},
		{"an ampersand in a password", "redis-cluster://h1:7000?password=hunter&hunter=2", errOption},
		{"an ampersand in a sentinels' password", "redis-sentinel://main@h1:26379?sentinel_password=hunter&hunter=2", errOption},
		{"an option by no name", "redis-cluster://h1:7000?Hunter.2=1", errOption},
		{"two passwords", "redis-cluster://app:hunter2@h1:7000?password=hunter3", errCredentials},
		{"a password twice", "redis-sentinel://main@h1:26379?password=hunter2&password=hunter3", errCredentials},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, use := range []Use{ForAPI, ForWorker, ForLiveness} {
				c, err := Open(tc.url, use)
				if err == nil || c != nil {
					t.Fatalf("got %v, %v", c, err)
				}
				got := err.Error()
				if want := "redis.url: " + tc.want.Error(); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if strings.Contains(strings.ToLower(got), "hunter") || strings.Contains(got, "1234") || strings.Contains(got, "\n") {
					t.Errorf("quotes or breaks: %q", got)
				}
			}
		})
	}
}

func unknownOption(name string) error {
	return fmt.Errorf("option %q is unknown here or has a value that can't be read", name)
}

// Whatever characters a password holds, and wherever it is written: an error
// holds none of its parts.
func FuzzErrorsHoldNoPassword(f *testing.F) {
	for _, s := range []string{"#", "/", "?", "%zz", "@", "&", "=", ":", ";", "+", "[", "]", "\x00", "\n", " ", "://", "12#", "12/", "ü", "?db=", "/0?"} {
		f.Add("", s, "")
		f.Add("1", s, "=1")
	}
	const mark = "qzjx" // in no line of ours
	f.Fuzz(func(t *testing.T, before, between, after string) {
		password := before + mark + between + mark + after
		for _, form := range []string{
			"redis://:*@h/0", "redis://user:*@h:6379/0", "rediss://user:*@h?db=1", "redis-cluster://user:*@h1:7000",
			"redis-cluster://h1:7000?password=*", "redis-cluster://h1:7000?username=u&password=*&tls=true",
			"redis-sentinel://main@h1:26379/0?password=*", "redis-sentinel://main:*@h1:26379/0", "redis-sentinel://main@h1:26379?sentinel_password=*&x=1",
		} {
			_, err := parse(strings.Replace(form, "*", password, 1))
			if err == nil {
				continue
			}
			if got := err.Error(); strings.Contains(got, mark) || strings.Contains(got, "\n") {
				t.Errorf("%s with %q: %s", form, password, got)
			}
		}
	})
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
			want := use.want
			redirects := max(3, want.Retries) // which are its retries too
			want.Retries = -1                 // a cluster's way to say that none is one node's
			if use.use == ForLiveness {
				redirects = 1
				got.forget()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if o.MaxRedirects != redirects {
				t.Errorf("%d redirects, want %d", o.MaxRedirects, redirects)
			}
			if o.ClusterStateReloadInterval > time.Second {
				t.Errorf("a master's successor is looked for after %v", o.ClusterStateReloadInterval)
			}
		})
	}
}
