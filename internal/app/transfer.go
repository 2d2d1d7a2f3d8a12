package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/observe"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgres"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/svix"
	"github.com/harkhq/hark/internal/transfer"
	"github.com/harkhq/hark/internal/vault"
)

// Moving a whole installation to another store. Of a Config, Data, Database and the master key count.

// What can go wrong with a move that people can do something about.
var (
	// ErrUnfinished says that an import into this store was not finished.
	ErrUnfinished = store.ErrUnfinished
	// ErrForeign, ErrNewer, ErrDamaged and ErrFileKey say what is wrong with a file.
	ErrForeign = transfer.ErrNotExport
	ErrNewer   = transfer.ErrNewer
	ErrDamaged = transfer.ErrDamaged
	ErrFileKey = transfer.ErrKey
	// ErrNotEmpty says that a store keeps something already.
	ErrNotEmpty = errors.New("something is in it already")
)

// Moved says what a move has moved.
type Moved struct {
	transfer.Counts
	Bytes int64 `json:"bytes"` // of the file
	// OutboxWaits says that rows of the outbox are not taken yet: they are not in the file.
	OutboxWaits bool `json:"outboxWaits,omitempty"`
}

// StepProgress is told how many messages a step of a longer piece of work has done; total is 0 when
// nobody knows.
type StepProgress func(step string, done, total int64)

// kept is a store that can be moved.
type kept interface {
	store.Store
	store.Mover
}

// openKept opens what is there already, with the master key that belongs to it.
func openKept(ctx context.Context, c config.Config) (kept, *vault.Vault, error) {
	if c.Database == "" {
		if err := hasData(c.Data); err != nil {
			return nil, nil, err
		}
	}
	keys, err := existingVault(c)
	if err != nil {
		return nil, nil, err
	}
	if c.Database != "" {
		st, err := postgres.Open(ctx, c.Database.Reveal(), postgres.Options{Sealer: keys, Writers: 1, Readers: 2})
		return st, keys, err
	}
	st, err := sqlite.Open(ctx, c.Data, sqlite.Options{Sealer: keys, ReadOnly: true})
	return st, keys, err
}

// existingVault reads the master key and never makes one: it belongs to what was sealed with it.
func existingVault(c config.Config) (*vault.Vault, error) {
	keys, _, err := (&App{config: c}).openVault(true)
	return keys, err
}

// Export writes everything to a new file, beside a running server, and reads it once more before it
// gets its name. The master key is not in it.
func Export(ctx context.Context, c config.Config, file string, plain bool, tell StepProgress) (moved Moved, err error) {
	if _, err := os.Lstat(file); err == nil {
		return moved, fmt.Errorf("%s %w", file, ErrExists)
	}
	work, err := os.MkdirTemp(filepath.Dir(file), ".hark-export-")
	if err != nil {
		return moved, fmt.Errorf("make a working folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	draft := filepath.Join(work, "export")
	out, err := os.OpenFile(draft, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return moved, fmt.Errorf("write the file: %w", err)
	}
	defer out.Close()
	moved, err = ExportTo(ctx, c, out, plain, tell)
	if err != nil {
		return moved, err
	}
	keys, err := existingVault(c)
	if err != nil {
		return moved, err
	}
	if _, err := checkExport(ctx, out, keys, tell); err != nil {
		return moved, fmt.Errorf("read the file again: %w", err)
	}
	return moved, publish(draft, file)
}

// ExportTo writes everything to a stream.
func ExportTo(ctx context.Context, c config.Config, out io.Writer, plain bool, tell StepProgress) (moved Moved, err error) {
	st, keys, err := openKept(ctx, c)
	if err != nil {
		return moved, err
	}
	defer st.Close()
	source := transfer.Source{Version: observe.ReadBuild().Version, Store: "sqlite", Plain: plain}
	if c.Database != "" {
		source.Store = "postgres"
	}
	counting := &counter{w: out}
	if moved.Counts, err = transfer.Export(ctx, st, counting, keys, source, time.Now(), transfer.Progress(tell)); err != nil {
		return moved, err
	}
	moved.Bytes = counting.n
	if outbox, ok := st.(store.Outbox); ok {
		rows, err := outbox.ReadOutbox(ctx, 0, 1, 1)
		if err != nil {
			return moved, fmt.Errorf("look at the outbox: %w", err)
		}
		moved.OutboxWaits = len(rows) > 0
	}
	return moved, nil
}

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// checkExport reads a whole file, and leaves it at its beginning.
func checkExport(ctx context.Context, file *os.File, keys *vault.Vault, tell StepProgress) (counts transfer.Counts, err error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return counts, fmt.Errorf("read the file: %w", err)
	}
	r, err := transfer.NewReader(file, keys)
	if err != nil {
		return counts, err
	}
	if counts, err = transfer.Check(ctx, r, transfer.Progress(tell)); err != nil {
		return counts, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return counts, fmt.Errorf("read the file: %w", err)
	}
	return counts, nil
}

// Import takes a file that Export has written into an empty store, and verifies what is there then. A
// file, unlike a stream, is checked before anything is made. The master key must be there already.
func Import(ctx context.Context, c config.Config, in io.Reader, tell StepProgress) (moved Moved, err error) {
	keys, err := existingVault(c)
	if err != nil {
		return moved, err
	}
	var expected transfer.Counts
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			moved.Bytes = info.Size()
			if expected, err = checkExport(ctx, file, keys, tell); err != nil {
				return moved, err
			}
		}
	}
	r, err := transfer.NewReader(in, keys)
	if err != nil {
		return moved, err
	}
	into := func(to kept) error {
		moved.Counts, err = transfer.Import(ctx, r, to, expected.Messages, transfer.Progress(tell))
		if hark.CodeOf(err) == hark.Conflict {
			err = ErrNotEmpty
		}
		return err
	}
	if c.Database != "" {
		return moved, importToDatabase(ctx, c, keys, into)
	}
	return moved, importToFolder(ctx, c.Data, keys, into)
}

