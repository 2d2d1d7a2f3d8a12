package replay

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/match"
	"github.com/harkhq/hark/internal/store"
)

// work is a task under way.
type work struct {
	task  hark.Task
	job   Job
	due   time.Time      // nothing to do before
	wait  time.Duration  // the last wait for room, which grows while there is none
	first store.Position // of the queue, when there was no room the last time
	base  hark.Ref       // the cursor that was read or recorded last
	ended bool
	bad   error // its data cannot be read
}

func newWork(task hark.Task) *work {
	w := &work{task: task}
	w.bad = json.Unmarshal(task.Data, &w.job)
	if w.job.Sent == nil && task.Kind != Purge {
		w.job.Sent = new(int)
	}
	if w.job.Purged == nil && task.Kind == Purge {
		w.job.Purged = new(int)
	}
	w.base = w.job.Cursor
	return w
}

// endpoint is the one that the task is about, or nil.
func (w *work) endpoint(app *directory.Application) *directory.Endpoint {
	i := slices.IndexFunc(app.Endpoints, func(e *directory.Endpoint) bool { return e.ID == w.job.EndpointID })
	if i < 0 {
		return nil
	}
	return app.Endpoints[i]
}

// step does one page of a task and records how far it has come.
func (r *Replayer) step(ctx context.Context, w *work) {
	if !r.mine(ctx, w) {
		w.ended = true // here: another node goes on with it
		return
	}
	done, err := false, w.bad
	if err == nil {
		done, err = r.page(ctx, w)
	}
	if ctx.Err() != nil {
		return
	}
	status := Running
	switch {
	case err == nil && done:
		status = Finished
	case err == nil:
	case w.bad != nil, errors.Is(err, errGone), errors.Is(err, hark.ErrNotFound):
		status = Failed
		w.job.Error = errGone.Error()
		if w.bad != nil {
			w.job.Error = "the task cannot be read"
		}
	default:
		r.rest(ctx, w, "background task", err)
		return
	}
	if err == nil && !done && w.wait > 0 { // nothing happened
		return
	}
	if err := r.record(ctx, w, status); errors.Is(err, errTaken) {
		w.ended = true
	} else if err != nil {
		// The page was done but is not recorded: the next step records it with its own.
		r.rest(ctx, w, "record background task", err)
		w.ended = errors.Is(err, hark.ErrNotFound)
	}
}

func (r *Replayer) rest(ctx context.Context, w *work, what string, err error) {
	w.due = time.Now().Add(retryWait)
	r.log.LogAttrs(ctx, slog.LevelWarn, what, slog.String("task", string(w.task.ID)), slog.Any("err", err))
}

// record writes a task's progress.
func (r *Replayer) record(ctx context.Context, w *work, status string) error {
	job := w.job
	if status != Running {
		job.Cursor = 0
	}
	data, err := json.Marshal(job)
	if err != nil {
		return err
	}
	now := time.Now()
	_, err = r.store.UpdateTask(ctx, w.task.ID, func(t *hark.Task) error {
		if was := newWork(*t); t.Status != Running || was.bad == nil && was.base != w.base {
			return errTaken
		}
		t.Status, t.Data, t.UpdatedAt = status, data, now
		return nil
	})
	if err == nil {
		w.base, w.ended = job.Cursor, status != Running
	}
	return err
}

// errTaken says that another node has done a step of the task meanwhile, and goes on with it.
var errTaken = errors.New("another node does this task")

// page does one page; done says that there is no other. When there is no room it sets w.wait and
// w.due and does nothing.
func (r *Replayer) page(ctx context.Context, w *work) (done bool, err error) {
	app, err := r.directory.Application(ctx, w.task.EnvironmentID, string(w.job.ApplicationID))
	if err != nil {
		return false, err
	}
	if w.task.Kind == Purge {
		n, next, err := r.store.ExpungePayloads(ctx, app.Ref, w.job.Cursor, pageSize*4)
		if err != nil {
			return false, err
		}
		*w.job.Purged += n
		w.job.Cursor = next
		return next == 0, nil
	}
	endpoint := w.endpoint(app)
	if endpoint == nil {
		return false, errGone
	}
	room, err := r.room(ctx, w, endpoint)
	if err != nil || !room {
		return false, err
	}
	refs, next, err := r.find(ctx, w.task.Kind, &w.job, app.Ref, endpoint.Ref, pageSize)
	if err != nil {
		return false, err
	}
	sent, err := r.queue(ctx, w.task.Kind, &w.job, app.Ref, endpoint, refs)
	if err != nil {
		return false, err
	}
	*w.job.Sent += sent
	w.job.Cursor = next
	return next == 0, nil
}

