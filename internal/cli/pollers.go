package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type pollersCmd struct {
	List   pollersList   `cmd:"" default:"withargs" help:"List pollers, newest first."`
	Create pollersCreate `cmd:"" help:"Create a poller, or try one with --dry-run."`
	Show   pollersShow   `cmd:"" help:"Show a poller and its last runs."`
	Update pollersUpdate `cmd:"" help:"Change a poller."`
	Run    pollersRun    `cmd:"" help:"Run it now; with --dry-run, show what a run would send."`
	Pause  pollersPause  `cmd:"" help:"Let it rest until it is resumed."`
	Resume pollersResume `cmd:"" help:"Let it run again."`
	Delete pollersDelete `cmd:"" help:"Delete a poller; its messages stay."`
}

// Help is shown by hark pollers --help.
func (pollersCmd) Help() string {
	return `A poller asks an API that has no webhooks for what is new or has changed, and makes a message of each
such item. Without a URL it sends a message of its own on a schedule.

Examples:

  hark pollers create https://desk.example/tickets --every 1m -t 'ticket.{{change}}' --dry-run
  hark pollers create --cron '0 9 * * 1-5' --time-zone Europe/Berlin -t report.due --payload '{"for":"{{scheduled}}"}'
  hark pollers show poll_…`
}

func aPoller(id string) named { return named{"poller", id, "hark pollers", path("api-poller", id)} }

type pollerOut struct {
	ID           string     `json:"id"`
	UID          *string    `json:"uid"`
	Name         string     `json:"name"`
	State        string     `json:"state"`
	Failures     int        `json:"failures"`
	NextRun      *time.Time `json:"nextRun"`
	EverySeconds *float64   `json:"everySeconds"`
	Cron         *string    `json:"cron"`
	TimeZone     *string    `json:"timeZone"`
	URL          *string    `json:"url"`
	Method       string     `json:"method"`
	ContentType  *string    `json:"contentType"`
	Auth         *struct {
		Type string `json:"type"`
	} `json:"auth"`
	Paging *struct {
		Type string `json:"type"`
	} `json:"paging"`
	SinceValue   *string      `json:"sinceValue"`
	ItemsPath    string       `json:"itemsPath"`
	IDPath       string       `json:"idPath"`
	ChangedPaths []string     `json:"changedPaths"`
	EventType    string       `json:"eventType"`
	Channels     []string     `json:"channels"`
	Runs         []pollRunOut `json:"runs"`
	CreatedAt    time.Time    `json:"createdAt"`
}

type pollRunOut struct {
	StartedAt  time.Time `json:"startedAt"`
	Late       bool      `json:"late"`
	DurationMs int64     `json:"durationMs"`
	Outcome    string    `json:"outcome"`
	Status     *int      `json:"status"`
	Seen       int       `json:"seen"`
	New        int       `json:"new"`
	Changed    int       `json:"changed"`
	Refused    int       `json:"refused"`
	Error      *string   `json:"error"`
}

// schedule says when it runs.
func (p pollerOut) schedule() string {
	switch {
	case p.EverySeconds != nil:
		return "every " + seconds(*p.EverySeconds)
	case p.TimeZone != nil:
		return text(p.Cron) + " " + *p.TimeZone
	}
	return text(p.Cron)
}

type pollersList struct {
	InApp
	Listing
}

// Help is shown by hark pollers list --help.
func (pollersList) Help() string { return "Example:\n\n  hark pollers list --app desk" }

// Run lists pollers.
func (c *pollersList) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/api-poller"}, func(all []pollerOut) *table {
		t := newTable("ID", "UID", "STATE", "SCHEDULE", "NEXT RUN", "EVENT TYPE", "URL")
		for _, p := range all {
			t.add(p.ID, text(p.UID), p.State, p.schedule(), clock(moment(p.NextRun)), p.EventType, text(p.URL))
		}
		return t
	})
}

