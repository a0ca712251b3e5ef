package store

import (
	"context"
	"time"

	"sluice/internal/gateway"
)

// FirstPoll is how long after a send was recorded its status is asked for first.
const FirstPoll = 5 * time.Second

// pollLife is for how long after its attempt a message is asked after.
const pollLife = 24 * time.Hour

// pollGaps lie before the questions after one message; the last one repeats.
func pollGaps() []time.Duration {
	return []time.Duration{FirstPoll, 15 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour}
}

// DuePoll claims the message whose status is to be asked for next: accepted, sent
// or delivered, and its attempt less than a day ago. To claim it is to put it off
// until its next question. A gateway.Fenced error says that the lease is over.
func (s *Store) DuePoll(ctx context.Context, lease gateway.Lease) (gateway.Poll, error) {
	args := []any{lease.Worker, lease.Epoch, pollLife.Milliseconds()}
	for _, gap := range pollGaps() {
		args = append(args, gap.Milliseconds())
	}
	got, err := s.run(ctx, pollScript, lease.Account, args...)
	if err != nil {
		return gateway.Poll{}, unavailable("claim a message to ask after of", string(lease.Account), err)
	}
	if got[0] == string(gateway.VerdictFenced) {
		return gateway.Poll{}, gateway.Fenced{Account: lease.Account}
	}
	p := gateway.Poll{NextIn: time.Duration(number(got[1])) * time.Millisecond}
	if len(got) == 4 {
		p.Message, p.ProviderMessageID = gateway.MessageID(lease.Account.Tag()+got[2]), gateway.ProviderMessageID(got[3])
	}
	return p, nil
}
