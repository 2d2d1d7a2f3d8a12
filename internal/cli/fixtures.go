package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/fixture"
	"github.com/harkhq/hark/internal/listen"
	"github.com/harkhq/hark/internal/scenario"
)

type fixturesCmd struct {
	Remote
	File     string            `arg:"" help:"YAML or JSON with a list of steps, or a fixture file of the Stripe CLI; - for stdin."`
	To       string            `placeholder:"URL" help:"Send events to this URL, where their step does not say."`
	Source   string            `placeholder:"ID" help:"Or to this source of the server."`
	App      string            `short:"a" placeholder:"ID" help:"Or publish them as messages of this application."`
	Provider string            `placeholder:"NAME" help:"Whose events, where their step does not say. Default: whose name it is."`
	Secret   config.Secret     `env:"HARK_WEBHOOK_SECRET" placeholder:"SECRET" help:"What the provider signs with, where the file does not say; also HARK_WEBHOOK_SECRET_FILE."`
	APIBase  string            `name:"api-base" placeholder:"URL" help:"What the paths of requests are relative to, instead of what the file says."`
	Header   []string          `sep:"none" placeholder:"'NAME: VALUE'" help:"A header for the requests to that API, such as Authorization (repeatable)."`
	Env      map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A variable for $${env.NAME}; wins over the environment (repeatable)."`
	DryRun   bool              `help:"Show what would be sent, and send nothing."`
}

// Help is shown by hark fixtures --help.
func (fixturesCmd) Help() string {
	return `A step triggers an event or calls an API, and can use what the steps before it have come to. The steps run one
after the other; the first that does not come to what it expects ends the run with exit code 1. docs/fixtures.md
describes the file.

  steps:
    - name: order
      request: {method: POST, path: /orders, body: {loaves: 2}}
    - trigger: checkout.session.completed
      override: {data.object.client_reference_id: "${order.id}"}
    - request: GET /orders/${order.id}
      expect: {body: {state: paid}}
      retry: {for: 5s}

Examples:

  hark fixtures order.yaml --to http://localhost:3000/hook --secret whsec_… --api-base http://localhost:3000
  hark fixtures order.yaml --api-base http://localhost:3000                         (to hark dev)
  hark fixtures order.yaml --dry-run
  hark fixtures stripe.json --api-base http://localhost:12111 --header 'Authorization: Bearer sk_test_…'`
}

// Run runs the file's steps.
func (c *fixturesCmd) Run(ctx context.Context, sh *shell) error {
	header := http.Header{}
	for _, line := range c.Header {
		if !addHeader(header, line) {
			return usagef("--header 'Name: value'", "%q is no header", line)
		}
	}
	if c.APIBase != "" {
		base, err := listen.ParseTarget(c.APIBase)
		if err != nil {
			return usagef("--api-base http://localhost:3000", "%q is no URL of an API", c.APIBase)
		}
		c.APIBase = base.String()
	}
	s, err := c.read(sh)
	if err != nil {
		return err
	}
	if err := c.rehearse(sh, s); err != nil || c.DryRun {
		return err
	}
	runner := scenario.Runner{
		HTTP: newClient("", "").http, API: c.APIBase, Header: header, Now: time.Now,
		Env: func(name string) (string, bool) {
			if v, ok := c.Env[name]; ok {
				return v, true
			}
			return sh.lookupEnv(name)
		},
		Send: func(ctx context.Context, e scenario.Event) (scenario.Answer, error) { return c.send(ctx, sh, e) },
		Tell: func(r scenario.Report) { c.tell(sh, r) },
	}
	err = runner.Run(ctx, s)
	switch {
	case errors.Is(err, scenario.ErrUnreachable):
		return hintf(exitUnreachable, "is your server running there?", "%w", err)
	case errors.Is(err, scenario.ErrFile):
		return usagef("docs/fixtures.md, or --api-base URL", "%w", err)
	}
	return err
}

// read reads the file. What the flags say stands in for what the file leaves out.
func (c *fixturesCmd) read(sh *shell) (*scenario.Scenario, error) {
	from := sh.input()
	name := "stdin"
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, usagef("hark fixtures --help", "read steps: %w", err)
		}
		defer f.Close()
		from, name = io.Reader(f), c.File
	}
	s, err := scenario.Read(name, from)
	if err != nil {
		return nil, usagef("docs/fixtures.md", "%w", err)
	}
	if s.Stripe && c.APIBase == "" {
		return nil, usagef("--api-base http://localhost:12111", "%s is for Stripe's API: say which server stands in for it", name)
	}
	if c.To != "" || c.Source != "" || c.App != "" {
		s.To, s.Source, s.App = c.To, c.Source, c.App
	}
	if s.Provider == "" {
		s.Provider = c.Provider
	}
	if s.Secret == "" {
		s.Secret = strings.ReplaceAll(c.Secret.Reveal(), "${", "$${") // a secret is no reference
	}
	return s, nil
}

