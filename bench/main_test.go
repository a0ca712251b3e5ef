package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCasesAreChosenByName(t *testing.T) {
	for _, tc := range []struct {
		said string
		want []string
	}{
		{"accept", []string{"accept"}},
		{"accept,dispatch", []string{"dispatch", "accept"}},
		{"pace", []string{"pace-1", "pace-2", "pace-4", "pace-changes"}},
		{"pace-1", []string{"pace-1"}},
		{"idle", []string{"idle-closed", "idle-open", "idle-accounts"}},
		{"", names()},
	} {
		t.Run(tc.said, func(t *testing.T) {
			chosen, err := choose(tc.said)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range chosen {
				got = append(got, s.name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := choose("accept,none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("an unknown case: %v", err)
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	for _, args := range [][]string{{"-case", "none"}, {"-runs", "0"}, {"-scale", "0"}, {"-unknown"}} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, &out); code != 2 {
			t.Errorf("%v: exit code %d: %s", args, code, out.String())
		}
	}
}

// The harness itself, on a small scale: whatever it measures here is no figure.
func TestAScaledRunMeasuresAndRecountsEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	docs := filepath.Join(t.TempDir(), "benchmarks.md")
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"-case", "pace-1,accept", "-runs", "1", "-repeats", "0", "-scale", "0.01", "-bin", t.TempDir(), "-docs", docs}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s\n%s", code, stderr.String(), stdout.String())
	}
	for _, want := range []string{
		"| most in a sliding second | ≤ 50 |",
		"| of the bare handler | ≥ 0.5x |",
		"| recount of all records | no difference | none |",
		"| CPU a message, Redis of Sluice |",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout.String())
		}
	}
	if _, err := os.Stat(docs); err == nil {
		t.Error("a part of the cases was written for all of them")
	}
}
