package manage

import (
	"encoding/json"
	"time"

	"github.com/harkhq/hark"
)

// SourceIn describes a source to create.
type SourceIn struct {
	SourcePatch
	// Application is whose messages the source's requests become, by id or uid. Left out, the source
	// gets an application of its own, with its name.
	Application Opt[string]
	// Secrets are what requests are verified with, the newest first.
	Secrets []string
	// Cron, when not nil, makes it a source that sends by itself: its Kind is KindCron.
	Cron *CronIn
}

// SourcePatch changes the fields that are set; null goes back to the default.
type SourcePatch struct {
	Name        Opt[string]
	UID         Opt[string]
	Description Opt[string]
	Metadata    Opt[map[string]string]
	Provider    Opt[string]
	Kind        Opt[string] // what clients written for Svix call the provider
	Scheme      Opt[json.RawMessage]
	Params      Opt[map[string]string]
	Unverified  Opt[bool]
	Tolerance   Opt[int] // seconds
	URL         Opt[string]
	Confirm     Opt[bool]
	Methods     Opt[[]string]
	AllowIPs    Opt[[]string]
	MaxBytes    Opt[int]
	RateLimit   Opt[int]
	DailyQuota  Opt[int]
	Deduplicate Opt[DeduplicateIn]
	EventType   Opt[string]
	Credentials Opt[bool]
	Answer      Opt[hark.SourceAnswer]
	Disabled    Opt[bool]
}

// DeduplicateIn says which requests are the same one sent again.
type DeduplicateIn struct {
	Off         bool
	By          []string
	WindowHours Opt[float64]
}

// SourceOut is a source with its URL. To those who may not change it the URL is "": it is a secret.
type SourceOut struct {
	hark.Source
	IngestURL string
	Cron      *CronIn // of a source that sends by itself
}

// RequestListIn narrows lists of requests.
type RequestListIn struct {
	ListIn
	Source        string // id or uid; "" is all that the caller may see
	Application   string // id or uid: only what came to its sources
	Status        string // accepted, rejected or duplicate
	Cause         string
	EventTypes    []string
	Before, After time.Time
}
