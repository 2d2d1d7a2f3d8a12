package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/fixture"
	"github.com/harkhq/hark/internal/profile"
	"github.com/harkhq/hark/webhook"
)

type devCmd struct {
	Port    int    `placeholder:"PORT" help:"The server's port on 127.0.0.1. Default: 8071, or a free one where that is taken."`
	Data    string `type:"path" placeholder:"DIR" help:"Keep everything in this folder, and go on with what is in it. Default: a folder that is removed at the end."`
	Profile string `default:"dev" placeholder:"NAME" help:"The name under which other commands find it. Default: dev, which they use by themselves."`
}

// Help is shown by hark dev --help.
func (devCmd) Help() string {
	return `A server for a laptop: nothing to set up, no keys to copy, and it delivers to localhost. While it runs,
the other commands use it, as the profile dev, and hark trigger sends to it: the events of Stripe, GitHub,
Shopify and Slack arrive with the provider's own headers and signature. They are signed with one secret,
which stays the same on this machine.

Examples:

  hark dev
  hark dev --data ./dev                                    (URLs and messages stay)
  hark endpoints create http://localhost:4242/webhook      (in another terminal)
  hark trigger payment_intent.succeeded`
}

// dev is a server with what a person needs to try a handler.
type dev struct {
	sh     *shell
	local  *local
	secret config.Secret // signs everything
	inbox  string        // a URL that takes anything

	profile profile.Profile
	cleanup []func() error
}

// devApp is the uid of the application that everything belongs to.
const devApp = "dev"

// Run runs the server, and listens.
func (c *devCmd) Run(ctx context.Context, sh *shell) (err error) {
	d := &dev{sh: sh}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx, c); err != nil {
		return err
	}
	d.invite(c)
	select {
	case <-ctx.Done():
		return nil
	case <-d.local.ended: // close says why
		return nil
	}
}

// open starts the server, fills it and tells other commands of it.
func (d *dev) open(ctx context.Context, c *devCmd) error {
	folder, err := profile.Find(d.sh.lookupEnv)
	homeless := errors.Is(err, profile.ErrNoHome)
	if !homeless {
		if err := freeProfile(folder, c.Profile); err != nil {
			return err
		}
	}
	if err := d.start(ctx, c); err != nil {
		return err
	}
	d.secret = config.Secret(webhook.GenerateKey().Text())
	if !homeless {
		if d.secret, err = folder.Secret(func() string { return webhook.GenerateKey().Text() }); err != nil {
			return explainProfiles(folder, err)
		}
	}
	if err := d.furnish(ctx); err != nil {
		return fmt.Errorf("set up the server: %w", err)
	}
	if homeless {
		d.sh.note("There is no home to keep a profile in, so other commands need:")
		d.sh.note("  export HARK_URL=%s HARK_API_KEY=%s HARK_APP=%s", d.profile.URL, d.local.key, devApp)
		return nil
	}
	held, err := folder.Hold(c.Profile, d.profile)
	if errors.Is(err, profile.ErrHeld) {
		return freeProfile(folder, c.Profile) // somebody was quicker
	} else if err != nil {
		return explainProfiles(folder, err)
	}
	d.cleanup = append(d.cleanup, held.Release)
	return nil
}

// freeProfile says what is in the way of a profile's name.
func freeProfile(folder profile.Folder, name string) error {
	if err := profile.CheckName(name); err != nil {
		return usagef("--profile shop", "%w", err)
	}
	p, running, err := folder.Running(name)
	if err != nil {
		return err
	}
	if running {
		return hintf(exitFailed, "--profile shop for another beside it, and hark trigger --profile shop",
			"hark dev is running already, at %s", p.URL)
	}
	all, err := readProfiles(folder)
	if err != nil {
		return err
	}
	if _, ok := all.ByName[name]; ok {
		return usagef("another --profile", "the profile %s is that of a server which you are logged in to", name)
	}
	return nil
}

