package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

type backupCmd struct {
	File string `arg:"" type:"path" help:"New file for the copy."`
	Data string `default:"./hark-data" env:"HARK_DATA" type:"path" placeholder:"DIR" help:"The data folder. Default: ./hark-data."`
	JSON bool   `help:"Answer with JSON."`
}

// Help is shown by hark backup --help.
func (backupCmd) Help() string {
	return `A consistent copy, taken while the server goes on and checked before it gets its name. The
master key is not in it, so that a stolen backup gives no secrets away: keep a copy of
DATA/master.key elsewhere, for without it the secrets in a backup cannot be opened.

Example:

  hark backup --data ./hark-data /backups/hark-$(date +%F).db`
}

// Run makes a backup.
func (c *backupCmd) Run(ctx context.Context, sh *shell) error {
	start := time.Now()
	bar := sh.newProgress("copying")
	bytes, err := app.Backup(ctx, c.Data, c.File, func(done, total int64) { bar.set(done, total, byteCount) })
	bar.end()
	switch {
	case errors.Is(err, app.ErrNoData):
		return hintf(exitNotFound, "--data DIR, the folder that hark serve uses", "there is no database in %s", c.Data)
	case errors.Is(err, app.ErrExists):
		return hintf(exitFailed, "another file name", "%s exists and will not be overwritten", c.File)
	case err != nil:
		return err
	}
	if c.JSON {
		return sh.json(map[string]any{"file": c.File, "bytes": bytes, "checked": true})
	}
	sh.say("%s: %s, checked, in %s", c.File, byteCount(bytes), took(start))
	sh.note("Keep the master key as well, apart from the copy: %s", filepath.Join(c.Data, "master.key"))
	return nil
}

func took(start time.Time) string { return time.Since(start).Round(time.Millisecond).String() }

type restoreCmd struct {
	File string `arg:"" type:"path" help:"The backup."`
	Data string `default:"./hark-data" env:"HARK_DATA" type:"path" placeholder:"DIR" help:"The data folder to make. Default: ./hark-data."`
	JSON bool   `help:"Answer with JSON."`
}

// Help is shown by hark restore --help.
func (restoreCmd) Help() string {
	return `Refuses a folder that has a database. Put the master key beside it before you start the server.
What was queued when the backup was made is queued again: a server on the restored folder sends it,
also what was delivered since.

Example:

  hark restore /backups/hark-2026-11-23.db --data ./hark-data
  cp /safe/master.key ./hark-data/
  hark doctor --data ./hark-data`
}

// Run restores a backup.
func (c *restoreCmd) Run(ctx context.Context, sh *shell) error {
	start := time.Now()
	bar := sh.newProgress("restoring")
	bytes, err := app.Restore(ctx, c.File, c.Data, func(done, total int64) { bar.set(done, total, byteCount) })
	bar.end()
	switch {
	case errors.Is(err, app.ErrExists):
		return hintf(exitFailed, "an empty folder for --data", "%s has a database, which will not be overwritten", c.Data)
	case errors.Is(err, os.ErrNotExist):
		return hintf(exitNotFound, "ls "+filepath.Dir(c.File), "there is no backup %s", c.File)
	case err != nil:
		return err
	}
	if c.JSON {
		return sh.json(map[string]any{"data": c.Data, "bytes": bytes, "checked": true})
	}
	sh.say("%s: %s, checked, in %s", c.Data, byteCount(bytes), took(start))
	if _, err := os.Stat(filepath.Join(c.Data, "master.key")); errors.Is(err, os.ErrNotExist) {
		sh.note("Now put the master key there: %s", filepath.Join(c.Data, "master.key"))
	}
	return nil
}

type doctorCmd struct {
	Database
	Data          string        `default:"./hark-data" env:"HARK_DATA" type:"path" placeholder:"DIR" help:"The data folder. Default: ./hark-data."`
	MasterKey     config.Secret `env:"HARK_MASTER_KEY" placeholder:"KEY" help:"The master key, when it is not in a file."`
	MasterKeyFile string        `env:"HARK_MASTER_KEY_FILE" type:"path" placeholder:"FILE" help:"The master key. Default: DATA/master.key."`
	URL           string        `name:"server" env:"HARK_URL" default:"http://127.0.0.1:8071" placeholder:"URL" help:"Where the server should answer."`
	JSON          bool          `help:"Answer with JSON."`
}

// Help is shown by hark doctor --help.
func (doctorCmd) Help() string {
	return `Checks the folder and its permissions, the master key, whether sources verify what comes, the
database's integrity, room and speed of the disk, the clock, and the server. With --database it checks
the database instead: whether it can be reached, its schema, its master key, its clock, how long a commit
takes, what holds old rows, the nodes and the sources. Changes nothing, and may run beside a server.
Exits 1 when something is wrong.

Examples:

  hark doctor --data ./hark-data
  hark doctor --database postgres://hark@db/hark`
}

// Run checks a data folder.
func (c *doctorCmd) Run(ctx context.Context, sh *shell) error {
	findings := app.Examine(ctx, app.Patient{Data: c.Data, Database: c.Database.URL.Reveal(), MasterKey: c.MasterKey.Reveal(), MasterKeyFile: c.MasterKeyFile, URL: c.URL})
	wrong := 0
	for _, f := range findings {
		if !f.OK {
			wrong++
		}
	}
	if c.JSON {
		if err := sh.json(map[string]any{"ok": wrong == 0, "findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			mark := sh.paint(green, "✔")
			if !f.OK {
				mark = sh.paint(red, "✗")
			}
			sh.say("%s %-12s %s", mark, f.Check, f.Detail)
			if f.Advice != "" {
				sh.say("  %-12s → %s", "", f.Advice)
			}
		}
	}
	if wrong > 0 {
		return errSilent
	}
	return nil
}
