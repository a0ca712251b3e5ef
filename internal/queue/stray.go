package queue

import (
	"slices"
	"time"
)

// stray is a task that asynq counts as active though no desk has it: the reply
// of its dequeue got lost and the client dequeued again, or a worker that had
// lapsed took it out and died. asynq finds it a minute later at the earliest,
// and only while its lane is open, which nobody opens for it. It may also be on
// its way, to the desk or out of the queue: only one that stays is lost.
type stray struct {
	id      string
	lostAt  time.Time // it is lost if it is still there then
	adopted bool      // it has been with the desk, which saw to its message
}

// strayed is the strays among the active tasks, the oldest first, given those
// of the last look.
func strayed(last []stray, active []string, withDesk func(id string) bool, lostAt time.Time) []stray {
	var strays []stray
	for _, id := range active {
		if withDesk(id) {
			continue
		}
		s := stray{id: id, lostAt: lostAt}
		if i := slices.IndexFunc(last, func(s stray) bool { return s.id == id }); i >= 0 {
			s = last[i]
		}
		strays = append(strays, s)
	}
	return strays
}

// lostAt is when the first of them is lost that wasn't adopted; zero: none.
func lostAt(strays []stray) (at time.Time) {
	for _, s := range strays {
		if !s.adopted {
			at = earlier(at, s.lostAt)
		}
	}
	return at
}
