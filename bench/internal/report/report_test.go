package report

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func runs(values ...float64) []Run {
	var all []Run
	for _, v := range values {
		all = append(all, Run{Load: 1.5, Figures: []Figure{{Name: "messages", Unit: "/s", Value: v}}})
	}
	return all
}

func TestACaseIsMetIfItsMediansReachTheirTargetsAndNothingFailed(t *testing.T) {
	atLeast := []Target{{Figure: "messages", Bound: AtLeast, Value: 5000}}
	with := func(change func(*Run)) []Run {
		all := runs(5000, 5000, 5000)
		change(&all[2])
		return all
	}
	for _, tc := range []struct {
		name    string
		targets []Target
		runs    []Run
		want    bool
	}{
		{"the median reaches it", atLeast, runs(4000, 5000, 9000), true},
		{"the median doesn't, the mean would", atLeast, runs(4000, 4999, 9000), false},
		{"at most", []Target{{Figure: "messages", Bound: AtMost, Value: 50}}, runs(50, 51, 50), true},
		{"nothing was measured", atLeast, nil, false},
		{"a run failed", atLeast, with(func(r *Run) { r.Err = errors.New("no") }), false},
		{"the checker found a difference", atLeast, with(func(r *Run) { r.Problems = []string{"n"} }), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Case{Targets: tc.targets, Runs: tc.runs}
			if got := c.Met(); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestTheReportSaysWhatWasNotMet(t *testing.T) {
	failed := runs(1)
	failed[0].Err = errors.New("it broke")
	stalled := runs(10_000, 5061.5, 0.8349)
	stalled[1].Repeated, stalled[1].Stalled = 2, true
	stalled[2].Problems, stalled[2].Notes = []string{"the counter bp is 2"}, []string{"Redis used 50 %"}
	r := Report{
		Conditions: [][2]string{{"commit", "abc"}},
		Cases: []Case{
			{Name: "dispatch", What: "everything", Runs: runs(6000), Targets: []Target{{"messages", AtLeast, 5000}, {"of the bare worker", AtLeast, 0.8}}},
			{Name: "slow", What: "little", Runs: runs(4999), Targets: []Target{{"messages", AtLeast, 5000}}},
			{Name: "odd", What: "differing", Runs: stalled},
			{Name: "broken", What: "nothing", Runs: failed},
		},
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `# Benchmarks

Written by ` + "`make bench`" + `; [../bench](../bench) says how each figure is come by. Figures are medians of the runs.

| condition | |
|---|---|
| commit | abc |

| what | figure | to reach | median | each run | |
|---|---|---|---|---|---|
| **dispatch** everything | messages | ≥ 5000/s | 6000/s | 6000 | met |
|  | of the bare worker | ≥ 0.8 | not measured | – | **not met** |
|  | recount of all records | no difference | none | | met |
| **slow** little | messages | ≥ 5000/s | 4999/s | 4999 | **not met** |
|  | recount of all records | no difference | none | | met |
| **odd** differing | messages |  | 5062/s | 10000, 5062, 0.835 |  |
|  | recount and runs | no difference | | | **failed**, see below |
| **broken** nothing | messages |  | 1/s | 1 |  |
|  | recount and runs | no difference | | | **failed**, see below |

## dispatch

- Run 1: load 1.5.

## slow

- Run 1: load 1.5.

## odd

- Run 1: load 1.5.
- Run 2: load 1.5, repeated 2 times because the machine stood still for over 10 ms, **it stood still in the end too**.
- Run 3: load 1.5.
  - **Difference:** the counter bp is 2
  - Redis used 50 %

## broken

- Run 1: load 1.5.
  - **Failed:** it broke
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheMachineIsDescribed(t *testing.T) {
	var text strings.Builder
	for _, c := range Machine(t.Context()) {
		text.WriteString(c[0] + " " + c[1] + "\n")
	}
	for _, want := range []string{"cores for everything", "Go go1."} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q lacks %q", text.String(), want)
		}
	}
}
