package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

type sendCmd struct {
	InApp
	Type      string        `arg:"" help:"The event type, such as invoice.paid."`
	Payload   string        `arg:"" optional:"" default:"{}" help:"A JSON object; - for stdin; @FILE for a file. Default: {}."`
	EventID   string        `placeholder:"ID" help:"Your own id for it: the same id is accepted once."`
	Channel   []string      `placeholder:"NAME" help:"Channel (repeatable)."`
	Tag       []string      `placeholder:"TAG" help:"Tag to find it by (repeatable)."`
	DeliverIn time.Duration `placeholder:"DURATION" help:"Not before this has passed."`
	CreateApp bool          `help:"Create the application that --app names when there is none with this uid."`
	Wait      bool          `short:"w" help:"Wait until every delivery has succeeded, was canceled or has failed for good; exit 1 if one failed."`
}

// Help is shown by hark send --help.
func (sendCmd) Help() string {
	return `The message is durable when this command ends well; it is delivered from there on.

Examples:

  hark send invoice.paid '{"id":"inv_7","amount":4200}' --app bakery
  jq -c . invoice.json | hark send invoice.paid - --event-id inv_7
  hark send invoice.paid @invoice.json --wait`
}

// maxPayloadBytes is what the server takes.
const maxPayloadBytes = 2 << 20

// Run sends a message.
func (c *sendCmd) Run(ctx context.Context, sh *shell) error {
	payload, err := readPayload(sh, c.Payload)
	if err != nil {
		return err
	}
	if !json.Valid(payload) || bytes.TrimSpace(payload)[0] != '{' {
		return usagef(`hark send `+c.Type+` '{"id":"inv_7"}'`, "the payload is not a JSON object")
	}
	if c.CreateApp && c.App == "" {
		return usagef("--app UID --create-app", "--create-app needs the uid of the application")
	}
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in := map[string]any{"eventType": c.Type, "payload": json.RawMessage(payload)}
	setIf(in, "eventId", c.EventID, c.EventID != "")
	setIf(in, "channels", c.Channel, len(c.Channel) > 0)
	setIf(in, "tags", c.Tag, len(c.Tag) > 0)
	setIf(in, "deliverAt", time.Now().Add(c.DeliverIn).UTC(), c.DeliverIn > 0)
	setIf(in, "application", map[string]string{"name": c.App, "uid": c.App}, c.CreateApp)
	var raw json.RawMessage
	query := url.Values{"with_content": {"false"}}
	if err := api.ask(ctx, question{path: "/msg", method: http.MethodPost, query: query, in: in}, &raw); err != nil {
		return err
	}
	var m messageOut
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if c.Wait {
		return awaitDeliveries(ctx, sh, api, m.ID, c.JSON)
	}
	return showing(sh, c.JSON, raw, func(m messageOut) {
		sh.say("%s", m.ID)
		sh.note("Accepted (try: hark messages trace %s)", m.ID)
	})
}

// readPayload reads what was typed, stdin or a file.
func readPayload(sh *shell, arg string) ([]byte, error) {
	var from io.Reader
	switch {
	case arg == "-":
		from = sh.input()
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, usagef("@FILE names a file, and - is stdin", "%w", err)
		}
		defer f.Close()
		from = f
	default:
		return []byte(arg), nil
	}
	text, err := io.ReadAll(io.LimitReader(from, maxPayloadBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", strings.TrimPrefix(arg, "@"), err)
	}
	if len(text) > maxPayloadBytes {
		return nil, usagef("a link to the data instead of the data", "the payload is larger than %s", byteCount(maxPayloadBytes))
	}
	return text, nil
}

type traceOut struct {
	Endpoints []struct {
		EndpointID string `json:"endpointId"`
		URL        string `json:"url"`
		Matched    bool   `json:"matched"`
		Clause     string `json:"clause"`
		Detail     string `json:"detail"`
		Delivery   *struct {
			StatusText  string     `json:"statusText"`
			NextAttempt *time.Time `json:"nextAttempt"`
		} `json:"delivery"`
	} `json:"endpoints"`
}

// longWait is how far off an attempt is when whoever waits for it is told so.
const longWait = 2 * time.Second

