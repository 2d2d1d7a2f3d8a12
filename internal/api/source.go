package api

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/manage"
)

// SourceSettings are what can be set on a source at any time. What is left out keeps its value; null
// goes back to the default.
type SourceSettings struct {
	Name             manage.Opt[string]            `json:"name" doc:"For people; the provider's name when it is left out."`
	UID              manage.Opt[string]            `json:"uid" doc:"Your own id for it, unique in the environment; it works wherever the id does."`
	Description      manage.Opt[string]            `json:"description"`
	Metadata         manage.Opt[map[string]string] `json:"metadata" doc:"Yours to keep; at most 4096 bytes."`
	Provider         manage.Opt[string]            `json:"provider" doc:"Whose webhooks these are, such as stripe: GET /api/v1/provider lists all."`
	Scheme           manage.Opt[json.RawMessage]   `json:"scheme" schema:"object" doc:"Instead of a provider, how requests are signed: {\"algorithm\":\"hmac-sha256\",\"signed\":\"{body}\",\"header\":\"X-Signature\"}."`
	Params           manage.Opt[map[string]string] `json:"params" doc:"The provider's other settings, such as PayPal's webhook_id."`
	Unverified       manage.Opt[bool]              `json:"unverified" doc:"Take requests although there is no secret to verify them with: the URL alone keeps strangers out."`
	ToleranceSeconds manage.Opt[int]               `json:"toleranceSeconds" doc:"How far a signed timestamp may be from now; -1 is any."`
	SignedURL        manage.Opt[string]            `json:"signedUrl" doc:"What the provider calls, where it signs the URL and a proxy changes it."`
	Confirm          manage.Opt[bool]              `json:"confirm" doc:"Confirm subscriptions (Amazon SNS), and take the secret that is handed over in a handshake (Asana, Notion)."`
	Methods          manage.Opt[[]string]          `json:"methods" doc:"POST, PUT, PATCH and DELETE by default."`
	AllowIPs         manage.Opt[[]string]          `json:"allowIps" doc:"Only from these addresses and networks."`
	MaxBytes         manage.Opt[int]               `json:"maxBytes" doc:"The largest body: 5242880 by default, at most 26214400."`
	RateLimit        manage.Opt[int]               `json:"rateLimit" doc:"Requests per second; more are answered 429."`
	DailyQuota       manage.Opt[int]               `json:"dailyQuota" doc:"Requests per day (UTC); more are answered 429."`
	Deduplicate      manage.Opt[DeduplicateIn]     `json:"deduplicate" doc:"By the provider's event id for 72 hours, when it is left out."`
	EventType        manage.Opt[string]            `json:"eventType" doc:"The messages' event type: a name, header:NAME, or a JSON pointer; the provider's by default."`
	ForwardCookies   manage.Opt[bool]              `json:"forwardCredentials" doc:"Pass Authorization and Cookie headers on, too."`
	Answer           manage.Opt[AnswerIn]          `json:"answer" doc:"What to answer to what is accepted, instead of what the provider expects."`
	Disabled         manage.Opt[bool]              `json:"disabled" doc:"Keep requests, and make no messages of them."`
}

// DeduplicateIn says which requests are the same one sent again.
type DeduplicateIn struct {
	Off         bool                `json:"off" doc:"Every request becomes a message."`
	By          []string            `json:"by" null:"1" doc:"header:NAME, query:NAME, a JSON pointer, or body."`
	WindowHours manage.Opt[float64] `json:"windowHours" doc:"At most 720."`
}

