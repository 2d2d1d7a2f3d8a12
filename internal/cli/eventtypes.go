package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

type eventTypesCmd struct {
	List    eventTypesList    `cmd:"" default:"withargs" help:"List event types by name."`
	Create  eventTypesCreate  `cmd:"" help:"Describe an event type."`
	Show    eventTypesShow    `cmd:"" help:"Show one event type."`
	Update  eventTypesUpdate  `cmd:"" help:"Change an event type."`
	Archive eventTypesArchive `cmd:"" help:"Archive an event type, or delete it for good."`
}

// Help is shown by hark event-types --help.
func (eventTypesCmd) Help() string {
	return `Messages may use types that are not described here; endpoints may ask only for those that are.

Examples:

  hark event-types
  hark event-types create invoice.paid "An invoice was paid in full"`
}

func anEventType(name string) named {
	return named{"event type", name, "hark event-types", path("event-type", name)}
}

type eventTypesList struct {
	Remote
	Listing
	All bool `help:"Archived ones too."`
}

// Help is shown by hark event-types list --help.
func (eventTypesList) Help() string { return "Example:\n\n  hark event-types list --all" }

// Run lists event types.
func (c *eventTypesList) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	filter := url.Values{}
	if c.All {
		filter.Set("include_archived", "true")
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/event-type", query: filter}, func(types []eventTypeOut) *table {
		t := newTable("NAME", "GROUP", "DESCRIPTION", "NOTE")
		for _, e := range types {
			t.add(e.Name, text(e.GroupName), e.Description, e.note())
		}
		return t
	})
}

// note says what is unusual about an event type.
func (e eventTypeOut) note() string {
	switch {
	case e.Archived:
		return "archived"
	case e.Deprecated:
		return "deprecated"
	}
	return ""
}

type eventTypesCreate struct {
	Remote
	Name        string `arg:"" help:"Such as invoice.paid."`
	Description string `arg:"" optional:"" default:"" help:"For people."`
	Group       string `help:"Group to show it in."`
	Schemas     string `placeholder:"JSON" help:"JSON Schemas by version, {\"1\": {…}}; @FILE or - as with send."`
}

// Help is shown by hark event-types create --help.
func (eventTypesCreate) Help() string {
	return "Example:\n\n  hark event-types create invoice.paid \"An invoice was paid in full\" --schemas @invoice.paid.json"
}

// Run creates an event type.
func (c *eventTypesCreate) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	in := map[string]any{"name": c.Name, "description": c.Description}
	setIf(in, "groupName", c.Group, c.Group != "")
	if c.Schemas != "" {
		schemas, err := readPayload(sh, c.Schemas)
		if err != nil {
			return err
		}
		if !json.Valid(schemas) {
			return usagef(`--schemas '{"1": {"type": "object"}}'`, "--schemas is not JSON")
		}
		in["schemas"] = json.RawMessage(schemas)
	}
	return answer(ctx, sh, api, c.JSON, question{path: "/event-type", method: http.MethodPost, in: in}, sh.drawEventType)
}

func (sh *shell) drawEventType(e eventTypeOut) {
	sh.fields([][2]string{
		{"name", e.Name}, {"group", text(e.GroupName)}, {"description", e.Description},
		{"note", e.note()}, {"created", clock(e.CreatedAt)},
	})
}

type eventTypesShow struct {
	Remote
	Name string `arg:"" help:"Such as invoice.paid."`
}

// Help is shown by hark event-types show --help.
func (eventTypesShow) Help() string { return "Example:\n\n  hark event-types show invoice.paid --json" }

// Run shows an event type.
func (c *eventTypesShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: anEventType(c.Name)}, sh.drawEventType)
}

type eventTypesUpdate struct {
	Remote
	Name        string  `arg:"" help:"Such as invoice.paid."`
	Description *string `help:"For people."`
	Group       *string `help:"Group to show it in; an empty one takes it out."`
	Deprecated  *bool   `negatable:"" help:"Tell people not to use it any more."`
	Archived    *bool   `negatable:"" help:"Hide it; --no-archived brings it back."`
}

// Help is shown by hark event-types update --help.
func (eventTypesUpdate) Help() string {
	return "Example:\n\n  hark event-types update invoice.paid --deprecated"
}

// Run changes an event type.
func (c *eventTypesUpdate) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{}
	patch(in, "description", c.Description, nil)
	patch(in, "groupName", c.Group, ptr(""))
	patch(in, "deprecated", c.Deprecated, nil)
	patch(in, "archived", c.Archived, nil)
	if len(in) == 0 {
		return usagef("hark event-types update --help", "nothing to change")
	}
	return answer(ctx, sh, c, c.JSON, question{about: anEventType(c.Name), method: http.MethodPatch, in: in}, sh.drawEventType)
}

type eventTypesArchive struct {
	Remote
	Name    string `arg:"" help:"Such as invoice.paid."`
	Expunge bool   `help:"Delete it for good."`
}

// Help is shown by hark event-types archive --help.
func (eventTypesArchive) Help() string {
	return "Example:\n\n  hark event-types archive invoice.paid"
}

// Run archives an event type.
func (c *eventTypesArchive) Run(ctx context.Context, sh *shell) error {
	query, what := url.Values{}, "archived"
	if c.Expunge {
		query.Set("expunge", "true")
		what = "deleted"
	}
	return confirm(ctx, sh, c, c.JSON, question{about: anEventType(c.Name), method: http.MethodDelete, query: query}, what)
}
