package sqlite

import "github.com/harkhq/hark/internal/store/row"

const (
	keyColumns = `SELECT environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at FROM api_key `

	listKeys = keyColumns + `WHERE environment = ? AND id > ? AND id < ? `
)

var keySQL = row.KeySQL{
	Insert: `INSERT INTO api_key (environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	Update: `UPDATE api_key SET name = ?, scope = ?, application = ?, expires_at = ?, revoked_at = ? WHERE environment = ? AND id = ?`,
	One:    keyColumns + `WHERE environment = ? AND id = ?`,
	ByHash: keyColumns + `WHERE hash = ?`,
	List: row.Listing{
		Up:   listKeys + `ORDER BY id ASC LIMIT ?`,
		Down: listKeys + `ORDER BY id DESC LIMIT ?`,
	},
	Every: keyColumns + `ORDER BY environment, id`,
}
