package manage

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
)

// ListIn asks for one page of a list.
type ListIn struct {
	Limit    int    // 0 means DefaultLimit; more than MaxLimit is refused
	Iterator string // "" starts at the beginning; a leading "-" walks backwards
	// Descending asks for an order where the list has a choice: nil is the list's own.
	Descending *bool
}

// Limits of lists.
const (
	DefaultLimit = 50
	MaxLimit     = 250
)

// Page is one page of a list, with the iterators to go on from.
type Page[T any] struct {
	Items        []T
	Iterator     string // id of the last row; "" when the page is empty
	PrevIterator string // "-" and the id of the first row; "" when the page is empty
	Done         bool   // nothing follows in the direction that was asked for
}

// ApplicationIn describes an application to create or replace.
type ApplicationIn struct {
	Name         string            `json:"name"`
	UID          Opt[string]       `json:"uid,omitzero"`
	ThrottleRate Opt[int]          `json:"throttleRate,omitzero"`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// ApplicationPatch changes the fields that are set.
type ApplicationPatch struct {
	Name         Opt[string]            `json:"name,omitzero"`
	UID          Opt[string]            `json:"uid,omitzero"`
	ThrottleRate Opt[int]               `json:"throttleRate,omitzero"`
	Metadata     Opt[map[string]string] `json:"metadata,omitzero"`
}

// ApplicationListIn narrows ListApplications.
type ApplicationListIn struct {
	ListIn
	ExcludeWithoutEndpoints        bool // exclude_apps_with_no_endpoints
	ExcludeWithoutEnabledEndpoints bool // exclude_apps_with_disabled_endpoints
}

// EndpointSettings are Hark's own fields of an endpoint. A field that is left out keeps its value,
// in a full update as well, because a client written for Svix does not know that it is there and
// must not undo it; null goes back to the default.
type EndpointSettings struct {
	RetrySchedule  Opt[[]float64]       `json:"retrySchedule,omitzero"` // seconds
	TimeoutSeconds Opt[float64]         `json:"timeoutSeconds,omitzero"`
	Concurrency    Opt[int]             `json:"concurrency,omitzero"`
	Ordering       Opt[string]          `json:"ordering,omitzero"` // "none", "endpoint" or a JSON pointer
	VerifyTLS      Opt[bool]            `json:"verifyTls,omitzero"`
	Filter         Opt[json.RawMessage] `json:"filter,omitzero"`
	Paused         Opt[bool]            `json:"paused,omitzero"`
	DelaySeconds   Opt[float64]         `json:"delaySeconds,omitzero"`
	RetryOn        Opt[[]string]        `json:"retryOn,omitzero"`      // status expressions
	ThrottleUnit   Opt[string]          `json:"throttleUnit,omitzero"` // "second", "minute" or "hour"
	Deduplicate    Opt[DedupeIn]        `json:"deduplicate,omitzero"`
}

// DedupeIn says which messages of one event type are equal to an endpoint.
type DedupeIn struct {
	By          []string     `json:"by,omitempty"` // nil: the whole body
	WindowHours Opt[float64] `json:"windowHours,omitzero"`
}

// EndpointIn describes an endpoint to create or replace. A nil list means all; an empty one is refused.
type EndpointIn struct {
	URL          string            `json:"url"`
	Description  string            `json:"description,omitempty"`
	UID          Opt[string]       `json:"uid,omitzero"`
	ThrottleRate Opt[int]          `json:"throttleRate,omitzero"`
	Version      Opt[int]          `json:"version,omitzero"`
	Disabled     bool              `json:"disabled,omitempty"`
	EventTypes   []string          `json:"eventTypes,omitempty"`
	Channels     []string          `json:"channels,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	// Secret and Headers count only when the endpoint is created.
	Secret  Opt[string]            `json:"secret,omitzero"`
	Headers Opt[map[string]string] `json:"headers,omitzero"`
	EndpointSettings
}

// EndpointPatch changes the fields that are set.
type EndpointPatch struct {
	URL          Opt[string]            `json:"url,omitzero"`
	Description  Opt[string]            `json:"description,omitzero"`
	UID          Opt[string]            `json:"uid,omitzero"`
	ThrottleRate Opt[int]               `json:"throttleRate,omitzero"`
	Version      Opt[int]               `json:"version,omitzero"`
	Disabled     Opt[bool]              `json:"disabled,omitzero"`
	EventTypes   Opt[[]string]          `json:"eventTypes,omitzero"`
	Channels     Opt[[]string]          `json:"channels,omitzero"`
	Secret       Opt[string]            `json:"secret,omitzero"`
	Metadata     Opt[map[string]string] `json:"metadata,omitzero"`
	EndpointSettings
}

// Headers are an endpoint's headers as people may see them: without those in Sensitive, which
// are named only.
type Headers struct {
	Headers   map[string]string
	Sensitive []string // sorted
}

// HeadersPatch sets, and with nil removes, single headers.
type HeadersPatch struct {
	Headers map[string]*string `json:"headers"`
	Delete  []string           `json:"deleteHeaders,omitempty"`
}

// RotateIn asks for a new signing secret.
type RotateIn struct {
	Key                Opt[string] `json:"key,omitzero"`                // left out: one is made
	GracePeriodSeconds Opt[int]    `json:"gracePeriodSeconds,omitzero"` // default 86400
}

// ExampleIn asks to send an example message of an event type.
type ExampleIn struct {
	EventType    string `json:"eventType"`
	ExampleIndex int    `json:"exampleIndex,omitempty"`
}

// ReplayIn says which messages to send again: those created in [Since, Until).
type ReplayIn struct {
	Since      time.Time      `json:"since"`
	Until      Opt[time.Time] `json:"until,omitzero"` // left out: now
	EventTypes Opt[[]string]  `json:"eventTypes,omitzero"`
	Channel    Opt[string]    `json:"channel,omitzero"`
	Tag        Opt[string]    `json:"tag,omitzero"`
}

func (in ReplayIn) bulk() BulkReplayIn {
	return BulkReplayIn{Since: in.Since, Until: in.Until, EventTypes: in.EventTypes, Channel: in.Channel, Tag: in.Tag}
}

// ReplayCountIn says which messages to count that a replay would send.
type ReplayCountIn struct {
	Status       string    // failed, missing or all; "": failed
	Since, Until time.Time // zero: 14 days ago, and now
	EventTypes   []string
	Channel, Tag string
}

// ReplayCount is how many messages a replay would send; at least so many when it is not complete.
type ReplayCount struct {
	Messages int
	Complete bool
}

// BulkReplayIn narrows a bulk replay further.
type BulkReplayIn struct {
	Since           time.Time      `json:"since"`
	Until           Opt[time.Time] `json:"until,omitzero"`
	EventTypes      Opt[[]string]  `json:"eventTypes,omitzero"`
	Channel         Opt[string]    `json:"channel,omitzero"`
	Tag             Opt[string]    `json:"tag,omitzero"`
	Status          Opt[int]       `json:"status,omitzero"`
	StatusCodeClass Opt[int]       `json:"statusCodeClass,omitzero"`
}

// EventTypeIn describes an event type to create or replace (then Name comes from the path).
type EventTypeIn struct {
	Name         string               `json:"name"`
	Description  string               `json:"description"`
	Archived     bool                 `json:"archived,omitempty"`
	Deprecated   bool                 `json:"deprecated,omitempty"`
	Schemas      Opt[json.RawMessage] `json:"schemas,omitzero"`
	FeatureFlag  Opt[string]          `json:"featureFlag,omitzero"`
	FeatureFlags Opt[[]string]        `json:"featureFlags,omitzero"`
	GroupName    Opt[string]          `json:"groupName,omitzero"`
}

// EventTypePatch changes the fields that are set.
type EventTypePatch struct {
	Description  Opt[string]          `json:"description,omitzero"`
	Archived     Opt[bool]            `json:"archived,omitzero"`
	Deprecated   Opt[bool]            `json:"deprecated,omitzero"`
	Schemas      Opt[json.RawMessage] `json:"schemas,omitzero"`
	FeatureFlag  Opt[string]          `json:"featureFlag,omitzero"`
	FeatureFlags Opt[[]string]        `json:"featureFlags,omitzero"`
	GroupName    Opt[string]          `json:"groupName,omitzero"`
}

// EventTypeListIn narrows ListEventTypes. The list is always by ascending name.
type EventTypeListIn struct {
	ListIn
	IncludeArchived bool
	WithContent     bool // with schemas
}

// PublishIn is a message to accept. Payload and RawBody are kept as they are, byte for byte, and
// must not be changed afterwards.
type PublishIn struct {
	EventType              string
	Payload                []byte // a JSON object; the face has parsed it, so only its first byte is looked at
	RawBody                []byte // sent instead of Payload when not nil
	EventID                Opt[string]
	Channels               []string
	Tags                   []string
	PayloadRetentionPeriod Opt[int] // days
	PayloadRetentionHours  Opt[int]
	DeliverAt              Opt[time.Time]
	// DeliverSoon lets DeliverAt be less than a minute ahead.
	DeliverSoon bool
	// Application creates the application when the one in the path is new.
	Application *ApplicationIn
	// WithEndpoints asks for the endpoints that the message was matched to.
	WithEndpoints bool
}

// Published is the answer to Publish.
type Published struct {
	Message hark.Message
	// Repeated says that the same request came before: Message is what it was answered then.
	Repeated bool
	// Endpoints the message goes to, when they were asked for.
	Endpoints []hark.EndpointID
}

// BatchResult is what became of one message of a batch: Err, or Published.
type BatchResult struct {
	Published
	Err error // a *hark.Error
}

// MaxBatch is how many messages one PublishBatch takes.
const MaxBatch = 1000

// MessageListIn narrows ListMessages.
type MessageListIn struct {
	ListIn
	Before, After time.Time
	EventTypes    []string
	Channel       string
	Tag           string
	WithContent   bool
}

// PrecheckIn asks whether anybody would get such a message.
type PrecheckIn struct {
	EventType string        `json:"eventType"`
	Channels  Opt[[]string] `json:"channels,omitzero"`
}

// AttemptListIn narrows the lists of attempts.
type AttemptListIn struct {
	ListIn
	Status          *int // 0–4
	StatusCodeClass *int // 0, 100 … 500
	EventTypes      []string
	Channel         string
	Tag             string
	EndpointID      string // id or uid; only for lists by message
	Before, After   time.Time
	WithContent     bool // with responses; for AttemptedMessages with payloads
	WithMessage     bool // each attempt carries its message, without the payload
}

// AttemptOut is an attempt, with its message when that was asked for.
type AttemptOut struct {
	hark.Attempt
	Message *hark.Message
}

// Trace says for every endpoint of an application what one message has to do with it.
type Trace struct {
	Message   hark.Message
	Endpoints []TracedEndpoint
}

// TracedEndpoint is one endpoint's part in a Trace.
type TracedEndpoint struct {
	Endpoint hark.Endpoint
	// Matched: the message was sent there when it was accepted.
	Matched bool
	// MatchesNow, Clause and Detail: what the endpoint's filters of today say, and the clause that
	// decided. Disabled and paused endpoints are judged by their filters like any other.
	MatchesNow bool
	Clause     string
	Detail     string
	// DuplicateOf is the message before it that the endpoint has in its place; "" when there is none.
	DuplicateOf hark.MessageID
	// Delivered: there is a delivery, by match or by hand; Status and NextAttempt are its state.
	Delivered   bool
	Status      hark.AttemptStatus
	NextAttempt time.Time
}

// TaskListIn narrows ListTasks.
type TaskListIn struct {
	ListIn
	Status string // running, finished, failed; "" is all
	Kind   string
}

// EnvironmentPatch changes the fields that are set.
type EnvironmentPatch struct {
	RetentionDays Opt[int] `json:"retentionDays,omitzero"` // 1–3650; null is the default
}

// KeyIn describes an API key to create.
type KeyIn struct {
	Name          string         `json:"name"`
	Scope         hark.Scope     `json:"scope"`
	ApplicationID Opt[string]    `json:"applicationId,omitzero"` // id or uid
	ExpiresAt     Opt[time.Time] `json:"expiresAt,omitzero"`
}

// PortalIn asks for access to the customers' portal of an application.
type PortalIn struct {
	Application  *ApplicationIn `json:"application,omitempty"` // created when the one in the path is new
	FeatureFlags Opt[[]string]  `json:"featureFlags,omitzero"`
	Capabilities Opt[[]string]  `json:"capabilities,omitzero"` // left out: all
	ReadOnly     Opt[bool]      `json:"readOnly,omitzero"`     // the old way to ask for ViewBase alone
	Expiry       Opt[int]       `json:"expiry,omitzero"`       // seconds
	SessionID    Opt[string]    `json:"sessionId,omitzero"`
}

// PortalExpireIn takes an application's tokens back.
type PortalExpireIn struct {
	Expiry     Opt[int]      // 0 or not given
	SessionIDs Opt[[]string] // empty or not given
}

// PortalAccess is a URL that opens the portal, and the application token in it.
type PortalAccess struct {
	URL   string
	Token string
}

// Health says which parts work.
type Health struct {
	Store error // nil: it can write
}
