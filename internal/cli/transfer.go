package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/harkhq/hark/internal/app"
	"github.com/harkhq/hark/internal/config"
)

// Place names where an installation is kept, for commands that work without a server.
type Place struct {
	Data          string        `default:"./hark-data" env:"HARK_DATA" type:"path" placeholder:"DIR" help:"The data folder. Default: ./hark-data."`
	Database      config.Secret `env:"HARK_DATABASE" placeholder:"URL" help:"A PostgreSQL database instead of what is in the data folder. Also HARK_DATABASE_FILE."`
	MasterKey     config.Secret `env:"HARK_MASTER_KEY" placeholder:"KEY" help:"The master key, when it is not in a file."`
	MasterKeyFile string        `env:"HARK_MASTER_KEY_FILE" type:"path" placeholder:"FILE" help:"The master key. Default: DATA/master.key."`
}

func (p Place) config() config.Config {
	return config.Config{Data: p.Data, Database: p.Database, MasterKey: p.MasterKey, MasterKeyFile: p.MasterKeyFile}
}

// name is for people: a URL may carry a password.
func (p Place) name() string {
	if p.Database != "" {
		return "the database"
	}
	return p.Data
}

type exportCmd struct {
	File string `arg:"" type:"path" help:"New file, or - for standard output."`
	Place
	Plain bool `help:"Do not compress."`
	JSON  bool `help:"Answer with JSON."`
}

// Help is shown by hark export --help.
func (exportCmd) Help() string {
	return `Everything that Hark keeps goes into one file, from which hark import makes the same installation on
SQLite or PostgreSQL: environments, applications, endpoints, sources, event types, API keys (their
hashes), messages with their payloads, attempts, what is queued, requests, idempotency keys, background
tasks. Secrets and headers are sealed in it with the master key, which is not in the file. The file
shows payloads and responses. Rows that wait in the outbox stay there: it is the applications' table.

A server may go on meanwhile; the file holds what there was at one moment. What it accepts and
delivers later is not in it: to move, stop the server first. On SQLite its log grows while the export
runs; on PostgreSQL the database keeps what others delete.

Examples:

  hark export everything.hark --data ./hark-data
  hark export - --data ./hark-data | ssh db2 hark import - --database postgres://hark@/hark`
}

// Run exports an installation.
func (c *exportCmd) Run(ctx context.Context, sh *shell) error {
	start := time.Now()
	steps := sh.newSteps()
	if c.File == "-" {
		if c.JSON {
			return usagef("hark export FILE --json", "- and --json both want standard output")
		}
		moved, err := app.ExportTo(ctx, c.config(), sh.stdout, c.Plain, steps.tell)
		steps.end()
		if err != nil {
			return explainMove(err, c.Place, "")
		}
		sh.note("%s, in %s", movedText(moved), took(start))
		sh.noteOutbox(moved)
		return nil
	}
	moved, err := app.Export(ctx, c.config(), c.File, c.Plain, steps.tell)
	steps.end()
	if err != nil {
		return explainMove(err, c.Place, c.File)
	}
	if c.JSON {
		return sh.json(struct {
			File string `json:"file"`
			app.Moved
			Checked bool `json:"checked"`
		}{c.File, moved, true})
	}
	sh.say("%s: %s, checked, in %s", c.File, movedText(moved), took(start))
	sh.note("Whoever imports it needs the master key as well.")
	sh.noteOutbox(moved)
	return nil
}

func (sh *shell) noteOutbox(m app.Moved) {
	if m.OutboxWaits {
		sh.note("Rows wait in the outbox, and are not in the file: let a server take them, and export again.")
	}
}

// movedText sums up what was moved.
func movedText(m app.Moved) string {
	text := fmt.Sprintf("%d applications, %d endpoints, %d messages, %d attempts, %d queued deliveries",
		m.Applications, m.Endpoints, m.Messages, m.Attempts, m.Queued)
	if m.Sources > 0 {
		text += fmt.Sprintf(", %d sources, %d requests", m.Sources, m.Requests)
	}
	if m.Pollers > 0 {
		text += fmt.Sprintf(", %d pollers", m.Pollers)
	}
	if m.Bytes > 0 {
		text += ", " + byteCount(m.Bytes)
	}
	return text
}

