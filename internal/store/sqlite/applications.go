package sqlite

import "github.com/harkhq/hark/internal/store/row"

const (
	applicationColumns = `SELECT ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at FROM application `

	listApplications = applicationColumns + `
WHERE environment = ?1 AND id > ?2 AND id < ?3 AND deleted_at = 0
  AND (?4 = 0 OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0))
  AND (?5 = 0 OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0 AND e.disabled = 0))
`
)

var applicationSQL = row.ApplicationSQL{
	Insert: `INSERT INTO application (environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ref`,
	Update: `UPDATE application SET uid = ?, name = ?, throttle_rate = ?, metadata = ?, updated_at = ?, tokens_not_before = ? WHERE ref = ?`,
	Bury: []string{
		`UPDATE endpoint SET uid = NULL, deleted_at = ? WHERE application = ? AND deleted_at = 0`,
		`UPDATE source SET uid = NULL, deleted_at = ? WHERE application = ? AND deleted_at = 0`,
		`UPDATE application SET uid = NULL, deleted_at = ? WHERE ref = ?`,
	},
	Remove: []string{
		`DELETE FROM transformation_version WHERE endpoint IN (SELECT ref FROM endpoint WHERE application = ?)`,
		`DELETE FROM source_token WHERE source IN (SELECT ref FROM source WHERE application = ?)`,
		`DELETE FROM poller_item WHERE poller IN (SELECT ref FROM poller WHERE application = ?)`,
		`DELETE FROM poller WHERE application = ?`,
	},
	ByID:  applicationColumns + `WHERE environment = ? AND id = ? AND deleted_at = 0`,
	ByUID: applicationColumns + `WHERE environment = ? AND uid = ? AND deleted_at = 0`,
	ByRef: applicationColumns + `WHERE ref = ? AND deleted_at = 0`,
	List: row.Listing{
		Up:   listApplications + `ORDER BY id ASC LIMIT ?6`,
		Down: listApplications + `ORDER BY id DESC LIMIT ?6`,
	},
	Every: applicationColumns + `ORDER BY environment, id`,
}
