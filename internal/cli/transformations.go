package cli

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type transformationsCmd struct {
	Get      transformationsGet      `cmd:"" default:"withargs" help:"Print an endpoint's transformation."`
	Set      transformationsSet      `cmd:"" help:"Change an endpoint's transformation."`
	Test     transformationsTest     `cmd:"" help:"Try a transformation on a message, without sending anything."`
	Versions transformationsVersions `cmd:"" help:"List what a transformation was, or print a version."`
	Rollback transformationsRollback `cmd:"" help:"Save an earlier version anew."`
	Logs     transformationsLogs     `cmd:"" help:"List runs that failed, canceled their delivery or wrote to the console."`
}

// Help is shown by hark transformations --help.
func (transformationsCmd) Help() string {
	return `A transformation is JavaScript that changes an endpoint's messages on their way:

  function handler(webhook) {
    webhook.payload.source = "hark";
    return webhook;
  }

Examples:

  hark transformations test ep_… --file handler.js --message msg_…
  hark transformations set ep_… --file handler.js --var TOKEN=abc
  hark transformations logs ep_…`
}

type transformationOut struct {
	Code      *string           `json:"code"`
	Enabled   bool              `json:"enabled"`
	Variables map[string]string `json:"variables"`
	UpdatedAt *time.Time        `json:"updatedAt"`
	Version   *int              `json:"version"`
}

func (t *transformationOut) state() string {
	switch {
	case t.Code == nil:
		return "there is none"
	case t.Enabled:
		return "enabled"
	}
	return "disabled"
}

type transformationsGet struct{ OneEndpoint }

// Help is shown by hark transformations get --help.
func (transformationsGet) Help() string {
	return `Only the code goes to stdout, so that it can be written to a file; --json also has the variables' values.

Example:

  hark transformations get ep_… > handler.js`
}

// Run prints an endpoint's transformation.
func (c *transformationsGet) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), path: "/transformation"}, func(t transformationOut) {
		if t.Code == nil {
			sh.note("There is no transformation (try: hark transformations set %s --file handler.js)", c.ID)
			return
		}
		sh.note("%s, version %s; variables: %s", t.state(), number(t.Version), join(slices.Sorted(maps.Keys(t.Variables)), "none"))
		sh.say("%s", strings.TrimSuffix(*t.Code, "\n"))
	})
}

type transformationsSet struct {
	OneEndpoint
	File    string            `short:"f" placeholder:"FILE" help:"The script; - for stdin. It is enabled at once, unless --no-enabled."`
	Var     map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A variable for the script (repeatable); the others stay."`
	DropVar []string          `placeholder:"NAME" help:"Take a variable away (repeatable)."`
	Enabled *bool             `negatable:"" help:"Let messages go through it, or not (--no-enabled)."`
	Clear   bool              `help:"Take code and variables away."`
}

// Help is shown by hark transformations set --help.
func (transformationsSet) Help() string {
	return `A script that does not compile, or throws before its handler is called, is refused. What is not named
stays as it is. The old code stays as a version.

Examples:

  hark transformations set ep_… --file handler.js --var TOKEN=abc
  hark transformations set ep_… --no-enabled`
}

// Run changes an endpoint's transformation.
func (c *transformationsSet) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.input(sh)
	if err != nil {
		return err
	}
	transformation := question{about: anEndpoint(c.ID), path: "/transformation"}
	if len(c.Var)+len(c.DropVar) > 0 {
		var before transformationOut
		if err := api.ask(ctx, transformation, &before); err != nil {
			return err
		}
		variables := map[string]string{}
		maps.Copy(variables, before.Variables)
		maps.Copy(variables, c.Var)
		for _, name := range c.DropVar {
			delete(variables, name)
		}
		in["variables"] = variables
	}
	if err := api.ask(ctx, question{about: anEndpoint(c.ID), path: "/transformation", method: http.MethodPatch, in: in}, nil); err != nil {
		return err
	}
	return answer(ctx, sh, api, c.JSON, transformation, func(t transformationOut) {
		sh.fields([][2]string{{"endpoint", c.ID}, {"transformation", t.state()}, {"version", number(t.Version)},
			{"variables", strings.Join(slices.Sorted(maps.Keys(t.Variables)), ", ")}})
	})
}

func (c *transformationsSet) input(sh *shell) (map[string]any, error) {
	in := map[string]any{}
	if c.Clear {
		in["code"], in["variables"], in["enabled"] = nil, nil, false
	}
	if c.File != "" {
		code, err := readScript(sh, c.File)
		if err != nil {
			return nil, err
		}
		in["code"], in["enabled"] = code, true
	}
	if c.Enabled != nil {
		in["enabled"] = *c.Enabled
	}
	if len(in)+len(c.Var)+len(c.DropVar) == 0 {
		return nil, usagef("--file handler.js", "there is nothing to change")
	}
	return in, nil
}

