package sqlite

import (
	"embed"
	"fmt"

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
	all, err := row.Migrations(migrations)
	if err != nil {
		return err
	}
	status := row.Compare(all, applied)
	if err := status.Refusal(); err != nil {
		return err
	}
	for _, m := range all {
		if _, ok := applied[m.Name]; ok {
			continue
		}
		if err := applyMigration(c, m); err != nil {
			return fmt.Errorf("migration %s: %w", m.Name, translate(err))
		}
	}
	return nil
}

func applyMigration(c *conn, m row.Migration) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := c.script(m.Text)
	if err == nil {
		_, err = c.exec(insertMigrationSQL, m.Name, m.Sum)
	}
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil {
		_, _ = c.exec("ROLLBACK") // the first error is the one to tell
	}
	return err
}
