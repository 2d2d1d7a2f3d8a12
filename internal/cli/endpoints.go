package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type endpointsCmd struct {
	List   endpointsList   `cmd:"" default:"withargs" help:"List endpoints, newest first."`
	Create endpointsCreate `cmd:"" help:"Create an endpoint."`
	Show   endpointsShow   `cmd:"" help:"Show one endpoint."`
	Update endpointsUpdate `cmd:"" help:"Change an endpoint."`
	Delete endpointsDelete `cmd:"" help:"Delete an endpoint and what is queued for it."`
	Pause  endpointsPause  `cmd:"" help:"Hold its deliveries until it is resumed."`
	Resume endpointsResume `cmd:"" help:"Send what was held, and enable it if it was disabled."`
	Secret endpointsSecret `cmd:"" help:"Print its signing secret."`
	Rotate endpointsRotate `cmd:"" help:"Give it a new signing secret; the old one goes on signing for a while."`
	Stats  endpointsStats  `cmd:"" help:"Count its attempts by status."`
}

// Help is shown by hark endpoints --help.
func (endpointsCmd) Help() string {
	return `An endpoint is where messages go: a URL with its secret, filters, schedule and limits.

Examples:

  hark endpoints
  hark endpoints create https://shop.example/hooks --event-type payment.cleared
  hark endpoints stats ep_… --since 24h`
}

type endpointsList struct {
	InApp
	Listing
}

// Help is shown by hark endpoints list --help.
func (endpointsList) Help() string { return "Example:\n\n  hark endpoints list --app bakery" }

// Run lists endpoints.
func (c *endpointsList) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	return listing(ctx, sh, api, c.JSON, c.Listing, question{path: "/endpoint"}, func(eps []endpointOut) *table {
		t := newTable("ID", "UID", "STATE", "URL", "EVENT TYPES", "CREATED")
		for _, e := range eps {
			t.add(e.ID, text(e.UID), e.state(), e.URL, join(e.EventTypes, "all"), clock(e.CreatedAt))
		}
		return t
	})
}

// MatchFlags say which messages an endpoint or a consumer gets.
type MatchFlags struct {
	EventType []string `name:"event-type" short:"t" placeholder:"TYPE" help:"Only these event types (repeatable)."`
	Channel   []string `placeholder:"NAME" help:"Only messages in one of these channels (repeatable)."`
	Filter    *string  `placeholder:"JSON" help:"Only payloads that match, such as '{\"data\":{\"amount\":{\"$gt\":100}}}'."`
}

// matching puts them into a request.
func (f MatchFlags) matching(in map[string]any) error {
	setIf(in, "eventTypes", f.EventType, f.EventType != nil)
	setIf(in, "channels", f.Channel, f.Channel != nil)
	return setJSON(in, "filter", f.Filter, `--filter '{"type":"invoice.paid"}'`)
}

// EndpointFlags are what can be set on an endpoint, at its creation and later.
type EndpointFlags struct {
	Description *string `help:"For people."`
	UID         *string `help:"Your own id for it; every command takes it in place of the id."`
	MatchFlags
	ThrottleRate *int              `placeholder:"N" help:"At most N attempts per second; 0 takes the limit away."`
	Rate         *string           `placeholder:"RATE" help:"At most so many attempts: 10/s, 600/m, 3600/h; none takes the limit away."`
	Concurrency  *int              `placeholder:"N" help:"At most N attempts at once."`
	Timeout      *time.Duration    `placeholder:"DURATION" help:"For one whole attempt, at most 30s."`
	Retry        *string           `placeholder:"LIST" help:"Waits between attempts: 5s,5m,1h; none for a single attempt; default for three days."`
	RetryOn      *string           `name:"retry-on" placeholder:"LIST" help:"Retry these answers only: 429,500-599,!501 or >=500; default for every failure."`
	Delay        *time.Duration    `placeholder:"DURATION" help:"No attempt before a message is this old, at most 24h; 0s for none."`
	DedupeBy     []string          `name:"dedupe-by" placeholder:"PART" help:"Deliver only the first of messages of a type in which this is the same: a JSON pointer, body, header:NAME or query:NAME (repeatable)."`
	DedupeFor    *time.Duration    `name:"dedupe-for" placeholder:"DURATION" help:"How long a message keeps equal ones back; 0 delivers every one. Default: 72h; at most 720h."`
	Ordering     *string           `placeholder:"ORDER" help:"none, endpoint, or a JSON pointer such as /customer/id."`
	VerifyTLS    *bool             `name:"verify-tls" negatable:"" help:"Check its certificate (the default)."`
	Disabled     *bool             `negatable:"" help:"Take it out of matching."`
	Metadata     map[string]string `mapsep:"none" placeholder:"K=V" help:"Your own notes on it."`
}

