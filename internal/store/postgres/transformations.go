package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	insertVersionSQL = `INSERT INTO transformation_version (endpoint, version, hash, code, created_at) VALUES ($1, $2, $3, $4, $5)`

	pruneVersionsSQL = `DELETE FROM transformation_version WHERE endpoint = $1 AND version <= $2`

	deleteVersionsSQL = `DELETE FROM transformation_version WHERE endpoint = $1`

	deleteApplicationVersionsSQL = `DELETE FROM transformation_version WHERE endpoint IN (SELECT ref FROM endpoint WHERE application = $1)`

	listVersionsSQL = `SELECT version, hash, created_at FROM transformation_version WHERE endpoint = $1 ORDER BY version DESC`

	oneVersionSQL = `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = $1 AND version = $2`

	everyVersionSQL = `SELECT version, hash, created_at, code FROM transformation_version WHERE endpoint = $1 ORDER BY version`
)

// keepVersion keeps the code of an endpoint's transformation where a change has brought other code.
func keepVersion(c *conn, endpoint hark.Ref, was hark.Transformation, now *hark.Transformation) error {
	return row.KeepVersion(c.exec, insertVersionSQL, pruneVersionsSQL, endpoint, was, now)
}

// TransformationVersions lists an endpoint's versions, newest first.
func (s *Store) TransformationVersions(ctx context.Context, endpoint hark.Ref) ([]hark.TransformationVersion, error) {
	return row.List(ctx, s.lend, row.ScanVersion, listVersionsSQL, endpoint)
}

// TransformationVersion finds one version with its code.
func (s *Store) TransformationVersion(ctx context.Context, endpoint hark.Ref, number int) (hark.TransformationVersion, error) {
	return row.Get(ctx, s.lend, row.ScanVersion, oneVersionSQL, endpoint, number)
}

const (
	insertExecutionSQL = `INSERT INTO execution (endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`

	pruneExecutionsSQL = `DELETE FROM execution WHERE endpoint = $1
AND id <= (SELECT id FROM execution WHERE endpoint = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`

	expireExecutionsSQL = `DELETE FROM execution WHERE (endpoint, id) IN
(SELECT endpoint, id FROM execution WHERE started_at <= $1 ORDER BY started_at LIMIT $2)`

	executionColumns = `SELECT endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut FROM execution
`
	listExecutions        = executionColumns + `WHERE endpoint = $1 AND id > $2 AND id < $3 `
	listExecutionsUpSQL   = listExecutions + `ORDER BY id ASC LIMIT $4`
	listExecutionsDownSQL = listExecutions + `ORDER BY id DESC LIMIT $4`

	everyExecutionSQL = executionColumns + `WHERE endpoint = $1 ORDER BY id`
)

// LogExecutions keeps executions, and drops what they push out.
func (s *Store) LogExecutions(ctx context.Context, executions []hark.Execution) error {
	return s.change(ctx, func(c *conn) error {
		return row.LogExecutions(c.exec, insertExecutionSQL, pruneExecutionsSQL, executions)
	})
}

// ListExecutions lists an endpoint's executions.
func (s *Store) ListExecutions(ctx context.Context, endpoint hark.Ref, page store.Page) ([]hark.Execution, error) {
	p, err := row.PageOfIDs(page, hark.AttemptPrefix, time.Time{}, time.Time{}, false)
	if err != nil {
		return nil, err
	}
	all, err := row.List(ctx, s.lend, row.ScanExecution, row.Pick(p.Down, listExecutionsUpSQL, listExecutionsDownSQL), endpoint, p.Low, p.High, p.Limit)
	return row.Turned(all, p.Turn), err
}
