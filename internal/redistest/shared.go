package redistest

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// shared is the cluster of all suites of one test binary: to form one takes
// longer than most of them.
var shared struct {
	busy    sync.Mutex // one suite at a time
	cluster *Cluster
}

// Everywhere is Each, and runs the suite a third time on an empty cluster. The
// package's TestMain must run Main(m).
func Everywhere(t *testing.T, suite func(t *testing.T, url string)) {
	t.Helper()
	Each(t, suite)
	t.Run("cluster", func(t *testing.T) { suite(t, Shared(t).URL) })
}

// Shared gives the test a cluster of three masters until its end. It was another
// test's before and is empty. The package's TestMain must run Main(m).
func Shared(t *testing.T) *Cluster {
	t.Helper()
	shared.busy.Lock()
	t.Cleanup(shared.busy.Unlock)
	if shared.cluster == nil {
		dir, err := os.MkdirTemp("", "sluice-cluster-") //nolint:usetesting // it outlives the test
		if err != nil {
			t.Fatal(err)
		}
		c, err := startCluster(t.Context(), dir, 0)
		if err != nil {
			c.stop()
			t.Fatalf("start a cluster: %v (make test installs redis-server)", errors.Join(err, os.RemoveAll(dir)))
		}
		shared.cluster = c
	}
	if err := shared.cluster.empty(t.Context()); err != nil {
		t.Fatalf("empty the cluster: %v", err)
	}
	return shared.cluster
}

// Main returns m, which stops the cluster of Everywhere once its tests have run.
func Main(m *testing.M) interface{ Run() int } { return sharer{m} }

type sharer struct{ m *testing.M }

// Run implements goleak.TestingM.
func (s sharer) Run() int {
	code := s.m.Run()
	if c := shared.cluster; c != nil {
		c.stop()
		if err := os.RemoveAll(c.dir); err != nil && code == 0 {
			code = 1
		}
	}
	return code
}
