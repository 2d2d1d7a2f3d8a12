package store

import (
	"context"
	"errors"
	"time"

	"github.com/harkhq/hark"
)

// ErrUnfinished is what opening a store answers that an import did not finish: nobody may take a part
// for the whole.
var ErrUnfinished = errors.New("an import into this store was not finished")

// Mover is what a store offers for moving everything it keeps to another one, of whichever kind.
type Mover interface {
	// CountMessages says how many messages Export would visit now, to show how far it has come.
	CountMessages(ctx context.Context) (int64, error)
	// Export visits everything that the store keeps, as of one moment, while everything else goes on.
	// Records come in the order of Record's fields; configuration, guards and tasks are sorted by what
	// names them, messages come in the order of their acceptance. What visit is given is its own.
	// The error of visit ends the export and is returned as it is.
	Export(ctx context.Context, visit func(*Record) error) error
	// BeginImport prepares an empty store for an import. It answers Conflict if the store keeps
	// anything. Until Finish the store cannot be opened again (ErrUnfinished), and nobody else may use it.
	BeginImport(ctx context.Context) (Importer, error)
}

// Importer takes in what another store has exported. It is for one goroutine.
type Importer interface {
	// Add keeps records in one transaction. They come in Export's order; OnQueued is not called.
	Add(ctx context.Context, records []Record) error
	// Finish says that the import is whole.
	Finish(ctx context.Context) error
}

// Record is one thing that a store keeps; one of its fields is set. Refs mean nothing to another
// store, so the refs in records are numbers: applications, endpoints, sources and pollers count from 1 in the order in
// which they come, and messages have none.
type Record struct {
	Environment *hark.Environment
	EventType   *hark.EventType
	Key         *hark.Key
	Task        *hark.Task
	MessageKey  *MessageKey
	Answer      *Answer
	Application *MovedApplication
	Endpoint    *hark.Endpoint  // deleted ones included
	Version     *MovedVersion   // of an endpoint's transformation
	Execution   *hark.Execution // its endpoint is a number
	Source      *MovedSource
	Poller      *hark.Poller // its ref is a number, too; what reads fill in is left out
	Items       *MovedItems
	Feed        *MovedFeed // of a consumer that has been fed
	Message     *MovedMessage
	Request     *hark.Request // of a source's number; head and body of one that became a message are the message's
}

// MessageKey is what a message holds against those that repeat it: the idempotency key of the request
// that carried it, or the key of one of its deliveries, which has no fingerprint.
type MessageKey struct {
	IdempotencyKey
	MessageID hark.MessageID
}

// MovedApplication is an application, a deleted one maybe: history names those too.
type MovedApplication struct {
	hark.Application
	DeletedAt time.Time // zero while it lives
}

// MovedVersion is a version of an endpoint's transformation.
type MovedVersion struct {
	EndpointRef hark.Ref // its number
	hark.TransformationVersion
}

// MovedSource is a source, a deleted one maybe: its requests are still there.
type MovedSource struct {
	hark.Source
	DeletedAt time.Time // zero while it lives
}

// MovedItems are some of the items that a poller knows, in their order.
type MovedItems struct {
	PollerRef hark.Ref // its number
	Items     []PollerItem
}

// MaxMovedItems is how many items one record has at most.
const MaxMovedItems = 1000

// MovedFeed is how far a consumer's feed has come, and the places of its groups.
type MovedFeed struct {
	EndpointRef hark.Ref // its number
	Last        int64    // the last number given out
	Cursors     []Cursor // by group
}

// Cursor is a group's place in a feed.
type Cursor struct {
	Group     string
	Seq       int64
	UpdatedAt time.Time
}

// Fed is a message's place in a consumer's feed.
type Fed struct {
	EndpointRef hark.Ref
	Seq         int64
	At          time.Time
}

// MovedMessage is a message with all that belongs to it.
type MovedMessage struct {
	hark.Message
	Attempts []hark.Attempt  // in the order of their ids; what reads fill in and the application are left out
	Queue    []hark.Delivery // by endpoint and due; only what belongs to the row itself
	Fed      []Fed           // by endpoint and seq
}

// What importing a record answers that cannot be right.
var (
	// ErrBadNumber says that it names an application, endpoint, source or poller which did not come before.
	ErrBadNumber = errors.New("a record names an application, endpoint, source or poller that did not come before it")
	// ErrTwice says that something with its name is there already.
	ErrTwice = errors.New("two records have the same name")
)
