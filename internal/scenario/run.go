package scenario

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Answer is what a step has come to.
type Answer struct {
	Event, ID   string // of an event
	Method, URL string // of a request
	Status      int
	Body        []byte
	Document    []byte // the event that was sent
	Took        time.Duration
}

// Report tells of one step.
type Report struct {
	Step *Step
	Answer
	Tries int
	Err   error
}

// Runner runs scenarios. HTTP, Now and Send must be set.
type Runner struct {
	Send   func(context.Context, Event) (Answer, error)
	HTTP   *http.Client // must not follow redirects: a step is told of them
	API    string       // wins over the scenario's
	Header http.Header  // for calls below API, and no others
	Env    func(string) (string, bool)
	Now    func() time.Time
	Tell   func(Report) // hears of each step; may be nil
}

// Run runs the steps one after the other, and ends with the first that does not come to what it expects.
// What can be known to be missing is said before anything is sent.
func (r *Runner) Run(ctx context.Context, s *Scenario) error {
	if err := r.check(s); err != nil {
		return err
	}
	known := map[string]any{}
	for i := range s.Steps {
		step := &s.Steps[i]
		if err := sleep(ctx, step.Wait); err != nil {
			return err
		}
		report := Report{Step: step}
		fill := &filler{now: r.Now(), env: r.lookupEnv(s), known: known}
		if step.Event != nil {
			r.sendEvent(ctx, s, fill, &report)
		} else {
			r.call(ctx, s, fill, &report)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.Tell != nil {
			r.Tell(report)
		}
		if report.Err != nil {
			return s.at(step, report.Err)
		}
		if step.Name != "" {
			known[step.Name] = came(report)
		}
	}
	return nil
}

// check looks for variables that are not set, and for paths of no API.
func (r *Runner) check(s *Scenario) error {
	fill := &filler{env: r.lookupEnv(s)}
	for i := range s.Steps {
		step := &s.Steps[i]
		values := step.values()
		if q := step.Request; q != nil && q.Path != "" && q.Base == "" && r.API == "" {
			if s.API == "" {
				return s.at(step, noAPI(q))
			}
			values = append(values, s.API)
		}
		if step.Event != nil {
			e := s.Bound(*step.Event)
			values = append(values, e.To, e.Source, e.App, e.Secret)
		}
		for _, v := range values {
			if err := fill.checkVariables(v); err != nil {
				return s.at(step, err)
			}
		}
	}
	return nil
}

// came is what later steps can refer to: the answer of a request, or the event itself.
func came(report Report) any {
	text := report.Body
	if report.Step.Event != nil {
		text = report.Document
	}
	if v, err := decode(text); err == nil {
		return v
	}
	return strings.TrimSpace(string(text))
}

func (r *Runner) lookupEnv(s *Scenario) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if v, ok := r.Env(name); ok {
			return v, true
		}
		v, ok := s.Env[name]
		return v, ok
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// sendEvent sends the event of a step.
func (r *Runner) sendEvent(ctx context.Context, s *Scenario, fill *filler, report *Report) {
	step := report.Step
	event, err := s.event(step.Event, fill)
	if err == nil {
		report.Tries = 1
		report.Answer, err = r.Send(ctx, event)
	}
	if err == nil {
		err = step.judge(&report.Answer, fill)
	}
	report.Err = err
}

// Bound is an event with the scenario's destination, provider and secret where it has none.
func (s *Scenario) Bound(e Event) Event {
	if e.To == "" && e.Source == "" && e.App == "" {
		e.To, e.Source, e.App = s.To, s.Source, s.App
	}
	if e.Provider == "" {
		e.Provider = s.Provider
	}
	if e.Secret == "" {
		e.Secret = s.Secret
	}
	return e
}

// event is a step's event with its references filled in.
func (s *Scenario) event(e *Event, fill *filler) (Event, error) {
	out := s.Bound(*e)
	var err error
	for _, text := range []*string{&out.To, &out.Source, &out.App, &out.Secret} {
		if *text, err = fill.text(*text); err != nil {
			return out, err
		}
	}
	if out.Header, err = fill.header(e.Header); err != nil {
		return out, err
	}
	for _, changes := range []*[]Change{&out.Override, &out.Add} {
		filled := make([]Change, len(*changes))
		for i, c := range *changes {
			if filled[i].Value, err = fill.fill(c.Value); err != nil {
				return out, err
			}
			filled[i].Path = c.Path
		}
		*changes = filled
	}
	return out, nil
}

func (f *filler) header(h http.Header) (http.Header, error) {
	filled := make(http.Header, len(h))
	for name, values := range h {
		text, err := f.text(values[0])
		if err != nil {
			return nil, err
		}
		filled.Set(name, text)
	}
	return filled, nil
}

// judge compares an answer with what the step expects.
func (s *Step) judge(a *Answer, fill *filler) error {
	var want *any
	if s.Expect.Body != nil {
		filled, err := fill.fill(*s.Expect.Body)
		if err != nil {
			return err
		}
		want = &filled
	}
	return s.Expect.check(a.Status, a.Body, want)
}
