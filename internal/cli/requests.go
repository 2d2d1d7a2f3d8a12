package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type requestsCmd struct {
	List    requestsList    `cmd:"" default:"withargs" help:"List inbound requests, newest first."`
	Show    requestsShow    `cmd:"" help:"Show one request with its headers and body."`
	Accept  requestsAccept  `cmd:"" help:"Make a message of a rejected request, or of a duplicate."`
	Expunge requestsExpunge `cmd:"" help:"Delete a request's headers and body for good."`
}

// Help is shown by hark requests --help.
func (requestsCmd) Help() string {
	return `A request is what came in at a source. It became a message, was rejected (the cause says why), or had
come before.

Examples:

  hark requests --status rejected --since 1h
  hark requests show req_…
  hark requests accept req_…`
}

type requestOut struct {
	ID         string              `json:"id"`
	SourceID   string              `json:"sourceId"`
	Status     string              `json:"status"`
	Cause      *string             `json:"cause"`
	Detail     *string             `json:"detail"`
	EventID    *string             `json:"eventId"`
	EventType  *string             `json:"eventType"`
	MessageID  *string             `json:"msgId"`
	Secret     *int                `json:"secret"`
	Method     string              `json:"method"`
	Remote     string              `json:"remote"`
	Size       int64               `json:"size"`
	Answered   int                 `json:"responseStatusCode"`
	ReceivedAt time.Time           `json:"receivedAt"`
	Path       string              `json:"path"`
	Query      string              `json:"query"`
	Headers    map[string][]string `json:"headers"`
	Body       *string             `json:"body"`
	Base64     *string             `json:"bodyBase64"`
	Expired    bool                `json:"expired"`
}

type requestsList struct {
	Remote
	Listing
	App       string   `short:"a" env:"HARK_APP" placeholder:"ID" help:"Only what came to this application's sources."`
	Source    string   `short:"s" placeholder:"ID" help:"Only this source's."`
	Status    string   `help:"accepted, rejected or duplicate."`
	Cause     string   `help:"Only those rejected for this reason, such as verification_failed."`
	EventType []string `name:"event-type" short:"t" placeholder:"TYPE" help:"Only these event types (repeatable)."`
	Since     moments  `placeholder:"TIME" help:"Received after: 2h, 3d or a date."`
	Until     moments  `placeholder:"TIME" help:"Received before: 2h, 3d or a date."`
}

// Help is shown by hark requests list --help.
func (requestsList) Help() string {
	return "Examples:\n\n  hark requests list --source src_… --status rejected --since 24h\n  hark requests list --app shop --cause verification_failed"
}

// Run lists requests.
func (c *requestsList) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	of, filter := anApplication(c.App).at("/request"), url.Values{}
	if c.Source != "" {
		of = aSource(c.Source).at(path("source", c.Source, "request"))
	} else {
		put(filter, "application_id", c.App)
	}
	put(filter, "status", c.Status)
	put(filter, "cause", c.Cause)
	put(filter, "event_types", strings.Join(c.EventType, ","))
	c.Since.put(filter, "after")
	c.Until.put(filter, "before")
	return listing(ctx, sh, api, c.JSON, c.Listing, question{about: of, query: filter}, func(all []requestOut) *table {
		t := newTable("ID", "SOURCE", "STATUS", "CAUSE", "EVENT TYPE", "EVENT ID", "MESSAGE", "RECEIVED")
		for _, q := range all {
			t.add(q.ID, q.SourceID, q.Status, text(q.Cause), text(q.EventType), text(q.EventID), text(q.MessageID), clock(q.ReceivedAt))
		}
		return t
	})
}

// OneRequest names the request that a command is about.
type OneRequest struct {
	Remote
	ID string `arg:"" help:"The request's id."`
}

// request is the request.
func (c *OneRequest) request() named {
	return named{"request", c.ID, "hark requests", path("request", c.ID)}
}

type requestsShow struct{ OneRequest }

// Help is shown by hark requests show --help.
func (requestsShow) Help() string {
	return "Example:\n\n  hark requests show req_… --json | jq -r .body"
}

// Run shows a request.
func (c *requestsShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: c.request()}, func(q requestOut) {
		headers := make(map[string]string, len(q.Headers))
		for name, values := range q.Headers {
			headers[name] = strings.Join(values, ", ")
		}
		body := text(q.Body)
		if q.Base64 != nil {
			body = "(base64) " + *q.Base64
		}
		if q.Expired {
			body = "(deleted)"
		}
		path := q.Path
		if q.Query != "" {
			path += "?" + q.Query
		}
		sh.fields([][2]string{
			{"id", q.ID}, {"source", q.SourceID}, {"status", q.Status}, {"cause", text(q.Cause)}, {"detail", text(q.Detail)}, {"secret", number(q.Secret)},
			{"event type", text(q.EventType)}, {"event id", text(q.EventID)}, {"message", text(q.MessageID)}, {"received", clock(q.ReceivedAt)},
			{"from", q.Remote}, {"method", q.Method}, {"path", path}, {"answered", positive(q.Answered)}, {"size", byteCount(q.Size)},
			{"headers", pairs(headers)}, {"body", body},
		})
	})
}

type requestsAccept struct{ OneRequest }

// Help is shown by hark requests accept --help.
func (requestsAccept) Help() string {
	return "Whatever was wrong with it, it is delivered. Twice is as good as once.\n\nExample:\n\n  hark requests accept req_…"
}

// Run accepts a request.
func (c *requestsAccept) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: c.request(), path: "/accept", method: http.MethodPost}, func(q requestOut) {
		sh.say("accepted %s as %s", q.ID, text(q.MessageID))
	})
}

type requestsExpunge struct{ OneRequest }

// Help is shown by hark requests expunge --help.
func (requestsExpunge) Help() string {
	return "Of a request that became a message it deletes the message's payload.\n\nExample:\n\n  hark requests expunge req_…"
}

// Run expunges a request.
func (c *requestsExpunge) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: c.request(), path: "/content", method: http.MethodDelete}, "expunged")
}
