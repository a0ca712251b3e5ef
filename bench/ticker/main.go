// Command ticker watches the machine: it ticks every millisecond and writes a
// line, Unix nanoseconds and milliseconds, when a tick came over 10 ms late. It
// is a process of its own, so that what it sees isn't the load generator's.
package main

import (
	"fmt"
	"time"
)

const (
	every = time.Millisecond
	late  = 10 * time.Millisecond
)

func main() {
	last := time.Now()
	for range time.Tick(every) {
		now := time.Now()
		if gap := now.Sub(last); gap > late {
			fmt.Println(now.UnixNano(), gap.Milliseconds())
		}
		last = now
	}
}
