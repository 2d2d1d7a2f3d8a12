package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/fixture"
	"github.com/harkhq/hark/internal/listen"
	"github.com/harkhq/hark/internal/profile"
	"github.com/harkhq/hark/webhook"
)

type devCmd struct {
	Forwarding
	Port    int    `placeholder:"PORT" help:"The server's port on 127.0.0.1. Default: 8071, or a free one where that is taken."`
	Data    string `type:"path" placeholder:"DIR" help:"Keep everything in this folder, and go on with what is in it. Default: a folder that is removed at the end."`
	Profile string `default:"dev" placeholder:"NAME" help:"The name under which other commands find it. Default: dev, which they use by themselves."`
	JSON    bool   `help:"The same as --format json."`
}

// Help is shown by hark dev --help.
func (devCmd) Help() string {
	return `A server and hark listen in one process: nothing to set up, and no keys to copy. While it runs, the other
commands use it, as the profile dev, and hark trigger sends to it.

One secret signs everything: what Hark sends, and the events that hark trigger makes of Stripe, GitHub,
Shopify and Slack, which arrive as they send them, headers and all. So a handler verifies with that secret,
whichever library it uses. It and the printed URL stay the same on this machine. For webhooks of the providers
themselves, make sources with their secrets, and lead a public address to the port (a folder keeps them).

Examples:

  hark dev --forward-to localhost:4242/webhook
  hark trigger payment_intent.succeeded                        (in another terminal)
  hark dev --forward-to 4242 --data ./dev                      (messages and sources stay)
  hark sources create stripe --secret whsec_… --app local      (then, for what Stripe sends)`
}

// dev is a server with what a person needs to try a handler.
type dev struct {
	sh       *shell
	folder   profile.Folder // "" where there is no home
	local    *local
	listener shownListener
	session  listen.Session

	profile profile.Profile
	seed    []byte // from which the URLs of a new store follow; nil where there is no home
	cleanup []func() error
}

// Run runs the server, and listens.
func (c *devCmd) Run(ctx context.Context, sh *shell) (err error) {
	opt, err := c.Forwarding.options()
	if err != nil {
		return err
	}
	if !signal.Ignored(syscall.SIGHUP) { // a terminal window that is closed must not leave a folder behind
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
	}
	if !sh.colour { // nor must a reader that has seen enough
		signal.Ignore(syscall.SIGPIPE)
		defer signal.Reset(syscall.SIGPIPE)
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		heard := *sh
		heard.stdout, sh = whileRead{sh.stdout, stop}, &heard
	}
	d := &dev{sh: sh}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx, c, opt); err != nil {
		return err
	}
	if !c.records() {
		d.invite(c)
	}
	listening, hangUp := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer hangUp()
	watching.Go(func() {
		select {
		case <-d.local.ended: // by itself; close says why
			hangUp()
		case <-listening.Done():
		}
	})
	return follow(listening, sh, d.listener, opt, d.local.api)
}

// whileRead writes, and says when nobody reads any more.
type whileRead struct {
	io.Writer
	gone func()
}

func (w whileRead) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.gone()
	}
	return n, err
}

// records says whether records are asked for, and not lines.
func (c *devCmd) records() bool { return c.JSON || c.Format == "json" }

