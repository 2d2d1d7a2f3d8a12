package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"modernc.org/sqlite"

	"github.com/harkhq/hark/internal/store/row"
)

// conn is one connection with its prepared statements. It speaks to the driver without
// database/sql in between: the pool, the conversions and the locks would cost more than the
// statements. It is for one goroutine at a time.
type conn struct {
	raw   driver.Conn
	stmts map[string]statement
	args  []driver.NamedValue
}

// statement is what the driver's prepared statements can do.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Pages of 8 KiB: with 4 KiB a payload of 1 KiB wastes a quarter of its page and trees are deeper; with
// 16 KiB each commit writes twice as much, because its rows are spread over as many pages.
const (
	openWriterSQL = `PRAGMA busy_timeout = 10000;
PRAGMA page_size = 8192;
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA wal_autocheckpoint = 0;
PRAGMA journal_size_limit = 134217728;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -32768;
PRAGMA foreign_keys = OFF`

	openReaderSQL = `PRAGMA busy_timeout = 10000;
PRAGMA query_only = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -4096`
)

func openWriter(path string) (*conn, error) {
	// SQLite would make the file readable to everybody, and its logs like the file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	c, err := open(path, "rw", openWriterSQL)
	if err != nil {
		return nil, err
	}
	// With NORMAL, SQLite syncs around checkpoints, and the writer itself syncs the log after every
	// commit (sync.go). A mode that does less would break the first promise, so look.
	synchronous, err := c.int("PRAGMA synchronous")
	if err == nil && synchronous != 1 {
		err = fmt.Errorf("synchronous is %d, not NORMAL", synchronous)
	}
	var mode string
	if err == nil {
		err = c.query(func(r row.Row) error { mode = r.Text(0); return nil }, "PRAGMA journal_mode")
	}
	if err == nil && mode != "wal" {
		err = fmt.Errorf("journal mode is %q, not wal", mode)
	}
	if err != nil {
		return nil, errors.Join(translate(err), c.close())
	}
	return c, nil
}

func openReader(path string) (*conn, error) { return open(path, "rw", openReaderSQL) }

func open(path, mode, setup string) (*conn, error) {
	name := (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=" + mode}).String()
	raw, err := (&sqlite.Driver{}).Open(name)
	if err != nil {
		return nil, translate(err)
	}
	c := &conn{raw: raw, stmts: make(map[string]statement)}
	if err := c.script(setup); err != nil {
		return nil, errors.Join(translate(err), c.close())
	}
	return c, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		_ = s.Close() // the connection closes anyway, and says what matters
	}
	return translate(c.raw.Close())
}

// script runs statements that are needed once.
func (c *conn) script(sql string) error {
	x, ok := c.raw.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver cannot run scripts")
	}
	_, err := x.ExecContext(context.Background(), sql, nil)
	return err
}

// prepare finds or makes the prepared statement of a query. Queries are constants, so their
// number is bounded.
func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	raw, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	s, ok := raw.(statement)
	if !ok {
		return nil, errors.New("the driver's statements take no context")
	}
	c.stmts[query] = s
	return s, nil
}

// exec runs a statement and answers how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	bound := c.bind(args)
	return c.run(s, bound)
}

func (c *conn) run(s statement, args []driver.NamedValue) (int64, error) {
	result, err := s.ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query calls scan for each row; the row is valid until scan returns.
func (c *conn) query(scan func(row.Row) error, query string, args ...any) error {
	return c.long(context.Background(), scan, query, args...)
}

// long is query for what may take minutes: it ends with ctx. Most queries are too short to pay
// for the goroutine that this needs.
func (c *conn) long(ctx context.Context, scan func(row.Row) error, query string, args ...any) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	r := make(row.Row, len(values))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for i, v := range values {
			r[i] = v
		}
		if err := scan(r); err != nil {
			return err
		}
	}
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

// bind makes driver arguments; the slice is used again by the next call.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case time.Time:
			a = row.Millis(v)
		case bool:
			a = int64(0)
			if v {
				a = int64(1)
			}
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}
