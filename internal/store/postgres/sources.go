package postgres

import "github.com/harkhq/hark/internal/store/row"

const (
	sourceColumns = `SELECT s.ref, s.environment, s.id, s.application, a.id, s.uid, s.settings, s.sealed, s.disabled, s.failing_since, s.failing_cause,
  s.created_at, s.updated_at, s.deleted_at
FROM source s JOIN application a ON a.ref = s.application
`

	listSources = sourceColumns + `WHERE s.environment = $1 AND s.id > $2 AND s.id < $3 AND ($4::bigint = 0 OR s.application = $4) AND s.deleted_at = 0 AND a.deleted_at = 0 `
)

var sourceSQL = row.SourceSQL{
	Insert: `INSERT INTO source (ref, environment, application, id, uid, settings, sealed, disabled, failing_since, failing_cause, created_at, updated_at, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)`,
	Update:       `UPDATE source SET uid = $1, settings = $2, sealed = $3, disabled = $4, failing_since = $5, failing_cause = $6, updated_at = $7 WHERE ref = $8`,
	Delete:       `UPDATE source SET uid = NULL, deleted_at = $1 WHERE ref = $2`,
	Reseal:       `UPDATE source SET sealed = $1 WHERE ref = $2`,
	InsertToken:  `INSERT INTO source_token (hash, source) VALUES ($1, $2)`,
	DeleteTokens: `DELETE FROM source_token WHERE source = $1`,
	ByID:         sourceColumns + `WHERE s.environment = $1 AND s.id = $2 AND s.deleted_at = 0 AND a.deleted_at = 0`,
	ByUID:        sourceColumns + `WHERE s.environment = $1 AND s.uid = $2 AND s.deleted_at = 0 AND a.deleted_at = 0`,
	ByRef:        sourceColumns + `WHERE s.ref = $1`,
	ByToken:      sourceColumns + `WHERE s.ref = (SELECT source FROM source_token WHERE hash = $1) AND s.deleted_at = 0 AND a.deleted_at = 0`,
	List: row.Listing{
		Up:   listSources + `ORDER BY s.id ASC LIMIT $5`,
		Down: listSources + `ORDER BY s.id DESC LIMIT $5`,
	},
	Every:  sourceColumns + `WHERE s.application = $1 ORDER BY s.id`,
	Sealed: sourceColumns + `WHERE s.ref > $1 ORDER BY s.ref LIMIT 100`,
}
