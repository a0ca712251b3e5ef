package queue

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// errLapsed: the worker's liveness ended; what it owned is no longer its own.
var errLapsed = errors.New("liveness lapsed")

// presence is what a worker says of itself in its liveness key.
type presence struct {
	Host      string    `json:"host"`
	Revision  int64     `json:"revision"`
	Digest    string    `json:"digest,omitempty"`
	StartedAt time.Time `json:"started_at"`
	Leaving   bool      `json:"leaving,omitempty"`
}

// ownership is what the directory says of one account. Worker is empty once the
// account was let go.
type ownership struct {
	worker string
	epoch  int64
}

// view is what one renewal showed: who is alive, and who owns what. The
// directory of owners is advice; the owner keys decide.
type view struct {
	version string
	live    map[string]presence
	owners  map[gateway.AccountID]ownership
	// soonest is when the first of the others dies unless it renews, counted
	// from the renewal; negative: there is no other.
	soonest time.Duration
}

func (v view) alive(nonce string) bool {
	_, ok := v.live[nonce]
	return ok
}

// members are the live workers with what each may get and keep. A worker is
// older than another only if its configuration says something else: hosts give
// their copies of the same file times of their own.
func (v view) members() []member {
	newest := int64(0)
	for _, p := range v.live {
		newest = max(newest, p.Revision)
	}
	current := make(map[string]bool) // digests
	for _, p := range v.live {
		if p.Revision == newest && p.Digest != "" {
			current[p.Digest] = true
		}
	}
	members := make([]member, 0, len(v.live))
	for nonce, p := range v.live {
		older := p.Revision != newest && !current[p.Digest]
		members = append(members, member{nonce: nonce, keeps: !p.Leaving, accepts: !p.Leaving && !older})
	}
	return members
}

func (v view) workers() []gateway.Worker {
	accounts := make(map[string][]gateway.AccountID)
	for account, o := range v.owners {
		accounts[o.worker] = append(accounts[o.worker], account)
	}
	workers := make([]gateway.Worker, 0, len(v.live))
	for nonce, p := range v.live {
		slices.Sort(accounts[nonce])
		workers = append(workers, gateway.Worker{
			ID: nonce, Host: p.Host, Revision: p.Revision, StartedAt: p.StartedAt, Accounts: accounts[nonce],
		})
	}
	slices.SortFunc(workers, func(a, b gateway.Worker) int { return cmp.Compare(a.ID, b.ID) })
	return workers
}

// readView reads all there is without being a worker.
func readView(ctx context.Context, rdb redis.UniversalClient) (view, error) {
	return runRenew(ctx, rdb, "read", "", presence{}, 0, view{})
}

// runRenew runs the script in the given mode. Owners that didn't change since
// the last view are taken from it. The error is errLapsed if the worker is no
// longer alive.
func runRenew(ctx context.Context, rdb redis.UniversalClient, mode, nonce string, p presence, ttl time.Duration, last view) (view, error) {
	me, err := json.Marshal(p)
	if err != nil {
		return view{}, err
	}
	// The last names nothing: with a key that isn't there a cluster refuses the
	// script while it moves the slot, and half of the living would seem dead.
	keys := []string{liveKey(nonce), noncesKey(), ownersKey(), versionKey(), redisdb.WorkersKey("none")}
	answer, err := renewScript.Run(ctx, rdb, keys, mode, nonce, me, ttl.Milliseconds(), last.version, liveKey("")).Slice()
	if err != nil {
		return view{}, err
	}
	if len(answer) == 0 {
		return view{}, errLapsed
	}
	return parseView(answer, last)
}

func parseView(answer []any, last view) (view, error) {
	if len(answer) != 4 {
		return view{}, fmt.Errorf("liveness script answered %d parts", len(answer))
	}
	version, ok1 := answer[0].(string)
	soonest, ok2 := answer[3].(int64)
	live, err1 := pairs(answer[1])
	owners, err2 := pairs(answer[2])
	if err := errors.Join(err1, err2); err != nil {
		return view{}, fmt.Errorf("liveness script answered in another shape: %w", err)
	}
	if !ok1 || !ok2 {
		return view{}, errors.New("liveness script answered in another shape")
	}
	v := view{
		version: version, live: make(map[string]presence, len(live)), owners: last.owners,
		soonest: time.Duration(soonest) * time.Millisecond,
	}
	for nonce, text := range live {
		var p presence
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			return view{}, fmt.Errorf("worker %s: %w", nonce, err)
		}
		v.live[nonce] = p
	}
	if version == last.version {
		return v, nil
	}
	v.owners = make(map[gateway.AccountID]ownership, len(owners))
	for account, text := range owners {
		o, err := parseOwnership(text)
		if err != nil {
			return view{}, fmt.Errorf("owner of %s: %w", account, err)
		}
		v.owners[gateway.AccountID(account)] = o
	}
	return v, nil
}

func parseOwnership(text string) (ownership, error) {
	worker, epoch, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(epoch, 10, 64)
	return ownership{worker: worker, epoch: n}, err
}

// pairs reads a flat list of keys and values.
func pairs(list any) (map[string]string, error) {
	flat, ok := list.([]any)
	if !ok || len(flat)%2 != 0 {
		return nil, fmt.Errorf("%T is no list of pairs", list)
	}
	m := make(map[string]string, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		key, ok1 := flat[i].(string)
		value, ok2 := flat[i+1].(string)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%T, %T are no pair of strings", flat[i], flat[i+1])
		}
		m[key] = value
	}
	return m, nil
}
