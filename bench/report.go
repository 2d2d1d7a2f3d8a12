package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// report is what a scenario found.
type report struct {
	Scenario string             `json:"scenario"`
	About    string             `json:"about"`
	Runs     []*figures         `json:"runs,omitempty"`
	Values   map[string]float64 `json:"values,omitempty"`
	Targets  []target           `json:"targets,omitempty"`
	Error    string             `json:"error,omitempty"`
}

// target is a figure to reach.
type target struct {
	What  string  `json:"what"`
	Want  string  `json:"want"`
	Got   float64 `json:"got"`
	Unit  string  `json:"unit"`
	Holds bool    `json:"holds"`
}

func (r *report) atLeast(what string, want, got float64, unit string) {
	r.Targets = append(r.Targets, target{what, fmt.Sprintf("≥ %g", want), got, unit, got >= want})
}

func (r *report) atMost(what string, want, got float64, unit string) {
	r.Targets = append(r.Targets, target{what, fmt.Sprintf("≤ %g", want), got, unit, got <= want})
}

// print shows the report to a person, then as JSON.
func (r *report) print(w io.Writer) error {
	fmt.Fprintf(w, "\n── %s: %s\n", r.Scenario, r.About)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Runs {
		f.print(tw)
	}
	for _, line := range sortedValues(r.Values) {
		fmt.Fprintf(tw, "  %s\t%s\n", line.name, number(line.value))
	}
	for _, t := range r.Targets {
		fmt.Fprintf(tw, "  %s %s\t%s %s\t(target %s %s)\n", mark(t.Holds), t.What, number(t.Got), t.Unit, t.Want, t.Unit)
	}
	if r.Error != "" {
		fmt.Fprintf(tw, "  ✗ %s\n", r.Error)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "  json %s\n", b)
	return err
}

func (f *figures) print(w io.Writer) {
	fmt.Fprintf(w, "  %s\n", strings.ToUpper(f.Name))
	fmt.Fprintf(w, "    accepted\t%s/s\t%d messages\n", number(f.AcceptedPS), f.Messages)
	fmt.Fprintf(w, "    delivered\t%s/s\t%d deliveries, %d repeated, %d missing, drained in %.1f s\n", number(f.Delivered), f.Deliveries, f.Repeats, f.Missing, f.DrainTime)
	if f.Recorded > 0 {
		fmt.Fprintf(w, "    recorded\t%s/s\t%d attempts in the history\n", number(f.RecordedPS), f.Recorded)
	}
	if f.Refused+f.Errors > 0 {
		fmt.Fprintf(w, "    not accepted\t%d refused, %d unanswered\t%.120s\n", f.Refused, f.Errors, f.Sample)
	}
	fmt.Fprintf(w, "    acknowledge\t%v\n", f.Ack)
	fmt.Fprintf(w, "    publish→arrival\t%v\n", f.Arrival)
	fmt.Fprintf(w, "    CPU\t%.1f µs per message\tgenerator %.1f, sink %.1f µs per request; machine %.0f %% busy\n", f.ServerCPU, f.GenCPU, f.SinkCPU, 100*f.Busy)
	if d := f.Database; d != nil {
		fmt.Fprintf(w, "    PostgreSQL\t%.1f µs of CPU per message\t%.0f bytes of log, %.3f statements, %.3f commits, %.3f syncs per message\n", d.CPU, d.WAL, d.Statements, d.Commits, d.Syncs)
	}
	fmt.Fprintf(w, "    memory\t%d MB\tat most %d MB\n", f.RSS, f.PeakRSS)
	if f.Elsewhere > 0.05 {
		fmt.Fprintf(w, "    NOISE\t%.0f %% of the machine\twas busy with something else: these figures are too low\n", 100*f.Elsewhere)
	}
}

type namedValue struct {
	name  string
	value float64
}

func sortedValues(m map[string]float64) []namedValue {
	var out []namedValue
	for k, v := range m {
		out = append(out, namedValue{k, v})
	}
	slices.SortFunc(out, func(a, b namedValue) int { return strings.Compare(a.name, b.name) })
	return out
}

func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// number writes a figure with the digits that mean something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
