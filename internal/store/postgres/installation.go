package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// ErrKey says that the database's secrets were sealed with another master key.
var ErrKey = errors.New("the database was sealed with another master key")

const (
	putInstallationSQL = `INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`

	installationSQL = `SELECT value FROM installation WHERE name = $1`

	masterKeyName = "master key"
)

// Sealed says whether a database has been used with a master key already.
func Sealed(ctx context.Context, url string) (sealed bool, err error) {
	err = apart(ctx, url, func(c *conn) error {
		sealed, err = c.one(func(row.Row) error { return nil }, installationSQL, masterKeyName)
		if code := codeOf(err); code == codeNoTable || code == codeNoSchema {
			return nil
		}
		return err
	})
	return sealed, err
}

// agreeOnKey sees to it that all nodes use the same master key: the first leaves something sealed with
// it that the others must be able to open.
func (s *Store) agreeOnKey(ctx context.Context) error {
	sealed := s.seal.Sealer.Seal([]byte(masterKeyName), aboutKey())
	err := s.change(ctx, func(c *conn) error {
		if _, err := c.exec(putInstallationSQL, masterKeyName, sealed); err != nil {
			return err
		}
		_, err := c.one(func(r row.Row) error { sealed = r.Blob(0); return nil }, installationSQL, masterKeyName)
		return err
	})
	if err != nil {
		return fmt.Errorf("agree on the master key: %w", err)
	}
	return checkKey(s.seal.Sealer, sealed)
}

func aboutKey() []byte { return []byte("installation\x00" + masterKeyName) }

func checkKey(sealer store.Sealer, sealed []byte) error {
	if _, err := sealer.Open(sealed, aboutKey()); err != nil {
		return ErrKey
	}
	return nil
}
