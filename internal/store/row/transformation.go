package row

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// storedTransformation is what of a transformation may be read at rest, as JSON.
type storedTransformation struct {
	Code      string    `json:"code,omitempty"`
	Enabled   bool      `json:"enabled,omitempty"`
	Version   int       `json:"version,omitempty"`
	UpdatedAt time.Time `json:"updated,omitzero"`
}

// closeTransformation answers an endpoint's two columns: its transformation, and the variables, sealed. Both
// are NULL where there was never any.
func (s Seal) closeTransformation(ep *hark.Endpoint) (transformation any, variables []byte) {
	t := &ep.Transformation
	if t.Code != "" || t.Enabled || t.Version != 0 || !t.UpdatedAt.IsZero() {
		transformation = MustJSON(storedTransformation{t.Code, t.Enabled, t.Version, Moment(Millis(t.UpdatedAt))})
	}
	if t.Variables != nil {
		variables = s.closeColumn(ep, "variables", MustJSON(t.Variables))
	}
	return transformation, variables
}

func (s Seal) openTransformation(ep *hark.Endpoint, transformation, variables []byte) error {
	if transformation != nil {
		var stored storedTransformation
		if err := json.Unmarshal(transformation, &stored); err != nil {
			return fmt.Errorf("transformation of %s: %w", ep.ID, err)
		}
		ep.Transformation = hark.Transformation{Code: stored.Code, Enabled: stored.Enabled, Version: stored.Version, UpdatedAt: stored.UpdatedAt}
	}
	if variables == nil {
		return nil
	}
	return s.openColumn(ep, "variables", variables, &ep.Transformation.Variables)
}

// countVersion numbers an endpoint's transformation after a change: other code is another version.
func countVersion(was hark.Transformation, now *hark.Transformation) {
	now.Version = was.Version
	if isNewVersion(was, now) {
		now.Version++
	}
}

// VersionSQL are the statements of transformations' versions: version, hash, created_at, code.
type VersionSQL struct {
	Insert string // endpoint; version, hash, code, created_at
	Prune  string // endpoint, version; this and all before it
	Delete string // endpoint
	One    string // endpoint, version
	List   string // endpoint; newest first, without code
	Every  string // endpoint; oldest first
}

// isNewVersion says that a change brought code that is to be kept as a version.
func isNewVersion(was hark.Transformation, now *hark.Transformation) bool {
	return now.Code != "" && now.Code != was.Code
}

// keep keeps the code of an endpoint's transformation where a change has brought other code, and drops what is
// behind the newest.
func (sql *VersionSQL) keep(c Conn, endpoint hark.Ref, was hark.Transformation, now *hark.Transformation) error {
	if !isNewVersion(was, now) {
		return nil
	}
	v := hark.TransformationVersion{Number: now.Version, Hash: hark.HashCode(now.Code), Code: now.Code, CreatedAt: now.UpdatedAt}
	if err := sql.insert(c, endpoint, &v); err != nil {
		return err
	}
	_, err := c.Exec(sql.Prune, endpoint, v.Number-hark.MaxTransformationVersions)
	return err
}

func (sql *VersionSQL) insert(c Conn, endpoint hark.Ref, v *hark.TransformationVersion) error {
	_, err := c.Exec(sql.Insert, endpoint, v.Number, v.Hash, v.Code, v.CreatedAt)
	return err
}

func scanVersion(r Row) (hark.TransformationVersion, error) {
	v := hark.TransformationVersion{Number: int(r.Int(0)), Hash: r.Text(1), CreatedAt: r.Time(2)}
	if len(r) > 3 {
		v.Code = r.Text(3)
	}
	return v, nil
}

// TransformationVersions lists an endpoint's versions, newest first.
func (k *Kinds) TransformationVersions(ctx context.Context, endpoint hark.Ref) ([]hark.TransformationVersion, error) {
	return List(ctx, k.access.Read, scanVersion, k.sql.Version.List, endpoint)
}

// TransformationVersion finds one version with its code.
func (k *Kinds) TransformationVersion(ctx context.Context, endpoint hark.Ref, number int) (hark.TransformationVersion, error) {
	return Get(ctx, k.access.Read, scanVersion, k.sql.Version.One, endpoint, number)
}

