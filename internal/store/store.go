// Package store is the contract between Hark and whatever keeps its data. Two stores implement
// it (sqlite and postgres); the suite in storetest says what both must do.
//
// Rules for every method:
//
//   - Errors that a caller can act on are *hark.Error; everything else is wrapped once. No driver
//     error and no SQL leaves a store.
//   - What belongs to another environment or application is hark.ErrNotFound, as if it did not exist.
//   - Time comes in as a parameter or inside the rows, never from the database's clock. Times are
//     kept with millisecond precision and come back in UTC.
//   - A write has been fsynced when its method returns nil. When it returns an error, nothing of
//     it was kept.
//   - Slices and maps given to a store are not changed or kept by it; what it returns is the
//     caller's own.
package store

import (
	"context"
	"io"
	"time"

	"github.com/harkhq/hark"
)

// Store is everything Hark keeps.
type Store interface {
	Environments
	Applications
	Endpoints
	Transformations
	EventTypes
	Keys
	Sources
	Pollers
	Messages
	Requests
	Queue
	Feed
	History
	Tails
	Guards
	Tasks
	Upkeep
	io.Closer
}

// Page asks for one page of a list. Lists are ordered by id (event types by name).
type Page struct {
	Limit      int    // at most this many rows
	Descending bool   // newest first
	From       string // start behind this id (or name), in the list's direction; "" starts at the beginning
	Backward   bool   // take the page that ends just before From instead; rows still come in the list's order
}

// Environments are tenant roots.
type Environments interface {
	// InsertEnvironment adds one; Conflict if its id or its name exists.
	InsertEnvironment(ctx context.Context, env hark.Environment) error
	UpdateEnvironment(ctx context.Context, id hark.EnvironmentID, change func(*hark.Environment) error) (hark.Environment, error)
	Environment(ctx context.Context, id hark.EnvironmentID) (hark.Environment, error)
	// ListEnvironments lists all, oldest first.
	ListEnvironments(ctx context.Context) ([]hark.Environment, error)
}

// Applications of an environment. Update methods read the row, call change and write the row back,
// all in one transaction; change may run more than once and its error aborts and is returned as it is.
type Applications interface {
	// InsertApplication adds one and answers it with its Ref; Conflict (with Existing) if the uid is taken.
	InsertApplication(ctx context.Context, app hark.Application) (hark.Application, error)
	UpdateApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, change func(*hark.Application) error) (hark.Application, error)
	// DeleteApplication makes it, its endpoints, sources and queue disappear; its uid is free at once.
	DeleteApplication(ctx context.Context, env hark.EnvironmentID, idOrUID string, now time.Time) error
	Application(ctx context.Context, env hark.EnvironmentID, idOrUID string) (hark.Application, error)
	ApplicationByRef(ctx context.Context, ref hark.Ref) (hark.Application, error)
	ListApplications(ctx context.Context, env hark.EnvironmentID, filter ApplicationFilter, page Page) ([]hark.Application, error)
}

// ApplicationFilter narrows ListApplications.
type ApplicationFilter struct {
	WithEndpoints        bool // leave out those with no endpoint
	WithEnabledEndpoints bool // leave out those whose endpoints are all disabled (and those with none)
}

// Endpoints of an application. Deleted endpoints are not found by Endpoint, EachEndpoint and
// ListEndpoints, but history still names them.
type Endpoints interface {
	// InsertEndpoint adds one and answers it with its Ref; Conflict (with Existing) if the uid is taken.
	InsertEndpoint(ctx context.Context, ep hark.Endpoint) (hark.Endpoint, error)
	UpdateEndpoint(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Endpoint) error) (hark.Endpoint, error)
	// DeleteEndpoint soft-deletes it, frees its uid and removes its queue.
	DeleteEndpoint(ctx context.Context, app hark.Ref, idOrUID string, now time.Time) error
	Endpoint(ctx context.Context, app hark.Ref, idOrUID string) (hark.Endpoint, error)
	ListEndpoints(ctx context.Context, app hark.Ref, page Page) ([]hark.Endpoint, error)
	// ListConsumers is ListEndpoints for those that are pulled, which that leaves out.
	ListConsumers(ctx context.Context, app hark.Ref, page Page) ([]hark.Endpoint, error)
	// AllEndpoints lists every live endpoint of an application, oldest first; consumers come last.
	AllEndpoints(ctx context.Context, app hark.Ref) ([]hark.Endpoint, error)
	// EndpointsByRef finds endpoints, deleted ones included; unknown refs are left out.
	EndpointsByRef(ctx context.Context, refs []hark.Ref) ([]hark.Endpoint, error)
}

