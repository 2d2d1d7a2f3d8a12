package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/harkhq/hark"
)

type replayCmd struct {
	InApp
	Since     moments  `placeholder:"TIME" required:"" help:"Messages created after this: 2h, 3d or 2026-11-02T08:00:00Z."`
	Until     moments  `placeholder:"TIME" help:"Messages created before this. Default: now."`
	Status    string   `enum:"failed,missing,all" default:"failed" placeholder:"STATUS" help:"failed: what failed for good. missing: what was never sent there (it was made later, or disabled). all: whatever was sent there, also what succeeded. Default: failed."`
	Endpoint  []string `short:"e" aliases:"to" placeholder:"ID" help:"To this endpoint (repeatable; --to is the same). Default: to each that is not disabled."`
	EventType []string `name:"event-type" short:"t" placeholder:"TYPE" help:"Only these event types (repeatable)."`
	Channel   string   `help:"Only this channel."`
	Tag       string   `help:"Only this tag."`
	Yes       bool     `short:"y" help:"Send them. Without it they are only counted."`
	Wait      bool     `default:"true" negatable:"" help:"Wait until everything is queued again (the default)."`
}

// Help is shown by hark replay --help.
func (replayCmd) Help() string {
	return `Without --yes it only counts what it would send. They go by each endpoint's schedule, as if they had
just come in, and never faster than it takes them. Once begun, a replay goes on in the background, also
when this command is ended.

Examples:

  hark replay --since 2h
  hark replay --since 2h --yes
  hark replay --since 3d --status missing --endpoint ep_… --event-type invoice.paid --yes`
}

// replayOut is what one endpoint is sent again.
type replayOut struct {
	EndpointID string          `json:"endpointId"`
	URL        string          `json:"url"`
	State      string          `json:"state"`
	Messages   int64           `json:"messages"`
	Complete   bool            `json:"complete"` // false: at least so many
	Task       json.RawMessage `json:"task,omitempty"`

	id   string
	sent int64
}

// Run counts, and then replays.
func (c *replayCmd) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	all, err := c.endpoints(ctx, sh, api)
	if err != nil {
		return err
	}
	var total int64
	counted := true
	bar := sh.newProgress("counting")
	for _, r := range all {
		bar.set(total, 0, count)
		if err := api.ask(ctx, question{about: anEndpoint(r.EndpointID), path: "/replay-count", query: c.query()}, r); err != nil {
			bar.end()
			return err
		}
		total += r.Messages
		counted = counted && r.Complete
	}
	bar.end()
	if c.Yes {
		return c.replay(ctx, sh, api, all, total)
	}
	if c.JSON {
		return c.answer(sh, all)
	}
	drawReplays(sh, all, c.Endpoint != nil)
	switch {
	case total == 0 && counted:
		sh.note("There is nothing to replay.")
	default:
		sh.note("%s messages would be sent. Nothing was sent (try: run it again with --yes)", atLeast(total, counted))
	}
	return nil
}

// atLeast writes a count that may not be all.
func atLeast(n int64, complete bool) string {
	if complete {
		return count(n)
	}
	return count(n) + "+"
}

func drawReplays(sh *shell, all []*replayOut, named bool) {
	t := newTable("ENDPOINT", "URL", "STATE", "MESSAGES")
	for _, r := range all {
		if r.Messages > 0 || !r.Complete || named {
			t.add(r.EndpointID, r.URL, r.State, atLeast(r.Messages, r.Complete))
		}
	}
	if len(t.rows) > 0 {
		t.write(sh)
	}
}

func (c *replayCmd) answer(sh *shell, all []*replayOut) error {
	return sh.json(map[string]any{"data": all, "sent": c.Yes})
}

