package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

type applicationsCmd struct {
	List   applicationsList   `cmd:"" default:"withargs" help:"List applications, oldest first."`
	Create applicationsCreate `cmd:"" help:"Create an application."`
	Show   applicationsShow   `cmd:"" help:"Show one application."`
	Update applicationsUpdate `cmd:"" help:"Change an application's name, uid or throttle."`
	Delete applicationsDelete `cmd:"" help:"Delete an application, its endpoints and its queue."`
}

// Help is shown by hark applications --help.
func (applicationsCmd) Help() string {
	return `An application says whose messages these are: one customer of yours, or one project.

Examples:

  hark applications
  hark applications create "Ada's bakery" --uid bakery
  hark applications show bakery --json`
}

type applicationsList struct {
	Remote
	Listing
}

// Help is shown by hark applications list --help.
func (applicationsList) Help() string {
	return "Example:\n\n  hark applications list --limit 1000 --json"
}

// Run lists applications.
func (c *applicationsList) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/app"}, func(apps []applicationOut) *table {
		t := newTable("ID", "UID", "NAME", "THROTTLE", "CREATED")
		for _, a := range apps {
			t.add(a.ID, a.UID, a.Name, number(a.ThrottleRate), clock(a.CreatedAt))
		}
		return t
	})
}

func number(p *int) string {
	if p == nil {
		return ""
	}
	return strconv.Itoa(*p)
}

type applicationsCreate struct {
	Remote
	Name         string            `arg:"" help:"What people call it."`
	UID          string            `help:"Your own id for it; every command takes it in place of the id."`
	ThrottleRate int               `placeholder:"N" help:"At most N attempts per second over all its endpoints."`
	Metadata     map[string]string `mapsep:"none" placeholder:"K=V" help:"Your own notes on it."`
	GetIfExists  bool              `help:"When the uid is taken, answer with the one that has it."`
}

// Help is shown by hark applications create --help.
func (applicationsCreate) Help() string {
	return "Example:\n\n  hark applications create \"Ada's bakery\" --uid bakery"
}

// Run creates an application.
func (c *applicationsCreate) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"name": c.Name}
	setIf(in, "uid", c.UID, c.UID != "")
	setIf(in, "throttleRate", c.ThrottleRate, c.ThrottleRate != 0)
	setIf(in, "metadata", c.Metadata, c.Metadata != nil)
	query := url.Values{}
	if c.GetIfExists {
		query.Set("get_if_exists", "true")
	}
	return answer(ctx, sh, c, c.JSON, question{path: "/app", method: http.MethodPost, query: query, in: in}, sh.drawApplication)
}

// setIf sets a field of a request when it was given.
func setIf(in map[string]any, field string, value any, given bool) {
	if given {
		in[field] = value
	}
}

// setJSON sets a field to the JSON of the flag that has its name, when it was given.
func setJSON(in map[string]any, flag string, text *string, hint string) error {
	switch {
	case text == nil:
		return nil
	case !json.Valid([]byte(*text)):
		return usagef(hint, "--%s is not JSON: %s", flag, *text)
	}
	in[flag] = json.RawMessage(*text)
	return nil
}

func (sh *shell) drawApplication(a applicationOut) {
	sh.fields([][2]string{
		{"id", a.ID}, {"uid", a.UID}, {"name", a.Name}, {"throttle", number(a.ThrottleRate)},
		{"metadata", pairs(a.Metadata)}, {"created", clock(a.CreatedAt)}, {"updated", clock(a.UpdatedAt)},
	})
}

type applicationsShow struct {
	Remote
	ID string `arg:"" help:"Id or uid."`
}

// Help is shown by hark applications show --help.
func (applicationsShow) Help() string { return "Example:\n\n  hark applications show bakery" }

// Run shows an application.
func (c *applicationsShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: anApplication(c.ID)}, sh.drawApplication)
}

type applicationsUpdate struct {
	Remote
	ID           string            `arg:"" help:"Id or uid."`
	Name         *string           `help:"What people call it."`
	UID          *string           `help:"Your own id for it; an empty one takes it away."`
	ThrottleRate *int              `placeholder:"N" help:"At most N attempts per second; 0 takes the limit away."`
	Metadata     map[string]string `mapsep:"none" placeholder:"K=V" help:"Your own notes on it, replacing what was there."`
}

// Help is shown by hark applications update --help.
func (applicationsUpdate) Help() string {
	return "Example:\n\n  hark applications update bakery --throttle-rate 20"
}

// Run changes an application.
func (c *applicationsUpdate) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	in := map[string]any{}
	patch(in, "name", c.Name, nil)
	patch(in, "uid", c.UID, ptr(""))
	patch(in, "throttleRate", c.ThrottleRate, ptr(0))
	setIf(in, "metadata", c.Metadata, c.Metadata != nil)
	if len(in) == 0 {
		return usagef("hark applications update --help", "nothing to change")
	}
	return answer(ctx, sh, api, c.JSON, question{about: anApplication(c.ID), method: http.MethodPatch, in: in}, sh.drawApplication)
}

// patch sets a field that was given; the value that means "none" becomes null.
func patch[T comparable](in map[string]any, field string, value, none *T) {
	switch {
	case value == nil:
	case none != nil && *value == *none:
		in[field] = nil
	default:
		in[field] = *value
	}
}

func ptr[T any](v T) *T { return &v }

type applicationsDelete struct {
	Remote
	ID string `arg:"" help:"Id or uid."`
}

// Help is shown by hark applications delete --help.
func (applicationsDelete) Help() string {
	return "Its endpoints and what is queued for them go with it, without asking again.\n\nExample:\n\n  hark applications delete bakery"
}

// Run deletes an application.
func (c *applicationsDelete) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: anApplication(c.ID), method: http.MethodDelete}, "deleted")
}
