package manage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/replay"
	"github.com/harkhq/hark/internal/store"
)

const (
	// recoverWindow is how far back Recover goes.
	recoverWindow = 14 * 24 * time.Hour
	// statsWindow is how long a span EndpointStats counts.
	statsWindow = 28 * 24 * time.Hour
	// slack lets "14 days ago" still be that when the request arrives.
	slack = 5 * time.Minute
)

// Recover sends again what failed for good at an endpoint.
func (m *Manager) Recover(ctx context.Context, c Caller, app, endpoint string, in ReplayIn) (hark.Task, error) {
	return m.replay(ctx, &c, opRecover, replay.Recover, app, endpoint, recoverWindow, in.bulk())
}

// ReplayMissing sends what an endpoint's rules of now match and what was never sent to it: messages from
// before it existed, or that came while it was disabled or filtered otherwise.
func (m *Manager) ReplayMissing(ctx context.Context, c Caller, app, endpoint string, in ReplayIn) (hark.Task, error) {
	return m.replay(ctx, &c, opReplayMissing, replay.Missing, app, endpoint, 0, in.bulk())
}

// BulkReplay sends again what was sent to an endpoint, whatever became of it.
func (m *Manager) BulkReplay(ctx context.Context, c Caller, app, endpoint string, in BulkReplayIn) (hark.Task, error) {
	return m.replay(ctx, &c, opBulkReplay, replay.Bulk, app, endpoint, 0, in)
}

// replay starts a task; window is how far back it may go, 0 for as far as there are messages.
func (m *Manager) replay(ctx context.Context, c *Caller, op operation, kind, app, endpoint string, window time.Duration, in BulkReplayIn) (hark.Task, error) {
	a, ep, err := m.appEndpoint(ctx, c, op, app, endpoint)
	if err != nil {
		return hark.Task{}, err
	}
	now := moment()
	var v check
	job := in.job(&v, now)
	v.within(window, in.Since, now, "body", "since")
	if err := v.err(); err != nil {
		return hark.Task{}, err
	}
	job.ApplicationID, job.EndpointID = a.ID, ep.ID
	task, err := m.replays.Start(ctx, c.EnvironmentID, kind, job, now)
	if err != nil {
		return hark.Task{}, err
	}
	m.audit(ctx, c, op, slog.String("app", string(a.ID)), slog.String("endpoint", string(ep.ID)), slog.String("task", string(task.ID)))
	return publicTask(task), nil
}

// within checks that a moment is not too far back; 0 sets no limit.
func (v *check) within(window time.Duration, since, now time.Time, loc ...string) {
	if window > 0 && !since.IsZero() && since.Before(now.Add(-window-slack)) {
		v.wrong(fmt.Sprintf("must not be more than %d days ago", int(window.Hours()/24)), loc...)
	}
}

// CountReplay counts what Recover (failed), ReplayMissing (missing) or BulkReplay (all) would send.
func (m *Manager) CountReplay(ctx context.Context, c Caller, app, endpoint string, in ReplayCountIn) (n ReplayCount, err error) {
	a, ep, err := m.appEndpoint(ctx, &c, opReplayCount, app, endpoint)
	if err != nil {
		return n, err
	}
	var v check
	kind, ok := map[string]string{"": replay.Recover, "failed": replay.Recover, "missing": replay.Missing, "all": replay.Bulk}[in.Status]
	if !ok {
		v.wrong("must be failed, missing or all", "query", "status")
	}
	v.filterNames(in.EventTypes, in.Channel, in.Tag)
	now := moment()
	job := replay.Job{Since: in.Since, Until: in.Until, EventTypes: in.EventTypes, Channel: in.Channel, Tag: in.Tag}
	if job.Until.IsZero() || job.Until.After(now) {
		job.Until = now
	}
	if job.Since.IsZero() {
		job.Since = now.Add(-recoverWindow)
	}
	if kind == replay.Recover {
		v.within(recoverWindow, job.Since, now, "query", "since")
	}
	if !job.Since.Before(job.Until) {
		v.wrong("must be before until, and not in the future", "query", "since")
	}
	if err := v.err(); err != nil {
		return n, err
	}
	n.Messages, n.Complete, err = m.replays.Count(ctx, a.Ref, ep, kind, job)
	return n, err
}

