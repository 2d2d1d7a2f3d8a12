package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

type consumersCmd struct {
	List   consumersList   `cmd:"" default:"withargs" help:"List consumers, newest first."`
	Create consumersCreate `cmd:"" help:"Create a consumer."`
	Show   consumersShow   `cmd:"" help:"Show a consumer."`
	Update consumersUpdate `cmd:"" help:"Change what a consumer gets."`
	Delete consumersDelete `cmd:"" help:"Delete a consumer and what waits for it."`
}

// Help is shown by hark consumers --help.
func (consumersCmd) Help() string {
	return `A consumer is where messages wait until they are fetched, for those who cannot be called.

Examples:

  hark consumers
  hark consumers create --uid ledger --event-type payment.cleared
  hark consumers show ledger
  hark consume ledger --group books --follow`
}

func aConsumer(id string) named { return named{"consumer", id, "hark consumers", path("consumer", id)} }

type consumersList struct {
	InApp
	Listing
}

// Help is shown by hark consumers list --help.
func (consumersList) Help() string { return "Example:\n\n  hark consumers list --app bakery" }

// Run lists consumers.
func (c *consumersList) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/consumer"}, func(all []endpointOut) *table {
		t := newTable("ID", "UID", "STATE", "EVENT TYPES", "CHANNELS", "CREATED")
		for _, e := range all {
			t.add(e.ID, text(e.UID), e.state(), join(e.EventTypes, "all"), join(e.Channels, "all"), clock(e.CreatedAt))
		}
		return t
	})
}

// ConsumerFlags are what can be set on a consumer, at its creation and later.
type ConsumerFlags struct {
	UID         *string `help:"Your own id for it; every command takes it in place of the id."`
	Description *string `help:"For people."`
	MatchFlags
	DedupeBy  []string       `name:"dedupe-by" placeholder:"PART" help:"Take only the first of messages of a type in which this is the same: a JSON pointer, body, header:NAME or query:NAME (repeatable)."`
	DedupeFor *time.Duration `name:"dedupe-for" placeholder:"DURATION" help:"How long a message keeps equal ones back; 0 takes every one. Default: 72h; at most 720h."`
	Disabled  *bool          `negatable:"" help:"Take it out of matching."`
}

// fields turns the flags into a request.
func (f ConsumerFlags) fields() (map[string]any, error) {
	in := map[string]any{}
	patch(in, "uid", f.UID, ptr(""))
	patch(in, "description", f.Description, nil)
	if err := f.matching(in); err != nil {
		return nil, err
	}
	setDedupe(in, f.DedupeBy, f.DedupeFor)
	patch(in, "disabled", f.Disabled, nil)
	return in, nil
}

type consumersCreate struct {
	InApp
	ConsumerFlags
	Since moments `placeholder:"TIME" help:"Also what it matches of what was accepted since then: 2h, 3d or a date."`
}

// Help is shown by hark consumers create --help.
func (consumersCreate) Help() string {
	return "Examples:\n\n  hark consumers create\n  hark consumers create --uid ledger -t payment.cleared --since 24h"
}

// Run creates a consumer.
func (c *consumersCreate) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	setIf(in, "since", c.Since.UTC(), !c.Since.IsZero())
	return answer(ctx, sh, api, c.JSON, question{path: "/consumer", method: http.MethodPost, in: in}, func(e endpointOut) {
		sh.drawConsumer(e)
		sh.note("Its messages: hark consume %s --follow", cmp.Or(text(e.UID), e.ID))
	})
}

func (sh *shell) drawConsumer(e endpointOut) {
	sh.fields([][2]string{
		{"id", e.ID}, {"uid", text(e.UID)}, {"description", e.Description}, {"state", e.state()},
		{"event types", join(e.EventTypes, "all")}, {"channels", join(e.Channels, "all")}, {"filter", jsonText(e.Filter)},
		{"deduplicate", e.Deduplicate.text()}, {"metadata", pairs(e.Metadata)}, {"created", clock(e.CreatedAt)}, {"updated", clock(e.UpdatedAt)},
	})
}

// OneConsumer names the consumer that a command is about.
type OneConsumer struct {
	InApp
	ID string `arg:"" name:"consumer" help:"The consumer, by id or uid."`
}

type consumersShow struct{ OneConsumer }

// Help is shown by hark consumers show --help.
func (consumersShow) Help() string { return "Example:\n\n  hark consumers show ledger" }

