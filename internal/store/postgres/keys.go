package postgres

import "github.com/harkhq/hark/internal/store/row"

const (
	keyColumns = `SELECT environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at FROM api_key `

	listKeys = keyColumns + `WHERE environment = $1 AND id > $2 AND id < $3 `
)

var keySQL = row.KeySQL{
	Insert: `INSERT INTO api_key (environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
	Update: `UPDATE api_key SET name = $1, scope = $2, application = $3, expires_at = $4, revoked_at = $5 WHERE environment = $6 AND id = $7`,
	One:    keyColumns + `WHERE environment = $1 AND id = $2`,
	ByHash: keyColumns + `WHERE hash = $1`,
	List: row.Listing{
		Up:   listKeys + `ORDER BY id ASC LIMIT $4`,
		Down: listKeys + `ORDER BY id DESC LIMIT $4`,
	},
	Every: keyColumns + `ORDER BY environment, id`,
}
