package sqlite

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
		Day:      func(hark.KSUID) []any { return nil },
		Days:     func([]byte, []byte) []any { return nil },
		Texts:    func(texts []string) any { return row.Encode(texts) },
		Sweep:    func() { s.sweeper.Nudge() },
	}, row.Statements{
		Environment: environmentSQL,
		Application: applicationSQL,
		Endpoint:    endpointSQL,
		Version:     transformationSQL,
		Execution:   executionSQL,
		Source:      sourceSQL,
		Request:     requestSQL,
		Poller:      pollerSQL,
		Feed:        feedSQL,
		EventType:   eventTypeSQL,
		Key:         keySQL,
		Task:        taskSQL,
		Answer:      answerSQL,
		MessageKey:  messageKeySQL,
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
		Insert: func(_, query string, args ...any) (hark.Ref, error) {
			ref, err := c.int(query, args...)
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

const bumpApplicationSQL = `UPDATE application SET version = version + 1 WHERE ref = ?`

// configure is change for what is kept in memory: it raises the version of the application that f has
// changed, if it was one's.
func (s *Store) configure(ctx context.Context, f func(*conn) (hark.Ref, error)) error {
	return s.change(ctx, func(c *conn) error {
		app, err := f(c)
		if err != nil || app == 0 {
			return err
		}
		_, err = c.exec(bumpApplicationSQL, app)
		return err
	})
}
