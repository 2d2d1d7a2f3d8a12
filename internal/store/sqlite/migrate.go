package sqlite

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strings"

	"github.com/harkhq/hark/internal/store/row"
)

// Migrations go forward only, one transaction each. A migration that was applied must never
// change again; its checksum is kept to notice.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	createMigrationSQL = `CREATE TABLE IF NOT EXISTS migration (
  name   TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL
) WITHOUT ROWID`

	migrationsSQL = `SELECT name, sha256 FROM migration`

	insertMigrationSQL = `INSERT INTO migration (name, sha256) VALUES (?, ?)`
)

// migrate brings the schema up to date.
func migrate(c *conn) error {
	if _, err := c.exec(createMigrationSQL); err != nil {
		return translate(err)
	}
	applied := make(map[string]string)
	if err := c.query(func(r row.Row) error { applied[r.Text(0)] = r.Text(1); return nil }, migrationsSQL); err != nil {
		return translate(err)
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for _, path := range names {
		text, err := migrations.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql")
		hash := sha256.Sum256(text)
		sum := hex.EncodeToString(hash[:])
		switch have, ok := applied[name]; {
		case ok && have != sum:
			return fmt.Errorf("migration %s was applied in another wording: this store belongs to another version of hark", name)
		case !ok:
			if err := applyMigration(c, name, sum, string(text)); err != nil {
				return fmt.Errorf("migration %s: %w", name, translate(err))
			}
		}
		delete(applied, name)
	}
	for name := range applied {
		return fmt.Errorf("the store has migration %s, which this version of hark does not know: use a newer one", name)
	}
	return nil
}

func applyMigration(c *conn, name, sum, text string) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := c.script(text)
	if err == nil {
		_, err = c.exec(insertMigrationSQL, name, sum)
	}
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil {
		_, _ = c.exec("ROLLBACK") // the first error is the one to tell
	}
	return err
}
