package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	insertEnvironmentSQL = `INSERT INTO environment (id, name, created_at, retention) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

	updateEnvironmentSQL = `UPDATE environment SET name = $1, retention = $2 WHERE id = $3`

	environmentSQL = `SELECT id, name, created_at, retention FROM environment WHERE id = $1`

	listEnvironmentsSQL = `SELECT id, name, created_at, retention FROM environment ORDER BY created_at, id`
)

// InsertEnvironment adds an environment.
func (s *Store) InsertEnvironment(ctx context.Context, env hark.Environment) error {
	return s.configure(ctx, func(c *conn) (hark.Ref, error) {
		n, err := c.exec(insertEnvironmentSQL, row.EnvironmentValues(&env)...)
		if err == nil && n == 0 {
			err = row.Conflict("An environment with this id or name already exists", "")
		}
		return 0, err
	})
}

// UpdateEnvironment changes an environment.
func (s *Store) UpdateEnvironment(ctx context.Context, id hark.EnvironmentID, change func(*hark.Environment) error) (hark.Environment, error) {
	var env hark.Environment
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if env, err = row.Find(c.query, row.ScanEnvironment, environmentSQL, string(id)); err != nil {
			return 0, err
		}
		if err := change(&env); err != nil {
			return 0, err
		}
		if _, err := c.exec(updateEnvironmentSQL, env.Name, int64(env.Retention), string(id)); err != nil {
			return 0, err
		}
		env, err = row.Find(c.query, row.ScanEnvironment, environmentSQL, string(id))
		return 0, err
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
