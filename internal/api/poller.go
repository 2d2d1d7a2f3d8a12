package api

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// PollerAuth says how a poller proves who it is; its secret stands beside it.
type PollerAuth struct {
	Type     string `json:"type" enum:"basic,bearer,header,query,oauth2"`
	Name     string `json:"name,omitempty" doc:"Of the header, or the query parameter."`
	Username string `json:"username,omitempty" doc:"For basic."`
	TokenURL string `json:"tokenUrl,omitempty" doc:"For oauth2: where client credentials get a token."`
	ClientID string `json:"clientId,omitempty" doc:"For oauth2."`
	Scope    string `json:"scope,omitempty" doc:"For oauth2."`

	ClientAuth string `json:"clientAuth,omitempty" enum:"basic,body" doc:"For oauth2: where the client's id and secret go when a token is asked for, the Authorization header (basic, the default) or the form."`
}

// PollerPaging says how an answer leads to the next one.
type PollerPaging struct {
	Type  string `json:"type" enum:"link,next,cursor,page" doc:"link: the Link header; next: a URL in the answer; cursor: a parameter from the answer; page: a number."`
	Path  string `json:"path,omitempty" doc:"JSON pointer to the URL or the cursor."`
	Param string `json:"param,omitempty" doc:"Query parameter that carries the cursor or the number."`
	First int    `json:"first,omitempty" doc:"Number of the first page: 1 when it is left out, -1 stands for 0."`
}

// PollerSince asks only for what is newer than what was seen.
type PollerSince struct {
	Param   string `json:"param" doc:"Query parameter."`
	Path    string `json:"path" doc:"JSON pointer to the number or time in an item; the largest is sent next time."`
	Initial string `json:"initial,omitempty" doc:"For the first run."`
}

// PollerIn describes a poller; a PATCH changes the fields that are given.
type PollerIn struct {
	UID      manage.Opt[string]  `json:"uid"`
	Name     manage.Opt[string]  `json:"name"`
	Paused   manage.Opt[bool]    `json:"paused"`
	Every    manage.Opt[float64] `json:"everySeconds" doc:"Either this or cron: 1 to 2678400, counted from the end of a run."`
	Cron     manage.Opt[string]  `json:"cron" doc:"Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly."`
	TimeZone manage.Opt[string]  `json:"timeZone" doc:"Of cron, such as Europe/Berlin; UTC when it is left out."`

	URL         manage.Opt[string]            `json:"url" doc:"What is asked; left out for a poller that sends payload."`
	Method      manage.Opt[string]            `json:"method" doc:"GET (the default) or POST."`
	Body        manage.Opt[string]            `json:"body"`
	ContentType manage.Opt[string]            `json:"contentType" doc:"Of body; application/json when it is left out."`
	Headers     manage.Opt[map[string]string] `json:"headers" doc:"Never shown again."`
	Auth        manage.Opt[PollerAuth]        `json:"auth"`
	Secret      manage.Opt[string]            `json:"secret" doc:"The password, token, key or client secret for auth; never shown again."`
	Paging      manage.Opt[PollerPaging]      `json:"paging"`
	Since       manage.Opt[PollerSince]       `json:"since"`

	ItemsPath manage.Opt[string]   `json:"itemsPath" doc:"JSON pointer to the array in the answer; left out when the answer is one."`
	IDPath    manage.Opt[string]   `json:"idPath" doc:"JSON pointer to an item's id; /id when it is left out."`
	Changed   manage.Opt[[]string] `json:"changedPaths" doc:"JSON pointers to what counts as a change; null means all of an item."`
	Backfill  manage.Opt[bool]     `json:"backfill" doc:"true makes messages of what the first run finds; otherwise it only learns it."`

	EventType manage.Opt[string]          `json:"eventType" doc:"{{change}} in it becomes created or updated."`
	Payload   manage.Opt[json.RawMessage] `json:"payload" doc:"An object to send, without url; {{now}}, {{scheduled}} and {{late}} in it are filled in."`
	Channels  manage.Opt[[]string]        `json:"channels"`
}

// as converts what a field holds.
func as[Out, In any](in manage.Opt[In], convert func(In) Out) manage.Opt[Out] {
	return manage.Opt[Out]{Set: in.Set, Null: in.Null, Value: convert(in.Value)}
}

func (in *PollerIn) domain() manage.PollerIn {
	return manage.PollerIn{
		UID: in.UID, Name: in.Name, Paused: in.Paused, Every: in.Every, Cron: in.Cron, TimeZone: in.TimeZone,
		URL: in.URL, Method: in.Method, Body: in.Body, ContentType: in.ContentType, Headers: in.Headers, Secret: in.Secret,
		Auth:      as(in.Auth, func(a PollerAuth) hark.PollerAuth { return hark.PollerAuth(a) }),
		Paging:    as(in.Paging, func(p PollerPaging) hark.PollerPaging { return hark.PollerPaging(p) }),
		Since:     as(in.Since, func(s PollerSince) hark.PollerSince { return hark.PollerSince(s) }),
		ItemsPath: in.ItemsPath, IDPath: in.IDPath, Changed: in.Changed, Backfill: in.Backfill,
		EventType: in.EventType, Payload: in.Payload, Channels: in.Channels,
	}
}

