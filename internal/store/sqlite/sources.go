package sqlite

import "github.com/harkhq/hark/internal/store/row"

const (
	sourceColumns = `SELECT s.ref, s.environment, s.id, s.application, a.id, s.uid, s.settings, s.sealed, s.disabled, s.failing_since, s.failing_cause,
  s.created_at, s.updated_at, s.deleted_at
FROM source s CROSS JOIN application a ON a.ref = s.application
`

	listSources = sourceColumns + `WHERE s.environment = ?1 AND s.id > ?2 AND s.id < ?3 AND (?4 = 0 OR s.application = ?4) AND s.deleted_at = 0 AND a.deleted_at = 0 `
)

var sourceSQL = row.SourceSQL{
	Insert: `INSERT INTO source (environment, application, id, uid, settings, sealed, disabled, failing_since, failing_cause, created_at, updated_at, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING ref`,
	Update:       `UPDATE source SET uid = ?, settings = ?, sealed = ?, disabled = ?, failing_since = ?, failing_cause = ?, updated_at = ? WHERE ref = ?`,
	Delete:       `UPDATE source SET uid = NULL, deleted_at = ? WHERE ref = ?`,
	Reseal:       `UPDATE source SET sealed = ? WHERE ref = ?`,
	InsertToken:  `INSERT INTO source_token (hash, source) VALUES (?, ?)`,
	DeleteTokens: `DELETE FROM source_token WHERE source = ?`,
	ByID:         sourceColumns + `WHERE s.environment = ? AND s.id = ? AND s.deleted_at = 0 AND a.deleted_at = 0`,
	ByUID:        sourceColumns + `WHERE s.environment = ? AND s.uid = ? AND s.deleted_at = 0 AND a.deleted_at = 0`,
	ByRef:        sourceColumns + `WHERE s.ref = ?`,
	ByToken:      sourceColumns + `WHERE s.ref = (SELECT source FROM source_token WHERE hash = ?) AND s.deleted_at = 0 AND a.deleted_at = 0`,
	List: row.Listing{
		Up:   listSources + `ORDER BY s.id ASC LIMIT ?5`,
		Down: listSources + `ORDER BY s.id DESC LIMIT ?5`,
	},
	Every:  sourceColumns + `WHERE s.application = ? ORDER BY s.id`,
	Sealed: sourceColumns + `WHERE s.ref > ? ORDER BY s.ref LIMIT 100`,
}
