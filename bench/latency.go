package main

import (
	"context"
	"time"

	"sluice/bench/internal/load"
	"sluice/bench/internal/stage"
)

// onAccount names one account for every message.
func onAccount(account int) func(int) int { return func(int) int { return account } }

// besides measures single messages while others wait: at 5/s for a minute.
func (t *trial) besides(ctx context.Context, s *stage.Stage, account int) (posted int, err error) {
	const gap = 200 * time.Millisecond
	count := t.scaled(300, 25)
	err = t.measured(func() error {
		all, err := t.post(ctx, s, gap, count, onAccount(account))
		if err != nil {
			return err
		}
		posted = len(all)
		took, err := t.arrivals(ctx, s, all)
		if err != nil {
			return err
		}
		t.latencies("post → provider", took)
		return nil
	})
	return posted, err
}

// settle is how long workers may take to get going on what waits.
const settle = 2 * time.Second

func priority(ctx context.Context, t *trial) error {
	s, err := t.openSlow(ctx, 1)
	if err != nil {
		return err
	}
	backlog := t.scaled(1_000_000, 2000)
	if err := t.fill(ctx, s, 1, backlog); err != nil {
		return err
	}
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	pause(ctx, settle)
	posted, err := t.besides(ctx, s, 0)
	if err != nil {
		return err
	}
	_, err = t.recount(ctx, s, backlog+posted)
	return err
}

// hang measures from the moment on at which bulk has had every slot it can get.
func hang(ctx context.Context, t *trial) error {
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return err
	}
	if err := s.Fault(ctx, `{"fault":"hang","recipient":"461*"}`); err != nil {
		return err
	}
	backlog := t.scaled(6000, 3000)
	if err := t.fill(ctx, s, 1, backlog); err != nil {
		return err
	}
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	open, seen := 0, make(map[string]int)
	looking, stop := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		_ = stage.Await(looking, 500*time.Millisecond, func() bool { // until it is stopped
			if a, err := s.Account(looking, 0); err == nil {
				seen[a.Breaker]++
				if a.Breaker != "closed" {
					open++
				}
			}
			return false
		})
	}()
	pause(ctx, settle)
	posted, err := t.besides(ctx, s, 0)
	stop()
	<-looked
	t.set("times the breaker was seen open", "", float64(open))
	t.note("breaker: %v", seen)
	if err != nil {
		return err
	}
	_, err = t.recount(ctx, s, backlog+posted)
	return err
}

func fairness(ctx context.Context, t *trial) error {
	const crowded = 50
	s, err := t.openSlow(ctx, crowded+1)
	if err != nil {
		return err
	}
	each := t.scaled(10_000, 1000)
	if err := t.fill(ctx, s, crowded, each); err != nil {
		return err
	}
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	pause(ctx, settle)
	posted, err := t.besides(ctx, s, crowded)
	if err != nil {
		return err
	}
	_, err = t.recount(ctx, s, crowded*each+posted)
	return err
}

// An idle lane closes after 300 ms.
const (
	closedGap = 700 * time.Millisecond
	openGap   = 150 * time.Millisecond
)

// idle measures messages that come to a lane with nothing in it.
func idle(ctx context.Context, t *trial, gap time.Duration, count int) error {
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return err
	}
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	pause(ctx, settle)
	count = t.scaled(count, 20)
	err = t.measured(func() error {
		posted, err := t.post(ctx, s, gap, count, onAccount(0))
		if err != nil {
			return err
		}
		took, err := t.arrivals(ctx, s, posted)
		if err != nil {
			return err
		}
		t.latencies("post → provider", took)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = t.recount(ctx, s, count)
	return err
}

// manyAccounts is how many a worker shall manage.
const manyAccounts = 1000

// megabyte is what memory is shown in.
const megabyte = 1 << 20

// busyness is how many commands Redis processes a second, and how much of a
// core it and the worker use.
func (t *trial) busyness(ctx context.Context, s *stage.Stage, w *stage.Process, f func() error) error {
	return t.measured(func() error {
		before, err := s.Commands(ctx)
		if err != nil {
			return err
		}
		redis, worker, begun := s.CPU(ctx), w.CPU(), time.Now()
		if err := f(); err != nil {
			return err
		}
		after, err := s.Commands(ctx)
		if err != nil {
			return err
		}
		took := time.Since(begun)
		t.set("Redis commands", "/s", float64(after-before)/took.Seconds())
		t.note("of a core, Redis used %.1f %%, the worker %.1f %%", share(s.CPU(ctx)-redis, took), share(w.CPU()-worker, took))
		return nil
	})
}

func share(cpu, of time.Duration) float64 { return 100 * cpu.Seconds() / of.Seconds() }

// resident sets what a process has resident, now and at most.
func (t *trial) resident(name string, p *stage.Process) error {
	m, err := p.Memory()
	if err != nil {
		return err
	}
	t.set(name, " MB", float64(m.Most)/megabyte)
	t.note("%s: %.0f MB in the end", name, float64(m.Now)/megabyte)
	return nil
}

// calm is how long what a start causes may last.
const calm = 10 * time.Second

func idleAccounts(ctx context.Context, t *trial) error {
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: t.scaled(manyAccounts, 100), Rate: limit})
	if err != nil {
		return err
	}
	workers, err := s.StartWorkers(ctx, 1)
	if err != nil {
		return err
	}
	pause(ctx, calm)
	err = t.busyness(ctx, s, workers[0], func() error {
		pause(ctx, t.during(20*time.Second, 5*time.Second))
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if err := t.resident("worker resident", workers[0]); err != nil {
		return err
	}
	_, err = t.recount(ctx, s, 0)
	return err
}

func trickle(ctx context.Context, t *trial) error {
	accounts := t.scaled(manyAccounts, 100)
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: accounts, Rate: limit})
	if err != nil {
		return err
	}
	workers, err := s.StartWorkers(ctx, 1)
	if err != nil {
		return err
	}
	pause(ctx, calm)
	gap := 5 * time.Second / time.Duration(accounts)
	count := int(t.during(40*time.Second, 5*time.Second) / gap)
	var posted []load.Posted
	err = t.busyness(ctx, s, workers[0], func() error {
		return t.commands(ctx, s, count, func() (err error) {
			posted, err = t.post(ctx, s, gap, count, func(n int) int { return n % accounts })
			return err
		})
	})
	if err != nil {
		return err
	}
	took, err := t.arrivals(ctx, s, posted)
	if err != nil {
		return err
	}
	t.latencies("post → provider", took)
	if err := t.resident("worker resident", workers[0]); err != nil {
		return err
	}
	_, err = t.recount(ctx, s, count)
	return err
}