// ExecutionSQL are the statements of executions: endpoint, id, message, version, outcome, started_at, duration,
// error, log, log_cut.
type ExecutionSQL struct {
	Insert string  // all columns; one that exists stays
	Prune  string  // endpoint, so many; those behind its newest
	List   Listing // endpoint, behind and before an id, limit
	Every  string  // endpoint; by id
}

// log adds executions, and drops what they push out of their endpoints' logs.
func (sql *ExecutionSQL) log(c Conn, executions []hark.Execution) error {
	var endpoints []hark.Ref
	for i := range executions {
		values, err := executionValues(&executions[i])
		if err != nil {
			return err
		}
		if _, err := c.Exec(sql.Insert, values...); err != nil {
			return err
		}
		endpoints = append(endpoints, executions[i].EndpointRef)
	}
	slices.Sort(endpoints)
	for _, endpoint := range slices.Compact(endpoints) {
		if _, err := c.Exec(sql.Prune, endpoint, hark.MaxExecutions); err != nil {
			return err
		}
	}
	return nil
}

func executionValues(x *hark.Execution) ([]any, error) {
	id, err := hark.ParseID(string(x.AttemptID), hark.AttemptPrefix)
	if err != nil {
		return nil, fmt.Errorf("execution for attempt %q: %w", x.AttemptID, err)
	}
	message, err := hark.ParseID(string(x.MessageID), hark.MessagePrefix)
	if err != nil {
		return nil, fmt.Errorf("execution for message %q: %w", x.MessageID, err)
	}
	return []any{x.EndpointRef, id[:], message[:], x.Version, int64(x.Outcome), x.StartedAt, Micros(x.Duration),
		strings.ReplaceAll(x.Error, "\x00", "\ufffd"), Encode(x.Log), x.LogCut}, nil
}

func scanExecution(r Row) (hark.Execution, error) {
	x := hark.Execution{
		EndpointRef: r.Int(0), AttemptID: hark.AttemptID(r.ID(1, hark.AttemptPrefix)), MessageID: hark.MessageID(r.ID(2, hark.MessagePrefix)),
		Version: int(r.Int(3)), Outcome: hark.ExecutionOutcome(r.Int(4)), StartedAt: r.Time(5), Duration: micros(r.Int(6)),
		Error: r.Text(7), LogCut: r.Bool(9),
	}
	return x, r.Decode(8, &x.Log)
}

// LogExecutions keeps executions, and drops what they push out.
func (k *Kinds) LogExecutions(ctx context.Context, executions []hark.Execution) error {
	return k.access.Change(ctx, func(c Conn) error { return k.sql.Execution.log(c, executions) })
}

// ListExecutions lists an endpoint's executions.
func (k *Kinds) ListExecutions(ctx context.Context, endpoint hark.Ref, page store.Page) ([]hark.Execution, error) {
	p, err := PageOfIDs(page, hark.AttemptPrefix, time.Time{}, time.Time{}, false)
	if err != nil {
		return nil, err
	}
	sql := &k.sql.Execution
	all, err := List(ctx, k.access.Read, scanExecution, Pick(p.Down, sql.List.Up, sql.List.Down), endpoint, p.Low, p.High, p.Limit)
	return Turned(all, p.Turn), err
}

// transformations visits what is kept of some endpoints' transformations: all versions of each, then its
// executions.
func (e *Export) transformations(endpoints []hark.Ref) error {
	for _, ref := range endpoints {
		number := e.Endpoints[ref]
		if err := each(e, scanVersion, func(v *hark.TransformationVersion) store.Record {
			return store.Record{Version: &store.MovedVersion{EndpointRef: number, TransformationVersion: *v}}
		}, e.kinds.sql.Version.Every, ref); err != nil {
			return err
		}
		if err := each(e, scanExecution, func(x *hark.Execution) store.Record {
			x.EndpointRef = number
			return store.Record{Execution: x}
		}, e.kinds.sql.Execution.Every, ref); err != nil {
			return err
		}
	}
	return nil
}
