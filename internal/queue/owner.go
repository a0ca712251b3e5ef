package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// registry is where ownership lies in Redis: the owner keys, which decide, and
// the directory beside them, which tells everybody at once.
type registry struct{ rdb redis.UniversalClient }

// claim is the answer to a take.
type claim struct {
	taken bool
	now   ownership     // as it is after the call
	wait  time.Duration // before the first send
}

// take makes worker the owner if the account is as expected. To take it again
// after an answer was lost is harmless.
func (r registry) take(ctx context.Context, account gateway.AccountID, expected ownership, worker string) (claim, error) {
	answer, err := takeScript.Run(ctx, r.rdb, []string{redisdb.OwnerKey(account)}, expected.worker, expected.epoch, worker).Slice()
	if err != nil {
		return claim{}, fmt.Errorf("take %s: %w", account, err)
	}
	if len(answer) != 4 {
		return claim{}, fmt.Errorf("take %s: script answered %d parts", account, len(answer))
	}
	taken, _ := answer[0].(int64)
	owner, ok1 := answer[1].(string)
	text, ok2 := answer[2].(string)
	wait, ok3 := answer[3].(int64)
	epoch, err := strconv.ParseInt(text, 10, 64)
	if !ok1 || !ok2 || !ok3 || err != nil {
		return claim{}, fmt.Errorf("take %s: script answered in another shape", account)
	}
	return claim{taken: taken == 1, now: ownership{owner, epoch}, wait: time.Duration(wait) * time.Millisecond}, nil
}

// release lets go of the account. It reports false if another worker has it.
func (r registry) release(ctx context.Context, l gateway.Lease, nextSendIn time.Duration) (bool, error) {
	// Rounded up: the next owner may wait a little longer, never less.
	ms := (max(nextSendIn, 0) + time.Millisecond - 1).Milliseconds()
	n, err := releaseScript.Run(ctx, r.rdb, []string{redisdb.OwnerKey(l.Account)}, l.Worker, l.Epoch, ms).Int()
	if err != nil {
		return false, fmt.Errorf("release %s: %w", l.Account, err)
	}
	return n == 1, nil
}

// recordMode says how reports meet what the directory has.
type recordMode string

const (
	report recordMode = "report" // an older epoch is ignored
	repair recordMode = "repair" // the directory was found wrong
)

// recordLimit is how many accounts one call changes at most.
const recordLimit = 500

// record brings the directory up to date, and pokes the other workers if they
// should look at it now.
func (r registry) record(ctx context.Context, mode recordMode, poke bool, owners map[gateway.AccountID]ownership) error {
	channel := ""
	if poke {
		channel = pokeChannel
	}
	args := []any{string(mode), channel}
	run := func() error {
		err := recordScript.Run(ctx, r.rdb, []string{ownersKey(), versionKey()}, args...).Err()
		args = args[:2]
		if err != nil {
			return fmt.Errorf("record owners: %w", err)
		}
		return nil
	}
	for account, o := range owners {
		if len(args) >= 2+3*recordLimit {
			if err := run(); err != nil {
				return err
			}
		}
		args = append(args, string(account), o.worker, o.epoch)
	}
	return run()
}
