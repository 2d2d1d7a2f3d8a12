package manage

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// maxFlags is how many feature flags an event type or a token may have.
const maxFlags = 25

// sees says whether an event type is visible to the caller: customers do not see those behind
// feature flags of which they have none.
func (c *Caller) sees(et *hark.EventType) bool {
	if !c.Portal || len(et.FeatureFlags) == 0 {
		return true
	}
	return slices.ContainsFunc(et.FeatureFlags, func(f string) bool { return slices.Contains(c.Flags, f) })
}

// apply writes the input over an event type.
func (in *EventTypeIn) apply(v *check, et *hark.EventType) {
	v.name(in.Name, nameChars, maxName, "body", "name")
	v.text(in.Description, 0, maxText, "body", "description")
	et.Name, et.Description = in.Name, in.Description
	et.Archived, et.Deprecated = in.Archived, in.Deprecated
	et.Schemas = v.schemas(in.Schemas)
	et.FeatureFlags = v.featureFlags(in.FeatureFlag, in.FeatureFlags)
	et.GroupName = v.groupName(in.GroupName)
}

// featureFlags brings the old singular and the plural together; the plural wins.
func (v *check) featureFlags(one Opt[string], list Opt[[]string]) []string {
	if list.Given() {
		flags := unique(list.Value)
		v.names(flags, nameChars, maxName, 1, maxFlags, "body", "featureFlags")
		return flags
	}
	if one.Given() {
		v.name(one.Value, nameChars, maxName, "body", "featureFlag")
		return []string{one.Value}
	}
	return nil
}

func (v *check) groupName(in Opt[string]) string {
	if in.Given() {
		v.name(in.Value, nameChars, maxName, "body", "groupName")
	}
	return in.Value
}

// CreateEventType registers an event type. One that is archived comes back with the new content.
func (m *Manager) CreateEventType(ctx context.Context, c Caller, in EventTypeIn) (hark.EventType, error) {
	if err := c.permit(opEventTypeCreate); err != nil {
		return hark.EventType{}, err
	}
	return m.createEventType(ctx, &c, opEventTypeCreate, in)
}

func (m *Manager) createEventType(ctx context.Context, c *Caller, op operation, in EventTypeIn) (hark.EventType, error) {
	now := moment()
	et := hark.EventType{EnvironmentID: c.EnvironmentID, CreatedAt: now, UpdatedAt: now}
	var v check
	in.apply(&v, &et)
	if err := v.err(); err != nil {
		return hark.EventType{}, err
	}
	err := m.store.InsertEventType(ctx, et)
	if hark.CodeOf(err) == hark.EventTypeExists {
		et, err = m.store.UpdateEventType(ctx, c.EnvironmentID, in.Name, func(old *hark.EventType) error {
			if !old.Archived {
				return &hark.Error{Code: hark.EventTypeExists, Existing: in.Name,
					Detail: "An event type of this name exists already"}
			}
			in.apply(&v, old)
			old.UpdatedAt = now
			return nil
		})
	}
	if err != nil {
		return hark.EventType{}, err
	}
	m.audit(ctx, c, op, slog.String("event_type", et.Name))
	return et, nil
}

// ListEventTypes lists the event types that the caller sees, by name.
func (m *Manager) ListEventTypes(ctx context.Context, c Caller, in EventTypeListIn) (p Page[hark.EventType], err error) {
	if err := c.permit(opEventTypeList); err != nil {
		return p, err
	}
	var v check
	in.Descending = nil
	l := v.list(in.ListIn, "", false)
	if err := v.err(); err != nil {
		return p, err
	}
	filter := store.EventTypeFilter{IncludeArchived: in.IncludeArchived}
	if c.Portal {
		filter.Flags = c.Flags
		if filter.Flags == nil {
			filter.Flags = []string{}
		}
	}
	rows, err := m.store.ListEventTypes(ctx, c.EnvironmentID, filter, l.page)
	if err != nil {
		return p, err
	}
	p = pageOf(l, rows, func(et *hark.EventType) string { return et.Name })
	if !in.WithContent {
		for i := range p.Items {
			p.Items[i].Schemas = nil
		}
	}
	return p, nil
}

// EventType finds an event type, archived or not.
func (m *Manager) EventType(ctx context.Context, c Caller, name string) (hark.EventType, error) {
	if err := c.permit(opEventTypeGet); err != nil {
		return hark.EventType{}, err
	}
	et, err := m.store.EventType(ctx, c.EnvironmentID, name)
	if err != nil {
		return hark.EventType{}, err
	}
	if !c.sees(&et) {
		return hark.EventType{}, hark.ErrNotFound
	}
	return et, nil
}

// UpsertEventType replaces an event type, or creates it.
func (m *Manager) UpsertEventType(ctx context.Context, c Caller, name string, in EventTypeIn) (et hark.EventType, created bool, err error) {
	if err := c.permit(opEventTypeUpsert); err != nil {
		return et, false, err
	}
	in.Name = name
	et, err = m.updateEventType(ctx, &c, opEventTypeUpsert, name, in.apply)
	if errors.Is(err, hark.ErrNotFound) {
		et, err = m.createEventType(ctx, &c, opEventTypeUpsert, in)
		return et, err == nil, err
	}
	return et, false, err
}

// PatchEventType changes the fields that are set.
func (m *Manager) PatchEventType(ctx context.Context, c Caller, name string, in EventTypePatch) (hark.EventType, error) {
	if err := c.permit(opEventTypePatch); err != nil {
		return hark.EventType{}, err
	}
	return m.updateEventType(ctx, &c, opEventTypePatch, name, func(v *check, et *hark.EventType) {
		if in.Description.Given() {
			v.text(in.Description.Value, 0, maxText, "body", "description")
			et.Description = in.Description.Value
		}
		if in.Archived.Given() {
			et.Archived = in.Archived.Value
		}
		if in.Deprecated.Given() {
			et.Deprecated = in.Deprecated.Value
		}
		if in.Schemas.Set {
			et.Schemas = v.schemas(in.Schemas)
		}
		if in.FeatureFlag.Set || in.FeatureFlags.Set {
			et.FeatureFlags = v.featureFlags(in.FeatureFlag, in.FeatureFlags)
		}
		if in.GroupName.Set {
			et.GroupName = v.groupName(in.GroupName)
		}
	})
}

// DeleteEventType archives an event type, or with expunge removes it for good.
func (m *Manager) DeleteEventType(ctx context.Context, c Caller, name string, expunge bool) error {
	if err := c.permit(opEventTypeDelete); err != nil {
		return err
	}
	if expunge {
		if err := m.store.DeleteEventType(ctx, c.EnvironmentID, name); err != nil {
			return err
		}
		m.audit(ctx, &c, opEventTypeDelete, slog.String("event_type", name), slog.Bool("expunge", true))
		return nil
	}
	_, err := m.updateEventType(ctx, &c, opEventTypeDelete, name, func(_ *check, et *hark.EventType) { et.Archived = true })
	return err
}

func (m *Manager) updateEventType(ctx context.Context, c *Caller, op operation, name string, change func(*check, *hark.EventType)) (hark.EventType, error) {
	now := moment()
	et, err := m.store.UpdateEventType(ctx, c.EnvironmentID, name, func(et *hark.EventType) error {
		var v check
		change(&v, et)
		et.UpdatedAt = now
		return v.err()
	})
	if err != nil {
		return hark.EventType{}, err
	}
	m.audit(ctx, c, op, slog.String("event_type", name))
	return et, nil
}