// fields turns the flags into a request.
func (f EndpointFlags) fields() (map[string]any, error) {
	in := map[string]any{}
	patch(in, "description", f.Description, nil)
	patch(in, "uid", f.UID, ptr(""))
	if err := f.matching(in); err != nil {
		return nil, err
	}
	patch(in, "throttleRate", f.ThrottleRate, ptr(0))
	if err := f.rules(in); err != nil {
		return nil, err
	}
	patch(in, "concurrency", f.Concurrency, nil)
	if f.Timeout != nil {
		in["timeoutSeconds"] = f.Timeout.Seconds()
	}
	if f.Retry != nil {
		waits, err := parseWaits(*f.Retry)
		if err != nil {
			return nil, err
		}
		in["retrySchedule"] = waits
	}
	patch(in, "ordering", f.Ordering, nil)
	patch(in, "verifyTls", f.VerifyTLS, nil)
	patch(in, "disabled", f.Disabled, nil)
	setIf(in, "metadata", f.Metadata, f.Metadata != nil)
	return in, nil
}

// rules adds those that are not written as the API wants them.
func (f EndpointFlags) rules(in map[string]any) error {
	if f.Delay != nil {
		in["delaySeconds"] = f.Delay.Seconds()
	}
	setDedupe(in, f.DedupeBy, f.DedupeFor)
	if f.RetryOn != nil {
		in["retryOn"] = nil
		if *f.RetryOn != "default" {
			in["retryOn"] = strings.Split(strings.ReplaceAll(*f.RetryOn, " ", ""), ",")
		}
	}
	if f.ThrottleRate != nil && f.Rate == nil {
		in["throttleUnit"] = "second"
	}
	if f.Rate == nil {
		return nil
	}
	if f.ThrottleRate != nil {
		return usagef("--rate 10/s", "--rate and --throttle-rate say the same: give one of them")
	}
	if *f.Rate == "none" {
		in["throttleRate"], in["throttleUnit"] = nil, nil
		return nil
	}
	count, short, _ := strings.Cut(*f.Rate, "/")
	n, err := strconv.Atoi(count)
	unit, known := map[string]string{"s": "second", "m": "minute", "h": "hour"}[short]
	if err != nil || n < 1 || !known {
		return usagef("--rate 10/m", "--rate: %q is not a rate", *f.Rate)
	}
	in["throttleRate"], in["throttleUnit"] = n, unit
	return nil
}

// setDedupe adds what --dedupe-by and --dedupe-for say of an endpoint or a consumer.
func setDedupe(in map[string]any, by []string, window *time.Duration) {
	switch {
	case by == nil && window == nil:
	case window != nil && *window == 0:
		in["deduplicate"] = nil
	case window == nil:
		in["deduplicate"] = map[string]any{"by": by}
	default:
		in["deduplicate"] = map[string]any{"by": by, "windowHours": window.Hours()}
	}
}

// parseWaits reads a retry schedule: "5s,5m,1h", "none", or "default", which is null.
func parseWaits(list string) (any, error) {
	switch list {
	case "default":
		return nil, nil
	case "none":
		return []float64{}, nil
	}
	var out []float64
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		wait, err := time.ParseDuration(part)
		if seconds, numErr := strconv.ParseFloat(part, 64); numErr == nil {
			wait, err = time.Duration(seconds*float64(time.Second)), nil
		}
		if err != nil || wait < 0 {
			return nil, usagef("--retry 5s,5m,1h", "--retry: %q is not a wait", part)
		}
		out = append(out, wait.Seconds())
	}
	return out, nil
}

type endpointsCreate struct {
	InApp
	URL    string            `arg:"" help:"Where messages go."`
	Secret string            `placeholder:"WHSEC" help:"Signing secret; one is made when left out."`
	Header map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"Header to send with every attempt (repeatable)."`
	EndpointFlags
}

// Help is shown by hark endpoints create --help.
func (endpointsCreate) Help() string {
	return `Examples:

  hark endpoints create https://shop.example/hooks
  hark endpoints create https://shop.example/hooks -t payment.cleared --retry 1s,10s --ordering endpoint`
}

// Run creates an endpoint.
func (c *endpointsCreate) Run(ctx context.Context, sh *shell) error {
	api, err := c.open(ctx)
	if err != nil {
		return err
	}
	in, err := c.fields()
	if err != nil {
		return err
	}
	in["url"] = c.URL
	setIf(in, "secret", c.Secret, c.Secret != "")
	setIf(in, "headers", c.Header, c.Header != nil)
	return answer(ctx, sh, api, c.JSON, question{path: "/endpoint", method: http.MethodPost, in: in}, func(e endpointOut) {
		sh.drawEndpoint(e)
		sh.note("Its signing secret: hark endpoints secret %s", e.ID)
	})
}

