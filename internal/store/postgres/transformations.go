package postgres

import "github.com/harkhq/hark/internal/store/row"

var transformationSQL = row.VersionSQL{
	Insert: `INSERT INTO transformation_version (endpoint, version, hash, code, created_at) VALUES ($1, $2, $3, $4, $5)`,
	Prune:  `DELETE FROM transformation_version WHERE endpoint = $1 AND version <= $2`,
	Delete: `DELETE FROM transformation_version WHERE endpoint = $1`,
	One:    `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = $1 AND version = $2`,
	List:   `SELECT version, hash, created_at FROM transformation_version WHERE endpoint = $1 ORDER BY version DESC`,
	Every:  `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = $1 ORDER BY version`,
}

const (
	executionColumns = `SELECT endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut FROM execution
`

	listExecutions = executionColumns + `WHERE endpoint = $1 AND id > $2 AND id < $3 `

	expireExecutionsSQL = `DELETE FROM execution WHERE (endpoint, id) IN
(SELECT endpoint, id FROM execution WHERE started_at <= $1 ORDER BY started_at LIMIT $2)`
)

var executionSQL = row.ExecutionSQL{
	Insert: `INSERT INTO execution (endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
	Prune: `DELETE FROM execution WHERE endpoint = $1
AND id <= (SELECT id FROM execution WHERE endpoint = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`,
	List: row.Listing{
		Up:   listExecutions + `ORDER BY id ASC LIMIT $4`,
		Down: listExecutions + `ORDER BY id DESC LIMIT $4`,
	},
	Every: executionColumns + `WHERE endpoint = $1 ORDER BY id`,
}