// AnswerIn is an answer.
type AnswerIn struct {
	Status  int               `json:"status" doc:"200 to 299; of a source that is unverified also 400 to 599, to try with what a sender does then."`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func (s *SourceSettings) domain() manage.SourcePatch {
	out := manage.SourcePatch{
		Name: s.Name, UID: s.UID, Description: s.Description, Metadata: s.Metadata, Provider: s.Provider, Scheme: s.Scheme, Params: s.Params,
		Unverified: s.Unverified, Tolerance: s.ToleranceSeconds, URL: s.SignedURL, Confirm: s.Confirm, Methods: s.Methods, AllowIPs: s.AllowIPs,
		MaxBytes: s.MaxBytes, RateLimit: s.RateLimit, DailyQuota: s.DailyQuota, EventType: s.EventType, Credentials: s.ForwardCookies, Disabled: s.Disabled,
	}
	d := s.Deduplicate
	out.Deduplicate = manage.Opt[manage.DeduplicateIn]{Set: d.Set, Null: d.Null, Value: manage.DeduplicateIn(d.Value)}
	a := s.Answer
	out.Answer = manage.Opt[hark.SourceAnswer]{Set: a.Set, Null: a.Null, Value: hark.SourceAnswer(a.Value)}
	return out
}

// SourceIn describes a source to create.
type SourceIn struct {
	SourceSettings
	Secret        manage.Opt[string] `json:"secret" doc:"What the provider signs with."`
	Secrets       []string           `json:"secrets" null:"1" doc:"Several, the newest first."`
	ApplicationID manage.Opt[string] `json:"applicationId" doc:"Whose messages its requests become, by id or uid; left out, the source gets an application of its own."`
}

// SourceOut is a source.
type SourceOut struct {
	ID                 hark.SourceID      `json:"id"`
	UID                *string            `json:"uid"`
	ApplicationID      hark.ApplicationID `json:"applicationId"`
	Name               string             `json:"name"`
	URL                *string            `json:"url" doc:"Where the provider sends to; null for keys that may not change the source. It is a secret."`
	Description        string             `json:"description"`
	Metadata           map[string]string  `json:"metadata"`
	Provider           *string            `json:"provider"`
	Scheme             json.RawMessage    `json:"scheme" schema:"object" null:"1"`
	Secrets            []SourceSecretOut  `json:"secrets" doc:"Without their text, the newest first."`
	Unverified         bool               `json:"unverified"`
	ToleranceSeconds   *int               `json:"toleranceSeconds"`
	SignedURL          *string            `json:"signedUrl"`
	Confirm            bool               `json:"confirm"`
	Methods            []string           `json:"methods" null:"1"`
	AllowIPs           []string           `json:"allowIps" null:"1"`
	MaxBytes           int                `json:"maxBytes"`
	RateLimit          *int               `json:"rateLimit"`
	DailyQuota         *int               `json:"dailyQuota"`
	Deduplicate        DeduplicateOut     `json:"deduplicate"`
	EventType          *string            `json:"eventType"`
	ForwardCredentials bool               `json:"forwardCredentials"`
	Answer             *AnswerIn          `json:"answer"`
	Disabled           bool               `json:"disabled"`
	Status             string             `json:"status" enum:"enabled,failing,disabled"`
	FailingSince       *time.Time         `json:"failingSince" doc:"Since when nothing could be verified: most likely the secret was changed at the provider."`
	FailingCause       *string            `json:"failingCause"`
	CreatedAt          time.Time          `json:"createdAt"`
	UpdatedAt          time.Time          `json:"updatedAt"`
}

// SourceSecretOut is a secret of a source, without its text.
type SourceSecretOut struct {
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt" doc:"null: it is good until it is rotated."`
}

// DeduplicateOut says which requests are the same one sent again.
type DeduplicateOut struct {
	Off         bool     `json:"off"`
	By          []string `json:"by" null:"1" doc:"null: the provider's event id."`
	WindowHours float64  `json:"windowHours"`
}

func sourceOut(s *manage.SourceOut) SourceOut {
	out := SourceOut{
		ID: s.ID, UID: orNull(s.UID), ApplicationID: s.ApplicationID, Name: s.Name, URL: orNull(s.IngestURL), Description: s.Description,
		Metadata: orEmpty(s.Metadata), Provider: orNull(s.Provider), Scheme: s.Scheme, Secrets: make([]SourceSecretOut, len(s.Secrets)),
		Unverified: s.Unverified, ToleranceSeconds: orNull(int(s.Tolerance / time.Second)), SignedURL: orNull(s.SourceSettings.URL), Confirm: s.Confirm,
		Methods: s.Methods, AllowIPs: s.AllowIPs, MaxBytes: s.MaxBytes, RateLimit: orNull(s.RateLimit), DailyQuota: orNull(s.DailyQuota),
		Deduplicate: DeduplicateOut{Off: s.Deduplicate.Off, By: s.Deduplicate.By, WindowHours: hark.DefaultWindow.Hours()},
		EventType:   orNull(s.EventType), ForwardCredentials: s.Credentials, Disabled: s.Disabled, Status: s.State(),
		FailingSince: timeOrNull(s.FailingSince), FailingCause: orNull(s.FailingCause), CreatedAt: wireTime(s.CreatedAt), UpdatedAt: wireTime(s.UpdatedAt),
	}
	for i, k := range s.Secrets {
		out.Secrets[i] = SourceSecretOut{wireTime(k.CreatedAt), timeOrNull(k.ExpiresAt)}
	}
	if s.Deduplicate.Window > 0 {
		out.Deduplicate.WindowHours = s.Deduplicate.Window.Hours()
	}
	if out.MaxBytes == 0 {
		out.MaxBytes = hark.DefaultMaxBytes
	}
	if s.Answer != nil {
		a := AnswerIn(*s.Answer)
		out.Answer = &a
	}
	return out
}

func listSources(c *call, _ none) (ListResponse[SourceOut], error) {
	q := c.query()
	in, app, state := q.page(), q.text("application_id"), q.text("status")
	if q.err != nil {
		return ListResponse[SourceOut]{}, q.err
	}
	page, err := c.api.Manage.ListSources(c.r.Context(), c.caller, app, state, in)
	return listOf(page, sourceOut), err
}

func (in *SourceIn) domain() manage.SourceIn {
	out := manage.SourceIn{SourcePatch: in.SourceSettings.domain(), Application: in.ApplicationID, Secrets: in.Secrets}
	if in.Secret.Given() {
		out.Secrets = append([]string{in.Secret.Value}, out.Secrets...)
	}
	return out
}

func createSource(c *call, in SourceIn) (SourceOut, error) {
	s, err := c.api.Manage.CreateSource(c.r.Context(), c.caller, in.domain())
	return sourceOut(&s), err
}

func getSource(c *call, _ none) (SourceOut, error) {
	s, err := c.api.Manage.Source(c.r.Context(), c.caller, c.path("source_id"))
	return sourceOut(&s), err
}

func patchSource(c *call, in SourceSettings) (SourceOut, error) {
	s, err := c.api.Manage.PatchSource(c.r.Context(), c.caller, c.path("source_id"), in.domain())
	return sourceOut(&s), err
}

func deleteSource(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.DeleteSource(c.r.Context(), c.caller, c.path("source_id"))
}

func rotateSourceToken(c *call, _ none) (SourceOut, error) {
	s, err := c.api.Manage.RotateSourceToken(c.r.Context(), c.caller, c.path("source_id"))
	return sourceOut(&s), err
}

// SourceSecretRotateIn brings the provider's new secret.
type SourceSecretRotateIn struct {
	Key                manage.Opt[string] `json:"key" req:"1" doc:"What the provider signs with now."`
	GracePeriodSeconds manage.Opt[int]    `json:"gracePeriodSeconds" doc:"How long the old one is good as well; 86400 by default, at most 604800."`
}

func rotateSourceSecret(c *call, in SourceSecretRotateIn) (SourceOut, error) {
	s, err := c.api.Manage.RotateSourceSecret(c.r.Context(), c.caller, c.path("source_id"), manage.RotateIn(in))
	return sourceOut(&s), err
}

// ProviderOut describes a provider.
type ProviderOut struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	Scheme string   `json:"scheme" doc:"What is signed, and how."`
	Params []string `json:"params" doc:"Names of the params it knows."`
	Note   string   `json:"note"`
	Source string   `json:"source" doc:"Where the scheme is documented."`
}

