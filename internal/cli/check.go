package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/check"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/listen"
)

type checkCmd struct {
	Target   string            `arg:"" name:"url" help:"The receiver's URL; 3000/hooks is one on this machine."`
	Provider string            `default:"standard-webhooks" placeholder:"NAME" help:"Whose scheme; hark verify --list names them. Default: standard-webhooks."`
	Secret   config.Secret     `env:"HARK_WEBHOOK_SECRET" placeholder:"SECRET" help:"The receiver's secret, as the provider shows it; also HARK_WEBHOOK_SECRET_FILE."`
	Param    map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"What else a provider needs, such as webhook_id; may be repeated."`
	Header   []string          `sep:"none" placeholder:"'NAME: VALUE'" help:"A header to send along; may be repeated."`
	Event    string            `placeholder:"TYPE" help:"The events' type. Default: hark.check."`
	Body     string            `placeholder:"JSON" help:"An event that the receiver knows, or @FILE; its id is made anew each time."`
	Only     []string          `placeholder:"NAMES" help:"Make these checks only, after the valid delivery."`
	Skip     []string          `placeholder:"NAMES" help:"Leave these checks out."`
	Timeout  time.Duration     `placeholder:"DURATION" help:"How long the sender waits for an answer. Default: the provider's limit, 15s if unknown."`
	JUnit    string            `name:"junit" placeholder:"FILE" help:"Write a JUnit report for CI; - for stdout."`
	JSON     bool              `help:"Answer with JSON."`
}

// Help is shown by hark check --help.
func (checkCmd) Help() string {
	return `Sends what a receiver meets in its life: valid, repeated, late, forged, large and slow deliveries,
to that URL and nowhere else. The events are signed, so the receiver acts on them: use one for tests.

Exit 0 when it is sound, 1 when it is not, 2 when the question makes no sense, 4 when nobody answers.

Checks: ` + strings.Join(check.Names(), ", ") + `

Examples:

  hark check http://localhost:3000/hooks --secret whsec_…
  hark check http://localhost:3000/hooks --secret s3cr3t --provider github --event push --body @push.json
  hark check http://localhost:3000/hooks --skip large-body,slow-body --junit report.xml`
}

// Run checks a receiver.
func (c *checkCmd) Run(ctx context.Context, sh *shell) error {
	o, err := c.options(sh)
	if err != nil {
		return err
	}
	plain := !c.JSON && c.JUnit != "-"
	if plain {
		o.Tell = func(v check.Verdict) { c.line(sh, v) }
	}
	report, err := check.Run(ctx, o)
	switch {
	case errors.Is(err, check.ErrUnreachable):
		return hintf(exitUnreachable, "start the receiver, or look at the URL", "%w", err)
	case errors.Is(err, check.ErrName):
		return usagef("hark check --help", "%w", err)
	case errors.Is(err, context.Canceled):
		return err
	case err != nil:
		return unusable(err)
	}
	if err := c.write(sh, report); err != nil {
		return err
	}
	if plain {
		sh.say("%s", summary(report))
	}
	if !report.Sound {
		return errSilent
	}
	return nil
}

// options are what the flags ask for.
func (c *checkCmd) options(sh *shell) (check.Options, error) {
	o := check.Options{
		Provider: c.Provider, Secret: c.Secret.Reveal(), Params: c.Param, Header: http.Header{},
		Event: c.Event, Only: c.Only, Skip: c.Skip, Timeout: c.Timeout,
	}
	target, err := listen.ParseTarget(c.Target)
	if err != nil {
		return o, usagef("hark check http://localhost:3000/hooks", "%q is no http or https URL", c.Target)
	}
	o.URL = target.String()
	if o.Secret == "" {
		return o, usagef("--secret SECRET, or HARK_WEBHOOK_SECRET", "there is no secret to sign with")
	}
	if c.JSON && c.JUnit == "-" {
		return o, usagef("--junit FILE", "--json and --junit - both want stdout")
	}
	for _, line := range c.Header {
		if !addHeader(o.Header, line) {
			return o, usagef("--header 'Name: value'", "%q is no header", line)
		}
	}
	if c.Body != "" {
		body, err := readPayload(sh, c.Body)
		if err != nil {
			return o, err
		}
		o.Body = body
	}
	return o, nil
}

// line prints one verdict.
func (c *checkCmd) line(sh *shell, v check.Verdict) {
	mark := map[check.Result]string{
		check.Pass: sh.paint(green, "✔"), check.Warn: sh.paint(yellow, "!"),
		check.Fail: sh.paint(red, "✗"), check.Skip: sh.paint(dim, "-"),
	}[v.Result]
	sh.say("%s %-20s %s", mark, v.Check, v.Means)
	if v.Result == check.Fail || v.Result == check.Warn {
		sh.say("  %-20s sent: %s; wanted: %s", "", v.Sends, v.Wants)
	}
}

// write gives the report to machines.
func (c *checkCmd) write(sh *shell, report check.Report) error {
	switch c.JUnit {
	case "":
	case "-":
		return report.WriteJUnit(sh.stdout)
	default:
		f, err := os.Create(c.JUnit)
		if err != nil {
			return usagef("--junit FILE", "write the report: %w", err)
		}
		if err := errors.Join(report.WriteJUnit(f), f.Close()); err != nil {
			return err
		}
	}
	if c.JSON {
		return sh.json(report)
	}
	return nil
}

// summary is the last line.
func summary(report check.Report) string {
	n := map[check.Result]int{}
	for _, v := range report.Verdicts {
		n[v.Result]++
	}
	text := "sound"
	if !report.Sound {
		text = "not sound"
	}
	text += ": " + fmt.Sprintf("%d %s", n[check.Pass], "passed")
	for _, kind := range []struct {
		result check.Result
		word   string
	}{{check.Fail, "failed"}, {check.Warn, "to look at"}, {check.Skip, "skipped"}} {
		if n[kind.result] > 0 {
			text += ", " + fmt.Sprintf("%d %s", n[kind.result], kind.word)
		}
	}
	return text
}