func (in *BulkReplayIn) job(v *check, now time.Time) replay.Job {
	job := replay.Job{Since: in.Since.UTC(), Until: now.UTC()}
	if in.Until.Given() && in.Until.Value.Before(now) {
		job.Until = in.Until.Value.UTC()
	}
	switch {
	case in.Since.IsZero():
		v.wrong("field required", "body", "since")
	case !in.Since.Before(job.Until):
		v.wrong("must be before until, and not in the future", "body", "since")
	}
	if in.EventTypes.Given() {
		v.names(in.EventTypes.Value, nameChars, maxName, 1, many, "body", "eventTypes")
		job.EventTypes = unique(in.EventTypes.Value)
	}
	if in.Channel.Given() {
		v.name(in.Channel.Value, channelChars, maxChannel, "body", "channel")
		job.Channel = in.Channel.Value
	}
	if in.Tag.Given() {
		v.name(in.Tag.Value, tagChars, maxTag, "body", "tag")
		job.Tag = in.Tag.Value
	}
	if in.Status.Given() {
		job.Status = v.status(&in.Status.Value, "body", "status")
	}
	if in.StatusCodeClass.Given() {
		job.StatusCodeClass = v.statusCodeClass(&in.StatusCodeClass.Value, "body", "statusCodeClass")
	}
	return job
}

func (v *check) status(in *int, loc ...string) *hark.AttemptStatus {
	if in == nil {
		return nil
	}
	if *in < int(hark.Succeeded) || *in > int(hark.Canceled) {
		v.wrong("must be between 0 and 4", loc...)
		return nil
	}
	status := hark.AttemptStatus(*in)
	return &status
}

func (v *check) statusCodeClass(in *int, loc ...string) *int {
	if in != nil && !slices.Contains([]int{0, 100, 200, 300, 400, 500}, *in) {
		v.wrong("must be 0, 100, 200, 300, 400 or 500", loc...)
	}
	return in
}

// Task finds a background task. A caller that is restricted to one application sees its tasks only.
func (m *Manager) Task(ctx context.Context, c Caller, id string) (hark.Task, error) {
	if err := c.permit(opTaskGet); err != nil {
		return hark.Task{}, err
	}
	if _, err := hark.ParseID(id, hark.TaskPrefix); err != nil {
		return hark.Task{}, hark.ErrNotFound
	}
	task, err := m.store.Task(ctx, c.EnvironmentID, hark.TaskID(id))
	if err != nil {
		return hark.Task{}, err
	}
	if c.ApplicationID != "" {
		var job replay.Job
		if err := json.Unmarshal(task.Data, &job); err != nil || job.ApplicationID != c.ApplicationID {
			return hark.Task{}, hark.ErrNotFound
		}
	}
	return publicTask(task), nil
}

// ListTasks lists the environment's background tasks, newest first unless asked otherwise.
func (m *Manager) ListTasks(ctx context.Context, c Caller, in TaskListIn) (p Page[hark.Task], err error) {
	if err := c.permit(opTaskList); err != nil {
		return p, err
	}
	var v check
	l := v.list(in.ListIn, hark.TaskPrefix, true)
	switch in.Status {
	case "", replay.Running, replay.Finished, replay.Failed:
	default:
		v.wrong("must be running, finished or failed", "query", "status")
	}
	if err := v.err(); err != nil {
		return p, err
	}
	rows, err := m.store.ListTasks(ctx, c.EnvironmentID, in.Status, in.Kind, l.page)
	if err != nil {
		return p, err
	}
	p = pageOf(l, rows, func(t *hark.Task) string { return string(t.ID) })
	for i := range p.Items {
		p.Items[i] = publicTask(p.Items[i])
	}
	return p, nil
}

// publicTask leaves out where the task goes on, which means nothing outside.
func publicTask(task hark.Task) hark.Task {
	var job replay.Job
	if json.Unmarshal(task.Data, &job) != nil {
		return task
	}
	job.Cursor = 0
	if data, err := json.Marshal(job); err == nil {
		task.Data = data
	}
	return task
}

// EndpointStats counts an endpoint's attempts in [since, until); zero is 28 days back, and now.
func (m *Manager) EndpointStats(ctx context.Context, c Caller, app, endpoint string, since, until time.Time) (s store.AttemptStats, err error) {
	_, ep, err := m.appEndpoint(ctx, &c, opEndpointStats, app, endpoint)
	if err != nil {
		return s, err
	}
	now := moment()
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-statsWindow)
	}
	switch {
	case until.After(now.Add(slack)):
		return s, hark.Errorf(hark.InvalidRange, "`until` cannot be in the future")
	case since.After(until):
		return s, hark.Errorf(hark.InvalidRange, "`since` cannot be after `until`")
	case until.Sub(since) > statsWindow+slack:
		return s, hark.Errorf(hark.InvalidRange, "`until - since` cannot be more than 28 days")
	}
	if !until.Before(now) {
		until = now.Add(time.Second) // the span ends before until: let it take in this very moment
	}
	return m.store.AttemptStats(ctx, ep.Ref, since, until)
}
