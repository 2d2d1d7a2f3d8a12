package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	insertEnvironmentSQL = `INSERT INTO environment (id, name, created_at, retention) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`

	updateEnvironmentSQL = `UPDATE environment SET name = ?, retention = ? WHERE id = ?`

	environmentSQL = `SELECT id, name, created_at, retention FROM environment WHERE id = ?`

	listEnvironmentsSQL = `SELECT id, name, created_at, retention FROM environment ORDER BY created_at, id`
)

// InsertEnvironment adds an environment.
func (s *Store) InsertEnvironment(ctx context.Context, env hark.Environment) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(insertEnvironmentSQL, row.EnvironmentValues(&env)...)
		if err == nil && n == 0 {
			return row.Conflict("An environment with this id or name already exists", "")
		}
		return err
	})
}

// UpdateEnvironment changes an environment.
func (s *Store) UpdateEnvironment(ctx context.Context, id hark.EnvironmentID, change func(*hark.Environment) error) (hark.Environment, error) {
	var env hark.Environment
	err := s.change(ctx, func(c *conn) (err error) {
		if env, err = row.Find(c.query, row.ScanEnvironment, environmentSQL, string(id)); err != nil {
			return err
		}
		if err := change(&env); err != nil {
			return err
		}
		if _, err := c.exec(updateEnvironmentSQL, env.Name, int64(env.Retention), string(id)); err != nil {
			return err
		}
		env, err = row.Find(c.query, row.ScanEnvironment, environmentSQL, string(id))
		return err
	})
	return env, err
}

// Environment finds an environment.
func (s *Store) Environment(ctx context.Context, id hark.EnvironmentID) (hark.Environment, error) {
	return row.Get(ctx, s.lend, row.ScanEnvironment, environmentSQL, string(id))
}

// ListEnvironments lists all environments, oldest first.
func (s *Store) ListEnvironments(ctx context.Context) ([]hark.Environment, error) {
	return row.List(ctx, s.lend, row.ScanEnvironment, listEnvironmentsSQL)
}
