package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/harkhq/hark/internal/profile"
)

// readProfiles reads all profiles, and says what to do with a file that cannot be read.
func readProfiles(folder profile.Folder) (profile.Profiles, error) {
	all, err := folder.Read()
	if err != nil {
		return all, explainProfiles(folder, err)
	}
	return all, nil
}

// explainProfiles gives a failure to read or keep profiles its way on.
func explainProfiles(folder profile.Folder, err error) error {
	if _, ok := errors.AsType[*hintError](err); ok {
		return err
	}
	hint := "repair or remove " + folder.Path()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		hint = "a folder of yours as XDG_CONFIG_HOME"
	}
	return &hintError{err: err, code: exitFailed, hint: hint}
}

type logoutCmd struct {
	Name string `arg:"" optional:"" help:"The profile to forget. Default: the one in use."`
	JSON bool   `help:"Answer with JSON."`
}

// Help is shown by hark logout --help.
func (logoutCmd) Help() string {
	return `Forgets a server and its key on this machine. The key goes on working: hark keys revoke ends it.

Examples:

  hark logout
  hark logout staging`
}

// Run forgets a profile.
func (c *logoutCmd) Run(sh *shell) error {
	folder, err := profile.Find(sh.lookupEnv)
	if err != nil {
		return err
	}
	name := c.Name
	err = folder.Change(func(all *profile.Profiles) error {
		if name == "" {
			name = all.Use
		}
		if name == "" {
			return hintf(exitNotFound, "hark profiles, and hark logout NAME", "no profile is in use")
		}
		if _, ok := all.ByName[name]; !ok {
			return errNo("profile", name, "hark profiles")
		}
		delete(all.ByName, name)
		if all.Use == name {
			all.Use = ""
		}
		return nil
	})
	if err != nil {
		return explainProfiles(folder, err)
	}
	return sh.done(c.JSON, "forgotten", name)
}

type profilesCmd struct {
	List profilesList `cmd:"" default:"withargs" help:"List the servers that you are logged in to."`
	Use  profilesUse  `cmd:"" help:"Choose the one that commands talk to."`
}

// Help is shown by hark profiles --help.
func (profilesCmd) Help() string {
	return `A profile is a server and a key, kept by hark login under a name. --profile NAME or HARK_PROFILE chooses
one for a command; hark profiles use NAME for all that name none.

Examples:

  hark profiles
  hark profiles use staging
  hark messages --profile hooks.example.com`
}

type profilesList struct {
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark profiles list --help.
func (profilesList) Help() string { return "Example:\n\n  hark profiles list --json" }

// profileOut is a profile without its key.
type profileOut struct {
	Name        string `json:"name"`
	Server      string `json:"server"`
	Environment string `json:"environment"`
	Scope       string `json:"scope"`
	Application string `json:"applicationId"`
	InUse       bool   `json:"inUse"`
}

// Run lists profiles.
func (c *profilesList) Run(sh *shell) error {
	folder, err := profile.Find(sh.lookupEnv)
	if err != nil {
		return err
	}
	all, err := readProfiles(folder)
	if err != nil {
		return err
	}
	out := []profileOut{}
	for name, p := range all.ByName {
		out = append(out, profileOut{name, p.URL, p.Environment, p.Scope, p.Application, name == all.Use})
	}
	running, err := folder.AllRunning()
	if err != nil {
		return err
	}
	if _, ok := running[devProfile]; ok { // it goes before the one in use
		for i := range out {
			out[i].InUse = false
		}
	}
	for name, p := range running {
		out = append(out, profileOut{name, p.URL, p.Environment, p.Scope, p.Application, name == devProfile})
	}
	slices.SortFunc(out, func(a, b profileOut) int { return strings.Compare(a.Name, b.Name) })
	if c.JSON {
		return sh.json(out)
	}
	if len(out) == 0 {
		sh.note("No profiles yet (try: hark login URL)")
		return nil
	}
	t := newTable("NAME", "SERVER", "ENVIRONMENT", "SCOPE", "APPLICATION", "USE")
	for _, p := range out {
		use := ""
		if p.InUse {
			use = "in use"
		}
		t.add(p.Name, p.Server, p.Environment, p.Scope, join(list1(&p.Application), "all"), use)
	}
	t.write(sh)
	return nil
}

type profilesUse struct {
	Name string `arg:"" help:"The profile."`
	JSON bool   `help:"Answer with JSON."`
}

// Help is shown by hark profiles use --help.
func (profilesUse) Help() string { return "Example:\n\n  hark profiles use staging" }

// Run chooses the profile in use.
func (c *profilesUse) Run(sh *shell) error {
	folder, err := profile.Find(sh.lookupEnv)
	if err != nil {
		return err
	}
	err = folder.Change(func(all *profile.Profiles) error {
		if _, ok := all.ByName[c.Name]; !ok {
			return errNo("profile", c.Name, "hark profiles")
		}
		all.Use = c.Name
		return nil
	})
	if err != nil {
		return explainProfiles(folder, err)
	}
	return sh.done(c.JSON, "in use", c.Name)
}

type whoamiCmd struct{ Remote }

// Help is shown by hark whoami --help.
func (whoamiCmd) Help() string {
	return `Asks the server; a key is never shown.

Examples:

  hark whoami
  hark whoami --profile staging --json`
}

// Run asks the server about the key.
func (c *whoamiCmd) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	out := loggedIn{Server: api.base, Profile: api.via.profile}
	if err := api.do(ctx, http.MethodGet, whoAmIPath, nil, nil, &out.whoAmIOut); err != nil {
		return err
	}
	if c.JSON {
		return sh.json(out)
	}
	sh.fields([][2]string{
		{"server", out.Server}, {"key of", api.via.key}, {"key", strings.TrimSpace(text(out.KeyID) + " " + out.Name)},
		{"environment", out.Environment.Name}, {"scope", out.Scope}, {"application", join(list1(out.ApplicationID), "all")},
	})
	return nil
}
