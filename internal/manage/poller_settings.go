package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/outbound"
	"github.com/harkhq/hark/internal/poll"
)

// Bounds of a poller's settings.
const (
	maxPollerBody    = 64 << 10
	maxPollerPayload = 64 << 10
	maxPollerSecret  = 4096
	maxContentType   = 256
	maxChangedPaths  = 50
)

// apply writes the fields that are set over a poller, and checks the whole.
func (in *PollerIn) apply(v *check, p *hark.Poller, httpsOnly bool, now time.Time) {
	p.UpdatedAt = now
	in.describe(v, p)
	in.request(v, p, httpsOnly)
	in.items(v, p)
	in.message(v, p)
	in.schedule(v, p, now)
	v.whole(p)
}

func (in *PollerIn) describe(v *check, p *hark.Poller) {
	if in.UID.Set {
		v.uid(in.UID, hark.PollerPrefix, "body", "uid")
		p.UID = in.UID.Value
	}
	if in.Name.Set {
		v.text(in.Name.Value, 0, maxText, "body", "name")
		p.Name = in.Name.Value
	}
}

// set writes a field that is set, and says whether there was one.
func set[T any](to *T, in Opt[T]) bool {
	if in.Set {
		*to = in.Value
	}
	return in.Set
}

// request reads whom to ask and how. What was learned of another URL is worth nothing.
func (in *PollerIn) request(v *check, p *hark.Poller, httpsOnly bool) {
	if in.URL.Set {
		was := p.URL
		if p.URL = ""; in.URL.Value != "" {
			p.URL = v.url(in.URL.Value, httpsOnly)
		}
		if p.URL != was {
			p.State = hark.PollerState{Runs: p.State.Runs}
		}
	}
	if in.Headers.Set {
		p.Headers = v.headers(in.Headers.Value)
	}
	set(&p.Method, in.Method)
	set(&p.Body, in.Body)
	set(&p.ContentType, in.ContentType)
	if in.Secret.Set {
		p.Secret = hark.SecretKey(in.Secret.Value)
	}
	if set(&p.Auth, in.Auth) && p.Auth.TokenURL != "" {
		url, err := outbound.Normalize(p.Auth.TokenURL)
		if err != nil || httpsOnly && !strings.HasPrefix(url, "https:") {
			v.wrong("must be a URL that this server may call", "body", "auth", "tokenUrl")
		}
		p.Auth.TokenURL = url
	}
	if set(&p.Paging, in.Paging) || in.Method.Set || in.Body.Set || in.Headers.Set || in.Auth.Set {
		p.State.ETag, p.State.LastModified = "", ""
	}
	if set(&p.Since, in.Since) {
		p.State.Since = ""
	}
	if in.Paging.Set || in.Since.Set || in.Method.Set || in.Body.Set {
		p.State.Rest = nil
	}
}

// items reads what is an item, and what of it. With other paths the items are others: it begins anew.
func (in *PollerIn) items(v *check, p *hark.Poller) {
	before := []string{p.ItemsPath, p.IDPath, strings.Join(p.Changed, "\x00")}
	set(&p.ItemsPath, in.ItemsPath)
	if in.IDPath.Set {
		if p.IDPath = in.IDPath.Value; p.IDPath == "" {
			p.IDPath = "/id"
		}
	}
	set(&p.Changed, in.Changed)
	set(&p.Backfill, in.Backfill)
	if !slices.Equal(before, []string{p.ItemsPath, p.IDPath, strings.Join(p.Changed, "\x00")}) {
		p.State = hark.PollerState{Runs: p.State.Runs}
	}
	v.pointer(p.ItemsPath, "body", "itemsPath")
	v.pointer(p.IDPath, "body", "idPath")
	if len(p.Changed) > maxChangedPaths || p.Changed != nil && len(p.Changed) == 0 {
		v.wrong(fmt.Sprintf("must have 1 to %d entries", maxChangedPaths), "body", "changedPaths")
	}
	for _, path := range p.Changed {
		v.pointer(path, "body", "changedPaths")
	}
}

func (v *check) pointer(path string, loc ...string) {
	if !poll.ValidPointer(path) {
		v.wrong("must be a JSON pointer such as /data/items", loc...)
	}
}

func (in *PollerIn) message(v *check, p *hark.Poller) {
	set(&p.EventType, in.EventType)
	set(&p.Payload, in.Payload)
	if in.Payload.Null {
		p.Payload = nil
	}
	if in.Channels.Set {
		p.Channels = v.channels(in.Channels.Value)
	}
	v.name(strings.ReplaceAll(p.EventType, "{{change}}", "updated"), nameChars, maxName, "body", "eventType")
}

