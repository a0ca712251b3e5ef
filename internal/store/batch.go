package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// OpenBatch begins a batch, or finds the one that the key, which may be empty,
// was used for. Repeating it changes nothing. Error: ErrUnavailable.
func (s *Store) OpenBatch(ctx context.Context, b gateway.Batch, key string) (id gateway.BatchID, known bool, err error) {
	hashed := ""
	if key != "" {
		hashed = "b" + idempotencyHash(key) // no message's
	}
	got, err := s.runReplicated(ctx, batchScript, b.Account,
		batchName(b.ID), string(b.Account), b.CreatedAt.UnixMilli(), hashed, s.opts.IdempotencyTTL.Milliseconds())
	if err != nil {
		return "", false, unavailable("open batch", string(b.ID), err)
	}
	switch got[0] {
	case "known":
		return gateway.BatchNamed(b.Account, got[1]), true, nil
	case "taken":
		return "", false, unavailable("open batch", string(b.ID), errors.New("the id is another's"))
	}
	return b.ID, false, nil
}

// AcceptLines writes messages of one batch durably, whose ids are those of its
// lines, and says of each what became of it, in their order. It may be repeated.
// remember keeps what the lines say for as long as the batch's key is kept, so
// that they are recognised when they are posted again.
//
// Error: ErrUnavailable; then any of them may be durable.
func (s *Store) AcceptLines(ctx context.Context, batch gateway.BatchID, posts []gateway.Post, remember bool) ([]gateway.LineVerdict, error) {
	if len(posts) == 0 {
		return nil, nil
	}
	account := posts[0].Message.Account
	args := []any{s.opts.IdempotencyTTL.Milliseconds(), string(account)}
	var err error
	for i := range posts {
		m := &posts[i].Message
		answer := answerTo(m)
		if args, err = s.encodePost(args, &posts[i], &answer, m.ID.Line(), remember); err != nil {
			return nil, err
		}
	}
	got, err := s.runReplicated(ctx, acceptScript, account, args...)
	if err != nil {
		return nil, unavailable("accept lines of", string(batch), err)
	}
	s.remindSoon(ctx, account)
	verdicts := make([]gateway.LineVerdict, len(posts))
	for i, text := range got {
		verdicts[i] = gateway.LineVerdict(text)
		if strings.HasPrefix(text, string(gateway.LineKnown)) {
			verdicts[i] = gateway.LineKnown
		}
	}
	return verdicts, nil
}

// CompleteBatch says that a batch's upload came to its end. Error:
// ErrUnavailable.
func (s *Store) CompleteBatch(ctx context.Context, account gateway.AccountID, id gateway.BatchID) error {
	if _, err := s.run(ctx, completeScript, account, batchName(id)); err != nil {
		return unavailable("complete batch", string(id), err)
	}
	return nil
}

// CancelBatch cancels every message of the batch that waits: none of them begins
// after it returns. Repeating it changes nothing. Errors: ErrNotFound,
// ErrUnavailable.
func (s *Store) CancelBatch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error) {
	b, err := s.Batch(ctx, id)
	if err != nil {
		return gateway.Batch{}, err
	}
	got, err := s.runReplicated(ctx, stopScript, b.Account, batchName(id))
	if err != nil {
		return gateway.Batch{}, unavailable("cancel batch", string(id), err)
	}
	if got[0] == "gone" {
		return gateway.Batch{}, gateway.ErrNotFound
	}
	_ = s.remind(ctx, b.Account) // else the records follow a little later
	return s.Batch(ctx, id)
}

// Batch reads what is known of a batch, from its counters. Errors: ErrNotFound,
// ErrUnavailable.
func (s *Store) Batch(ctx context.Context, id gateway.BatchID) (gateway.Batch, error) {
	if !id.Valid() {
		return gateway.Batch{}, gateway.ErrNotFound
	}
	fields, err := s.rdb.HGetAll(ctx, batchKey(id)).Result()
	if err != nil {
		return gateway.Batch{}, unavailable("read batch", string(id), err)
	}
	if fields["ct"] == "" {
		return gateway.Batch{}, gateway.ErrNotFound
	}
	return decodeBatch(id, fields), nil
}

// Batches lists batches, the newest first over all accounts asked for. Error:
// ErrUnavailable.
func (s *Store) Batches(ctx context.Context, q gateway.BatchQuery) (gateway.BatchPage, error) {
	pipe := s.rdb.Pipeline()
	names := make([]*redis.StringSliceCmd, len(q.Accounts))
	below := "+"
	if q.Cursor != "" {
		below = "(" + q.Cursor
	}
	for i, account := range q.Accounts {
		names[i] = pipe.ZRevRangeByLex(ctx, redisdb.Key(account.Tag(), "bl"), &redis.ZRangeBy{Max: below, Min: "-", Count: int64(q.Limit) + 1})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return gateway.BatchPage{}, unavailable("list", "batches", err)
	}
	var ids []gateway.BatchID
	for i, cmd := range names {
		for _, name := range cmd.Val() {
			ids = append(ids, gateway.BatchNamed(q.Accounts[i], name))
		}
	}
	slices.SortFunc(ids, func(a, b gateway.BatchID) int { return cmp.Compare(b.Local(), a.Local()) })
	var page gateway.BatchPage
	if len(ids) > q.Limit {
		ids = ids[:q.Limit]
		page.Next = batchName(ids[q.Limit-1])
	}
	if len(ids) == 0 {
		return page, nil
	}
	pipe = s.rdb.Pipeline()
	fields := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		fields[i] = pipe.HGetAll(ctx, batchKey(id))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return gateway.BatchPage{}, unavailable("list", "batches", err)
	}
	for i, id := range ids {
		if f := fields[i].Val(); f["ct"] != "" { // else it went meanwhile
			page.Batches = append(page.Batches, decodeBatch(id, f))
		}
	}
	return page, nil
}

func decodeBatch(id gateway.BatchID, f map[string]string) gateway.Batch {
	b := gateway.Batch{
		ID: id, Account: gateway.AccountID(f["ac"]), Total: int64(number(f["n"])), Complete: f["done"] != "",
		CreatedAt: moment(f["ct"]), CancelledAt: moment(f["x"]),
		Counts: make(map[gateway.Status]int64), Lanes: make(map[gateway.Priority]gateway.LaneState),
	}
	add := func(s gateway.Status, n int64) {
		if n != 0 {
			b.Counts[s] += n
		}
	}
	for letter, status := range letterStatuses {
		add(status, int64(number(f[letter])))
	}
	for _, p := range gateway.Priorities() {
		l := decodeLane(f, p)
		b.Lanes[p] = l
		add(gateway.StatusScheduled, l.Scheduled)
		add(gateway.StatusQueued, l.Pending+l.Parked)
		add(gateway.StatusSending, l.Active)
	}
	return b
}
