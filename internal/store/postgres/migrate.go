package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark/internal/store/row"
)

// Migrations go forward only, one transaction each. A migration that was applied must never
// change again; its checksum is kept to notice.
//
//go:embed migrations/*.sql
var migrations embed.FS

const (
	createMigrationSQL = `CREATE TABLE IF NOT EXISTS migration (
  name   text COLLATE "C" PRIMARY KEY,
  sha256 text NOT NULL
)`

	migrationsSQL = `SELECT name, sha256 FROM migration`

	insertMigrationSQL = `INSERT INTO migration (name, sha256) VALUES ($1, $2)`

	// Any number that nobody else uses. The migration table's primary key is what keeps two nodes
	// apart; the lock only makes the second one wait instead of fail.
	lockMigrationsSQL = `SELECT pg_advisory_xact_lock(4847250914)`

	hasSchemaSQL = `SELECT count(*) FROM pg_namespace WHERE nspname = $1`

	markPartitionedSQL = `INSERT INTO counter (name, next) VALUES ('partitioned', 1) ON CONFLICT DO NOTHING`
)

// MigrationStatus says how a database's schema compares with this version's.
type MigrationStatus = row.MigrationStatus

// Migrations says which migrations a database has and lacks.
func Migrations(ctx context.Context, url string) (status MigrationStatus, err error) {
	err = apart(ctx, url, func(c *conn) error {
		status, err = statusOf(c)
		return err
	})
	return status, err
}

// Migrate brings a database's schema up to date; of the options it looks at NoPartitions and NoNotify.
func Migrate(ctx context.Context, url string, options Options) error {
	config, err := parse(url)
	if err != nil {
		return err
	}
	options.Migrate = true
	return explain(checkSchema(ctx, config.ConnConfig, options), config.ConnConfig)
}

// apart lends a connection of its own.
func apart(ctx context.Context, url string, f func(*conn) error) error {
	config, err := parse(url)
	if err != nil {
		return err
	}
	return explain(onConnection(ctx, config.ConnConfig, f), config.ConnConfig)
}

func onConnection(ctx context.Context, config *pgx.ConnConfig, f func(*conn) error) error {
	raw, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return err
	}
	err = f(&conn{ctx: ctx, raw: raw})
	_ = raw.Close(context.WithoutCancel(ctx)) // what matters was said by f
	return err
}

// checkSchema refuses a schema that this version cannot work with, or brings it up to date if asked to.
func checkSchema(ctx context.Context, config *pgx.ConnConfig, options Options) error {
	return onConnection(ctx, config, func(c *conn) error {
		status, err := statusOf(c)
		switch {
		case err != nil:
			return err
		case status.Refusal() != nil:
			return status.Refusal()
		case len(status.Pending) > 0 && !options.Migrate:
			return ErrNotMigrated
		case len(status.Pending) > 0:
			return migrate(ctx, c, config, options)
		}
		return nil
	})
}

func statusOf(c *conn) (status MigrationStatus, err error) {
	applied := make(map[string]string)
	err = c.query(func(r row.Row) error { applied[r.Text(0)] = r.Text(1); return nil }, migrationsSQL)
	if code := codeOf(err); err != nil && code != codeNoTable && code != codeNoSchema {
		return status, err
	}
	all, err := row.Migrations(migrations)
	if err != nil {
		return status, err
	}
	return row.Compare(all, applied), nil
}

// migrate applies what is missing, in one transaction for all: a schema is never between versions.
func migrate(ctx context.Context, c *conn, config *pgx.ConnConfig, options Options) error {
	raw, ok := c.raw.(*pgx.Conn)
	if !ok {
		return errors.New("migrations need a connection of their own")
	}
	return pgx.BeginFunc(ctx, raw, func(tx pgx.Tx) error {
		c := &conn{ctx: ctx, raw: tx}
		if _, err := c.exec(lockMigrationsSQL); err != nil {
			return err
		}
		// Whoever has made the schema for Hark beforehand need not let it make schemas.
		if n, err := c.int(hasSchemaSQL, firstSchema(config)); err != nil {
			return err
		} else if n == 0 {
			if _, err := c.exec(`CREATE SCHEMA ` + pgx.Identifier{firstSchema(config)}.Sanitize()); err != nil {
				return err
			}
		}
		if _, err := c.exec(createMigrationSQL); err != nil {
			return err
		}
		status, err := statusOf(c) // another node may have been faster
		if err != nil {
			return err
		}
		all, err := row.Migrations(migrations)
		if err != nil {
			return err
		}
		fresh := len(status.Applied) == 0
		partitioned := fresh && !options.NoPartitions
		if !fresh {
			n, err := c.int(partitionedSQL)
			if err != nil {
				return err
			}
			partitioned = n > 0
		}
		for _, m := range all {
			if !slices.Contains(status.Pending, m.Name) {
				continue
			}
			if err := apply(tx, c, m, partitioned, !options.NoNotify); err != nil {
				return fmt.Errorf("migration %s: %w", m.Name, translate(err))
			}
		}
		if !partitioned {
			return nil
		}
		_, err = c.exec(markPartitionedSQL)
		return err
	})
}

var partitionClause = regexp.MustCompile(` PARTITION BY RANGE \(\w+\)`)

// notifyPart is the line behind which a migration has what needs notifications.
const notifyPart = "-- NOTIFY\n"

func apply(tx pgx.Tx, c *conn, m row.Migration, partitioned, notify bool) error {
	text := m.Text
	if !partitioned {
		text = partitionClause.ReplaceAllString(text, "")
	}
	if !notify {
		text, _, _ = strings.Cut(text, notifyPart)
	}
	if _, err := tx.Conn().PgConn().Exec(c.ctx, text).ReadAll(); err != nil {
		return err
	}
	_, err := c.exec(insertMigrationSQL, m.Name, m.Sum)
	return err
}

// firstSchema is where tables are made.
func firstSchema(config *pgx.ConnConfig) string {
	first, _, _ := strings.Cut(config.RuntimeParams["search_path"], ",")
	return strings.Trim(strings.TrimSpace(first), `"`)
}
