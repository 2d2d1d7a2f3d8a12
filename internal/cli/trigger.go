package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/fixture"
	"github.com/harkhq/hark/webhook"
)

type triggerCmd struct {
	Remote
	Event    string        `arg:"" optional:"" help:"What happened, such as payment_intent.succeeded."`
	To       string        `placeholder:"URL" help:"Send it to this URL, or 3000/hook on this machine, signed as the provider signs."`
	Source   string        `placeholder:"ID" help:"Send it to this source of the server, signed as the provider signs."`
	App      string        `short:"a" placeholder:"ID" help:"Publish it as a message of this application."`
	Provider string        `placeholder:"NAME" help:"Whose event. Default: whose name it is, or the source's."`
	Secret   config.Secret `env:"HARK_WEBHOOK_SECRET" placeholder:"SECRET" help:"What the provider signs with; also HARK_WEBHOOK_SECRET_FILE."`
	Override []string      `sep:"none" placeholder:"PATH=VALUE" help:"Change what is there, such as data.object.amount=100 (repeatable)."`
	Add      []string      `sep:"none" placeholder:"PATH=VALUE" help:"Add what is not there; at the end of a list, append (repeatable)."`
	Remove   []string      `sep:"none" placeholder:"PATH" help:"Take away what is there (repeatable)."`
	Header   []string      `sep:"none" placeholder:"'NAME: VALUE'" help:"One more header, or another value (repeatable)."`
	Raw      string        `placeholder:"JSON" help:"This body instead, as it is; - for stdin; @FILE for a file."`
	Edit     bool          `help:"Open the event in $$EDITOR first."`
	Count    int           `short:"n" default:"1" placeholder:"N" help:"Send it N times, each with fresh ids. Default: 1."`
	Rate     float64       `placeholder:"N" help:"N per second. Default: one after the other."`
	List     bool          `help:"List the events."`
}

// Help is shown by hark trigger --help.
func (triggerCmd) Help() string {
	return `The events have their providers' documented shapes, fresh ids and the time of now. A value is JSON, or
text where it is not. What --raw and --edit give is sent as it is, also when it is sent more than once.
Without --to, --source and --app it goes to the hark dev that runs. Exits 1 when an answer was not 2xx.

Examples:

  hark trigger --list --provider github
  hark trigger checkout.session.completed                              (to hark dev)
  hark trigger payment_intent.succeeded --to http://localhost:3000/hook --secret whsec_…
  hark trigger push --to http://localhost:3000/hook --secret s3cr3t --override ref=refs/heads/next
  hark trigger orders/create --source src_… --secret … --count 100 --rate 20
  hark trigger invoice.paid --app bakery --edit
  hark trigger loaf.baked --provider standard-webhooks --to http://localhost:3000/hook --secret whsec_…`
}

// Run triggers an event.
func (c *triggerCmd) Run(ctx context.Context, sh *shell) error {
	if c.List {
		return c.list(sh)
	}
	if err := c.aim(); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	send, err := c.destination(ctx, sh)
	if err != nil {
		return err
	}
	next, err := c.maker(sh)
	if err != nil {
		return err
	}
	shots := volley{sh: sh, asJSON: c.JSON, total: c.Count, rate: c.Rate}
	return shots.fire(ctx, func(ctx context.Context) (shot, error) {
		now := time.Now()
		d, err := next(now)
		if err != nil {
			return shot{}, err
		}
		return send(ctx, d, now)
	})
}

// aim sends to a hark dev that runs what was aimed at nothing: to the source that takes the provider's
// webhooks, where there is one, so that they arrive as the provider sends them.
//
// Its own sources' secret is known, and that of no other.
func (c *triggerCmd) aim() error {
	if c.Event == "" || c.To != "" || c.App != "" || c.Source != "" && c.Secret != "" {
		return nil
	}
	t, err := c.find()
	if err != nil || !t.dev {
		return err
	}
	if c.Source != "" {
		for _, s := range t.sources {
			if c.Source == s.ID || c.Source == devSource(s.Provider) {
				c.Secret = s.Secret
			}
		}
		return nil
	}
	provider := c.Provider
	if provider == "" {
		if name, err := fixture.Find("", c.Event); err == nil {
			provider = name.Provider
		}
	}
	for _, s := range t.sources {
		if s.Provider == provider {
			c.Source, c.Secret = s.ID, s.Secret
			return nil
		}
	}
	c.App = t.app
	return nil
}

// check looks at the flags alone.
func (c *triggerCmd) check() error {
	if c.Event == "" {
		return usagef("hark trigger --list", "which event?")
	}
	var given []string
	for _, to := range []struct{ flag, value string }{{"--to", c.To}, {"--source", c.Source}, {"--app", c.App}} {
		if to.value != "" {
			given = append(given, to.flag)
		}
	}
	switch {
	case len(given) > 1:
		return usagef("one of them", "%s: an event goes to one place", strings.Join(given, " and "))
	case len(given) == 0:
		return usagef("--to http://localhost:3000/hook, --source ID or --app ID; or start hark dev",
			"where to? One of --to, --source and --app is needed; without them it goes to a hark dev, where HARK_URL and HARK_API_KEY are not set")
	case c.App == "" && c.Secret == "":
		return usagef("--secret SECRET, or HARK_WEBHOOK_SECRET", "there is no secret to sign with")
	case c.Raw != "" && len(c.Override)+len(c.Add)+len(c.Remove) > 0:
		return usagef("--raw alone, or with --edit", "--raw is sent as it is, so there is nothing to override, add or remove")
	case c.Count < 1:
		return usagef("--count 10", "--count must be 1 or more, not %d", c.Count)
	case c.Rate < 0:
		return usagef("--rate 10", "--rate must be more than 0, not %g", c.Rate)
	}
	return nil
}