// rehearse makes every event without sending it, so that what is wrong with one shows before anything
// is sent; and shows what would be sent, if that is what was asked for.
func (c *fixturesCmd) rehearse(sh *shell, s *scenario.Scenario) error {
	for i := range s.Steps {
		step := &s.Steps[i]
		var d *fixture.Draft
		if step.Event != nil {
			e := s.Bound(*step.Event)
			t, err := c.trigger(e)
			if err == nil && !c.DryRun {
				err = t.check()
			}
			if err == nil && (e.Source == "" || e.Provider != "") { // else the server knows whose event it is
				d, err = t.draft(sh, time.Now())
			}
			if errors.Is(err, fixture.ErrPath) {
				err = usagef("add instead of override, or hark fixtures --dry-run with neither", "%w", err)
			}
			if err != nil {
				return &scenario.Error{File: s.File, Line: step.Line, Number: step.Number, Name: step.Name, Err: err}
			}
		}
		if c.DryRun {
			if err := c.show(sh, s, step, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// planned is what would be sent for a step, with its references as they stand in the file.
type planned struct {
	Step     int               `json:"step"`
	Name     string            `json:"name,omitempty"`
	Event    string            `json:"event,omitempty"`
	To       string            `json:"to,omitempty"`
	Method   string            `json:"method,omitempty"`
	URL      string            `json:"url,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"`
	Body     any               `json:"body,omitempty"`
	Document json.RawMessage   `json:"document,omitempty"`
}

func (c *fixturesCmd) show(sh *shell, s *scenario.Scenario, step *scenario.Step, d *fixture.Draft) error {
	p := planned{Step: step.Number, Name: step.Name, Headers: map[string]string{}}
	var header http.Header
	if r := step.Request; r != nil {
		p.Method, p.URL, header = r.Method, r.URL, r.Header
		if r.Path != "" {
			p.URL = strings.TrimSuffix(cmp.Or(r.Base, c.APIBase, s.API), "/") + r.Path
		}
		if r.Body != nil {
			p.Body = *r.Body
		} else if r.Form != nil {
			p.Body = *r.Form
		}
	} else {
		e := s.Bound(*step.Event)
		p.Event, p.To, header = e.Type, cmp.Or(e.To, e.Source, e.App), e.Header
		if d != nil {
			p.Document = d.Document
		}
	}
	for name, values := range header {
		p.Headers[name] = values[0]
	}
	if c.JSON {
		line, err := json.Marshal(p)
		sh.say("%s", line)
		return err
	}
	if p.Event != "" {
		sh.say("%s  trigger %s to %s", stepName(step), p.Event, printable(cmp.Or(p.To, "hark dev")))
	} else {
		sh.say("%s  %s %s", stepName(step), p.Method, printable(p.URL))
	}
	content := any(p.Document)
	if p.Document == nil {
		content = p.Body
	}
	if content == nil {
		return nil
	}
	text, err := json.MarshalIndent(content, "  ", "  ")
	sh.say("  %s", text)
	return err
}

func stepName(step *scenario.Step) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", step.Number, step.Name))
}

// trigger is the command that sends one event.
func (c *fixturesCmd) trigger(e scenario.Event) (*triggerCmd, error) {
	t := &triggerCmd{
		Remote: c.Remote, Event: e.Type, Provider: e.Provider, To: e.To, Source: e.Source, App: e.App,
		Secret: config.Secret(e.Secret), Remove: e.Remove, Count: 1,
	}
	for name, values := range e.Header {
		t.Header = append(t.Header, name+": "+values[0])
	}
	for _, list := range []struct {
		from []scenario.Change
		to   *[]string
	}{{e.Override, &t.Override}, {e.Add, &t.Add}} {
		for _, change := range list.from {
			text, err := json.Marshal(change.Value)
			if err != nil {
				return nil, fmt.Errorf("write %s: %w", change.Path, err)
			}
			*list.to = append(*list.to, change.Path+"="+string(text))
		}
	}
	return t, t.aim()
}

// draft makes the event once.
func (c *triggerCmd) draft(sh *shell, now time.Time) (*fixture.Draft, error) {
	next, err := c.maker(sh)
	if err != nil {
		return nil, err
	}
	return next(now)
}

// send sends the event of a step.
func (c *fixturesCmd) send(ctx context.Context, sh *shell, e scenario.Event) (scenario.Answer, error) {
	t, err := c.trigger(e)
	if err != nil {
		return scenario.Answer{}, err
	}
	if err := t.check(); err != nil {
		return scenario.Answer{}, err
	}
	send, err := t.destination(ctx, sh)
	if err != nil {
		return scenario.Answer{}, err
	}
	now := time.Now()
	d, err := t.draft(sh, now)
	if err != nil {
		return scenario.Answer{}, err
	}
	out, err := send(ctx, d, now)
	return scenario.Answer{
		Event: out.Event, ID: out.ID, Status: out.Status, Body: out.body, Document: d.Document, Took: out.Took,
	}, err
}

// tell writes the line of a step.
func (c *fixturesCmd) tell(sh *shell, r scenario.Report) {
	if c.JSON {
		failure := ""
		if r.Err != nil {
			failure = r.Err.Error()
		}
		sh.jsonLine(struct {
			Step         int     `json:"step"`
			Name         string  `json:"name,omitempty"`
			Event        string  `json:"event,omitempty"`
			ID           string  `json:"id,omitempty"`
			Method       string  `json:"method,omitempty"`
			URL          string  `json:"url,omitempty"`
			Status       int     `json:"status"`
			Tries        int     `json:"tries"`
			Milliseconds float64 `json:"ms"`
			OK           bool    `json:"ok"`
			Error        string  `json:"error,omitempty"`
		}{r.Step.Number, r.Step.Name, r.Event, r.ID, r.Method, r.URL, r.Status, r.Tries, float64(r.Took.Microseconds()) / 1000, r.Err == nil, failure})
		return
	}
	what := r.Method + " " + r.URL
	if r.Step.Event != nil {
		what = strings.TrimSpace(r.Step.Event.Type + " " + r.ID)
	}
	colour, status := green, fmt.Sprint(r.Status)
	if r.Err != nil {
		colour = red
	}
	if r.Status == 0 {
		status = "-"
	}
	tries := ""
	if r.Tries > 1 {
		tries = fmt.Sprintf("  after %d tries", r.Tries)
	}
	sh.say("%s  %s  %s  %s%s", stepName(r.Step), printable(what), sh.paint(colour, status), r.Took.Round(100*time.Microsecond), tries)
}