// Transformations keeps what endpoints' transformations were and did. What one is now is a part of its
// endpoint: where InsertEndpoint and UpdateEndpoint find other code than there was, they count its version
// and keep it. The newest MaxTransformationVersions are kept while the endpoint lives.
type Transformations interface {
	// TransformationVersions lists an endpoint's versions without their code, newest first.
	TransformationVersions(ctx context.Context, endpoint hark.Ref) ([]hark.TransformationVersion, error)
	TransformationVersion(ctx context.Context, endpoint hark.Ref, number int) (hark.TransformationVersion, error)
	// LogExecutions keeps executions: of each endpoint the newest MaxExecutions, for ExecutionLife.
	LogExecutions(ctx context.Context, executions []hark.Execution) error
	// ListExecutions lists an endpoint's executions; page.From is an attempt's id.
	ListExecutions(ctx context.Context, endpoint hark.Ref, page Page) ([]hark.Execution, error)
}

// EventTypes of an environment, in the order of their names.
type EventTypes interface {
	// InsertEventType adds one; EventTypeExists if the name exists, archived or not.
	InsertEventType(ctx context.Context, et hark.EventType) error
	UpdateEventType(ctx context.Context, env hark.EnvironmentID, name string, change func(*hark.EventType) error) (hark.EventType, error)
	// DeleteEventType removes it for good (archiving is an update).
	DeleteEventType(ctx context.Context, env hark.EnvironmentID, name string) error
	EventType(ctx context.Context, env hark.EnvironmentID, name string) (hark.EventType, error)
	ListEventTypes(ctx context.Context, env hark.EnvironmentID, filter EventTypeFilter, page Page) ([]hark.EventType, error)
}

// EventTypeFilter narrows ListEventTypes.
type EventTypeFilter struct {
	IncludeArchived bool
	// Flags, when not nil, hides event types that have feature flags of which none is listed.
	Flags []string
}

// Keys are API keys.
type Keys interface {
	InsertKey(ctx context.Context, key hark.Key) error
	UpdateKey(ctx context.Context, env hark.EnvironmentID, id hark.KeyID, change func(*hark.Key) error) (hark.Key, error)
	// KeyByHash finds a key by the SHA-256 of its text, revoked and expired ones included.
	KeyByHash(ctx context.Context, hash [32]byte) (hark.Key, error)
	ListKeys(ctx context.Context, env hark.EnvironmentID, page Page) ([]hark.Key, error)
}

// Acceptance is one message to be accepted, with its deliveries, in one transaction.
type Acceptance struct {
	EnvironmentID hark.EnvironmentID
	Message       hark.Message    // ID set, Ref not; Accept sets Ref and points the deliveries at it
	Deliveries    []hark.Delivery // MessageRef not set; Accept sets it
	// Key, when not nil, is the idempotency key of the request that carries the message.
	Key *IdempotencyKey
	// Unique are the deliveries that are made only where no equal one was: one whose key stands is
	// left out of Deliveries and Message.Matched, and put into Message.Duplicates.
	Unique []UniqueDelivery
	// Request, when not nil, is the inbound request that becomes the message. It is kept with it, or
	// not at all; its Head and Body are the message's.
	Request *hark.Request
	// ConfigVersion is the version of the application by which the message was matched; when it is
	// not the application's version any more, the outcome is Stale. Zero is not compared.
	ConfigVersion int64
	// OutboxRow, when not 0, is the row of the Outbox that the message comes from: it is removed in
	// the same transaction, if the message is accepted. When it is gone already, the outcome is Taken.
	OutboxRow int64

	// Outcome is set by Accept.
	Outcome Outcome
	// Existing is the id of the message that was accepted earlier, for the outcomes that say so.
	Existing hark.MessageID
}

