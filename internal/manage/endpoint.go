package manage

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
)

// maxEndpoints is how many endpoints one application may have: one message is copied to the queue
// of each.
const maxEndpoints = 10_000

// CreateEndpoint adds an endpoint to an application.
func (m *Manager) CreateEndpoint(ctx context.Context, c Caller, app string, in EndpointIn) (hark.Endpoint, error) {
	a, err := m.app(ctx, &c, opEndpointCreate, app)
	if err != nil {
		return hark.Endpoint{}, err
	}
	return m.createEndpoint(ctx, &c, a, in)
}

func (m *Manager) createEndpoint(ctx context.Context, c *Caller, app *directory.Application, in EndpointIn) (hark.Endpoint, error) {
	now := moment()
	ep := hark.Endpoint{
		ApplicationRef: app.Ref, ID: hark.NewEndpointID(now),
		Headers: map[string]string{}, CreatedAt: now, UpdatedAt: now,
	}
	known, err := m.knownTypes(ctx, c, in.EventTypes)
	if err != nil {
		return hark.Endpoint{}, err
	}
	var v check
	in.apply(&v, &ep, m.httpsOnly, known, now)
	if in.Headers.Given() {
		ep.Headers = v.headers(in.Headers.Value)
	}
	ep.Secrets = []hark.Secret{{Key: v.secret(in.Secret, "body", "secret"), CreatedAt: now}}
	if err := v.err(); err != nil {
		return hark.Endpoint{}, err
	}
	if len(app.Endpoints) >= maxEndpoints {
		return hark.Endpoint{}, hark.Errorf(hark.LimitReached, "An application can have %d endpoints.", maxEndpoints)
	}
	row, err := m.store.InsertEndpoint(ctx, ep)
	if err != nil {
		return hark.Endpoint{}, err
	}
	m.changed(app.Ref, row.Ref)
	m.auditEndpoint(ctx, c, opEndpointCreate, app, row.ID)
	return row, nil
}

// apply writes the input over an endpoint, as far as creating and replacing do the same.
func (in *EndpointIn) apply(v *check, ep *hark.Endpoint, httpsOnly bool, known map[string]bool, now time.Time) {
	ep.URL = v.url(in.URL, httpsOnly)
	v.text(in.Description, 0, maxText, "body", "description")
	ep.Description = in.Description
	v.uid(in.UID, hark.EndpointPrefix, "body", "uid")
	ep.UID = in.UID.Value
	ep.ThrottleRate = v.throttle(in.ThrottleRate)
	ep.Version = v.version(in.Version)
	setDisabled(ep, in.Disabled, now)
	ep.EventTypes = v.eventTypes(in.EventTypes, known)
	ep.Channels = v.channels(in.Channels)
	ep.Metadata = v.metadata(in.Metadata)
	in.EndpointSettings.apply(v, ep)
}

// ListEndpoints lists an application's endpoints, newest first unless asked otherwise.
func (m *Manager) ListEndpoints(ctx context.Context, c Caller, app string, in ListIn) (p Page[hark.Endpoint], err error) {
	a, err := m.app(ctx, &c, opEndpointList, app)
	if err != nil {
		return p, err
	}
	var v check
	l := v.list(in, hark.EndpointPrefix, true)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListEndpoints(ctx, a.Ref, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(e *hark.Endpoint) string { return string(e.ID) }), nil
}

// Endpoint finds an endpoint by id or uid.
func (m *Manager) Endpoint(ctx context.Context, c Caller, app, endpoint string) (hark.Endpoint, error) {
	a, ep, err := m.appEndpoint(ctx, &c, opEndpointGet, app, endpoint)
	if err != nil {
		return hark.Endpoint{}, err
	}
	return m.store.Endpoint(ctx, a.Ref, string(ep.ID))
}

