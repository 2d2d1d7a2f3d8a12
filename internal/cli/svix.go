package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

type importSvix struct {
	From        config.Secret `required:"" env:"HARK_SVIX_DATABASE" placeholder:"URL" help:"The Svix server's database: postgres://user:password@host/svix. It is only read."`
	MainSecret  config.Secret `env:"HARK_SVIX_MAIN_SECRET" placeholder:"SECRET" help:"The Svix server's main_secret, if it has one. Also HARK_SVIX_MAIN_SECRET_FILE."`
	Org         string        `placeholder:"ID" help:"The organization (org_…), when there are several."`
	Environment string        `default:"live" help:"The environment to import into, by name or id; made where it is missing. Default: live."`
	DryRun      bool          `help:"Only say what would be done."`
	Place
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark import svix --help.
func (importSvix) Help() string {
	return `Takes an organization's event types, applications and endpoints, with their ids, uids and signing
secrets, also replaced ones that are still good, so that nothing changes for callers and receivers.
Messages and attempts stay in Svix: let it deliver what it has queued.

It may be run again while both servers run. What was changed in Svix since is changed here; what was
changed here since is left alone. A data folder's server must be stopped meanwhile; a database's may run.

For callers nothing but the URL changes when hark serve gets Svix's JWT secret (--jwt-secret) and the
environment has the organization's id: that is so where this command makes the environment, and with
--environment org_….

Examples:

  hark import svix --from postgres://svix@db/svix --data ./hark-data --dry-run
  hark import svix --from postgres://svix@db/svix --org org_… --environment org_… --database postgres://hark@db/hark`
}

// Run moves in from a Svix server.
func (c *importSvix) Run(ctx context.Context, sh *shell) error {
	start := time.Now()
	bar := sh.newProgress("importing")
	report, err := app.ImportSvix(ctx, c.config(), app.SvixRequest{
		From: c.From, Organization: c.Org, Environment: c.Environment, MainSecret: c.MainSecret, DryRun: c.DryRun,
	}, func(done int64) { bar.set(done, 0, count) })
	bar.end()
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return sh.json(report)
	}
	t := newTable("KIND", "ADDED", "UPDATED", "UNCHANGED", "KEPT", "SKIPPED")
	for _, kind := range []struct {
		name string
		app.SvixTally
	}{{"event types", report.EventTypes}, {"applications", report.Applications}, {"endpoints", report.Endpoints}} {
		t.add(kind.name, fmt.Sprint(kind.Added), fmt.Sprint(kind.Updated), fmt.Sprint(kind.Unchanged), fmt.Sprint(kind.Kept), fmt.Sprint(kind.Skipped))
	}
	t.write(sh)
	for _, n := range report.Notes {
		sh.note("%s: %s", n.What, n.Why)
	}
	if c.DryRun {
		sh.note("Nothing was written: this was a dry run.")
		return nil
	}
	sh.note("%s is in the environment %s, in %s.", report.Organization, report.Environment, took(start))
	return nil
}

// explain says what to do about a Svix database that cannot be used.
func (c *importSvix) explain(err error) error {
	if e, ok := errors.AsType[*app.AmbiguousError](err); ok {
		hint := "another --from"
		if len(e.Organizations) > 0 {
			hint = "--org " + e.Organizations[0].ID
		}
		return usagef(hint, "%w", err)
	}
	switch {
	case errors.Is(err, app.ErrMainSecret):
		return hintf(exitFailed, "--main-secret, or HARK_SVIX_MAIN_SECRET_FILE, with the main_secret of Svix's configuration", "%w", err)
	case errors.Is(err, app.ErrNotSvix):
		return hintf(exitNotFound, "--from with the db_dsn of Svix's configuration", "%w", err)
	case errors.Is(err, app.ErrInUse):
		return hintf(exitFailed, "stop it, import, and start it again", "a server is using %s", c.Data)
	}
	return explainMove(err, c.Place, fmt.Sprint(c.From))
}
