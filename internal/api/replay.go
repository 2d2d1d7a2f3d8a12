package api

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// ReplayIn says which messages to send again, by when they were created.
type ReplayIn struct {
	Since      time.Time             `json:"since" req:"1"`
	Until      manage.Opt[time.Time] `json:"until" doc:"Now, when it is left out."`
	EventTypes manage.Opt[[]string]  `json:"eventTypes"`
	Channel    manage.Opt[string]    `json:"channel"`
	Tag        manage.Opt[string]    `json:"tag"`
}

// BulkReplayIn says it more closely.
type BulkReplayIn struct {
	Since           time.Time             `json:"since" req:"1"`
	Until           manage.Opt[time.Time] `json:"until" doc:"Now, when it is left out."`
	EventTypes      manage.Opt[[]string]  `json:"eventTypes"`
	Channel         manage.Opt[string]    `json:"channel"`
	Tag             manage.Opt[string]    `json:"tag"`
	Status          manage.Opt[int]       `json:"status" doc:"0 success, 1 pending, 2 fail, 3 sending."`
	StatusCodeClass manage.Opt[int]       `json:"statusCodeClass" doc:"0 (no response), 100, 200, 300, 400 or 500."`
}

// TaskRef is work in the background that has been started.
type TaskRef struct {
	ID        hark.TaskID `json:"id"`
	Status    string      `json:"status" enum:"running,finished,failed"`
	Task      string      `json:"task"`
	UpdatedAt time.Time   `json:"updatedAt"`
}

func taskRef(t *hark.Task) TaskRef {
	return TaskRef{ID: t.ID, Status: t.Status, Task: t.Kind, UpdatedAt: wireTime(t.UpdatedAt)}
}

// BackgroundTaskOut is work in the background, with its result.
type BackgroundTaskOut struct {
	TaskRef
	Data json.RawMessage `json:"data" schema:"object" doc:"The result, such as messagesSent."`
}

func taskOut(t *hark.Task) BackgroundTaskOut {
	out := BackgroundTaskOut{TaskRef: taskRef(t), Data: t.Data}
	if len(out.Data) == 0 {
		out.Data = json.RawMessage("{}")
	}
	return out
}

func recoverEndpoint(c *call, in ReplayIn) (TaskRef, error) {
	t, err := c.api.Manage.Recover(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.ReplayIn(in))
	return taskRef(&t), err
}

func replayMissing(c *call, in ReplayIn) (TaskRef, error) {
	t, err := c.api.Manage.ReplayMissing(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.ReplayIn(in))
	return taskRef(&t), err
}

func bulkReplay(c *call, in BulkReplayIn) (TaskRef, error) {
	t, err := c.api.Manage.BulkReplay(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.BulkReplayIn(in))
	return taskRef(&t), err
}

// ReplayCountOut is how much a replay would send.
type ReplayCountOut struct {
	Messages int  `json:"messages"`
	Complete bool `json:"complete" doc:"false: there was too much to count; it is at least so many."`
}

func countReplay(c *call, _ none) (ReplayCountOut, error) {
	q := c.query()
	in := manage.ReplayCountIn{
		Status: q.text("status"), Since: q.moment("since"), Until: q.moment("until"),
		EventTypes: q.list("event_types"), Channel: q.text("channel"), Tag: q.text("tag"),
	}
	if q.err != nil {
		return ReplayCountOut{}, q.err
	}
	n, err := c.api.Manage.CountReplay(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in)
	return ReplayCountOut(n), err
}

func listTasks(c *call, _ none) (ListResponse[BackgroundTaskOut], error) {
	q := c.query()
	in := manage.TaskListIn{ListIn: q.page(), Status: q.text("status"), Kind: q.text("task")}
	if q.err != nil {
		return ListResponse[BackgroundTaskOut]{}, q.err
	}
	page, err := c.api.Manage.ListTasks(c.r.Context(), c.caller, in)
	return listOf(page, taskOut), err
}

func getTask(c *call, _ none) (BackgroundTaskOut, error) {
	t, err := c.api.Manage.Task(c.r.Context(), c.caller, c.path("task_id"))
	return taskOut(&t), err
}
