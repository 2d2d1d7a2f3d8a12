package transfer

import (
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// transformationShape is an endpoint's transformation without its variables, which are sealed with the
// endpoint's secrets.
type transformationShape struct {
	Code      string `json:"code,omitempty"`
	Enabled   bool   `json:"enabled,omitempty"`
	Version   int    `json:"version,omitempty"`
	UpdatedAt int64  `json:"updatedAt,omitempty"`
}

func shapeTransformation(t *hark.Transformation) transformationShape {
	return transformationShape{t.Code, t.Enabled, t.Version, millis(t.UpdatedAt)}
}

func (s *transformationShape) restore(variables pairs) hark.Transformation {
	return hark.Transformation{Code: s.Code, Enabled: s.Enabled, Variables: variables, Version: s.Version, UpdatedAt: moment(s.UpdatedAt)}
}

type versionShape struct {
	Endpoint  int64  `json:"endpoint"`
	Number    int    `json:"number"`
	Hash      string `json:"hash"`
	Code      string `json:"code"`
	CreatedAt int64  `json:"createdAt,omitempty"`
}

func shapeVersion(v *store.MovedVersion) *versionShape {
	return &versionShape{v.EndpointRef, v.Number, v.Hash, v.Code, millis(v.CreatedAt)}
}

func (s *versionShape) restore() *store.MovedVersion {
	return &store.MovedVersion{EndpointRef: s.Endpoint,
		TransformationVersion: hark.TransformationVersion{Number: s.Number, Hash: s.Hash, Code: s.Code, CreatedAt: moment(s.CreatedAt)}}
}

type executionShape struct {
	Endpoint  int64              `json:"endpoint"`
	Attempt   string             `json:"attempt"` // its id
	Message   string             `json:"message"` // its id
	Version   int                `json:"version"`
	StartedAt int64              `json:"startedAt"`
	Duration  int64              `json:"duration,omitempty"`
	Outcome   int8               `json:"outcome,omitempty"`
	Error     string             `json:"error,omitempty"`
	Log       list[hark.LogLine] `json:"log,omitzero"`
	LogCut    bool               `json:"logCut,omitempty"`
}

func shapeExecution(x *hark.Execution) *executionShape {
	return &executionShape{x.EndpointRef, string(x.AttemptID), string(x.MessageID), x.Version, millis(x.StartedAt),
		int64(x.Duration), int8(x.Outcome), x.Error, list[hark.LogLine](x.Log), x.LogCut}
}

func (s *executionShape) restore() *hark.Execution {
	return &hark.Execution{
		EndpointRef: s.Endpoint, AttemptID: hark.AttemptID(s.Attempt), MessageID: hark.MessageID(s.Message), Version: s.Version,
		StartedAt: moment(s.StartedAt), Duration: time.Duration(s.Duration), Outcome: hark.ExecutionOutcome(s.Outcome),
		Error: readable(s.Error), Log: s.Log, LogCut: s.LogCut,
	}
}
