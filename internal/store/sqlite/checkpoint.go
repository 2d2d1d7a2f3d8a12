package sqlite

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/harkhq/hark/internal/store/row"
)

// checkpointer moves committed pages from the log into the file on a connection of its own, so
// that no commit waits for it. SQLite's own way does it inside every n-th commit, which then takes
// tens of milliseconds. The log can start anew only when nothing is left in it, which under load
// never happens by itself; so when little is left, the writer moves that little between two commits.
//
//	log long ──▶ checkpointer: passes beside the writer, until little is left ──▶ writer: the rest
type checkpointer struct {
	store   *Store
	writer  *writer
	c       *conn
	commits int         // since the last look at the log; the writer's own
	running atomic.Bool // from the request until the writer has finished
	rest    atomic.Bool // little is left: the writer's turn
	request chan struct{}
	done    sync.WaitGroup
}

// Sizes in pages of 8 KiB.
const (
	// 8 MiB. What a checkpoint writes at once is what the syncs of commits wait behind: with 32 MiB one request
	// in a hundred took 10 to 15 ms at 1,000 a second, with 8 MiB 4 ms, at the same throughput.
	logPages       = 1024
	logRestPages   = 64
	logPasses      = 4
	commitsPerLook = 16
)

const (
	logLengthSQL  = `PRAGMA wal_checkpoint(NOOP)`
	checkpointSQL = `PRAGMA wal_checkpoint(PASSIVE)`
)

func startCheckpointer(s *Store, w *writer) (*checkpointer, error) {
	c, err := open(s.path, "rw", "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
	if err != nil {
		return nil, err
	}
	k := &checkpointer{store: s, writer: w, c: c, request: make(chan struct{}, 1)}
	k.done.Go(func() {
		for range k.request {
			k.beside()
		}
	})
	return k, nil
}

// stop ends the goroutine; the last connection to close empties the log.
func (k *checkpointer) stop() error {
	close(k.request)
	k.done.Wait()
	return k.c.close()
}

// beside does most of a checkpoint while the writer goes on.
func (k *checkpointer) beside() {
	for range logPasses {
		left, err := k.checkpoint(k.c)
		if err != nil || left <= logRestPages {
			break
		}
	}
	k.rest.Store(true)
	k.writer.nudge()
}

// committed is called by the writer after each commit.
func (k *checkpointer) committed(c *conn) {
	if k.finish(c); k.running.Load() {
		return
	}
	if k.commits++; k.commits < commitsPerLook {
		return
	}
	k.commits = 0
	length, _, err := logLength(c, logLengthSQL)
	if err != nil || length < logPages {
		return
	}
	k.running.Store(true)
	k.request <- struct{}{}
}

// finish lets the writer do the rest, if there is one to do.
func (k *checkpointer) finish(c *conn) {
	if k.rest.CompareAndSwap(true, false) {
		_, _ = k.checkpoint(c) // logged; the next one tries again
		k.running.Store(false)
	}
}

func (k *checkpointer) checkpoint(c *conn) (left int64, err error) {
	length, moved, err := logLength(c, checkpointSQL)
	if err != nil {
		k.store.log.LogAttrs(context.Background(), slog.LevelWarn, "checkpoint", slog.Any("err", translate(err)))
	}
	return length - moved, err
}

func logLength(c *conn, pragma string) (length, moved int64, err error) {
	err = c.query(func(r row.Row) error { length, moved = r.Int(1), r.Int(2); return nil }, pragma)
	return length, moved, err
}
