package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/stream"
)

// TailOut is one thing that happened.
type TailOut struct {
	Kind          string             `json:"kind" enum:"message,attempt,request,skipped"`
	ApplicationID hark.ApplicationID `json:"applicationId,omitempty"`
	Message       *MessageOut        `json:"message,omitempty" doc:"Without its payload."`
	Attempt       *MessageAttemptOut `json:"attempt,omitempty" doc:"Without the answer's body."`
	Request       *RequestOut        `json:"request,omitempty"`
	Skipped       int                `json:"skipped,omitempty" doc:"So many at least were left out, because there was more than a tail can follow."`
}

// tailed is an entry's wire form.
func tailed(e *store.TailEntry, app hark.ApplicationID) TailOut {
	out := TailOut{ApplicationID: app}
	switch {
	case e.Message != nil:
		m := messageOut(e.Message, false)
		out.Kind, out.Message = "message", &m
	case e.Attempt != nil:
		a := attemptOut(e.Attempt, false, true)
		out.Kind, out.Attempt = "attempt", &a
	case e.Request != nil:
		q := requestOut(e.Request)
		out.Kind, out.Request = "request", &q
	}
	return out
}

// streamTail is a stream of what happens.
func streamTail(c *call) error {
	q := c.query()
	in := manage.TailIn{
		Application: q.text("app_id"), Source: q.text("source_id"), Kinds: q.list("kind"), EventTypes: q.list("event_types"),
		Status: q.text("status"), Since: q.moment("since"),
	}
	if q.err != nil {
		return q.err
	}
	if at, ok := parseTime(c.r.Header.Get("Last-Event-ID")); ok {
		in.Since, in.Resumed = at, true
	}
	tail, check, err := c.api.Manage.OpenTail(c.r.Context(), c.caller, in)
	if err != nil {
		return err
	}
	if c.r.Method == http.MethodHead { // it would wait for ever
		c.Header().Set("Content-Type", "text/event-stream")
		return nil
	}
	authenticate, operations, bearer := c.api.Auth.Authenticate, c.api.Manage, c.bearer
	err = c.api.Streams.ServeTail(c.ResponseWriter, c.r, stream.Tail{
		Tail:   tail,
		Tenant: string(c.caller.EnvironmentID) + "/" + string(c.caller.ApplicationID),
		Check: func(ctx context.Context) error { // the key may have been revoked meanwhile
			if _, err := authenticate(ctx, bearer); err != nil {
				return err
			}
			return check(ctx)
		},
		Encode: func(ctx context.Context, dst []byte, e *store.TailEntry) (string, []byte) {
			app, err := operations.ApplicationOf(ctx, e.ApplicationRef)
			if err != nil { // it was deleted meanwhile
				return "", dst
			}
			out := tailed(e, app)
			text, err := json.Marshal(out)
			if err != nil {
				return "", dst
			}
			return out.Kind, append(dst, text...)
		},
	})
	c.sent = c.sent || err == nil
	return err
}

func tailOperations() []operation {
	return []operation{
		{method: "GET", path: "/tail", id: "hark.tail", may: "tail.read", tag: "Tail", summary: "Watch messages, attempts and requests as they happen",
			doc:    "Server-sent events, each named by its kind, with a TailOut as its data. Their ids are times: Last-Event-ID goes on there, and what is known already by its id may come again.",
			access: operator, status: is200,
			query: []param{
				{"app_id", textType, "Only this application's; by default the environment's."},
				{"source_id", textType, "Only this source's requests."},
				{"kind", listType, "Of message, attempt and request, comma-separated; all by default."},
				filters[0],
				{"status", textType, "failed: only attempts that were no success and requests that were rejected."},
				{"since", timeType, "Begin in the past, at most a day ago; by default now."},
			},
			stream: true, handler: raw[none, TailOut](streamTail)},
	}
}
