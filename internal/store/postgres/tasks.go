package postgres

import "github.com/harkhq/hark/internal/store/row"

const (
	taskColumns = `SELECT environment, id, kind, status, data, created_at, updated_at FROM task `

	listTasks = taskColumns + `
WHERE environment = $1 AND id > $2 AND id < $3 AND ($4::text = '' OR status = $4) AND ($5::text = '' OR kind = $5)
`
)

var taskSQL = row.TaskSQL{
	Insert: `INSERT INTO task (environment, id, kind, status, data, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING`,
	Update:  `UPDATE task SET status = $1, data = $2, updated_at = $3 WHERE id = $4`,
	One:     taskColumns + `WHERE environment = $1 AND id = $2`,
	Lock:    taskColumns + `WHERE id = $1 FOR UPDATE`,
	Running: taskColumns + `WHERE status = 'running' ORDER BY id`,
	List: row.Listing{
		Up:   listTasks + `ORDER BY id ASC LIMIT $6`,
		Down: listTasks + `ORDER BY id DESC LIMIT $6`,
	},
	Every: taskColumns + `ORDER BY id`,
}