// start starts the server.
func (d *dev) start(ctx context.Context, c *devCmd) error {
	dir := c.Data
	if dir == "" {
		temporary, err := os.MkdirTemp("", "hark-dev-")
		if err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		dir = temporary
		d.cleanup = append(d.cleanup, func() error { return os.RemoveAll(dir) })
	}
	port := c.Port
	if port == 0 {
		port = devPort
	}
	conf := config.Config{Data: dir, Addr: fmt.Sprintf("127.0.0.1:%d", port), AllowPrivateEndpoints: true, Drain: time.Second}
	var err error
	d.local, err = startLocal(ctx, conf)
	if c.Port == 0 && errors.Is(err, syscall.EADDRINUSE) {
		conf.Addr = "127.0.0.1:0"
		d.local, err = startLocal(ctx, conf)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return hintf(exitFailed, "another --port, or none for a free one", "port %d is taken", port)
	case err != nil:
		return err
	}
	d.cleanup = append(d.cleanup, d.local.close)
	return nil
}

// devPort is hark serve's.
const devPort = 8071

// furnish makes the application and its sources, and the profile that finds them.
func (d *dev) furnish(ctx context.Context) error {
	app := map[string]any{"name": "Development", "uid": devApp}
	if err := d.local.api.do(ctx, http.MethodPut, "/api/v1/app/"+devApp, nil, app, nil); err != nil {
		return err
	}
	d.profile = profile.Profile{URL: d.local.server.URL(), Key: config.Secret(d.local.key), Environment: d.local.server.Environments().Live.Name,
		EnvironmentID: string(d.local.server.Environments().Live.ID), Scope: "admin", Application: devApp}
	inbox, err := d.source(ctx, "inbox", map[string]any{"name": "Anything", "unverified": true})
	if err != nil {
		return err
	}
	d.inbox = text(inbox.URL)
	names, err := fixture.List()
	if err != nil {
		return err
	}
	var providers []string
	for _, n := range names {
		// What Hark itself signs is Standard Webhooks: as a message it is that once, and through a source twice.
		if n.Provider != webhook.StandardWebhooks && !slices.Contains(providers, n.Provider) {
			providers = append(providers, n.Provider)
		}
	}
	for _, provider := range providers {
		s, err := d.source(ctx, provider, map[string]any{"provider": provider, "secret": d.secret.Reveal()})
		if err != nil {
			return err
		}
		d.profile.Sources = append(d.profile.Sources, profile.Source{ID: s.ID, Provider: provider, Secret: d.secret})
	}
	return nil
}

// source makes a source. One that is there from another time gets the secret of this one.
func (d *dev) source(ctx context.Context, name string, in map[string]any) (s sourceOut, err error) {
	uid := "dev-" + name
	in["uid"], in["applicationId"] = uid, devApp
	err = d.local.api.do(ctx, http.MethodPost, sourcesAPI, nil, in, &s)
	if e, ok := errors.AsType[*apiError](err); !ok || e.Status != http.StatusConflict {
		return s, err
	}
	path := sourcesAPI + "/" + url.PathEscape(uid)
	if secret, ok := in["secret"]; ok {
		err = d.local.api.do(ctx, http.MethodPost, path+"/secret/rotate", nil, map[string]any{"key": secret, "gracePeriodSeconds": 0}, &s)
	} else {
		err = d.local.api.do(ctx, http.MethodGet, path, nil, nil, &s)
	}
	return s, err
}

// invite says what there is.
func (d *dev) invite(c *devCmd) {
	out := d.sh.say
	if c.Data == "" {
		out("Hark runs at %s until ^C, and then forgets everything (--data DIR keeps it).", d.profile.URL)
	} else {
		out("Hark runs at %s until ^C, and keeps everything in %s.", d.profile.URL, c.Data)
	}
	for _, key := range d.local.server.FirstKeys() {
		if c.Data != "" {
			out("The admin key of its environment %s, shown this once: %s", environmentName(d.local.server, key), key.Text)
		}
	}
	out("")
	out("  signing secret: %s", d.secret.Reveal())
	out("  %s takes any webhook", d.inbox)
	named := ""
	if c.Profile != devProfile {
		named = " --profile " + c.Profile
	}
	out("  hark trigger payment_intent.succeeded%s", named)
	out("  hark messages%s", named)
	out("")
	for _, name := range []string{"HARK_URL", "HARK_API_KEY", "HARK_PROFILE"} {
		if d.sh.env(name) != "" {
			d.sh.note("%s is set, and comes before hark dev (try: unset %s)", name, name)
		}
	}
}

// close takes everything down, the last first.
func (d *dev) close() error {
	var errs []error
	for _, f := range slices.Backward(d.cleanup) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
