package api

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// EndpointSettings are Hark's own fields of an endpoint. What is left out keeps its value, in a
// PUT too; null goes back to the default.
type EndpointSettings struct {
	RetrySchedule  manage.Opt[[]float64]       `json:"retrySchedule" doc:"Seconds to wait after each failed attempt; an empty list means one attempt. By default ten attempts in three days."`
	TimeoutSeconds manage.Opt[float64]         `json:"timeoutSeconds" doc:"For one whole attempt, body included; at most 30."`
	Concurrency    manage.Opt[int]             `json:"concurrency" doc:"Most attempts in flight at once."`
	Ordering       manage.Opt[string]          `json:"ordering" doc:"none, endpoint, or a JSON pointer into the payload whose value names the line that keeps its order."`
	VerifyTLS      manage.Opt[bool]            `json:"verifyTls" doc:"false accepts any certificate."`
	Filter         manage.Opt[json.RawMessage] `json:"filter" schema:"object" doc:"Only messages whose payload matches are sent."`
	Paused         manage.Opt[bool]            `json:"paused" doc:"Deliveries are made, and held until it is resumed."`
	DelaySeconds   manage.Opt[float64]         `json:"delaySeconds" doc:"No attempt before a message has been accepted for this long; at most 86400."`
	RetryOn        manage.Opt[[]string]        `json:"retryOn" doc:"Only these answers are retried: 429, 500-599, >=500, or !501 for all but that. By default every failure; no answer at all is always retried."`
	ThrottleUnit   manage.Opt[string]          `json:"throttleUnit" doc:"What throttleRate counts in: second, minute or hour."`
	Deduplicate    manage.Opt[DedupeIn]        `json:"deduplicate" doc:"Of messages of one event type that are equal by this rule, only the first is delivered. By default every message is."`
}

// DedupeIn says which messages of one event type are equal to an endpoint.
type DedupeIn struct {
	By          []string            `json:"by" null:"1" doc:"What tells them apart: header:NAME or query:NAME of the request that brought them, a JSON pointer, or body, which null stands for."`
	WindowHours manage.Opt[float64] `json:"windowHours" doc:"How long a message keeps equal ones back: 72 by default, at most 720."`
}

// dedupe makes it what operations take.
func dedupe(in manage.Opt[DedupeIn]) manage.Opt[manage.DedupeIn] {
	return manage.Opt[manage.DedupeIn]{Set: in.Set, Null: in.Null, Value: manage.DedupeIn(in.Value)}
}

func (s *EndpointSettings) domain() manage.EndpointSettings {
	return manage.EndpointSettings{
		RetrySchedule: s.RetrySchedule, TimeoutSeconds: s.TimeoutSeconds, Concurrency: s.Concurrency, Ordering: s.Ordering, VerifyTLS: s.VerifyTLS,
		Filter: s.Filter, Paused: s.Paused, DelaySeconds: s.DelaySeconds, RetryOn: s.RetryOn, ThrottleUnit: s.ThrottleUnit, Deduplicate: dedupe(s.Deduplicate),
	}
}

// EndpointUpdate describes an endpoint to replace.
type EndpointUpdate struct {
	URL          string             `json:"url" req:"1" doc:"http or https."`
	Description  string             `json:"description"`
	UID          manage.Opt[string] `json:"uid" doc:"Your own id for it, unique in the application; it works wherever the id does."`
	ThrottleRate manage.Opt[int]    `json:"throttleRate" doc:"Most attempts per second, or per throttleUnit."`
	RateLimit    manage.Opt[int]    `json:"rateLimit" doc:"The old name of throttleRate."`
	Version      manage.Opt[int]    `json:"version" doc:"Kept for old clients; it means nothing."`
	Disabled     bool               `json:"disabled" doc:"Gets nothing while it is true."`
	EventTypes   []string           `json:"eventTypes" null:"1" doc:"Only these; left out or null means all."`
	FilterTypes  []string           `json:"filterTypes" null:"1" doc:"The old name of eventTypes."`
	Channels     []string           `json:"channels" null:"1" doc:"Only messages in one of these channels."`
	Metadata     map[string]string  `json:"metadata" doc:"Yours to keep; at most 4096 bytes."`
	EndpointSettings
}