// endpoints are those to replay to.
func (c *replayCmd) endpoints(ctx context.Context, sh *shell, api *inApp) ([]*replayOut, error) {
	var found []endpointOut
	for _, id := range c.Endpoint {
		var e endpointOut
		if strings.HasPrefix(id, hark.ConsumerPrefix) {
			return nil, usagef("hark listen --since 2h, hark consume --from TIME, or hark resend MSG --endpoint "+id,
				"%s is a consumer: whoever reads it says from where", id)
		}
		if err := api.ask(ctx, question{about: anEndpoint(id)}, &e); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	if len(c.Endpoint) == 0 {
		const everyEndpoint = 1 << 20
		oldestFirst := question{path: "/endpoint", query: url.Values{"order": {"ascending"}}}
		page, err := list[endpointOut](ctx, api, oldestFirst, Listing{Limit: everyEndpoint}, sh.newProgress("reading"))
		if err != nil {
			return nil, err
		}
		found = page.Data
	}
	all := []*replayOut{}
	for _, e := range found {
		if e.Disabled && len(c.Endpoint) == 0 {
			sh.note("%s is disabled, and left out (try: --endpoint %s)", e.ID, e.ID)
			continue
		}
		all = append(all, &replayOut{EndpointID: e.ID, URL: e.URL, State: e.state()})
	}
	return all, nil
}

// query says what to count.
func (c *replayCmd) query() url.Values {
	q := url.Values{"status": {c.Status}}
	c.Since.put(q, "since")
	c.Until.put(q, "until")
	put(q, "event_types", strings.Join(c.EventType, ","))
	put(q, "channel", c.Channel)
	put(q, "tag", c.Tag)
	return q
}

// start starts one endpoint's replay in the background.
func (c *replayCmd) start(ctx context.Context, api *inApp, r *replayOut) error {
	in := map[string]any{"since": c.Since.Time}
	setIf(in, "until", c.Until.Time, !c.Until.IsZero())
	setIf(in, "eventTypes", c.EventType, c.EventType != nil)
	setIf(in, "channel", c.Channel, c.Channel != "")
	setIf(in, "tag", c.Tag, c.Tag != "")
	operation := map[string]string{"failed": "/recover", "missing": "/replay-missing", "all": "/bulk-replay"}[c.Status]
	if err := api.ask(ctx, question{about: anEndpoint(r.EndpointID), path: operation, method: http.MethodPost, in: in}, &r.Task); err != nil {
		return err
	}
	var task taskOut
	if err := json.Unmarshal(r.Task, &task); err != nil {
		return fmt.Errorf("read task: %w", err)
	}
	r.id = task.ID
	return nil
}

// tasksAtOnce leaves room for others: an application may have ten tasks under way.
const tasksAtOnce = 5

// replays are those that are to be started and those under way.
type replays struct {
	*replayCmd
	sh      *shell
	api     *inApp
	bar     *progress
	waiting []*replayOut
	running []*replayOut
	failed  int
}

// replay starts the replays, a few at once, and follows them until all is queued.
func (c *replayCmd) replay(ctx context.Context, sh *shell, api *inApp, all []*replayOut, total int64) error {
	r := replays{replayCmd: c, sh: sh, api: api, bar: sh.newProgress("queueing again")}
	defer r.bar.end()
	for _, one := range all {
		if one.Messages > 0 || !one.Complete {
			r.waiting = append(r.waiting, one)
		}
	}
	begun := len(r.waiting)
	if begun == 0 {
		sh.note("There is nothing to replay.")
	}
	for pause := 50 * time.Millisecond; len(r.waiting)+len(r.running) > 0; pause = min(pause*2, time.Second) {
		if err := r.begin(ctx); err != nil {
			return err
		}
		if err := r.follow(ctx); err != nil {
			return c.left(ctx, sh, err)
		}
		if len(r.running) == 0 {
			continue
		}
		r.draw(all, total)
		select {
		case <-ctx.Done():
			return c.left(ctx, sh, ctx.Err())
		case <-time.After(pause):
		}
	}
	r.bar.end()
	if c.JSON {
		if err := c.answer(sh, all); err != nil {
			return err
		}
	}
	if r.failed > 0 {
		return fmt.Errorf("%d of %d replays failed", r.failed, begun)
	}
	return nil
}

// begin starts as many as there may be.
func (r *replays) begin(ctx context.Context) error {
	for len(r.waiting) > 0 && len(r.running) < tasksAtOnce {
		one := r.waiting[0]
		r.waiting = r.waiting[1:]
		if err := r.start(ctx, r.api, one); err != nil {
			return err
		}
		if r.Wait && one.State == "enabled" {
			r.running = append(r.running, one)
			continue
		}
		why := ""
		if one.State != "enabled" {
			why = ": it is " + one.State + ", so that it waits"
		}
		r.bar.end()
		r.say(r.sh, "%s is sent again in the background (%s)%s", one.EndpointID, one.id, why)
	}
	return nil
}

// follow asks how far those under way have come.
func (r *replays) follow(ctx context.Context) error {
	still := r.running[:0]
	for _, one := range r.running {
		status, err := r.ask(ctx, r.api, one)
		if err != nil {
			return err
		}
		if status == "running" {
			still = append(still, one)
			continue
		}
		r.bar.end()
		r.say(r.sh, "%s %s: %d messages queued again", one.EndpointID, status, one.sent)
		if status == "failed" {
			r.failed++
		}
	}
	r.running = still
	return nil
}

func (r *replays) draw(all []*replayOut, total int64) {
	var sent int64
	for _, one := range all {
		sent += one.sent
	}
	r.bar.set(sent, total, count)
}

// say writes a line for people.
func (c *replayCmd) say(sh *shell, format string, args ...any) {
	if !c.JSON {
		sh.say(format, args...)
	}
}

// left says what goes on when the command ends early.
func (c *replayCmd) left(ctx context.Context, sh *shell, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		sh.note("What has begun goes on in the background.")
	}
	return err
}

// ask asks how far a replay has come.
func (c *replayCmd) ask(ctx context.Context, api *inApp, r *replayOut) (status string, err error) {
	var raw json.RawMessage
	if err := api.client.ask(ctx, question{path: path("background-task", r.id)}, &raw); err != nil {
		return "", err
	}
	var task taskOut
	if err := json.Unmarshal(raw, &task); err != nil {
		return "", fmt.Errorf("read task: %w", err)
	}
	r.Task, r.sent = raw, task.Data.MessagesSent
	return task.Status, nil
}
