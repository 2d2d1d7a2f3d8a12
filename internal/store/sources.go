package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Sources are where requests come in. Every change counts up the version of the source's application,
// so that other nodes read it again (Cluster.OnChange). Deleted sources, and those of deleted
// applications, are not found.
type Sources interface {
	// InsertSource adds one and answers it with its Ref; Conflict (with Existing) if the uid is taken.
	InsertSource(ctx context.Context, src hark.Source) (hark.Source, error)
	UpdateSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Source) error) (hark.Source, error)
	// DeleteSource makes it disappear: its tokens end, its uid is free, its requests go with retention.
	DeleteSource(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error
	Source(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Source, error)
	// SourceByToken finds a source by the SHA-256 of one of its tokens, expired ones included.
	SourceByToken(ctx context.Context, hash [32]byte) (hark.Source, error)
	// ListSources lists the sources of an environment, or of one of its applications (0: all).
	ListSources(ctx context.Context, env hark.EnvironmentID, app hark.Ref, page Page) ([]hark.Source, error)
}

// RequestFilter narrows lists of requests. Zero fields do not.
type RequestFilter struct {
	Outcome       *hark.RequestOutcome
	Cause         hark.RejectionCause
	EventTypes    []string
	After, Before time.Time
	OldestFirst   bool // the page is taken from the oldest end; the rows still come newest first
}

// Requests are history: append only, and dropped by retention.
//
// An accepted request comes with its message (Acceptance.Request), in the same transaction; head and
// body are then the message's, and are deleted with its payload. Those of other requests are their own.
type Requests interface {
	// InsertRequests keeps requests that did not become messages, in one transaction. It fails with
	// Overloaded as Accept does.
	InsertRequests(ctx context.Context, requests []hark.Request) error
	// Request finds a request of a source, with head and body.
	Request(ctx context.Context, source hark.Ref, id hark.RequestID) (hark.Request, error)
	// SourceOfRequest finds out which source of an environment a request came to.
	SourceOfRequest(ctx context.Context, env hark.EnvironmentID, id hark.RequestID) (hark.SourceID, error)
	// ListRequests lists the requests of some sources, newest first, without heads and bodies.
	ListRequests(ctx context.Context, sources []hark.Ref, filter RequestFilter, page Page) ([]hark.Request, error)
	// AdoptRequest says that a request became a message later, by hand: its head and body are the
	// message's from then on.
	AdoptRequest(ctx context.Context, source hark.Ref, id hark.RequestID, message hark.MessageID) error
	// ExpungeRequest deletes head and body of a request that did not become a message.
	ExpungeRequest(ctx context.Context, source hark.Ref, id hark.RequestID) error
	// CountRequests counts a source's requests that came at since or later, up to limit.
	CountRequests(ctx context.Context, source hark.Ref, since time.Time, limit int) (int, error)
}
