package store

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // names index entries as redis.sha1hex does in scripts; nothing is secured by it
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// scanLimit bounds the index entries one page looks at, so that a filter that
// matches little doesn't read an account's whole past at once.
const scanLimit = 1000

// Get reads one record. Error: ErrNotFound, ErrUnavailable.
func (s *Store) Get(ctx context.Context, id gateway.MessageID) (*gateway.Record, error) {
	if !id.Valid() {
		return nil, gateway.ErrNotFound
	}
	records, err := s.records(ctx, []gateway.MessageID{id})
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, gateway.ErrNotFound
	}
	return &records[0], nil
}

// ProviderID resolves one of our ids to the provider's, as far as it is known.
// Error: ErrNotFound, ErrUnavailable.
func (s *Store) ProviderID(ctx context.Context, id gateway.MessageID) (gateway.ProviderMessageID, error) {
	pid, err := s.rdb.HGet(ctx, recordKey(id), "pi").Result()
	if err == redis.Nil { //nolint:errorlint // go-redis returns it bare
		return "", gateway.ErrNotFound
	}
	if err != nil {
		return "", unavailable("read", string(id), err)
	}
	return gateway.ProviderMessageID(pid), nil
}

// Since says how long ago each message came into the status it has now. What
// isn't kept is missing.
func (s *Store) Since(ctx context.Context, ids []gateway.MessageID) (map[gateway.MessageID]time.Duration, error) {
	ages := make(map[gateway.MessageID]time.Duration, len(ids))
	if len(ids) == 0 {
		return ages, nil
	}
	pipe := s.rdb.Pipeline()
	now := pipe.Time(ctx)
	cmds := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HMGet(ctx, recordKey(id), "ct", "sa", "h")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable("read ages of", strconv.Itoa(len(ids))+" messages", err)
	}
	for i, id := range ids {
		fields := make(map[string]string)
		for j, name := range []string{"ct", "sa", "h"} {
			fields[name], _ = cmds[i].Val()[j].(string)
		}
		if fields["ct"] == "" {
			continue
		}
		history, err := decodeHistory(fields)
		if err != nil {
			return nil, fmt.Errorf("decode history of %s: %w", id, err)
		}
		ages[id] = max(now.Val().Sub(history[len(history)-1].At), 0)
	}
	return ages, nil
}

// Cancel cancels a message of which no call is in flight and none was
// accepted; cancelling it again is fine. Errors: ErrNotFound, ErrConflict when
// it is too late, ErrUnavailable.
func (s *Store) Cancel(ctx context.Context, id gateway.MessageID) (*gateway.Record, error) {
	r, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	got, err := s.run(ctx, cancelScript, r.Account, id.Local())
	if err != nil {
		return nil, unavailable("cancel", string(id), err)
	}
	switch got[0] {
	case "gone":
		return nil, gateway.ErrNotFound
	case "conflict":
		return nil, gateway.ErrConflict
	case "told":
		_ = s.remind(ctx, r.Account) // else the caller hears of it a little later
	}
	return s.Get(ctx, id)
}

// List selects records, the newest first over all accounts asked for.
func (s *Store) List(ctx context.Context, q gateway.Query) (gateway.Page, error) {
	prefix, hashed := "a", ""
	switch { // the narrowest index that the query names
	case q.Recipient != "":
		prefix, hashed = "t", indexHash(string(q.Recipient))
	case q.Reference != "":
		prefix, hashed = "r", indexHash(q.Reference)
	}
	var page gateway.Page
	cursor, size := q.Cursor, 0
	for scanned := 0; ; {
		ids, more, err := s.newest(ctx, q, prefix+hashed, cursor)
		if err != nil {
			return gateway.Page{}, err
		}
		hits, err := s.hits(ctx, ids, q)
		if err != nil {
			return gateway.Page{}, err
		}
		full := false
		var chosen []gateway.MessageID
		for i, h := range hits {
			if h.matches && (len(page.Records)+len(chosen) == q.Limit || size+h.size > pageBytes && size > 0) {
				full = true
				break
			}
			cursor = ids[i].Local()
			if h.matches {
				size += h.size
				chosen = append(chosen, ids[i])
			}
		}
		records, err := s.records(ctx, chosen)
		if err != nil {
			return gateway.Page{}, err
		}
		page.Records = append(page.Records, records...)
		scanned += len(ids)
		switch {
		case full, more && (len(page.Records) == q.Limit || scanned >= scanLimit || hurried(ctx)):
			page.Next = cursor
			return page, nil
		case !more:
			return page, nil
		}
	}
}

// pageBytes bounds the contents on one page; a message's may have 256 KB.
const pageBytes = 4 << 20

// hurried reports whether too little time is left for another round.
func hurried(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < 400*time.Millisecond
}

