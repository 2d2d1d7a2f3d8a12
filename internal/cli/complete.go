package cli

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/harkhq/hark/internal/config"
)

// completeCmd answers the shells' scripts (completion.go) with the names that the server knows.
type completeCmd struct {
	Kind string   `arg:"" enum:"applications,endpoints,consumers,sources,pollers" help:"What kind of thing is wanted."`
	Line []string `arg:"" optional:"" passthrough:"" help:"The command line so far, which may say whose."`
}

// Help is shown by hark complete --help.
func (completeCmd) Help() string {
	return `Example:

  hark complete endpoints endpoints show --app shop`
}

// completeIn is how long somebody waits for a key that they have pressed.
const completeIn = time.Second

// Run prints uids, or ids where there are none. What goes wrong is nothing to say in the middle of a line.
func (c *completeCmd) Run(ctx context.Context, sh *shell) error {
	ctx, cancel := context.WithTimeout(ctx, completeIn)
	defer cancel()
	in := c.remote(sh)
	where := map[string]struct {
		from asker
		path string
	}{
		"applications": {in.Remote, "/app"}, "sources": {in.Remote, "/source"},
		"endpoints": {in, "/endpoint"}, "consumers": {in, "/consumer"}, "pollers": {in, "/api-poller"},
	}[c.Kind]
	all, err := list[struct {
		ID  string  `json:"id"`
		UID *string `json:"uid"`
	}](ctx, where.from, question{path: where.path}, Listing{Limit: pageSize}, &progress{})
	if err != nil {
		return nil
	}
	for _, one := range all.Data {
		if text(one.UID) != "" {
			sh.say("%s", *one.UID)
		} else {
			sh.say("%s", one.ID)
		}
	}
	return nil
}

// remote is the server and the application that the command line names, or the environment, or the profile.
func (c *completeCmd) remote(sh *shell) InApp {
	quiet := *sh
	quiet.stderr = io.Discard
	in := InApp{App: sh.env("HARK_APP"), Remote: Remote{
		URL: sh.env("HARK_URL"), APIKey: config.Secret(sh.env("HARK_API_KEY")), Profile: sh.env("HARK_PROFILE"), sh: &quiet, typed: map[string]bool{},
	}}
	for i, flag := range c.Line {
		flag, value, found := strings.Cut(flag, "=")
		for at := i + 1; !found && at < len(c.Line); at++ {
			value, found = c.Line[at], c.Line[at] != "=" // bash takes --app=x for three words
		}
		switch {
		case !found || value == "":
		case flag == "--server":
			in.URL, in.typed["server"] = value, true
		case flag == "--api-key":
			in.APIKey, in.typed["api-key"] = config.Secret(value), true
		case flag == "--profile":
			in.Profile, in.typed["profile"] = value, true
		case flag == "--app", flag == "-a":
			in.App = value
		}
	}
	return in
}

// kindOfFlag is what kind of thing of the server a flag names; "" is none.
func kindOfFlag(f *kong.Flag) string {
	return map[string]string{"app": "applications", "source": "sources", "endpoint": "endpoints"}[f.Name]
}

// kindOfArg is what kind of thing of the server the argument of a command names; "" is none.
func kindOfArg(path, name string) string {
	if name == "consumer" || name == "source" {
		return name + "s"
	}
	if name != "id" {
		return ""
	}
	command, _, _ := strings.Cut(path, " ")
	return map[string]string{"applications": "applications", "endpoints": "endpoints", "transformations": "endpoints",
		"sources": "sources", "consumers": "consumers", "pollers": "pollers"}[command]
}
