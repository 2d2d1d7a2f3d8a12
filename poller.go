package hark

import (
	"encoding/json"
	"time"
)

// PollerID is the id of a poller.
type PollerID string // poll_

// PollerPrefix is the prefix of pollers' ids.
const PollerPrefix = "poll_"

// NewPollerID makes a poller's id.
func NewPollerID(at time.Time) PollerID { return PollerID(NewKSUID(at).Format(PollerPrefix)) }

// Poller is a schedule that makes messages of its application: it calls an API which has no webhooks
// and makes a message of each item that is new or has changed or, without a URL, sends a payload of its own.
type Poller struct {
	Ref            Ref
	EnvironmentID  EnvironmentID // filled by reads
	ApplicationRef Ref
	ApplicationID  ApplicationID // filled by reads
	ID             PollerID
	UID            string // the caller's own id, unique in the application; "" when none

	PollerSettings

	// Headers are sent with every request; sealed at rest.
	Headers map[string]string
	// Secret is what Auth needs: a password, a token, a key, a client's secret; sealed at rest.
	Secret SecretKey

	// State is what the runs have come to. Runs alone change it, and what makes it worthless.
	State PollerState
	// Revision counts changes and finished runs: a run that began before one of them keeps nothing.
	Revision int64
	Due      time.Time // of the next run; zero while there is none
	Paused   bool

	CreatedAt time.Time
	UpdatedAt time.Time
}

// IsSchedule says that it calls nobody and sends a payload of its own.
func (p *Poller) IsSchedule() bool { return p.URL == "" }

// PollerSettings are those of a poller's settings that are no secret. Zero fields are the defaults.
type PollerSettings struct {
	Name string `json:"name,omitempty"`

	// When: one of the two.
	Every    time.Duration `json:"every,omitempty"`
	Cron     string        `json:"cron,omitempty"`     // minute, hour, day of month, month, day of week
	TimeZone string        `json:"timeZone,omitempty"` // of Cron; "" is UTC

	// Whom: the request.
	URL         string       `json:"url,omitempty"` // "" for a poller that sends Payload
	Method      string       `json:"method,omitempty"`
	Body        string       `json:"body,omitempty"`
	ContentType string       `json:"contentType,omitempty"` // of Body; "" is application/json
	Auth        PollerAuth   `json:"auth,omitzero"`
	Paging      PollerPaging `json:"paging,omitzero"`
	Since       PollerSince  `json:"since,omitzero"`

	// What: the items, all paths being JSON pointers.
	ItemsPath string   `json:"itemsPath,omitempty"` // to the array in the answer; "" when the answer is one
	IDPath    string   `json:"idPath,omitempty"`    // to an item's id, in the item
	Changed   []string `json:"changed,omitempty"`   // what of an item counts as a change; nil is all of it
	// Backfill makes messages of what the first run finds; otherwise it only learns it.
	Backfill bool `json:"backfill,omitempty"`

	// Messages.
	EventType string          `json:"eventType,omitempty"` // {{change}} in it is created or updated
	Payload   json.RawMessage `json:"payload,omitempty"`   // without a URL; {{now}} and others in it are filled in
	Channels  []string        `json:"channels,omitempty"`
}

// PollerAuth says how a poller proves who it is. Its secret is the Poller's.
type PollerAuth struct {
	Type     string `json:"type,omitempty"`     // "", basic, bearer, header, query or oauth2
	Name     string `json:"name,omitempty"`     // of the header or parameter
	Username string `json:"username,omitempty"` // basic
	TokenURL string `json:"tokenUrl,omitempty"` // oauth2, with client credentials
	ClientID string `json:"clientId,omitempty"` // oauth2
	Scope    string `json:"scope,omitempty"`    // oauth2
	// ClientAuth is how the client proves itself to TokenURL: "" or basic in the header, body in the form.
	ClientAuth string `json:"clientAuth,omitempty"`
}

// PollerPaging says how an answer leads to the next one.
type PollerPaging struct {
	Type  string `json:"type,omitempty"`  // "", link (RFC 8288), next (a URL in the answer), cursor or page
	Path  string `json:"path,omitempty"`  // to the URL or the cursor in the answer
	Param string `json:"param,omitempty"` // that carries the cursor or the page's number
	First int    `json:"first,omitempty"` // number of the first page; 0 means 1, -1 means 0
}

// PollerSince asks only for what is newer than what a run has seen.
type PollerSince struct {
	Param   string `json:"param,omitempty"`   // that carries it; "" asks for everything every time
	Path    string `json:"path,omitempty"`    // to the number or text in an item, of which the largest counts
	Initial string `json:"initial,omitempty"` // for the first run; "" sends none
}

// PollerState is what a poller's runs have come to.
type PollerState struct {
	Learned      bool        `json:"learned,omitempty"` // a run has seen everything once
	Since        string      `json:"since,omitempty"`
	ETag         string      `json:"etag,omitempty"`
	LastModified string      `json:"lastModified,omitempty"`
	Failures     int         `json:"failures,omitempty"` // in a row
	Runs         []PollerRun `json:"runs,omitempty"`     // the last MaxPollerRuns, the newest first
	// Rest is where the next run goes on; nil where it begins at the first page.
	Rest *PollerRest `json:"rest,omitempty"`
}

// PollerRest is what a run has left for the next one, because there was more than a run may take.
type PollerRest struct {
	URL    string `json:"url"`              // of the next page
	Number int    `json:"number,omitempty"` // of that page, where pages have numbers
	Since  string `json:"since,omitempty"`  // the largest value so far; PollerState.Since moves at the end
}

// MaxPollerRuns is how many runs a poller remembers.
const MaxPollerRuns = 20

// PollerRun is one run of a poller.
type PollerRun struct {
	StartedAt time.Time     `json:"startedAt"`
	Due       time.Time     `json:"due"`
	Late      bool          `json:"late,omitempty"` // it made up for a time at which nobody was there
	Took      time.Duration `json:"took"`
	Outcome   PollerOutcome `json:"outcome"`
	Status    int           `json:"status,omitempty"` // of the last answer
	Pages     int           `json:"pages,omitempty"`
	Limited   int           `json:"limited,omitempty"` // answers that asked to wait a little, which it did
	Seen      int           `json:"seen,omitempty"`    // items
	New       int           `json:"new,omitempty"`     // of them, became messages (or were learned)
	Changed   int           `json:"changed,omitempty"` // of them, became messages (or were learned)
	Refused   int           `json:"refused,omitempty"` // of them, could not become messages: Error has an example
	Error     string        `json:"error,omitempty"`
}

// PollerOutcome is how a run ended.
type PollerOutcome string

// The outcomes of a run.
const (
	PollDone      PollerOutcome = "done"
	PollLearned   PollerOutcome = "learned"   // the first run, without Backfill
	PollUnchanged PollerOutcome = "unchanged" // the server said so
	PollPartial   PollerOutcome = "partial"   // there is more than a run may take: the next goes on there
	PollFailed    PollerOutcome = "failed"    // Error says why; what it had found until then is kept
)
