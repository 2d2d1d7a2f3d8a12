// Package hark holds the words of Hark: environments, applications, event types, messages, endpoints and their
// transformations, deliveries and attempts, sources and requests, pollers, their ids, the retry Schedule, and the
// errors that people see.
//
// Everything else in the repository speaks these words; this package imports the standard library only, does
// no I/O, starts no goroutine and reads no clock.
//
//	environment ─┬─ event type
//	             └─ application ─┬─ endpoint (one that is pulled is a consumer) ── transformation ── execution
//	                             ├─ message ── delivery (message × endpoint) ── attempt
//	                             ├─ source ── request (becomes a message, or is rejected)
//	                             └─ poller ── run (its items become messages)
package hark

import (
	"encoding/json"
	"time"
)

// Ref is the store's own short key for a row. It is unique within its kind, never reused, and
// means nothing outside the process; ids are what people see.
type Ref = int64

// Environment is a fully separate tenant root, such as live and test. Keys, secrets and data
// never cross from one to another.
type Environment struct {
	ID        EnvironmentID
	Name      string
	CreatedAt time.Time
	// Retention is how long messages, with their attempts, are kept. Zero means DefaultRetention.
	Retention time.Duration
}

// DefaultRetention is how long an environment keeps its messages unless told otherwise: the
// 90 days that Svix's clients may page through.
const DefaultRetention = 90 * 24 * time.Hour

// Application says whose messages these are: one customer of a sender, or one inbound project.
type Application struct {
	Ref           Ref
	ID            ApplicationID
	EnvironmentID EnvironmentID
	UID           string // the caller's own id, unique in the environment; "" when none
	Name          string
	ThrottleRate  int // messages per second over all its endpoints; 0 means no limit
	Metadata      map[string]string
	CreatedAt     time.Time
	UpdatedAt     time.Time

	TokensNotBefore time.Time // customers' tokens that were issued until then are refused; zero when none is

	// Version rises with every change of the application or of one of its endpoints. The store counts.
	Version int64
}

// Endpoint is where messages go: a URL with its secrets, filters, schedule and limits. A consumer is
// an endpoint without a URL: its messages wait in its feed until somebody fetches them (EndpointID.IsPulled).
type Endpoint struct {
	Ref            Ref
	ApplicationRef Ref
	ID             EndpointID
	UID            string // the caller's own id, unique in the application; "" when none
	URL            string
	Description    string
	Version        int // kept for old clients; no meaning
	Metadata       map[string]string
	Headers        map[string]string // sent with every attempt; sealed at rest
	Secrets        []Secret          // newest first; all unexpired ones sign; sealed at rest

	EventTypes []string        // nil: every event type
	Channels   []string        // nil: every message
	Filter     json.RawMessage // JSON match language over the payload; nil: no filter

	Disabled       bool
	DisabledReason string // why, when Hark disabled it: "gone", "failing"; "" when a person did
	DisabledAt     time.Time
	Paused         bool // deliveries are made and held until it is resumed

	ThrottleRate  int           // attempts per Rules.ThrottleUnit; 0 means no limit
	Concurrency   int           // most attempts in flight at once; 0 means DefaultConcurrency
	Timeout       time.Duration // for one whole attempt; 0 means DefaultTimeout
	RetrySchedule Schedule      // nil means StandardSchedule
	Ordering      Ordering
	SkipTLSVerify bool
	Rules         Rules

	Transformation Transformation

	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt time.Time // zero while it lives; a deleted endpoint stays readable in history
}

// Defaults of an endpoint.
const (
	DefaultConcurrency = 64
	DefaultTimeout     = 30 * time.Second
	MaxTimeout         = 30 * time.Second
)

// Secret is one signing secret of an endpoint.
type Secret struct {
	Key       SecretKey
	CreatedAt time.Time
	ExpiresAt time.Time // zero: current
}

// SecretKey is a signing secret in its text form (whsec_…, whsk_…). It prints as "•••" in every
// format, so that it cannot reach a log by accident; call Reveal where the text is really meant.
type SecretKey string

// Reveal returns the secret's text.
func (k SecretKey) Reveal() string { return string(k) }

// String hides the secret from fmt and slog.
func (k SecretKey) String() string { return "•••" }

// GoString hides the secret from %#v.
func (k SecretKey) GoString() string { return "•••" }

// MarshalJSON hides the secret; faces that mean to show it say so by calling Reveal.
func (k SecretKey) MarshalJSON() ([]byte, error) { return []byte(`"•••"`), nil }

// Ordering says whether an endpoint gets its messages in the order of acceptance, and how wide
// the line is that a failing delivery blocks. "" is unordered, "endpoint" is one line, and any
// other value is a JSON pointer into the payload whose value names the line ("/customer/id").
type Ordering string

// The two orderings that are not a JSON pointer.
const (
	Unordered       Ordering = ""
	OrderByEndpoint Ordering = "endpoint"
)