// steps is a progress line for work that has several of them.
type steps struct {
	sh   *shell
	bar  *progress
	step string
}

func (sh *shell) newSteps() *steps { return &steps{sh: sh} }

func (s *steps) tell(step string, done, total int64) {
	if step != s.step {
		s.end()
		s.step, s.bar = step, s.sh.newProgress(step)
	}
	s.bar.set(done, total, func(n int64) string { return fmt.Sprintf("%d messages", n) })
}

func (s *steps) end() {
	if s.bar != nil {
		s.bar.end()
	}
}

type importCmd struct {
	File importFile `cmd:"" default:"withargs" help:"Make an installation from a file that hark export has written."`
	Svix importSvix `cmd:"" help:"Move in from a Svix server, with the ids and signing secrets that are in use."`
}

// Help is shown by hark import --help.
func (importCmd) Help() string {
	return `Examples:

  hark import everything.hark --database postgres://hark@db/hark
  hark import svix --from postgres://svix@db/svix --data ./hark-data --dry-run`
}

type importFile struct {
	File string `arg:"" type:"path" help:"The file, or - for standard input."`
	Place
	JSON bool `help:"Answer with JSON."`
}

// Help is shown by hark import file --help.
func (importFile) Help() string {
	return `Imports into an empty store only: a data folder without a database, or a PostgreSQL database in which
Hark keeps nothing yet (its schema is made where it is missing). The master key must be the one of the
installation that was exported; put it there first. The file is checked before anything is made, and
everything is read back and compared before the import counts: until then no server opens it. An import
into a folder that does not get so far leaves nothing behind.

Queued deliveries are queued in the new place too. Start its server only when the old one has stopped,
or both send them. Replays that are under way start again from their beginning.

Examples:

  cp old/master.key new/ && hark import everything.hark --data new
  hark import everything.hark --database postgres://hark@db/hark --master-key-file old/master.key`
}

// Run imports an installation.
func (c *importFile) Run(ctx context.Context, sh *shell) error {
	start := time.Now()
	in := sh.stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return hintf(exitNotFound, "hark export "+c.File, "%w", err)
		}
		defer file.Close()
		in = io.Reader(file)
	}
	steps := sh.newSteps()
	moved, err := app.Import(ctx, c.config(), in, steps.tell)
	steps.end()
	if err != nil {
		return explainMove(err, c.Place, c.File)
	}
	if c.JSON {
		return sh.json(struct {
			app.Moved
			Checked bool `json:"checked"`
		}{moved, true})
	}
	sh.say("%s: %s, verified, in %s", c.name(), movedText(moved), took(start))
	if c.MasterKey != "" || c.MasterKeyFile != "" {
		sh.note("Give hark serve the same master key.")
	}
	if moved.Restarted > 0 {
		sh.note("%d replays were under way; they start again from their beginning.", moved.Restarted)
	}
	return nil
}

// explainMove says what to do about a move that did not work.
func explainMove(err error, p Place, file string) error {
	switch {
	case errors.Is(err, app.ErrNoData):
		return hintf(exitNotFound, "--data DIR, the folder that hark serve uses, or --database URL", "there is no database in %s", p.Data)
	case errors.Is(err, app.ErrExists):
		return hintf(exitFailed, "another file name", "%s exists and will not be overwritten", file)
	case errors.Is(err, app.ErrNotEmpty):
		return hintf(exitFailed, "an empty folder for --data, or a new database", "Hark keeps something in %s already, and an import adds to nothing", p.name())
	case errors.Is(err, app.ErrNoKey), errors.Is(err, app.ErrFileKey):
		return hintf(exitFailed, "--master-key-file FILE, the one of the installation that was exported", "%w", err)
	case errors.Is(err, app.ErrForeign), errors.Is(err, app.ErrNewer):
		return hintf(exitFailed, "hark version", "%s: %w", file, err)
	case errors.Is(err, app.ErrDamaged):
		return hintf(exitFailed, "export it again", "%s: %w", file, err)
	}
	return explainDatabase(err)
}
