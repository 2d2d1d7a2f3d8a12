package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	applicationColumns = `SELECT ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version FROM application `

	applicationByIDSQL = applicationColumns + `WHERE environment = $1 AND id = $2 AND deleted_at = 0`

	applicationByUIDSQL = applicationColumns + `WHERE environment = $1 AND uid = $2 AND deleted_at = 0`

	applicationByRefSQL = applicationColumns + `WHERE ref = $1 AND deleted_at = 0`

	insertApplicationSQL = `INSERT INTO application (ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0)`

	updateApplicationSQL = `UPDATE application SET uid = $1, name = $2, throttle_rate = $3, metadata = $4, updated_at = $5, tokens_not_before = $6 WHERE ref = $7`

	deleteApplicationSQL = `UPDATE application SET uid = NULL, deleted_at = $1 WHERE ref = $2`

	deleteApplicationEndpointsSQL = `UPDATE endpoint SET uid = NULL, deleted_at = $1 WHERE application = $2 AND deleted_at = 0`

	listApplications = applicationColumns + `
WHERE environment = $1 AND id > $2 AND id < $3 AND deleted_at = 0
  AND (NOT $4::boolean OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0))
  AND (NOT $5::boolean OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0 AND NOT e.disabled))
`
	listApplicationsUpSQL   = listApplications + `ORDER BY id ASC LIMIT $6`
	listApplicationsDownSQL = listApplications + `ORDER BY id DESC LIMIT $6`
)

// InsertApplication adds an application.
func (s *Store) InsertApplication(ctx context.Context, app hark.Application) (hark.Application, error) {
	var added hark.Application
	err := s.configure(ctx, func(c *conn) (hark.Ref, error) {
		if err := row.FreeUID(c.query, "An application", applicationByUIDSQL, string(app.EnvironmentID), app.UID, 0); err != nil {
			return 0, err
		}
		ref, err := next(c, "application")
		if err != nil {
			return 0, err
		}
		_, err = c.exec(insertApplicationSQL, ref, string(app.EnvironmentID), string(app.ID), row.Nullable(app.UID), app.Name,
			app.ThrottleRate, row.EncodeMap(app.Metadata), app.CreatedAt, app.UpdatedAt, app.TokensNotBefore)
		if isUnique(err) {
			return 0, row.Conflict("An application with this id already exists", string(app.ID))
		}
		if err != nil {
			return 0, err
		}
		added, err = row.Find(c.query, row.ScanApplication, applicationByRefSQL, ref)
		added.Version++ // configure raises it
		return ref, err
	})
	return added, err
}

// UpdateApplication changes an application.
func (s *Store) UpdateApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Application) error) (hark.Application, error) {
	var app hark.Application
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if app, err = findApplication(c, env, idOrUID); err != nil {
			return 0, err
		}
		ref := app.Ref
		if err := change(&app); err != nil {
			return 0, err
		}
		if err := row.FreeUID(c.query, "An application", applicationByUIDSQL, string(env), app.UID, ref); err != nil {
			return 0, err
		}
		if _, err := c.exec(updateApplicationSQL, row.Nullable(app.UID), app.Name, app.ThrottleRate, row.EncodeMap(app.Metadata), app.UpdatedAt, app.TokensNotBefore, ref); err != nil {
			return 0, err
		}
		app, err = row.Find(c.query, row.ScanApplication, applicationByRefSQL, ref)
		app.Version++
		return ref, err
	})
	return app, err
}

// DeleteApplication makes an application disappear with its endpoints and its queue.
func (s *Store) DeleteApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error {
	err := s.configure(ctx, func(c *conn) (hark.Ref, error) {
		app, err := findApplication(c, env, idOrUID)
		if err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteApplicationEndpointsSQL, now, app.Ref); err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteApplicationVersionsSQL, app.Ref); err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteApplicationTokensSQL, app.Ref); err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteApplicationSourcesSQL, now, app.Ref); err != nil {
			return 0, err
		}
		if err := deleteApplicationPollers(c, app.Ref); err != nil {
			return 0, err
		}
		_, err = c.exec(deleteApplicationSQL, now, app.Ref)
		return app.Ref, err
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
