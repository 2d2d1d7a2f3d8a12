package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/profile"
)

type loginCmd struct {
	URL     string        `arg:"" help:"The server, such as https://hooks.example.com."`
	Profile string        `env:"HARK_PROFILE" placeholder:"NAME" help:"The name to keep it under. Default: the server's host."`
	APIKey  config.Secret `placeholder:"KEY" help:"The API key. Default: stdin; on a terminal it is asked for, and not shown."`
	JSON    bool          `help:"Answer with JSON."`
}

// Help is shown by hark login --help.
func (loginCmd) Help() string {
	return `Asks the server what the key opens and, when it opens something, keeps both as a profile that every
command then uses: no HARK_URL, no HARK_API_KEY. Profiles are in $XDG_CONFIG_HOME/hark/profiles.json
(else ~/.config/hark/profiles.json), which only you can read. Nothing else is sent anywhere.

Which server a command talks to: --server and --api-key, then --profile, then HARK_URL and
HARK_API_KEY, then HARK_PROFILE, then a hark dev that is running, then the profile in use.

Examples:

  hark login https://hooks.example.com
  hark login https://hooks.example.com --profile staging < key.txt
  hark keys create laptop --data ./hark-data | hark login http://127.0.0.1:8071`
}

// whoAmIOut is what the server says about a key.
type whoAmIOut struct {
	Environment struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"environment"`
	Scope         string  `json:"scope"`
	ApplicationID *string `json:"applicationId"`
	KeyID         *string `json:"keyId"`
	Name          string  `json:"name"`
}

// loggedIn is hark login's and hark whoami's answer.
type loggedIn struct {
	Server  string `json:"server"`
	Profile string `json:"profile"`
	whoAmIOut
}

const whoAmIPath = "/api/v1/auth/whoami"

// Run checks a key and keeps it.
func (c *loginCmd) Run(ctx context.Context, sh *shell) error {
	base, err := serverURL(c.URL)
	if err != nil {
		return usagef("hark login https://hooks.example.com", "%q is not a server's URL, which looks like https://hooks.example.com", c.URL)
	}
	name, err := c.name(base)
	if err != nil {
		return err
	}
	folder, err := profile.Find(sh.lookupEnv)
	if err != nil {
		return err
	}
	if u, err := url.Parse(base); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		sh.note("%s is not TLS: the key travels in the open.", base)
	}
	key, err := c.key(ctx, sh, base)
	if err != nil {
		return err
	}
	var who whoAmIOut
	if err := newClient(base, key).do(ctx, http.MethodGet, whoAmIPath, nil, nil, &who); err != nil {
		return refusedLogin(base, err)
	}
	if who.Environment.ID == "" {
		return hintf(exitFailed, "another URL", "%s does not answer like Hark; nothing was kept", base)
	}
	kept := profile.Profile{URL: base, Key: config.Secret(key), EnvironmentID: who.Environment.ID,
		Environment: who.Environment.Name, Scope: who.Scope, Application: text(who.ApplicationID)}
	if err := c.keep(folder, name, kept); err != nil {
		return explainProfiles(folder, err)
	}
	return c.tell(sh, folder, loggedIn{base, name, who})
}

// name is the name to keep a server under.
func (c *loginCmd) name(base string) (string, error) {
	name := c.Profile
	if name == "" {
		u, err := url.Parse(base)
		if err != nil {
			return "", fmt.Errorf("read URL: %w", err)
		}
		name = strings.NewReplacer("[", "", "]", "").Replace(u.Host)
	}
	if err := profile.CheckName(name); err != nil {
		return "", usagef("--profile staging", "%w", err)
	}
	if name == devProfile {
		return "", usagef("--profile of another name", "the profile %s is hark dev's", devProfile)
	}
	return name, nil
}

// maxKeyBytes is more than any token has.
const maxKeyBytes = 16 << 10

// key is the key that was given, piped, or typed where nobody sees it.
func (c *loginCmd) key(ctx context.Context, sh *shell, base string) (string, error) {
	given := c.APIKey.Reveal()
	if given == "" {
		var err error
		if f, ok := sh.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			given, err = sh.askHidden(ctx, f, "API key for "+base+" (it is not shown): ")
		} else {
			var text []byte
			text, err = io.ReadAll(io.LimitReader(sh.stdin, maxKeyBytes))
			given = string(text)
		}
		if err != nil {
			return "", fmt.Errorf("read key: %w", err)
		}
	}
	given = strings.TrimSpace(given)
	if given == "" {
		return "", usagef("--api-key KEY, or hark login "+base+" < key.txt", "no API key, and no terminal to ask for it")
	}
	if strings.ContainsFunc(given, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", usagef("the key alone, such as hark_live_…", "what was given is no API key: it has spaces or strange characters in it")
	}
	return given, nil
}

// askHidden asks for a line that is not shown. An interrupt ends it, and gives the terminal back as it was.
func (sh *shell) askHidden(ctx context.Context, tty *os.File, question string) (string, error) {
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(sh.stderr, question)
	defer fmt.Fprintln(sh.stderr)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // nothing can interrupt the reading of a terminal, so after an interrupt this ends with the process
		text, err := term.ReadPassword(int(tty.Fd()))
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return string(a.text), a.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(int(tty.Fd()), before))
	}
}

// refusedLogin says why nothing was kept.
func refusedLogin(base string, err error) error {
	e, ok := errors.AsType[*apiError](err)
	switch {
	case ok && e.Status == http.StatusUnauthorized:
		return hintf(exitForbidden, "a key that `hark keys` lists as active; an admin makes one with hark keys create NAME",
			"%s does not know this key; nothing was kept", base)
	case ok && e.Status == http.StatusNotFound:
		return hintf(exitFailed, "another URL", "%s does not answer like Hark; nothing was kept", base)
	}
	return err
}

// keep keeps the profile and makes it the one in use.
func (c *loginCmd) keep(folder profile.Folder, name string, p profile.Profile) error {
	return folder.Change(func(all *profile.Profiles) error {
		// A name that was not typed must not replace another environment's key, which nobody could show again.
		old, ok := all.ByName[name]
		if ok && c.Profile == "" && old.EnvironmentID != p.EnvironmentID {
			return hintf(exitFailed, "--profile "+name+"-"+p.Environment+", or --profile "+name+" to replace it",
				"the profile %s is for the environment %s, and this key is for %s; nothing was kept", name, old.Environment, p.Environment)
		}
		all.ByName[name], all.Use = p, name
		return nil
	})
}

// tell says what was kept, and what will come before it.
func (c *loginCmd) tell(sh *shell, folder profile.Folder, in loggedIn) error {
	if c.JSON {
		if err := sh.json(in); err != nil {
			return err
		}
	} else {
		opens := fmt.Sprintf("the environment %s, scope %s", printable(in.Environment.Name), printable(in.Scope))
		if in.ApplicationID != nil {
			opens += ", the application " + printable(*in.ApplicationID) + " only"
		}
		sh.say("Logged in to %s: %s.", in.Server, opens)
		sh.say("It is the profile %s, in %s, and in use.", in.Profile, folder.Path())
	}
	for _, name := range []string{"HARK_URL", "HARK_API_KEY"} {
		if sh.env(name) != "" {
			sh.note("%s is set, and comes before the profile (try: unset %s)", name, name)
		}
	}
	return nil
}
