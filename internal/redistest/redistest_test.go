package redistest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"sluice/internal/redisdb"
	"sluice/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	rdb, err := redisdb.Open(url, redisdb.ForAPI)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestEachIsEmptyAndExpiresKeys(t *testing.T) {
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		rdb := open(t, url)
		if n, err := rdb.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Fatalf("DBSIZE = %d, %v; want an empty database", n, err)
		}
		if err := rdb.Set(t.Context(), "k", "v", 30*time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); rdb.Exists(t.Context(), "k").Val() == 1; {
			if time.Now().After(deadline) {
				t.Fatal("the key never expired")
			}
		}
	})
}

func TestServerGoesDownAndComesBack(t *testing.T) {
	s := redistest.New(t)
	rdb := open(t, s.URL)
	s.Down()
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Fatal("PING answered while the server is down")
	}
	s.Up(t)
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("PING after the server came back: %v", err)
	}
}