// IdempotencyKey is a caller's key, hashed together with who called and what.
type IdempotencyKey struct {
	Hash        [32]byte
	Fingerprint [32]byte // of the request's body
	ExpiresAt   time.Time
}

// UniqueDelivery is a delivery that is not made while an equal one's key stands. A key stands from the
// acceptance of the message that took it until it expires, whatever becomes of that one's delivery.
type UniqueDelivery struct {
	Index     int // among the Acceptance's deliveries
	Hash      [32]byte
	ExpiresAt time.Time

	// Existing is set by Accept: the message that holds the key; "" when the delivery is made.
	Existing hark.MessageID
}

// Outcome is what became of an Acceptance.
type Outcome int8

// Outcomes.
const (
	Accepted       Outcome = iota // kept; its deliveries are queued
	Repeated                      // the same idempotency key and request came before: Existing is its message
	KeyReused                     // the same idempotency key came with another request: nothing kept
	DuplicateEvent                // the application has a message with this event id: Existing; nothing kept
	Stale                         // the application was changed since ConfigVersion: nothing kept, match it again
	Taken                         // OutboxRow is gone: another node has accepted its message; nothing kept
)

// Messages are append only, and dropped by retention.
type Messages interface {
	// Accept keeps messages and their deliveries: all of them in one transaction. Earlier ones in
	// the slice count as existing for later ones. It fails with Overloaded when too much is
	// waiting to be written, and with Unavailable when the disk cannot take it.
	Accept(ctx context.Context, accept []*Acceptance) error
	// OnQueued names the function that is told of deliveries which Accept and Enqueue have
	// committed. It is called before the writing method returns and before any later write to
	// these rows commits, never concurrently; it must not block and may keep what it is given.
	// It is set once, before the first write. In a Cluster, where that cannot be promised of a row,
	// because another node may have written to it or the commit was in doubt, its owner is woken.
	OnQueued(func([]hark.Delivery))

	// Message finds a message by id or event id.
	Message(ctx context.Context, app hark.Ref, idOrEventID string, withPayload bool) (hark.Message, error)
	// MessagesByRef finds messages with their payloads; unknown refs are left out.
	MessagesByRef(ctx context.Context, refs []hark.Ref) ([]hark.Message, error)
	// ListMessages lists an application's messages, newest first unless filter.OldestFirst.
	ListMessages(ctx context.Context, app hark.Ref, filter MessageFilter, page Page) ([]hark.Message, error)
	// ExpungePayload deletes a message's payload for good.
	ExpungePayload(ctx context.Context, app hark.Ref, idOrEventID string) error
	// ExpungePayloads deletes up to limit payloads of an application, those behind after first;
	// it answers how many, and the ref to go on from (0: done).
	ExpungePayloads(ctx context.Context, app hark.Ref, after hark.Ref, limit int) (expunged int, next hark.Ref, err error)
}

// MessageFilter narrows message lists. Zero fields do not.
type MessageFilter struct {
	After, Before time.Time // created after / before, exclusive
	EventTypes    []string
	Channel       string
	Tag           string
	WithPayload   bool
	// OldestFirst makes the page be taken from the oldest end; the rows still come newest first.
	OldestFirst bool
}

// Position is a place in an endpoint's queue: rows are ordered by Due, then MessageRef.
type Position struct {
	Due        int64
	MessageRef hark.Ref
}

// Backlog says that an endpoint has queued deliveries.
type Backlog struct {
	ApplicationRef hark.Ref
	EndpointRef    hark.Ref
	First          Position
}

