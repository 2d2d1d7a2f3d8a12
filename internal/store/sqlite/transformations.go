package sqlite

import "github.com/harkhq/hark/internal/store/row"

var transformationSQL = row.VersionSQL{
	Insert: `INSERT INTO transformation_version (endpoint, version, hash, code, created_at) VALUES (?, ?, ?, ?, ?)`,
	Prune:  `DELETE FROM transformation_version WHERE endpoint = ? AND version <= ?`,
	Delete: `DELETE FROM transformation_version WHERE endpoint = ?`,
	One:    `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = ? AND version = ?`,
	List:   `SELECT version, hash, created_at FROM transformation_version WHERE endpoint = ? ORDER BY version DESC`,
	Every:  `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = ? ORDER BY version`,
}

const (
	executionColumns = `SELECT endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut FROM execution
`

	listExecutions = executionColumns + `WHERE endpoint = ? AND id > ? AND id < ? `

	expireExecutionsSQL = `DELETE FROM execution WHERE (endpoint, id) IN
(SELECT endpoint, id FROM execution WHERE started_at <= ?1 ORDER BY started_at LIMIT ?2)`
)

var executionSQL = row.ExecutionSQL{
	Insert: `INSERT INTO execution (endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	Prune: `DELETE FROM execution WHERE endpoint = ?1
AND id <= (SELECT id FROM execution WHERE endpoint = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`,
	List: row.Listing{
		Up:   listExecutions + `ORDER BY id ASC LIMIT ?`,
		Down: listExecutions + `ORDER BY id DESC LIMIT ?`,
	},
	Every: executionColumns + `WHERE endpoint = ? ORDER BY id`,
}