// readScript reads a script from a file, or from stdin.
func readScript(sh *shell, file string) (string, error) {
	from := "@" + file
	if file == "-" {
		from = "-"
	}
	text, err := readPayload(sh, from)
	if err != nil {
		return "", usagef("--file handler.js", "read the script: %w", err)
	}
	return string(text), nil
}

type transformationsVersions struct {
	OneEndpoint
	Show int `placeholder:"N" help:"Print the code of this version."`
}

// Help is shown by hark transformations versions --help.
func (transformationsVersions) Help() string {
	return "The newest 100 are kept.\n\nExamples:\n\n  hark transformations versions ep_…\n  hark transformations versions ep_… --show 3 > handler.js"
}

type versionOut struct {
	Version   int       `json:"version"`
	Hash      string    `json:"hash"`
	CreatedAt time.Time `json:"createdAt"`
	Code      string    `json:"code"`
}

// Run lists the versions of a transformation.
func (c *transformationsVersions) Run(ctx context.Context, sh *shell) error {
	if c.Show != 0 {
		return answer(ctx, sh, c, c.JSON, question{about: c.version(c.Show)}, func(v versionOut) {
			sh.say("%s", strings.TrimSuffix(v.Code, "\n"))
		})
	}
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), path: "/transformation/version"}, func(all struct {
		Data []versionOut `json:"data"`
	}) {
		t := newTable("VERSION", "SAVED", "SHA-256")
		for _, v := range all.Data {
			t.add(strconv.Itoa(v.Version), clock(v.CreatedAt), fmt.Sprintf("%.12s", v.Hash))
		}
		t.write(sh)
	})
}

// version is what a command that was asked for one says when there is none.
func (e OneEndpoint) version(n int) named {
	version := strconv.Itoa(n)
	return named{"version", version, "hark transformations versions " + e.ID, path("endpoint", e.ID, "transformation", "version", version)}
}

type transformationsRollback struct {
	OneEndpoint
	Version int `arg:"" help:"The version to save anew."`
}

// Help is shown by hark transformations rollback --help.
func (transformationsRollback) Help() string {
	return "It becomes a new version; whether it is enabled, and its variables, stay.\n\nExample:\n\n  hark transformations rollback ep_… 3"
}

// Run saves an earlier version anew.
func (c *transformationsRollback) Run(ctx context.Context, sh *shell) error {
	rollback := question{about: c.version(c.Version), path: "/rollback", method: http.MethodPost, in: map[string]any{}}
	return answer(ctx, sh, c, c.JSON, rollback, func(t transformationOut) {
		sh.fields([][2]string{{"endpoint", c.ID}, {"transformation", t.state()}, {"version", number(t.Version)}, {"code of version", strconv.Itoa(c.Version)}})
	})
}

type transformationsLogs struct {
	OneEndpoint
	Listing
}

// Help is shown by hark transformations logs --help.
func (transformationsLogs) Help() string {
	return `The newest 200 runs are kept, for seven days. Runs that went well and wrote nothing are not among them.

Example:

  hark transformations logs ep_…`
}

type consoleLine struct{ Level, Text string }

type executionOut struct {
	MsgID      string        `json:"msgId"`
	Version    int           `json:"version"`
	Outcome    string        `json:"outcome"`
	Error      *string       `json:"error"`
	Console    []consoleLine `json:"console"`
	DurationMs float64       `json:"durationMs"`
	Timestamp  time.Time     `json:"timestamp"`
}

// said is what a run left behind, in one line.
func (x *executionOut) said() string {
	var parts []string
	if x.Error != nil {
		parts = append(parts, *x.Error)
	}
	for _, l := range x.Console {
		parts = append(parts, l.Level+": "+l.Text)
	}
	return strings.Join(parts, " | ")
}

// Run lists what a transformation's runs left behind.
func (c *transformationsLogs) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{about: anEndpoint(c.ID), path: "/transformation/log"}, func(all []executionOut) *table {
		t := newTable("TIME", "OUTCOME", "VERSION", "MESSAGE", "TOOK", "SAID")
		for _, x := range all {
			t.add(clock(x.Timestamp), x.Outcome, strconv.Itoa(x.Version), x.MsgID, fmt.Sprintf("%.1f ms", x.DurationMs), x.said())
		}
		return t
	})
}