// list names the fixtures.
func (c *triggerCmd) list(sh *shell) error {
	all, err := fixture.List()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(n fixture.Name) bool { return c.Provider != "" && n.Provider != c.Provider })
	if c.JSON {
		return sh.json(all)
	}
	if len(all) == 0 {
		return hintf(exitNotFound, "hark trigger --list", "there are no events of %s", c.Provider)
	}
	t := newTable("EVENT", "PROVIDER")
	for _, n := range all {
		t.add(n.Event, n.Provider)
	}
	t.write(sh)
	return nil
}

// maker is what makes each event: fresh from the fixture and changed, or the one that was given or edited.
func (c *triggerCmd) maker(sh *shell) (func(time.Time) (*fixture.Draft, error), error) {
	name, err := fixture.Find(c.Provider, c.Event)
	if err != nil && (c.Raw == "" || (c.Provider == "" && c.App == "")) {
		return nil, c.unknown(err)
	}
	custom := err != nil
	var fixed, edited []byte
	if c.Raw != "" {
		if fixed, err = readPayload(sh, c.Raw); err != nil {
			return nil, err
		}
	}
	draft := func(now time.Time) (*fixture.Draft, error) {
		d := &fixture.Draft{Name: fixture.Name{Provider: c.Provider, Event: c.Event}, Header: http.Header{"Content-Type": {"application/json"}}}
		if !custom {
			var err error
			if d, err = name.Make(now); err != nil {
				return nil, err
			}
		}
		d.Raw = fixed
		if edited != nil {
			d.Document = edited
		}
		for _, line := range c.Header {
			extra := http.Header{}
			if !addHeader(extra, line) {
				return nil, usagef("--header 'Name: value'", "%q is no header", line)
			}
			for name, values := range extra {
				d.Header[name] = values
			}
		}
		return d, c.change(d)
	}
	d, err := draft(time.Now()) // what is wrong with the flags shows before anything is sent
	if err != nil || !c.Edit {
		return draft, err
	}
	if fixed != nil {
		fixed, err = sh.edit(fixed)
		return draft, err
	}
	if edited, err = sh.edit(indented(d.Document)); err != nil {
		return nil, err
	}
	c.Override, c.Add, c.Remove = nil, nil, nil // they are in what was edited
	return draft, nil
}

// change makes the changes that the flags ask for.
func (c *triggerCmd) change(d *fixture.Draft) error {
	for _, change := range []struct {
		flag  string
		pairs []string
		do    func(path, value string) error
	}{
		{"override", c.Override, d.Override},
		{"add", c.Add, d.Add},
		{"remove", c.Remove, func(path, _ string) error { return d.Remove(path) }},
	} {
		for _, pair := range change.pairs {
			path, value, ok := strings.Cut(pair, "=")
			if !ok && change.flag != "remove" {
				return usagef("--"+change.flag+" data.object.amount=100", "--%s %s has no value", change.flag, pair)
			}
			err := change.do(path, value)
			if errors.Is(err, fixture.ErrPath) && change.flag == "override" {
				return usagef("--add "+pair+", or --edit to see the event", "%w", err)
			}
			if err != nil {
				return usagef("--edit to see the event", "%w", err)
			}
		}
	}
	return nil
}

// unknown says which events were perhaps meant.
func (c *triggerCmd) unknown(err error) error {
	if !errors.Is(err, fixture.ErrUnknown) {
		return err
	}
	near, err := fixture.Nearest(c.Provider, c.Event, 5)
	if err != nil {
		return err
	}
	hint := "hark trigger --list, or --provider standard-webhooks for a type of your own"
	if len(near) > 0 {
		var names []string
		for _, n := range near {
			names = append(names, n.Event)
		}
		hint = strings.Join(names, ", ")
	} else if c.Provider != "" {
		hint = "--raw JSON, with --header where " + c.Provider + " says the type in a header"
	}
	return hintf(exitNotFound, hint, "no event %q", strings.TrimSpace(c.Provider+" "+c.Event))
}

// indented is JSON for people.
func indented(text []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return text
	}
	return append(b.Bytes(), '\n')
}

// edit opens a text in the person's editor and answers what it has become.
func (sh *shell) edit(text []byte) ([]byte, error) {
	editor := sh.env("VISUAL")
	if editor == "" {
		editor = sh.env("EDITOR")
	}
	if editor == "" {
		return nil, usagef("export EDITOR=nano", "--edit needs an editor, and neither VISUAL nor EDITOR is set")
	}
	f, err := os.CreateTemp("", "hark-*.json")
	if err != nil {
		return nil, fmt.Errorf("make a file to edit: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("write the file to edit: %w", err)
	}
	words := strings.Fields(editor) // "code --wait"
	cmd := exec.Command(words[0], append(words[1:], f.Name())...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = sh.stdin, sh.stderr, sh.stderr
	if err := cmd.Run(); err != nil {
		return nil, hintf(exitFailed, "EDITOR=nano", "nothing was sent, for %s failed: %w", editor, err)
	}
	edited, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, fmt.Errorf("read what was edited: %w", err)
	}
	return edited, nil
}

// signer signs as a provider, and its twin reads the id and type of what was signed.
func (c *triggerCmd) signer(provider string) (*webhook.Signer, *webhook.Verifier, error) {
	o := webhook.Options{Secrets: []string{c.Secret.Reveal()}}
	s, err := webhook.NewSigner(provider, o)
	if err != nil {
		return nil, nil, unusable(err)
	}
	v, err := webhook.NewVerifier(provider, o)
	if err != nil {
		return nil, nil, unusable(err)
	}
	return s, v, nil
}