// newest lists the ids after the cursor in one index over several accounts.
// more says that there are further ones.
func (s *Store) newest(ctx context.Context, q gateway.Query, index, cursor string) (ids []gateway.MessageID, more bool, err error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(q.Accounts))
	for i, account := range q.Accounts {
		tag := account.Tag()
		below, above := "("+index+"~", "["+index
		if cursor != "" {
			below = "(" + index + cursor
		}
		if !q.Since.IsZero() {
			above = "[" + index + gateway.FirstMessageID(account, q.Since).Local()
		}
		if index == "a" && q.Batch != "" { // whose messages have their ids in a row
			above = max(above, "["+index+q.Batch.Line(0).Local())
			below = min(below, "("+index+q.Batch.Line(gateway.MaxLine).Local()+"~")
		}
		cmds[i] = pipe.ZRevRangeByLex(ctx, redisdb.Key(tag, "ix"), &redis.ZRangeBy{Max: below, Min: above, Count: int64(q.Limit) + 1})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, false, unavailable("list", index[:1], err)
	}
	for i, cmd := range cmds {
		tag := q.Accounts[i].Tag()
		for _, entry := range cmd.Val() {
			ids = append(ids, gateway.MessageID(tag+entry[len(index):]))
		}
	}
	slices.SortFunc(ids, func(a, b gateway.MessageID) int { return cmp.Compare(b.Local(), a.Local()) })
	if len(ids) > q.Limit {
		return ids[:q.Limit], true, nil
	}
	return ids, false, nil
}

// hit is what a filter needs of a record.
type hit struct {
	matches bool
	size    int // of its content, roughly
}

// hits reads what the filter asks for, and no contents.
func (s *Store) hits(ctx context.Context, ids []gateway.MessageID, q gateway.Query) ([]hit, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	type reads struct {
		fields    *redis.SliceCmd
		size      *redis.IntCmd
		cancelled *redis.SliceCmd
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]reads, len(ids))
	for i, id := range ids {
		cmds[i].fields = pipe.HMGet(ctx, recordKey(id), "a", "to", "r", "b", "s", "ex")
		cmds[i].size = pipe.HStrLen(ctx, recordKey(id), "c")
		cmds[i].cancelled = pipe.HMGet(ctx, batchKey(id.BatchID()), "x")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable("list", "records", err)
	}
	out := make([]hit, len(ids))
	for i, cmd := range cmds {
		text := func(n int) string {
			v, _ := cmd.fields.Val()[n].(string)
			return v
		}
		r := gateway.Record{
			Message: gateway.Message{
				Account: gateway.AccountID(text(0)), Recipient: gateway.Recipient(text(1)), Reference: text(2),
				Batch: batchOf(ids[i], text(3)), ExpiresAt: moment(text(5)),
			},
			Status: letterStatuses[text(4)],
		}
		if r.Batch != "" && cmd.cancelled.Val()[0] != nil && r.Status.Waiting() {
			r.Status = gateway.StatusCancelled
		}
		out[i] = hit{matches: matches(&r, q), size: int(cmd.size.Val()) + recordBytes}
	}
	return out, nil
}

// recordBytes is about what a record has beside its content.
const recordBytes = 1 << 10

// records reads whole records; those that went meanwhile are missing.
func (s *Store) records(ctx context.Context, ids []gateway.MessageID) ([]gateway.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	type reads struct {
		fields    *redis.MapStringStringCmd
		cancelled *redis.SliceCmd // HGET would answer an error for the most
	}
	cmds := make([]reads, len(ids))
	for i, id := range ids {
		cmds[i] = reads{pipe.HGetAll(ctx, recordKey(id)), pipe.HMGet(ctx, batchKey(id.BatchID()), "x")}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, unavailable("list", "records", err)
	}
	out := make([]gateway.Record, 0, len(ids))
	for i, id := range ids {
		cmd := cmds[i]
		if len(cmd.fields.Val()) == 0 {
			continue
		}
		cancelled, _ := cmd.cancelled.Val()[0].(string)
		r, err := decodeRecord(id, cmd.fields.Val(), cancelled)
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		out = append(out, *r)
	}
	return out, nil
}

func matches(r *gateway.Record, q gateway.Query) bool {
	return slices.Contains(q.Accounts, r.Account) &&
		(q.Recipient == "" || r.Recipient == q.Recipient) &&
		(q.Reference == "" || r.Reference == q.Reference) &&
		(q.Batch == "" || r.Batch == q.Batch) &&
		(q.Status == "" || r.StatusAt(q.Now) == q.Status)
}

func recordKey(id gateway.MessageID) string { return redisdb.Key(id.Tag(), "m:"+id.Local()) }

// batchKey is where a batch is kept, by what its messages' ids begin with.
func batchKey(id gateway.BatchID) string { return redisdb.Key(id.Tag(), "b:"+batchName(id)) }

// indexHash is what hash does in common.lua.
func indexHash(v string) string {
	sum := sha1.Sum([]byte(v)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])[:12]
}
