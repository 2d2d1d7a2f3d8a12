package sqlite

import "github.com/harkhq/hark/internal/store/row"

const (
	taskColumns = `SELECT environment, id, kind, status, data, created_at, updated_at FROM task `

	listTasks = taskColumns + `
WHERE environment = ?1 AND id > ?2 AND id < ?3 AND (?4 = '' OR status = ?4) AND (?5 = '' OR kind = ?5)
`
)

var taskSQL = row.TaskSQL{
	Insert: `INSERT INTO task (environment, id, kind, status, data, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`,
	Update:  `UPDATE task SET status = ?, data = ?, updated_at = ? WHERE id = ?`,
	One:     taskColumns + `WHERE environment = ? AND id = ?`,
	Lock:    taskColumns + `WHERE id = ?`,
	Running: taskColumns + `WHERE status = 'running' ORDER BY id`,
	List: row.Listing{
		Up:   listTasks + `ORDER BY id ASC LIMIT ?6`,
		Down: listTasks + `ORDER BY id DESC LIMIT ?6`,
	},
	Every: taskColumns + `ORDER BY id`,
}
