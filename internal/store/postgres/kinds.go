package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// kinds are the methods that both stores have in common.
type kinds = row.Kinds

// newKinds gives them this store's statements.
func (s *Store) newKinds() kinds {
	return row.NewKinds(row.Access{
		Seal: s.seal,
		Read: s.lend,
		View: func(ctx context.Context, f func(row.Query) error) error {
			return s.view(ctx, func(c *conn) error { return f(c.query) })
		},
		Change: func(ctx context.Context, f func(row.Conn) error) error {
			return s.change(ctx, func(c *conn) error { return f(c.lent()) })
		},
		Configure: func(ctx context.Context, f func(row.Conn) (hark.Ref, error)) error {
			return s.configure(ctx, func(c *conn) (hark.Ref, error) { return f(c.lent()) })
		},
		PutItems: putItems,
		Message:  findWithPayload,
		Day:      func(id hark.KSUID) []any { return []any{dayOf(id) << dayShift} },
		Days: func(low, high []byte) []any {
			first, end := refsBetween(low, high)
			return []any{first, end}
		},
		Texts: func(texts []string) any { return texts },
		Sweep: func() { s.sweeper.Nudge() },
	}, row.Statements{
		Environment: environmentSQL,
		Application: applicationSQL,
		Endpoint:    endpointSQL,
		Version:     transformationSQL,
		Execution:   executionSQL,
		Source:      sourceSQL,
		Request:     requestSQL,
		Poller:      pollerSQL,
		Feed:        feedsSQL,
		EventType:   eventTypeSQL,
		Key:         keySQL,
		Task:        taskSQL,
		Answer:      answerSQL,
		MessageKey:  messageKeySQL,
		Alone:       aloneSQL,
	})
}

// lent is the connection as row's changes use it.
func (c *conn) lent() row.Conn {
	return row.Conn{
		Query: c.query,
		Exec: func(query string, args ...any) (int64, error) {
			n, err := c.exec(query, args...)
			return n, twice(err)
		},
		Insert: func(kind, query string, args ...any) (hark.Ref, error) {
			ref, err := next(c, kind)
			if err != nil {
				return 0, err
			}
			_, err = c.exec(query, append([]any{ref}, args...)...)
			return ref, twice(err)
		},
	}
}

// twice makes store.ErrTwice of the error that says that a row is there already.
func twice(err error) error {
	if isUnique(err) {
		return store.ErrTwice
	}
	return err
}
