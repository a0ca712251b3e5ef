package simulator

import (
	"slices"
	"time"
)

// behaviour is what happens to a message beyond the ordinary, whether its
// recipient's digits or a fault ask for it. The zero value is the ordinary.
type behaviour struct {
	refuse  *refusal
	ending  ending
	delay   time.Duration // before the answer
	garbled string        // the answer's body, with endGarbled

	events   []event // nil: the dialect's course
	silent   bool    // nothing is called back; who asks is told
	doubled  bool
	reversed bool
	early    bool          // callbacks before the answer
	late     time.Duration // callbacks later by this

	held    bool // Cloud: the answer says held for quality assessment
	otherID bool // the recipient's id isn't the number written
	element bool // Sinch v1: the answer's element says failure
}

// ending is how an exchange ends.
type ending int

const (
	endAnswered ending = iota // as documented
	endHung                   // not accepted, no answer
	endClosedBefore
	endClosedAfter
	endGarbled
	endWithoutID
)

func (e ending) outcome() Outcome {
	switch e {
	case endClosedAfter:
		return OutcomeDropped
	case endGarbled, endWithoutID:
		return OutcomeGarbled
	case endAnswered, endHung, endClosedBefore:
		return OutcomeAnswered
	}
	return OutcomeAnswered
}

// exchange reports whether the behaviour says anything about the request
// itself, apart from its callbacks.
func (b *behaviour) exchange() bool {
	return b.refuse != nil || b.ending != endAnswered || b.delay > 0
}

// overlay lets what other says win.
func (b *behaviour) overlay(other behaviour) {
	if other.exchange() {
		b.refuse, b.ending, b.delay, b.garbled = other.refuse, other.ending, other.delay, other.garbled
	}
	if other.events != nil {
		b.events = other.events
	}
	b.silent = b.silent || other.silent
	b.doubled = b.doubled || other.doubled
	b.reversed = b.reversed || other.reversed
	b.early = b.early || other.early
	b.late = max(b.late, other.late)
}

// magic is the behaviour of a recipient with certain last digits. If every is
// set, only every one of so many messages is accepted; the others before it
// are refused.
type magic struct {
	behaviour
	every int
}

// step is an event with its times, counted from acceptance.
type step struct {
	event
	happens time.Duration
	reports time.Duration
	priced  bool // the status that tells the price
}

func (d *Delays) of(s state) time.Duration {
	switch s {
	case stateDispatched:
		return d.Dispatched
	case stateDelivered, stateDeleted:
		return d.Delivered
	case stateRead:
		return d.Read
	case stateSent, stateFailed, stateNoCapability, stateNoOptIn, stateStopMarketing:
		return d.Sent
	}
	return 0
}

// steps plans the callbacks of one message. Unwanted statuses are left out, and
// none happens before the one it follows.
func (b *behaviour) steps(events []event, delays *Delays) []step {
	if b.events != nil {
		events = b.events
	}
	steps := make([]step, 0, len(events))
	var last time.Duration
	arrived := false // on the device, by delivered or read
	for _, e := range events {
		d := delays.of(e.state)
		if d <= 0 {
			continue
		}
		last = max(last, d)
		st := step{event: e, happens: last, reports: last}
		switch e.state { //nolint:exhaustive // only these three carry a price
		case stateSent:
			st.priced = true
		case stateDelivered, stateRead:
			st.priced, arrived = !arrived, true
		}
		steps = append(steps, st)
	}
	if b.reversed {
		slices.Reverse(steps)
		for i := range len(steps) / 2 {
			j := len(steps) - 1 - i
			steps[i].reports, steps[j].reports = steps[j].reports, steps[i].reports
		}
	}
	if b.doubled {
		twice := make([]step, 0, 2*len(steps))
		for _, st := range steps {
			twice = append(twice, st, st)
		}
		steps = twice
	}
	for i := range steps {
		if b.early {
			steps[i].reports = 0
		}
		steps[i].reports += b.late
	}
	return steps
}
