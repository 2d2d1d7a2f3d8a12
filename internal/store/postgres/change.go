package postgres

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// Everything that is not on the hot path is changed in a transaction of its own, on a connection of
// the pool.

const (
	outcomeSQL = `INSERT INTO outcome (token, at) VALUES ($1, $2) ON CONFLICT DO NOTHING`

	nextSQL = `UPDATE counter SET next = next + 1 WHERE name = $1 RETURNING next - 1`

	aloneSQL = `UPDATE counter SET next = next + 1 WHERE name = 'change'` // as configure begins

	insertChangeSQL = `INSERT INTO change (seq, application, at) VALUES ($1, $2, $3)`

	bumpApplicationSQL = `UPDATE application SET version = version + 1 WHERE ref = $1`
)

// change runs f in a transaction, again where it collides with another one or the database goes
// away. f may run more than once.
func (s *Store) change(ctx context.Context, f func(*conn) error) error {
	token := make([]byte, 16)
	_, _ = rand.Read(token) // never fails
	doubt := false
	err := s.patiently(ctx, func(ctx context.Context) error {
		if doubt {
			if committed, err := s.settleDoubt(ctx, token); err != nil || committed {
				return err
			}
			doubt = false
			_, _ = rand.Read(token) // the one before stands for "not committed" now
		}
		tx, err := s.pool.Begin(ctx)
		if err != nil {
			return err
		}
		c := &conn{ctx: ctx, raw: tx}
		if err := guarded(func() error { return f(c) }); err != nil {
			rollback(ctx, tx)
			return err
		}
		if _, err := c.exec(outcomeSQL, token, time.Now()); err != nil {
			rollback(ctx, tx)
			return err
		}
		err = tx.Commit(ctx)
		doubt = err != nil && inDoubt(err)
		return err
	})
	if err == nil {
		s.commits.Add(1)
	}
	return err
}

// rollback ends a transaction that failed; whether that works says nothing new, unless it does not
// and the connection must go: the pool sees to that.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// settleDoubt finds out whether the transaction with the token was committed. If it was not, it
// takes the token, so that it never will be: an unfinished one is waited for.
func (s *Store) settleDoubt(ctx context.Context, token []byte) (committed bool, err error) {
	tag, err := s.pool.Exec(ctx, outcomeSQL, token, row.Millis(time.Now()))
	return err == nil && tag.RowsAffected() == 0, err
}

// next takes a number from a counter. Its row stays locked until the transaction ends, so that the
// numbers rise in the order of the commits.
func next(c *conn, counter string) (int64, error) { return c.int(nextSQL, counter) }

// configure is change for what nodes keep in memory. Such changes are made one after the other. f
// answers which application it changed: its version is raised, and all nodes are told. 0 stands for
// what belongs to none.
func (s *Store) configure(ctx context.Context, f func(*conn) (hark.Ref, error)) error {
	err := s.change(ctx, func(c *conn) error {
		seq, err := next(c, "change")
		if err != nil {
			return err
		}
		app, err := f(c)
		if err != nil {
			return err
		}
		if app != 0 {
			if _, err := c.exec(bumpApplicationSQL, app); err != nil {
				return err
			}
		}
		_, err = c.exec(insertChangeSQL, seq, app, time.Now())
		return err
	})
	if err == nil {
		s.bell.changed()
	}
	return err
}
