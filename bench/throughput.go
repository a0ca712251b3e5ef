package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/bench/internal/load"
	"sluice/bench/internal/measure"
	"sluice/bench/internal/stage"
)

// saturated is how many accounts dispatch spreads its load over, and aboveReach
// the rate of each: together more than any machine of this size does.
const (
	saturated  = 200
	aboveReach = 1000
)

func dispatch(ctx context.Context, t *trial) error {
	bare, err := bareWorker(ctx, t, t.scaled(100_000, 2000))
	if err != nil {
		return fmt.Errorf("bare worker: %w", err)
	}
	speed, err := t.saturate(ctx, stage.Config{Accounts: saturated, Rate: aboveReach}, t.scaled(1000, 20))
	if err != nil {
		return err
	}
	t.set("messages", "/s", speed)
	t.set("bare worker", "/s", bare)
	t.set("of the bare worker", "x", speed/bare)
	return nil
}

// callbacks is judged by when the last status was recorded.
func callbacks(ctx context.Context, t *trial) error {
	speed, err := t.saturate(ctx, stage.Config{Accounts: saturated, Rate: aboveReach, Callbacks: true}, t.scaled(400, 20))
	if err != nil {
		return err
	}
	t.set("messages", "/s", speed)
	return nil
}

// saturate has a worker send what waits on every account, and says how many
// messages a second were sent and recorded to their end.
func (t *trial) saturate(ctx context.Context, c stage.Config, each int) (speed float64, err error) {
	s, err := t.openWithAPI(ctx, c)
	if err != nil {
		return 0, err
	}
	total := c.Accounts * each
	if err := t.fill(ctx, s, c.Accounts, each); err != nil {
		return 0, err
	}
	var ended time.Time
	err = t.measured(func() error {
		t.progress("sending %d", total)
		worker, err := s.StartWorker(ctx)
		if err != nil {
			return err
		}
		err = t.worked(ctx, s, total, func() error {
			patience := time.Duration(total)*time.Second/200 + time.Minute
			if err := t.awaitSeen(ctx, s, total, patience); err != nil {
				return err
			}
			ended, err = t.awaitRecorded(ctx, s, patience)
			return err
		}, worker, s.API, s.Simulator)
		if err != nil {
			return err
		}
		return t.resident("worker resident", worker)
	})
	if err != nil {
		return 0, err
	}
	stamps, err := s.Stamps(ctx)
	if err != nil {
		return 0, err
	}
	speed = float64(total) / ended.Sub(times(stamps)[0]).Seconds()
	result, err := t.recount(ctx, s, total)
	if err != nil {
		return 0, err
	}
	end := "a"
	if c.Callbacks {
		end = "r"
	}
	if result.ByStatus[end] != total {
		t.differ(fmt.Sprintf("%d of %d messages have status %q; all: %v", result.ByStatus[end], total, end, result.ByStatus))
	}
	return speed, nil
}

// awaitRecorded returns when nothing is on its way any more, and says since
// when.
func (t *trial) awaitRecorded(ctx context.Context, s *stage.Stage, patience time.Duration) (since time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = stage.Await(ctx, 100*time.Millisecond, func() bool {
		_, reporting, err := s.Seen(ctx)
		since = time.Now()
		if err != nil || reporting > 0 {
			return false
		}
		left, err := s.Unrecorded(ctx)
		return err == nil && left == 0
	})
	if err != nil {
		return since, fmt.Errorf("outcomes are still to be recorded: %w", err)
	}
	return since, nil
}

// bareWorker measures bench/baseline/worker: the same call to the same provider.
func bareWorker(ctx context.Context, t *trial, tasks int) (speed float64, err error) {
	s, err := t.open(ctx, stage.Config{Accounts: 1, Rate: aboveReach})
	if err != nil {
		return 0, err
	}
	url := fmt.Sprintf("http://%s/v23.0/%d/messages", s.SimulatorAddr(), stage.PhoneNumberID(0))
	body := fmt.Sprintf(`{"messaging_product":"whatsapp","recipient_type":"individual","to":"461000000007777","type":"text",`+
		`"text":{"preview_url":false,"body":"%s"},"biz_opaque_callback_data":"00000000000000000000000000000000"}`, load.Text(textSize))
	start := func(tasks int) (*stage.Process, error) {
		return s.StartBaseline("worker", nil, s.RedisAddr(), url, stage.Token(0), body, strconv.Itoa(tasks))
	}
	filler, err := start(tasks)
	if err != nil {
		return 0, err
	}
	if err := filler.Wait(ctx); err != nil {
		return 0, err
	}
	err = t.measured(func() error {
		worker, err := start(0)
		if err != nil {
			return err
		}
		defer worker.Kill()
		return t.worked(ctx, s, tasks, func() error {
			return t.awaitSeen(ctx, s, tasks, time.Duration(tasks)*time.Second/200+time.Minute)
		}, worker)
	})
	if err != nil {
		return 0, err
	}
	stamps, err := s.Stamps(ctx)
	if err != nil {
		return 0, err
	}
	return measure.Rate(times(stamps)), t.finish(s)
}