// EventType names a kind of event: invoice.paid. Messages may use a type that is not registered.
type EventType struct {
	EnvironmentID EnvironmentID
	Name          string
	Description   string
	GroupName     string
	Archived      bool
	Deprecated    bool
	Schemas       json.RawMessage // {"1": JSON Schema, …}; nil when none
	FeatureFlags  []string        // visible to application tokens only with one of these flags
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Message is one event accepted into an application. Its payload bytes are kept verbatim.
type Message struct {
	Ref            Ref
	ID             MessageID
	ApplicationRef Ref
	EventType      string
	EventID        string // the caller's own id, unique in the application while the message is kept
	Channels       []string
	Tags           []string
	Payload        []byte // JSON; nil when not loaded or when Expunged
	RawBody        []byte // sent instead of Payload when not nil
	Head           []byte // of an inbound message: the request that brought it, as Head.Encode writes it; loaded with the payload
	Expunged       bool   // the payload was deleted or has expired
	CreatedAt      time.Time
	DeliverAt      time.Time // zero: at once
	// PayloadExpiresAt is when the payload is deleted; zero means with the message.
	PayloadExpiresAt time.Time
	// Matched are the endpoints that the message was sent to when it was accepted.
	Matched []Ref
	// Duplicates are the endpoints that it was kept from, because they had an equal one.
	Duplicates []Duplicate
}

// Duplicate says that a message repeats an earlier one as far as an endpoint's rules go.
type Duplicate struct {
	EndpointRef Ref
	Of          MessageID // the earlier one, which the endpoint has a delivery of
}

// Body is what goes over the wire: the raw body if the sender gave one, else the payload.
func (m *Message) Body() []byte {
	if m.RawBody != nil {
		return m.RawBody
	}
	return m.Payload
}

// Trigger says what started an attempt.
type Trigger int8

// Triggers, with the numbers of the wire format.
const (
	Scheduled Trigger = 0 // first attempts and retries
	Manual    Trigger = 1 // a resend: tried once, ignores filters, never retried
)

// Delivery is one message on its way to one endpoint: a row of the queue. It leaves the queue
// when it is settled: succeeded, failed for good, or canceled.
type Delivery struct {
	EndpointRef    Ref
	ApplicationRef Ref
	MessageRef     Ref
	// Due is the delivery's place in its endpoint's queue, in milliseconds since 1970 (UTC).
	// With MessageRef it is the row's key. An unordered retry moves to a later Due; an ordered
	// one keeps its place and waits until RetryAt.
	Due      int64
	RetryAt  int64  // ordered endpoints: not before this; 0 means at Due
	Attempts int    // made so far
	Line     uint64 // ordered endpoints: the line it stands in
	Trigger  Trigger

	// Message is the message itself where it is at hand, or nil: then it is read when it is needed.
	Message *Message
}

// AttemptStatus is what became of one attempt, with the numbers of the wire format.
type AttemptStatus int8

// Attempt statuses. An attempt has Succeeded or Failed, or Canceled when the endpoint's transformation did
// not want it sent; the others are what its delivery is called: Pending before the first attempt, Sending
// between a failed one and the next, Canceled also when it ended without.
const (
	Succeeded AttemptStatus = 0
	Pending   AttemptStatus = 1
	Failed    AttemptStatus = 2
	Sending   AttemptStatus = 3
	Canceled  AttemptStatus = 4
)

// String is the wire format's statusText.
func (s AttemptStatus) String() string {
	switch s {
	case Succeeded:
		return "success"
	case Pending:
		return "pending"
	case Failed:
		return "fail"
	case Sending:
		return "sending"
	case Canceled:
		return "canceled"
	}
	return "unknown"
}

// Attempt is one HTTP exchange of a delivery, or one that could not take place.
type Attempt struct {
	ID             AttemptID
	ApplicationRef Ref
	MessageRef     Ref
	EndpointRef    Ref
	MessageID      MessageID  // filled by reads
	EndpointID     EndpointID // filled by reads
	EventType      string     // filled by reads
	URL            string
	Number         int // 1 for the first attempt of its delivery
	Trigger        Trigger
	Status         AttemptStatus // Succeeded, Failed or Canceled
	StatusCode     int           // of the response; 0 when there was none
	Response       []byte        // body, cut at the cap
	ResponseHeader []HeadField   // as KeepHeader keeps it; nil when it was not kept, as of successes of endpoints
	Error          string        // why there was no response or why it was not accepted; "" when it was
	StartedAt      time.Time
	Duration       time.Duration
	Phases         Phases
	NextAttempt    time.Time // zero: none
}

// Phases says where an attempt's time went. A phase that did not happen (a reused connection has
// no DNS, Connect or TLS) is zero.
type Phases struct {
	DNS       time.Duration
	Connect   time.Duration
	TLS       time.Duration
	FirstByte time.Duration // from the request written to the first byte of the answer
}

// Task is work in the background: a replay.
type Task struct {
	ID            TaskID
	EnvironmentID EnvironmentID
	Kind          string // endpoint.recover, endpoint.replay, endpoint.bulk-replay, application.purge_content
	Status        string // running, finished, failed
	Data          json.RawMessage
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Scope says what a key may do.
type Scope string

// Scopes. Admin may do everything in the environment, publish may send messages and read, read may
// only read.
const (
	ScopeAdmin   Scope = "admin"
	ScopePublish Scope = "publish"
	ScopeRead    Scope = "read"
)

// Key is an API key. Only a hash of it is kept.
type Key struct {
	ID            KeyID
	EnvironmentID EnvironmentID
	Name          string
	Scope         Scope
	ApplicationID ApplicationID // "" for every application
	Prefix        string        // the first characters, for people to recognise it by
	Hash          [32]byte      // SHA-256 of the whole key
	CreatedAt     time.Time
	ExpiresAt     time.Time // zero: never
	RevokedAt     time.Time // zero: not revoked
}
