package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/bench/internal/audit"
	"sluice/bench/internal/load"
	"sluice/bench/internal/measure"
	"sluice/bench/internal/report"
	"sluice/bench/internal/stage"
	"sluice/internal/gateway"
)

// trial is one run of one scenario.
type trial struct {
	options
	log io.Writer

	run    report.Run
	stages []*stage.Stage
	spans  []measure.Span // in which something is measured
}

// do runs the scenario and takes everything down that it started.
func (t *trial) do(ctx context.Context, s scenario) report.Run {
	watch, err := startWatch(ctx, t.bin)
	if err == nil {
		err = s.run(ctx, t)
		if times, longest := watch.stalls(t.spans); times > 0 {
			t.run.Stalled = true
			t.note("the machine stood still %d times, for %v at most", times, longest)
		}
		err = errors.Join(err, watch.stop())
	}
	for _, st := range t.stages {
		if t.logs != "" {
			err = errors.Join(err, st.KeepLogs(t.logs))
		}
		err = errors.Join(err, st.Close())
	}
	t.run.Err, t.run.Load = err, report.Load()
	return t.run
}

// scaled is n, scaled, but at least so many.
func (t *trial) scaled(n, least int) int { return max(int(float64(n)*t.scale), least) }

// during is a duration, scaled, but at least so long.
func (t *trial) during(d, least time.Duration) time.Duration {
	return max(time.Duration(float64(d)*t.scale), least)
}

func (t *trial) set(name, unit string, value float64) {
	t.run.Figures = append(t.run.Figures, report.Figure{Name: name, Unit: unit, Value: value})
}

func (t *trial) note(format string, args ...any) {
	t.run.Notes = append(t.run.Notes, fmt.Sprintf(format, args...))
}

