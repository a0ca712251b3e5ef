// Package report says what a benchmark found: medians beside their targets,
// every run's own figures, and under which conditions. It judges nothing by any
// other measure than the target.
package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"sluice/bench/internal/measure"
)

// Figure is one thing that was measured.
type Figure struct {
	Name  string
	Unit  string // as written behind the value: "/s", " ms"; "x" for a ratio
	Value float64
}

func (f Figure) String() string { return number(f.Value) + f.Unit }

// Bound is which side of a target is good.
type Bound string

// The bounds.
const (
	AtLeast Bound = "≥"
	AtMost  Bound = "≤"
)

// Target is what a figure shall reach.
type Target struct {
	Figure string
	Bound  Bound
	Value  float64
}

// Met reports whether a value reaches the target.
func (t Target) Met(value float64) bool {
	if t.Bound == AtLeast {
		return value >= t.Value
	}
	return value <= t.Value
}

// Run is one measurement of a case.
type Run struct {
	Figures  []Figure
	Notes    []string // of what else was seen
	Problems []string // differences the checker found
	Err      error    // why there is nothing to see
	Repeated int      // runs thrown away before it, because the machine stood still
	Stalled  bool     // it did in this one too, and there was no more patience
	Load     float64  // average of the machine's last minute, as the run ended
}

// Case is a scenario with its runs.
type Case struct {
	Name    string
	What    string
	Targets []Target
	Runs    []Run
}

// Median is the middle of all runs that have the figure.
func (c *Case) Median(name string) (median Figure, ok bool) {
	var values []float64
	for _, r := range c.Runs {
		for _, f := range r.Figures {
			if f.Name == name {
				median, values = f, append(values, f.Value)
			}
		}
	}
	median.Value = measure.Median(values)
	return median, len(values) > 0
}

// Failed reports whether a run failed or the checker found a difference.
func (c *Case) Failed() bool {
	return slices.ContainsFunc(c.Runs, func(r Run) bool { return r.Err != nil || len(r.Problems) > 0 })
}

// Met reports whether every median reaches its target and nothing failed.
func (c *Case) Met() bool {
	return !c.Failed() && !slices.ContainsFunc(c.Targets, func(t Target) bool {
		median, ok := c.Median(t.Figure)
		return !ok || !t.Met(median.Value)
	})
}

// names lists the figures in the order in which they first came.
func (c *Case) names() []string {
	var names []string
	for _, r := range c.Runs {
		for _, f := range r.Figures {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// Report is all of it. Conditions are names and values in turn.
type Report struct {
	Conditions [][2]string
	Cases      []Case
}

// Write writes the report as Markdown.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench`; [../bench](../bench) says how each figure is come by. ")
	b.WriteString("Figures are medians of the runs.\n\n| condition | |\n|---|---|\n")
	for _, c := range r.Conditions {
		fmt.Fprintf(&b, "| %s | %s |\n", c[0], c[1])
	}
	b.WriteString("\n| what | figure | to reach | median | each run | |\n|---|---|---|---|---|---|\n")
	for i := range r.Cases {
		r.Cases[i].rows(&b)
	}
	for i := range r.Cases {
		r.Cases[i].details(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Case) rows(b *strings.Builder) {
	names := c.names()
	for _, t := range c.Targets {
		if !slices.Contains(names, t.Figure) {
			names = append(names, t.Figure)
		}
	}
	what := "**" + c.Name + "** " + c.What
	for _, name := range names {
		wanted, verdict := "", ""
		median, measured := c.Median(name)
		for _, t := range c.Targets {
			if t.Figure != name {
				continue
			}
			wanted = string(t.Bound) + " " + number(t.Value) + median.Unit
			verdict = "**not met**"
			if measured && t.Met(median.Value) {
				verdict = "met"
			}
		}
		shown := "not measured"
		if measured {
			shown = median.String()
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", what, name, wanted, shown, c.each(name), verdict)
		what = ""
	}
	switch {
	case c.Failed():
		fmt.Fprintf(b, "| %s | recount and runs | no difference | | | **failed**, see below |\n", what)
	case len(c.Runs) > 0:
		fmt.Fprintf(b, "| %s | recount of all records | no difference | none | | met |\n", what)
	}
}

// each is the figure in every run.
func (c *Case) each(name string) string {
	var all []string
	for _, r := range c.Runs {
		shown := "–"
		for _, f := range r.Figures {
			if f.Name == name {
				shown = number(f.Value)
			}
		}
		all = append(all, shown)
	}
	return strings.Join(all, ", ")
}

// details are what doesn't fit into a row: failures, stalls, load and notes.
func (c *Case) details(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n", c.Name)
	for i, r := range c.Runs {
		fmt.Fprintf(b, "- Run %d: load %s", i+1, number(r.Load))
		if r.Repeated > 0 {
			fmt.Fprintf(b, ", repeated %d times because the machine stood still for over 10 ms", r.Repeated)
		}
		if r.Stalled {
			b.WriteString(", **it stood still in the end too**")
		}
		b.WriteString(".\n")
		if r.Err != nil {
			fmt.Fprintf(b, "  - **Failed:** %v\n", r.Err)
		}
		for _, p := range r.Problems {
			fmt.Fprintf(b, "  - **Difference:** %s\n", p)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(b, "  - %s\n", n)
		}
	}
}

// number writes three digits that count, more where they stand before the point.
func number(v float64) string {
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
