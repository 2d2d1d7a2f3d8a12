package api

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// This file has the shapes of /ingest/api/v1, which the clients made for Svix speak. A source is one of
// Hark's, its endpoints are those of the source's application.

// IngestSourceIn describes a source as Svix does.
type IngestSourceIn struct {
	Name     string             `json:"name" req:"1"`
	UID      manage.Opt[string] `json:"uid"`
	Metadata map[string]string  `json:"metadata"`
	Type     string             `json:"type" req:"1" doc:"generic-webhook, stripe, github, …"`
	Config   json.RawMessage    `json:"config" schema:"object" doc:"What the type needs: mostly {\"secret\": …}."`
}

// IngestSourceOut is a source as Svix shows it.
type IngestSourceOut struct {
	ID        hark.SourceID     `json:"id"`
	UID       *string           `json:"uid"`
	Name      string            `json:"name"`
	IngestURL *string           `json:"ingestUrl"`
	CreatedAt time.Time         `json:"createdAt"`
	UpdatedAt time.Time         `json:"updatedAt"`
	Metadata  map[string]string `json:"metadata"`
	Type      string            `json:"type"`
	Config    IngestConfigOut   `json:"config" doc:"What of it is no secret."`
}

// IngestConfigOut is what of a type's config may be shown.
type IngestConfigOut struct {
	PublicKey   *string `json:"publicKey,omitempty" doc:"telnyx and orum-io."`
	Schedule    *string `json:"schedule,omitempty" doc:"cron: minute, hour, day of month, month, day of week, in UTC."`
	Payload     *string `json:"payload,omitempty" doc:"cron: a JSON object."`
	ContentType *string `json:"contentType,omitempty" doc:"cron."`
}

// ingestConfig is all that a type's config may hold.
type ingestConfig struct {
	Secret                *string `json:"secret"`
	PublicKey             *string `json:"publicKey"`
	ClientID              *string `json:"clientId"`
	VerifyToken           *string `json:"verifyToken"`
	TimestampGraceSeconds *int    `json:"timestampGraceSeconds"`
	Schedule              *string `json:"schedule"`
	Payload               *string `json:"payload"`
	ContentType           *string `json:"contentType"`
}

// cronContentType is that of what a source sends on a schedule: messages are JSON.
const cronContentType = "application/json"

// cron reads what a source sends on a schedule.
func (config *ingestConfig) cron() (*manage.CronIn, error) {
	switch {
	case config.Schedule == nil:
		return nil, hark.InvalidField("field required", "body", "config", "schedule")
	case config.Payload == nil:
		return nil, hark.InvalidField("field required", "body", "config", "payload")
	case config.ContentType != nil && *config.ContentType != cronContentType:
		return nil, hark.InvalidField("must be "+cronContentType+": what is sent on a schedule is a JSON object", "body", "config", "contentType")
	}
	return &manage.CronIn{Schedule: *config.Schedule, Payload: *config.Payload}, nil
}

// publicKeyTypes verify with a key that is no secret.
var publicKeyTypes = []string{"telnyx", "orum-io"}

// genericType is what Svix calls a source that verifies nothing.
const genericType = "generic-webhook"

// ingestTypes are the types of Svix that Hark knows under another name.
var ingestTypes = map[string]string{
	genericType: "", manage.KindCron: "", "panda-doc": "pandadoc", "port-io": "port", "orum-io": "orum", "open-ai": "openai", "stych": "stytch",
	"beehiiv": "svix", "guesty": "svix", "nash": "svix", "pleo": "svix", "psi-fi": "svix", "safebase": "svix", "sardine": "svix",
}

// unknownTypes are those of Svix whose makers document no signature that Hark could check.
var unknownTypes = []string{"vgs"}

// openTypes may do without a secret.
var openTypes = []string{genericType, manage.KindCron, "docusign", "easypost", "github", "hubspot", "segment"}