// PollerOut is a poller.
type PollerOut struct {
	ID       hark.PollerID `json:"id"`
	UID      *string       `json:"uid"`
	Name     string        `json:"name"`
	State    string        `json:"state" enum:"waiting,failing,paused"`
	Failures int           `json:"failures" doc:"Failed runs in a row."`
	NextRun  *time.Time    `json:"nextRun"`
	Paused   bool          `json:"paused"`
	Every    *float64      `json:"everySeconds"`
	Cron     *string       `json:"cron"`
	TimeZone *string       `json:"timeZone"`

	URL         *string       `json:"url"`
	Method      string        `json:"method"`
	Body        *string       `json:"body"`
	ContentType *string       `json:"contentType"`
	HeaderNames []string      `json:"headerNames"`
	Auth        *PollerAuth   `json:"auth"`
	Paging      *PollerPaging `json:"paging"`
	Since       *PollerSince  `json:"since"`
	SinceValue  *string       `json:"sinceValue" doc:"What the next run asks with."`

	ItemsPath string   `json:"itemsPath"`
	IDPath    string   `json:"idPath"`
	Changed   []string `json:"changedPaths" null:"1"`
	Backfill  bool     `json:"backfill"`

	EventType string          `json:"eventType"`
	Payload   json.RawMessage `json:"payload" schema:"object" null:"1"`
	Channels  []string        `json:"channels" null:"1"`

	Runs      []PollerRun `json:"runs" doc:"The last 20, the newest first."`
	CreatedAt time.Time   `json:"createdAt"`
	UpdatedAt time.Time   `json:"updatedAt"`
}

// PollerRun is one run of a poller.
type PollerRun struct {
	StartedAt  time.Time `json:"startedAt"`
	Due        time.Time `json:"due"`
	Late       bool      `json:"late" doc:"It made up for a time at which no server ran."`
	DurationMs int64     `json:"durationMs"`
	Outcome    string    `json:"outcome" enum:"done,learned,unchanged,partial,failed" doc:"partial: there were more pages than a run may take, and the next run goes on there."`
	Status     *int      `json:"status" doc:"Of the last answer."`
	Pages      int       `json:"pages"`
	Limited    int       `json:"limited" doc:"Answers (429) that asked to wait a little, which it did."`
	Seen       int       `json:"seen"`
	New        int       `json:"new"`
	Changed    int       `json:"changed"`
	Refused    int       `json:"refused" doc:"Items that cannot be messages; error has an example."`
	Error      *string   `json:"error"`
}

func pollerRun(r *hark.PollerRun) PollerRun {
	return PollerRun{
		StartedAt: wireTime(r.StartedAt), Due: wireTime(r.Due), Late: r.Late, DurationMs: r.Took.Milliseconds(), Outcome: string(r.Outcome),
		Status: orNull(r.Status), Pages: r.Pages, Limited: r.Limited, Seen: r.Seen, New: r.New, Changed: r.Changed, Refused: r.Refused, Error: orNull(r.Error),
	}
}

func pollerOut(p *hark.Poller) PollerOut {
	out := PollerOut{
		ID: p.ID, UID: orNull(p.UID), Name: p.Name, State: "waiting", Failures: p.State.Failures, Paused: p.Paused,
		Every: orNull(p.Every.Seconds()), Cron: orNull(p.Cron), TimeZone: orNull(p.TimeZone),
		URL: orNull(p.URL), Method: p.Method, Body: orNull(p.Body), ContentType: orNull(p.ContentType), HeaderNames: slices.Sorted(maps.Keys(p.Headers)), SinceValue: orNull(p.State.Since),
		ItemsPath: p.ItemsPath, IDPath: p.IDPath, Changed: p.Changed, Backfill: p.Backfill,
		EventType: p.EventType, Payload: p.Payload, Channels: p.Channels,
		Runs: make([]PollerRun, len(p.State.Runs)), CreatedAt: wireTime(p.CreatedAt), UpdatedAt: wireTime(p.UpdatedAt),
	}
	if out.HeaderNames == nil {
		out.HeaderNames = []string{}
	}
	if out.Method == "" {
		out.Method = "GET"
	}
	if p.State.Failures > 0 {
		out.State = "failing"
	}
	if p.Paused {
		out.State = "paused"
	} else if !p.Due.IsZero() {
		due := wireTime(p.Due)
		out.NextRun = &due
	}
	if auth := PollerAuth(p.Auth); auth.Type != "" {
		out.Auth = &auth
	}
	if paging := PollerPaging(p.Paging); paging.Type != "" {
		out.Paging = &paging
	}
	if since := PollerSince(p.Since); since.Param != "" {
		out.Since = &since
	}
	for i := range p.State.Runs {
		out.Runs[i] = pollerRun(&p.State.Runs[i])
	}
	return out
}