// Run shows a consumer.
func (c *consumersShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aConsumer(c.ID)}, sh.drawConsumer)
}

type consumersUpdate struct {
	OneConsumer
	ConsumerFlags
}

// Help is shown by hark consumers update --help.
func (consumersUpdate) Help() string {
	return `What is not named stays as it is. What waits in the feed already stays there.

Examples:

  hark consumers update ledger -t payment.cleared -t payment.failed
  hark consumers update ledger --filter null --no-disabled`
}

// Run changes a consumer.
func (c *consumersUpdate) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return usagef("hark consumers update --help", "nothing to change")
	}
	return answer(ctx, sh, api, c.JSON, question{about: aConsumer(c.ID), method: http.MethodPatch, in: in}, sh.drawConsumer)
}

type consumersDelete struct{ OneConsumer }

// Help is shown by hark consumers delete --help.
func (consumersDelete) Help() string {
	return "What waits for it goes with it, and how far its groups have come.\n\nExample:\n\n  hark consumers delete ledger"
}

// Run deletes a consumer.
func (c *consumersDelete) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: aConsumer(c.ID), method: http.MethodDelete}, "deleted")
}

type consumeCmd struct {
	InApp
	ID     string `arg:"" name:"consumer" help:"The consumer, by id or uid."`
	Group  string `short:"g" placeholder:"NAME" help:"Go on where this group has come to, and remember it."`
	From   string `placeholder:"PLACE" help:"Where to begin: a cursor, a time such as 2026-01-31T15:04:05Z, start or end. Default: the group's place, or the start."`
	Follow bool   `short:"f" help:"Wait for more."`
}

// Help is shown by hark consume --help.
func (consumeCmd) Help() string {
	return `One message a line, as JSON, with its number and the cursor behind it. With a group, a message counts as
dealt with when its line is written; what was read and not written comes again.

Examples:

  hark consume ledger
  hark consume ledger --group books --follow | ./book
  hark consume ledger --from end --follow`
}

// fedOut is one read of a feed.
type fedOut struct {
	Data   []json.RawMessage `json:"data"`
	Gaps   []json.RawMessage `json:"gaps"`
	Cursor string            `json:"cursor"`
	Done   bool              `json:"done"`
}

// Waits of hark consume.
const (
	consumeWait  = "30" // seconds: how long one request waits for news
	consumeAgain = time.Second
)

// Run writes messages until there are no more, or for ever.
func (c *consumeCmd) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	query := url.Values{"limit": {"250"}}
	put(query, "group", c.Group)
	put(query, "cursor", c.From)
	for started := false; ; started = true {
		var page fedOut
		err := api.ask(ctx, question{about: aConsumer(c.ID), path: "/messages", query: query}, &page)
		if err == nil {
			err = c.write(ctx, sh, api, &page)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && started && c.Follow && isPassing(err):
			select { // the server is restarting, say
			case <-ctx.Done():
				return nil
			case <-time.After(consumeAgain):
			}
			continue
		case err != nil:
			return err
		case page.Done && !c.Follow:
			return nil
		}
		query.Set("cursor", page.Cursor)
		if c.Follow {
			query.Set("wait", consumeWait)
		}
	}
}

// isPassing says whether trying again may help: the server was not reached, or was not well.
func isPassing(err error) bool {
	e, answered := errors.AsType[*apiError](err)
	return !answered || e.Status >= 500 || e.Status == http.StatusTooManyRequests
}

// write writes a page's messages, and then says that they are dealt with.
func (c *consumeCmd) write(ctx context.Context, sh *shell, api *inApp, page *fedOut) error {
	for _, gap := range page.Gaps {
		sh.note("Messages have expired before they were read: %s", gap)
	}
	var line bytes.Buffer
	for _, m := range page.Data {
		line.Reset()
		if err := json.Compact(&line, m); err != nil {
			return fmt.Errorf("read a message: %w", err)
		}
		line.WriteByte('\n')
		if _, err := sh.stdout.Write(line.Bytes()); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if c.Group == "" || len(page.Data)+len(page.Gaps) == 0 {
		return nil
	}
	in := map[string]any{"group": c.Group, "cursor": page.Cursor}
	return api.ask(ctx, question{about: aConsumer(c.ID), path: "/ack", method: http.MethodPost, in: in}, nil)
}