func (in *IngestSourceIn) domain() (manage.SourceIn, error) {
	provider, renamed := ingestTypes[in.Type]
	if !renamed {
		provider = in.Type
	}
	out := manage.SourceIn{SourcePatch: manage.SourcePatch{
		Name: manage.Some(in.Name), UID: in.UID, Metadata: manage.Some(in.Metadata), Provider: manage.Some(provider), Kind: manage.Some(in.Type),
	}}
	if slices.Contains(unknownTypes, in.Type) {
		return out, hark.InvalidField("how "+in.Type+" signs is not documented, so it cannot be verified by name: if you know it, create the source at "+
			"/api/v1/source with a scheme of your own (hark sources create --scheme), else as generic-webhook, which its URL alone protects", "body", "type")
	}
	var config ingestConfig
	if len(in.Config) > 0 {
		if err := json.Unmarshal(in.Config, &config); err != nil {
			return out, hark.InvalidField("is not what the type needs", "body", "config")
		}
	}
	for _, secret := range []*string{config.Secret, config.PublicKey} {
		if secret != nil {
			out.Secrets = append(out.Secrets, *secret)
		}
	}
	params := map[string]string{}
	if config.ClientID != nil && in.Type == "adobe-sign" {
		out.Secrets = append(out.Secrets, *config.ClientID) // it is all that it shows
	} else if config.ClientID != nil {
		params["client_id"] = *config.ClientID
	}
	if config.VerifyToken != nil {
		params["verify_token"] = *config.VerifyToken
	}
	if len(params) > 0 {
		out.Params = manage.Some(params)
	}
	if in.Type == "tailscale" {
		out.Tolerance = manage.Some(-1) // the age is unchecked when it says nothing
	}
	if config.TimestampGraceSeconds != nil {
		out.Tolerance = manage.Some(*config.TimestampGraceSeconds)
	}
	if in.Type == manage.KindCron {
		cron, err := config.cron()
		if err != nil {
			return out, err
		}
		out.Cron, out.Secrets = cron, nil
	}
	out.Unverified = manage.Some(len(out.Secrets) == 0 && slices.Contains(openTypes, in.Type))
	return out, nil
}

func ingestSourceOut(s *manage.SourceOut) IngestSourceOut {
	kind := s.Kind
	if kind == "" {
		kind = s.Provider
	}
	if kind == "" {
		kind = genericType
	}
	out := IngestSourceOut{
		ID: s.ID, UID: orNull(s.UID), Name: s.Name, IngestURL: orNull(s.IngestURL), CreatedAt: wireTime(s.CreatedAt), UpdatedAt: wireTime(s.UpdatedAt),
		Metadata: orEmpty(s.Metadata), Type: kind,
	}
	if s.Cron != nil {
		out.Config = IngestConfigOut{Schedule: &s.Cron.Schedule, Payload: &s.Cron.Payload, ContentType: orNull(cronContentType)}
	}
	if slices.Contains(publicKeyTypes, kind) && len(s.Secrets) > 0 {
		out.Config.PublicKey = orNull(s.Secrets[0].Key.Reveal())
	}
	return out
}

func listIngestSources(c *call, _ none) (ListResponse[IngestSourceOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[IngestSourceOut]{}, q.err
	}
	page, err := c.api.Manage.ListSources(c.r.Context(), c.caller, "", "", in)
	return listOf(page, ingestSourceOut), err
}

func createIngestSource(c *call, in IngestSourceIn) (IngestSourceOut, error) {
	ask, err := in.domain()
	if err != nil {
		return IngestSourceOut{}, err
	}
	s, err := c.api.Manage.CreateSource(c.r.Context(), c.caller, ask)
	return ingestSourceOut(&s), err
}

func getIngestSource(c *call, _ none) (IngestSourceOut, error) {
	s, err := c.api.Manage.Source(c.r.Context(), c.caller, c.path("source_id"))
	return ingestSourceOut(&s), err
}

func putIngestSource(c *call, in IngestSourceIn) (IngestSourceOut, error) {
	ask, err := in.domain()
	if err != nil {
		return IngestSourceOut{}, err
	}
	s, created, err := c.api.Manage.UpsertSource(c.r.Context(), c.caller, c.path("source_id"), ask)
	c.created(created)
	return ingestSourceOut(&s), err
}

// IngestURLOut is a source's URL.
type IngestURLOut struct {
	IngestURL string `json:"ingestUrl"`
}

func rotateIngestToken(c *call, _ none) (IngestURLOut, error) {
	s, err := c.api.Manage.RotateSourceToken(c.r.Context(), c.caller, c.path("source_id"))
	return IngestURLOut{s.IngestURL}, err
}

// sourceApp is the application of the source in the path.
func (c *call) sourceApp() (string, error) {
	s, err := c.api.Manage.Source(c.r.Context(), c.caller, c.path("source_id"))
	return string(s.ApplicationID), err
}

// IngestDashboardIn asks for a token of the source's application.
type IngestDashboardIn struct {
	Expiry   manage.Opt[int]  `json:"expiry" doc:"Seconds."`
	ReadOnly manage.Opt[bool] `json:"readOnly"`
}

func ingestDashboard(c *call, in IngestDashboardIn) (AppPortalAccessOut, error) {
	app, err := c.sourceApp()
	if err != nil {
		return AppPortalAccessOut{}, err
	}
	p, err := c.api.Manage.PortalAccess(c.r.Context(), c.caller, app, manage.PortalIn{Expiry: in.Expiry, ReadOnly: in.ReadOnly})
	return AppPortalAccessOut(p), err
}