// UpsertEndpoint replaces an endpoint, or creates one if there is none by that id or uid. Its
// secret and headers have operations of their own and stay.
func (m *Manager) UpsertEndpoint(ctx context.Context, c Caller, app, endpoint string, in EndpointIn) (row hark.Endpoint, created bool, err error) {
	a, ep, err := m.appEndpoint(ctx, &c, opEndpointUpsert, app, endpoint)
	if a != nil && errors.Is(err, hark.ErrNotFound) {
		row, err = m.createEndpoint(ctx, &c, a, in)
		return row, err == nil, err
	}
	if err != nil {
		return row, false, err
	}
	known, err := m.knownTypes(ctx, &c, in.EventTypes)
	if err != nil {
		return row, false, err
	}
	now := moment()
	row, err = m.updateEndpoint(ctx, &c, opEndpointUpsert, a, ep.ID, func(v *check, e *hark.Endpoint) {
		in.apply(v, e, m.httpsOnly, known, now)
	})
	return row, false, err
}

// PatchEndpoint changes the fields that are set.
func (m *Manager) PatchEndpoint(ctx context.Context, c Caller, app, endpoint string, in EndpointPatch) (row hark.Endpoint, err error) {
	a, ep, err := m.appEndpoint(ctx, &c, opEndpointPatch, app, endpoint)
	if err != nil {
		return row, err
	}
	known, err := m.knownTypes(ctx, &c, in.EventTypes.Value)
	if err != nil {
		return row, err
	}
	if in.Secret.Given() && c.Portal && c.Capabilities&rotate == 0 {
		return row, errForbidden
	}
	var once check // what must not be made anew when the store runs the change again
	var secret hark.SecretKey
	if in.Secret.Given() {
		secret = once.secret(in.Secret, "body", "secret")
	}
	now := moment()
	return m.updateEndpoint(ctx, &c, opEndpointPatch, a, ep.ID, func(v *check, e *hark.Endpoint) {
		v.fields = append(v.fields, once.fields...)
		in.apply(v, e, m.httpsOnly, known, now)
		if secret != "" {
			e.Secrets = []hark.Secret{{Key: secret, CreatedAt: now}}
		}
	})
}

func (in *EndpointPatch) apply(v *check, e *hark.Endpoint, httpsOnly bool, known map[string]bool, now time.Time) {
	if in.URL.Set {
		e.URL = v.url(in.URL.Value, httpsOnly)
	}
	if in.Description.Set {
		v.text(in.Description.Value, 0, maxText, "body", "description")
		e.Description = in.Description.Value
	}
	if in.UID.Set {
		v.uid(in.UID, hark.EndpointPrefix, "body", "uid")
		e.UID = in.UID.Value
	}
	if in.ThrottleRate.Set {
		e.ThrottleRate = v.throttle(in.ThrottleRate)
	}
	if in.Version.Set {
		e.Version = v.version(in.Version)
	}
	if in.Disabled.Given() {
		setDisabled(e, in.Disabled.Value, now)
	}
	if in.EventTypes.Set {
		e.EventTypes = v.eventTypes(in.EventTypes.Value, known)
	}
	if in.Channels.Set {
		e.Channels = v.channels(in.Channels.Value)
	}
	if in.Metadata.Set {
		e.Metadata = v.metadata(in.Metadata.Value)
	}
	in.EndpointSettings.apply(v, e)
}

// DeleteEndpoint makes an endpoint disappear, with all that is queued for it. History still names it.
func (m *Manager) DeleteEndpoint(ctx context.Context, c Caller, app, endpoint string) error {
	a, ep, err := m.appEndpoint(ctx, &c, opEndpointDelete, app, endpoint)
	if err != nil {
		return err
	}
	if err := m.store.DeleteEndpoint(ctx, a.Ref, string(ep.ID), time.Now()); err != nil {
		return err
	}
	m.changed(a.Ref, ep.Ref)
	m.auditEndpoint(ctx, &c, opEndpointDelete, a, ep.ID)
	return nil
}

// PauseEndpoint holds deliveries until the endpoint is resumed; new ones are made and held too.
func (m *Manager) PauseEndpoint(ctx context.Context, c Caller, app, endpoint string) (hark.Endpoint, error) {
	return m.turn(ctx, &c, opEndpointPause, app, endpoint, func(e *hark.Endpoint) { e.Paused = true })
}

// ResumeEndpoint lets held deliveries go.
func (m *Manager) ResumeEndpoint(ctx context.Context, c Caller, app, endpoint string) (hark.Endpoint, error) {
	return m.turn(ctx, &c, opEndpointResume, app, endpoint, func(e *hark.Endpoint) { e.Paused = false })
}

