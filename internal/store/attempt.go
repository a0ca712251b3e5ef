package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// keepLimit bounds how much of each kind one call of Keep does, so that no
// script holds Redis up.
const keepLimit = 100

// Begin writes the intent to call the provider, if the task may. Asking again
// with the same nonce gives the same answer. attempt is the attempt's number,
// with VerdictBegun only.
func (s *Store) Begin(ctx context.Context, in gateway.Intent) (verdict gateway.Verdict, attempt int, err error) {
	got, err := s.runReplicated(ctx, beginScript, in.Lease.Account,
		in.Task.Message.Local(), in.Task.Sequence, in.Lease.Worker, in.Lease.Epoch, in.Nonce, in.Deadline.Milliseconds(),
		encodeFiles(in.Files))
	if err != nil {
		return "", 0, unavailable("begin", string(in.Task.Message), err)
	}
	verdict = gateway.Verdict(got[0])
	if verdict == gateway.VerdictBegun {
		if attempt, err = strconv.Atoi(got[1]); err != nil {
			return "", 0, fmt.Errorf("begin %s: attempt %q: %w", in.Task.Message, got[1], err)
		}
	}
	return verdict, attempt, nil
}

// Record writes what became of an attempt. Only the nonce of its intent can,
// whatever has happened since; recording again changes nothing.
func (s *Store) Record(ctx context.Context, account gateway.AccountID, e gateway.Ending) error {
	_, err := s.run(ctx, recordScript, account,
		e.Message.Local(), e.Nonce, statusLetters[e.Next], string(e.ProviderMessageID), encodeError(e.Error),
		e.RetryIn.Milliseconds(), flag(e.Spent), encodeSuppression(e.Suppress), s.FirstPoll(account, e.Next).Milliseconds(),
		string(e.Alias),
		e.Attempt.Number, e.Attempt.StartedAt.UnixMilli(), e.Attempt.EndedAt.Sub(e.Attempt.StartedAt).Milliseconds(),
		outcomeLetters[e.Attempt.Outcome], oneLine(e.Attempt.Code), oneLine(e.Attempt.Detail))
	if err != nil {
		return unavailable("record the attempt of", string(e.Message), err)
	}
	return nil
}

// Defer parks a message whose task may not begin now, for d. behind says that
// it waits for an earlier one to the same recipient: then later ones still
// wait for it. The task is done with.
func (s *Store) Defer(ctx context.Context, account gateway.AccountID, t gateway.Task, d time.Duration, behind bool) error {
	_, err := s.run(ctx, deferScript, account, t.Message.Local(), t.Sequence, max(d.Milliseconds(), 1), flag(behind))
	if err != nil {
		return unavailable("park", string(t.Message), err)
	}
	return nil
}

// Expire ends a message whose time has come by the store's clock, and reports
// whether it had.
func (s *Store) Expire(ctx context.Context, account gateway.AccountID, id gateway.MessageID) (bool, error) {
	got, err := s.run(ctx, expireScript, account, id.Local())
	if err != nil {
		return false, unavailable("expire", string(id), err)
	}
	return got[0] == "expired", nil
}

// Refuse ends a message that our own checks refuse: it is rejected, or failed
// when the defect is ours (gateway.ClassInternal).
func (s *Store) Refuse(ctx context.Context, account gateway.AccountID, t gateway.Task, why *gateway.Error) error {
	end := gateway.StatusRejected
	if why.Class == gateway.ClassInternal {
		end = gateway.StatusFailed
	}
	_, err := s.run(ctx, refuseScript, account, t.Message.Local(), t.Sequence, encodeError(why), statusLetters[end])
	if err != nil {
		return unavailable("refuse", string(t.Message), err)
	}
	return nil
}

// Keep does what is due for an account: intents past their deadline become
// unknown, messages past their time expire, parked ones come back, what was
// kept long enough goes. The tasks it returns are to be enqueued, then struck
// with Enqueued; those that aren't come back after OutboxPatience. A
// gateway.Fenced error says that the lease is over.
func (s *Store) Keep(ctx context.Context, lease gateway.Lease, maxAttempts int) (gateway.Chores, error) {
	got, err := s.run(ctx, keepScript, lease.Account,
		lease.Worker, lease.Epoch, keepLimit, OutboxPatience.Milliseconds(), maxAttempts,
		s.FirstPoll(lease.Account, gateway.StatusUnknown).Milliseconds())
	if err != nil {
		return gateway.Chores{}, unavailable("keep", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return gateway.Chores{}, gateway.Fenced{Account: lease.Account}
	}
	tasks, err := decodeTasks(lease.Account, got[9:])
	if err != nil {
		return gateway.Chores{}, err
	}
	chores := gateway.Chores{
		Tasks:   tasks,
		NextIn:  time.Duration(number(got[1])) * time.Millisecond,
		HeldFor: time.Duration(number(got[2])) * time.Millisecond,
		More:    got[4] == "1",
		Doubts:  got[5] == "1",
		GrowsIn: time.Duration(number(got[7])) * time.Millisecond,
		Beyond:  number(got[8]),
	}
	if got[6] != "" {
		if chores.Share, err = strconv.ParseFloat(got[6], 64); err != nil {
			return gateway.Chores{}, fmt.Errorf("keep %s: share %q: %w", lease.Account, got[6], err)
		}
	}
	for _, p := range gateway.Priorities() {
		if strings.ContainsAny(got[3], "a"+laneLetter(p)) {
			chores.Paused = append(chores.Paused, p)
		}
	}
	return chores, nil
}

// Adopt gives messages whose tasks died with their worker fresh ones, to be
// enqueued and struck as Keep's.
func (s *Store) Adopt(ctx context.Context, lease gateway.Lease, ids []gateway.MessageID) ([]gateway.Task, error) {
	args := []any{lease.Worker, lease.Epoch}
	for _, id := range ids {
		args = append(args, id.Local())
	}
	got, err := s.run(ctx, adoptScript, lease.Account, args...)
	if err != nil {
		return nil, unavailable("adopt tasks of", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return nil, gateway.Fenced{Account: lease.Account}
	}
	return decodeTasks(lease.Account, got[1:])
}

func decodeTasks(account gateway.AccountID, pairs []string) ([]gateway.Task, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("a script answered with half a task")
	}
	tag, tasks := account.Tag(), make([]gateway.Task, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		id, seq, _ := strings.Cut(pairs[i], "#")
		tasks = append(tasks, gateway.Task{
			Message: gateway.MessageID(tag + id), Priority: lanePriority(pairs[i+1]), Sequence: number(seq),
		})
	}
	return tasks, nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