// EndpointIn describes an endpoint to create.
type EndpointIn struct {
	EndpointUpdate
	Secret  manage.Opt[string]            `json:"secret" doc:"whsec_ and 24 to 75 bytes of base64, or whsk_ for ed25519; one is made when it is left out."`
	Headers manage.Opt[map[string]string] `json:"headers" doc:"Sent with every attempt."`
}

func (in *EndpointUpdate) domain() manage.EndpointIn {
	out := manage.EndpointIn{
		URL: in.URL, Description: in.Description, UID: in.UID, ThrottleRate: either(in.ThrottleRate, in.RateLimit),
		Version: in.Version, Disabled: in.Disabled, EventTypes: in.EventTypes, Channels: in.Channels, Metadata: in.Metadata,
		EndpointSettings: in.EndpointSettings.domain(),
	}
	if out.EventTypes == nil {
		out.EventTypes = in.FilterTypes
	}
	return out
}

// EndpointPatch changes the fields that are given.
type EndpointPatch struct {
	URL          manage.Opt[string]            `json:"url"`
	Description  manage.Opt[string]            `json:"description"`
	UID          manage.Opt[string]            `json:"uid"`
	ThrottleRate manage.Opt[int]               `json:"throttleRate"`
	RateLimit    manage.Opt[int]               `json:"rateLimit" doc:"The old name of throttleRate."`
	Version      manage.Opt[int]               `json:"version"`
	Disabled     manage.Opt[bool]              `json:"disabled"`
	EventTypes   manage.Opt[[]string]          `json:"eventTypes"`
	FilterTypes  manage.Opt[[]string]          `json:"filterTypes" doc:"The old name of eventTypes."`
	Channels     manage.Opt[[]string]          `json:"channels"`
	Secret       manage.Opt[string]            `json:"secret"`
	Metadata     manage.Opt[map[string]string] `json:"metadata" doc:"Replaces all of it."`
	EndpointSettings
}

func (in *EndpointPatch) domain() manage.EndpointPatch {
	return manage.EndpointPatch{
		URL: in.URL, Description: in.Description, UID: in.UID, ThrottleRate: either(in.ThrottleRate, in.RateLimit),
		Version: in.Version, Disabled: in.Disabled, EventTypes: either(in.EventTypes, in.FilterTypes), Channels: in.Channels,
		Secret: in.Secret, Metadata: in.Metadata, EndpointSettings: in.EndpointSettings.domain(),
	}
}

// EndpointOut is an endpoint.
type EndpointOut struct {
	ID             hark.EndpointID   `json:"id"`
	UID            *string           `json:"uid"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	Version        int               `json:"version"`
	Disabled       bool              `json:"disabled"`
	DisabledReason *string           `json:"disabledReason" doc:"Why Hark disabled it: gone or failing; null when a person did."`
	EventTypes     []string          `json:"eventTypes" null:"1"`
	FilterTypes    []string          `json:"filterTypes" null:"1" doc:"The old name of eventTypes."`
	Channels       []string          `json:"channels" null:"1"`
	ThrottleRate   *int              `json:"throttleRate"`
	RateLimit      *int              `json:"rateLimit" doc:"The old name of throttleRate."`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`

	RetrySchedule  []float64       `json:"retrySchedule" doc:"Seconds to wait after each failed attempt."`
	TimeoutSeconds float64         `json:"timeoutSeconds"`
	Concurrency    int             `json:"concurrency"`
	Ordering       string          `json:"ordering"`
	VerifyTLS      bool            `json:"verifyTls"`
	Filter         json.RawMessage `json:"filter" schema:"object" null:"1"`
	Paused         bool            `json:"paused"`
	DelaySeconds   float64         `json:"delaySeconds"`
	RetryOn        []string        `json:"retryOn" null:"1"`
	ThrottleUnit   string          `json:"throttleUnit"`
	Deduplicate    *DedupeOut      `json:"deduplicate" doc:"null: every message is delivered."`
}