// awaitDeliveries polls a message's trace until nothing is under way, and shows it.
func awaitDeliveries(ctx context.Context, sh *shell, api *inApp, id string, asJSON bool) error {
	bar := sh.newProgress("delivering")
	defer bar.end()
	told := false
	for pause := 20 * time.Millisecond; ; pause = min(pause*2, time.Second) {
		var raw json.RawMessage
		if err := api.ask(ctx, question{about: aMessage(id), path: "/trace"}, &raw); err != nil {
			return err
		}
		var trace traceOut
		if err := json.Unmarshal(raw, &trace); err != nil {
			return fmt.Errorf("read trace: %w", err)
		}
		var open, failed, all int64
		for _, e := range trace.Endpoints {
			if e.Delivery == nil {
				continue
			}
			all++
			switch e.Delivery.StatusText {
			case "pending", "sending":
				open++
				if next := e.Delivery.NextAttempt; next != nil && time.Until(*next) > longWait && !told {
					told = true
					bar.end()
					sh.note("The next attempt is at %s (^C ends the waiting, and nothing else)", clock(*next))
				}
			case "fail":
				failed++
			}
		}
		if open == 0 {
			bar.end()
			if err := showing(sh, asJSON, raw, sh.drawTrace(id)); err != nil {
				return err
			}
			if failed > 0 {
				return hintf(exitFailed, "hark attempts --message "+id, "%d of %d deliveries failed", failed, all)
			}
			return nil
		}
		bar.set(all-open, all, count)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

type messagesCmd struct {
	List    messagesList    `cmd:"" default:"withargs" help:"List messages, newest first."`
	Show    messagesShow    `cmd:"" help:"Show one message with its payload."`
	Trace   messagesTrace   `cmd:"" help:"Say for every endpoint whether it got the message, and why."`
	Expunge messagesExpunge `cmd:"" help:"Delete a message's payload for good."`
}

// Help is shown by hark messages --help.
func (messagesCmd) Help() string {
	return `A message is one event that was accepted into an application.

Examples:

  hark messages --event-type invoice.paid --since 1h
  hark messages trace msg_…`
}

type messagesList struct {
	InApp
	Listing
	EventType []string `name:"event-type" short:"t" placeholder:"TYPE" help:"Only these event types (repeatable)."`
	Channel   string   `help:"Only this channel."`
	Tag       string   `help:"Only this tag."`
	Since     moments  `placeholder:"TIME" help:"Created after: 2h, 3d or a date."`
	Until     moments  `placeholder:"TIME" help:"Created before: 2h, 3d or a date."`
}

// Help is shown by hark messages list --help.
func (messagesList) Help() string {
	return "Example:\n\n  hark messages list --since 24h --event-type invoice.paid --json"
}

// Run lists messages.
func (c *messagesList) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	filter := url.Values{}
	if !c.JSON {
		filter.Set("with_content", "false") // the table does not show payloads
	}
	put(filter, "event_types", strings.Join(c.EventType, ","))
	put(filter, "channel", c.Channel)
	put(filter, "tag", c.Tag)
	c.Since.put(filter, "after")
	c.Until.put(filter, "before")
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/msg", query: filter}, func(msgs []messageOut) *table {
		t := newTable("ID", "EVENT TYPE", "EVENT ID", "CHANNELS", "CREATED")
		for _, m := range msgs {
			t.add(m.ID, m.EventType, text(m.EventID), join(m.Channels, ""), clock(m.Timestamp))
		}
		return t
	})
}

func put(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// OneMessage names the message that a command is about.
type OneMessage struct {
	InApp
	ID string `arg:"" help:"Id or event id."`
}

type messagesShow struct{ OneMessage }

// Help is shown by hark messages show --help.
func (messagesShow) Help() string {
	return "Example:\n\n  hark messages show msg_… --json | jq .payload"
}

// Run shows a message.
func (c *messagesShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aMessage(c.ID)}, func(m messageOut) {
		request := ""
		if m.Request != nil {
			request = m.Request.ID + " at " + m.Request.SourceID
		}
		name, content := m.content()
		sh.fields([][2]string{
			{"id", m.ID}, {"event type", m.EventType}, {"event id", text(m.EventID)}, {"channels", join(m.Channels, "")},
			{"tags", join(m.Tags, "")}, {"created", clock(m.Timestamp)}, {"deliver at", clock(moment(m.DeliverAt))},
			{"request", request}, {name, content},
		})
	})
}

type messagesTrace struct{ OneMessage }

// Help is shown by hark messages trace --help.
func (messagesTrace) Help() string {
	return "WHY is the clause of the endpoint's filters that decided.\n\nExample:\n\n  hark messages trace msg_…"
}

// Run traces a message.
func (c *messagesTrace) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aMessage(c.ID), path: "/trace"}, sh.drawTrace(c.ID))
}

// drawTrace shows which endpoints a message went to.
func (sh *shell) drawTrace(id string) func(traceOut) {
	return func(trace traceOut) {
		t := newTable("ENDPOINT", "URL", "MATCHED", "WHY", "STATUS", "NEXT ATTEMPT")
		for _, e := range trace.Endpoints {
			matched := "no"
			if e.Matched {
				matched = "yes"
			}
			why := e.Clause
			if e.Detail != "" {
				why = strings.TrimPrefix(why+": "+e.Detail, ": ")
			}
			status, next := "", ""
			if e.Delivery != nil {
				status, next = e.Delivery.StatusText, clock(moment(e.Delivery.NextAttempt))
			}
			t.add(e.EndpointID, e.URL, matched, why, status, next)
		}
		if len(t.rows) == 0 {
			sh.note("The application has no endpoints, so %s went nowhere (try: hark endpoints create URL)", id)
			return
		}
		t.write(sh)
	}
}

type messagesExpunge struct{ OneMessage }

// Help is shown by hark messages expunge --help.
func (messagesExpunge) Help() string {
	return "It cannot be sent or shown again afterwards.\n\nExample:\n\n  hark messages expunge msg_…"
}

// Run expunges a payload.
func (c *messagesExpunge) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: aMessage(c.ID), path: "/content", method: http.MethodDelete}, "expunged")
}
