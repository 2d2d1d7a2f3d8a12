package postgres

import "github.com/harkhq/hark/internal/store/row"

const (
	eventTypeColumns = `SELECT environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at
FROM event_type `

	listEventTypes = eventTypeColumns + `
WHERE environment = $1 AND name > $2 AND name < $3
  AND ($4::boolean OR NOT archived)
  AND ($5::text IS NULL OR feature_flags IS NULL OR feature_flags = '[]'
    OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(feature_flags::jsonb) AS f (flag) WHERE $5::jsonb @> to_jsonb(f.flag)))
`
)

var eventTypeSQL = row.EventTypeSQL{
	Insert: `INSERT INTO event_type (environment, name, description, group_name, archived, deprecated, schemas, feature_flags, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
	Update: `UPDATE event_type SET description = $1, group_name = $2, archived = $3, deprecated = $4, schemas = $5, feature_flags = $6, updated_at = $7
WHERE environment = $8 AND name = $9`,
	Delete: `DELETE FROM event_type WHERE environment = $1 AND name = $2`,
	One:    eventTypeColumns + `WHERE environment = $1 AND name = $2`,
	List: row.Listing{
		Up:   listEventTypes + `ORDER BY name ASC LIMIT $6`,
		Down: listEventTypes + `ORDER BY name DESC LIMIT $6`,
	},
	Every: eventTypeColumns + `ORDER BY environment, name`,
}