// ProvidersOut lists them.
type ProvidersOut struct {
	Data []ProviderOut `json:"data"`
}

func listProviders(c *call, _ none) (ProvidersOut, error) {
	all, err := c.api.Manage.ListProviders(c.r.Context(), c.caller)
	out := ProvidersOut{Data: make([]ProviderOut, len(all))}
	for i, p := range all {
		out.Data[i] = providerOut(&p)
	}
	return out, err
}

func providerOut(p *manage.Provider) ProviderOut {
	params := p.Params
	if params == nil {
		params = []string{}
	}
	return ProviderOut{p.Name, p.Title, p.Scheme, params, p.Note, p.Source}
}

// RequestOut is an inbound request.
type RequestOut struct {
	ID         hark.RequestID  `json:"id"`
	SourceID   hark.SourceID   `json:"sourceId"`
	Status     string          `json:"status" enum:"accepted,rejected,duplicate"`
	Cause      *string         `json:"cause" doc:"Why it was rejected."`
	Detail     *string         `json:"detail"`
	EventID    *string         `json:"eventId" doc:"The provider's."`
	EventType  *string         `json:"eventType"`
	MessageID  *hark.MessageID `json:"msgId" doc:"The message that it became or, of a duplicate, the one that it repeats."`
	Secret     *int            `json:"secret" doc:"Which of the source's secrets matched, counted from 1, the newest first."`
	Method     string          `json:"method"`
	Remote     string          `json:"remote"`
	Size       int             `json:"size"`
	Answered   int             `json:"responseStatusCode"`
	TookMs     float64         `json:"tookMs" doc:"Until it was decided; the commit is not in it."`
	ReceivedAt time.Time       `json:"receivedAt"`
}

