// Package replay does the work that goes on in the background: it queues past messages again
// (recover, replay what is missing, replay in bulk) and deletes the payloads of an application.
//
//	Start ─▶ running ─┬─ one page after another, tasks take turns ─▶ finished
//	                  └─ its application or endpoint is gone ──────▶ failed
//
// It promises that a task which was started is finished, across restarts, and that a replay never
// stands in the way of fresh messages: it queues at most one page ahead of what its endpoint can
// take, so a fresh message waits for one page at most; a held or failing endpoint makes it wait,
// one that is always busy lets it through a page at a time. Where several nodes share the store, the one
// that delivers for the endpoint does its tasks. After a crash, or when a task passes to another node
// in the middle of a page, the messages of one page may be queued twice. It refuses to replay what has
// no payload any more.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
	"github.com/harkhq/hark/internal/store"
)

// The kinds of tasks.
const (
	Recover = "endpoint.recover"
	Missing = "endpoint.replay"
	Bulk    = "endpoint.bulk-replay"
	Purge   = "application.purge_content"
)

// The states of a task.
const (
	Running  = "running"
	Finished = "finished"
	Failed   = "failed"
)

const (
	// pageSize bounds what a step holds in memory (payloads are read with their messages) and how
	// far a replay runs ahead of its endpoint.
	pageSize = 64
	// maxTasks bounds the tasks under way; a task is small, but people can start them for nothing.
	// maxPerApplication keeps one customer from using up all of them.
	maxTasks          = 10_000
	maxPerApplication = 10
	// shortWait and longWait bound how often a full queue is looked at again.
	shortWait = 50 * time.Millisecond
	longWait  = 5 * time.Second
	// retryWait is how long a task rests after the store could not serve it.
	retryWait = 2 * time.Second
	// countPage and countFor bound a count: by the memory of a page, and by what the store is kept busy with.
	countPage = 16 * pageSize
	countFor  = 5 * time.Second
	// lookEvery is how often a node looks for tasks that others have started or left.
	lookEvery = time.Second
)

// Job is what a task is to do and how far it has come: the task's Data.
type Job struct {
	ApplicationID hark.ApplicationID `json:"appId"`
	EndpointID    hark.EndpointID    `json:"endpointId,omitempty"`
	Since         time.Time          `json:"since,omitzero"`
	Until         time.Time          `json:"until,omitzero"`

	// These narrow any replay.
	EventTypes []string `json:"eventTypes,omitempty"`
	Channel    string   `json:"channel,omitempty"`
	Tag        string   `json:"tag,omitempty"`
	// And these a bulk replay.
	Status          *hark.AttemptStatus `json:"status,omitempty"`
	StatusCodeClass *int                `json:"statusCodeClass,omitempty"`

	Sent   *int   `json:"messagesSent,omitempty"`
	Purged *int   `json:"messagesPurged,omitempty"`
	Error  string `json:"error,omitempty"` // why it failed, for people

	// Cursor is where to go on; it leaves with the end of the task.
	Cursor hark.Ref `json:"cursor,omitempty"`
}

// Store is the part of the store that replays read and write.
type Store interface {
	store.Tasks
	Failed(ctx context.Context, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) ([]hark.Ref, hark.Ref, error)
	Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) ([]hark.Ref, hark.Ref, error)
	Attempted(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, after hark.Ref, limit int) ([]hark.Ref, hark.Ref, error)
	MessagesByRef(ctx context.Context, refs []hark.Ref) ([]hark.Message, error)
	ReadQueue(ctx context.Context, endpoint hark.Ref, after store.Position, limit int) ([]hark.Delivery, error)
	Enqueue(ctx context.Context, deliveries []hark.Delivery) error
	ExpungePayloads(ctx context.Context, app hark.Ref, after hark.Ref, limit int) (int, hark.Ref, error)
}

// Options of a Replayer; all but Holds are required.
type Options struct {
	Store     Store
	Directory *directory.Directory
	Logger    *slog.Logger
	// Holds is set where several nodes share the store: it says whether this one delivers for a shard.
	Holds func(shard int) bool
}

// Replayer does the tasks. Run it once; Start works before and while it runs.
type Replayer struct {
	store     Store
	directory *directory.Directory
	log       *slog.Logger
	holds     func(shard int) bool // nil: everything is this process's

	wake chan struct{}
	mu   sync.Mutex
	// started are tasks that Run has not taken over yet; known are all under way, with their applications.
	started []hark.Task
	known   map[hark.TaskID]hark.ApplicationID
}

// New makes a Replayer that does nothing until Run.
func New(opt Options) *Replayer {
	return &Replayer{
		store: opt.Store, directory: opt.Directory, log: opt.Logger, holds: opt.Holds,
		wake: make(chan struct{}, 1), known: map[hark.TaskID]hark.ApplicationID{},
	}
}

