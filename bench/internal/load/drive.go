package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Burst makes count requests over so many connections, each as soon as the one
// before it on the same connection was answered, and returns how long each one
// took. request is called with the number of the connection and of the request;
// what it returns is used before it is called for that connection again.
func Burst(ctx context.Context, addr string, connections, count int, request func(conn, n int) []byte) ([]time.Duration, error) {
	var next atomic.Int64
	took := make([]time.Duration, count)
	g, ctx := errgroup.WithContext(ctx)
	for conn := range connections {
		g.Go(func() error {
			c, err := Dial(ctx, addr)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return nil
				}
				begun := time.Now()
				if err := Accepted(c.Do(request(conn, n))); err != nil {
					return err
				}
				took[n] = time.Since(begun)
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	return took, err
}

// Posted is a message that was accepted.
type Posted struct {
	ID string
	At time.Time // when its post began
}

// spares is how many connections a paced load has, so that a slow answer
// doesn't delay the next post.
const spares = 8

// Paced makes count requests, one every gap, and returns what was posted.
func Paced(ctx context.Context, addr string, gap time.Duration, count int, request func(conn, n int) []byte) ([]Posted, error) {
	work := make(chan int)
	var mu sync.Mutex
	var all []Posted
	g, ctx := errgroup.WithContext(ctx)
	for conn := range spares {
		g.Go(func() error {
			c, err := Dial(ctx, addr)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			for n := range work {
				wire := request(conn, n)
				p := Posted{At: time.Now()}
				status, body, err := c.Do(wire)
				if err := Accepted(status, body, err); err != nil {
					return err
				}
				p.ID = ID(body)
				mu.Lock()
				all = append(all, p)
				mu.Unlock()
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(work)
		ticker := time.NewTicker(gap)
		defer ticker.Stop()
		for n := range count {
			select {
			case work <- n:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	err := g.Wait()
	return all, err
}