// room says whether the endpoint's queue can take a page: less than half a page is due there.
// Otherwise the task waits, longer each time; an endpoint that is always busy but gets on with its
// queue takes a page when the wait is at its longest.
func (r *Replayer) room(ctx context.Context, w *work, endpoint *directory.Endpoint) (bool, error) {
	now := time.Now()
	rows, err := r.store.ReadQueue(ctx, endpoint.Ref, store.Position{}, pageSize/2)
	if err != nil {
		return false, err
	}
	full := len(rows) == pageSize/2 && rows[len(rows)-1].Due <= now.UnixMilli()
	if full {
		first := store.Position{Due: rows[0].Due, MessageRef: rows[0].MessageRef}
		moving := first != w.first && !endpoint.Held()
		w.first = first
		full = !moving || w.wait < longWait
	}
	if !full {
		w.wait, w.due = 0, time.Time{}
		return true, nil
	}
	w.wait = min(max(2*w.wait, shortWait), longWait)
	w.due = now.Add(w.wait)
	return false, nil
}

// find answers the next messages to replay, and where to go on (0: these are the last).
func (r *Replayer) find(ctx context.Context, kind string, j *Job, app, endpoint hark.Ref, limit int) ([]hark.Ref, hark.Ref, error) {
	switch kind {
	case Recover:
		return r.store.Failed(ctx, endpoint, j.Since, j.Until, j.Cursor, limit)
	case Missing:
		return r.store.Missing(ctx, app, endpoint, j.Since, j.Until, j.Cursor, limit)
	}
	return r.store.Attempted(ctx, endpoint, store.AttemptFilter{
		Status: j.Status, StatusCodeClass: j.StatusCodeClass, EventTypes: j.EventTypes,
		Channel: j.Channel, Tag: j.Tag, After: j.Since.Add(-time.Millisecond), Before: j.Until,
	}, j.Cursor, limit)
}

// load reads those of the messages that the job is about and that can still be sent. What was never sent to
// the endpoint is missing there only if it is what the endpoint wants, by its rules of now.
func (r *Replayer) load(ctx context.Context, kind string, j *Job, endpoint *directory.Endpoint, refs []hark.Ref) ([]hark.Message, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	messages, err := r.store.MessagesByRef(ctx, refs)
	return slices.DeleteFunc(messages, func(m hark.Message) bool {
		return m.Expunged ||
			len(j.EventTypes) > 0 && !slices.Contains(j.EventTypes, m.EventType) ||
			j.Channel != "" && !slices.Contains(m.Channels, j.Channel) ||
			j.Tag != "" && !slices.Contains(m.Tags, j.Tag) ||
			kind == Missing && (endpoint.Matcher == nil || !endpoint.Matcher.Match(match.Of(&m)))
	}), err
}

// queue puts messages into the endpoint's queue as if they had just come in: they are tried and
// retried by the endpoint's schedule.
func (r *Replayer) queue(ctx context.Context, kind string, j *Job, app hark.Ref, endpoint *directory.Endpoint, refs []hark.Ref) (int, error) {
	messages, err := r.load(ctx, kind, j, endpoint, refs)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	slices.SortFunc(messages, func(a, b hark.Message) int { return int(a.Ref - b.Ref) })
	now := time.Now().UnixMilli()
	rows := make([]hark.Delivery, 0, len(messages))
	for i := range messages {
		m := &messages[i]
		row := hark.Delivery{
			EndpointRef: endpoint.Ref, ApplicationRef: app, MessageRef: m.Ref,
			Due: now, Trigger: hark.Scheduled,
		}
		if o := endpoint.Ordering; o != hark.Unordered && o != hark.OrderByEndpoint {
			row.Line, _ = match.Line(m.Payload, string(o))
		}
		rows = append(rows, row)
	}
	return len(rows), r.store.Enqueue(ctx, rows)
}

// Count counts what a task of this kind would send, and sends nothing. complete is false where there
// was too much to look at: it is at least so many then.
func (r *Replayer) Count(ctx context.Context, app hark.Ref, endpoint *directory.Endpoint, kind string, job Job) (n int, complete bool, err error) {
	for end := time.Now().Add(countFor); ; {
		refs, next, err := r.find(ctx, kind, &job, app, endpoint.Ref, countPage)
		if err != nil {
			return 0, false, err
		}
		for some := range slices.Chunk(refs, pageSize) {
			messages, err := r.load(ctx, kind, &job, endpoint, some)
			if err != nil {
				return 0, false, err
			}
			n += len(messages)
		}
		if next == 0 || !time.Now().Before(end) {
			return n, next == 0, nil
		}
		job.Cursor = next
	}
}
