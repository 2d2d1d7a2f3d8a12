package hark

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Transformation is a script that changes an endpoint's messages on their way: what is sent, where to,
// or whether at all. What is stored stays as it was accepted.
type Transformation struct {
	Code      string // JavaScript; "" when there is none
	Enabled   bool
	Variables map[string]string // what the script finds in its environment; sealed at rest
	// Version is the number of the code that is there now; 0 when there never was any. The store counts.
	Version   int
	UpdatedAt time.Time // zero: never
}

// Runs says that messages go through it.
func (t *Transformation) Runs() bool { return t.Enabled && t.Code != "" }

// Key tells scripts apart that do not run alike: it is made of the code and the variables.
func (t *Transformation) Key() [32]byte {
	variables, err := json.Marshal(t.Variables) // sorted by name
	if err != nil {
		panic("a map of texts cannot be written: " + err.Error())
	}
	return sha256.Sum256(fmt.Appendf(nil, "%d\x00%s%s", len(t.Code), t.Code, variables))
}

// TransformationVersion is code that was saved once. It never changes.
type TransformationVersion struct {
	Number    int    // from 1
	Hash      string // SHA-256 of the code, in hexadecimal digits
	Code      string
	CreatedAt time.Time
}

// MaxTransformationVersions is how many versions of an endpoint are kept, the newest.
const MaxTransformationVersions = 100

// HashCode is a version's Hash.
func HashCode(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// Execution is a run of a transformation that is worth remembering: one that failed, canceled its
// delivery, or wrote to its console.
type Execution struct {
	EndpointRef Ref
	AttemptID   AttemptID // of the attempt that it was made for
	MessageID   MessageID
	Version     int // of the transformation
	StartedAt   time.Time
	Duration    time.Duration
	Outcome     ExecutionOutcome
	Error       string    // why it failed
	Log         []LogLine // what it wrote to its console
	LogCut      bool      // it wrote more than that
}

// Bounds of what is remembered of an endpoint's executions.
const (
	MaxExecutions = 200
	ExecutionLife = 7 * 24 * time.Hour
)

// ExecutionOutcome is how an execution ended.
type ExecutionOutcome int8

// The outcomes of executions.
const (
	ExecutionDone     ExecutionOutcome = 0 // the message went on
	ExecutionFailed   ExecutionOutcome = 1
	ExecutionCanceled ExecutionOutcome = 2 // the script did not want the message sent
)

// String is the wire format's word.
func (o ExecutionOutcome) String() string {
	switch o {
	case ExecutionFailed:
		return "failed"
	case ExecutionCanceled:
		return "canceled"
	}
	return "done"
}

// LogLine is a line that a script wrote to its console.
type LogLine struct {
	Level string `json:"level"` // debug, info, warn or error
	Text  string `json:"text"`
}
