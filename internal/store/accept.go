package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/gateway"
	"sluice/internal/redisdb"
)

// OutboxPatience is how long an accepted message may wait for its task before
// the account's owner enqueues it.
const OutboxPatience = 2 * time.Second

// ringPatience is how long after an acceptance its account is looked after,
// whether or not the owner heard the ring. The index is read once a second; a
// lost ring is made up for within two.
const ringPatience = 900 * time.Millisecond

// reminderLife is how long one reminder stands for those that follow it.
const reminderLife = 100 * time.Millisecond

// Accept writes the message durably, or answers a repetition as the first time.
// The account's owner is told to look after it within two seconds, so that a
// message whose task or ring gets lost is still sent. The message is of no
// batch.
//
// Errors: ErrKeyReused, ErrUnavailable.
func (s *Store) Accept(ctx context.Context, p gateway.Post) (gateway.Accepted, error) {
	m := &p.Message
	answer := answerTo(m)
	args, err := s.encodePost([]any{s.opts.IdempotencyTTL.Milliseconds(), string(m.Account)}, &p, &answer, 0, false)
	if err != nil {
		return gateway.Accepted{}, err
	}
	got, err := s.runReplicated(ctx, acceptScript, m.Account, args...)
	if err != nil {
		return gateway.Accepted{}, unavailable("accept", string(m.ID), err)
	}
	if got[0] == string(gateway.LineKeyReused) {
		return gateway.Accepted{}, gateway.ErrKeyReused
	}
	if text, ok := strings.CutPrefix(got[0], string(gateway.LineKnown)); ok {
		first, err := decodeAccepted(text)
		first.Replayed = first.ID != m.ID // the client may have sent our own command twice
		s.remindSoon(ctx, m.Account)      // who repeats a post may have had no answer, because we died over it
		return first, err
	}
	// What is scheduled rings no bell, so this has to be right to the moment.
	if answer.Status == gateway.StatusScheduled && time.Until(m.SendAt) < ringPatience {
		_ = s.remindAt(ctx, m.Account, m.SendAt)
	} else {
		s.remindSoon(ctx, m.Account)
	}
	return answer, nil
}

// remindSoon has the account looked after within ringPatience; reminders that
// come together are one. What it is for is safe whatever becomes of it: the owner
// looks by itself too, once a minute.
func (s *Store) remindSoon(ctx context.Context, account gateway.AccountID) {
	began := time.Now()
	if last, ok := s.reminded.Load(account); ok && began.Sub(last.(time.Time)) < reminderLife { //nolint:forcetypeassert // nothing else is stored
		return
	}
	// One that is due sooner may be claimed before the next message is there.
	if due, err := s.remindIn(ctx, account, ringPatience).Int64(); err == nil && due >= reminderLife.Milliseconds() {
		s.reminded.Store(account, began)
	}
}

// answerTo is what the first post of a message is answered.
func answerTo(m *gateway.Message) gateway.Accepted {
	answer := gateway.Accepted{
		ID: m.ID, Account: m.Account, To: m.Recipient, Type: m.Content.Type, Priority: m.Priority,
		Status: gateway.StatusQueued, Reference: m.Reference, CreatedAt: m.CreatedAt,
	}
	if m.SendAt.After(m.CreatedAt) {
		answer.Status = gateway.StatusScheduled
	}
	return answer
}

// encodePost appends what accept.lua expects of one message. line is its line in
// its batch, or zero; remember has what the line says kept for when it comes
// again.
func (s *Store) encodePost(args []any, p *gateway.Post, answer *gateway.Accepted, line int, remember bool) ([]any, error) {
	m := &p.Message
	content, err := encodeContent(m)
	if err != nil {
		return nil, err
	}
	rest, err := encodeRest(m)
	if err != nil {
		return nil, err
	}
	sendAt := int64(0)
	if answer.Status == gateway.StatusScheduled {
		sendAt = m.SendAt.UnixMilli()
	}
	var expires any = m.ExpiresAt.UnixMilli()
	if p.Passed {
		expires = ""
	}
	idem, kept, words := "", []byte(nil), []byte(nil)
	if p.IdempotencyKey != "" {
		idem = idempotencyHash(p.IdempotencyKey)
		if kept, err = json.Marshal(answer); err != nil {
			return nil, fmt.Errorf("encode answer of %s: %w", m.ID, err)
		}
	}
	if remember {
		words = p.BodyHash[:8]
	}
	args = append(args, m.ID.Local(), m.CreatedAt.UnixMilli(), laneLetter(m.Priority), string(m.Recipient),
		indexHash(string(m.Recipient)), m.Reference, sendAt, expires, idem, p.BodyHash[:], kept, line, words,
		string(m.Content.Type), content, len(rest))
	return append(args, rest...), nil
}

// Recall finds the answer that a post with this key and body got, without
// writing anything. Errors: ErrNotFound if the key isn't claimed, ErrKeyReused,
// ErrUnavailable.
func (s *Store) Recall(ctx context.Context, account gateway.AccountID, key string, body [32]byte) (gateway.Accepted, error) {
	kept, err := s.rdb.Get(ctx, redisdb.Key(account.Tag(), "i:"+idempotencyHash(key))).Result()
	if err == redis.Nil { //nolint:errorlint // go-redis returns it bare
		return gateway.Accepted{}, gateway.ErrNotFound
	}
	if err != nil {
		return gateway.Accepted{}, unavailable("recall a post of", string(account), err)
	}
	answer, ok := strings.CutPrefix(kept, string(body[:]))
	if !ok {
		return gateway.Accepted{}, gateway.ErrKeyReused
	}
	first, err := decodeAccepted(answer)
	first.Replayed = true
	return first, err
}

func idempotencyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

func decodeAccepted(text string) (gateway.Accepted, error) {
	var a gateway.Accepted
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return gateway.Accepted{}, fmt.Errorf("decode the answer kept for a key: %w", err)
	}
	return a, nil
}

// Enqueued strikes tasks of one account that are in their lanes from the
// outbox. A failure is harmless: they are enqueued once more, and the second
// task is void.
func (s *Store) Enqueued(ctx context.Context, account gateway.AccountID, tasks ...gateway.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	members := make([]any, len(tasks))
	for i, t := range tasks {
		members[i] = outboxMember(t)
	}
	if err := s.rdb.ZRem(ctx, redisdb.Key(account.Tag(), "out"), members...).Err(); err != nil {
		return unavailable("strike from the outbox of", string(account), err)
	}
	return nil
}

func outboxMember(t gateway.Task) string { return t.Message.Local() + "#" + strconv.Itoa(t.Sequence) }

// remind has the account looked after now.
func (s *Store) remind(ctx context.Context, account gateway.AccountID) error {
	return s.remindIn(ctx, account, 0).Err()
}

// remindIn makes sure that the account is looked after within d, and answers in
// how many milliseconds it is.
func (s *Store) remindIn(ctx context.Context, account gateway.AccountID, d time.Duration) *redis.Cmd {
	return remindScript.Run(ctx, s.rdb, []string{redisdb.DueKey}, string(account), d.Milliseconds(), "")
}

// remindAt makes sure that the account is looked after at t.
func (s *Store) remindAt(ctx context.Context, account gateway.AccountID, t time.Time) error {
	return remindScript.Run(ctx, s.rdb, []string{redisdb.DueKey}, string(account), 0, t.UnixMilli()).Err()
}

// Remind asks the account's owner to look after it now.
func (s *Store) Remind(ctx context.Context, account gateway.AccountID) error {
	if err := s.remind(ctx, account); err != nil {
		return unavailable("remind the owner of", string(account), err)
	}
	return nil
}
