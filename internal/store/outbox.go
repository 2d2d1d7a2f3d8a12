package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Outbox is what a store offers into which applications can put messages by themselves, in their own
// transactions: a row that was committed there waits, and becomes a message exactly once. A store that
// applications cannot write to does not implement it.
//
// A row is taken by accepting its message with Acceptance.OutboxRow set. Any node may do that, and
// several at once: all but one of them hear Taken.
type Outbox interface {
	// ReadOutbox reads rows that wait, by ascending id, those behind after first: at most limit, and
	// about maxBytes of payloads, but one at least if there is any. A payload that is larger than
	// maxBytes comes as nil.
	ReadOutbox(ctx context.Context, after int64, limit, maxBytes int) ([]OutboxRow, error)
	// RefuseOutbox says in rows that wait why their message cannot be accepted. They wait no longer,
	// until somebody clears the reason.
	RefuseOutbox(ctx context.Context, refusals []OutboxRefusal, now time.Time) error
	// OnOutbox names the function that is told that rows were committed. It must not block; missing
	// calls are made up for by reading. It is called while Cluster.Watch runs, and named before.
	OnOutbox(func())
}

// OutboxRow is a message as an application put it into the outbox. Nothing of it was checked.
type OutboxRow struct {
	ID            int64
	EnvironmentID hark.EnvironmentID // "" when there is no environment of that id or name
	Environment   string             // as it was written
	Application   string             // its id or uid
	EventType     string
	EventID       string
	Payload       []byte
	Channels      []string
	Tags          []string
	DeliverAt     time.Time
	CreatedAt     time.Time // by the database's clock
}

// OutboxRefusal is why a row's message was not accepted.
type OutboxRefusal struct {
	ID     int64
	Reason string
}
