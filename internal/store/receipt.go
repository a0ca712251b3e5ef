package store

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
)

// Apply writes what a provider's callback carries; nil means it is durable.
// Receipts are matched by our id first, by the provider's second; one whose
// message isn't known yet is kept for an hour and applied when the send is
// recorded. A receipt never takes a status back, and none is applied twice.
// Inbound messages open a service window, and may put their sender on the
// do-not-send list, or take them off; who changes their number stays on it.
// Halts hold the account.
//
// Error: ErrUnavailable; then the whole callback is to be delivered again.
func (s *Store) Apply(ctx context.Context, account gateway.AccountID, c gateway.Callback) error {
	told, err := s.applyAll(ctx, account, c, (*redis.Script).EvalSha)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		told, err = s.applyAll(ctx, account, c, (*redis.Script).Eval)
	}
	if err != nil {
		return unavailable("apply a callback of", string(account), err)
	}
	if told {
		// A lost reminder delays the notices until the owner looks by itself.
		_ = s.remind(ctx, account)
	}
	return nil
}

// runner is one of the ways to run a script.
type runner func(s *redis.Script, ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

// mark is how scripts are told of something, empty if it isn't so.
func mark(so bool, as string) string {
	if so {
		return as
	}
	return ""
}

// applyAll sends everything in one pipeline. What was applied before an error
// is found applied when the callback comes again. told: there are notices, or
// messages that needn't wait any longer.
func (s *Store) applyAll(ctx context.Context, account gateway.AccountID, c gateway.Callback, run runner) (told bool, err error) {
	keys := keysOf(account)
	pipe := s.rdb.Pipeline()
	for _, r := range c.Receipts {
		id := r.Message
		if id.Tag() != account.Tag() || !id.Valid() {
			id = "" // not ours to change: another account's, or somebody else's data
		}
		if r.Status == "" || statusLetters[r.Status] == "" {
			continue
		}
		run(receiptScript.Script, ctx, pipe, keys, s.args(account,
			id.Local(), string(r.ProviderMessageID), statusLetters[r.Status], encodeError(r.Error), encodeSuppression(r.Suppress),
			mark(r.LostFile, "!"))...)
	}
	for _, in := range c.Inbound {
		window := gateway.ServiceWindow.Milliseconds()
		if in.Aside {
			window = 0
		}
		run(inboundScript.Script, ctx, pipe, keys, s.args(account,
			string(in.From), in.At.UnixMilli(), window, string(in.Consent), string(in.Moved))...)
	}
	for _, h := range c.Halts {
		if h.Stale(time.Now()) {
			continue
		}
		run(holdScript.Script, ctx, pipe, keys, s.args(account, h.For.Milliseconds(), h.Reason, string(h.Scope), string(h.Outcome), "1", 0)...)
	}
	cmds, err := pipe.Exec(ctx)
	if err != nil {
		return false, err
	}
	for _, cmd := range cmds {
		if script, ok := cmd.(*redis.Cmd); ok {
			if result, err := script.StringSlice(); err == nil && len(result) == 2 && result[1] != "" {
				told = true
			}
		}
	}
	return told, nil
}
