// Package sqlite keeps everything Hark has in one SQLite file, with a pure-Go driver.
//
// It promises what store.Store promises: a write that returned nil has been fsynced, one that
// returned an error left nothing behind, and reads never wait for writes. It refuses a second
// process on the same folder (ErrLocked), and it refuses writes with Overloaded, instead of
// queueing without bound, when the disk cannot follow.
//
// One goroutine writes. It takes everything that is waiting and commits it as one transaction,
// so that a hundred callers share one fsync:
//
//	Accept, Settle, … ──▶ waiting ──▶ writer: one transaction ──▶ fsync ──▶ OnQueued ──▶ callers wake
//	                                     │
//	                                     └─▶ checkpointer: moves the log into the file, beside it
//
// Readers have connections of their own, and see the last commit.
package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// Options say how to open a store. The zero value is useful.
type Options struct {
	// Sealer encrypts endpoints' secrets and header values. Nil keeps them as they are.
	Sealer store.Sealer
	// Logger hears of trouble with the disk. Nil is silent.
	Logger *slog.Logger
	// MaxWaiting and MaxWaitingBytes bound what waits to be written: more messages or bytes are
	// Overloaded. Zero means DefaultMaxWaiting and DefaultMaxWaitingBytes.
	MaxWaiting      int
	MaxWaitingBytes int
	// Readers is the number of reading connections; zero means DefaultReaders.
	Readers int
	// ReadOnly opens a store beside the process that owns it, for a look or a backup. Every write
	// is refused.
	ReadOnly bool
}

// Defaults of Options.
const (
	DefaultMaxWaiting      = 20_000 // half a second of writing
	DefaultMaxWaitingBytes = 64 << 20
	DefaultReaders         = 4
)

// The files in a data folder.
const (
	databaseFile = "hark.db"
	lockFile     = "hark.lock"
)

// Store is a SQLite file that implements store.Store.
type Store struct {
	kinds
	path        string
	seal        row.Seal
	log         *slog.Logger
	lock        *os.File // nil when read only
	readers     chan *conn
	width       int // of the pool of readers
	opened      int // readers that exist
	writer      *writer
	sweeper     *row.Sweeper
	reclaiming  sync.Mutex // one Reclaim at a time
	walk        row.Walk
	walkSources row.Walk
	walkFeeds   row.FeedWalk
	commits     atomic.Int64

	closing sync.Once
	closed  chan struct{}
}

var _ store.Store = (*Store)(nil)

// Open opens the store in the folder dir, making both where they are missing.
func Open(ctx context.Context, dir string, options Options) (_ *Store, err error) {
	dir, err = filepath.Abs(dir) // the driver takes a relative path for a host name
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		path:   filepath.Join(dir, databaseFile),
		seal:   row.Seal{Sealer: options.Sealer},
		log:    cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		width:  cmp.Or(options.Readers, DefaultReaders),
		closed: make(chan struct{}),
	}
	s.kinds = s.newKinds()
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.release())
		}
	}()
	if options.ReadOnly {
		if _, err := os.Stat(s.path); err != nil {
			return nil, err
		}
		if err := s.openReaders(); err != nil {
			return nil, err
		}
		return s, s.read(ctx, refuseUnfinished)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.lock, err = lockFolder(filepath.Join(dir, lockFile)); err != nil {
		return nil, err
	}
	c, err := openWriter(s.path)
	if err != nil {
		return nil, err
	}
	if err := migrate(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := refuseUnfinished(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := s.openReaders(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if s.writer, err = startWriter(s, c, options); err != nil {
		return nil, errors.Join(err, c.close())
	}
	s.sweeper = row.StartSweeper(s.log, s.sweep)
	return s, ctx.Err()
}

func (s *Store) openReaders() error {
	readers := make(chan *conn, s.width)
	s.readers = readers
	for range s.width {
		c, err := openReader(s.path)
		if err != nil {
			return err
		}
		readers <- c
		s.opened++
	}
	return nil
}

// Close writes what is waiting, lets reads end, and gives the folder free.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		err = s.release()
	})
	return err
}

// release undoes as much of Open as was done.
func (s *Store) release() error {
	var errs []error
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	for range s.opened { // waits for those that are lent
		errs = append(errs, (<-s.readers).close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.stop())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// read lends a reading connection to f. What f reads in one query is consistent; view is for more.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closed:
		return row.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case c := <-s.readers:
		defer func() { s.readers <- c }()
		return translate(f(c))
	}
}

// lend is read for a single query.
func (s *Store) lend(ctx context.Context, f func(row.Query) error) error {
	return s.read(ctx, func(c *conn) error { return f(c.query) })
}

// view is read with all of f's queries seeing the same commit.
func (s *Store) view(ctx context.Context, f func(*conn) error) error {
	return s.read(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := f(c)
		_, end := c.exec("COMMIT")
		return errors.Join(err, end)
	})
}
