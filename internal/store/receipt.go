package store

import (
	"context"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// Apply writes what a provider's callback carries; nil means it is durable.
// Receipts are matched by our id first, by the provider's second; one whose
// message isn't known yet is kept for an hour and applied when the send is
// recorded. A receipt never takes a status back, and none is applied twice.
//
// Error: ErrUnavailable; then the whole callback is to be delivered again.
func (s *Store) Apply(ctx context.Context, account gateway.AccountID, c gateway.Callback) error {
	if len(c.Receipts) == 0 {
		return nil
	}
	for attempt := 0; ; attempt++ {
		err := s.applyAll(ctx, account, c.Receipts)
		if err == nil {
			return nil
		}
		if attempt > 0 || !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return unavailable("apply receipts of", string(account), err)
		}
		if err := receiptScript.Load(ctx, s.rdb).Err(); err != nil {
			return unavailable("load a script for", string(account), err)
		}
	}
}

// applyAll sends all receipts in one pipeline. Those applied before an error
// are found applied when the callback comes again.
func (s *Store) applyAll(ctx context.Context, account gateway.AccountID, receipts []gateway.Receipt) error {
	keys := []string{redisdb.Key(account.Tag(), "")}
	pipe := s.rdb.Pipeline()
	for _, r := range receipts {
		id := r.Message
		if id.Tag() != account.Tag() || !id.Valid() {
			id = "" // not ours to change: another account's, or somebody else's data
		}
		if r.Status == "" || statusLetters[r.Status] == "" {
			continue
		}
		receiptScript.EvalSha(ctx, pipe, keys, s.args(account,
			string(id), string(r.ProviderMessageID), statusLetters[r.Status], encodeError(r.Error))...)
	}
	_, err := pipe.Exec(ctx)
	return err
}
