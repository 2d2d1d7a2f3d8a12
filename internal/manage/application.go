package manage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

func (in *ApplicationIn) check(v *check, loc ...string) {
	at := func(field string) []string { return append(append([]string{"body"}, loc...), field) }
	v.text(in.Name, 1, maxText, at("name")...)
	v.uid(in.UID, hark.ApplicationPrefix, at("uid")...)
}

// apply writes the input over an application.
func (in *ApplicationIn) apply(v *check, app *hark.Application) {
	in.check(v)
	app.Name = in.Name
	app.UID = in.UID.Value
	app.ThrottleRate = v.throttle(in.ThrottleRate)
	app.Metadata = v.metadata(in.Metadata)
}

// CreateApplication adds an application. With getIfExists, one that has the uid already is answered
// as it is, and created is false.
func (m *Manager) CreateApplication(ctx context.Context, c Caller, in ApplicationIn, getIfExists bool) (app hark.Application, created bool, err error) {
	if err := c.permit(opApplicationCreate); err != nil {
		return app, false, err
	}
	return m.createApplication(ctx, &c, in, getIfExists)
}

func (m *Manager) createApplication(ctx context.Context, c *Caller, in ApplicationIn, getIfExists bool) (app hark.Application, created bool, err error) {
	now := moment()
	app = hark.Application{ID: hark.NewApplicationID(now), EnvironmentID: c.EnvironmentID, CreatedAt: now, UpdatedAt: now}
	var v check
	in.apply(&v, &app)
	if err := v.err(); err != nil {
		return hark.Application{}, false, err
	}
	row, err := m.store.InsertApplication(ctx, app)
	if getIfExists && app.UID != "" && hark.CodeOf(err) == hark.Conflict {
		row, err = m.store.Application(ctx, c.EnvironmentID, app.UID)
		return row, false, err
	}
	if err != nil {
		return hark.Application{}, false, err
	}
	m.audit(ctx, c, opApplicationCreate, slog.String("app", string(row.ID)))
	return row, true, nil
}

// ListApplications lists the environment's applications, oldest first unless asked otherwise.
func (m *Manager) ListApplications(ctx context.Context, c Caller, in ApplicationListIn) (p Page[hark.Application], err error) {
	if err := c.permit(opApplicationList); err != nil {
		return p, err
	}
	var v check
	l := v.list(in.ListIn, hark.ApplicationPrefix, false)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListApplications(ctx, c.EnvironmentID, store.ApplicationFilter{
		WithEndpoints:        in.ExcludeWithoutEndpoints,
		WithEnabledEndpoints: in.ExcludeWithoutEnabledEndpoints,
	}, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(a *hark.Application) string { return string(a.ID) }), nil
}

// Application finds an application by id or uid.
func (m *Manager) Application(ctx context.Context, c Caller, app string) (hark.Application, error) {
	a, err := m.app(ctx, &c, opApplicationGet, app)
	if err != nil {
		return hark.Application{}, err
	}
	return m.store.Application(ctx, c.EnvironmentID, string(a.ID))
}

// UpsertApplication replaces an application, or creates a new one if there is none by that id or
// uid; what the path says is then not its uid, unless in says so too.
func (m *Manager) UpsertApplication(ctx context.Context, c Caller, app string, in ApplicationIn) (row hark.Application, created bool, err error) {
	if err := c.permit(opApplicationUpsert); err != nil {
		return row, false, err
	}
	row, err = m.updateApplication(ctx, &c, opApplicationUpsert, app, in.apply)
	if errors.Is(err, hark.ErrNotFound) {
		return m.createApplication(ctx, &c, in, false)
	}
	return row, false, err
}

// PatchApplication changes the fields that are set.
func (m *Manager) PatchApplication(ctx context.Context, c Caller, app string, in ApplicationPatch) (row hark.Application, err error) {
	if _, err := m.app(ctx, &c, opApplicationPatch, app); err != nil {
		return row, err
	}
	return m.updateApplication(ctx, &c, opApplicationPatch, app, func(v *check, a *hark.Application) {
		if in.Name.Set {
			v.text(in.Name.Value, 1, maxText, "body", "name")
			a.Name = in.Name.Value
		}
		if in.UID.Set {
			v.uid(in.UID, hark.ApplicationPrefix, "body", "uid")
			a.UID = in.UID.Value
		}
		if in.ThrottleRate.Set {
			a.ThrottleRate = v.throttle(in.ThrottleRate)
		}
		if in.Metadata.Set {
			a.Metadata = v.metadata(in.Metadata.Value)
		}
	})
}

// updateApplication changes an application and tells everybody.
func (m *Manager) updateApplication(ctx context.Context, c *Caller, op operation, app string, change func(*check, *hark.Application)) (hark.Application, error) {
	now := moment()
	row, err := m.store.UpdateApplication(ctx, c.EnvironmentID, app, func(a *hark.Application) error {
		var v check
		change(&v, a)
		a.UpdatedAt = now
		return v.err()
	})
	if err != nil {
		return hark.Application{}, err
	}
	m.directory.Forget(row.Ref)
	if a, err := m.directory.ByRef(ctx, row.Ref); err == nil { // its throttle concerns all of them
		m.changed(row.Ref, endpointRefs(a)...)
	}
	m.audit(ctx, c, op, slog.String("app", string(row.ID)))
	return row, nil
}

// DeleteApplication makes an application disappear, with its endpoints and all that is queued.
func (m *Manager) DeleteApplication(ctx context.Context, c Caller, app string) error {
	a, err := m.app(ctx, &c, opApplicationDelete, app)
	if err != nil {
		return err
	}
	if err := m.store.DeleteApplication(ctx, c.EnvironmentID, string(a.ID), time.Now()); err != nil {
		return err
	}
	m.changed(a.Ref, endpointRefs(a)...)
	m.audit(ctx, &c, opApplicationDelete, slog.String("app", string(a.ID)))
	return nil
}

// appOrNew finds the application of a path, or creates the one that came along with the request;
// then its uid must be given and be what the path says.
func (m *Manager) appOrNew(ctx context.Context, c *Caller, path string, in *ApplicationIn) error {
	_, err := m.findApp(ctx, c, path)
	if in == nil || !errors.Is(err, hark.ErrNotFound) || c.ApplicationID != "" {
		return err
	}
	var v check
	switch {
	case !in.UID.Given():
		v.wrongType("application_uid_missing", "the application's uid is needed to create it", "body", "application", "uid")
	case in.UID.Value != path:
		v.wrongType("application_uid_mismatch", "the application's uid must be the one in the path", "body", "application", "uid")
	}
	in.check(&v, "application")
	if err := v.err(); err != nil {
		return err
	}
	_, _, err = m.createApplication(ctx, c, *in, true)
	return err
}
