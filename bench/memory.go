package main

import (
	"context"
	"fmt"
	"time"

	"sluice/bench/internal/audit"
	"sluice/bench/internal/stage"
)

// Retention is shortened, so that its end can be seen; nothing else differs from
// what is shipped.
const (
	contentKept = time.Second
	recordKept  = 90 * time.Second
)

// memory counts what Redis' data takes for messages that wait, for those that
// were read and whose content is purged, and what stays after retention.
func memory(ctx context.Context, t *trial) error {
	const accounts = 10
	s, err := t.openWithAPI(ctx, stage.Config{
		Accounts: accounts, Rate: aboveReach, Callbacks: true,
		Retention: stage.Retention{Content: contentKept.String(), Record: recordKept.String()},
	})
	if err != nil {
		return err
	}
	each := t.scaled(5000, 100)
	total := accounts * each
	empty, err := s.Dataset(ctx)
	if err != nil {
		return err
	}
	perMessage := func(name string) error {
		now, err := s.Dataset(ctx)
		if err != nil {
			return err
		}
		t.set(name, " KB", float64(now-empty)/float64(total)/1024)
		_, err = t.kinds(ctx, s, name, total)
		return err
	}
	if err := t.fill(ctx, s, accounts, each); err != nil {
		return err
	}
	if err := perMessage("each one queued"); err != nil {
		return err
	}

	begun := time.Now()
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	patience := time.Duration(total)*time.Second/200 + time.Minute
	if err := t.awaitSeen(ctx, s, total, patience); err != nil {
		return err
	}
	if _, err := t.awaitRecorded(ctx, s, patience); err != nil {
		return err
	}
	pause(ctx, contentKept+settle)
	if took := time.Since(begun); took > recordKept {
		return fmt.Errorf("sending took %v, and the first records are gone", took)
	}
	if err := perMessage("finished, content purged"); err != nil {
		return err
	}

	t.progress("waiting for the end of retention")
	waiting, cancel := context.WithTimeout(ctx, recordKept+time.Since(begun)+30*time.Second)
	defer cancel()
	left := 0
	_ = stage.Await(waiting, time.Second, func() bool { // what is left then is the figure
		left, err = s.Left(ctx)
		return err == nil && left == 0
	})
	if err != nil {
		return err
	}
	owned, err := t.kinds(ctx, s, "after retention", total)
	if err != nil {
		return err
	}
	t.set("left after retention", "", float64(left+owned))
	if err := s.Drain(); err != nil {
		return err
	}
	_, err = t.records(ctx, s, 0) // the provider got what there is no record of any more
	return err
}

// kinds notes the keys and bytes that there are, and says how many of the keys
// are single messages' own.
func (t *trial) kinds(ctx context.Context, s *stage.Stage, when string, messages int) (owned int, err error) {
	kinds, err := audit.Kinds(ctx, s.Redis)
	if err != nil {
		return 0, err
	}
	for _, k := range kinds {
		if k.OfOne {
			owned += k.Keys
		}
		t.note("%s: `%s`, %d keys, %d B, %.0f B a message", when, k.Pattern, k.Keys, k.Bytes, float64(k.Bytes)/float64(messages))
	}
	return owned, nil
}
