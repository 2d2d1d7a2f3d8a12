// Package postgres keeps everything Hark has in a PostgreSQL database that several nodes share.
//
// It promises what store.Store, store.Cluster and store.Outbox promise: a write that returned nil is committed
// (and as durable as synchronous_commit says), one that returned an error left nothing behind, and a
// connection that was lost heals by itself. While the database is away calls fail with Unavailable
// within some seconds; only a write whose commit was on its way just then, and whose outcome cannot
// be asked for within that time, may have been kept although its caller was told otherwise. The
// package refuses to hold a transaction across anything slow, and to use a schema that it does not know.
//
// Writers take everything that is waiting and write it as one transaction of a few statements with
// arrays for parameters, sent in one go, so that a hundred callers share one round trip and one fsync:
//
//	Accept, Settle, … ──▶ waiting ──▶ writer: one batch ──▶ commit ──▶ OnQueued ──▶ callers wake
//	                                                                 └──▶ bell: wakes the other nodes
//
// The statements are plain ones, so that databases that speak PostgreSQL's language can serve.
// Partitions and NOTIFY are used unless they are switched off.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// Options say how to open a store. The zero value is useful.
type Options struct {
	// Sealer encrypts endpoints' secrets and header values. Nil keeps them as they are.
	Sealer store.Sealer
	// Logger hears of trouble with the database. Nil is silent.
	Logger *slog.Logger
	// MaxWaiting and MaxWaitingBytes bound what waits to be written: more messages or bytes are
	// Overloaded. Zero means DefaultMaxWaiting and DefaultMaxWaitingBytes.
	MaxWaiting      int
	MaxWaitingBytes int
	// Writers and Readers are the numbers of connections for the hot path and for everything else;
	// zero means DefaultWriters and DefaultReaders. Listening and waking take two more.
	Writers int
	Readers int
	// Migrate brings the schema up to date. Without it a schema with pending migrations is refused.
	Migrate bool

	// NoNotify is for databases without LISTEN and NOTIFY, and for poolers that do not pass them on:
	// other nodes find out by polling. A schema that is made with it has no trigger on the outbox.
	NoNotify bool
	// NoPartitions is for databases without partitions: what is old is deleted instead of dropped.
	// It is decided when the schema is made, and remembered there.
	NoPartitions bool
}

// Defaults of Options.
const (
	DefaultMaxWaiting      = 20_000 // half a second of writing
	DefaultMaxWaitingBytes = 64 << 20
	DefaultWriters         = 2 // one writes while the other's commit is on its way to the disk
	DefaultReaders         = 8
)

// Store is a PostgreSQL database that implements store.Store, store.Cluster and store.Outbox.
type Store struct {
	kinds
	config      *pgx.ConnConfig
	pool        *pgxpool.Pool
	seal        row.Seal
	log         *slog.Logger
	writers     *writers
	sweeper     *row.Sweeper
	bell        *bell
	reclaiming  sync.Mutex // one Reclaim at a time
	walk        row.Walk
	walkSources row.Walk
	walkFeeds   row.FeedWalk
	commits     atomic.Int64

	byDay bool     // the schema is partitioned
	days  sync.Map // days that have tables

	node atomic.Pointer[membership] // nil before the first Beat
	beat sync.Mutex

	listeners listeners

	closing sync.Once
	closed  chan struct{}
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Cluster = (*Store)(nil)
	_ store.Outbox  = (*Store)(nil)
)

// Open connects to the database that the URL names.
func Open(ctx context.Context, url string, options Options) (_ *Store, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{
		config: config.ConnConfig,
		seal:   row.Seal{Sealer: options.Sealer},
		log:    cmp.Or(options.Logger, slog.New(slog.DiscardHandler)),
		closed: make(chan struct{}),
	}
	s.kinds = s.newKinds()
	defer func() {
		if err != nil {
			s.release()
			err = fmt.Errorf("open store: %w", explain(err, s.config))
		}
	}()
	if err := checkSchema(ctx, s.config, options); err != nil {
		return nil, err
	}
	config.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, _ = c.Exec(ctx, readSettingsSQL) // a database that does not know these has no such trouble
		return nil
	}
	config.MaxConns = int32(cmp.Or(options.Readers, DefaultReaders))
	if s.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(ctx), config); err != nil {
		return nil, err
	}
	if err := s.read(ctx, func(c *conn) error {
		n, err := c.int(partitionedSQL)
		if err != nil {
			return err
		}
		s.byDay = n > 0
		return refuseUnfinished(c)
	}); err != nil {
		return nil, err
	}
	s.bell = startBell(s, !options.NoNotify)
	if s.seal.Sealer != nil {
		if err := s.agreeOnKey(ctx); err != nil {
			return nil, err
		}
	}
	if s.writers, err = startWriters(ctx, s, options); err != nil {
		return nil, err
	}
	s.sweeper = row.StartSweeper(s.log, s.sweep)
	return s, nil
}

// explain is translate for people who have just given a URL: they want to know what it led to.
func explain(err error, config *pgx.ConnConfig) error {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok && isAway(err) {
		return &hark.Error{Code: hark.Unavailable, RetryAfter: row.RetryAfter, Detail: fmt.Sprintf(
			"The database %q cannot be reached at %s, port %d", config.Database, config.Host, config.Port)}
	}
	return translate(err)
}

// Compiling a query takes longer than any of these run. And whoever plans while a day's tables are still
// empty takes it that walking through them is best, and remembers that when they are not any more: every
// query here has an index.
const readSettingsSQL = `SET jit = off; SET enable_seqscan = off`

const partitionedSQL = `SELECT count(*) FROM counter WHERE name = 'partitioned'`

// schemaName is where Hark's tables live unless the URL says otherwise: an application whose outbox
// shares the database keeps its own apart.
const schemaName = "hark"

// How long connecting, a call and a transaction of a node that stopped in the middle may take. The
// last bounds how long a stopped node keeps others from taking its shards.
const (
	connectTimeout = 2 * time.Second
	callTimeout    = 8 * time.Second
	idleTimeout    = "3s"
)

func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, hark.Errorf(hark.Invalid, "the database's URL cannot be read (postgres://user:password@host:5432/database)")
	}
	c := config.ConnConfig
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"search_path":                         schemaName,
		"application_name":                    "hark",
		"idle_in_transaction_session_timeout": idleTimeout,
	} {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// Close writes what is waiting and lets reads end.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		s.release()
	})
	return nil
}

// release undoes as much of Open as was done.
func (s *Store) release() {
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	if s.writers != nil {
		s.writers.stop()
	}
	if s.bell != nil {
		s.bell.stop()
	}
	if s.pool != nil {
		s.pool.Close()
	}
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// connect makes a connection beside the pool.
func (s *Store) connect(ctx context.Context, name string) (*pgx.Conn, error) {
	config := s.config.Copy()
	config.RuntimeParams["application_name"] = name
	return pgx.ConnectConfig(ctx, config)
}

// ErrNotMigrated says that migrations are pending.
var ErrNotMigrated = errors.New("the database's schema is not up to date")
