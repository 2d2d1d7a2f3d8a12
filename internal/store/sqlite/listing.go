package sqlite

import (
	"context"
	"sync/atomic"

	"github.com/harkhq/hark"
)

// The lists of messages and attempts are read by application and by endpoint. An index entry for
// each row at once would make every small commit touch as many index pages as it has rows, most of
// what the commit then writes. So rows come in unlisted, outside the (partial) indexes, and are
// listed behind, many at a time: when listEvery of them have come together, and before a list is
// read, so that nobody misses anything.

// listEvery is how many rows may wait: some milliseconds of the writer's time.
const listEvery = 4096

// listing is the writer's knowledge of what is not listed yet.
type listing struct {
	listed
	behind atomic.Int64 // rows committed and not listed, for readers
}

// listed is where listing has come to.
type listed struct {
	nextListedMessage hark.Ref // the first that is not listed
	nextListedAttempt hark.Ref
	unlisted          int // rows from there on
}

// marks are what a rollback restores.
type marks struct {
	nextMessage, nextAttempt hark.Ref
	listed
}

func (w *writer) marks() marks { return marks{w.nextMessage, w.nextAttempt, w.listing.listed} }

const (
	listedSQL = `SELECT next FROM counter WHERE name = ?`

	setListedSQL = `INSERT INTO counter (name, next) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET next = ?2`

	listMessagesSQL = `UPDATE OR ROLLBACK message SET listed = 1 WHERE ref >= ? AND ref < ? AND listed = 0`

	listAttemptsSQL = `UPDATE OR ROLLBACK attempt SET listed = 1 WHERE ref >= ? AND ref < ? AND listed = 0`
)

func (w *writer) loadListing() (err error) {
	if w.nextListedMessage, err = w.c.int(listedSQL, "listed message"); err != nil {
		return err
	}
	if w.nextListedAttempt, err = w.c.int(listedSQL, "listed attempt"); err != nil {
		return err
	}
	w.unlisted = int(w.nextMessage - w.nextListedMessage + w.nextAttempt - w.nextListedAttempt)
	w.behind.Store(int64(w.unlisted))
	return nil
}

// list lists everything that the transaction sees.
func (w *writer) list() error {
	if err := w.flush(); err != nil {
		return err
	}
	if _, err := w.c.exec(listMessagesSQL, w.nextListedMessage, w.nextMessage); err != nil {
		return err
	}
	if _, err := w.c.exec(listAttemptsSQL, w.nextListedAttempt, w.nextAttempt); err != nil {
		return err
	}
	w.listing.listed = listed{nextListedMessage: w.nextMessage, nextListedAttempt: w.nextAttempt}
	if _, err := w.c.exec(setListedSQL, "listed message", w.nextMessage); err != nil {
		return err
	}
	_, err := w.c.exec(setListedSQL, "listed attempt", w.nextAttempt)
	return err
}

// catchUp lists what was committed so far.
func (s *Store) catchUp(ctx context.Context) error {
	if s.writer == nil || s.writer.behind.Load() == 0 {
		return nil
	}
	return s.change(ctx, func(*conn) error { return s.writer.list() })
}

// viewLists is view for reads of lists. Where the store cannot write, because the disk is full, it
// shows what is listed rather than nothing.
func (s *Store) viewLists(ctx context.Context, f func(*conn) error) error {
	if err := s.catchUp(ctx); err != nil && hark.CodeOf(err) != hark.Unavailable {
		return err
	}
	return s.view(ctx, f)
}
