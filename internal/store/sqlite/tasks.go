package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	taskColumns = `SELECT environment, id, kind, status, data, created_at, updated_at FROM task `

	taskSQL = taskColumns + `WHERE environment = ? AND id = ?`

	taskByIDSQL = taskColumns + `WHERE id = ?`

	insertTaskSQL = `INSERT INTO task (environment, id, kind, status, data, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`

	updateTaskSQL = `UPDATE task SET status = ?, data = ?, updated_at = ? WHERE id = ?`

	runningTasksSQL = taskColumns + `WHERE status = 'running' ORDER BY id`

	listTasks = taskColumns + `
WHERE environment = ?1 AND id > ?2 AND id < ?3 AND (?4 = '' OR status = ?4) AND (?5 = '' OR kind = ?5)
`
	listTasksUpSQL   = listTasks + `ORDER BY id ASC LIMIT ?6`
	listTasksDownSQL = listTasks + `ORDER BY id DESC LIMIT ?6`
)

// InsertTask adds a task.
func (s *Store) InsertTask(ctx context.Context, task hark.Task) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(insertTaskSQL, row.TaskValues(&task)...)
		if err == nil && n == 0 {
			return row.Conflict("A task with this id already exists", string(task.ID))
		}
		return err
	})
}

// UpdateTask changes a task.
func (s *Store) UpdateTask(ctx context.Context, id hark.TaskID, change func(*hark.Task) error) (hark.Task, error) {
	var task hark.Task
	err := s.change(ctx, func(c *conn) (err error) {
		if task, err = row.Find(c.query, row.ScanTask, taskByIDSQL, string(id)); err != nil {
			return err
		}
		if err := change(&task); err != nil {
			return err
		}
		if _, err := c.exec(updateTaskSQL, task.Status, row.EncodeRaw(task.Data), task.UpdatedAt, string(id)); err != nil {
			return err
		}
		task, err = row.Find(c.query, row.ScanTask, taskByIDSQL, string(id))
		return err
	})
	return task, err
}

// Task finds a task.
func (s *Store) Task(ctx context.Context, env hark.EnvironmentID, id hark.TaskID) (hark.Task, error) {
	return row.Get(ctx, s.lend, row.ScanTask, taskSQL, string(env), string(id))
}

// ListTasks lists the tasks of an environment; status and kind narrow it unless empty.
func (s *Store) ListTasks(ctx context.Context, env hark.EnvironmentID, status, kind string, page store.Page) ([]hark.Task, error) {
	p := row.PageOfText(page)
	tasks, err := row.List(ctx, s.lend, row.ScanTask, p.Query(listTasksUpSQL, listTasksDownSQL), p.Args(string(env), status, kind)...)
	return row.Turned(tasks, p.Turn), err
}

// RunningTasks lists the unfinished tasks of all environments.
func (s *Store) RunningTasks(ctx context.Context) ([]hark.Task, error) {
	return row.List(ctx, s.lend, row.ScanTask, runningTasksSQL)
}