// progress tells who waits what is going on.
func (t *trial) progress(format string, args ...any) {
	fmt.Fprintf(t.log, "  %s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// latencies sets the percentiles that targets speak of.
func (t *trial) latencies(name string, all []time.Duration) {
	for _, p := range []float64{50, 99} {
		t.set(fmt.Sprintf("%s p%.0f", name, p), " ms", float64(measure.Percentile(all, p).Microseconds())/1000)
	}
}

// worked sets how long Redis and the processes compute for each of so many
// messages: what is left of a figure when the machine has other work too.
func (t *trial) worked(ctx context.Context, s *stage.Stage, messages int, f func() error, processes ...*stage.Process) error {
	redis := s.CPU(ctx)
	before := make([]time.Duration, len(processes))
	for i, p := range processes {
		before[i] = p.CPU()
	}
	load := stage.OwnCPU()
	if err := t.commands(ctx, s, messages, f); err != nil {
		return err
	}
	load = stage.OwnCPU() - load
	each := func(name string, cpu time.Duration) {
		t.set("CPU a message, "+name, " µs", float64(cpu.Microseconds())/float64(messages))
	}
	for i, p := range processes {
		each(p.Name(), p.CPU()-before[i])
	}
	each("Redis of "+s.Name(), s.CPU(ctx)-redis)
	each("load for "+s.Name(), load)
	return nil
}

// commandsShown is how many commands are told of.
const commandsShown = 12

// commands notes what Redis was asked for each of so many messages.
func (t *trial) commands(ctx context.Context, s *stage.Stage, messages int, f func() error) error {
	before, err := s.CommandStats(ctx)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	after, err := s.CommandStats(ctx)
	if err != nil {
		return err
	}
	var all []stage.Command
	for name, c := range after {
		c.Calls -= before[name].Calls
		c.Took -= before[name].Took
		if c.Calls > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b stage.Command) int { return cmp.Compare(b.Took, a.Took) })
	each := make([]string, 0, commandsShown)
	for _, c := range all[:min(len(all), commandsShown)] {
		each = append(each, fmt.Sprintf("%s %.1f (%.0f µs)", c.Name, float64(c.Calls)/float64(messages), float64(c.Took.Microseconds())/float64(messages)))
	}
	t.note("Redis of %s, commands a message: %s", s.Name(), strings.Join(each, ", "))
	return nil
}

// measured runs f and remembers when, so that the machine's standing still
// counts.
func (t *trial) measured(f func() error) error {
	begun := time.Now()
	err := f()
	t.spans = append(t.spans, measure.Span{From: begun, To: time.Now()})
	return err
}

// open starts a stage; it ends with the trial.
func (t *trial) open(ctx context.Context, c stage.Config) (*stage.Stage, error) {
	s, err := stage.Open(ctx, t.bin, c)
	if err != nil {
		return nil, err
	}
	t.stages = append(t.stages, s)
	return s, nil
}

// finish ends a stage before the trial does, so that the next one has the
// machine to itself.
func (t *trial) finish(s *stage.Stage) error {
	t.stages = slices.DeleteFunc(t.stages, func(other *stage.Stage) bool { return other == s })
	return s.Close()
}

// openWithAPI starts a stage and its API.
func (t *trial) openWithAPI(ctx context.Context, c stage.Config) (*stage.Stage, error) {
	s, err := t.open(ctx, c)
	if err != nil {
		return nil, err
	}
	return s, s.StartAPI(ctx)
}

// The size of texts, where a scenario doesn't say otherwise.
const textSize = 300

// Recipients of bulk and of transactional messages begin with another digit, so
// that the simulator can tell them apart.
const (
	bulkFrom          = 100_000_000 // +461…
	transactionalFrom = 900_000_000 // +469…
)

// fill has so many bulk messages wait on each of the accounts.
func (t *trial) fill(ctx context.Context, s *stage.Stage, accounts, each int) error {
	t.progress("filling %d × %d", accounts, each)
	for n := range accounts {
		b, err := s.PostBatch(ctx, n, load.Lines(bulkFrom+n*each, each, textSize))
		if err != nil {
			return err
		}
		if b.Accepted != each || !b.Complete {
			return fmt.Errorf("fill: of %d messages the batch accepted %d", each, b.Accepted)
		}
	}
	return nil
}

// perConnection makes a message for each connection and account, for what is
// patched can't be shared.
func perConnection(connections, accounts int, priority string) [][]*load.Message {
	all := make([][]*load.Message, connections)
	for c := range all {
		all[c] = make([]*load.Message, accounts)
		for a := range all[c] {
			all[c][a] = load.NewMessage(stage.Key, string(stage.AccountID(a)), priority, textSize)
		}
	}
	return all
}

// post posts transactional messages one every gap, to the accounts in turn.
func (t *trial) post(ctx context.Context, s *stage.Stage, gap time.Duration, count int, account func(n int) int) ([]load.Posted, error) {
	messages := make(map[int]*load.Message)
	var mu sync.Mutex
	return load.Paced(ctx, s.APIAddr(), gap, count, func(_, n int) []byte {
		mu.Lock()
		defer mu.Unlock()
		a := account(n)
		if messages[a] == nil {
			messages[a] = load.NewMessage(stage.Key, string(stage.AccountID(a)), "transactional", textSize)
		}
		return append([]byte(nil), messages[a].To(transactionalFrom+n)...)
	})
}

// awaitSeen returns when the provider got so many messages.
func (t *trial) awaitSeen(ctx context.Context, s *stage.Stage, messages int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen := 0
	err := stage.Await(ctx, 250*time.Millisecond, func() bool {
		n, _, err := s.Seen(ctx)
		if err == nil {
			seen = n
		}
		return seen >= messages
	})
	if err != nil {
		t.explain(context.WithoutCancel(ctx), s)
		return fmt.Errorf("the provider got %d of %d messages: %w", seen, messages, err)
	}
	return nil
}

// shown is how many records are told of that explain something.
const shown = 3

// explain notes what the records say of messages that never arrived. Nothing of
// it may fail a run that has failed already.
func (t *trial) explain(ctx context.Context, s *stage.Stage) {
	result, err := audit.Recount(ctx, s.Redis, s.Config.AccountIDs())
	if err != nil {
		t.note("records: %v", err)
		return
	}
	t.note("records by status: %v", result.ByStatus)
	stamps, err := s.Stamps(ctx)
	if err != nil {
		t.note("stamps: %v", err)
		return
	}
	for _, st := range stamps {
		delete(result.Statuses, st.MessageID())
	}
	ids := slices.Sorted(maps.Keys(result.Statuses))
	for _, id := range ids[:min(len(ids), shown)] {
		t.note("never arrived: %s", audit.Show(ctx, s.Redis, gateway.MessageID(id)))
	}
}

// linger is how long messages just posted may take to reach the provider.
const linger = 5 * time.Second

// arrivals is how long posted messages took to the provider. Who isn't there
// is an error: a percentile without the worst would be none.
func (t *trial) arrivals(ctx context.Context, s *stage.Stage, posted []load.Posted) ([]time.Duration, error) {
	want := make(map[string]time.Time, len(posted))
	for _, p := range posted {
		want[p.ID] = p.At
	}
	took := make([]time.Duration, 0, len(posted))
	deadline := time.Now().Add(linger)
	for {
		stamps, err := s.Stamps(ctx)
		if err != nil {
			return nil, err
		}
		took = took[:0]
		for _, st := range stamps {
			if at, ok := want[st.MessageID()]; ok {
				took = append(took, st.At().Sub(at))
			}
		}
		if len(took) >= len(posted) {
			return took, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%d of %d messages reached the provider within %v", len(took), len(posted), linger)
		}
		pause(ctx, time.Second)
	}
}

// times are the stamps' times, in order.
func times(stamps []stage.Stamp) []time.Time {
	all := make([]time.Time, len(stamps))
	for i, s := range stamps {
		all[i] = s.At()
	}
	return measure.Sorted(all)
}

// recount stops the API and the workers and has the checker compare all it can.
// posted is how many messages were accepted.
func (t *trial) recount(ctx context.Context, s *stage.Stage, posted int) (*audit.Result, error) {
	if err := s.Drain(); err != nil {
		return nil, err
	}
	result, err := t.records(ctx, s, posted)
	if err != nil {
		return nil, err
	}
	stamps, err := s.Stamps(ctx)
	if err != nil {
		return nil, err
	}
	arrived := make([]string, len(stamps))
	for i, st := range stamps {
		arrived[i] = st.MessageID()
	}
	t.differ(audit.Ledger(result.Statuses, arrived)...)
	return result, nil
}

// records recounts what Redis holds, which nobody changes any more.
func (t *trial) records(ctx context.Context, s *stage.Stage, want int) (*audit.Result, error) {
	t.progress("recounting %d", want)
	result, err := audit.Recount(ctx, s.Redis, s.Config.AccountIDs())
	if err != nil {
		return nil, err
	}
	t.differ(result.Problems...)
	if result.Records != want {
		t.differ(fmt.Sprintf("there are %d records, and there should be %d", result.Records, want))
	}
	return result, nil
}

func (t *trial) differ(problems ...string) { t.run.Problems = append(t.run.Problems, problems...) }

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch listens to the ticker.
type watch struct {
	process *stage.Process
	out     *os.File
	done    chan struct{}

	mu   sync.Mutex
	late []stall
}

// stall is a tick that came late.
type stall struct {
	at  time.Time
	gap time.Duration
}

func startWatch(ctx context.Context, bin string) (*watch, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := stage.Ticker(bin, write)
	_ = write.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, read.Close())
	}
	w := &watch{process: p, out: read, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for lines := bufio.NewScanner(read); lines.Scan() && ctx.Err() == nil; {
			var ns, ms int64
			if _, err := fmt.Sscan(lines.Text(), &ns, &ms); err != nil {
				continue // it was killed in the middle of a line
			}
			w.mu.Lock()
			w.late = append(w.late, stall{time.Unix(0, ns), time.Duration(ms) * time.Millisecond})
			w.mu.Unlock()
		}
	}()
	return w, nil
}

// stalls is how often the machine stood still in the spans, and for how long at
// most.
func (w *watch) stalls(spans []measure.Span) (times int, longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.late {
		if slices.ContainsFunc(spans, func(s measure.Span) bool { return s.Contains(l.at) }) {
			times, longest = times+1, max(longest, l.gap)
		}
	}
	return times, longest
}

func (w *watch) stop() error {
	w.process.Kill()
	<-w.done
	return w.out.Close()
}
