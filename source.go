package hark

import (
	"encoding/json"
	"time"
)

// SourceID and RequestID are the ids of what Hark receives with.
type (
	SourceID  string // src_
	RequestID string // req_
)

// The prefixes of their ids.
const (
	SourcePrefix  = "src_"
	RequestPrefix = "req_"
)

// NewSourceID makes a source's id.
func NewSourceID(at time.Time) SourceID { return SourceID(NewKSUID(at).Format(SourcePrefix)) }

// NewRequestID makes a request's id.
func NewRequestID(at time.Time) RequestID { return RequestID(NewKSUID(at).Format(RequestPrefix)) }

// Source is an inbound URL with a provider's verification. What it accepts becomes messages of its
// application.
type Source struct {
	Ref            Ref
	EnvironmentID  EnvironmentID
	ApplicationRef Ref
	ApplicationID  ApplicationID // filled by reads
	ID             SourceID
	UID            string // the caller's own id, unique in the environment; "" when none

	SourceSettings

	// Tokens are the secret part of the URL, the newest first; older ones live on until they expire.
	// They are looked up by their SHA-256 and sealed at rest.
	Tokens []Secret
	// Secrets are what requests are verified with, the newest first; sealed at rest.
	Secrets []Secret
	// Params are the provider's other settings, such as PayPal's webhook_id; sealed at rest.
	Params map[string]string

	Disabled bool
	// FailingSince is when requests began to fail their verification, with nothing verified since:
	// a secret was changed at the provider, or is wrong. Zero while all is well.
	FailingSince time.Time
	FailingCause string

	CreatedAt time.Time
	UpdatedAt time.Time
}

// SourceSettings are those of a source's settings that are no secret. Zero fields are the defaults.
type SourceSettings struct {
	Name        string            `json:"name,omitempty"`
	Description string            `json:"description,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`

	// Provider is the name of a provider of package webhook; "" with Scheme, or for a source whose
	// requests nobody signs.
	Provider string `json:"provider,omitempty"`
	// Kind is what clients written for Svix call the provider; "" for sources that were not made by one.
	Kind string `json:"kind,omitempty"`
	// Scheme is a webhook.Scheme as JSON, instead of a provider.
	Scheme json.RawMessage `json:"scheme,omitempty"`
	// Unverified takes requests that cannot be verified because there is no secret: the URL is then
	// all that keeps strangers out.
	Unverified bool `json:"unverified,omitempty"`
	// Tolerance is how far a signed timestamp may be from now; 0 is the provider's own, negative any.
	Tolerance time.Duration `json:"tolerance,omitempty"`
	// URL is what the provider calls, where it signs the URL and a proxy changes it.
	URL string `json:"url,omitempty"`
	// Confirm lets Hark confirm subscriptions (Amazon SNS) and keep secrets that are handed over in a
	// handshake (Asana, Notion).
	Confirm bool `json:"confirm,omitempty"`

	Methods    []string `json:"methods,omitempty"`    // nil: DefaultMethods
	AllowIPs   []string `json:"allowIps,omitempty"`   // addresses and networks; nil: from everywhere
	MaxBytes   int      `json:"maxBytes,omitempty"`   // of a body; 0 means DefaultMaxBytes
	RateLimit  int      `json:"rateLimit,omitempty"`  // requests per second; 0 means no limit
	DailyQuota int      `json:"dailyQuota,omitempty"` // requests per day (UTC); 0 means none

	Deduplicate Deduplication `json:"deduplicate,omitzero"`
	// EventType says what the messages' event type is: "" the provider's, a fixed name,
	// "header:NAME", or a JSON pointer into the body.
	EventType string `json:"eventType,omitempty"`
	// Credentials forwards Authorization and Cookie headers, too.
	Credentials bool `json:"credentials,omitempty"`
	// Answer is sent instead of what the provider expects.
	Answer *SourceAnswer `json:"answer,omitempty"`
}

// Deduplication says which requests are the same one sent again.
type Deduplication struct {
	Off bool `json:"off,omitempty"`
	// By are the parts that tell requests apart: "header:NAME", "query:NAME", a JSON pointer, or
	// "body". Nil is the provider's own event id.
	By []string `json:"by,omitempty"`
	// Window is how long a request is remembered; 0 means DefaultWindow.
	Window time.Duration `json:"window,omitempty"`
}

// SourceAnswer is a source's own answer to what it accepts.
type SourceAnswer struct {
	Status  int               `json:"status,omitempty"` // 0 means 200
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// Defaults and bounds of a source.
const (
	DefaultMaxBytes = 5 << 20
	MaxMaxBytes     = 25 << 20
	DefaultWindow   = 72 * time.Hour
	MaxWindow       = 30 * 24 * time.Hour
)

// RequestOutcome is what became of a request.
type RequestOutcome int8

// The outcomes of a request.
const (
	RequestAccepted  RequestOutcome = 0 // it became a message
	RequestRejected  RequestOutcome = 1 // Cause says why
	RequestDuplicate RequestOutcome = 2 // it came before
)

// String is the outcome's name.
func (o RequestOutcome) String() string {
	switch o {
	case RequestAccepted:
		return "accepted"
	case RequestRejected:
		return "rejected"
	case RequestDuplicate:
		return "duplicate"
	}
	return "unknown"
}

// RejectionCause is why a request was rejected.
type RejectionCause string

// The causes.
const (
	SourceDisabled     RejectionCause = "source_disabled"
	VerificationFailed RejectionCause = "verification_failed"
	Unverifiable       RejectionCause = "unverifiable" // a key could not be fetched: the provider may try again
	AddressNotAllowed  RejectionCause = "address_not_allowed"
	MethodNotAllowed   RejectionCause = "method_not_allowed"
	RequestTooLarge    RejectionCause = "too_large"
	RequestMalformed   RejectionCause = "malformed" // its body broke off, or was too slow
	RequestLimited     RejectionCause = "rate_limited"
	QuotaExceeded      RejectionCause = "quota_exceeded"
)

// Request is one raw inbound HTTP request, accepted or not.
type Request struct {
	SourceRef  Ref
	SourceID   SourceID // filled by reads
	ID         RequestID
	ReceivedAt time.Time
	Outcome    RequestOutcome
	Cause      RejectionCause // when rejected
	Detail     string         // a sentence for people
	Secret     int            // the secret that matched, counted from 1, the newest first; 0 none
	EventID    string         // the provider's own id of the event; "" when it has none
	EventType  string         // the provider's name for what happened, as a message's event type
	// MessageID is the message that the request became or, of a duplicate, the one that it repeats.
	MessageID MessageID
	Status    int           // what was answered
	Took      time.Duration // until the answer
	Size      int           // of the body, in bytes; of one that was not read what it was said to be

	Method   string
	Remote   string
	Head     []byte // a Head, encoded; nil when not loaded or Expunged
	Body     []byte // nil when not loaded, never read, or Expunged
	Expunged bool
}