// schedule reads when to run. Another schedule, and the end of a pause, begin now.
func (in *PollerIn) schedule(v *check, p *hark.Poller, now time.Time) {
	other := in.Every.Set || in.Cron.Set || in.TimeZone.Set
	if in.Every.Set {
		p.Every = seconds(in.Every.Value)
	}
	set(&p.Cron, in.Cron)
	set(&p.TimeZone, in.TimeZone)
	if in.Every.Given() && !in.Cron.Set {
		p.Cron, p.TimeZone = "", ""
	}
	if in.Cron.Given() && !in.Every.Set {
		p.Every = 0
	}
	resumed := in.Paused.Set && !in.Paused.Value && p.Paused
	set(&p.Paused, in.Paused)
	switch {
	case (p.Every == 0) == (p.Cron == ""):
		v.wrong("give either everySeconds or cron", "body", "everySeconds")
		return
	case p.Cron == "" && (p.Every < poll.MinEvery || p.Every > poll.MaxEvery):
		v.wrong(fmt.Sprintf("must be between %v and %v", poll.MinEvery.Seconds(), poll.MaxEvery.Seconds()), "body", "everySeconds")
		return
	case p.Cron == "" && p.TimeZone != "":
		v.wrong("belongs to cron", "body", "timeZone")
	}
	schedule, err := poll.ParseSchedule(&p.PollerSettings)
	switch {
	case errors.Is(err, poll.ErrZone):
		v.wrong(err.Error(), "body", "timeZone")
	case err != nil:
		v.wrong(err.Error(), "body", "cron")
	case p.Due.IsZero() || other || resumed:
		p.Due = schedule.First(now)
	}
}

// whole checks what goes together.
func (v *check) whole(p *hark.Poller) {
	if p.IsSchedule() {
		switch {
		case p.Payload == nil:
			v.wrong("give either url or payload", "body", "url")
		case !isObject(p.Payload) || len(p.Payload) > maxPollerPayload:
			v.wrong(fmt.Sprintf("must be a JSON object of at most %d bytes", maxPollerPayload), "body", "payload")
		case strings.Contains(p.EventType, "{{"):
			v.wrong("has nothing that could change", "body", "eventType")
		}
		return
	}
	if p.Payload != nil {
		v.wrong("give either url or payload", "body", "payload")
	}
	if !slices.Contains([]string{"", "GET", "POST"}, p.Method) {
		v.wrong("must be GET or POST", "body", "method")
	}
	if len(p.Body) > maxPollerBody || p.Body != "" && p.Method != "POST" {
		v.wrong(fmt.Sprintf("needs the method POST, and must not be longer than %d bytes", maxPollerBody), "body", "body")
	}
	if p.ContentType != "" {
		_, _, err := mime.ParseMediaType(p.ContentType)
		if err != nil || p.Body == "" || len(p.ContentType) > maxContentType {
			v.wrong("must be a media type such as application/x-www-form-urlencoded, of a body", "body", "contentType")
		}
	}
	v.auth(p)
	v.paging(&p.Paging)
	if (p.Since.Param == "") != (p.Since.Path == "") || p.Since.Initial != "" && p.Since.Param == "" {
		v.wrong("needs both param and path", "body", "since")
	}
	v.pointer(p.Since.Path, "body", "since", "path")
}

func isObject(raw json.RawMessage) bool {
	var members map[string]json.RawMessage
	return json.Unmarshal(raw, &members) == nil && members != nil
}

func (v *check) auth(p *hark.Poller) {
	a := &p.Auth
	secret := p.Secret.Reveal()
	switch a.Type {
	case "":
		if secret != "" {
			v.wrong("needs auth", "body", "secret")
		}
		return
	case "basic":
		if strings.Contains(a.Username, ":") {
			v.wrong("must not contain a colon", "body", "auth", "username")
		}
	case "bearer":
	case "header":
		if problem := outbound.FieldProblem(a.Name, secret); problem != "" {
			v.wrong(problem, "body", "auth", "name")
		}
	case "query":
		if a.Name == "" {
			v.wrong("must not be empty", "body", "auth", "name")
		}
	case "oauth2":
		if a.TokenURL == "" {
			v.wrong("must not be empty", "body", "auth", "tokenUrl")
		}
		if a.ClientID == "" {
			v.wrong("must not be empty", "body", "auth", "clientId")
		}
		if !slices.Contains([]string{"", "basic", "body"}, a.ClientAuth) {
			v.wrong("must be basic or body", "body", "auth", "clientAuth")
		}
	default:
		v.wrong("must be basic, bearer, header, query or oauth2", "body", "auth", "type")
	}
	if secret == "" || len(secret) > maxPollerSecret || strings.ContainsAny(secret, "\r\n\x00") {
		v.wrong(fmt.Sprintf("must be 1 to %d characters in one line", maxPollerSecret), "body", "secret")
	}
}

func (v *check) paging(g *hark.PollerPaging) {
	needsPath := g.Type == "next" || g.Type == "cursor"
	needsParam := g.Type == "cursor" || g.Type == "page"
	switch {
	case !slices.Contains([]string{"", "link", "next", "cursor", "page"}, g.Type):
		v.wrong("must be link, next, cursor or page", "body", "paging", "type")
	case needsPath && g.Path == "":
		v.wrong("must not be empty", "body", "paging", "path")
	case needsParam && g.Param == "":
		v.wrong("must not be empty", "body", "paging", "param")
	}
	v.pointer(g.Path, "body", "paging", "path")
	if g.First < -1 || g.First > 1<<30 {
		v.wrong("must be -1 or more", "body", "paging", "first")
	}
}
