package audit

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Kind is all keys of one pattern.
type Kind struct {
	Pattern string
	OfOne   bool // each belongs to a message, a batch or a recipient, and goes with it
	Keys    int
	Bytes   int64 // by MEMORY USAGE, of all of them, from a sample if there are many
}

// sampled is how many keys of a kind are measured.
const sampled = 200

var (
	accountTag = regexp.MustCompile(`\{[^}]*\}`)
	ownName    = regexp.MustCompile(`:(m|i|pk|nq|w|st|t|tm|b|bh|live):.+$`)
)

// pattern is a key without what tells accounts, messages and workers apart.
// ofOne says that it belongs to messages or recipients and goes with them.
func pattern(key string) (name string, ofOne bool) {
	key = accountTag.ReplaceAllString(key, "{account}")
	name = ownName.ReplaceAllString(key, ":$1:…")
	return name, name != key && !strings.HasSuffix(name, ":live:…")
}

// Kinds lists what kinds of keys there are and how much memory they take, the
// biggest first.
func Kinds(ctx context.Context, rdb redis.UniversalClient) ([]Kind, error) {
	kinds := make(map[string]*Kind)
	measured := make(map[string]int)
	for iter := rdb.Scan(ctx, 0, "*", pageSize).Iterator(); ; {
		if !iter.Next(ctx) {
			if err := iter.Err(); err != nil {
				return nil, err
			}
			break
		}
		name, ofOne := pattern(iter.Val())
		k := kinds[name]
		if k == nil {
			k = &Kind{Pattern: name, OfOne: ofOne}
			kinds[name] = k
		}
		k.Keys++
		if measured[name] < sampled {
			n, err := rdb.MemoryUsage(ctx, iter.Val()).Result()
			if err != nil {
				continue // it went meanwhile
			}
			measured[name]++
			k.Bytes += n
		}
	}
	all := make([]Kind, 0, len(kinds))
	for name, k := range kinds {
		if n := measured[name]; n > 0 {
			k.Bytes = k.Bytes * int64(k.Keys) / int64(n)
		}
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b Kind) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Pattern, b.Pattern)) })
	return all, nil
}
