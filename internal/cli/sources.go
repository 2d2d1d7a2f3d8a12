package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/harkhq/hark/internal/config"
)

type sourcesCmd struct {
	List      sourcesList      `cmd:"" default:"withargs" help:"List sources, oldest first."`
	Create    sourcesCreate    `cmd:"" help:"Create a source, and print the URL to give to the provider."`
	Show      sourcesShow      `cmd:"" help:"Show one source, and since when it fails if it does."`
	Update    sourcesUpdate    `cmd:"" help:"Change a source."`
	Rotate    sourcesRotate    `cmd:"" help:"Tell it the provider's new secret; the old one is good for a while."`
	RotateURL sourcesRotateURL `cmd:"" name:"rotate-url" help:"Give it a new URL; the old one works for two days more."`
	Delete    sourcesDelete    `cmd:"" help:"Delete a source; the messages that came from it stay."`
	Providers sourcesProviders `cmd:"" help:"List the providers whose webhooks can be verified."`
}

// Help is shown by hark sources --help.
func (sourcesCmd) Help() string {
	return `A source is a URL that a provider sends webhooks to. Hark verifies them, answers, keeps them, drops
repeated ones and delivers them to the endpoints of the source's application.

Examples:

  hark sources create stripe --secret whsec_…
  hark sources create github --secret … --app ci
  hark sources create --scheme '{"algorithm":"hmac-sha256","signed":"{body}","header":"X-Signature"}' --secret …
  hark requests --status rejected`
}

func aSource(id string) named { return named{"source", id, "hark sources", path("source", id)} }

type sourceOut struct {
	ID            string  `json:"id"`
	UID           *string `json:"uid"`
	ApplicationID string  `json:"applicationId"`
	Name          string  `json:"name"`
	URL           *string `json:"url"`
	Description   string  `json:"description"`
	Provider      *string `json:"provider"`
	Secrets       []struct {
		ExpiresAt *time.Time `json:"expiresAt"`
	} `json:"secrets"`
	Scheme       json.RawMessage   `json:"scheme"`
	Unverified   bool              `json:"unverified"`
	Methods      []string          `json:"methods"`
	AllowIPs     []string          `json:"allowIps"`
	MaxBytes     int               `json:"maxBytes"`
	RateLimit    *int              `json:"rateLimit"`
	DailyQuota   *int              `json:"dailyQuota"`
	EventType    *string           `json:"eventType"`
	Answer       *answerOut        `json:"answer"`
	Metadata     map[string]string `json:"metadata"`
	Disabled     bool              `json:"disabled"`
	Status       string            `json:"status"`
	FailingSince *time.Time        `json:"failingSince"`
	FailingCause *string           `json:"failingCause"`
	CreatedAt    time.Time         `json:"createdAt"`
	Deduplicate  struct {
		Off         bool     `json:"off"`
		By          []string `json:"by"`
		WindowHours float64  `json:"windowHours"`
	} `json:"deduplicate"`
}

// provider is whose webhooks these are.
func (s sourceOut) provider() string {
	switch {
	case s.Provider != nil:
		return *s.Provider
	case len(s.Scheme) > 0 && string(s.Scheme) != "null":
		return "own scheme"
	}
	return "none"
}

type sourcesList struct {
	Remote
	Listing
	App    string `short:"a" env:"HARK_APP" placeholder:"ID" help:"Only this application's."`
	Status string `enum:"all,enabled,failing,disabled" default:"all" placeholder:"STATUS" help:"Only those that are enabled, failing (nothing of what comes can be verified) or disabled."`
}

// Help is shown by hark sources list --help.
func (sourcesList) Help() string {
	return "Examples:\n\n  hark sources list --app ci\n  hark sources list --status failing"
}

