package row

import (
	"encoding/json"
	"errors"
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

// CloseTransformation answers an endpoint's two columns: its transformation, and the variables, sealed. Both
// are NULL where there was never any.
func (s Seal) CloseTransformation(ep *hark.Endpoint) (transformation any, variables []byte) {
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
	plain, err := s.openColumn(ep, "variables", variables)
	if err != nil {
		return err
	}
	if json.Unmarshal(plain, &ep.Transformation.Variables) != nil {
		return fmt.Errorf("variables of %s: %w", ep.ID, errors.New("not readable")) // the cause would quote them
	}
	return nil
}

// CountVersion numbers an endpoint's transformation after a change: other code is another version.
func CountVersion(was hark.Transformation, now *hark.Transformation) {
	now.Version = was.Version
	if isNewVersion(was, now) {
		now.Version++
	}
}

// isNewVersion says that a change brought code that is to be kept as a version.
func isNewVersion(was hark.Transformation, now *hark.Transformation) bool {
	return now.Code != "" && now.Code != was.Code
}

// KeepVersion keeps the code of an endpoint's transformation where a change has brought other code, and
// drops what is behind the newest.
func KeepVersion(exec Exec, insert, prune string, endpoint hark.Ref, was hark.Transformation, now *hark.Transformation) error {
	if !isNewVersion(was, now) {
		return nil
	}
	v := hark.TransformationVersion{Number: now.Version, Hash: hark.HashCode(now.Code), Code: now.Code, CreatedAt: now.UpdatedAt}
	if _, err := exec(insert, VersionValues(endpoint, &v)...); err != nil {
		return err
	}
	_, err := exec(prune, endpoint, v.Number-hark.MaxTransformationVersions)
	return err
}

// VersionValues are what a version's row holds in endpoint, version, hash, code, created_at.
func VersionValues(endpoint hark.Ref, v *hark.TransformationVersion) []any {
	return []any{endpoint, v.Number, v.Hash, v.Code, v.CreatedAt}
}

// ScanVersion reads version, hash, created_at, code; code may be left out.
func ScanVersion(r Row) (hark.TransformationVersion, error) {
	v := hark.TransformationVersion{Number: int(r.Int(0)), Hash: r.Text(1), CreatedAt: r.Time(2)}
	if len(r) > 3 {
		v.Code = r.Text(3)
	}
	return v, nil
}

// LogExecutions adds executions, and drops what they push out of their endpoints' logs.
func LogExecutions(exec Exec, insert, prune string, executions []hark.Execution) error {
	var endpoints []hark.Ref
	for i := range executions {
		values, err := executionValues(&executions[i])
		if err != nil {
			return err
		}
		if _, err := exec(insert, values...); err != nil {
			return err
		}
		endpoints = append(endpoints, executions[i].EndpointRef)
	}
	slices.Sort(endpoints)
	for _, endpoint := range slices.Compact(endpoints) {
		if _, err := exec(prune, endpoint, hark.MaxExecutions); err != nil {
			return err
		}
	}
	return nil
}

// executionValues are what an execution's row holds in endpoint, id, message, version, outcome, started_at,
// duration, error, log, log_cut.
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

// ScanExecution reads endpoint, id, message, version, outcome, started_at, duration, error, log, log_cut.
func ScanExecution(r Row) (hark.Execution, error) {
	x := hark.Execution{
		EndpointRef: r.Int(0), AttemptID: hark.AttemptID(r.ID(1, hark.AttemptPrefix)), MessageID: hark.MessageID(r.ID(2, hark.MessagePrefix)),
		Version: int(r.Int(3)), Outcome: hark.ExecutionOutcome(r.Int(4)), StartedAt: r.Time(5), Duration: micros(r.Int(6)),
		Error: r.Text(7), LogCut: r.Bool(9),
	}
	return x, r.Decode(8, &x.Log)
}

// transformations visits what is kept of some endpoints' transformations: all versions of each, then its
// executions.
func (e *Export) transformations(every *Everything, endpoints []hark.Ref) error {
	for _, ref := range endpoints {
		number := e.Endpoints[ref]
		if err := each(e, ScanVersion, func(v *hark.TransformationVersion) store.Record {
			return store.Record{Version: &store.MovedVersion{EndpointRef: number, TransformationVersion: *v}}
		}, every.Versions, ref); err != nil {
			return err
		}
		if err := each(e, ScanExecution, func(x *hark.Execution) store.Record {
			x.EndpointRef = number
			return store.Record{Execution: x}
		}, every.Executions, ref); err != nil {
			return err
		}
	}
	return nil
}