// Start keeps a task of the given kind and has it done in the background.
func (r *Replayer) Start(ctx context.Context, env hark.EnvironmentID, kind string, job Job, now time.Time) (hark.Task, error) {
	zero := 0
	if kind == Purge {
		job.Purged = &zero
	} else {
		job.Sent = &zero
	}
	data, err := json.Marshal(job)
	if err != nil {
		return hark.Task{}, fmt.Errorf("write a task's job: %w", err)
	}
	task := hark.Task{
		ID: hark.NewTaskID(now), EnvironmentID: env, Kind: kind, Status: Running,
		Data: data, CreatedAt: now, UpdatedAt: now,
	}
	if err := r.admit(ctx, task.ID, job.ApplicationID); err != nil {
		return hark.Task{}, err
	}
	if err := r.store.InsertTask(ctx, task); err != nil {
		r.forget(task.ID)
		return hark.Task{}, err
	}
	if r.holds != nil { // whoever delivers for the endpoint finds it
		r.forget(task.ID)
	} else {
		r.mu.Lock()
		r.started = append(r.started, task)
		r.mu.Unlock()
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return task, nil
}

func (r *Replayer) admit(ctx context.Context, id hark.TaskID, app hark.ApplicationID) error {
	all, err := r.underWay(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if all == nil {
		all = r.known
	}
	if len(all) >= maxTasks {
		return &hark.Error{Code: hark.Overloaded, RetryAfter: time.Minute,
			Detail: "Too many background tasks are running. Try again when some have finished."}
	}
	own := 0
	for _, other := range all {
		if other == app {
			own++
		}
	}
	if own >= maxPerApplication {
		return hark.Errorf(hark.LimitReached, "An application can have %d background tasks running.", maxPerApplication)
	}
	r.known[id] = app
	return nil
}

// underWay are the tasks of all nodes; nil where this one knows them all.
func (r *Replayer) underWay(ctx context.Context) (map[hark.TaskID]hark.ApplicationID, error) {
	if r.holds == nil {
		return nil, nil
	}
	tasks, err := r.store.RunningTasks(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[hark.TaskID]hark.ApplicationID, len(tasks))
	for _, task := range tasks {
		all[task.ID] = newWork(task).job.ApplicationID
	}
	return all, nil
}

func (r *Replayer) forget(id hark.TaskID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

// resume finds what an earlier process left unfinished, and what other nodes have started or left that
// is this one's to do, without what is under way here.
func (r *Replayer) resume(ctx context.Context) ([]*work, error) {
	tasks, err := r.store.RunningTasks(ctx)
	if err != nil {
		return nil, fmt.Errorf("find unfinished tasks: %w", err)
	}
	var all []*work
	for _, task := range tasks {
		if w := newWork(task); !r.isKnown(task.ID) && r.mine(ctx, w) {
			r.mu.Lock()
			r.known[task.ID] = w.job.ApplicationID
			r.mu.Unlock()
			all = append(all, w)
		}
	}
	return all, nil
}

func (r *Replayer) isKnown(id hark.TaskID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.known[id]
	return known
}

// mine says whether a task is this node's to do. One whose application or endpoint is gone is
// anybody's, so that somebody ends it.
func (r *Replayer) mine(ctx context.Context, w *work) bool {
	if r.holds == nil || w.bad != nil {
		return true
	}
	app, err := r.directory.Application(ctx, w.task.EnvironmentID, string(w.job.ApplicationID))
	if err != nil {
		return errors.Is(err, hark.ErrNotFound)
	}
	ref := app.Ref
	if w.task.Kind != Purge {
		endpoint := w.endpoint(app)
		if endpoint == nil {
			return true
		}
		ref = endpoint.Ref
	}
	return r.holds(store.ShardOf(ref))
}

// take answers the tasks that were started since it was last called.
func (r *Replayer) take() []*work {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*work
	for _, task := range r.started {
		all = append(all, newWork(task))
	}
	r.started = nil
	return all
}

// Run does tasks until ctx ends. What is unfinished then goes on after the next start.
func (r *Replayer) Run(ctx context.Context) error {
	all, err := r.resume(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	looked := time.Now()
	for {
		all = append(all, r.take()...)
		if r.holds != nil && time.Since(looked) >= lookEvery {
			looked = time.Now()
			more, err := r.resume(ctx)
			if err != nil && ctx.Err() == nil {
				r.log.LogAttrs(ctx, slog.LevelWarn, "look for background tasks", slog.Any("err", err))
			}
			all = append(all, more...)
		}
		var next time.Time // zero: nothing to do
		rest := all[:0]
		for _, w := range all { // one page each: tasks take turns
			if !time.Now().Before(w.due) {
				r.step(ctx, w)
			}
			if ctx.Err() != nil {
				return nil
			}
			if w.ended {
				r.forget(w.task.ID)
				continue
			}
			if due := laterOf(w.due, time.Now()); next.IsZero() || due.Before(next) {
				next = due
			}
			rest = append(rest, w)
		}
		clear(all[len(rest):])
		all = rest

		if look := looked.Add(lookEvery); r.holds != nil && (next.IsZero() || look.Before(next)) {
			next = look
		}
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-due:
		}
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// errGone ends a task whose application or endpoint was deleted.
var errGone = errors.New("the application or endpoint was deleted")