// PollerFlags are what can be set on a poller, at its creation and later.
type PollerFlags struct {
	UID       *string           `help:"Your own id for it; every command takes it in place of the id."`
	Name      *string           `help:"For people."`
	Every     *time.Duration    `placeholder:"DURATION" help:"Run that long after the end of the last run, such as 1m."`
	Cron      *string           `placeholder:"LINE" help:"Run when this says: minute, hour, day, month, day of week; or @daily."`
	TimeZone  *string           `placeholder:"ZONE" help:"Of --cron, such as Europe/Berlin."`
	Method    *string           `placeholder:"METHOD" help:"GET or POST."`
	Body      *string           `placeholder:"TEXT" help:"Of a POST."`
	Content   *string           `name:"content-type" placeholder:"TYPE" help:"Of --body; application/json by default."`
	Header    map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"Header to send (repeatable)."`
	Auth      *string           `placeholder:"HOW" help:"basic:USER, bearer, header:NAME, query:NAME, oauth2:CLIENT-ID, or none."`
	Secret    *string           `env:"HARK_POLLER_SECRET" placeholder:"TEXT" help:"The password, token, key or client secret for --auth."`
	TokenURL  string            `placeholder:"URL" help:"Where oauth2 gets its tokens."`
	Scope     string            `placeholder:"TEXT" help:"What oauth2 asks for."`
	InForm    bool              `name:"client-in-form" help:"oauth2 sends the client's id and secret in the form; otherwise in the Authorization header."`
	Items     *string           `placeholder:"POINTER" help:"JSON pointer to the array in the answer, such as /data."`
	ItemID    *string           `placeholder:"POINTER" help:"JSON pointer to an item's id; /id by default."`
	Changed   []string          `placeholder:"POINTER" help:"What of an item counts as a change (repeatable); all of it by default."`
	Paging    *string           `placeholder:"HOW" help:"link, next:POINTER, cursor:POINTER=PARAM, page:PARAM, or none."`
	Since     *string           `placeholder:"PARAM=POINTER" help:"Ask only for what is newer: a parameter, and where an item says how new it is."`
	Initial   string            `placeholder:"VALUE" help:"What --since sends first."`
	Backfill  *bool             `negatable:"" help:"Make messages of what the first run finds; otherwise it only learns it."`
	EventType *string           `name:"event-type" short:"t" placeholder:"TYPE" help:"Of the messages; {{change}} in it becomes created or updated."`
	Payload   *string           `placeholder:"JSON" help:"Send this instead of asking a URL; {{now}}, {{scheduled}} and {{late}} are filled in."`
	Channel   []string          `placeholder:"NAME" help:"Channel of the messages (repeatable)."`
}

// fields turns the flags into a request.
func (f *PollerFlags) fields() (map[string]any, error) {
	in := map[string]any{}
	patch(in, "uid", f.UID, ptr(""))
	patch(in, "name", f.Name, nil)
	if f.Every != nil {
		in["everySeconds"] = f.Every.Seconds()
	}
	patch(in, "cron", f.Cron, nil)
	patch(in, "timeZone", f.TimeZone, nil)
	patch(in, "method", f.Method, nil)
	patch(in, "body", f.Body, nil)
	patch(in, "contentType", f.Content, nil)
	setIf(in, "headers", f.Header, f.Header != nil)
	patch(in, "secret", f.Secret, nil)
	patch(in, "itemsPath", f.Items, nil)
	patch(in, "idPath", f.ItemID, nil)
	setIf(in, "changedPaths", f.Changed, f.Changed != nil)
	patch(in, "backfill", f.Backfill, nil)
	patch(in, "eventType", f.EventType, nil)
	setIf(in, "channels", f.Channel, f.Channel != nil)
	if err := setJSON(in, "payload", f.Payload, `--payload '{"at":"{{now}}"}'`); err != nil {
		return nil, err
	}
	if f.Auth != nil {
		in["auth"] = f.auth()
	}
	if f.Paging != nil {
		in["paging"] = f.paging()
	}
	if f.Since != nil {
		param, path, _ := strings.Cut(*f.Since, "=")
		in["since"] = map[string]any{"param": param, "path": path, "initial": f.Initial}
	}
	return in, nil
}

// auth reads --auth; what it does not know is the server's to refuse.
func (f *PollerFlags) auth() any {
	kind, name, _ := strings.Cut(*f.Auth, ":")
	auth := map[string]any{"type": kind}
	switch kind {
	case "none":
		return nil
	case "basic":
		auth["username"] = name
	case "oauth2":
		auth["clientId"], auth["tokenUrl"], auth["scope"] = name, f.TokenURL, f.Scope
		setIf(auth, "clientAuth", "body", f.InForm)
	default:
		auth["name"] = name
	}
	return auth
}

func (f *PollerFlags) paging() any {
	kind, rest, _ := strings.Cut(*f.Paging, ":")
	paging := map[string]any{"type": kind}
	switch kind {
	case "none":
		return nil
	case "next":
		paging["path"] = rest
	case "cursor":
		paging["path"], paging["param"], _ = strings.Cut(rest, "=")
	default:
		paging["param"] = rest
	}
	return paging
}

type pollersCreate struct {
	InApp
	URL    string `arg:"" optional:"" help:"What to ask; left out with --payload."`
	DryRun bool   `help:"Ask the API once, show what would be sent, and create nothing."`
	PollerFlags
}

// Help is shown by hark pollers create --help.
func (pollersCreate) Help() string {
	return `Examples:

  hark pollers create https://desk.example/tickets --every 1m -t 'ticket.{{change}}' --paging link
  hark pollers create https://crm.example/v2/leads --every 5m -t lead.new --items /data \
    --auth bearer --secret … --paging cursor:/meta/next=after --since updated_since=/updated_at
  hark pollers create --cron '0 9 * * 1-5' -t report.due --payload '{"for":"{{scheduled}}"}'`
}

// Run creates a poller.
func (c *pollersCreate) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	setIf(in, "url", c.URL, c.URL != "")
	if c.DryRun {
		return answer(ctx, sh, api, c.JSON, question{path: "/api-poller/preview", method: http.MethodPost, in: in}, sh.drawDryRun)
	}
	return answer(ctx, sh, api, c.JSON, question{path: "/api-poller", method: http.MethodPost, in: in}, func(p pollerOut) {
		sh.drawPoller(p)
		sh.note("How its runs go: hark pollers show %s", p.ID)
	})
}

type dryRunOut struct {
	Run      pollRunOut `json:"run"`
	More     bool       `json:"more"`
	Messages []struct {
		EventType string          `json:"eventType"`
		Payload   json.RawMessage `json:"payload"`
	} `json:"messages"`
}

// drawDryRun shows what a run would send.
func (sh *shell) drawDryRun(p dryRunOut) {
	t := newTable("EVENT TYPE", "PAYLOAD")
	for _, m := range p.Messages {
		t.add(m.EventType, string(m.Payload))
	}
	t.write(sh)
	sh.note("%s", p.Run.summary())
	if p.Run.Outcome == "learned" {
		sh.note("The first run would learn these and send none (try: --backfill).")
	}
	if p.More {
		sh.note("There is more.")
	}
}

// summary is a run in one line.
func (r pollRunOut) summary() string {
	line := fmt.Sprintf("%s: %d seen, %d new, %d changed", r.Outcome, r.Seen, r.New, r.Changed)
	if r.Refused > 0 {
		line += fmt.Sprintf(", %d refused", r.Refused)
	}
	if r.Error != nil {
		line += ": " + *r.Error
	}
	return line
}

func (sh *shell) drawPoller(p pollerOut) {
	kind := func(v *struct {
		Type string `json:"type"`
	}) string {
		if v == nil {
			return ""
		}
		return v.Type
	}
	state := p.State
	if p.Failures > 0 {
		state += fmt.Sprintf(" (%d in a row)", p.Failures)
	}
	method, items, id := "", p.ItemsPath, p.IDPath
	if p.URL == nil {
		items, id = "", ""
	} else if p.Method != "GET" {
		method = p.Method
	}
	sh.fields([][2]string{
		{"id", p.ID}, {"uid", text(p.UID)}, {"name", p.Name}, {"state", state}, {"schedule", p.schedule()}, {"next run", clock(moment(p.NextRun))},
		{"url", text(p.URL)}, {"method", method}, {"content type", text(p.ContentType)}, {"auth", kind(p.Auth)}, {"paging", kind(p.Paging)}, {"since", text(p.SinceValue)},
		{"items", items}, {"item id", id}, {"changed", strings.Join(p.ChangedPaths, ", ")},
		{"event type", p.EventType}, {"channels", strings.Join(p.Channels, ", ")}, {"created", clock(p.CreatedAt)},
	})
}

// OnePoller names the poller that a command is about.
type OnePoller struct {
	InApp
	ID string `arg:"" help:"Id or uid."`
}

type pollersShow struct{ OnePoller }

// Help is shown by hark pollers show --help.
func (pollersShow) Help() string { return "Example:\n\n  hark pollers show poll_…" }

// Run shows a poller.
func (c *pollersShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aPoller(c.ID)}, func(p pollerOut) {
		sh.drawPoller(p)
		if len(p.Runs) == 0 {
			return
		}
		sh.say("")
		t := newTable("STARTED", "OUTCOME", "STATUS", "SEEN", "NEW", "CHANGED", "REFUSED", "TOOK", "ERROR")
		for _, r := range p.Runs {
			outcome := r.Outcome
			if r.Late {
				outcome += " (late)"
			}
			t.add(clock(r.StartedAt), outcome, number(r.Status), strconv.Itoa(r.Seen), strconv.Itoa(r.New), strconv.Itoa(r.Changed),
				strconv.Itoa(r.Refused), fmt.Sprintf("%dms", r.DurationMs), text(r.Error))
		}
		t.write(sh)
	})
}

type pollersUpdate struct {
	OnePoller
	URL *string `help:"What to ask."`
	PollerFlags
}

// Help is shown by hark pollers update --help.
func (pollersUpdate) Help() string {
	return `What is not named stays as it is. With another URL, or other pointers to items and their ids, or to what
counts as a change, it begins anew.

Example:

  hark pollers update poll_… --every 30s`
}

// Run changes a poller.
func (c *pollersUpdate) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	patch(in, "url", c.URL, nil)
	if len(in) == 0 {
		return usagef("hark pollers update --help", "nothing to change")
	}
	return answer(ctx, sh, api, c.JSON, question{about: aPoller(c.ID), method: http.MethodPatch, in: in}, sh.drawPoller)
}

type pollersRun struct {
	OnePoller
	DryRun bool `help:"Only show what a run would send."`
}

// Help is shown by hark pollers run --help.
func (pollersRun) Help() string {
	return "It runs at once, whatever its schedule or its back-off says.\n\nExample:\n\n  hark pollers run poll_… --dry-run"
}

// Run runs a poller.
func (c *pollersRun) Run(ctx context.Context, sh *shell) error {
	if c.DryRun {
		return answer(ctx, sh, c, c.JSON, question{about: aPoller(c.ID), path: "/preview", method: http.MethodPost}, sh.drawDryRun)
	}
	return answer(ctx, sh, c, c.JSON, question{about: aPoller(c.ID), path: "/run", method: http.MethodPost}, func(p pollerOut) {
		sh.say("%s runs (try: hark pollers show %s)", p.ID, p.ID)
	})
}

type pollersPause struct{ OnePoller }

// Help is shown by hark pollers pause --help.
func (pollersPause) Help() string { return "Example:\n\n  hark pollers pause poll_…" }

// Run pauses a poller.
func (c *pollersPause) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"paused": true}
	return answer(ctx, sh, c, c.JSON, question{about: aPoller(c.ID), method: http.MethodPatch, in: in}, func(p pollerOut) {
		sh.say("paused %s (try: hark pollers resume %s)", p.ID, p.ID)
	})
}

type pollersResume struct{ OnePoller }

// Help is shown by hark pollers resume --help.
func (pollersResume) Help() string { return "Example:\n\n  hark pollers resume poll_…" }

// Run resumes a poller.
func (c *pollersResume) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"paused": false}
	return answer(ctx, sh, c, c.JSON, question{about: aPoller(c.ID), method: http.MethodPatch, in: in}, func(p pollerOut) {
		sh.say("resumed %s", p.ID)
	})
}

type pollersDelete struct{ OnePoller }

// Help is shown by hark pollers delete --help.
func (pollersDelete) Help() string {
	return "What it knows of items goes with it, without asking again; its messages stay.\n\nExample:\n\n  hark pollers delete poll_…"
}

// Run deletes a poller.
func (c *pollersDelete) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: aPoller(c.ID), method: http.MethodDelete}, "deleted")
}
