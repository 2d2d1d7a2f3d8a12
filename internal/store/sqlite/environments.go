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
		n, err := c.exec(insertEnvironmentSQL, string(env.ID), env.Name, env.CreatedAt, int64(env.Retention))
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
		if env, err = findEnvironment(c, id); err != nil {
			return err
		}
		if err := change(&env); err != nil {
			return err
		}
		if _, err := c.exec(updateEnvironmentSQL, env.Name, int64(env.Retention), string(id)); err != nil {
			return err
		}
		env, err = findEnvironment(c, id)
		return err
	})
	return env, err
}

// Environment finds an environment.
func (s *Store) Environment(ctx context.Context, id hark.EnvironmentID) (hark.Environment, error) {
	var env hark.Environment
	err := s.read(ctx, func(c *conn) (err error) {
		env, err = findEnvironment(c, id)
		return err
	})
	return env, err
}

func findEnvironment(c *conn, id hark.EnvironmentID) (env hark.Environment, err error) {
	return row.Find(c.query, row.ScanEnvironment, environmentSQL, string(id))
}

// ListEnvironments lists all environments, oldest first.
func (s *Store) ListEnvironments(ctx context.Context) (envs []hark.Environment, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		envs, err = row.Collect(c.query, row.ScanEnvironment, listEnvironmentsSQL)
		return err
	})
	return envs, err
}
