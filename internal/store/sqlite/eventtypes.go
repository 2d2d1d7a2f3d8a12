package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

const (
	eventTypeColumns = `SELECT environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at
FROM event_type `

	eventTypeSQL = eventTypeColumns + `WHERE environment = ? AND name = ?`

	insertEventTypeSQL = `INSERT INTO event_type (environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

	updateEventTypeSQL = `UPDATE event_type SET description = ?, group_name = ?, archived = ?, deprecated = ?, schemas = ?, feature_flags = ?, updated_at = ?
WHERE environment = ? AND name = ?`

	deleteEventTypeSQL = `DELETE FROM event_type WHERE environment = ? AND name = ?`

	listEventTypes = eventTypeColumns + `
WHERE environment = ?1 AND name > ?2 AND name < ?3
  AND (?4 <> 0 OR archived = 0)
  AND (?5 IS NULL OR feature_flags IS NULL OR feature_flags = '[]'
    OR EXISTS (SELECT 1 FROM json_each(feature_flags) f JOIN json_each(?5) g ON f.value = g.value))
`
	listEventTypesUpSQL   = listEventTypes + `ORDER BY name ASC LIMIT ?6`
	listEventTypesDownSQL = listEventTypes + `ORDER BY name DESC LIMIT ?6`
)

func scanEventType(r row) (hark.EventType, error) {
	et := hark.EventType{
		EnvironmentID: hark.EnvironmentID(r.text(0)), Name: r.text(1), Description: r.text(2), GroupName: r.text(3),
		Archived: r.bool(4), Deprecated: r.bool(5), Schemas: r.raw(6), CreatedAt: r.time(8), UpdatedAt: r.time(9),
	}
	return et, r.decode(7, &et.FeatureFlags)
}

// InsertEventType adds an event type.
func (s *Store) InsertEventType(ctx context.Context, et hark.EventType) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(insertEventTypeSQL, string(et.EnvironmentID), et.Name, et.Description, et.GroupName, et.Archived, et.Deprecated,
			encodeRaw(et.Schemas), encode(et.FeatureFlags), et.CreatedAt, et.UpdatedAt)
		if err == nil && n == 0 {
			return &hark.Error{Code: hark.EventTypeExists, Detail: "An event type with this name already exists", Existing: et.Name}
		}
		return err
	})
}

// UpdateEventType changes an event type.
func (s *Store) UpdateEventType(ctx context.Context, env hark.EnvironmentID, name string, change func(*hark.EventType) error) (hark.EventType, error) {
	var et hark.EventType
	err := s.change(ctx, func(c *conn) (err error) {
		if et, err = tryFind(c, scanEventType, eventTypeSQL, string(env), name); err != nil {
			return err
		}
		if err := change(&et); err != nil {
			return err
		}
		if _, err := c.exec(updateEventTypeSQL, et.Description, et.GroupName, et.Archived, et.Deprecated,
			encodeRaw(et.Schemas), encode(et.FeatureFlags), et.UpdatedAt, string(env), name); err != nil {
			return err
		}
		et, err = tryFind(c, scanEventType, eventTypeSQL, string(env), name)
		return err
	})
	return et, err
}

// DeleteEventType removes an event type for good.
func (s *Store) DeleteEventType(ctx context.Context, env hark.EnvironmentID, name string) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(deleteEventTypeSQL, string(env), name)
		if err == nil && n == 0 {
			return hark.ErrNotFound
		}
		return err
	})
}

// EventType finds an event type.
func (s *Store) EventType(ctx context.Context, env hark.EnvironmentID, name string) (et hark.EventType, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		et, err = tryFind(c, scanEventType, eventTypeSQL, string(env), name)
		return err
	})
	return et, err
}

// ListEventTypes lists the event types of an environment by name.
func (s *Store) ListEventTypes(ctx context.Context, env hark.EnvironmentID, filter store.EventTypeFilter, page store.Page) (ets []hark.EventType, err error) {
	p := pageOfText(page)
	err = s.read(ctx, func(c *conn) (err error) {
		ets, err = collect(c, scanEventType, pick(p.down, listEventTypesUpSQL, listEventTypesDownSQL),
			string(env), p.low, p.high, filter.IncludeArchived, encode(filter.Flags), p.limit)
		return err
	})
	return turned(ets, p.turn), err
}
