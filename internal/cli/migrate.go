package cli

import (
	"context"
	"errors"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

type migrateCmd struct {
	Status migrateStatus `cmd:"" default:"withargs" help:"Say which migrations a database has and lacks."`
	Up     migrateUp     `cmd:"" help:"Bring a database up to date."`
}

// Help is shown by hark migrate --help.
func (migrateCmd) Help() string {
	return `hark serve refuses a database whose schema is not up to date, or is newer than it, so that nodes of
different versions do not meet by accident: stop the old ones, hark migrate up, start the new ones.
Migrations only go forward, all of them in one transaction. A data folder needs none of this: hark serve
brings it up to date by itself.

Examples:

  hark migrate --database postgres://hark@db/hark
  hark migrate up --database postgres://hark@db/hark`
}

// Database names a PostgreSQL database.
type Database struct {
	URL config.Secret `name:"database" env:"HARK_DATABASE" placeholder:"URL" help:"The database: postgres://user:password@host/database."`
}

func (d Database) url(example string) (string, error) {
	if d.URL == "" {
		return "", usagef(example, "--database says which database")
	}
	return d.URL.Reveal(), nil
}

type migrateStatus struct {
	Database
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark migrate status --help.
func (migrateStatus) Help() string {
	return "Exits 1 when something is pending or newer.\n\nExample:\n\n  hark migrate status --database postgres://hark@db/hark"
}

// Run says how a database's schema compares with this version's.
func (c *migrateStatus) Run(ctx context.Context, sh *shell) error {
	url, err := c.url("hark migrate status --database postgres://hark@db/hark")
	if err != nil {
		return err
	}
	status, err := app.Migrations(ctx, url)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := sh.json(status); err != nil {
			return err
		}
	} else {
		for _, part := range []struct {
			word  string
			names []string
		}{{"applied", status.Applied}, {"pending", status.Pending}, {"newer", status.Newer}, {"changed", status.Changed}} {
			for _, name := range part.names {
				sh.say("%-8s %s", part.word, name)
			}
		}
	}
	switch {
	case len(status.Newer) > 0:
		return hintf(exitFailed, "use the version that made it, or a newer one", "the database is newer than this hark")
	case len(status.Changed) > 0:
		return hintf(exitFailed, "use the version that made it", "the database belongs to another version of hark")
	case len(status.Pending) > 0:
		return hintf(exitFailed, "hark migrate up", "%d migrations are pending", len(status.Pending))
	}
	return nil
}

type migrateUp struct {
	Database
	NoPartitions bool `help:"For databases without partitions: what is old is then deleted instead of dropped by the day. Counts when the schema is made."`
	NoNotify     bool `env:"HARK_NO_NOTIFY" help:"For databases without LISTEN and NOTIFY: the outbox gets no trigger."`
}

// Help is shown by hark migrate up --help.
func (migrateUp) Help() string {
	return "Waits for another one that is under way.\n\nExample:\n\n  hark migrate up --database postgres://hark@db/hark"
}

// Run brings a database up to date.
func (c *migrateUp) Run(ctx context.Context, sh *shell) error {
	url, err := c.url("hark migrate up --database postgres://hark@db/hark")
	if err != nil {
		return err
	}
	before, err := app.Migrations(ctx, url)
	if err != nil {
		return err
	}
	if err := app.Migrate(ctx, url, c.NoPartitions, c.NoNotify); err != nil {
		return err
	}
	for _, name := range before.Pending {
		sh.say("applied  %s", name)
	}
	if len(before.Pending) == 0 {
		sh.note("Nothing was pending.")
	}
	return nil
}

// explainDatabase says what to do about a database that cannot be used.
func explainDatabase(err error) error {
	switch {
	case errors.Is(err, app.ErrUnfinished):
		return hintf(exitFailed, "DROP SCHEMA hark CASCADE in a database, or another --data; then hark import again", "%w", err)
	case errors.Is(err, app.ErrNotMigrated):
		return hintf(exitFailed, "hark migrate up, or hark serve --migrate", "%w", err)
	case errors.Is(err, app.ErrOtherKey):
		return hintf(exitFailed, "give every node the same HARK_MASTER_KEY or --master-key-file", "%w", err)
	}
	return err
}
