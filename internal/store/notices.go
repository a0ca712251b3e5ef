package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// noticeClaim is how long a claimed notice is left to the one who has it.
const noticeClaim = time.Minute

// DueNotices claims the oldest notice of each message that is due, at most so
// many. nextIn is when the next one is due; zero: none waits. A gateway.Fenced
// error says that the lease is over.
func (s *Store) DueNotices(ctx context.Context, lease gateway.Lease, most int) (notices []gateway.Notice, nextIn time.Duration, err error) {
	got, err := s.run(ctx, noticesScript, lease.Account, lease.Worker, lease.Epoch, most, noticeClaim.Milliseconds())
	if err != nil {
		return nil, 0, unavailable("claim notices of", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return nil, 0, gateway.Fenced{Account: lease.Account}
	}
	const width = 10
	for rest := got[2:]; len(rest) >= width; rest = rest[width:] {
		n, err := decodeNotice(lease.Account, rest[:width])
		if err != nil {
			return nil, 0, fmt.Errorf("decode a notice of %s: %w", rest[0], err)
		}
		notices = append(notices, n)
	}
	return notices, time.Duration(number(got[1])) * time.Millisecond, nil
}

// decodeNotice reads what notices.lua answers for one.
func decodeNotice(account gateway.AccountID, v []string) (n gateway.Notice, err error) {
	id := gateway.MessageID(account.Tag() + v[0])
	n = gateway.Notice{
		Message: id, Account: gateway.AccountID(v[2]), URL: v[3], Reference: v[4],
		Batch: batchOf(id, v[5]), ProviderMessageID: gateway.ProviderMessageID(v[6]),
		Tries: number(v[8]), Since: moment(v[9]),
	}
	number, rest, _ := strings.Cut(v[1], " ")
	change, problem, _ := strings.Cut(rest, " ")
	if n.Number, err = strconv.Atoi(number); err != nil || len(change) < 3 {
		return n, fmt.Errorf("%q is no notice", v[1])
	}
	n.Previous, n.Status, n.At = letterStatuses[change[:1]], letterStatuses[change[1:2]], moment(change[2:])
	if n.Error, err = decodeError(problem); err != nil {
		return n, err
	}
	n.Metadata, err = decodeMetadata(v[7])
	return n, err
}

// NoticeDone says that the caller has confirmed a notice; the message's next
// one is due.
func (s *Store) NoticeDone(ctx context.Context, account gateway.AccountID, n gateway.Notice) error {
	return s.noticed(ctx, account, n, "done", 0, nil)
}

// NoticeFailed puts a notice off, with the tries and the time of the first one
// that n has now.
func (s *Store) NoticeFailed(ctx context.Context, account gateway.AccountID, n gateway.Notice, retryIn time.Duration) error {
	return s.noticed(ctx, account, n, "failed", retryIn, nil)
}

// NoticeDropped gives a notice up; the message's next one is due.
func (s *Store) NoticeDropped(ctx context.Context, account gateway.AccountID, n gateway.Notice, why *gateway.Error) error {
	return s.noticed(ctx, account, n, "dropped", 0, why)
}

func (s *Store) noticed(ctx context.Context, account gateway.AccountID, n gateway.Notice, what string, retryIn time.Duration, why *gateway.Error) error {
	since := ""
	if !n.Since.IsZero() {
		since = strconv.FormatInt(n.Since.UnixMilli(), 10)
	}
	_, err := s.run(ctx, noticedScript, account, n.Message.Local(), n.Number, what, retryIn.Milliseconds(), encodeError(why),
		n.Tries, since)
	if err != nil {
		return unavailable("note what became of a notice of", string(n.Message), err)
	}
	return nil
}
