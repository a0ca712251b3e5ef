package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// The letters of common.lua for scopes of a suppression, in the order in which
// load.lua answers.
var suppressionScopes = []struct {
	letter string
	scope  gateway.SuppressionScope
}{
	{"a", gateway.SuppressAll},
	{"m", gateway.SuppressMarketing},
	{"c", gateway.SuppressCooldown},
}

func scopeLetter(scope gateway.SuppressionScope) string {
	for _, s := range suppressionScopes {
		if s.scope == scope {
			return s.letter
		}
	}
	return ""
}

func letterScope(letter string) gateway.SuppressionScope {
	for _, s := range suppressionScopes {
		if s.letter == letter {
			return s.scope
		}
	}
	return ""
}

// encodeSuppression is how scripts are told to suppress the recipient of a
// message.
func encodeSuppression(s *gateway.Suppression) string {
	if s == nil || scopeLetter(s.Scope) == "" {
		return ""
	}
	return fmt.Sprintf("%s%d %s", scopeLetter(s.Scope), s.For.Milliseconds(), s.Reason)
}

// Load reads one record together with what is known of its recipient. Errors:
// ErrNotFound, ErrUnavailable.
func (s *Store) Load(ctx context.Context, account gateway.AccountID, id gateway.MessageID) (*gateway.Record, gateway.Standing, error) {
	got, err := s.run(ctx, loadScript, account, id.Local())
	if err != nil {
		return nil, gateway.Standing{}, unavailable("load", string(id), err)
	}
	if len(got) == 0 {
		return nil, gateway.Standing{}, gateway.ErrNotFound
	}
	split := len(got) - len(suppressionScopes) - 2
	fields := make(map[string]string, split/2)
	for i := 0; i+1 < split; i += 2 {
		fields[got[i]] = got[i+1]
	}
	rec, err := decodeRecord(id, fields, got[len(got)-1])
	if err != nil {
		return nil, gateway.Standing{}, err
	}
	standing := gateway.Standing{LastInbound: moment(got[len(got)-2])}
	for i, scope := range suppressionScopes {
		if text := got[split+i]; text != "" {
			standing.Suppressed = append(standing.Suppressed, decodeSuppressed(account, rec.Recipient, scope.scope, text))
		}
	}
	return rec, standing, nil
}

// decodeSuppressed reads "created until reason".
func decodeSuppressed(account gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope, text string) gateway.Suppressed {
	created, rest, _ := strings.Cut(text, " ")
	until, reason, _ := strings.Cut(rest, " ")
	reason = strings.TrimPrefix(reason, "!") // an operator's, see common.lua
	return gateway.Suppressed{
		Account: account, Recipient: to, Scope: scope, Reason: reason, CreatedAt: moment(created), Until: till(until),
	}
}

func till(s string) time.Time {
	if s == "0" {
		return time.Time{}
	}
	return moment(s)
}

// Suppress puts a recipient on an account's do-not-send list, in place of an
// entry of the same scope. A zero Until means for good.
func (s *Store) Suppress(ctx context.Context, e gateway.Suppressed) error {
	until := int64(0)
	if !e.Until.IsZero() {
		until = e.Until.UnixMilli()
	}
	if _, err := s.run(ctx, suppressScript, e.Account, string(e.Recipient), scopeLetter(e.Scope), "put", until, e.Reason); err != nil {
		return unavailable("suppress a recipient of", string(e.Account), err)
	}
	return nil
}

// Unsuppress takes a recipient off an account's do-not-send list: one scope, or
// all with an empty one. It reports whether anything was there.
func (s *Store) Unsuppress(ctx context.Context, account gateway.AccountID, to gateway.Recipient, scope gateway.SuppressionScope) (bool, error) {
	removed := false
	for _, known := range suppressionScopes {
		if scope != "" && scope != known.scope {
			continue
		}
		got, err := s.run(ctx, suppressScript, account, string(to), known.letter, "remove")
		if err != nil {
			return false, unavailable("unsuppress a recipient of", string(account), err)
		}
		removed = removed || got[0] == "removed"
	}
	return removed, nil
}

// Suppressions lists an account's do-not-send list by recipient, after the
// entry that the cursor names. next is empty on the last page.
func (s *Store) Suppressions(ctx context.Context, account gateway.AccountID, cursor string, limit int) (list []gateway.Suppressed, next string, err error) {
	from := "-"
	if cursor != "" {
		from = "(" + cursor
	}
	names, err := s.rdb.ZRangeByLex(ctx, redisdb.Key(account.Tag(), "sx"), &redis.ZRangeBy{
		Min: from, Max: "+", Count: int64(limit) + 1,
	}).Result()
	if err != nil {
		return nil, "", unavailable("list suppressions of", string(account), err)
	}
	if len(names) > limit {
		names = names[:limit]
		next = names[limit-1]
	}
	if len(names) == 0 {
		return nil, "", nil
	}
	fields := make([]string, len(names))
	for i, name := range names {
		to, letter, _ := strings.Cut(name, " ")
		fields[i] = letter + to
	}
	values, err := s.rdb.HMGet(ctx, redisdb.Key(account.Tag(), "sup"), fields...).Result()
	if err != nil {
		return nil, "", unavailable("list suppressions of", string(account), err)
	}
	for i, v := range values {
		if text, ok := v.(string); ok { // else it was removed meanwhile
			list = append(list, decodeSuppressed(account, gateway.Recipient(fields[i][1:]), letterScope(fields[i][:1]), text))
		}
	}
	return list, next, nil
}
