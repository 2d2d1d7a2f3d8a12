package postgres

import "github.com/harkhq/hark/internal/store/row"

var environmentSQL = row.EnvironmentSQL{
	Insert: `INSERT INTO environment (id, name, created_at, retention) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
	Update: `UPDATE environment SET name = $1, retention = $2 WHERE id = $3`,
	One:    `SELECT id, name, created_at, retention FROM environment WHERE id = $1`,
	Every:  `SELECT id, name, created_at, retention FROM environment ORDER BY created_at, id`,
}
