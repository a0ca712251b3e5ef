package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/gateway"
	"sluice/internal/redistest"
)

func TestEnqueueAllKeepsTheOrder(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, url string) {
		t.Helper()
		s := newSender(t, url)
		var tasks []gateway.Task
		want := map[gateway.Priority][]gateway.MessageID{}
		for n := range 100 {
			task := gateway.Task{Message: gateway.NewMessageID(shop, time.Now()), Priority: gateway.Priorities()[n%3%2]}
			tasks = append(tasks, task)
			want[task.Priority] = append(want[task.Priority], task.Message)
		}
		// A Redis that doesn't know the script, then one that does and has some of
		// the tasks already.
		for _, some := range [][]gateway.Task{tasks[:60], tasks[40:], tasks[99:], nil} {
			if err := s.EnqueueAll(t.Context(), shop, some); err != nil {
				t.Fatal(err)
			}
		}
		for p, ids := range want {
			if diff := cmp.Diff(ids, pendingIDs(t, s.rdb, queuesOf(shop, p)[len(queuesOf(shop, p))-1])); diff != "" {
				t.Errorf("%s (-want +got):\n%s", p, diff)
			}
		}
		if n := s.rdb.SCard(t.Context(), "asynq:queues").Val(); n != 2 {
			t.Errorf("asynq knows %d queues", n)
		}
		if err := s.EnqueueAll(t.Context(), shop, []gateway.Task{tasks[0], {Message: "m", Priority: "slow"}}); err == nil {
			t.Error("it took a lane that doesn't exist")
		}
	})
}

func TestEnqueueAllSaysWhatItCouldNotDo(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	s := newSender(t, server.URL)
	server.Down()
	tasks := []gateway.Task{{Message: "a", Priority: gateway.Bulk}, {Message: "b", Priority: gateway.Bulk}}
	if err := s.EnqueueAll(t.Context(), shop, tasks); err == nil {
		t.Error("it enqueued into a Redis that is down")
	}
}
