package svix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/outbound"
)

// What is here already is compared by when it was last changed: an import leaves Svix's own time
// behind, so a later one was somebody's here.

type verdict int

const (
	same  verdict = iota // as it was
	stale                // changed in Svix
	ours                 // changed here
)

func compare(here, there time.Time) verdict {
	switch here.Compare(there.UTC().Truncate(time.Millisecond)) {
	case 0:
		return same
	case 1:
		return ours
	}
	return stale
}

// judge counts what is here already, and says whether it must be brought up to date.
func (t *Tally) judge(v verdict) (update bool) {
	switch v {
	case same:
		t.Unchanged++
	case ours:
		t.Kept++
	case stale:
		t.Updated++
	}
	return v == stale
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (i *importer) eventTypes(ctx context.Context, db *database) error {
	return each(ctx, db, eventTypesSQL, i.opt.Organization, func(t *eventType, _ *metadata) error {
		defer i.progress()
		tally := &i.report.EventTypes
		want := hark.EventType{
			EnvironmentID: i.env, Name: t.Name, Description: t.Description, Archived: t.Deleted, Deprecated: t.Deprecated,
			CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
		}
		if !isNull(t.Schemas) {
			want.Schemas = t.Schemas
		}
		if t.FeatureFlag != "" {
			want.FeatureFlags = []string{t.FeatureFlag}
		}
		here, err := i.to.EventType(ctx, i.env, t.Name)
		switch {
		case errors.Is(err, hark.ErrNotFound):
			tally.Added++
			if i.opt.DryRun {
				return nil
			}
			err = i.to.InsertEventType(ctx, want)
		case err != nil:
		case tally.judge(compare(here.UpdatedAt, want.UpdatedAt)) && !i.opt.DryRun:
			_, err = i.to.UpdateEventType(ctx, i.env, t.Name, func(et *hark.EventType) error {
				want.GroupName, want.CreatedAt = et.GroupName, et.CreatedAt
				*et = want
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("import event type %s: %w", t.Name, err)
		}
		return nil
	})
}

func (i *importer) allApplications(ctx context.Context, db *database) error {
	query := applicationsSQL
	if there, err := db.hasTable(ctx, "applicationmetadata"); err != nil {
		return err
	} else if !there {
		query = plainApplicationsSQL
	}
	return each(ctx, db, query, i.opt.Organization, func(a *application, meta *metadata) error {
		defer i.progress()
		if err := i.application(ctx, a, meta); err != nil {
			return fmt.Errorf("import application %s: %w", a.ID, err)
		}
		return nil
	})
}

func (i *importer) application(ctx context.Context, a *application, meta *metadata) error {
	tally := &i.report.Applications
	here, err := i.to.Application(ctx, i.env, a.ID)
	there := err == nil && string(here.ID) == a.ID
	if err != nil && !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	if a.Deleted {
		if there {
			i.note("application "+a.ID, "it was deleted in Svix and is still here: delete it here as well, if that is meant")
		}
		return nil
	}
	if _, err := hark.ParseID(a.ID, hark.ApplicationPrefix); err != nil {
		tally.Skipped++
		i.note("application "+a.ID, "its id is none that Hark can keep")
		return nil
	}
	want := hark.Application{
		ID: hark.ApplicationID(a.ID), EnvironmentID: i.env, UID: a.UID, Name: a.Name, ThrottleRate: a.RateLimit, Metadata: meta.Data,
		CreatedAt: a.CreatedAt, UpdatedAt: latest(a.UpdatedAt, meta.UpdatedAt),
	}
	place := &placed{ref: here.Ref}
	switch {
	case !there && i.opt.DryRun:
		tally.Added++
		err = nil
	case !there:
		here, err = i.to.InsertApplication(ctx, want)
		if hark.CodeOf(err) == hark.Conflict {
			tally.Skipped++
			i.note("application "+a.ID, "%v", err)
			return nil
		}
		tally.Added++
		place.ref = here.Ref
	case tally.judge(compare(here.UpdatedAt, want.UpdatedAt)) && !i.opt.DryRun:
		_, err = i.to.UpdateApplication(ctx, i.env, a.ID, func(app *hark.Application) error {
			app.UID, app.Name, app.ThrottleRate, app.Metadata, app.UpdatedAt = want.UID, want.Name, want.ThrottleRate, want.Metadata, want.UpdatedAt
			return nil
		})
		if hark.CodeOf(err) == hark.Conflict {
			i.note("application "+a.ID, "it was not changed: %v", err)
			tally.Updated--
			tally.Skipped++
			err = nil
		}
	default:
		err = nil
	}
	if err == nil {
		i.applications[a.ID] = place
	}
	return err
}

func (i *importer) endpoints(ctx context.Context, db *database) error {
	query := endpointsSQL
	if there, err := db.hasTable(ctx, "endpointmetadata"); err != nil {
		return err
	} else if !there {
		query = plainEndpointsSQL
	}
	return each(ctx, db, query, i.opt.Organization, func(e *endpoint, meta *metadata) error {
		defer i.progress()
		app := i.applications[e.AppID]
		if app == nil {
			if !e.Deleted {
				i.report.Endpoints.Skipped++
				i.note("endpoint "+e.ID, "its application %s was not taken", e.AppID)
			}
			return nil
		}
		if err := i.endpoint(ctx, app, e, meta); err != nil {
			return fmt.Errorf("import endpoint %s: %w", e.ID, err)
		}
		return nil
	})
}

func (i *importer) endpoint(ctx context.Context, app *placed, e *endpoint, meta *metadata) error {
	tally := &i.report.Endpoints
	var here hark.Endpoint
	err := error(hark.ErrNotFound)
	if app.ref != 0 {
		here, err = i.to.Endpoint(ctx, app.ref, e.ID)
	}
	there := err == nil && string(here.ID) == e.ID
	if err != nil && !errors.Is(err, hark.ErrNotFound) {
		return err
	}
	if e.Deleted {
		if there {
			i.note("endpoint "+e.ID, "it was deleted in Svix and is still here: delete it here as well, if that is meant")
		}
		return nil
	}
	changed := latest(e.UpdatedAt, meta.UpdatedAt)
	if there && !tally.judge(compare(here.UpdatedAt, changed)) {
		return nil
	}
	want, err := i.translate(e, meta)
	if errors.Is(err, ErrMainSecret) {
		return err
	}
	if err != nil {
		if there {
			tally.Updated--
		}
		tally.Skipped++
		i.note("endpoint "+e.ID, "%v", err)
		return nil
	}
	want.ApplicationRef, want.UpdatedAt = app.ref, changed
	if !there {
		tally.Added++
	}
	if i.opt.DryRun {
		return nil
	}
	if there {
		_, err = i.to.UpdateEndpoint(ctx, app.ref, e.ID, func(ep *hark.Endpoint) error { update(ep, &want); return nil })
	} else {
		_, err = i.to.InsertEndpoint(ctx, want)
	}
	if hark.CodeOf(err) == hark.Conflict {
		if there {
			tally.Updated--
		} else {
			tally.Added--
		}
		tally.Skipped++
		i.note("endpoint "+e.ID, "%v", err)
		return nil
	}
	return err
}

// update changes what Svix knows of an endpoint, and leaves Hark's own settings as they are.
func update(ep, want *hark.Endpoint) {
	ep.UID, ep.URL, ep.Description, ep.Version, ep.Metadata = want.UID, want.URL, want.Description, want.Version, want.Metadata
	ep.Headers, ep.Secrets, ep.EventTypes, ep.Channels = want.Headers, want.Secrets, want.EventTypes, want.Channels
	ep.Disabled, ep.DisabledReason, ep.DisabledAt = want.Disabled, "", want.DisabledAt
	ep.ThrottleRate, ep.UpdatedAt = want.ThrottleRate, want.UpdatedAt
}

// translate makes an endpoint of Hark's; its error says why that cannot be.
func (i *importer) translate(e *endpoint, meta *metadata) (ep hark.Endpoint, err error) {
	what := "endpoint " + e.ID
	if _, err := hark.ParseID(e.ID, hark.EndpointPrefix); err != nil {
		return ep, errors.New("its id is none that Hark can keep")
	}
	ep = hark.Endpoint{
		ID: hark.EndpointID(e.ID), UID: e.UID, Description: e.Description, Version: e.Version, Metadata: meta.Data,
		EventTypes: e.EventTypes, Channels: e.Channels, Disabled: e.Disabled, ThrottleRate: e.RateLimit, CreatedAt: e.CreatedAt,
	}
	if ep.URL, err = outbound.Normalize(e.URL); err != nil {
		return ep, fmt.Errorf("its URL: %w", err)
	}
	if _, err := match.Compile(match.Rule{EventTypes: ep.EventTypes, Channels: ep.Channels}); err != nil {
		return ep, fmt.Errorf("its filters: %w", err)
	}
	if e.Disabled {
		ep.DisabledAt = e.UpdatedAt
	}
	key, err := i.opener.open(e.Key)
	if err != nil {
		return ep, err
	}
	old, problems := i.opener.openOld(e.OldKeys, e.CreatedAt, i.now)
	for _, problem := range problems {
		i.note(what, "%v; the current one was taken", problem)
	}
	current := hark.Secret{Key: key, CreatedAt: e.CreatedAt}
	if len(old) > 0 { // it has replaced them
		current.CreatedAt = e.UpdatedAt
	}
	ep.Secrets = append([]hark.Secret{current}, old...)
	ep.Headers = i.headers(what, e.Headers)
	if !isNull(e.RetrySchedule) {
		i.note(what, "its own retry schedule was not taken: %s", brief(e.RetrySchedule))
	}
	if strings.TrimSpace(e.Filter) != "" {
		ep.Paused = true
		i.note(what, "its payload filter cannot be translated; it is paused, so that nothing is sent that it would have held back: set a filter of Hark's and resume it")
	}
	return ep, nil
}

// headers leaves out what Hark does not let an endpoint set.
func (i *importer) headers(what string, given map[string]string) map[string]string {
	if len(given) == 0 {
		return nil
	}
	taken := make(map[string]string, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if problem := outbound.FieldProblem(name, given[name]); problem != "" {
			i.note(what, "its header %q was not taken: %s", name, problem)
			continue
		}
		taken[name] = given[name]
	}
	return taken
}

// brief quotes a value that is no secret.
func brief(raw json.RawMessage) string {
	const most = 100
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}
