package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// TailScope says what somebody watches.
type TailScope struct {
	EnvironmentID  hark.EnvironmentID
	ApplicationRef hark.Ref // 0: all applications of the environment
	SourceRef      hark.Ref // not 0: this source's requests only

	Messages, Attempts, Requests bool

	EventTypes []string
	Failed     bool // attempts that were no success, and requests that were rejected
}

// TailEntry is one thing that happened: a message, an attempt or a request.
type TailEntry struct {
	At             time.Time // when it was accepted, had ended, or came in
	ApplicationRef hark.Ref
	Message        *hark.Message // without its payload
	Attempt        *hark.Attempt // without the answer's body
	Request        *hark.Request // without head and body
}

// Tail reads what happens, as it is committed. It is for one goroutine at a time, and holds nothing
// between calls that would have to be closed.
type Tail interface {
	// Next answers what was committed since it was called last, the oldest first, each once: also what
	// was committed late, behind others that have begun after it. Where there is more than limit the
	// oldest are left out, and skipped says how many at least. The first call answers what happened
	// from since on. When it fails, the next call answers what this one would have.
	Next(ctx context.Context, now time.Time, limit int) (entries []TailEntry, skipped int, err error)
}

// Tails are for those who watch. They cost whoever looks, and nothing where nobody does.
type Tails interface {
	// OpenTail begins at since, or with its first call where that is zero.
	OpenTail(scope TailScope, since time.Time) Tail
}
