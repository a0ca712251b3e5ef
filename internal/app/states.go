package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/gateway"
	"sluice/internal/limits"
	"sluice/internal/queue"
	"sluice/internal/store"
)

// states puts together what is known of accounts: counters and holds from the
// store, owners and heads of lanes from the queue, the rest from the
// configuration.
type states struct {
	directory *Directory
	store     *store.Store
	queue     *queue.Client
}

type laneAges = map[gateway.Priority]time.Duration

// headsAtOnce bounds the lanes asked at one time for what leaves them next.
const headsAtOnce = 8

// States implements api.States.
func (s states) States(ctx context.Context, ids []gateway.AccountID) (map[gateway.AccountID]gateway.AccountState, error) {
	all, err := s.store.States(ctx, ids)
	if err != nil {
		return nil, err
	}
	owners, err := s.queue.Owners(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	oldest, err := s.oldest(ctx, all)
	if err != nil {
		return nil, err
	}
	for id, st := range all {
		a, _ := s.directory.Account(id)
		st.Owner = owners[id]
		st.Paused = st.Paused || a.Paused
		st.EffectiveRate = limits.RampRate(a.Rate, st.Ramp, time.Now())
		still := st.Paused || len(st.PausedLanes) == len(gateway.Priorities())
		if still || st.Hold != nil || st.Breaker == gateway.BreakerOpen {
			st.EffectiveRate = 0
		}
		for p, age := range oldest[id] {
			lane := st.Lanes[p]
			lane.OldestPending = age
			st.Lanes[p] = lane
		}
		all[id] = st
	}
	return all, nil
}

// Workers implements api.States.
func (s states) Workers(ctx context.Context) ([]gateway.Worker, error) {
	workers, err := s.queue.Workers(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	return workers, nil
}

// oldest is how long the message at the head of each lane has waited there.
func (s states) oldest(ctx context.Context, all map[gateway.AccountID]gateway.AccountState) (map[gateway.AccountID]laneAges, error) {
	var mu sync.Mutex
	ages := make(map[gateway.AccountID]laneAges)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(headsAtOnce)
	for id, st := range all {
		if !pending(st) {
			continue
		}
		g.Go(func() error {
			heads, err := s.queue.Head(ctx, id)
			if err != nil {
				return fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
			}
			var first []gateway.MessageID
			for _, message := range heads {
				first = append(first, message)
			}
			since, err := s.store.Since(ctx, first)
			if err != nil {
				return err
			}
			lanes := make(laneAges, len(heads))
			for p, message := range heads {
				lanes[p] = since[message]
			}
			mu.Lock()
			defer mu.Unlock()
			ages[id] = lanes
			return nil
		})
	}
	return ages, g.Wait()
}

func pending(st gateway.AccountState) bool {
	for _, lane := range st.Lanes {
		if lane.Pending > 0 {
			return true
		}
	}
	return false
}
