package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"sluice/internal/localredis"
)

const (
	masters  = 3
	allSlots = 1 << 14

	// nodeTimeout is after how long nodes take a silent one for dead. Less would
	// have a busy machine break up its clusters.
	nodeTimeout = 2 * time.Second

	formTimeout = 30 * time.Second
)

// Cluster is a real one: three redis-servers with a third of the slots each,
// and perhaps replicas.
type Cluster struct {
	URL string // redis-cluster://127.0.0.1:port,…

	nodes []*clusterNode // the masters first, then their replicas in the same order
	dir   string
}

// clusterNode is a server with a client of its own.
type clusterNode struct {
	*redis.Client
	server *localredis.Server
	id     string
}

// NewCluster starts an empty cluster, whose masters have so many replicas each;
// it ends with the test. A master takes two seconds before it takes writes.
func NewCluster(tb testing.TB, replicas int) *Cluster {
	tb.Helper()
	c, err := startCluster(tb.Context(), tb.TempDir(), replicas)
	tb.Cleanup(c.stop)
	if err != nil {
		tb.Fatalf("start a cluster: %v (make test installs redis-server)", err)
	}
	return c
}

// startCluster returns a cluster that is to be stopped even if there is an error.
func startCluster(ctx context.Context, dir string, replicas int) (*Cluster, error) {
	c := &Cluster{dir: dir, nodes: make([]*clusterNode, masters*(1+replicas))}
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	if err := c.each(ctx, c.launch); err != nil {
		return c, err
	}
	var hosts []string
	for _, n := range c.nodes {
		hosts = append(hosts, n.Options().Addr)
	}
	c.URL = "redis-cluster://" + strings.Join(hosts, ",")
	if err := c.each(ctx, c.introduce); err != nil {
		return c, err
	}
	if err := c.each(ctx, c.follow); err != nil {
		return c, err
	}
	return c, c.each(ctx, func(ctx context.Context, i int) error {
		return until(ctx, "the cluster stands", func() bool { return c.stands(ctx, i) })
	})
}

// launch starts the node.
func (c *Cluster) launch(ctx context.Context, i int) error {
	dir := filepath.Join(c.dir, strconv.Itoa(i))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := localredis.StartNode(
		ctx, dir, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
	)
	if err != nil {
		return err
	}
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		server.Kill()
		return err
	}
	c.nodes[i] = &clusterNode{Client: redis.NewClient(opts), server: server}
	if c.nodes[i].id, err = c.nodes[i].ClusterMyID(ctx).Result(); err != nil {
		return err
	}
	// Or they would settle later which of them are older.
	return c.nodes[i].Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err()
}

// introduce gives a master its slots, and has the node meet all others.
func (c *Cluster) introduce(ctx context.Context, i int) error {
	me := c.nodes[i]
	if i < masters {
		if err := me.ClusterAddSlotsRange(ctx, i*allSlots/masters, (i+1)*allSlots/masters-1).Err(); err != nil {
			return err
		}
	}
	for _, other := range c.nodes {
		host, port, _ := strings.Cut(other.Options().Addr, ":")
		if err := me.Do(ctx, "CLUSTER", "MEET", host, port, other.server.Bus()).Err(); err != nil {
			return err
		}
	}
	return nil
}

// follow makes a replica of each node that is no master.
func (c *Cluster) follow(ctx context.Context, i int) error {
	if i < masters {
		return nil
	}
	return until(ctx, "a node knows its master", func() bool {
		return c.nodes[i].ClusterReplicate(ctx, c.nodes[i%masters].id).Err() == nil
	})
}

// stands reports whether the node sees a cluster that is whole.
func (c *Cluster) stands(ctx context.Context, i int) bool {
	me := c.nodes[i]
	info, err := me.ClusterInfo(ctx).Result()
	if err != nil || !strings.Contains(info, "cluster_state:ok") ||
		!strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", len(c.nodes))) {
		return false
	}
	if i < masters {
		return true
	}
	role, err := me.Info(ctx, "replication").Result()
	return err == nil && strings.Contains(role, "role:slave") && strings.Contains(role, "master_link_status:up")
}

// each calls do for all nodes at the same time.
func (c *Cluster) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range c.nodes {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

func (c *Cluster) stop() {
	var stopping sync.WaitGroup
	for _, n := range c.nodes {
		if n != nil {
			stopping.Go(func() {
				_ = n.Close()
				n.server.Kill()
			})
		}
	}
	stopping.Wait()
}

// empty forgets all that the cluster holds.
func (c *Cluster) empty(ctx context.Context) error {
	return c.each(ctx, func(ctx context.Context, i int) error {
		if i >= masters {
			return nil
		}
		return c.nodes[i].FlushAll(ctx).Err()
	})
}

func until(ctx context.Context, what string, holds func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
	return nil
}

// Kill ends the master that has the key. standIn has its replica, of which there
// must be one, take its place at once, as it would by itself after a while.
func (c *Cluster) Kill(tb testing.TB, key string) (standIn func()) {
	tb.Helper()
	owner := c.owner(tb, key)
	c.nodes[owner].server.Kill()
	return func() {
		tb.Helper()
		if err := c.nodes[owner+masters].Do(tb.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err(); err != nil {
			tb.Fatal(err)
		}
	}
}

// owner is the master that has the key.
func (c *Cluster) owner(tb testing.TB, key string) int {
	tb.Helper()
	slot := c.slot(tb, key)
	shards, err := c.nodes[0].ClusterShards(tb.Context()).Result()
	if err != nil {
		tb.Fatal(err)
	}
	for _, shard := range shards {
		for _, s := range shard.Slots {
			if s.Start > int64(slot) || int64(slot) > s.End {
				continue
			}
			for i, n := range c.nodes {
				if slices.ContainsFunc(shard.Nodes, func(o redis.Node) bool { return o.Role == "master" && o.ID == n.id }) {
					return i
				}
			}
		}
	}
	tb.Fatalf("nobody has slot %d", slot)
	return 0
}

func (c *Cluster) slot(tb testing.TB, key string) int {
	tb.Helper()
	slot, err := c.nodes[0].ClusterKeySlot(tb.Context(), key).Result()
	if err != nil {
		tb.Fatal(err)
	}
	return int(slot)
}

// Migrate moves the slot of a key to another master while clients go on, one
// key at a time as redis-cli does. midway is called when half of the slot's keys
// have moved.
func (c *Cluster) Migrate(tb testing.TB, key string, midway func()) {
	tb.Helper()
	ctx := tb.Context()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	slot, owner := c.slot(tb, key), c.owner(tb, key)
	from, to := c.nodes[owner], c.nodes[(owner+1)%masters]
	host, port, _ := strings.Cut(to.Options().Addr, ":")
	must(to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id).Err())
	must(from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id).Err())
	keys, err := from.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result()
	must(err)
	move := func(keys []string) {
		for _, k := range keys {
			must(from.Migrate(ctx, host, port, k, 0, 10*time.Second).Err())
		}
	}
	move(keys[:len(keys)/2])
	midway()
	for keys = keys[len(keys)/2:]; len(keys) > 0; { // until there is none, as redis-cli does
		move(keys)
		keys, err = from.ClusterGetKeysInSlot(ctx, slot, 1<<20).Result()
		must(err)
	}
	for _, n := range []*clusterNode{to, from, c.nodes[(owner+2)%masters]} {
		must(n.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", to.id).Err())
	}
}
