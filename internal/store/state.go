package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// Hold stops an account from beginning attempts for d, because of an outcome. A
// hold never shortens one that is in force. share is the part of its rate that
// the account comes back with; zero changes nothing of that.
func (s *Store) Hold(
	ctx context.Context, account gateway.AccountID, d time.Duration, why gateway.Outcome, reason string, scope gateway.Scope, share float64,
) error {
	part := strconv.FormatFloat(share, 'f', -1, 64)
	if _, err := s.run(ctx, holdScript, account, d.Milliseconds(), reason, string(scope), string(why), "", part); err != nil {
		return unavailable("hold", string(account), err)
	}
	return nil
}

// Lift ends a hold before its time, if it comes from that outcome, and says
// whether there was one. One that a callback told of ends only if told is true.
func (s *Store) Lift(ctx context.Context, account gateway.AccountID, why gateway.Outcome, told bool) (lifted bool, err error) {
	said, err := s.run(ctx, liftScript, account, string(why), mark(told, "1"))
	if err != nil {
		return false, unavailable("lift the hold of", string(account), err)
	}
	return said[0] == "lifted", nil
}

// Pause stops an account, or one lane of it, until Resume. An empty priority
// means the whole account.
func (s *Store) Pause(ctx context.Context, account gateway.AccountID, p gateway.Priority) error {
	if err := s.rdb.HSet(ctx, holdKey(account), pauseField(p), "1").Err(); err != nil {
		return unavailable("pause", string(account), err)
	}
	return nil
}

// Resume ends what Pause began; resuming the whole account resumes its lanes.
func (s *Store) Resume(ctx context.Context, account gateway.AccountID, p gateway.Priority) error {
	fields := []string{pauseField(p)}
	if p == "" {
		for _, lane := range gateway.Priorities() {
			fields = append(fields, pauseField(lane))
		}
	}
	if err := s.rdb.HDel(ctx, holdKey(account), fields...).Err(); err != nil {
		return unavailable("resume", string(account), err)
	}
	return nil
}

// SetBreaker tells readers what state the account's breaker is in.
func (s *Store) SetBreaker(ctx context.Context, account gateway.AccountID, state gateway.BreakerState) error {
	if err := s.rdb.HSet(ctx, holdKey(account), "breaker", string(state)).Err(); err != nil {
		return unavailable("set the breaker of", string(account), err)
	}
	return nil
}

// healthLife is how long an account's health is shown that nobody reads anew.
const healthLife = 15 * time.Minute

// SetHealth tells readers how the account's provider is.
func (s *Store) SetHealth(ctx context.Context, account gateway.AccountID, h gateway.Health) error {
	if err := s.rdb.Set(ctx, healthKey(account), encodeHealth(h), healthLife).Err(); err != nil {
		return unavailable("set the health of", string(account), err)
	}
	return nil
}

// State reads what moves about one account; what only the queue or the
// configuration knows is left empty.
func (s *Store) State(ctx context.Context, account gateway.AccountID) (gateway.AccountState, error) {
	states, err := s.States(ctx, []gateway.AccountID{account})
	return states[account], err
}