// RequestFullOut is one with what it brought.
type RequestFullOut struct {
	RequestOut
	Path    string              `json:"path" doc:"Behind the source's URL."`
	Query   string              `json:"query"`
	Headers map[string][]string `json:"headers"`
	Body    *string             `json:"body" doc:"As text; null when it is not text (then bodyBase64 has it), was not read, or was deleted."`
	Base64  *string             `json:"bodyBase64"`
	Expired bool                `json:"expired" doc:"Headers and body were deleted."`
}

func requestOut(q *hark.Request) RequestOut {
	return RequestOut{
		ID: q.ID, SourceID: q.SourceID, Status: q.Outcome.String(), Cause: orNull(string(q.Cause)), Detail: orNull(q.Detail), EventID: orNull(q.EventID),
		EventType: orNull(q.EventType), MessageID: orNull(q.MessageID), Secret: orNull(q.Secret), Method: q.Method, Remote: q.Remote, Size: q.Size,
		Answered: q.Status, TookMs: float64(q.Took.Microseconds()) / 1000, ReceivedAt: wireTime(q.ReceivedAt),
	}
}

func requestFullOut(q *hark.Request) RequestFullOut {
	out := RequestFullOut{RequestOut: requestOut(q), Headers: map[string][]string{}, Expired: q.Expunged}
	if head, err := hark.DecodeHead(q.Head); err == nil {
		out.Path, out.Query, out.Headers = head.Path, head.Query, head.HTTPHeader()
	}
	if q.Body != nil {
		out.Body, out.Base64 = textOr64(q.Body)
	}
	return out
}

func listRequests(c *call, _ none) (ListResponse[RequestOut], error) {
	q := c.query()
	in := manage.RequestListIn{
		ListIn: q.page(), Source: c.path("source_id"), Application: q.text("application_id"), Status: q.text("status"), Cause: q.text("cause"), EventTypes: q.list("event_types"),
		Before: q.moment("before"), After: q.moment("after"),
	}
	if q.err != nil {
		return ListResponse[RequestOut]{}, q.err
	}
	page, err := c.api.Manage.ListRequests(c.r.Context(), c.caller, in)
	return listOf(page, requestOut), err
}

func getRequest(c *call, _ none) (RequestFullOut, error) {
	q, err := c.api.Manage.Request(c.r.Context(), c.caller, c.path("source_id"), c.path("request_id"))
	return requestFullOut(&q), err
}

// getRequestBody answers the body as it came. It is somebody else's: no browser may take it for a page.
func getRequestBody(c *call) error {
	q, err := c.api.Manage.Request(c.r.Context(), c.caller, c.path("source_id"), c.path("request_id"))
	if err != nil {
		return err
	}
	if q.Body == nil {
		return hark.ErrNotFound
	}
	h := c.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", "attachment")
	h.Set("X-Content-Type-Options", "nosniff")
	c.out.Write(q.Body)
	return nil
}

func acceptRequest(c *call, _ none) (RequestOut, error) {
	q, err := c.api.Manage.AcceptRequest(c.r.Context(), c.caller, c.path("source_id"), c.path("request_id"))
	return requestOut(&q), err
}

func expungeRequest(c *call, _ none) (none, error) {
	return none{}, c.api.Manage.ExpungeRequest(c.r.Context(), c.caller, c.path("source_id"), c.path("request_id"))
}
