package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"sluice/internal/gateway"
)

// earliestPoll is how long after an attempt was recorded the provider is asked
// first what became of it.
const earliestPoll = 5 * time.Second

// pollPlan is for how long a message is asked after, and the gaps before the
// questions; the last one repeats.
type pollPlan struct {
	life time.Duration
	gaps []time.Duration
}

// acceptedPlan is of what the provider has, counted from its attempt.
func acceptedPlan() pollPlan {
	return pollPlan{24 * time.Hour, []time.Duration{
		earliestPoll, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour,
	}}
}

// unknownPlan is of what the provider may have, counted from when that came
// about. It asks often while the grace lasts, for then on_unknown decides; what
// an hour hasn't settled is an operator's.
func unknownPlan() pollPlan {
	return pollPlan{time.Hour, []time.Duration{
		earliestPoll, 10 * time.Second, 15 * time.Second, 25 * time.Second, 5 * time.Minute, 30 * time.Minute,
	}}
}

// String is the form that the script reads: the milliseconds of each.
func (p pollPlan) String() string {
	text := make([]string, 0, 1+len(p.gaps))
	for _, d := range append([]time.Duration{p.life}, p.gaps...) {
		text = append(text, strconv.FormatInt(d.Milliseconds(), 10))
	}
	return strings.Join(text, " ")
}

// FirstPoll is in what time an account's provider is asked first after a message
// that has just been recorded so; zero: it isn't. What is unknown is asked after
// before its grace is over, however short that is.
func (s *Store) FirstPoll(account gateway.AccountID, status gateway.Status) time.Duration {
	asked, first := s.opts.Polls, earliestPoll
	switch {
	case status == gateway.StatusUnknown:
		asked, first = s.opts.Lookups, min(first, s.opts.UnknownGrace(account)/2)
	case status != gateway.StatusAccepted:
		return 0
	}
	if asked == nil || !asked(account) {
		return 0
	}
	return first
}

// DuePoll claims the message that the provider is to be asked after next: what
// became of it since it was accepted, sent or delivered, for a day after its
// attempt, or whether the provider has it, for an hour after that became unknown.
// To claim it is to put it off until its next question. A gateway.Fenced error
// says that the lease is over.
func (s *Store) DuePoll(ctx context.Context, lease gateway.Lease) (gateway.Poll, error) {
	got, err := s.run(ctx, pollScript, lease.Account,
		lease.Worker, lease.Epoch, acceptedPlan().String(), unknownPlan().String())
	if err != nil {
		return gateway.Poll{}, unavailable("claim a message to ask after of", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return gateway.Poll{}, gateway.Fenced{Account: lease.Account}
	}
	p := gateway.Poll{NextIn: time.Duration(number(got[1])) * time.Millisecond}
	if len(got) == 6 {
		p.Message, p.ProviderMessageID = gateway.MessageID(lease.Account.Tag()+got[2]), gateway.ProviderMessageID(got[3])
		p.Recipient, p.AttemptedAt = gateway.Recipient(got[4]), moment(got[5])
	}
	return p, nil
}
