package localredis

import (
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how late keys of an embedded Redis may expire: it doesn't look at the
// clock by itself.
const tick = 20 * time.Millisecond

// Embedded is a Redis inside this process, on a free port of the loopback
// address. Nothing it holds outlives it.
type Embedded struct {
	URL string

	redis *miniredis.Miniredis
	stop  chan struct{}
	done  chan struct{}
}

// Embed starts one.
func Embed() (*Embedded, error) {
	m, err := miniredis.Run()
	if err != nil {
		return nil, err
	}
	e := &Embedded{URL: "redis://" + m.Addr() + "/0", redis: m, stop: make(chan struct{}), done: make(chan struct{})}
	go e.age()
	return e, nil
}

func (e *Embedded) age() {
	defer close(e.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case <-ticker.C:
			now := time.Now()
			e.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Close ends it. It is called once.
func (e *Embedded) Close() {
	close(e.stop)
	<-e.done
	e.redis.Close()
}
