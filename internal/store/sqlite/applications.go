package sqlite

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	applicationColumns = `SELECT ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version FROM application `

	applicationByIDSQL = applicationColumns + `WHERE environment = ? AND id = ? AND deleted_at = 0`

	applicationByUIDSQL = applicationColumns + `WHERE environment = ? AND uid = ? AND deleted_at = 0`

	applicationByRefSQL = applicationColumns + `WHERE ref = ? AND deleted_at = 0`

	insertApplicationSQL = `INSERT INTO application (environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING ref`

	updateApplicationSQL = `UPDATE application SET uid = ?, name = ?, throttle_rate = ?, metadata = ?, updated_at = ?, tokens_not_before = ?, version = version + 1 WHERE ref = ?`

	deleteApplicationSQL = `UPDATE application SET uid = NULL, deleted_at = ?, version = version + 1 WHERE ref = ?`

	bumpApplicationSQL = `UPDATE application SET version = version + 1 WHERE ref = ?`

	deleteApplicationEndpointsSQL = `UPDATE endpoint SET uid = NULL, deleted_at = ? WHERE application = ? AND deleted_at = 0`

	listApplications = applicationColumns + `
WHERE environment = ?1 AND id > ?2 AND id < ?3 AND deleted_at = 0
  AND (?4 = 0 OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0))
  AND (?5 = 0 OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0 AND e.disabled = 0))
`
	listApplicationsUpSQL   = listApplications + `ORDER BY id ASC LIMIT ?6`
	listApplicationsDownSQL = listApplications + `ORDER BY id DESC LIMIT ?6`
)

// InsertApplication adds an application.
func (s *Store) InsertApplication(ctx context.Context, app hark.Application) (hark.Application, error) {
	var added hark.Application
	err := s.change(ctx, func(c *conn) error {
		if err := row.FreeUID(c.query, "An application", applicationByUIDSQL, string(app.EnvironmentID), app.UID, 0); err != nil {
			return err
		}
		ref, err := c.int(insertApplicationSQL, string(app.EnvironmentID), string(app.ID), row.Nullable(app.UID), app.Name,
			app.ThrottleRate, row.EncodeMap(app.Metadata), app.CreatedAt, app.UpdatedAt, app.TokensNotBefore)
		if isUnique(err) {
			return row.Conflict("An application with this id already exists", string(app.ID))
		}
		if err != nil {
			return err
		}
		added, err = row.Find(c.query, row.ScanApplication, applicationByRefSQL, ref)
		return err
	})
	return added, err
}

// UpdateApplication changes an application.
func (s *Store) UpdateApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Application) error) (hark.Application, error) {
	var app hark.Application
	err := s.change(ctx, func(c *conn) (err error) {
		if app, err = findApplication(c, env, idOrUID); err != nil {
			return err
		}
		ref := app.Ref
		if err := change(&app); err != nil {
			return err
		}
		if err := row.FreeUID(c.query, "An application", applicationByUIDSQL, string(env), app.UID, ref); err != nil {
			return err
		}
		if _, err := c.exec(updateApplicationSQL, row.Nullable(app.UID), app.Name, app.ThrottleRate, row.EncodeMap(app.Metadata), app.UpdatedAt, app.TokensNotBefore, ref); err != nil {
			return err
		}
		app, err = row.Find(c.query, row.ScanApplication, applicationByRefSQL, ref)
		return err
	})
	return app, err
}

// DeleteApplication makes an application disappear with its endpoints, sources and queue.
func (s *Store) DeleteApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error {
	err := s.change(ctx, func(c *conn) error {
		app, err := findApplication(c, env, idOrUID)
		if err != nil {
			return err
		}
		if _, err := c.exec(deleteApplicationEndpointsSQL, now, app.Ref); err != nil {
			return err
		}
		if _, err := c.exec(deleteApplicationVersionsSQL, app.Ref); err != nil {
			return err
		}
		if _, err := c.exec(deleteApplicationTokensSQL, app.Ref); err != nil {
			return err
		}
		if _, err := c.exec(deleteApplicationSourcesSQL, now, app.Ref); err != nil {
			return err
		}
		if err := deleteApplicationPollers(c, app.Ref); err != nil {
			return err
		}
		_, err = c.exec(deleteApplicationSQL, now, app.Ref)
		return err
	})
	if err == nil {
		s.sweeper.Nudge()
	}
	return err
}

// Application finds an application by id or uid.
func (s *Store) Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (app hark.Application, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		app, err = findApplication(c, env, idOrUID)
		return err
	})
	return app, err
}

func findApplication(c *conn, env hark.EnvironmentID, idOrUID string) (hark.Application, error) {
	return row.FindEither(c.query, row.ScanApplication, applicationByIDSQL, applicationByUIDSQL, string(env), idOrUID)
}

// ApplicationByRef finds an application.
func (s *Store) ApplicationByRef(ctx context.Context, ref hark.Ref) (hark.Application, error) {
	return row.Get(ctx, s.lend, row.ScanApplication, applicationByRefSQL, ref)
}

// ListApplications lists the applications of an environment.
func (s *Store) ListApplications(ctx context.Context, env hark.EnvironmentID, filter store.ApplicationFilter, page store.Page) ([]hark.Application, error) {
	p := row.PageOfText(page)
	apps, err := row.List(ctx, s.lend, row.ScanApplication, p.Query(listApplicationsUpSQL, listApplicationsDownSQL), p.Args(string(env), filter.WithEndpoints, filter.WithEnabledEndpoints)...)
	return row.Turned(apps, p.Turn), err
}