// Run lists sources.
func (c *sourcesList) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	filter := url.Values{}
	put(filter, "application_id", c.App)
	if c.Status != "all" {
		put(filter, "status", c.Status)
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{about: anApplication(c.App).at("/source"), query: filter}, func(all []sourceOut) *table {
		t := newTable("ID", "UID", "NAME", "PROVIDER", "STATE", "APPLICATION", "CREATED")
		for _, s := range all {
			t.add(s.ID, text(s.UID), s.Name, s.provider(), s.Status, s.ApplicationID, clock(s.CreatedAt))
			if s.FailingSince != nil {
				sh.note("%s has verified nothing since %s: %s (try: hark requests --source %s)", s.Name, clock(*s.FailingSince), text(s.FailingCause), s.ID)
			}
		}
		return t
	})
}

// SourceFlags are what can be set on a source, at its creation and later.
type SourceFlags struct {
	Name        *string           `help:"For people. Default: the provider's."`
	UID         *string           `help:"Your own id for it; every command takes it in place of the id."`
	Description *string           `help:"For people."`
	Scheme      *string           `placeholder:"JSON" help:"How requests are signed, for a sender that is no provider Hark knows."`
	Param       map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"What else the provider needs, such as webhook_id (repeatable)."`
	Unverified  *bool             `negatable:"" help:"Take requests although there is no secret: the URL alone keeps strangers out."`
	SignedURL   *string           `name:"signed-url" placeholder:"URL" help:"What the provider calls, where it signs the URL and a proxy changes it."`
	Confirm     *bool             `negatable:"" help:"Confirm subscriptions (SNS), and take the secret that a handshake brings (Asana, Notion)."`
	Method      []string          `placeholder:"METHOD" help:"Only these methods (repeatable). Default: POST, PUT, PATCH, DELETE."`
	AllowIP     []string          `name:"allow-ip" placeholder:"CIDR" help:"Only from this address or network (repeatable)."`
	MaxBytes    *int              `placeholder:"N" help:"The largest body. Default: 5 MiB; at most 25 MiB."`
	RateLimit   *int              `placeholder:"N" help:"At most N requests per second; 0 takes the limit away."`
	DailyQuota  *int              `placeholder:"N" help:"At most N requests per day (UTC); 0 takes the quota away."`
	DedupeBy    []string          `name:"dedupe-by" placeholder:"PART" help:"What tells requests apart: header:NAME, query:NAME, a JSON pointer or body (repeatable). Default: the provider's event id."`
	DedupeFor   *time.Duration    `name:"dedupe-for" placeholder:"DURATION" help:"How long a request is remembered; 0 makes every one a message. Default: 72h; at most 720h."`
	EventType   *string           `name:"event-type" short:"t" placeholder:"TYPE" help:"The messages' event type: a name, header:NAME or a JSON pointer. Default: the provider's."`
	Credentials *bool             `name:"forward-credentials" negatable:"" help:"Pass Authorization and Cookie headers on, too."`
	Answer      *string           `placeholder:"JSON" help:"What to answer, such as '{\"status\":202,\"body\":\"ok\"}'."`
	Disabled    *bool             `negatable:"" help:"Keep requests, and make no messages of them."`
	Metadata    map[string]string `mapsep:"none" placeholder:"K=V" help:"Your own notes on it."`
}

// fields turns the flags into a request.
func (f SourceFlags) fields() (map[string]any, error) {
	in := map[string]any{}
	patch(in, "name", f.Name, nil)
	patch(in, "uid", f.UID, ptr(""))
	patch(in, "description", f.Description, nil)
	for flag, value := range map[string]*string{"scheme": f.Scheme, "answer": f.Answer} {
		if err := setJSON(in, flag, value, "hark sources create --help"); err != nil {
			return nil, err
		}
	}
	setIf(in, "params", f.Param, f.Param != nil)
	patch(in, "unverified", f.Unverified, nil)
	patch(in, "signedUrl", f.SignedURL, ptr(""))
	patch(in, "confirm", f.Confirm, nil)
	setIf(in, "methods", f.Method, f.Method != nil)
	setIf(in, "allowIps", f.AllowIP, f.AllowIP != nil)
	patch(in, "maxBytes", f.MaxBytes, nil)
	patch(in, "rateLimit", f.RateLimit, ptr(0))
	patch(in, "dailyQuota", f.DailyQuota, ptr(0))
	if f.DedupeBy != nil || f.DedupeFor != nil {
		dedupe := map[string]any{"by": f.DedupeBy}
		if f.DedupeFor != nil && *f.DedupeFor == 0 {
			dedupe["off"] = true
		} else if f.DedupeFor != nil {
			dedupe["windowHours"] = f.DedupeFor.Hours()
		}
		in["deduplicate"] = dedupe
	}
	patch(in, "eventType", f.EventType, ptr(""))
	patch(in, "forwardCredentials", f.Credentials, nil)
	patch(in, "disabled", f.Disabled, nil)
	setIf(in, "metadata", f.Metadata, f.Metadata != nil)
	return in, nil
}

type sourcesCreate struct {
	Remote
	Provider string        `arg:"" optional:"" help:"Whose webhooks it gets: stripe, github, … (hark sources providers)."`
	Secret   config.Secret `env:"HARK_SOURCE_SECRET" placeholder:"SECRET" help:"What the provider signs with; also HARK_SOURCE_SECRET_FILE."`
	App      string        `short:"a" env:"HARK_APP" placeholder:"ID" help:"The application whose messages its requests become. Default: one of its own."`
	SourceFlags
}

// Help is shown by hark sources create --help.
func (sourcesCreate) Help() string {
	return `Only the URL goes to stdout, so that it can be piped.

Examples:

  hark sources create stripe --secret whsec_…
  hark sources create github --secret … --app ci --uid pushes
  hark sources create --name sensors --scheme '{"algorithm":"token","header":"X-Token"}' --secret …
  hark sources create --name trial --unverified`
}

// Run creates a source.
func (c *sourcesCreate) Run(ctx context.Context, sh *shell) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	setIf(in, "provider", c.Provider, c.Provider != "")
	setIf(in, "secret", c.Secret.Reveal(), c.Secret != "")
	setIf(in, "applicationId", c.App, c.App != "")
	return answer(ctx, sh, api, c.JSON, question{path: "/source", method: http.MethodPost, in: in}, func(s sourceOut) {
		sh.say("%s", text(s.URL))
		sh.note("%s (%s): what it accepts becomes messages of %s (try: hark endpoints create URL --app %s)",
			s.ID, s.provider(), s.ApplicationID, s.ApplicationID)
	})
}

// OneSource names the source that a command is about.
type OneSource struct {
	Remote
	ID string `arg:"" help:"Id or uid."`
}

type sourcesShow struct{ OneSource }

// Help is shown by hark sources show --help.
func (sourcesShow) Help() string { return "Example:\n\n  hark sources show src_…" }

// Run shows a source.
func (c *sourcesShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aSource(c.ID)}, sh.drawSource)
}

func (sh *shell) drawSource(s sourceOut) {
	failing := ""
	if s.FailingSince != nil {
		failing = clock(*s.FailingSince) + ": " + text(s.FailingCause)
	}
	dedupe := join(s.Deduplicate.By, "the provider's event id") + ", for " + seconds(s.Deduplicate.WindowHours*3600)
	if s.Deduplicate.Off {
		dedupe = "off"
	}
	verified := positive(len(s.Secrets))
	if verified == "" && s.Unverified {
		verified = "none: requests are not verified"
	}
	sh.fields([][2]string{
		{"id", s.ID}, {"uid", text(s.UID)}, {"name", s.Name}, {"url", text(s.URL)}, {"description", s.Description}, {"provider", s.provider()},
		{"scheme", jsonText(s.Scheme)}, {"state", s.Status}, {"failing since", failing}, {"secrets", verified}, {"application", s.ApplicationID},
		{"methods", join(s.Methods, "")}, {"from", join(s.AllowIPs, "")}, {"largest body", byteCount(int64(s.MaxBytes))},
		{"rate", rateText(s.RateLimit, "second")}, {"daily quota", number(s.DailyQuota)}, {"told apart by", dedupe}, {"event type", text(s.EventType)},
		{"metadata", pairs(s.Metadata)}, {"created", clock(s.CreatedAt)},
	})
}

type sourcesUpdate struct {
	OneSource
	SourceFlags
}

// Help is shown by hark sources update --help.
func (sourcesUpdate) Help() string {
	return "What is not named stays as it is.\n\nExample:\n\n  hark sources update src_… --rate-limit 100 --no-disabled"
}

// Run changes a source.
func (c *sourcesUpdate) Run(ctx context.Context, sh *shell) error {
	in, err := c.fields()
	if err != nil {
		return err
	}
	if len(in) == 0 {
		return usagef("hark sources update --help", "nothing to change")
	}
	return answer(ctx, sh, c, c.JSON, question{about: aSource(c.ID), method: http.MethodPatch, in: in}, sh.drawSource)
}

type sourcesRotate struct {
	OneSource
	Secret config.Secret  `required:"" env:"HARK_SOURCE_SECRET" placeholder:"SECRET" help:"What the provider signs with now; also HARK_SOURCE_SECRET_FILE."`
	Grace  *time.Duration `placeholder:"DURATION" help:"How long the old one is good as well. Default: 24h; at most 168h."`
}

// Help is shown by hark sources rotate --help.
func (sourcesRotate) Help() string {
	return "The provider makes the new secret.\n\nExample:\n\n  hark sources rotate src_… --secret whsec_… --grace 1h"
}

// Run adds a secret.
func (c *sourcesRotate) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"key": c.Secret.Reveal()}
	if c.Grace != nil {
		in["gracePeriodSeconds"] = int(c.Grace.Seconds())
	}
	return answer(ctx, sh, c, c.JSON, question{about: aSource(c.ID), path: "/secret/rotate", method: http.MethodPost, in: in}, func(s sourceOut) {
		until := ""
		if len(s.Secrets) > 1 && s.Secrets[1].ExpiresAt != nil {
			until = "; the one before is good until " + clock(*s.Secrets[1].ExpiresAt)
		}
		sh.say("rotated %s%s", s.ID, until)
	})
}

type sourcesRotateURL struct{ OneSource }

// Help is shown by hark sources rotate-url --help.
func (sourcesRotateURL) Help() string {
	return "Only the URL goes to stdout.\n\nExample:\n\n  hark sources rotate-url src_…"
}

// Run gives a source a new URL.
func (c *sourcesRotateURL) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: aSource(c.ID), path: "/token/rotate", method: http.MethodPost}, func(s sourceOut) {
		sh.say("%s", text(s.URL))
		sh.note("The URL before works for two days more.")
	})
}

type sourcesDelete struct{ OneSource }

// Help is shown by hark sources delete --help.
func (sourcesDelete) Help() string {
	return "Its URL ends at once, without asking again; the application and its messages stay.\n\nExample:\n\n  hark sources delete src_…"
}

// Run deletes a source.
func (c *sourcesDelete) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: aSource(c.ID), method: http.MethodDelete}, "deleted")
}

type sourcesProviders struct {
	Remote
	Search string `arg:"" optional:"" help:"Only those with this in their name."`
}

// Help is shown by hark sources providers --help.
func (sourcesProviders) Help() string { return "Example:\n\n  hark sources providers pay" }

// Run lists providers.
func (c *sourcesProviders) Run(ctx context.Context, sh *shell) error {
	type out struct {
		Data []struct {
			Name   string   `json:"name"`
			Title  string   `json:"title"`
			Scheme string   `json:"scheme"`
			Params []string `json:"params"`
		} `json:"data"`
	}
	return answer(ctx, sh, c, c.JSON, question{path: "/provider"}, func(all out) {
		t := newTable("NAME", "TITLE", "SCHEME", "PARAMS")
		for _, p := range all.Data {
			if strings.Contains(p.Name+" "+strings.ToLower(p.Title), strings.ToLower(c.Search)) {
				t.add(p.Name, p.Title, p.Scheme, join(p.Params, ""))
			}
		}
		t.write(sh)
	})
}