// PollerPreview is what a run would do.
type PollerPreview struct {
	Run      PollerRun       `json:"run"`
	Messages []PollerMessage `json:"messages" doc:"Up to 100; of a first run without backfill, what it would learn instead of send."`
	More     bool            `json:"more" doc:"There are more messages, or pages."`
}

// PollerMessage is a message that a run would make.
type PollerMessage struct {
	EventType string          `json:"eventType"`
	Payload   json.RawMessage `json:"payload" schema:"object"`
}

const pollerPath = appPath + "/api-poller/{poller_id}"

func pollerOperations() []operation {
	const tag = "API Poller"
	return []operation{
		{method: "GET", path: appPath + "/api-poller", id: "hark.poller.list", may: "poller.list", tag: tag, summary: "List pollers", access: operator, status: is200, query: ordered, handler: does(listPollers)},
		{method: "POST", path: appPath + "/api-poller", id: "hark.poller.create", may: "poller.create", tag: tag, summary: "Create a poller", doc: "It asks an API for what is new, or sends a message on a schedule.",
			access: operator, status: is201, handler: does(createPoller)},
		{method: "POST", path: appPath + "/api-poller/preview", id: "hark.poller.preview-new", lean: true, may: "poller.preview", tag: tag, summary: "Ask what a new poller would do", doc: "It asks the API, makes no message and keeps nothing.",
			access: operator, status: is200, handler: does(previewNewPoller)},
		{method: "GET", path: pollerPath, id: "hark.poller.get", may: "poller.get", tag: tag, summary: "Get a poller and its last runs", access: operator, status: is200, handler: does(getPoller)},
		{method: "PATCH", path: pollerPath, id: "hark.poller.patch", may: "poller.patch", tag: tag, summary: "Change a poller", doc: "With another url, itemsPath, idPath or changedPaths it begins anew; with another method, body, paging or since at the first page.",
			access: operator, status: is200, handler: does(patchPoller)},
		{method: "DELETE", path: pollerPath, id: "hark.poller.delete", may: "poller.delete", tag: tag, summary: "Delete a poller", access: operator, status: is204, handler: does(deletePoller)},
		{method: "POST", path: pollerPath + "/run", id: "hark.poller.run", may: "poller.run", tag: tag, summary: "Run a poller now", access: operator, status: is202, handler: does(runPoller)},
		{method: "POST", path: pollerPath + "/preview", id: "hark.poller.preview", lean: true, may: "poller.preview", tag: tag, summary: "Ask what a poller's next run would do", access: operator, status: is200, handler: does(previewPoller)},
	}
}

func listPollers(c *call, _ none) (ListResponse[PollerOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[PollerOut]{}, q.err
	}
	page, err := c.api.Manage.ListPollers(c.r.Context(), c.caller, c.path("app_id"), in)
	return listOf(page, pollerOut), err
}

func createPoller(c *call, in PollerIn) (PollerOut, error) {
	p, err := c.api.Manage.CreatePoller(c.r.Context(), c.caller, c.path("app_id"), in.domain())
	return pollerOut(&p), err
}

func getPoller(c *call, _ none) (PollerOut, error) {
	p, err := c.api.Manage.Poller(c.r.Context(), c.caller, c.path("app_id"), c.path("poller_id"))
	return pollerOut(&p), err
}

func patchPoller(c *call, in PollerIn) (PollerOut, error) {
	p, err := c.api.Manage.PatchPoller(c.r.Context(), c.caller, c.path("app_id"), c.path("poller_id"), in.domain())
	return pollerOut(&p), err
}

func deletePoller(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.DeletePoller(c.r.Context(), c.caller, c.path("app_id"), c.path("poller_id"))
}

func runPoller(c *call, _ none) (PollerOut, error) {
	p, err := c.api.Manage.RunPoller(c.r.Context(), c.caller, c.path("app_id"), c.path("poller_id"))
	return pollerOut(&p), err
}

func previewPoller(c *call, _ none) (PollerPreview, error) {
	p, err := c.api.Manage.PreviewPoller(c.r.Context(), c.caller, c.path("app_id"), c.path("poller_id"))
	return pollerPreview(p.Run, p.Messages, p.Cut), err
}

func previewNewPoller(c *call, in PollerIn) (PollerPreview, error) {
	p, err := c.api.Manage.PreviewNewPoller(c.r.Context(), c.caller, c.path("app_id"), in.domain())
	return pollerPreview(p.Run, p.Messages, p.Cut), err
}

func pollerPreview(run hark.PollerRun, messages []manage.PollerMessage, more bool) PollerPreview {
	out := PollerPreview{Run: pollerRun(&run), Messages: make([]PollerMessage, len(messages)), More: more}
	for i, m := range messages {
		out.Messages[i] = PollerMessage{m.EventType, m.Payload}
	}
	return out
}
