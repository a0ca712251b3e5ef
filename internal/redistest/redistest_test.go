package redistest_test

import (
	"context"
	"strconv"
	"sync"
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

func TestAClusterKeepsEachKeyWithOneOfItsMasters(t *testing.T) {
	c := redistest.NewCluster(t, 1)
	rdb := open(t, c.URL)
	for i := range 100 {
		if err := rdb.Set(t.Context(), strconv.Itoa(i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		t.Fatalf("a %T", rdb)
	}
	var mu sync.Mutex
	sizes := make(map[string]int64)
	if err := cluster.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		sizes[node.Options().Addr] = node.DBSize(ctx).Val()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, n := range sizes {
		total += n
		if n < 10 {
			t.Errorf("keys of the masters: %v", sizes)
		}
	}
	if len(sizes) != 3 || total != 100 {
		t.Errorf("keys of the masters: %v", sizes)
	}
}
