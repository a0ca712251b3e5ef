package simulator

import (
	"bytes"
	"container/heap"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// job is the callbacks of one message. Its steps are reported one after
// another: the next is due only when the one before was taken or given up.
type job struct {
	account  *account
	url      string
	receipt  receipt
	steps    []step
	accepted time.Time     // by the simulator's clock, for what callbacks say
	base     time.Time     // by the real clock, for when they go
	raw      []byte        // a callback already written, instead of steps
	done     chan struct{} // closed when nothing is left; nil if nobody waits

	due        time.Time
	tries      int // of the current step
	generation int
}

func (j *job) finish() {
	if j.done != nil {
		close(j.done)
	}
}

// courier carries callbacks: one goroutine that knows what is due, and a fixed
// number that call.
type courier struct {
	opts   CallbackOptions
	logger *slog.Logger
	client *http.Client
	ctx    context.Context // of the calls
	cancel context.CancelFunc

	mu         sync.Mutex
	jobs       jobHeap
	generation int  // grows with every reset; jobs of an older one are dropped
	closed     bool // nothing is taken any more
	wake       chan struct{}
	quit       chan struct{}
	work       chan []*job
	workers    sync.WaitGroup

	taken, retried, dropped, overflowed atomic.Int64
	busy                                atomic.Int64 // messages in calls under way
}

func newCourier(o CallbackOptions, logger *slog.Logger) *courier {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{MaxIdleConnsPerHost: o.Workers, IdleConnTimeout: time.Minute}
	}
	c := &courier{
		opts: o, logger: logger,
		client: &http.Client{
			Transport: transport, Timeout: o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), work: make(chan []*job),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.workers.Go(c.dispatch)
	for range o.Workers {
		c.workers.Go(func() {
			for batch := range c.work {
				c.carry(batch)
			}
		})
	}
	return c
}

// close drops what isn't under way and waits for the rest.
func (c *courier) close(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.quit)
	}
	c.mu.Unlock()
	c.clear()

	ended := make(chan struct{})
	go func() { c.workers.Wait(); close(ended) }() // waited for below, in either case
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		c.cancel()
		<-ended
	}
	c.cancel()
	c.client.CloseIdleConnections()
	return err
}

// clear drops every job that isn't under way.
func (c *courier) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, j := range c.jobs {
		j.finish()
	}
	c.jobs = nil
}

func (c *courier) stats() CallbackStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CallbackStats{
		Pending: len(c.jobs) + int(c.busy.Load()), Taken: c.taken.Load(), Retried: c.retried.Load(),
		Dropped: c.dropped.Load(), Overflowed: c.overflowed.Load(),
	}
}

func (c *courier) resetStats() {
	for _, n := range []*atomic.Int64{&c.taken, &c.retried, &c.dropped, &c.overflowed} {
		n.Store(0)
	}
}

// add plans the callbacks of one message.
func (c *courier) add(j *job) {
	j.due = j.base
	if len(j.steps) > 0 {
		j.due = j.base.Add(j.steps[0].reports)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	j.generation = c.generation
	if c.closed || len(c.jobs) >= c.opts.Backlog {
		c.overflowed.Add(1)
		j.finish()
		return
	}
	c.push(j)
}

// push wants the lock.
func (c *courier) push(j *job) {
	heap.Push(&c.jobs, j)
	if c.jobs[0] == j {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func (c *courier) dispatch() {
	defer close(c.work)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch, wait := c.next(time.Now())
		if batch == nil {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-c.wake:
			case <-c.quit:
				return
			}
			continue
		}
		select {
		case c.work <- batch:
		case <-c.quit:
			c.busy.Add(-int64(len(batch)))
			for _, j := range batch {
				j.finish()
			}
			return
		}
	}
}

// next takes what is due and goes to one place, or says how long nothing will
// be.
func (c *courier) next(now time.Time) (batch []*job, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.jobs) > 0 && len(batch) < c.opts.Batch {
		j := c.jobs[0]
		if wait = j.due.Sub(now); wait > 0 {
			break
		}
		if len(batch) > 0 && (j.account != batch[0].account || j.url != batch[0].url || j.raw != nil || batch[0].raw != nil ||
			!j.account.dialect.batches()) {
			break
		}
		heap.Pop(&c.jobs)
		batch = append(batch, j)
	}
	c.busy.Add(int64(len(batch)))
	if len(c.jobs) == 0 && batch == nil {
		wait = time.Hour
	}
	return batch, wait
}

// carry makes one call and plans what follows from its answer.
func (c *courier) carry(batch []*job) {
	defer c.busy.Add(-int64(len(batch)))
	a := batch[0].account
	body := batch[0].raw
	if body == nil {
		reports := make([]report, len(batch))
		for i, j := range batch {
			reports[i] = report{receipt: &j.receipt, step: j.steps[0], at: j.accepted.Add(j.steps[0].happens)}
		}
		body = a.dialect.statuses(a, reports)
	}
	verdict := a.dialect.judge(c.post(a, batch[0].url, body))
	for _, j := range batch {
		c.settle(j, verdict)
	}
}

func (c *courier) settle(j *job, v verdict) {
	j.tries++
	if v == callbackAgain && j.tries < c.opts.Tries {
		c.retried.Add(1)
		wait := c.opts.RetryFirst << min(j.tries-1, 12)
		if w, ok := j.account.dialect.(waiter); ok {
			wait = w.wait(c.opts.RetryFirst, j.tries)
		}
		j.due = time.Now().Add(wait)
		c.again(j)
		return
	}
	if v == callbackTaken {
		c.taken.Add(1)
	} else {
		c.dropped.Add(1)
		c.logger.LogAttrs(c.ctx, slog.LevelWarn, "callback given up",
			slog.String("account", j.account.ID), slog.String("message", j.receipt.id), slog.Int("tries", j.tries))
	}
	if len(j.steps) <= 1 {
		j.finish()
		return
	}
	j.steps, j.tries = j.steps[1:], 0
	j.due = j.base.Add(j.steps[0].reports)
	c.again(j)
}

func (c *courier) again(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || j.generation != c.generation {
		j.finish()
		return
	}
	c.push(j)
}

// post is the HTTP status of the answer, zero if there was none.
func (c *courier) post(a *account, url string, body []byte) int {
	req, err := http.NewRequestWithContext(c.ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "sluice-simulator")
	a.dialect.sign(a, url, body, req.Header)
	res, err := c.client.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode
}

// jobHeap has the job that is due next in front.
type jobHeap []*job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h jobHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *jobHeap) Push(x any) { *h = append(*h, x.(*job)) }

// Pop is for container/heap.
func (h *jobHeap) Pop() any {
	old := *h
	n := len(old) - 1
	j := old[n]
	old[n] = nil
	*h = old[:n]
	return j
}