// importToDatabase makes the schema where there is none; one that is there is left as it is.
func importToDatabase(ctx context.Context, c config.Config, keys *vault.Vault, into func(kept) error) error {
	url := c.Database.Reveal()
	status, err := postgres.Migrations(ctx, url)
	if err != nil {
		return fmt.Errorf("look at the database: %w", err)
	}
	st, err := postgres.Open(ctx, url, postgres.Options{Sealer: keys, Writers: 1, Readers: 2, Migrate: len(status.Applied) == 0})
	if err != nil {
		return err
	}
	return errors.Join(into(st), st.Close())
}

// importToFolder makes the database beside its place, and gives it its name when it is whole.
func importToFolder(ctx context.Context, dir string, keys *vault.Vault, into func(kept) error) (err error) {
	if hasData(dir) == nil {
		return ErrNotEmpty
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	work, err := os.MkdirTemp(dir, ".hark-import-")
	if err != nil {
		return fmt.Errorf("make a working folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	st, err := sqlite.Open(ctx, work, sqlite.Options{Sealer: keys})
	if err != nil {
		return err
	}
	if err := errors.Join(into(st), st.Close()); err != nil {
		return err
	}
	// Closing has moved the whole log into the file; if not, the file alone would not be everything.
	if info, err := os.Stat(filepath.Join(work, databaseFile+"-wal")); err == nil && info.Size() > 0 {
		return errors.New("the new database could not be closed")
	}
	return publish(filepath.Join(work, databaseFile), filepath.Join(dir, databaseFile))
}

// SvixRequest says what to take from a Svix server.
type SvixRequest struct {
	From         config.Secret // URL of its database
	Organization string        // "": the only one
	Environment  string        // name or id
	MainSecret   config.Secret
	DryRun       bool
}

// What can be wrong with a Svix server's database.
var (
	ErrNotSvix    = svix.ErrNotSvix
	ErrMainSecret = svix.ErrMainSecret
)

// SvixTally counts what became of one kind.
type SvixTally = svix.Tally

// AmbiguousError says that there are several organizations to choose from, or none.
type AmbiguousError = svix.AmbiguousError

// ImportSvix moves an organization of a Svix server in: into a data folder that no server is using, or
// into a database beside its servers.
func ImportSvix(ctx context.Context, c config.Config, req SvixRequest, tell func(done int64)) (report svix.Report, err error) {
	a := &App{config: c, log: slog.New(slog.DiscardHandler)}
	defer func() { err = errors.Join(err, a.Close()) }()
	if _, err := a.openStore(ctx); err != nil {
		return report, err
	}
	return svix.Import(ctx, a.store, svix.Options{
		From: req.From.Reveal(), Organization: req.Organization, Environment: req.Environment,
		MainSecret: req.MainSecret.Reveal(), DryRun: req.DryRun, Progress: tell,
	}, time.Now())
}
