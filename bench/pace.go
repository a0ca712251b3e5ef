package main

import (
	"context"
	"fmt"
	"time"

	"sluice/bench/internal/measure"
	"sluice/bench/internal/stage"
)

// limit is the rate of the account whose pace is measured.
const limit = 50

// openSlow starts a stage with accounts at that rate, whose provider takes 50 ms
// for an answer.
func (t *trial) openSlow(ctx context.Context, accounts int) (*stage.Stage, error) {
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: accounts, Rate: limit})
	if err != nil {
		return nil, err
	}
	return s, s.Fault(ctx, `{"fault":"slow","delay_ms":50}`)
}

// pace has workers send a backlog that waits when they start.
func pace(ctx context.Context, t *trial, workers int) error {
	s, err := t.openSlow(ctx, 1)
	if err != nil {
		return err
	}
	backlog := t.scaled(3000, 150)
	if err := t.fill(ctx, s, 1, backlog); err != nil {
		return err
	}
	err = t.measured(func() error {
		if _, err := s.StartWorkers(ctx, workers); err != nil {
			return err
		}
		return t.awaitSeen(ctx, s, backlog, time.Duration(backlog)*time.Second/limit+30*time.Second)
	})
	if err != nil {
		return err
	}
	stamps, err := s.Stamps(ctx)
	if err != nil {
		return err
	}
	arrived := times(stamps)
	t.set("over the backlog", "/s", measure.Rate(arrived))
	t.set("most in a sliding second", "", float64(measure.Highest(arrived, time.Second)))
	_, err = t.recount(ctx, s, backlog)
	return err
}

// saveGrace is when a saved rate counts at the latest.
const saveGrace = 2 * time.Second

// takeover is how long nobody may send after a worker's death: its liveness and
// a second.
const takeover = 6 * time.Second

// paceChanges does to workers and rate what a day of operation does, within a
// minute. Each wait is what the one before needs to show.
func paceChanges(ctx context.Context, t *trial) error {
	s, err := t.openSlow(ctx, 1)
	if err != nil {
		return err
	}
	backlog := 4000 // more than is sent: nothing runs out, whatever the scale
	if err := t.fill(ctx, s, 1, backlog); err != nil {
		return err
	}
	limits := measure.Limits{Grace: saveGrace, Saves: []measure.Save{{Limit: limit}}}
	var down measure.Span
	var end time.Time
	err = t.measured(func() error {
		if _, err := s.StartWorkers(ctx, 3); err != nil {
			return err
		}
		for _, step := range []struct {
			what string
			do   func() error
			wait time.Duration
		}{
			{"three workers", func() error { return nil }, 8 * time.Second},
			{"the owner is killed", func() error {
				owner, err := s.Owner(ctx, 0)
				if err != nil {
					return err
				}
				owner.Kill()
				now := time.Now()
				down = measure.Span{From: now, To: now.Add(takeover)}
				return nil
			}, 12 * time.Second},
			{"a worker joins", func() error { _, err := s.StartWorker(ctx); return err }, 6 * time.Second},
			{"the owner drains", func() error {
				owner, err := s.Owner(ctx, 0)
				if err != nil {
					return err
				}
				return owner.Stop()
			}, 8 * time.Second},
			{"the rate is 80", func() error { return saveRate(s, &limits, 80) }, 10 * time.Second},
			{"the rate is 20", func() error { return saveRate(s, &limits, 20) }, 14 * time.Second},
		} {
			t.note("%s: %s", time.Now().Format("15:04:05.000"), step.what)
			if err := step.do(); err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
			pause(ctx, step.wait)
		}
		end = time.Now()
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := s.Drain(); err != nil {
		return err
	}
	stamps, err := s.Stamps(ctx)
	if err != nil {
		return err
	}
	arrived := times(stamps)
	excess, at := limits.Excess(arrived)
	t.set("above the limit in force", "", float64(max(excess, 0)))
	if excess > 0 {
		t.note("%d above the limit in the second from %s on", excess, at.Format("15:04:05.000"))
	}
	for len(arrived) > 0 && arrived[len(arrived)-1].After(end) {
		arrived = arrived[:len(arrived)-1]
	}
	t.set("used outside the takeover", " %", 100*limits.Used(arrived, down))
	t.set("longest silence", " s", silence(arrived).Seconds())
	_, err = t.recount(ctx, s, backlog)
	return err
}

func saveRate(s *stage.Stage, limits *measure.Limits, rate int) error {
	// The new one may be in force before the write has returned.
	limits.Saves = append(limits.Saves, measure.Save{At: time.Now(), Limit: rate})
	return s.Save(func(c *stage.Config) { c.Rate = rate })
}

// silence is the longest time between two arrivals.
func silence(arrived []time.Time) (longest time.Duration) {
	for i := range arrived[:max(len(arrived)-1, 0)] {
		longest = max(longest, arrived[i+1].Sub(arrived[i]))
	}
	return longest
}