// connections is how many post at one time.
const connections = 64

func accept(ctx context.Context, t *trial) error {
	count := t.scaled(100_000, 2000)
	bare, err := bareHandler(ctx, t, count)
	if err != nil {
		return fmt.Errorf("bare handler: %w", err)
	}
	// One account at an ordinary rate: what the worker sends meanwhile takes
	// little of the machine.
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return err
	}
	if _, err := s.StartWorkers(ctx, 1); err != nil {
		return err
	}
	pause(ctx, settle)
	speed, took, err := t.burst(ctx, s, s.API, count)
	if err != nil {
		return err
	}
	t.set("posts", "/s", speed)
	t.latencies("post", took)
	t.set("bare handler", "/s", bare)
	t.set("of the bare handler", "x", speed/bare)
	if err := t.resident("API resident", s.API); err != nil {
		return err
	}
	_, err = t.recount(ctx, s, count+warmUp)
	return err
}

// warmUp is how many posts go before those that count.
const warmUp = 500

// burst posts transactional messages to a process in the API's place as fast as
// they are answered.
func (t *trial) burst(ctx context.Context, s *stage.Stage, p *stage.Process, count int) (speed float64, took []time.Duration, err error) {
	messages := perConnection(connections, 1, "transactional")
	request := func(conn, n int) []byte { return messages[conn][0].To(transactionalFrom + n) }
	if _, err := load.Burst(ctx, s.APIAddr(), connections, warmUp, request); err != nil {
		return 0, nil, err
	}
	begun := time.Now()
	err = t.measured(func() error {
		return t.worked(ctx, s, count, func() (err error) {
			took, err = load.Burst(ctx, s.APIAddr(), connections, count, request)
			return err
		}, p)
	})
	return float64(count) / time.Since(begun).Seconds(), took, err
}

// bareHandler measures bench/baseline/handler with the same posts.
func bareHandler(ctx context.Context, t *trial, count int) (speed float64, err error) {
	s, err := t.open(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return 0, err
	}
	handler, err := s.StartBareHandler(ctx)
	if err != nil {
		return 0, err
	}
	speed, _, err = t.burst(ctx, s, handler, count)
	if err != nil {
		return 0, err
	}
	return speed, t.finish(s)
}

func batch(ctx context.Context, t *trial) error {
	count := t.scaled(1_000_000, 5000)
	bare, err := bareLoop(ctx, t, count)
	if err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	s, err := t.openWithAPI(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return err
	}
	var speed float64
	err = t.measured(func() error {
		return t.worked(ctx, s, count, func() error {
			begun := time.Now()
			b, err := s.PostBatch(ctx, 0, load.Lines(bulkFrom, count, textSize))
			if err != nil {
				return err
			}
			if b.Accepted != count || b.Rejected != 0 || !b.Complete {
				return fmt.Errorf("of %d messages the answer is %+v", count, b)
			}
			speed = float64(count) / time.Since(begun).Seconds()
			return nil
		}, s.API)
	})
	if err != nil {
		return err
	}
	t.set("messages", "/s", speed)
	t.set("bare loop", "/s", bare)
	t.set("of the bare loop", "x", speed/bare)
	if err := t.resident("API resident", s.API); err != nil {
		return err
	}
	_, err = t.recount(ctx, s, count)
	return err
}

// bareLoop measures bench/baseline/loop.
func bareLoop(ctx context.Context, t *trial, count int) (speed float64, err error) {
	s, err := t.open(ctx, stage.Config{Accounts: 1, Rate: limit})
	if err != nil {
		return 0, err
	}
	var out bytes.Buffer
	err = t.measured(func() error {
		return t.worked(ctx, s, count, func() error {
			loop, err := s.StartBaseline("loop", &out, s.RedisAddr(), strconv.Itoa(count), strconv.Itoa(textSize))
			if err != nil {
				return err
			}
			return loop.Wait(ctx)
		})
	})
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(out.String()), 10, 64)
	if err != nil {
		return 0, err
	}
	return float64(count) / time.Duration(ns).Seconds(), t.finish(s)
}
