package sqlite

import "github.com/harkhq/hark/internal/store/row"

var environmentSQL = row.EnvironmentSQL{
	Insert: `INSERT INTO environment (id, name, created_at, retention) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
	Update: `UPDATE environment SET name = ?, retention = ? WHERE id = ?`,
	One:    `SELECT id, name, created_at, retention FROM environment WHERE id = ?`,
	Every:  `SELECT id, name, created_at, retention FROM environment ORDER BY created_at, id`,
}
