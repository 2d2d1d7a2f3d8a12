package sqlite

import "github.com/harkhq/hark/internal/store/row"

const (
	eventTypeColumns = `SELECT environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at
FROM event_type `

	listEventTypes = eventTypeColumns + `
WHERE environment = ?1 AND name > ?2 AND name < ?3
  AND (?4 <> 0 OR archived = 0)
  AND (?5 IS NULL OR feature_flags IS NULL OR feature_flags = '[]'
    OR EXISTS (SELECT 1 FROM json_each(feature_flags) f JOIN json_each(?5) g ON f.value = g.value))
`
)

var eventTypeSQL = row.EventTypeSQL{
	Insert: `INSERT INTO event_type (environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	Update: `UPDATE event_type SET description = ?, group_name = ?, archived = ?, deprecated = ?, schemas = ?, feature_flags = ?, updated_at = ?
WHERE environment = ? AND name = ?`,
	Delete: `DELETE FROM event_type WHERE environment = ? AND name = ?`,
	One:    eventTypeColumns + `WHERE environment = ? AND name = ?`,
	List: row.Listing{
		Up:   listEventTypes + `ORDER BY name ASC LIMIT ?6`,
		Down: listEventTypes + `ORDER BY name DESC LIMIT ?6`,
	},
	Every: eventTypeColumns + `ORDER BY environment, name`,
}
