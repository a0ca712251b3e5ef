package store

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// tierDrops bounds how many old entries one look at a tier drops.
const tierDrops = 200

// Admit counts a recipient against a tier, if there is room or they are counted
// already, and reports whether they are. Asking again changes nothing.
func (s *Store) Admit(ctx context.Context, tier gateway.Tier, to gateway.Recipient) (bool, error) {
	got, err := tierScript.Run(ctx, s.rdb, []string{tierKey(tier)}, tierArgs(tier, to)...).Int64Slice()
	if err != nil {
		return false, unavailable("count a recipient in the tier", tier.Count, err)
	}
	return got[0] == 1, nil
}

// TierRoom is how many more recipients a tier has room for, and how long until
// it has room again if it has none.
func (s *Store) TierRoom(ctx context.Context, tier gateway.Tier) (room int, fullFor time.Duration, err error) {
	got, err := tierScript.Run(ctx, s.rdb, []string{tierKey(tier)}, tierArgs(tier, "")...).Int64Slice()
	if err != nil {
		return 0, 0, unavailable("look at the tier", tier.Count, err)
	}
	return max(tier.Limit-int(got[1]), 0), time.Duration(got[2]) * time.Millisecond, nil
}

// Await parks a message until the tier has room: Release brings it back. The
// task is done with.
func (s *Store) Await(ctx context.Context, account gateway.AccountID, t gateway.Task) error {
	if _, err := s.run(ctx, deferScript, account, t.Message.Local(), t.Sequence, "", 1); err != nil {
		return unavailable("park", string(t.Message), err)
	}
	return nil
}

// Release brings back messages that Await has parked, the oldest first and at
// most so many. Their tasks are to be enqueued and struck as Keep's. A
// gateway.Fenced error says that the lease is over.
func (s *Store) Release(ctx context.Context, lease gateway.Lease, most int) ([]gateway.Task, error) {
	got, err := s.run(ctx, releaseScript, lease.Account, lease.Worker, lease.Epoch, min(most, keepLimit))
	if err != nil {
		return nil, unavailable("release messages of", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return nil, gateway.Fenced{Account: lease.Account}
	}
	return decodeTasks(lease.Account, got[1:])
}

// tierReads reads, in a pipeline, what operators see of a tier.
type tierReads struct {
	tier   gateway.Tier
	look   *redis.Cmd
	parked []*redis.IntCmd
}

func (s *Store) readTier(ctx context.Context, pipe redis.Pipeliner, account gateway.AccountID) *tierReads {
	if s.opts.Tier == nil {
		return nil
	}
	tier := s.opts.Tier(account)
	if tier.Limit == 0 {
		return nil
	}
	r := &tierReads{tier: tier, look: pipe.Eval(ctx, tierLua, []string{tierKey(tier)}, tierArgs(tier, "")...)}
	for _, p := range gateway.Priorities() {
		r.parked = append(r.parked, pipe.ZCount(ctx, redisdb.Key(account.Tag(), "park"+laneLetter(p)), beyond, "+inf"))
	}
	return r
}

func (r *tierReads) state(now time.Time) *gateway.TierState {
	if r == nil {
		return nil
	}
	st := &gateway.TierState{Limit: r.tier.Limit}
	if got, err := r.look.Int64Slice(); err == nil {
		st.Used = int(got[1])
		if got[2] > 0 {
			st.FullUntil = now.Add(time.Duration(got[2]) * time.Millisecond)
		}
	}
	for _, n := range r.parked {
		st.Parked += n.Val()
	}
	return st
}

// beyond is BEYOND of common.lua.
const beyond = "4000000000000000"

func tierKey(tier gateway.Tier) string { return redisdb.Key(tier.Count, "tier") }

func tierArgs(tier gateway.Tier, to gateway.Recipient) []any {
	return []any{string(to), strconv.Itoa(tier.Limit), gateway.TierWindow.Milliseconds(), tierDrops}
}
