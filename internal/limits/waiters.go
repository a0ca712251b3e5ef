package limits

import (
	"container/heap"
	"strings"

	"sluice/internal/gateway"
)

// waiter is one caller that waits for its turn.
type waiter struct {
	priority gateway.Priority
	order    string
	arrival  uint64
	ready    chan struct{} // closed when its turn has come
	index    int           // in the heap; -1 when its turn has come
}

// waiters is a queue: transactional before bulk, then by order, then by
// arrival. The zero value is empty. Its owner's lock guards it.
type waiters struct {
	heap     waiterHeap
	arrivals uint64
}

func (q *waiters) len() int { return len(q.heap) }

// add queues a caller.
func (q *waiters) add(p gateway.Priority, order string) *waiter {
	q.arrivals++
	w := &waiter{priority: p, order: order, arrival: q.arrivals, ready: make(chan struct{})}
	heap.Push(&q.heap, w)
	return w
}

// first is who comes next, or nil.
func (q *waiters) first() *waiter {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// wakeFirst takes the first out of the queue and lets it go.
func (q *waiters) wakeFirst() {
	w := heap.Pop(&q.heap).(*waiter)
	close(w.ready)
}

// remove takes a caller out that no longer waits. It reports false if its
// turn had come before.
func (q *waiters) remove(w *waiter) bool {
	if w.index < 0 {
		return false
	}
	heap.Remove(&q.heap, w.index)
	return true
}

// waiterHeap implements heap.Interface.
type waiterHeap []*waiter

func (h waiterHeap) Len() int { return len(h) }

func (h waiterHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.priority != b.priority {
		return a.priority == gateway.Transactional
	}
	if c := strings.Compare(a.order, b.order); c != 0 {
		return c < 0
	}
	return a.arrival < b.arrival
}

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *waiterHeap) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	w.index = -1
	return w
}