// EnableEndpoint lets messages match the endpoint again. What was queued when it was disabled goes
// on; what came meanwhile was not matched and can be sent by ReplayMissing.
func (m *Manager) EnableEndpoint(ctx context.Context, c Caller, app, endpoint string) (hark.Endpoint, error) {
	now := moment()
	return m.turn(ctx, &c, opEndpointEnable, app, endpoint, func(e *hark.Endpoint) { setDisabled(e, false, now) })
}

// DisableEndpoint makes messages no longer match the endpoint. What is queued for it is held.
func (m *Manager) DisableEndpoint(ctx context.Context, c Caller, app, endpoint string) (hark.Endpoint, error) {
	now := moment()
	return m.turn(ctx, &c, opEndpointDisable, app, endpoint, func(e *hark.Endpoint) { setDisabled(e, true, now) })
}

func (m *Manager) turn(ctx context.Context, c *Caller, op operation, app, endpoint string, change func(*hark.Endpoint)) (hark.Endpoint, error) {
	a, ep, err := m.appEndpoint(ctx, c, op, app, endpoint)
	if err != nil {
		return hark.Endpoint{}, err
	}
	return m.updateEndpoint(ctx, c, op, a, ep.ID, func(_ *check, e *hark.Endpoint) { change(e) })
}

// setDisabled is for people; when Hark disables an endpoint it also says why.
func setDisabled(e *hark.Endpoint, disabled bool, now time.Time) {
	if e.Disabled == disabled {
		return
	}
	e.Disabled, e.DisabledReason, e.DisabledAt = disabled, "", time.Time{}
	if disabled {
		e.DisabledAt = now
	}
}

// TakeOut disables an endpoint for the delivery engine; reason is "gone" or "failing". No caller
// asks for it, so no permission is needed.
func (m *Manager) TakeOut(ctx context.Context, app, endpoint hark.Ref, reason string) error {
	a, err := m.directory.ByRef(ctx, app)
	if err != nil {
		return err
	}
	ep := a.Endpoint(endpoint)
	if ep == nil {
		return hark.ErrNotFound
	}
	now := moment()
	hand := Caller{EnvironmentID: a.EnvironmentID, Actor: "hark: " + reason}
	_, err = m.updateEndpoint(ctx, &hand, opEndpointDisable, a, ep.ID, func(_ *check, e *hark.Endpoint) {
		if !e.Disabled {
			e.Disabled, e.DisabledReason, e.DisabledAt = true, reason, now
		}
	})
	return err
}

// updateEndpoint changes an endpoint and tells everybody.
func (m *Manager) updateEndpoint(ctx context.Context, c *Caller, op operation, app *directory.Application, id hark.EndpointID, change func(*check, *hark.Endpoint)) (hark.Endpoint, error) {
	now := moment()
	row, err := m.store.UpdateEndpoint(ctx, app.Ref, string(id), func(e *hark.Endpoint) error {
		var v check
		change(&v, e)
		e.UpdatedAt = now
		return v.err()
	})
	if err != nil {
		return hark.Endpoint{}, err
	}
	m.changed(app.Ref, row.Ref)
	m.auditEndpoint(ctx, c, op, app, row.ID)
	return row, nil
}

func (m *Manager) auditEndpoint(ctx context.Context, c *Caller, op operation, app *directory.Application, id hark.EndpointID) {
	m.audit(ctx, c, op, slog.String("app", string(app.ID)), slog.String("endpoint", string(id)))
}

func (v *check) url(raw string, httpsOnly bool) string {
	if raw == "" {
		v.wrong("must not be empty", "body", "url")
		return ""
	}
	url, err := outbound.Normalize(raw)
	if err != nil {
		v.wrong(err.Error(), "body", "url")
		return ""
	}
	if httpsOnly && !strings.HasPrefix(url, "https:") {
		v.wrong("must be an https URL on this server", "body", "url")
	}
	return url
}

func (v *check) version(version Opt[int]) int {
	v.between(version, 1, 1<<31-1, "body", "version")
	return max(version.Value, 1)
}
