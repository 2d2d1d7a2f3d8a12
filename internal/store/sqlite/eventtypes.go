package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
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

// InsertEventType adds an event type.
func (s *Store) InsertEventType(ctx context.Context, et hark.EventType) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(insertEventTypeSQL, row.EventTypeValues(&et)...)
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
		if et, err = row.Find(c.query, row.ScanEventType, eventTypeSQL, string(env), name); err != nil {
			return err
		}
		if err := change(&et); err != nil {
			return err
		}
		if _, err := c.exec(updateEventTypeSQL, et.Description, et.GroupName, et.Archived, et.Deprecated,
			row.EncodeRaw(et.Schemas), row.Encode(et.FeatureFlags), et.UpdatedAt, string(env), name); err != nil {
			return err
		}
		et, err = row.Find(c.query, row.ScanEventType, eventTypeSQL, string(env), name)
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
func (s *Store) EventType(ctx context.Context, env hark.EnvironmentID, name string) (hark.EventType, error) {
	return row.Get(ctx, s.lend, row.ScanEventType, eventTypeSQL, string(env), name)
}

// ListEventTypes lists the event types of an environment by name.
func (s *Store) ListEventTypes(ctx context.Context, env hark.EnvironmentID, filter store.EventTypeFilter, page store.Page) ([]hark.EventType, error) {
	p := row.PageOfText(page)
	ets, err := row.List(ctx, s.lend, row.ScanEventType, p.Query(listEventTypesUpSQL, listEventTypesDownSQL), p.Args(string(env), filter.IncludeArchived, row.Encode(filter.Flags))...)
	return row.Turned(ets, p.Turn), err
}
