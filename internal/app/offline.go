package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/auth"
	"github.com/harkhq/hark/internal/config"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/postgres"
	"github.com/harkhq/hark/internal/store/sqlite"
)

// What is done to a data folder without a server.

// ErrInUse says that a server is using the data folder.
var ErrInUse = sqlite.ErrLocked

// ErrNoData says that a folder holds no database.
var ErrNoData = errors.New("no database in this folder")

// ErrExists says that something is in the way which will not be overwritten.
var ErrExists = errors.New("already exists")

// databaseFile and its companions are what a data folder's database consists of.
const databaseFile = sqlite.DatabaseFile

// hasData answers ErrNoData unless the folder holds a database: opening a store makes one, which is
// not what somebody who mistyped a path wants.
func hasData(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, ErrNoData)
	} else if err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	return nil
}

// KeyRequest describes a key to issue without a server.
type KeyRequest struct {
	Environment string // name or id
	Name        string
	Scope       hark.Scope
	Lifetime    time.Duration // 0: for ever
}

// IssueKey makes an API key in a data folder that no server is using, or in a database, for when every
// key is lost. It answers ErrInUse, ErrNoData, or hark.ErrNotFound when there is no such environment.
func IssueKey(ctx context.Context, c config.Config, req KeyRequest) (auth.IssuedKey, error) {
	var none auth.IssuedKey
	st, err := openUnsealed(ctx, c)
	if err != nil {
		return none, err
	}
	defer st.Close()
	envs, err := st.ListEnvironments(ctx)
	if err != nil {
		return none, fmt.Errorf("list environments: %w", err)
	}
	for _, env := range envs {
		if env.Name != req.Environment && string(env.ID) != req.Environment {
			continue
		}
		now := time.Now()
		key := auth.NewKey(env, req.Scope, req.Name, now)
		if req.Lifetime > 0 {
			key.Key.ExpiresAt = now.Add(req.Lifetime)
		}
		if err := st.InsertKey(ctx, key.Key); err != nil {
			return none, fmt.Errorf("keep the key: %w", err)
		}
		return key, nil
	}
	return none, hark.ErrNotFound
}

// openUnsealed opens what is there already, without the master key: for what is not sealed.
func openUnsealed(ctx context.Context, c config.Config) (store.Store, error) {
	if c.Database != "" {
		return postgres.Open(ctx, c.Database.Reveal(), postgres.Options{Writers: 1, Readers: 1})
	}
	if err := hasData(c.Data); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, c.Data, sqlite.Options{})
}

// Progress is told how far a long piece of work is; total is an estimate.
type Progress func(done, total int64)

// Backup writes a consistent copy of a folder's database to a new file, beside a running server,
// and checks the copy before the file gets its name. The master key is not in it: a backup that
// carries its own key seals nothing.
func Backup(ctx context.Context, dir, file string, tell Progress) (bytes int64, err error) {
	if err := hasData(dir); err != nil {
		return 0, err
	}
	if _, err := os.Lstat(file); err == nil {
		return 0, fmt.Errorf("%s %w", file, ErrExists)
	}
	st, err := sqlite.Open(ctx, dir, sqlite.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer st.Close()
	// The copy is made in a folder of its own beside the file, so that a name that people see is
	// always a whole, checked copy, and one rename gives it.
	work, err := os.MkdirTemp(filepath.Dir(file), ".hark-backup-")
	if err != nil {
		return 0, fmt.Errorf("make a working folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	draft := filepath.Join(work, databaseFile)
	stats, err := st.Stats(ctx)
	if err != nil {
		return 0, fmt.Errorf("look at the store: %w", err)
	}
	stop := watchSize(draft, stats.Bytes, tell)
	err = st.Backup(ctx, draft)
	stop()
	if err != nil {
		return 0, fmt.Errorf("copy the database: %w", err)
	}
	if err := checkCopy(ctx, work); err != nil {
		return 0, err
	}
	info, err := os.Stat(draft)
	if err != nil {
		return 0, fmt.Errorf("look at the copy: %w", err)
	}
	return info.Size(), publish(draft, file)
}

// watchSize tells how large a growing file is, until stop is called.
func watchSize(path string, total int64, tell Progress) (stop func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if info, err := os.Stat(path); err == nil {
					tell(info.Size(), total)
				}
			}
		}
	}()
	return func() { close(done); <-gone }
}

// checkCopy opens a copied database and lets SQLite verify it.
func checkCopy(ctx context.Context, dir string) error {
	st, err := sqlite.Open(ctx, dir, sqlite.Options{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	wrong, err := st.Check(ctx)
	if err := errors.Join(err, st.Close()); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the copy is damaged: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// publish gives a finished file its name, durably; it never replaces another.
func publish(draft, file string) error {
	if err := syncPath(draft); err != nil {
		return err
	}
	if err := os.Chmod(draft, 0o600); err != nil {
		return fmt.Errorf("protect %s: %w", file, err)
	}
	// A link fails when the name is taken, a rename would replace it.
	if err := os.Link(draft, file); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s %w", file, ErrExists)
	} else if err != nil {
		return fmt.Errorf("name the copy: %w", err)
	}
	return syncPath(filepath.Dir(file))
}

// syncPath fsyncs a file or a folder.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// Restore makes a data folder from a backup. It refuses a folder that has a database. The copy is
// checked and brought up to this version's schema before it gets its name.
func Restore(ctx context.Context, file, dir string, tell Progress) (bytes int64, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, fmt.Errorf("read the backup: %w", err)
	}
	if hasData(dir) == nil {
		return 0, fmt.Errorf("a database in %s %w", dir, ErrExists)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("make %s: %w", dir, err)
	}
	work, err := os.MkdirTemp(dir, ".hark-restore-")
	if err != nil {
		return 0, fmt.Errorf("make a working folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	draft := filepath.Join(work, databaseFile)
	if err := copyFile(ctx, file, draft, info.Size(), tell); err != nil {
		return 0, err
	}
	if err := checkCopy(ctx, work); err != nil {
		return 0, fmt.Errorf("%s is no good backup: %w", file, err)
	}
	return info.Size(), publish(draft, filepath.Join(dir, databaseFile))
}

// copyFile copies with progress.
func copyFile(ctx context.Context, from, to string, total int64, tell Progress) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var done int64
	buf := make([]byte, 1<<20)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return fmt.Errorf("write the copy: %w", err)
			}
			done += int64(n)
			tell(done, total)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("read the backup: %w", err)
		}
	}
}
