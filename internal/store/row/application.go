package row

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// ApplicationSQL are the statements of applications: ref, environment, id, uid, name, throttle_rate, metadata,
// created_at, updated_at, tokens_not_before, version, deleted_at. All but Every leave out the deleted ones.
type ApplicationSQL struct {
	Insert      string   // all columns
	Update      string   // uid, name, throttle_rate, metadata, updated_at, tokens_not_before; ref
	Bury        []string // now, ref; deletes its endpoints, its sources and itself, which history still names
	Remove      []string // ref; deletes what is theirs and not history's, and its pollers
	ByID, ByUID string   // environment, id or uid
	ByRef       string   // ref
	List        Listing  // environment, behind and before an id, with endpoints, with enabled ones, limit
	Every       string   // by environment and id
}

func scanApplication(r Row) (hark.Application, error) {
	app := hark.Application{
		Ref: r.Int(0), EnvironmentID: hark.EnvironmentID(r.Text(1)), ID: hark.ApplicationID(r.Text(2)), UID: r.Text(3),
		Name: r.Text(4), ThrottleRate: int(r.Int(5)), CreatedAt: r.Time(7), UpdatedAt: r.Time(8), TokensNotBefore: r.Time(9), Version: r.Int(10),
	}
	return app, r.Decode(6, &app.Metadata)
}

func scanMovedApplication(r Row) (store.MovedApplication, error) {
	app, err := scanApplication(r)
	return store.MovedApplication{Application: app, DeletedAt: r.Time(11)}, err
}

func (sql *ApplicationSQL) insert(c Conn, app *store.MovedApplication) (hark.Ref, error) {
	return c.Insert("application", sql.Insert, string(app.EnvironmentID), string(app.ID), Nullable(app.UID), app.Name, app.ThrottleRate,
		EncodeMap(app.Metadata), app.CreatedAt, app.UpdatedAt, app.TokensNotBefore, app.Version, app.DeletedAt)
}

func (sql *ApplicationSQL) find(q Query, env hark.EnvironmentID, idOrUID string) (hark.Application, error) {
	return findEither(q, scanApplication, sql.ByID, sql.ByUID, string(env), idOrUID)
}

// findRaised finds an application as it is when its version has been raised.
func (sql *ApplicationSQL) findRaised(q Query, ref hark.Ref) (hark.Application, error) {
	app, err := Find(q, scanApplication, sql.ByRef, ref)
	app.Version++
	return app, err
}

// InsertApplication adds an application.
func (k *Kinds) InsertApplication(ctx context.Context, app hark.Application) (added hark.Application, err error) {
	sql := &k.sql.Application
	app.Version = 0 // it is raised at once
	err = k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		if err := freeUID(c.Query, "An application", sql.ByUID, string(app.EnvironmentID), app.UID, 0); err != nil {
			return 0, err
		}
		ref, err := sql.insert(c, &store.MovedApplication{Application: app})
		if err != nil {
			return 0, taken(err, "An application", string(app.ID))
		}
		added, err = sql.findRaised(c.Query, ref)
		return ref, err
	})
	return added, err
}

// UpdateApplication changes an application.
func (k *Kinds) UpdateApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Application) error) (app hark.Application, err error) {
	sql := &k.sql.Application
	err = k.access.Configure(ctx, func(c Conn) (_ hark.Ref, err error) {
		if app, err = sql.find(c.Query, env, idOrUID); err != nil {
			return 0, err
		}
		ref := app.Ref
		if err := change(&app); err != nil {
			return 0, err
		}
		if err := freeUID(c.Query, "An application", sql.ByUID, string(env), app.UID, ref); err != nil {
			return 0, err
		}
		if _, err := c.Exec(sql.Update, Nullable(app.UID), app.Name, app.ThrottleRate, EncodeMap(app.Metadata), app.UpdatedAt, app.TokensNotBefore, ref); err != nil {
			return 0, err
		}
		app, err = sql.findRaised(c.Query, ref)
		return ref, err
	})
	return app, err
}

// DeleteApplication makes an application disappear with its endpoints, sources, pollers and queue.
func (k *Kinds) DeleteApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error {
	sql := &k.sql.Application
	err := k.access.Configure(ctx, func(c Conn) (hark.Ref, error) {
		app, err := sql.find(c.Query, env, idOrUID)
		if err != nil {
			return 0, err
		}
		for _, query := range sql.Remove {
			if _, err := c.Exec(query, app.Ref); err != nil {
				return 0, err
			}
		}
		for _, query := range sql.Bury {
			if _, err := c.Exec(query, now, app.Ref); err != nil {
				return 0, err
			}
		}
		return app.Ref, nil
	})
	if err == nil {
		k.access.Sweep()
	}
	return err
}

// Application finds an application by id or uid.
func (k *Kinds) Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Application, error) {
	return answer(ctx, k.access.Read, func(q Query) (hark.Application, error) {
		return k.sql.Application.find(q, env, idOrUID)
	})
}

// ApplicationByRef finds an application.
func (k *Kinds) ApplicationByRef(ctx context.Context, ref hark.Ref) (hark.Application, error) {
	return Get(ctx, k.access.Read, scanApplication, k.sql.Application.ByRef, ref)
}

// ListApplications lists the applications of an environment.
func (k *Kinds) ListApplications(ctx context.Context, env hark.EnvironmentID, filter store.ApplicationFilter, page store.Page) ([]hark.Application, error) {
	return listPage(ctx, k, scanApplication, k.sql.Application.List, PageOfText(page), string(env), filter.WithEndpoints, filter.WithEnabledEndpoints)
}
