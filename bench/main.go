// Command bench proves how fast Sluice is. It starts everything it measures on
// loopback as separate processes, from release builds with the shipped
// configuration, runs each scenario several times, recounts all records after
// each, and writes docs/benchmarks.md.
//
//	go run ./bench                                 all of it, as `make bench` does
//	go run ./bench -case accept,dispatch -runs 1 -scale 0.1
//
// Anything but a full run writes to standard output only.
//
// How figures are come by:
//
//   - Latency is from before a post is written until the simulator has read the
//     provider's request, by the same clock. Who never arrives fails the run.
//   - Pace is judged over all stamps of the simulator, which itself limits
//     nothing: the most that any sliding second held. While the rate changes,
//     a second is judged by the highest limit in force in it; after a save both
//     the old and the new one are, for 2 s.
//   - Throughput is until everything is recorded, not until it is sent. Beside it
//     stands how long Redis and each process computed for a message, which says
//     more than the throughput where a machine has other work too.
//   - A program of bench/baseline is measured in the same run, on a Redis of its
//     own. It does the least that could be done with the same libraries.
//   - bench/ticker ticks every millisecond in a process of its own. A run in
//     which a tick came over 10 ms late is repeated, three times for a case.
//   - After each run the programs are stopped in order, and every record, counter
//     and index is recounted, and compared with what the provider got.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/bench/internal/report"
	"sluice/bench/internal/stage"
)

const (
	fullRuns  = 3
	fullScale = 1.0

	// fullRepeats is how often runs of a case are repeated because the machine
	// stood still.
	fullRepeats = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line says.
type options struct {
	cases   string
	runs    int
	scale   float64
	repeats int
	bin     string
	docs    string
	logs    string
}

func (o *options) full() bool {
	return o.cases == "" && o.runs == fullRuns && o.scale == fullScale && o.repeats == fullRepeats
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.cases, "case", "", "names or beginnings of names, separated by commas; empty: all of "+strings.Join(names(), ", "))
	flags.IntVar(&o.runs, "runs", fullRuns, "of each case")
	flags.Float64Var(&o.scale, "scale", fullScale, "of messages and times")
	flags.IntVar(&o.repeats, "repeats", fullRepeats, "of runs of a case in which the machine stood still, at most")
	flags.StringVar(&o.bin, "bin", "bin", "the folder that programs are built into")
	flags.StringVar(&o.docs, "docs", "docs/benchmarks.md", "what a full run writes")
	flags.StringVar(&o.logs, "logs", "", "a folder for what the programs of the last run said")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(o.cases)
	if err == nil && (o.runs < 1 || o.scale <= 0) {
		err = errors.New("runs and scale must be above 0")
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	all, err := bench(ctx, o, chosen, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return publish(o, all, stdout, stderr)
}

// publish writes the report where it belongs. A difference that the checker
// found, or a run that failed, is an exit code of 1; a target that isn't met is
// only said.
func publish(o options, all *report.Report, stdout, stderr io.Writer) int {
	var text bytes.Buffer
	err := all.Write(&text)
	if err == nil {
		_, err = stdout.Write(text.Bytes())
	}
	if err == nil && o.full() {
		err = os.WriteFile(o.docs, text.Bytes(), 0o644) //nolint:gosec // a document for everybody
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if slices.ContainsFunc(all.Cases, func(c report.Case) bool { return c.Failed() }) {
		return 1
	}
	return 0
}

// bench builds what is measured and runs the scenarios.
func bench(ctx context.Context, o options, chosen []scenario, log io.Writer) (*report.Report, error) {
	if err := stage.Build(ctx, o.bin); err != nil {
		return nil, err
	}
	all := &report.Report{Conditions: report.Machine(ctx)}
	note := func(name, format string, args ...any) {
		all.Conditions = append(all.Conditions, [2]string{name, fmt.Sprintf(format, args...)})
	}
	note("date", "%s", time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	note("load before", "%.2f", report.Load())
	note("runs of each case", "%d, scale %v", o.runs, o.scale)
	redis, err := stage.RedisVersion(ctx)
	if err != nil {
		return nil, err
	}
	note("Redis", "%s", redis)
	for _, s := range chosen {
		c, err := measureCase(ctx, o, s, log)
		if err != nil {
			return nil, err
		}
		all.Cases = append(all.Cases, *c)
	}
	return all, nil
}

// measureCase runs one scenario as often as it is wanted, and more often where
// the machine stood still.
func measureCase(ctx context.Context, o options, s scenario, log io.Writer) (*report.Case, error) {
	c := &report.Case{Name: s.name, What: s.what, Targets: s.targets}
	repeats := 0
	for n := 1; n <= o.runs; n++ {
		var r report.Run
		for {
			fmt.Fprintf(log, "%s: run %d\n", s.name, n)
			t := &trial{options: o, log: log}
			r = t.do(ctx, s)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if !r.Stalled || r.Err != nil || repeats >= o.repeats {
				break
			}
			repeats++
			r.Repeated++
			fmt.Fprintf(log, "%s: the machine stood still, the run is repeated\n", s.name)
		}
		show(log, &r)
		c.Runs = append(c.Runs, r)
	}
	return c, nil
}

// show tells of a run as it has ended.
func show(log io.Writer, r *report.Run) {
	for _, f := range r.Figures {
		fmt.Fprintf(log, "  %-28s %s\n", f.Name, f)
	}
	for _, text := range r.Notes {
		fmt.Fprintf(log, "  note: %s\n", text)
	}
	for _, text := range r.Problems {
		fmt.Fprintf(log, "  difference: %s\n", text)
	}
	if r.Err != nil {
		fmt.Fprintf(log, "  failed: %v\n", r.Err)
	}
}
