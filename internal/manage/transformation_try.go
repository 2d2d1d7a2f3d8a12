package manage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
)

// SimulateIn asks what a transformation would make of a message. Nothing is sent.
type SimulateIn struct {
	Code      Opt[string]            // left out: the endpoint's
	Variables Opt[map[string]string] // left out: the endpoint's
	EventType string
	Payload   Opt[json.RawMessage] // this, or
	MessageID Opt[string]          // a message of the application
}

// Simulation is what became of it.
type Simulation struct {
	Before, After SimulatedRequest // After means nothing when it failed or was canceled
	EventType     string
	Changed       []string // method, url, headers, payload
	Canceled      bool
	Log           []hark.LogLine
	LogCut        bool
	Took          time.Duration
	Failure       *alter.Failure // nil: it went well
}

// SimulatedRequest is a request without its signature. The endpoint's own headers are not in it.
type SimulatedRequest struct {
	Method, URL string
	Headers     map[string]string
	Payload     []byte
}

// simulatedLog is how much of the console a person is shown.
const simulatedLog = 16 << 10

// SimulateTransformation runs a transformation on a message and says what it made of it.
func (m *Manager) SimulateTransformation(ctx context.Context, c Caller, app, endpoint string, in SimulateIn) (s Simulation, err error) {
	a, ep, err := m.transformed(ctx, &c, opTransformationSimulate, app, endpoint)
	if err != nil {
		return s, err
	}
	var v check
	v.transformation(&TransformationPatch{Code: in.Code, Variables: in.Variables})
	if in.Payload.Given() == in.MessageID.Given() {
		v.wrong("give either a payload or a messageId", "body", "payload")
	}
	if err := v.err(); err != nil {
		return s, err
	}
	row, err := m.store.Endpoint(ctx, a.Ref, string(ep.ID))
	if err != nil {
		return s, err
	}
	t := row.Transformation
	if in.Code.Given() {
		t.Code = in.Code.Value
	}
	if in.Variables.Set {
		t.Variables = in.Variables.Value
	}
	if t.Code == "" {
		return s, hark.InvalidField("the endpoint has no transformation: say which code to try", "body", "code")
	}
	job := alter.Job{
		Application: a.Ref, Key: t.Key(), Transformation: &t, URL: row.URL,
		EventType: in.EventType, Body: in.Payload.Value, Log: simulatedLog,
	}
	if in.MessageID.Given() {
		msg, err := m.store.Message(ctx, a.Ref, in.MessageID.Value, true)
		if err != nil {
			return s, err
		}
		if msg.Expunged {
			return s, hark.Errorf(hark.MissingPayload, "The message's payload was deleted.")
		}
		job.EventType, job.Body = msg.EventType, msg.Body()
		if head, err := hark.DecodeHead(msg.Head); msg.Head != nil && err == nil {
			job.Head = &head
		}
	}
	trial, err := m.transformations.Try(ctx, job)
	return simulation(&job, &trial, err)
}

func simulation(job *alter.Job, trial *alter.Trial, err error) (s Simulation, _ error) {
	s = Simulation{EventType: job.EventType, Canceled: trial.Canceled, Log: trial.Log, LogCut: trial.LogCut, Took: trial.Took}
	s.Before = SimulatedRequest{Method: "POST", URL: job.URL, Headers: trial.Shown, Payload: job.Body}
	s.After = s.Before
	if failure, ok := errors.AsType[*alter.Failure](err); ok {
		s.Failure = failure
		return s, nil
	}
	if err != nil || trial.Canceled {
		return s, busy(err)
	}
	s.After = SimulatedRequest{
		Method: cmp.Or(trial.Method, "POST"), URL: cmp.Or(trial.URL, job.URL), Headers: trial.Headers(), Payload: trial.Body,
	}
	for _, field := range []struct {
		name    string
		changed bool
	}{{"method", trial.Changed.Method}, {"url", trial.Changed.URL}, {"headers", trial.Changed.Headers || trial.Place != nil}, {"payload", trial.Changed.Payload}} {
		if field.changed {
			s.Changed = append(s.Changed, field.name)
		}
	}
	return s, nil
}

// TransformationVersions lists what an endpoint's transformation was, newest first, without the code.
func (m *Manager) TransformationVersions(ctx context.Context, c Caller, app, endpoint string) ([]hark.TransformationVersion, error) {
	_, ep, err := m.transformed(ctx, &c, opTransformationGet, app, endpoint)
	if err != nil {
		return nil, err
	}
	return m.store.TransformationVersions(ctx, ep.Ref)
}

// TransformationVersion answers one version with its code.
func (m *Manager) TransformationVersion(ctx context.Context, c Caller, app, endpoint string, number int) (v hark.TransformationVersion, err error) {
	_, ep, err := m.transformed(ctx, &c, opTransformationGet, app, endpoint)
	if err != nil {
		return v, err
	}
	return m.store.TransformationVersion(ctx, ep.Ref, number)
}

// RollBackTransformation saves an earlier version's code anew. Whether it is enabled, and its variables, stay.
func (m *Manager) RollBackTransformation(ctx context.Context, c Caller, app, endpoint string, number int) (hark.Transformation, error) {
	a, ep, err := m.transformed(ctx, &c, opTransformationRollBack, app, endpoint)
	if err != nil {
		return hark.Transformation{}, err
	}
	v, err := m.store.TransformationVersion(ctx, ep.Ref, number)
	if err != nil {
		return hark.Transformation{}, err
	}
	return m.saveTransformation(ctx, &c, opTransformationRollBack, a, ep, TransformationPatch{Code: Some(v.Code)})
}

// ListExecutions lists the runs of an endpoint's transformation that failed, canceled their delivery or wrote
// to their console, newest first.
func (m *Manager) ListExecutions(ctx context.Context, c Caller, app, endpoint string, in ListIn) (p Page[hark.Execution], err error) {
	_, ep, err := m.transformed(ctx, &c, opTransformationLog, app, endpoint)
	if err != nil {
		return p, err
	}
	var v check
	l := v.list(in, hark.AttemptPrefix, true)
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListExecutions(ctx, ep.Ref, l.page)
	if err != nil {
		return p, err
	}
	return pageOf(l, rows, func(x *hark.Execution) string { return string(x.AttemptID) }), nil
}
