package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/harkhq/hark/internal/store/postgres"
	"github.com/harkhq/hark/internal/store/sqlite"
	"github.com/harkhq/hark/internal/vault"
)

// Which of the two stores, and the master key that goes with it.

// ErrNoKey says that a database is there, but not the master key that it was sealed with.
var ErrNoKey = errors.New("the master key of this database is missing")

// ErrOtherKey says that the master key is not the one that the database was sealed with.
var ErrOtherKey = postgres.ErrKey

// ErrNotMigrated says that a database's schema is not up to date.
var ErrNotMigrated = postgres.ErrNotMigrated

// Migrations says which migrations a database has and lacks.
func Migrations(ctx context.Context, url string) (postgres.MigrationStatus, error) {
	return postgres.Migrations(ctx, url)
}

// Migrate brings a database's schema up to date.
func Migrate(ctx context.Context, url string, noPartitions, noNotify bool) error {
	return postgres.Migrate(ctx, url, postgres.Options{NoPartitions: noPartitions, NoNotify: noNotify})
}

// openStore opens the master key and the store.
func (a *App) openStore(ctx context.Context) (*vault.Vault, error) {
	if a.config.Database != "" {
		return a.openDatabase(ctx)
	}
	dir := a.config.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	// A fresh key beside an older database would start well and then fail at every endpoint.
	keys, _, err := a.openVault(hasData(dir) == nil)
	if err != nil {
		return nil, err
	}
	st, err := sqlite.Open(ctx, dir, sqlite.Options{Sealer: keys, Logger: a.log})
	if err != nil {
		return nil, err
	}
	a.store = st
	a.atEnd(st.Close)
	return keys, nil
}

// openDatabase opens a database that other nodes may use as well. Of several that start at once on an
// empty one, only the first one's fresh master key stays.
func (a *App) openDatabase(ctx context.Context) (*vault.Vault, error) {
	url := a.config.Database.Reveal()
	sealed, err := postgres.Sealed(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("look at the database: %w", err)
	}
	keys, made, err := a.openVault(sealed)
	if err != nil {
		return nil, err
	}
	st, err := postgres.Open(ctx, url, postgres.Options{
		Sealer: keys, Logger: a.log, Migrate: a.config.Migrate, NoNotify: a.config.NoNotify,
	})
	if errors.Is(err, ErrOtherKey) && made != "" {
		return nil, errors.Join(fmt.Errorf("%s: %w", made, ErrNoKey), os.Remove(made))
	}
	if err != nil {
		return nil, err
	}
	a.store, a.cluster = st, st
	a.atEnd(st.Close)
	return keys, nil
}

// openVault reads the master key. Where there is none it makes one and answers its file, unless
// something was sealed before.
func (a *App) openVault(sealed bool) (keys *vault.Vault, made string, err error) {
	if text := a.config.MasterKey.Reveal(); text != "" {
		keys, err = vault.Parse(text)
		return keys, "", err
	}
	path := MasterKeyFile(a.config.Data, a.config.MasterKeyFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if sealed {
			return nil, "", fmt.Errorf("%s: %w", path, ErrNoKey)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, "", fmt.Errorf("make the folder of the master key: %w", err)
		}
		made = path
	}
	keys, err = vault.LoadOrCreate(path)
	return keys, made, err
}

// MasterKeyFile is where the master key of a data folder is, unless file says otherwise.
func MasterKeyFile(dir, file string) string {
	if file != "" {
		return file
	}
	return filepath.Join(dir, "master.key")
}
