package sender

import (
	"sync"
	"time"
)

// door is what an attempt goes through between asking for its intent and
// leaving the gate. It can be shut: then nobody enters, those inside get a
// moment to come out, and who comes out later must turn back.
type door struct {
	mu     sync.Mutex
	closed bool // nobody enters
	sealed bool // nobody comes out
	inside int
	empty  chan struct{} // closed when the last one inside has left; nil unless somebody waits
}

// enter reports whether the door was open. Each success is followed by one
// leave.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.inside++
	return true
}

// leave reports whether the attempt may go on.
func (d *door) leave() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.inside == 0 && d.empty != nil {
		close(d.empty)
		d.empty = nil
	}
	return !d.sealed
}

// shut closes the door and seals it once nobody is inside, or after patience.
func (d *door) shut(patience time.Duration) {
	d.mu.Lock()
	d.closed = true
	var empty chan struct{}
	if d.inside > 0 && !d.sealed {
		if d.empty == nil {
			d.empty = make(chan struct{})
		}
		empty = d.empty
	}
	d.mu.Unlock()
	if empty != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-empty:
		case <-timer.C:
		}
	}
	d.mu.Lock()
	d.sealed = true
	d.mu.Unlock()
}
