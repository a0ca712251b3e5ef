package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sluice/bench/internal/report"
)

// scenario is one row of docs/benchmarks.md.
type scenario struct {
	name    string
	what    string
	targets []report.Target
	run     func(context.Context, *trial) error
}

func atLeast(figure string, value float64) report.Target {
	return report.Target{Figure: figure, Bound: report.AtLeast, Value: value}
}

func atMost(figure string, value float64) report.Target {
	return report.Target{Figure: figure, Bound: report.AtMost, Value: value}
}

// scenarios is all of them, in the order in which they run.
func scenarios() []scenario {
	paced := func(workers int) scenario {
		return scenario{
			name: fmt.Sprintf("pace-%d", workers), what: fmt.Sprintf("one account at 50/s, 3,000 bulk messages, provider 50 ms, workers: %d", workers),
			targets: []report.Target{atLeast("over the backlog", 49), atMost("most in a sliding second", 50)},
			run:     func(ctx context.Context, t *trial) error { return pace(ctx, t, workers) },
		}
	}
	return []scenario{
		paced(1), paced(2), paced(4),
		{
			name: "pace-changes", what: "the same while a worker is killed, one joins, one drains, and the file's rate changes 50 → 80 → 20",
			targets: []report.Target{atMost("above the limit in force", 0), atLeast("used outside the takeover", 95)},
			run:     paceChanges,
		},
		{
			name: "priority", what: "1,000,000 bulk messages waiting on the account, transactional ones arriving at 5/s",
			targets: []report.Target{atMost("post → provider p50", 40), atMost("post → provider p99", 100)},
			run:     priority,
		},
		{
			name: "hang", what: "the provider hangs (20 s) on all bulk calls, transactional ones arriving at 5/s",
			targets: []report.Target{atMost("post → provider p99", 250), atMost("times the breaker was seen open", 0)},
			run:     hang,
		},
		{
			name: "fairness", what: "50 accounts with 10,000 waiting each, single messages on a 51st",
			targets: []report.Target{atMost("post → provider p99", 150)},
			run:     fairness,
		},
		{
			name: "idle-closed", what: "lane closed, message posted",
			targets: []report.Target{atMost("post → provider p50", 10), atMost("post → provider p99", 50)},
			run:     func(ctx context.Context, t *trial) error { return idle(ctx, t, closedGap, 100) },
		},
		{
			name: "idle-open", what: "lane open but empty, message posted",
			targets: []report.Target{atMost("post → provider p50", 10), atMost("post → provider p99", 50)},
			run:     func(ctx context.Context, t *trial) error { return idle(ctx, t, openGap, 300) },
		},
		{
			name: "idle-accounts", what: "1,000 idle accounts on one worker",
			targets: []report.Target{atMost("Redis commands", 500), atMost("worker resident", 150)},
			run:     idleAccounts,
		},
		{
			name: "trickle", what: "1,000 accounts with a message each every 5 s",
			targets: []report.Target{atMost("Redis commands", 5000), atMost("post → provider p99", 50)},
			run:     trickle,
		},
		{
			name: "dispatch", what: "200 accounts saturated, rate above reach, provider 0 ms, everything recorded, callbacks off",
			targets: []report.Target{atLeast("messages", 5000), atLeast("of the bare worker", 0.8)},
			run:     dispatch,
		},
		{
			name: "callbacks", what: "the same with three signed callbacks a message coming in",
			targets: []report.Target{atLeast("messages", 1500)},
			run:     callbacks,
		},
		{
			name: "accept", what: "single posts, 64 connections",
			targets: []report.Target{atLeast("posts", 8000), atMost("post p99", 25), atLeast("of the bare handler", 0.5)},
			run:     accept,
		},
		{
			name: "batch", what: "one NDJSON batch of 1,000,000",
			targets: []report.Target{atLeast("messages", 20_000), atLeast("of the bare loop", 0.6), atMost("API resident", 150)},
			run:     batch,
		},
		{
			name: "memory", what: "Redis memory, 300-byte text messages, shipped settings",
			targets: []report.Target{atMost("each one queued", 1.3), atMost("finished, content purged", 0.8), atMost("left after retention", 0)},
			run:     memory,
		},
	}
}

func names() []string {
	var all []string
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

// choose finds the scenarios whose names begin as said, all if nothing is.
func choose(said string) ([]scenario, error) {
	if said == "" {
		return scenarios(), nil
	}
	var chosen []scenario
	wanted := strings.Split(said, ",")
	met := make([]bool, len(wanted))
	for _, s := range scenarios() {
		fits := false
		for i, w := range wanted {
			// A whole name is that one alone: "idle-accounts", "pace-1".
			if w != "" && (s.name == w || strings.HasPrefix(s.name, w) && !slices.Contains(names(), w)) {
				fits, met[i] = true, true
			}
		}
		if fits {
			chosen = append(chosen, s)
		}
	}
	if i := slices.Index(met, false); i >= 0 {
		return nil, fmt.Errorf("no case begins with %q; there are %s", wanted[i], strings.Join(names(), ", "))
	}
	return chosen, nil
}
