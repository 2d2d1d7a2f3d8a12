package postgres

import "github.com/harkhq/hark/internal/store/row"

const (
	applicationColumns = `SELECT ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at FROM application `

	listApplications = applicationColumns + `
WHERE environment = $1 AND id > $2 AND id < $3 AND deleted_at = 0
  AND (NOT $4::boolean OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0))
  AND (NOT $5::boolean OR EXISTS (SELECT 1 FROM endpoint e WHERE e.application = application.ref AND e.deleted_at = 0 AND NOT e.disabled))
`
)

var applicationSQL = row.ApplicationSQL{
	Insert: `INSERT INTO application (ref, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, tokens_not_before, version, deleted_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
	Update: `UPDATE application SET uid = $1, name = $2, throttle_rate = $3, metadata = $4, updated_at = $5, tokens_not_before = $6 WHERE ref = $7`,
	Bury: []string{
		`UPDATE endpoint SET uid = NULL, deleted_at = $1 WHERE application = $2 AND deleted_at = 0`,
		`UPDATE source SET uid = NULL, deleted_at = $1 WHERE application = $2 AND deleted_at = 0`,
		`UPDATE application SET uid = NULL, deleted_at = $1 WHERE ref = $2`,
	},
	Remove: []string{
		`DELETE FROM transformation_version WHERE endpoint IN (SELECT ref FROM endpoint WHERE application = $1)`,
		`DELETE FROM source_token WHERE source IN (SELECT ref FROM source WHERE application = $1)`,
		`DELETE FROM poller_item WHERE poller IN (SELECT ref FROM poller WHERE application = $1)`,
		`DELETE FROM poller WHERE application = $1`,
	},
	ByID:  applicationColumns + `WHERE environment = $1 AND id = $2 AND deleted_at = 0`,
	ByUID: applicationColumns + `WHERE environment = $1 AND uid = $2 AND deleted_at = 0`,
	ByRef: applicationColumns + `WHERE ref = $1 AND deleted_at = 0`,
	List: row.Listing{
		Up:   listApplications + `ORDER BY id ASC LIMIT $6`,
		Down: listApplications + `ORDER BY id DESC LIMIT $6`,
	},
	Every: applicationColumns + `ORDER BY environment, id`,
}
