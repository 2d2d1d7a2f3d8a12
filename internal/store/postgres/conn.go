package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harkhq/hark/internal/store/row"
)

// conn is a connection, or a transaction on one, lent to one call. It carries that call's context,
// and lives no longer.
type conn struct {
	ctx context.Context
	raw interface {
		Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	}
}

// exec runs a statement and answers how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	tag, err := c.raw.Exec(c.ctx, query, bind(args)...)
	return tag.RowsAffected(), err
}

// query calls scan for each row; the row is valid until scan returns.
func (c *conn) query(scan func(row.Row) error, query string, args ...any) error {
	rows, err := c.raw.Query(c.ctx, query, bind(args)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := rows.Values()
		if err != nil {
			return err
		}
		if err := scan(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one is query for at most one row; found says whether there was one.
func (c *conn) one(scan func(row.Row) error, query string, args ...any) (found bool, err error) {
	err = c.query(func(r row.Row) error { found = true; return scan(r) }, query, args...)
	return found, err
}

// int answers the first column of the only row, or 0.
func (c *conn) int(query string, args ...any) (n int64, err error) {
	err = c.query(func(r row.Row) error { n = r.Int(0); return nil }, query, args...)
	return n, err
}

// bind turns times into milliseconds.
func bind(args []any) []any {
	for i, a := range args {
		if t, ok := a.(time.Time); ok {
			args[i] = row.Millis(t)
		}
	}
	return args
}

// read lends a connection to f. What f reads in one query is consistent; view is for more. While the
// database is away it is tried again for a moment: reading twice harms nobody.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	return s.patiently(ctx, func(ctx context.Context) error {
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer c.Release()
		return f(&conn{ctx: ctx, raw: c})
	})
}

// lend is read for a single query.
func (s *Store) lend(ctx context.Context, f func(row.Query) error) error {
	return s.read(ctx, func(c *conn) error { return f(c.query) })
}

// view is read with all of f's queries seeing the same commit.
func (s *Store) view(ctx context.Context, f func(*conn) error) error {
	return s.patiently(ctx, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			return f(&conn{ctx: ctx, raw: tx})
		})
	})
}

// How long calls go on while the database is away, before they say so, and how often they look.
const (
	patience = 3 * time.Second
	between  = 50 * time.Millisecond
)

// patiently runs f, again when that may help and until patience ends. f must leave nothing behind
// when it fails.
func (s *Store) patiently(ctx context.Context, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosed() {
		return row.ErrClosed
	}
	end := time.Now().Add(patience)
	for try := 1; ; try++ {
		err := guarded(func() error {
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			return f(ctx)
		})
		if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return err
		}
		if wait, again := s.again(err, try, end); again && pause(ctx, wait) {
			continue
		}
		return translate(err)
	}
}

// again says whether to try once more after err, and how soon.
func (s *Store) again(err error, try int, end time.Time) (wait time.Duration, again bool) {
	switch {
	case s.isClosed() || time.Now().After(end):
		return 0, false
	case isCollision(err):
		return time.Duration(min(try, 20)) * time.Millisecond, true
	case isAway(err):
		return between, true
	}
	return 0, false
}

// pause waits; it answers false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