func (sh *shell) drawEndpoint(e endpointOut) {
	state := e.state()
	if e.DisabledReason != "" {
		state += " (" + e.DisabledReason + ")"
	}
	verify := ""
	if e.VerifyTLS != nil && !*e.VerifyTLS {
		verify = "not verified"
	}
	sh.fields([][2]string{
		{"id", e.ID}, {"uid", text(e.UID)}, {"url", e.URL}, {"description", e.Description}, {"state", state},
		{"event types", join(e.EventTypes, "all")}, {"channels", join(e.Channels, "all")}, {"filter", jsonText(e.Filter)},
		{"retries", waits(e.RetrySchedule)}, {"retry on", join(e.RetryOn, "")}, {"delay", seconds(e.DelaySeconds)}, {"timeout", seconds(e.TimeoutSeconds)},
		{"throttle", rateText(e.ThrottleRate, e.ThrottleUnit)}, {"concurrency", positive(e.Concurrency)},
		{"ordering", e.Ordering}, {"deduplicate", e.Deduplicate.text()}, {"tls", verify}, {"metadata", pairs(e.Metadata)},
		{"created", clock(e.CreatedAt)}, {"updated", clock(e.UpdatedAt)},
	})
}

// waits writes a retry schedule for people.
func waits(schedule []float64) string {
	if schedule == nil {
		return ""
	}
	if len(schedule) == 0 {
		return "none"
	}
	parts := make([]string, len(schedule))
	for i, s := range schedule {
		parts[i] = seconds(s)
	}
	return strings.Join(parts, ", ")
}

// seconds writes a number of seconds as people say it: 90 → 1m30s, 18000 → 5h.
func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	text := time.Duration(s * float64(time.Second)).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// rateText writes a rate as --rate reads it: 10/m.
func rateText(p *int, unit string) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%d/%.1s", *p, unit)
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// OneEndpoint names the endpoint that a command is about.
type OneEndpoint struct {
	InApp
	ID string `arg:"" help:"Id or uid."`
}

type endpointsShow struct{ OneEndpoint }

// Help is shown by hark endpoints show --help.
func (endpointsShow) Help() string { return "Example:\n\n  hark endpoints show ep_… --app bakery" }

// Run shows an endpoint.
func (c *endpointsShow) Run(ctx context.Context, sh *shell) error {
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID)}, sh.drawEndpoint)
}

type endpointsUpdate struct {
	OneEndpoint
	URL *string `help:"Where messages go."`
	EndpointFlags
}

// Help is shown by hark endpoints update --help.
func (endpointsUpdate) Help() string {
	return "What is not named stays as it is.\n\nExample:\n\n  hark endpoints update ep_… --retry default --no-disabled"
}

// Run changes an endpoint.
func (c *endpointsUpdate) Run(ctx context.Context, sh *shell) error {
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
		return usagef("hark endpoints update --help", "nothing to change")
	}
	return answer(ctx, sh, api, c.JSON, question{about: anEndpoint(c.ID), method: http.MethodPatch, in: in}, sh.drawEndpoint)
}

type endpointsDelete struct{ OneEndpoint }

// Help is shown by hark endpoints delete --help.
func (endpointsDelete) Help() string {
	return "What is queued for it goes with it, without asking again; its history stays.\n\nExample:\n\n  hark endpoints delete ep_…"
}

// Run deletes an endpoint.
func (c *endpointsDelete) Run(ctx context.Context, sh *shell) error {
	return confirm(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), method: http.MethodDelete}, "deleted")
}

type endpointsPause struct{ OneEndpoint }

// Help is shown by hark endpoints pause --help.
func (endpointsPause) Help() string {
	return "Messages go on being accepted for it, and wait.\n\nExample:\n\n  hark endpoints pause ep_…"
}

// Run pauses an endpoint.
func (c *endpointsPause) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"paused": true}
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), method: http.MethodPatch, in: in}, func(e endpointOut) {
		sh.say("paused %s: its deliveries wait (try: hark endpoints resume %s)", e.ID, e.ID)
	})
}

type endpointsResume struct{ OneEndpoint }

// Help is shown by hark endpoints resume --help.
func (endpointsResume) Help() string {
	return "Example:\n\n  hark endpoints resume ep_…"
}

// Run resumes an endpoint.
func (c *endpointsResume) Run(ctx context.Context, sh *shell) error {
	in := map[string]any{"paused": false, "disabled": false}
	return answer(ctx, sh, c, c.JSON, question{about: anEndpoint(c.ID), method: http.MethodPatch, in: in}, func(e endpointOut) {
		sh.say("resumed %s", e.ID)
	})
}