// Settlement is the end of one attempt: what to remember, and what becomes of the queue row.
type Settlement struct {
	Delivery hark.Delivery // the row as it was read: its key names the row
	Attempt  *hark.Attempt // nil: nothing was sent, only the row changes
	// Retry, when not nil, is the row's next state (attempts, and Due or RetryAt); nil removes the
	// row. A row that is gone meanwhile (its endpoint was deleted) stays gone; the attempt is kept.
	Retry *hark.Delivery
	// OwnURL says that the attempt went where only it went: its URL is kept with it alone.
	OwnURL bool
	// Succeeded makes every other queued row of the same message and endpoint go as well: a
	// resend that worked cancels the retry that was planned.
	Succeeded bool
	// FedAt, when not zero, appends the message to the feed of its consumer, instead of an attempt: if
	// the row is still there, so that a settlement which comes twice feeds once.
	FedAt time.Time
	// Told says that a consumer's reader has told how its own server answered: the attempt is kept, no
	// queue row is touched, and no lease is needed, for nobody delivers to a consumer.
	Told bool
	// Epoch is that of the lease under which the attempt was made (Leases.Held); zero where the
	// store is one process's own.
	Epoch int64

	// Fenced is set by Settle when another node delivers for the endpoint now: nothing of the
	// settlement was kept.
	Fenced bool
}

// Queue holds due deliveries: small and hot. A row leaves when its delivery is settled.
type Queue interface {
	// Backlogs lists the endpoints that have queued deliveries; its cost follows the number of
	// endpoints, not of deliveries.
	Backlogs(ctx context.Context) ([]Backlog, error)
	// ReadQueue reads an endpoint's rows behind a position, in order. Message is not filled.
	ReadQueue(ctx context.Context, endpoint hark.Ref, after Position, limit int) ([]hark.Delivery, error)
	// Enqueue adds deliveries of stored messages (resend, replay). A row whose key exists is left as it is.
	Enqueue(ctx context.Context, deliveries []hark.Delivery) error
	// Settle records attempts and moves or removes queue rows, in one transaction.
	Settle(ctx context.Context, settlements []Settlement) error
}

// AttemptFilter narrows attempt lists. Zero fields do not.
type AttemptFilter struct {
	Status          *hark.AttemptStatus // of the attempt; in lists of messages, of the delivery
	StatusCodeClass *int                // 0: no response; 100 … 500
	EventTypes      []string
	Channel         string
	Tag             string
	EndpointRef     hark.Ref // for lists by message
	After, Before   time.Time
	OldestFirst     bool
	WithResponse    bool
}

// EndpointMessage is a message as one endpoint saw it: with its delivery's state.
type EndpointMessage struct {
	Message     hark.Message
	Status      hark.AttemptStatus
	NextAttempt time.Time
}

// MessageEndpoint is an endpoint as one message saw it.
type MessageEndpoint struct {
	Endpoint    hark.Endpoint
	Status      hark.AttemptStatus
	NextAttempt time.Time
}

// AttemptStats counts an endpoint's attempts.
type AttemptStats struct{ Succeeded, Failed, Sending, Pending, Canceled int64 }

// History is attempts: append only, and dropped with their message.
//
// The state of a delivery is derived: any success means Succeeded; else, if its queue row is
// there, Sending (Pending when nothing was attempted); else Failed when the last attempt was the
// last of its schedule, Canceled when it was canceled, or a next one was planned and its row is gone. What is
// in a feed has succeeded by that, until somebody tells of an attempt.
type History interface {
	// Attempt finds one attempt of a message.
	Attempt(ctx context.Context, app, message hark.Ref, id hark.AttemptID) (hark.Attempt, error)
	AttemptsByEndpoint(ctx context.Context, endpoint hark.Ref, filter AttemptFilter, page Page) ([]hark.Attempt, error)
	AttemptsByMessage(ctx context.Context, message hark.Ref, filter AttemptFilter, page Page) ([]hark.Attempt, error)
	// AttemptedMessages lists the messages that an endpoint has attempts of, newest message first;
	// page.From is a message id.
	AttemptedMessages(ctx context.Context, endpoint hark.Ref, filter AttemptFilter, withPayload bool, page Page) ([]EndpointMessage, error)
	// AttemptedEndpoints lists the endpoints that a message has attempts at, deleted ones
	// included, by ascending endpoint id.
	AttemptedEndpoints(ctx context.Context, message hark.Ref, page Page) ([]MessageEndpoint, error)
	// DeliveryStates says, for each of the endpoints, what became of a message there.
	DeliveryStates(ctx context.Context, message hark.Ref, endpoints []hark.Ref) (map[hark.Ref]MessageEndpoint, error)
	// ExpungeResponse replaces an attempt's response body by the word EXPUNGED, and forgets its header.
	ExpungeResponse(ctx context.Context, app, message hark.Ref, id hark.AttemptID) error
	AttemptStats(ctx context.Context, endpoint hark.Ref, since, until time.Time) (AttemptStats, error)
	// FailingSince says since when an endpoint has had nothing but failed attempts (canceled ones do not count), looking back
	// to floor and no further. ok is false when its last attempt succeeded or there is none.
	FailingSince(ctx context.Context, endpoint hark.Ref, floor time.Time) (since time.Time, ok bool, err error)

	// Failed, Missing and Attempted page through messages to replay to an endpoint: those created
	// in [since, until) whose delivery failed for good (or was canceled), those that were never
	// attempted or queued there, and those that were attempted. They answer refs in ascending
	// order behind after, and the ref to go on from (0: done).
	Failed(ctx context.Context, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error)
	Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error)
	Attempted(ctx context.Context, endpoint hark.Ref, filter AttemptFilter, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error)
}

