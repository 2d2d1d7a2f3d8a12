package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type tailCmd struct {
	Remote
	App       string   `short:"a" env:"HARK_APP" placeholder:"ID" help:"Only this application, by id or uid. Default: all that the key opens."`
	Kind      []string `short:"k" enum:"message,attempt,request" placeholder:"KIND" help:"Only these: message, attempt, request (comma-separated or repeated)."`
	EventType []string `name:"event-type" short:"t" placeholder:"TYPE" help:"Only these event types (repeatable)."`
	Status    string   `placeholder:"failed" help:"failed: only attempts that were no success, and requests that were rejected."`
	Source    string   `short:"s" placeholder:"ID" help:"Only this source's requests."`
	Since     moments  `placeholder:"TIME" help:"Begin in the past: 10m, 2h, at most a day; or a date."`
	Limit     int      `short:"n" placeholder:"N" help:"End after so many."`
}

// Help is shown by hark tail --help.
func (tailCmd) Help() string {
	return `One line for each message that is accepted, each attempt that is made and each request that comes in at a
source, as it happens, until ^C. With --json each is an object on a line of its own. Where there is more
than can be followed, it says how much was left out.

Examples:

  hark tail
  hark tail --app bakery --status failed --since 10m
  hark tail --kind request --source src_… --json | jq .request`
}

// Run shows what happens.
func (c *tailCmd) Run(ctx context.Context, sh *shell) error {
	if c.Limit < 0 {
		return usagef("--limit 10", "--limit must be 1 or more, not %d", c.Limit)
	}
	if c.Status != "" && c.Status != "failed" {
		return usagef("--status failed", "--status %q is not failed, which is all that it can be", c.Status)
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	put(query, "app_id", c.App)
	put(query, "source_id", c.Source)
	put(query, "kind", strings.Join(c.Kind, ","))
	put(query, "event_types", strings.Join(c.EventType, ","))
	put(query, "status", c.Status)
	c.Since.put(query, "since")
	shown := 0
	err = (&watcher{api: api, sh: sh, query: query}).watch(ctx, func(e *tailOut, raw []byte) error {
		if c.JSON {
			sh.say("%s", raw)
		} else {
			sh.drawTail(e, c.App == "")
		}
		if shown++; shown == c.Limit {
			return errEnough
		}
		return nil
	})
	return anApplication(c.App).explain(aSource(c.Source).explain(err))
}

// drawTail writes an event as one line.
func (sh *shell) drawTail(e *tailOut, withApp bool) {
	var at time.Time
	var cells []string
	switch {
	case e.Message != nil:
		at = e.Message.Timestamp
		cells = []string{sh.paint(bold, "message"), e.Message.ID, e.Message.EventType, join(e.Message.Channels, "")}
	case e.Attempt != nil:
		at = e.Attempt.Timestamp.Add(time.Duration(e.Attempt.ResponseDurationMs) * time.Millisecond)
		cells = sh.tailedAttempt(e.Attempt)
	case e.Request != nil:
		at = e.Request.ReceivedAt
		cells = sh.tailedRequest(e.Request)
	case e.Skipped > 0:
		sh.note("… %d or more left out: there is more than can be followed (try: --app, --kind, --status or --event-type)", e.Skipped)
		return
	default:
		return
	}
	if withApp {
		cells = slices.Insert(cells, 1, sh.paint(dim, e.ApplicationID))
	}
	cells = slices.DeleteFunc(cells, func(s string) bool { return s == "" })
	sh.say("%s  %s", sh.paint(dim, at.UTC().Format("15:04:05.000Z")), strings.Join(cells, "  "))
}

func (sh *shell) tailedAttempt(a *attemptOut) []string {
	colour, again := red, ""
	switch {
	case a.StatusText == "success":
		colour = green
	case a.StatusText == "canceled":
		colour = yellow
	case a.NextAttempt != nil:
		colour, again = yellow, "again at "+a.NextAttempt.UTC().Format("15:04:05Z")
	}
	why := ""
	if a.Error != nil {
		why = printable(*a.Error)
	}
	return []string{"attempt", sh.paint(colour, httpCode(a.ResponseStatusCode)), a.MessageID, "to " + a.EndpointID, a.EventType,
		"no. " + strconv.Itoa(a.Number), fmt.Sprintf("%d ms", a.ResponseDurationMs), why, again}
}

func (sh *shell) tailedRequest(q *requestOut) []string {
	colour := map[string]string{"accepted": green, "rejected": red}[q.Status]
	if colour == "" {
		colour = yellow
	}
	return []string{"request", sh.paint(colour, q.Status), q.ID, "at " + q.SourceID, printable(q.Method), strconv.Itoa(q.Answered), byteCount(q.Size),
		printable(text(q.EventType)), text(q.MessageID), text(q.Cause)}
}