// DedupeOut says which messages of one event type are equal to an endpoint.
type DedupeOut struct {
	By          []string `json:"by"`
	WindowHours float64  `json:"windowHours"`
}

func dedupeOut(r *hark.Rules) *DedupeOut {
	if r.DedupeBy == nil {
		return nil
	}
	return &DedupeOut{By: r.DedupeBy, WindowHours: r.DedupeWindow().Hours()}
}

func endpointOut(ep *hark.Endpoint) EndpointOut {
	out := EndpointOut{
		ID: ep.ID, UID: orNull(ep.UID), URL: ep.URL, Description: ep.Description, Version: ep.Version,
		Disabled: ep.Disabled, DisabledReason: orNull(ep.DisabledReason),
		EventTypes: ep.EventTypes, FilterTypes: ep.EventTypes, Channels: ep.Channels,
		ThrottleRate: orNull(ep.ThrottleRate), RateLimit: orNull(ep.ThrottleRate),
		Metadata: orEmpty(ep.Metadata), CreatedAt: wireTime(ep.CreatedAt), UpdatedAt: wireTime(ep.UpdatedAt),
		TimeoutSeconds: hark.DefaultTimeout.Seconds(), Concurrency: hark.DefaultConcurrency,
		Ordering: "none", VerifyTLS: !ep.SkipTLSVerify, Filter: ep.Filter, Paused: ep.Paused,
		DelaySeconds: ep.Rules.Delay.Seconds(), RetryOn: ep.Rules.RetryOn, ThrottleUnit: "second", Deduplicate: dedupeOut(&ep.Rules),
	}
	schedule := ep.RetrySchedule
	if schedule == nil {
		schedule = hark.StandardSchedule
	}
	out.RetrySchedule = make([]float64, len(schedule))
	for i, wait := range schedule {
		out.RetrySchedule[i] = wait.Seconds()
	}
	if ep.Timeout != 0 {
		out.TimeoutSeconds = ep.Timeout.Seconds()
	}
	if ep.Concurrency != 0 {
		out.Concurrency = ep.Concurrency
	}
	if ep.Ordering != hark.Unordered {
		out.Ordering = string(ep.Ordering)
	}
	if ep.Rules.ThrottleUnit != hark.PerSecond {
		out.ThrottleUnit = string(ep.Rules.ThrottleUnit)
	}
	if len(ep.Filter) == 0 {
		out.Filter = nil
	}
	return out
}

func listEndpoints(c *call, _ none) (ListResponse[EndpointOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[EndpointOut]{}, q.err
	}
	page, err := c.api.Manage.ListEndpoints(c.r.Context(), c.caller, c.path("app_id"), in)
	return listOf(page, endpointOut), err
}

func createEndpoint(c *call, in EndpointIn) (EndpointOut, error) {
	ask := in.domain()
	ask.Secret, ask.Headers = in.Secret, in.Headers
	ep, err := c.api.Manage.CreateEndpoint(c.r.Context(), c.caller, c.path("app_id"), ask)
	return endpointOut(&ep), err
}

func getEndpoint(c *call, _ none) (EndpointOut, error) {
	ep, err := c.api.Manage.Endpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	return endpointOut(&ep), err
}

func putEndpoint(c *call, in EndpointUpdate) (EndpointOut, error) {
	ep, created, err := c.api.Manage.UpsertEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in.domain())
	c.created(created)
	return endpointOut(&ep), err
}

func patchEndpoint(c *call, in EndpointPatch) (EndpointOut, error) {
	ep, err := c.api.Manage.PatchEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in.domain())
	return endpointOut(&ep), err
}

func deleteEndpoint(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.DeleteEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
}

func pauseEndpoint(c *call, _ none) (EndpointOut, error) {
	ep, err := c.api.Manage.PauseEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	return endpointOut(&ep), err
}