// IngestEndpointIn describes an endpoint of a source.
type IngestEndpointIn struct {
	URL          string                        `json:"url" req:"1"`
	Description  string                        `json:"description"`
	UID          manage.Opt[string]            `json:"uid"`
	ThrottleRate manage.Opt[int]               `json:"throttleRate"`
	RateLimit    manage.Opt[int]               `json:"rateLimit" doc:"The old name of throttleRate."`
	Disabled     bool                          `json:"disabled"`
	Metadata     map[string]string             `json:"metadata"`
	Secret       manage.Opt[string]            `json:"secret"`
	Headers      manage.Opt[map[string]string] `json:"headers"`
}

func (in *IngestEndpointIn) domain() manage.EndpointIn {
	return manage.EndpointIn{URL: in.URL, Description: in.Description, UID: in.UID, ThrottleRate: either(in.ThrottleRate, in.RateLimit),
		Disabled: in.Disabled, Metadata: in.Metadata, Secret: in.Secret, Headers: in.Headers}
}

// IngestEndpointOut is an endpoint of a source.
type IngestEndpointOut struct {
	ID           hark.EndpointID   `json:"id"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	ThrottleRate *int              `json:"throttleRate"`
	RateLimit    *int              `json:"rateLimit" doc:"The old name of throttleRate."`
	UID          *string           `json:"uid"`
	Disabled     bool              `json:"disabled"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
	Metadata     map[string]string `json:"metadata"`
}

func ingestEndpointOut(ep *hark.Endpoint) IngestEndpointOut {
	return IngestEndpointOut{
		ID: ep.ID, URL: ep.URL, Description: ep.Description, ThrottleRate: orNull(ep.ThrottleRate), RateLimit: orNull(ep.ThrottleRate), UID: orNull(ep.UID),
		Disabled: ep.Disabled, CreatedAt: wireTime(ep.CreatedAt), UpdatedAt: wireTime(ep.UpdatedAt), Metadata: orEmpty(ep.Metadata),
	}
}

func listIngestEndpoints(c *call, _ none) (ListResponse[IngestEndpointOut], error) {
	q := c.query()
	in := q.page()
	if q.err != nil {
		return ListResponse[IngestEndpointOut]{}, q.err
	}
	app, err := c.sourceApp()
	if err != nil {
		return ListResponse[IngestEndpointOut]{}, err
	}
	page, err := c.api.Manage.ListEndpoints(c.r.Context(), c.caller, app, in)
	return listOf(page, ingestEndpointOut), err
}

// ofSource makes an operation on an endpoint one of a source's: it is given the source's application.
func ofSource[In, Out any](f func(c *call, app string, in In) (Out, error)) func(*call, In) (Out, error) {
	return func(c *call, in In) (out Out, err error) {
		app, err := c.sourceApp()
		if err != nil {
			return out, err
		}
		return f(c, app, in)
	}
}

func createIngestEndpoint(c *call, app string, in IngestEndpointIn) (IngestEndpointOut, error) {
	ep, err := c.api.Manage.CreateEndpoint(c.r.Context(), c.caller, app, in.domain())
	return ingestEndpointOut(&ep), err
}

func getIngestEndpoint(c *call, app string, _ none) (IngestEndpointOut, error) {
	ep, err := c.api.Manage.Endpoint(c.r.Context(), c.caller, app, c.path("endpoint_id"))
	return ingestEndpointOut(&ep), err
}

func putIngestEndpoint(c *call, app string, in IngestEndpointIn) (IngestEndpointOut, error) {
	ep, _, err := c.api.Manage.UpsertEndpoint(c.r.Context(), c.caller, app, c.path("endpoint_id"), in.domain())
	return ingestEndpointOut(&ep), err
}

func deleteIngestEndpoint(c *call, app string, _ none) (none, error) {
	return none{}, c.api.Manage.DeleteEndpoint(c.r.Context(), c.caller, app, c.path("endpoint_id"))
}

func getIngestSecret(c *call, app string, _ none) (EndpointSecretOut, error) {
	key, err := c.api.Manage.EndpointSecret(c.r.Context(), c.caller, app, c.path("endpoint_id"))
	return EndpointSecretOut{key}, err
}

func rotateIngestSecret(c *call, app string, in EndpointSecretRotateIn) (none, error) {
	return none{}, c.api.Manage.RotateEndpointSecret(c.r.Context(), c.caller, app, c.path("endpoint_id"), manage.RotateIn(in))
}

func getIngestHeaders(c *call, app string, _ none) (EndpointHeadersOut, error) {
	h, err := c.api.Manage.EndpointHeaders(c.r.Context(), c.caller, app, c.path("endpoint_id"))
	if h.Sensitive == nil {
		h.Sensitive = []string{}
	}
	return EndpointHeadersOut{Headers: orEmpty(h.Headers), Sensitive: h.Sensitive}, err
}

func putIngestHeaders(c *call, app string, in EndpointHeadersIn) (none, error) {
	if in.Headers == nil {
		return none{}, hark.InvalidField("field required", "body", "headers")
	}
	return none{}, c.api.Manage.SetEndpointHeaders(c.r.Context(), c.caller, app, c.path("endpoint_id"), in.Headers)
}
