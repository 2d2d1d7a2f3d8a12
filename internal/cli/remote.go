package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/profile"
)

// Remote says which server to ask, and as whom. What was typed comes first, then the environment, then
// the profile: of a hark dev that runs, or the one that is in use; at last a server on this machine.
type Remote struct {
	URL     string        `name:"server" env:"HARK_URL" placeholder:"URL" help:"The server. Default: the profile's, or http://127.0.0.1:8071."`
	APIKey  config.Secret `env:"HARK_API_KEY" placeholder:"KEY" help:"An API key; also HARK_API_KEY_FILE. Default: the profile's."`
	Profile string        `env:"HARK_PROFILE" placeholder:"NAME" help:"The server and the key of this profile (hark profiles)."`
	JSON    bool          `help:"Answer with JSON."`

	sh    *shell
	typed map[string]bool // the flags that stand on the command line
}

const (
	defaultURL = "http://127.0.0.1:8071"
	// devProfile is the name under which a running hark dev is found.
	devProfile = "dev"
)

// AfterApply is called when the flags are known, and tells what was typed from what the environment says.
func (r *Remote) AfterApply(sh *shell, kctx *kong.Context) error {
	r.sh, r.typed = sh, map[string]bool{}
	for _, p := range kctx.Path {
		if p.Flag != nil && !p.Resolved {
			r.typed[p.Flag.Name] = true
		}
	}
	return nil
}

// via is how a server was chosen: what there is to say when it does not answer, or knows no such key.
type via struct {
	profile string // whose URL it is; "" is none
	key     string // whose key it is: a profile's, in words, or the name of a variable
	app     string // the application of the profile, when the key is its
	dev     bool   // it is a hark dev that runs
}

// client finds the server and the key.
func (r Remote) client() (*client, error) {
	t, err := r.find()
	if err != nil {
		return nil, err
	}
	base, err := serverURL(t.url)
	if err != nil {
		return nil, err
	}
	if t.key == "" {
		if t.profile != "" { // it is for another server
			return nil, usagef("hark login "+base, "no API key for %s: the profile %s is for %s", base, t.profile, t.profileURL)
		}
		return nil, usagef("hark login "+base+", or export HARK_API_KEY=…, the key that `hark serve` printed on its first start", "no API key")
	}
	if t.other != "" {
		r.sh.note("hark dev is running, so this is about its server (--profile %s for the other)", t.other)
	}
	c := newClient(base, t.key)
	c.via = t.via
	return c, nil
}

// ask finds the server, and asks it.
func (r Remote) ask(ctx context.Context, q question, out any) error {
	api, err := r.client()
	if err != nil {
		return err
	}
	return api.ask(ctx, q, out)
}

// target is what a Remote comes to.
type target struct {
	via
	url, key   string
	profileURL string
	other      string           // the profile that would be in use if no hark dev ran
	sources    []profile.Source // of the profile, when the key is its
}

// find applies the order of precedence. A profile's key goes to the profile's server only.
func (r Remote) find() (target, error) {
	t := target{url: r.URL, key: r.APIKey.Reveal()}
	t.via.key = "HARK_API_KEY"
	if r.typed["api-key"] {
		t.via.key = "--api-key"
	}
	if r.typed["profile"] { // which is more than the environment says
		if !r.typed["server"] {
			t.url = ""
		}
		if !r.typed["api-key"] {
			t.key = ""
		}
	}
	if t.url != "" && t.key != "" {
		return t, nil
	}
	p, err := r.choose()
	if err != nil {
		return t, err
	}
	if p.name != "" {
		t.profile, t.profileURL = p.name, p.URL
		if t.url == "" {
			t.url = p.URL
		}
		if t.key == "" && sameServer(t.url, p.URL) {
			t.key, t.sources = p.Key.Reveal(), p.Sources
			t.dev, t.other = p.dev, p.other
			t.via.key, t.app = "the profile "+p.name, p.Application
		}
	}
	if t.url == "" {
		t.url = defaultURL
	}
	return t, nil
}

// chosen is a profile with how it was chosen.
type chosen struct {
	profile.Profile
	name  string // "" is none
	dev   bool   // a hark dev holds it
	other string // the one that is in use, when a hark dev's was chosen because it runs
}

// choose finds the profile that is meant.
func (r Remote) choose() (chosen, error) {
	folder, err := profile.Find(r.sh.lookupEnv)
	if errors.Is(err, profile.ErrNoHome) && r.Profile == "" {
		return chosen{}, nil // a service without a home has no profiles
	} else if err != nil {
		return chosen{}, err
	}
	if r.Profile != "" {
		return findProfile(folder, r.Profile)
	}
	p, running, err := folder.Running(devProfile)
	if err != nil {
		return chosen{}, err
	}
	all, err := readProfiles(folder)
	if err != nil {
		return chosen{}, err
	}
	if running {
		return chosen{p, devProfile, true, all.Use}, nil
	}
	p, ok := all.ByName[all.Use]
	if !ok {
		return chosen{}, nil
	}
	return chosen{p, all.Use, false, ""}, nil
}

// findProfile finds a profile by its name, one that is held before one that is kept.
func findProfile(folder profile.Folder, name string) (chosen, error) {
	if err := profile.CheckName(name); err != nil {
		return chosen{}, usagef("hark profiles", "%w", err)
	}
	p, running, err := folder.Running(name)
	if err != nil || running {
		return chosen{p, name, running, ""}, err
	}
	all, err := readProfiles(folder)
	if err != nil {
		return chosen{}, err
	}
	p, ok := all.ByName[name]
	switch {
	case !ok && name == devProfile:
		return chosen{}, hintf(exitNotFound, "hark dev", "no hark dev is running")
	case !ok:
		return chosen{}, hintf(exitNotFound, "hark profiles, or hark login URL --profile "+name, "no profile %q", name)
	}
	return chosen{p, name, false, ""}, nil
}

// serverURL is a server's URL in the form in which it is kept and compared.
func serverURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("hark --help", "%q is not a server's URL, which looks like %s", text, defaultURL)
	}
	u.Host = strings.ToLower(u.Host)
	return strings.TrimRight(u.String(), "/"), nil
}

func sameServer(a, b string) bool {
	first, err1 := serverURL(a)
	second, err2 := serverURL(b)
	return err1 == nil && err2 == nil && first == second
}

// elsewhere is what to try when the server is out of reach.
func (v via) elsewhere() string {
	if v.profile != "" && !v.dev {
		return "hark profiles, and --profile for another server"
	}
	return "hark serve, or set HARK_URL"
}

// explain says whose key it was that the server does not know, and what to do.
func (v via) explain(err error, base string) error {
	e, ok := errors.AsType[*apiError](err)
	if !ok || e.Status != http.StatusUnauthorized || v.key == "" {
		return err
	}
	hint := "another key: it may have been revoked, or have expired"
	if v.profile != "" && strings.HasPrefix(v.key, "the profile ") {
		hint = "hark login " + base + " --profile " + v.profile + " with a new key: this one was revoked or has expired"
	} else if v.key == "HARK_API_KEY" {
		hint = "another key, or unset HARK_API_KEY to use a profile"
	}
	return hintf(exitForbidden, hint, "%w; it came from %s, for %s", err, v.key, base)
}
