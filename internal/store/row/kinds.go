package row

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Kinds are the kinds of rows with which both stores do the same: configuration, and what is kept beside
// it. It has their methods of store.Store, over the statements of one store.
type Kinds struct {
	access Access
	sql    Statements
}

// Access is how one store is read and changed.
type Access struct {
	Seal Seal
	Read Lend // what f reads in one query is of one moment
	View Lend // all that f reads is
	// Change runs f in a transaction. f may run more than once.
	Change func(ctx context.Context, f func(Conn) error) error
	// Configure is Change for what nodes keep in memory: such changes are made one after the other. f answers
	// which application it changed, whose version is raised then; 0 stands for what belongs to none.
	Configure func(ctx context.Context, f func(Conn) (hark.Ref, error)) error
	// PutItems writes what a poller knows of items, in place of what it knew.
	PutItems func(c Conn, poller hark.Ref, items []store.PollerItem) error
	// Message finds a message of an application, with its payload.
	Message func(q Query, app hark.Ref, id string) (hark.Message, error)
	// Day and Days are what statements are given beside an id, or beside two that others lie between, where rows are
	// kept by days; else nothing.
	Day  func(id hark.KSUID) []any
	Days func(low, high []byte) []any
	// Texts is how a statement is given some texts; none are NULL.
	Texts func([]string) any
	// Sweep is told that there may be queue rows of deleted endpoints.
	Sweep func()
}

// Conn is a connection that is lent to one change.
type Conn struct {
	Query Query
	// Exec runs a statement. A row that cannot go in because one like it is there is store.ErrTwice.
	Exec Exec
	// Insert is Exec for adding one row of a kind whose rows have refs, and answers its ref. That is not
	// among the arguments: either the database or the store counts.
	Insert func(kind, query string, args ...any) (hark.Ref, error)
}

// Exec runs a statement and answers how many rows it changed.
type Exec func(query string, args ...any) (int64, error)

// Statements are one store's, of each kind. Beside each stands what it is given; what it reads are the
// columns that the kind's comment names, in that order.
type Statements struct {
	Environment EnvironmentSQL
	Application ApplicationSQL
	Endpoint    EndpointSQL
	Version     VersionSQL
	Execution   ExecutionSQL
	Source      SourceSQL
	Request     RequestSQL
	Poller      PollerSQL
	Feed        FeedSQL
	EventType   EventTypeSQL
	Key         KeySQL
	Task        TaskSQL
	Answer      AnswerSQL
	MessageKey  MessageKeySQL
	// Alone keeps Configure from others until a transaction ends; "" where there are no others.
	Alone string
}

// Listing are the two statements that read a page of a list, from either end.
type Listing struct{ Up, Down string }

// NewKinds makes them.
func NewKinds(access Access, sql Statements) Kinds { return Kinds{access, sql} }

// listPage reads a page of what an owner has.
func listPage[T any](ctx context.Context, k *Kinds, scan func(Row) (T, error), l Listing, p TextRange, owner any, narrow ...any) ([]T, error) {
	all, err := List(ctx, k.access.Read, scan, Pick(p.Down, l.Up, l.Down), p.Args(owner, narrow...)...)
	return Turned(all, p.Turn), err
}

// update reads a row, has it changed, and writes and reads it again. Both statements end with the key.
func update[T any](c Conn, scan func(Row) (T, error), one, update string, change func(*T) error, values func(*T) []any, key ...any) (v T, err error) {
	if v, err = Find(c.Query, scan, one, key...); err != nil {
		return v, err
	}
	if err := change(&v); err != nil {
		return v, err
	}
	if _, err := c.Exec(update, append(values(&v), key...)...); err != nil {
		return v, err
	}
	return Find(c.Query, scan, one, key...)
}

// must runs a statement, and answers refusal where it changes nothing.
func (c Conn) must(refusal error, query string, args ...any) error {
	n, err := c.Exec(query, args...)
	if err == nil && n == 0 {
		return refusal
	}
	return err
}

// configure is Configure for what belongs to no application.
func (k *Kinds) configure(ctx context.Context, f func(Conn) error) error {
	return k.access.Configure(ctx, func(c Conn) (hark.Ref, error) { return 0, f(c) })
}
