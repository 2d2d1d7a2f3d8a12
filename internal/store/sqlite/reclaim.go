package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// Bounds of one piece of retention.
const (
	reclaimChunk = 100 // messages removed in one transaction: some milliseconds of the writer's time
)

const (
	expireMessageKeysSQL = `DELETE FROM message_key WHERE hash IN (SELECT hash FROM message_key WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`

	expireAnswersSQL = `DELETE FROM answer WHERE rowid IN (SELECT rowid FROM answer WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`

	expiredPayloadsSQL = `SELECT message FROM payload_expiry WHERE expires_at <= ? ORDER BY expires_at, message LIMIT ?`

	// At most 256 pages in one call: 2 MiB.
	vacuumSQL = `PRAGMA incremental_vacuum(256)`

	// Free pages beyond a twentieth of the file: less is used again soon, and moving it is in vain.
	excessSQL = `SELECT max(0, freelist_count - page_count / 20) FROM pragma_freelist_count(), pragma_page_count()`
)

// Reclaim does one bounded piece of retention.
func (s *Store) Reclaim(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	if s.writer == nil {
		return false, errReadOnly
	}
	s.reclaiming.Lock()
	defer s.reclaiming.Unlock()
	s.sweeper.Nudge()
	if err := s.catchUp(ctx); err != nil {
		return false, err
	}
	steps := []func(context.Context, time.Time, int) (int, error){s.expireGuards, s.expirePayloads}
	for _, step := range steps {
		n, err := step(ctx, now, limit)
		if err != nil {
			return false, err
		}
		if limit -= n; limit <= 0 {
			return true, nil
		}
	}
	if more, err = s.expireMessages(ctx, now, limit); err != nil {
		return false, err
	}
	requests, err := s.walkSources.GoOverRequests(ctx, &s.kinds, now, limit, reclaimChunk)
	if err != nil {
		return false, err
	}
	feeds, err := s.walkFeeds.Go(ctx, &s.kinds, now, limit, reclaimChunk*10)
	if err != nil {
		return false, err
	}
	free, err := s.vacuum(ctx)
	return more || requests || feeds || free > 0, err
}

func (s *Store) expireGuards(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = s.change(ctx, func(c *conn) error {
		keys, err := c.exec(expireMessageKeysSQL, now, limit)
		if err != nil {
			return err
		}
		answers, err := c.exec(expireAnswersSQL, now, limit)
		if err != nil {
			return err
		}
		executions, err := c.exec(expireExecutionsSQL, now.Add(-hark.ExecutionLife), limit)
		n = int(keys + answers + executions)
		return err
	})
	return n, err
}

func (s *Store) expirePayloads(ctx context.Context, now time.Time, limit int) (n int, err error) {
	for n < limit {
		chunk := min(limit-n, reclaimChunk)
		expired := 0
		if err := s.change(ctx, func(c *conn) error {
			refs, err := row.Collect(c.query, row.ScanRef, expiredPayloadsSQL, now, chunk)
			expired = len(refs)
			for _, ref := range refs {
				if err != nil {
					return err
				}
				_, err = expunge(c, ref)
			}
			return err
		}); err != nil {
			return n, err
		}
		if n += expired; expired < chunk {
			break
		}
	}
	return n, nil
}

// vacuum gives free pages back to the file system; it answers how many it should still give.
func (s *Store) vacuum(ctx context.Context) (left int64, err error) {
	err = s.change(ctx, func(c *conn) error {
		if left, err = c.int(excessSQL); err != nil || left == 0 {
			return err
		}
		if err := c.query(func(row.Row) error { return nil }, vacuumSQL); err != nil {
			return err
		}
		left, err = c.int(excessSQL)
		return err
	})
	return left, err
}

const (
	retentionsSQL = `SELECT a.ref, e.retention, a.deleted_at
FROM application a LEFT JOIN environment e ON e.id = a.environment
WHERE a.ref > ? ORDER BY a.ref LIMIT ?`

	oldMessagesSQL = `SELECT ref, id FROM message WHERE listed = 1 AND application = ? AND id > ? AND id < ? ORDER BY id LIMIT ?`
)

// expireMessages goes on with the walk over the applications.
func (s *Store) expireMessages(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	return s.walk.Go(limit, reclaimChunk, row.Retentions(ctx, s.lend, now, retentionsSQL), func(app row.Retention, after []byte, limit int) ([]row.Old, error) {
		return s.expireSome(ctx, app, after, limit)
	})
}

// expireSome removes up to limit messages of an application behind an id; it answers those that it
// looked at.
func (s *Store) expireSome(ctx context.Context, app row.Retention, after []byte, limit int) (old []row.Old, err error) {
	if err := s.read(ctx, func(c *conn) (err error) {
		old, err = row.Collect(c.query, row.ScanOld, oldMessagesSQL, app.Ref, after, app.End, limit)
		return err
	}); err != nil || len(old) == 0 {
		return nil, err
	}
	if err := s.change(ctx, func(c *conn) error {
		for _, m := range old {
			if err := removeMessage(c, m.Ref); err != nil {
				return err
			}
		}
		_, err := c.exec(keepCounterSQL, s.writer.nextMessage) // on the writer's goroutine
		return err
	}); err != nil {
		return nil, err
	}
	return old, nil
}

const (
	keepCounterSQL = `INSERT INTO counter (name, next) VALUES ('message', ?1) ON CONFLICT (name) DO UPDATE SET next = max(next, ?1)`

	removableSQL = `SELECT application, event_id, payload_expires_at, matched FROM message WHERE ref = ?`

	placesSQL = `SELECT endpoint FROM attempt WHERE message = ?1 UNION SELECT endpoint FROM stray WHERE message = ?1`

	isQueuedSQL = `SELECT EXISTS (SELECT 1 FROM queue WHERE endpoint = ?1 AND message = ?2 AND due IN ` + queuedDues + `)`

	deleteEventIDSQL         = `DELETE FROM event_id WHERE application = ? AND event_id = ?`
	deleteAttemptsSQL        = `DELETE FROM attempt WHERE message = ?`
	deleteStraysOfMessageSQL = `DELETE FROM stray WHERE message = ?`
	deleteMessageSQL         = `DELETE FROM message WHERE ref = ?`
)

// removeMessage deletes a message with all that belongs to it, unless it is still queued.
func removeMessage(c *conn, ref hark.Ref) error {
	var app, expires int64
	var eventID string
	var places []hark.Ref
	found, err := c.one(func(r row.Row) error {
		app, eventID, expires, places = r.Int(0), r.Text(1), r.Int(2), row.DecodeRefs(r.Blob(3))
		return nil
	}, removableSQL, ref)
	if err != nil || !found {
		return err
	}
	others, err := row.Collect(c.query, row.ScanRef, placesSQL, ref)
	if err != nil {
		return err
	}
	for _, endpoint := range slices.Compact(slices.Sorted(slices.Values(append(places, others...)))) {
		if queued, err := c.int(isQueuedSQL, endpoint, ref); err != nil || queued != 0 {
			return err
		}
	}
	if eventID != "" {
		if _, err := c.exec(deleteEventIDSQL, app, eventID); err != nil {
			return err
		}
	}
	if expires != 0 {
		if _, err := c.exec(deletePayloadExpirySQL, expires, ref); err != nil {
			return err
		}
	}
	for _, query := range []string{deleteAttemptsSQL, deletePayloadSQL, deleteStraysOfMessageSQL, deleteMessageSQL} {
		if _, err := c.exec(query, ref); err != nil {
			return err
		}
	}
	return nil
}