// open starts the server, makes what it needs, and tells other commands of it.
func (d *dev) open(ctx context.Context, c *devCmd, opt listen.Options) (err error) {
	machine, secret := "nowhere", config.Secret(webhook.GenerateKey().Text())
	d.folder, err = profile.Find(d.sh.lookupEnv)
	if err == nil {
		if err := freeProfile(d.folder, c.Profile); err != nil {
			return err
		}
		if machine, err = listen.Machine(string(d.folder)); err != nil {
			return explainProfiles(d.folder, err)
		}
		if secret, err = d.folder.Secret(secret.Reveal); err != nil {
			return explainProfiles(d.folder, err)
		}
		key, err := listen.MachineKey(string(d.folder))
		if err != nil {
			return explainProfiles(d.folder, err)
		}
		d.seed = []byte(key)
	} else if !errors.Is(err, profile.ErrNoHome) {
		return err
	}
	if err := d.start(ctx, c); err != nil {
		return err
	}
	opt.Server, opt.Key, opt.Machine, opt.Secret = d.local.api.base, d.local.key, machine, secret.Reveal()
	if d.listener, err = c.listener(d.sh, opt, c.records(), listen.LocalApplication, c.try()); err != nil {
		return err
	}
	if err := d.furnish(ctx); err != nil {
		return fmt.Errorf("set up the server: %w", err)
	}
	return d.publish(c.Profile)
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

// devPort is hark serve's.
const devPort = 8071

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
	conf := config.Config{Data: dir, Addr: fmt.Sprintf("127.0.0.1:%d", port), AllowPrivateEndpoints: true, Relay: true, Drain: time.Second}
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

// furnish makes what is listened to, and for every provider whose events hark trigger knows a source, so
// that they arrive as the provider sends them.
func (d *dev) furnish(ctx context.Context) (err error) {
	if d.session, err = d.listener.Prepare(ctx); err != nil {
		return err
	}
	if err := d.pin(ctx, d.session.SourceID, "listen"); err != nil {
		return err
	}
	live := d.local.server.Environments().Live
	d.profile = profile.Profile{URL: d.local.api.base, Key: config.Secret(d.local.key), Environment: live.Name,
		EnvironmentID: string(live.ID), Scope: "admin", Application: listen.LocalApplication}
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
		id, err := d.source(ctx, provider)
		if err == nil {
			err = d.pin(ctx, id, provider)
		}
		if err != nil {
			return err
		}
		d.profile.Sources = append(d.profile.Sources, profile.Source{ID: id, Provider: provider, Secret: config.Secret(d.session.Secret)})
	}
	return nil
}

// pin makes a source's URL the one that this machine always has for what it is called. In a folder that was there
// before it has its URL, and keeps it.
func (d *dev) pin(ctx context.Context, source, name string) error {
	if d.seed == nil || len(d.local.server.FirstKeys()) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, d.seed)
	mac.Write([]byte("hark dev\x00" + name))
	return d.local.server.PinSource(ctx, source, mac.Sum(nil))
}

// devSource is what the source of a provider is called.
func devSource(provider string) string { return "dev-" + provider }

// source makes a provider's source. One that is there from another time gets the secret of this one.
func (d *dev) source(ctx context.Context, provider string) (id string, err error) {
	var s sourceOut
	uid := devSource(provider)
	err = d.local.api.ask(ctx, question{path: "/source", method: http.MethodPost, in: map[string]any{
		"uid": uid, "provider": provider, "secret": d.session.Secret, "applicationId": d.session.ApplicationID,
	}}, &s)
	if e, ok := errors.AsType[*apiError](err); ok && e.Status == http.StatusConflict {
		err = d.local.api.ask(ctx, question{about: aSource(uid), path: "/secret/rotate", method: http.MethodPost,
			in: map[string]any{"key": d.session.Secret, "gracePeriodSeconds": 0}}, &s)
	}
	return s.ID, err
}

// publish lets other commands find the server.
func (d *dev) publish(name string) error {
	if d.folder == "" {
		d.sh.note("There is no home to keep a profile in, so other commands need:")
		d.sh.note("  export HARK_URL=%s HARK_API_KEY=%s HARK_APP=%s", d.profile.URL, d.local.key, d.profile.Application)
		return nil
	}
	held, err := d.folder.Hold(name, d.profile)
	if errors.Is(err, profile.ErrHeld) {
		return freeProfile(d.folder, name) // somebody was quicker
	} else if err != nil {
		return explainProfiles(d.folder, err)
	}
	d.cleanup = append(d.cleanup, held.Release)
	for _, name := range []string{"HARK_URL", "HARK_API_KEY", "HARK_PROFILE"} {
		if d.sh.env(name) != "" {
			d.sh.note("%s is set, and comes before hark dev (try: unset %s)", name, name)
		}
	}
	return nil
}

// invite says what there is.
func (d *dev) invite(c *devCmd) {
	if c.Data == "" {
		d.sh.say("Hark runs at %s until ^C, and then forgets everything (--data DIR keeps it).", d.profile.URL)
	} else {
		d.sh.say("Hark runs at %s until ^C, and keeps everything in %s.", d.profile.URL, c.Data)
		for _, key := range d.local.server.FirstKeys() {
			d.sh.say("The admin key of its environment %s, shown this once: %s", environmentName(d.local.server, key), key.Text)
		}
	}
	d.sh.say("In another terminal, without a key: %s", c.try())
}

// try is a command to try it with.
func (c *devCmd) try() string {
	command := "hark trigger payment_intent.succeeded"
	if c.Profile != devProfile {
		command += " --profile " + c.Profile
	}
	return command
}

// close takes everything down, the last first.
func (d *dev) close() error {
	var errs []error
	for _, f := range slices.Backward(d.cleanup) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}