// States is State for many accounts in one round trip.
func (s *Store) States(ctx context.Context, accounts []gateway.AccountID) (map[gateway.AccountID]gateway.AccountState, error) {
	if len(accounts) == 0 {
		return map[gateway.AccountID]gateway.AccountState{}, nil
	}
	type reads struct {
		counters, hold, seconds *redis.MapStringStringCmd
		health                  *redis.SliceCmd
		tier                    *tierReads
	}
	pipe := s.rdb.Pipeline()
	now := pipe.Time(ctx)
	cmds := make([]reads, len(accounts))
	for i, account := range accounts {
		tag := account.Tag()
		cmds[i] = reads{
			counters: pipe.HGetAll(ctx, redisdb.Key(tag, "n")),
			hold:     pipe.HGetAll(ctx, redisdb.Key(tag, "hold")),
			seconds:  pipe.HGetAll(ctx, redisdb.Key(tag, "sec")),
			health:   pipe.MGet(ctx, healthKey(account)), // GET would answer an error for the most
			tier:     s.readTier(ctx, pipe, account),
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable("read states of", fmt.Sprintf("%d accounts", len(accounts)), err)
	}
	states := make(map[gateway.AccountID]gateway.AccountState, len(accounts))
	for i, account := range accounts {
		st := decodeState(cmds[i].counters.Val(), cmds[i].hold.Val(), cmds[i].seconds.Val(), now.Val())
		if v := cmds[i].health.Val(); len(v) == 1 && v[0] != nil {
			text, _ := v[0].(string)
			st.Health = decodeHealth(text)
		}
		st.Tier = cmds[i].tier.state(now.Val())
		states[account] = st
	}
	return states, nil
}

func decodeState(counters, hold, seconds map[string]string, now time.Time) gateway.AccountState {
	st := gateway.AccountState{Breaker: gateway.BreakerClosed, Lanes: map[gateway.Priority]gateway.LaneState{}}
	for _, p := range gateway.Priorities() {
		st.Lanes[p] = decodeLane(counters, p)
		if hold[pauseField(p)] != "" {
			st.PausedLanes = append(st.PausedLanes, p)
		}
	}
	st.Paused = hold[pauseField("")] != ""
	if until := moment(hold["until"]); until.After(now) {
		st.Hold = &gateway.Hold{Until: until, Reason: hold["reason"], Scope: gateway.Scope(hold["scope"])}
	}
	if share, err := strconv.ParseFloat(hold["share"], 64); err == nil {
		st.Ramp = gateway.Ramp{Share: share, From: moment(hold["grows"])}
	}
	if b := hold["breaker"]; b != "" {
		st.Breaker = gateway.BreakerState(b)
	}
	for _, v := range seconds {
		second, n, _ := strings.Cut(v, ":")
		if age := now.Unix() - int64(number(second)); age >= 0 && age < 60 {
			st.SentLastMinute += int64(number(n))
		}
	}
	return st
}

// decodeLane reads one lane's counters.
func decodeLane(counters map[string]string, p gateway.Priority) gateway.LaneState {
	l := laneLetter(p)
	return gateway.LaneState{
		Pending: int64(number(counters[l+"p"])), Active: int64(number(counters[l+"a"])),
		Parked: int64(number(counters[l+"k"])), Scheduled: int64(number(counters[l+"s"])),
	}
}

// dueLimit bounds how many due accounts one read lists; the rest come next.
const dueLimit = 1000

// DueAccounts lists the accounts that asked to be looked after by now, with one
// command, each with the time it asked for, in Unix milliseconds.
func (s *Store) DueAccounts(ctx context.Context) (map[gateway.AccountID]int64, error) {
	got, err := dueScript.Run(ctx, s.rdb, []string{redisdb.DueKey}, dueLimit).StringSlice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, unavailable("read", "the due index", err)
	}
	due := make(map[gateway.AccountID]int64, len(got)/2)
	for i := 0; i+1 < len(got); i += 2 {
		due[gateway.AccountID(got[i])] = int64(number(got[i+1]))
	}
	return due, nil
}

// claimFor is how long a claimed account isn't due for anybody, unless somebody
// asks for it again.
const claimFor = 2 * time.Second

// Claim takes a due account out of the index for two seconds, before it is
// looked after: whoever asks for it meanwhile is seen by Settle. It returns the
// time to settle with.
func (s *Store) Claim(ctx context.Context, account gateway.AccountID, seen int64) (claimed int64, err error) {
	score, err := settleScript.Run(ctx, s.rdb, []string{redisdb.DueKey},
		string(account), strconv.FormatInt(seen, 10), claimFor.Milliseconds()).Text()
	if err != nil {
		return 0, unavailable("claim", string(account), err)
	}
	return int64(number(score)), nil
}

// Settle says that a due account was looked after and when it is due next; a
// zero time means never. seen is the time that DueAccounts gave, or zero if the
// account was looked after for another reason: an earlier time that somebody
// asked for meanwhile stands.
func (s *Store) Settle(ctx context.Context, account gateway.AccountID, seen int64, next time.Time) error {
	score, wait := "", int64(0)
	if seen != 0 {
		score = strconv.FormatInt(seen, 10)
	}
	if !next.IsZero() {
		wait = max(time.Until(next).Milliseconds(), 1)
	}
	if err := settleScript.Run(ctx, s.rdb, []string{redisdb.DueKey}, string(account), score, wait).Err(); err != nil {
		return unavailable("settle", string(account), err)
	}
	return nil
}

func holdKey(account gateway.AccountID) string { return redisdb.Key(account.Tag(), "hold") }

func healthKey(account gateway.AccountID) string { return redisdb.Key(account.Tag(), "health") }

func pauseField(p gateway.Priority) string {
	if p == "" {
		return "pause"
	}
	return "pause" + laneLetter(p)
}
