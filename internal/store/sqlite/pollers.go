package sqlite

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	pollerColumns = `SELECT p.ref, a.environment, p.id, p.application, a.id, p.uid, p.settings, p.sealed, p.state, p.revision, p.due, p.paused,
  p.created_at, p.updated_at
FROM poller p CROSS JOIN application a ON a.ref = p.application
`
	pollerByIDSQL = pollerColumns + `WHERE p.application = ? AND p.id = ? AND a.deleted_at = 0`

	pollerByUIDSQL = pollerColumns + `WHERE p.application = ? AND p.uid = ? AND a.deleted_at = 0`

	pollerUIDSQL = `SELECT ref, application, id FROM poller WHERE application = ? AND uid = ?`

	pollerByRefSQL = pollerColumns + `WHERE p.ref = ? AND a.deleted_at = 0`

	listPollers        = pollerColumns + `WHERE p.application = ?1 AND p.id > ?2 AND p.id < ?3 AND a.deleted_at = 0 `
	listPollersUpSQL   = listPollers + `ORDER BY p.id ASC LIMIT ?4`
	listPollersDownSQL = listPollers + `ORDER BY p.id DESC LIMIT ?4`

	everyPollerSQL = pollerColumns + `WHERE p.application = ? ORDER BY p.id`

	duePollersSQL = `SELECT ref, application, due FROM poller WHERE paused = 0 AND due > 0 AND due <= ? ORDER BY due`

	nextPollerSQL = `SELECT coalesce(min(due), 0) FROM poller WHERE paused = 0 AND due > 0 AND due > ?`

	insertPollerSQL = `INSERT INTO poller (application, id, uid, settings, sealed, state, revision, due, paused, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ref`

	updatePollerSQL = `UPDATE poller SET uid = ?, settings = ?, sealed = ?, state = ?, revision = revision + 1, due = ?, paused = ?, updated_at = ? WHERE ref = ?`

	resealPollerSQL = `UPDATE poller SET sealed = ? WHERE ref = ?`

	sealedPollersSQL = pollerColumns + `WHERE p.ref > ? ORDER BY p.ref LIMIT 100`

	// It counts the poller, if it is as the run has read it.
	pollerAtSQL = `SELECT count(*) FROM poller WHERE ref = ? AND revision = ?`

	endPollSQL = `UPDATE poller SET state = ?, due = ?, revision = revision + 1 WHERE ref = ?`

	putItemSQL = `INSERT INTO poller_item (poller, item, content, version, seen_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (poller, item) DO UPDATE SET content = excluded.content, version = excluded.version, seen_at = excluded.seen_at`

	pollerItemSQL = `SELECT item, content, version, seen_at FROM poller_item WHERE poller = ? AND item = ?`

	everyPollerItemSQL = `SELECT item, content, version, seen_at FROM poller_item WHERE poller = ? AND item > ? ORDER BY item LIMIT ?`

	forgetItemsSQL = `DELETE FROM poller_item WHERE poller = ? AND seen_at < ?`

	deleteItemsSQL = `DELETE FROM poller_item WHERE poller = ?`

	deletePollerSQL = `DELETE FROM poller WHERE ref = ?`

	deleteApplicationItemsSQL = `DELETE FROM poller_item WHERE poller IN (SELECT ref FROM poller WHERE application = ?)`

	deleteApplicationPollersSQL = `DELETE FROM poller WHERE application = ?`
)

// InsertPoller adds a poller.
func (s *Store) InsertPoller(ctx context.Context, p hark.Poller) (added hark.Poller, err error) {
	err = s.change(ctx, func(c *conn) error {
		if err := row.FreeUID(c.query, "A poller", pollerUIDSQL, p.ApplicationRef, p.UID, 0); err != nil {
			return err
		}
		ref, err := s.insertPoller(c, &p)
		if isUnique(err) {
			return row.Conflict("A poller with this id already exists", string(p.ID))
		}
		if err != nil {
			return err
		}
		added, err = row.Find(c.query, s.seal.ScanPoller, pollerByRefSQL, ref)
		return err
	})
	return added, err
}

func (s *Store) insertPoller(c *conn, p *hark.Poller) (hark.Ref, error) {
	settings, sealed, state := s.seal.ClosePoller(p)
	return c.int(insertPollerSQL, p.ApplicationRef, string(p.ID), row.Nullable(p.UID), settings, sealed, state,
		p.Revision, p.Due, p.Paused, p.CreatedAt, p.UpdatedAt)
}

// UpdatePoller changes a poller.
func (s *Store) UpdatePoller(ctx context.Context, app hark.Ref, idOrUID string, change func(*hark.Poller) error) (p hark.Poller, err error) {
	err = s.change(ctx, func(c *conn) (err error) {
		if p, err = s.findPoller(c, app, idOrUID); err != nil {
			return err
		}
		was := p
		if err := change(&p); err != nil {
			return err
		}
		p.Ref, p.ID, p.ApplicationRef = was.Ref, was.ID, was.ApplicationRef // they name the row, and what is sealed
		if err := row.FreeUID(c.query, "A poller", pollerUIDSQL, p.ApplicationRef, p.UID, p.Ref); err != nil {
			return err
		}
		settings, sealed, state := s.seal.ClosePoller(&p)
		if _, err := c.exec(updatePollerSQL, row.Nullable(p.UID), settings, sealed, state, p.Due, p.Paused, p.UpdatedAt, p.Ref); err != nil {
			return err
		}
		p, err = row.Find(c.query, s.seal.ScanPoller, pollerByRefSQL, p.Ref)
		return err
	})
	return p, err
}

