package deliver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/alter"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/outbound"
)

// alter applies the endpoint's transformation; false says that it did not get to that.
func (e *Engine) alter(ctx context.Context, j *job, m *hark.Message, attempt *hark.Attempt, x *exchange) bool {
	ep := j.endpoint
	job := alter.Job{
		Application: j.delivery.ApplicationRef, Endpoint: ep.Ref, Key: ep.Script, Transformation: &ep.Transformation,
		EventType: m.EventType, URL: ep.URL, Body: m.Body(),
	}
	if head, err := hark.DecodeHead(m.Head); m.Head != nil && err == nil {
		job.Head = &head
	}
	begun := time.Now()
	altered, err := e.opt.Alterer.Apply(ctx, job)
	j.altered = &altered
	failure, failed := errors.AsType[*alter.Failure](err)
	switch {
	case failed:
		attempt.Error = "the transformation failed: " + failure.Error()
		x.Altering, x.Exhausted = true, failure.Exhausted()
	case errors.Is(err, alter.ErrBusy):
		j.crowded = true
		return false
	case err != nil:
		if ctx.Err() == nil {
			e.opt.Log.LogAttrs(ctx, slog.LevelError, "transformation not run", slog.String("endpoint", string(ep.ID)), slog.Any("err", err))
		}
		return false
	case altered.Canceled:
		attempt.Error = "canceled by the transformation"
		x.Canceled = true
	case altered.Target != nil:
		attempt.URL = altered.URL
	}
	e.metrics.altered.Observe(altered.Took.Seconds())
	j.execution = execution(attempt, j, x, begun)
	return true
}

// execution is what is remembered of a run: nothing, when it went well and the script had nothing to say.
func execution(a *hark.Attempt, j *job, x *exchange, begun time.Time) *hark.Execution {
	run := hark.Execution{
		EndpointRef: a.EndpointRef, AttemptID: a.ID, MessageID: a.MessageID, Version: j.endpoint.Transformation.Version,
		StartedAt: begun, Duration: j.altered.Took, Log: j.altered.Log, LogCut: j.altered.LogCut,
	}
	switch {
	case x.Altering:
		run.Outcome, run.Error = hark.ExecutionFailed, strings.TrimPrefix(a.Error, "the transformation failed: ")
	case x.Canceled:
		run.Outcome = hark.ExecutionCanceled
	case len(run.Log) == 0:
		return nil
	}
	return &run
}

// redress gives a request what the transformation made of it, but for the headers that it set. Those that are
// in it already describe the body.
func redress(r *outbound.Request, a *alter.Altered) {
	r.Method = a.Method
	if a.Target != nil {
		r.Target = a.Target
	}
	if a.Place != nil {
		r.Header = append(without(r.Header, directory.PathHeader), outbound.Field{Name: directory.PathHeader, Value: *a.Place})
	}
	r.Header = without(r.Header, a.Gone...)
	for _, f := range a.Set {
		r.Header = without(r.Header, f.Name)
	}
}

// appendOwn appends the endpoint's own headers, and those that the transformation set in place of them.
func appendOwn(fields, own []outbound.Field, a *alter.Altered) []outbound.Field {
	for _, f := range own {
		if !slices.ContainsFunc(a.Set, func(set outbound.Field) bool { return strings.EqualFold(set.Name, f.Name) }) {
			fields = append(fields, f)
		}
	}
	return append(fields, a.Set...)
}

// without takes out fields by name.
func without(fields []outbound.Field, names ...string) []outbound.Field {
	return slices.DeleteFunc(fields, func(f outbound.Field) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, f.Name) })
	})
}
