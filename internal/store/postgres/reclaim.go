package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// Bounds of one piece of retention.
const (
	reclaimChunk = 500 // messages removed in one transaction
	housekeeping = 10_000
	daysAhead    = 2 // whose tables are made before they are needed
)

const (
	expireMessageKeysSQL = `DELETE FROM message_key WHERE hash IN (SELECT hash FROM message_key WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	expireAnswersSQL = `DELETE FROM answer WHERE hash IN (SELECT hash FROM answer WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`

	expireOutcomesSQL = `DELETE FROM outcome WHERE token IN (SELECT token FROM outcome WHERE at <= $1 ORDER BY at LIMIT $2)`

	expireChangesSQL = `DELETE FROM change WHERE seq IN (SELECT seq FROM change WHERE at <= $1 ORDER BY seq LIMIT $2)`

	expireWritersSQL = `DELETE FROM writer WHERE at <= $1`

	expiredPayloadsSQL = `SELECT message FROM payload_expiry WHERE expires_at <= $1 ORDER BY expires_at, message LIMIT $2`
)

// How long what only nodes look at is kept. A change is read within a second by every node that is
// alive; one that was away for longer than changeLife reads everything again.
const (
	changeLife = time.Hour
	writerLife = 7 * 24 * time.Hour
)

// Reclaim does one bounded piece of retention. One node at a time is enough.
func (s *Store) Reclaim(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	s.reclaiming.Lock()
	defer s.reclaiming.Unlock()
	s.sweeper.Nudge()
	for day := range int64(daysAhead + 1) {
		if err := s.ensureDay(ctx, now.Unix()/secondsOfDay+day); err != nil {
			return false, err
		}
	}
	steps := []func(context.Context, time.Time, int) (int, error){s.expireGuards, s.expirePayloads, s.expireDays}
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
	return more || requests || feeds, err
}

func (s *Store) expireGuards(ctx context.Context, now time.Time, limit int) (n int, err error) {
	err = s.change(ctx, func(c *conn) error {
		n = 0
		for _, query := range [...]string{expireMessageKeysSQL, expireAnswersSQL} {
			gone, err := c.exec(query, now, limit)
			if err != nil {
				return err
			}
			n += int(gone)
		}
		gone, err := c.exec(expireOutboxSQL, now.Add(-refusedLife), limit)
		if err != nil {
			return err
		}
		n += int(gone)
		if gone, err = c.exec(expireExecutionsSQL, now.Add(-hark.ExecutionLife), limit); err != nil {
			return err
		}
		n += int(gone)
		// These do not count: every change, this one too, leaves one.
		for _, query := range [...]string{expireOutcomesSQL, expireChangesSQL} {
			if _, err := c.exec(query, now.Add(-changeLife), housekeeping); err != nil {
				return err
			}
		}
		_, err = c.exec(expireWritersSQL, now.Add(-writerLife))
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
			if err != nil {
				return err
			}
			expired = len(refs)
			_, err = expunge(c, refs)
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

const longestRetentionSQL = `SELECT coalesce(max(CASE retention WHEN 0 THEN $1 ELSE retention END), $1)::bigint FROM environment`

// expireDays drops the days that are over for every environment.
func (s *Store) expireDays(ctx context.Context, now time.Time, _ int) (n int, err error) {
	if !s.byDay {
		return 0, nil
	}
	var days []int64
	var longest time.Duration
	if err := s.read(ctx, func(c *conn) error {
		kept, err := c.int(longestRetentionSQL, int64(hark.DefaultRetention))
		if err != nil {
			return err
		}
		longest = time.Duration(kept)
		days, err = row.Collect(c.query, row.ScanRef, daysSQL)
		return err
	}); err != nil {
		return 0, err
	}
	// An id says its time to 4 ms; a day more is no matter.
	edge := now.Add(-longest).Unix()/secondsOfDay - 1
	for _, day := range days {
		if day > edge {
			break
		}
		if _, err := s.dropDay(ctx, day); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

const (
	retentionsSQL = `SELECT a.ref, e.retention, a.deleted_at
FROM application a LEFT JOIN environment e ON e.id = a.environment
WHERE a.ref > $1 ORDER BY a.ref LIMIT $2`

	oldMessagesSQL = `SELECT ref, id FROM message
WHERE application = $1 AND id > $2 AND id < $3 AND ref >= $4 AND ref < $5 ORDER BY id LIMIT $6`
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
	first, end := refsBetween(after, app.End)
	if err := s.read(ctx, func(c *conn) (err error) {
		old, err = row.Collect(c.query, row.ScanOld, oldMessagesSQL, app.Ref, after, app.End, first, end, limit)
		return err
	}); err != nil || len(old) == 0 {
		return nil, err
	}
	refs := make([]hark.Ref, len(old))
	for i, m := range old {
		refs[i] = m.Ref
	}
	if err := s.change(ctx, func(c *conn) error { return removeMessages(c, refs) }); err != nil {
		return nil, err
	}
	return old, nil
}

const (
	queuedMessagesSQL = `SELECT DISTINCT message FROM queue WHERE message = ANY ($1)`

	deleteEventIDsOfSQL = `DELETE FROM event_id WHERE message = ANY ($1)`
	deleteAttemptsSQL   = `DELETE FROM attempt WHERE message = ANY ($1)`
	deleteMessagesSQL   = `DELETE FROM message WHERE ref = ANY ($1)`
)

// removeMessages deletes messages with all that belongs to them, but those that are still queued.
func removeMessages(c *conn, refs []hark.Ref) error {
	queued, err := row.Collect(c.query, row.ScanRef, queuedMessagesSQL, refs)
	if err != nil {
		return err
	}
	refs = slices.DeleteFunc(slices.Clone(refs), func(ref hark.Ref) bool { return slices.Contains(queued, ref) })
	if len(refs) == 0 {
		return nil
	}
	for _, query := range [...]string{deleteEventIDsOfSQL, deletePayloadExpiriesSQL, deleteAttemptsSQL, deletePayloadsSQL, deleteMessagesSQL} {
		if _, err := c.exec(query, refs); err != nil {
			return err
		}
	}
	return nil
}