// Answer is the remembered answer to a request with an idempotency key that was not a message.
type Answer struct {
	Key    IdempotencyKey
	Status int    // 0: a reservation, the request is being worked on
	Header []byte // opaque to the store
	Body   []byte
}

// Guards remember what must not happen twice.
type Guards interface {
	// Reserve takes a key, until it expires, for a request that is being worked on; false if an
	// unexpired answer or reservation stands under it.
	Reserve(ctx context.Context, key IdempotencyKey, now time.Time) (bool, error)
	// Release gives a reservation up; an answer stays.
	Release(ctx context.Context, hash [32]byte) error
	// Remember keeps an answer until its key expires, in place of a reservation; an existing unexpired
	// answer stays.
	Remember(ctx context.Context, answer Answer, now time.Time) error
	// Recall finds an unexpired answer or reservation; hark.ErrNotFound if there is none.
	Recall(ctx context.Context, hash [32]byte, now time.Time) (Answer, error)
}

// Tasks are work in the background.
type Tasks interface {
	InsertTask(ctx context.Context, task hark.Task) error
	UpdateTask(ctx context.Context, id hark.TaskID, change func(*hark.Task) error) (hark.Task, error)
	Task(ctx context.Context, env hark.EnvironmentID, id hark.TaskID) (hark.Task, error)
	ListTasks(ctx context.Context, env hark.EnvironmentID, status, kind string, page Page) ([]hark.Task, error)
	// RunningTasks lists the unfinished tasks of all environments, to go on with after a restart.
	RunningTasks(ctx context.Context) ([]hark.Task, error)
}

// Stats is a quick look at a store.
type Stats struct {
	Bytes     int64 // of its files
	FreeBytes int64 // inside them, reusable
	Waiting   int   // writes waiting to be committed
	Commits   int64 // since it was opened
}

// Upkeep keeps a store small and safe.
type Upkeep interface {
	// Reclaim does one bounded piece of retention: it deletes up to limit expired payloads,
	// messages with their attempts and guards, and gives space back. more says that there is more
	// to do at once. A message that is still queued anywhere is kept.
	Reclaim(ctx context.Context, now time.Time, limit int) (more bool, err error)
	// Backup writes a consistent copy to a new file while everything goes on.
	Backup(ctx context.Context, path string) error
	// Check verifies the store's integrity; it answers what is wrong, one sentence each.
	Check(ctx context.Context) ([]string, error)
	Stats(ctx context.Context) (Stats, error)
	// Ping answers whether the store can write.
	Ping(ctx context.Context) error
}

// Sealer encrypts what must not be readable at rest. about binds the sealed bytes to their place
// (environment, row, column), so that rows cannot be swapped.
type Sealer interface {
	Seal(plain, about []byte) []byte
	Open(sealed, about []byte) ([]byte, error)
}
