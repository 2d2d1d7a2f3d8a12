package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	eventTypeColumns = `SELECT environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at
FROM event_type `

	eventTypeSQL = eventTypeColumns + `WHERE environment = $1 AND name = $2`

	insertEventTypeSQL = `INSERT INTO event_type (environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`

	updateEventTypeSQL = `UPDATE event_type SET description = $1, group_name = $2, archived = $3, deprecated = $4, schemas = $5, feature_flags = $6, updated_at = $7
WHERE environment = $8 AND name = $9`

	deleteEventTypeSQL = `DELETE FROM event_type WHERE environment = $1 AND name = $2`

	listEventTypes = eventTypeColumns + `
WHERE environment = $1 AND name > $2 AND name < $3
  AND ($4::boolean OR NOT archived)
  AND ($5::text IS NULL OR feature_flags IS NULL OR feature_flags = '[]'
    OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(feature_flags::jsonb) AS f (flag) WHERE $5::jsonb @> to_jsonb(f.flag)))
`
	listEventTypesUpSQL   = listEventTypes + `ORDER BY name ASC LIMIT $6`
	listEventTypesDownSQL = listEventTypes + `ORDER BY name DESC LIMIT $6`
)

// InsertEventType adds an event type.
func (s *Store) InsertEventType(ctx context.Context, et hark.EventType) error {
	return s.configure(ctx, func(c *conn) (hark.Ref, error) {
		n, err := c.exec(insertEventTypeSQL, row.EventTypeValues(&et)...)
		if err == nil && n == 0 {
			err = &hark.Error{Code: hark.EventTypeExists, Detail: "An event type with this name already exists", Existing: et.Name}
		}
		return 0, err
	})
}

// UpdateEventType changes an event type.
func (s *Store) UpdateEventType(ctx context.Context, env hark.EnvironmentID, name string, change func(*hark.EventType) error) (hark.EventType, error) {
	var et hark.EventType
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if et, err = row.Find(c.query, row.ScanEventType, eventTypeSQL, string(env), name); err != nil {
			return 0, err
		}
		if err := change(&et); err != nil {
			return 0, err
		}
		if _, err := c.exec(updateEventTypeSQL, et.Description, et.GroupName, et.Archived, et.Deprecated,
			row.EncodeRaw(et.Schemas), row.Encode(et.FeatureFlags), et.UpdatedAt, string(env), name); err != nil {
			return 0, err
		}
		et, err = row.Find(c.query, row.ScanEventType, eventTypeSQL, string(env), name)
		return 0, err
	})
	return et, err
}

// DeleteEventType removes an event type for good.
func (s *Store) DeleteEventType(ctx context.Context, env hark.EnvironmentID, name string) error {
	return s.configure(ctx, func(c *conn) (hark.Ref, error) {
		n, err := c.exec(deleteEventTypeSQL, string(env), name)
		if err == nil && n == 0 {
			err = hark.ErrNotFound
		}
		return 0, err
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