// DeletePoller removes a poller.
func (s *Store) DeletePoller(ctx context.Context, app hark.Ref, idOrUID string) error {
	return s.change(ctx, func(c *conn) error {
		p, err := s.findPoller(c, app, idOrUID)
		if err != nil {
			return err
		}
		if _, err := c.exec(deleteItemsSQL, p.Ref); err != nil {
			return err
		}
		_, err = c.exec(deletePollerSQL, p.Ref)
		return err
	})
}

// deleteApplicationPollers removes the pollers of an application.
func deleteApplicationPollers(c *conn, app hark.Ref) error {
	if _, err := c.exec(deleteApplicationItemsSQL, app); err != nil {
		return err
	}
	_, err := c.exec(deleteApplicationPollersSQL, app)
	return err
}

// Poller finds a poller by id or uid.
func (s *Store) Poller(ctx context.Context, app hark.Ref, idOrUID string) (p hark.Poller, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		p, err = s.findPoller(c, app, idOrUID)
		return err
	})
	return p, err
}

func (s *Store) findPoller(c *conn, app hark.Ref, idOrUID string) (hark.Poller, error) {
	return row.FindEither(c.query, s.seal.ScanPoller, pollerByIDSQL, pollerByUIDSQL, app, idOrUID)
}

// PollerByRef finds a poller.
func (s *Store) PollerByRef(ctx context.Context, ref hark.Ref) (hark.Poller, error) {
	return row.Get(ctx, s.lend, s.seal.ScanPoller, pollerByRefSQL, ref)
}

// ListPollers lists the pollers of an application.
func (s *Store) ListPollers(ctx context.Context, app hark.Ref, page store.Page) ([]hark.Poller, error) {
	p := row.PageOfText(page)
	all, err := row.List(ctx, s.lend, s.seal.ScanPoller, p.Query(listPollersUpSQL, listPollersDownSQL), p.Args(app)...)
	return row.Turned(all, p.Turn), err
}

// DuePollers lists what is due, and says when something will be.
func (s *Store) DuePollers(ctx context.Context, now time.Time) (due []store.DuePoller, next time.Time, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		if due, err = row.Collect(c.query, row.ScanDuePoller, duePollersSQL, now); err != nil {
			return err
		}
		ms, err := c.int(nextPollerSQL, now)
		next = row.Moment(ms)
		return err
	})
	return due, next, err
}

// PollerItems finds what a poller knows of items.
func (s *Store) PollerItems(ctx context.Context, poller hark.Ref, items [][32]byte) (known []store.PollerItem, err error) {
	err = s.read(ctx, func(c *conn) error {
		known = known[:0]
		for i := range items {
			one, err := row.Collect(c.query, row.ScanPollerItem, pollerItemSQL, poller, items[i][:])
			if err != nil {
				return err
			}
			known = append(known, one...)
		}
		return nil
	})
	return known, err
}

// RecordPoll keeps what a run has come to.
func (s *Store) RecordPoll(ctx context.Context, progress *store.PollProgress) (kept bool, err error) {
	err = s.change(ctx, func(c *conn) error {
		n, err := c.int(pollerAtSQL, progress.PollerRef, progress.Revision)
		if kept = n == 1; err != nil || !kept {
			return err
		}
		if err := putItems(c, progress.PollerRef, progress.Items); err != nil {
			return err
		}
		if !progress.ForgetBefore.IsZero() {
			if _, err := c.exec(forgetItemsSQL, progress.PollerRef, progress.ForgetBefore); err != nil {
				return err
			}
		}
		if progress.State == nil {
			return nil
		}
		_, err = c.exec(endPollSQL, row.MustJSON(progress.State), progress.Due, progress.PollerRef)
		return err
	})
	return kept && err == nil, err
}

func putItems(c *conn, poller hark.Ref, items []store.PollerItem) error {
	for i := range items {
		item := &items[i]
		if _, err := c.exec(putItemSQL, poller, item.Item[:], item.Content[:], item.Version, item.SeenAt); err != nil {
			return err
		}
	}
	return nil
}

// resealPollers seals pollers again, with the newest key.
func (s *Store) resealPollers(ctx context.Context) (n int, err error) {
	var last hark.Ref
	for more := true; more; {
		if err := s.change(ctx, func(c *conn) error {
			all, err := row.Collect(c.query, s.seal.ScanPoller, sealedPollersSQL, last)
			more = len(all) > 0
			if err != nil {
				return err
			}
			for i := range all {
				_, sealed, _ := s.seal.ClosePoller(&all[i])
				if _, err := c.exec(resealPollerSQL, sealed, all[i].Ref); err != nil {
					return err
				}
				last = all[i].Ref
			}
			n += len(all)
			return nil
		}); err != nil {
			return n, err
		}
	}
	return n, nil
}