func resumeEndpoint(c *call, _ none) (EndpointOut, error) {
	ep, err := c.api.Manage.ResumeEndpoint(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	return endpointOut(&ep), err
}

// EndpointHeadersOut are the headers that an endpoint gets with every attempt.
type EndpointHeadersOut struct {
	Headers   map[string]string `json:"headers"`
	Sensitive []string          `json:"sensitive" doc:"Names of headers whose values are not shown."`
}

// EndpointHeadersIn replaces them.
type EndpointHeadersIn struct {
	Headers map[string]string `json:"headers" req:"1"`
}

// EndpointHeadersPatchIn changes some of them.
type EndpointHeadersPatchIn struct {
	Headers       map[string]*string `json:"headers" doc:"null deletes a header."`
	DeleteHeaders []string           `json:"deleteHeaders" doc:"Names of headers to delete, for clients that cannot send null."`
}

func getEndpointHeaders(c *call, _ none) (EndpointHeadersOut, error) {
	h, err := c.api.Manage.EndpointHeaders(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	if h.Sensitive == nil {
		h.Sensitive = []string{}
	}
	return EndpointHeadersOut{Headers: orEmpty(h.Headers), Sensitive: h.Sensitive}, err
}

func putEndpointHeaders(c *call, in EndpointHeadersIn) (none, error) {
	if in.Headers == nil {
		return none{}, hark.InvalidField("field required", "body", "headers")
	}
	return none{}, c.api.Manage.SetEndpointHeaders(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), in.Headers)
}

func patchEndpointHeaders(c *call, in EndpointHeadersPatchIn) (none, error) {
	return none{}, c.api.Manage.PatchEndpointHeaders(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"),
		manage.HeadersPatch{Headers: in.Headers, Delete: in.DeleteHeaders})
}

// EndpointSecretOut is what a receiver verifies with.
type EndpointSecretOut struct {
	Key string `json:"key" doc:"whsec_…, or whpk_… (the public key) for ed25519."`
}

// EndpointSecretRotateIn asks for a new secret.
type EndpointSecretRotateIn struct {
	Key                manage.Opt[string] `json:"key" doc:"One is made when it is left out."`
	GracePeriodSeconds manage.Opt[int]    `json:"gracePeriodSeconds" doc:"How long the old secret signs as well; 86400 by default, at most 604800."`
}

func getEndpointSecret(c *call, _ none) (EndpointSecretOut, error) {
	key, err := c.api.Manage.EndpointSecret(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"))
	return EndpointSecretOut{key}, err
}

func rotateEndpointSecret(c *call, in EndpointSecretRotateIn) (none, error) {
	return none{}, c.api.Manage.RotateEndpointSecret(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.RotateIn(in))
}

// EndpointStats counts an endpoint's attempts.
type EndpointStats struct {
	Success  int64 `json:"success"`
	Pending  int64 `json:"pending"`
	Sending  int64 `json:"sending"`
	Fail     int64 `json:"fail"`
	Canceled int64 `json:"canceled"`
}

func getEndpointStats(c *call, _ none) (EndpointStats, error) {
	q := c.query()
	since, until := q.moment("since"), q.moment("until")
	if q.err != nil {
		return EndpointStats{}, q.err
	}
	s, err := c.api.Manage.EndpointStats(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), since, until)
	return EndpointStats{Success: s.Succeeded, Pending: s.Pending, Sending: s.Sending, Fail: s.Failed, Canceled: s.Canceled}, err
}

// EventExampleIn asks for an example message.
type EventExampleIn struct {
	EventType    string `json:"eventType" req:"1" doc:"One with an example in its schema, or svix.ping."`
	ExampleIndex int    `json:"exampleIndex" doc:"Which of the schema's examples."`
}

func sendExample(c *call, in EventExampleIn) (MessageOut, error) {
	m, err := c.api.Manage.SendExample(c.r.Context(), c.caller, c.path("app_id"), c.path("endpoint_id"), manage.ExampleIn(in))
	return messageOut(&m, false), err
}
