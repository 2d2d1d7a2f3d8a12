package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	pollerColumns = `SELECT p.ref, a.environment, p.id, p.application, a.id, p.uid, p.settings, p.sealed, p.state, p.revision, p.due, p.paused,
  p.created_at, p.updated_at
FROM poller p CROSS JOIN application a ON a.ref = p.application
`

	listPollers = pollerColumns + `WHERE p.application = ?1 AND p.id > ?2 AND p.id < ?3 AND a.deleted_at = 0 `
)

var pollerSQL = row.PollerSQL{
	Insert: `INSERT INTO poller (application, id, uid, settings, sealed, state, revision, due, paused, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING ref`,
	Update: `UPDATE poller SET uid = ?, settings = ?, sealed = ?, state = ?, revision = revision + 1, due = ?, paused = ?, updated_at = ? WHERE ref = ?`,
	Delete: `DELETE FROM poller WHERE ref = ?`,
	Reseal: `UPDATE poller SET sealed = ? WHERE ref = ?`,
	ByID:   pollerColumns + `WHERE p.application = ? AND p.id = ? AND a.deleted_at = 0`,
	ByUID:  pollerColumns + `WHERE p.application = ? AND p.uid = ? AND a.deleted_at = 0`,
	ByRef:  pollerColumns + `WHERE p.ref = ? AND a.deleted_at = 0`,
	List: row.Listing{
		Up:   listPollers + `ORDER BY p.id ASC LIMIT ?4`,
		Down: listPollers + `ORDER BY p.id DESC LIMIT ?4`,
	},
	Every:       pollerColumns + `WHERE p.application = ? ORDER BY p.id`,
	Sealed:      pollerColumns + `WHERE p.ref > ? ORDER BY p.ref LIMIT 100`,
	Due:         `SELECT ref, application, due FROM poller WHERE paused = 0 AND due > 0 AND due <= ? ORDER BY due`,
	Next:        `SELECT coalesce(min(due), 0) FROM poller WHERE paused = 0 AND due > 0 AND due > ?`,
	At:          `SELECT count(*) FROM poller WHERE ref = ? AND revision = ?`,
	End:         `UPDATE poller SET state = ?, due = ?, revision = revision + 1 WHERE ref = ?`,
	EveryItem:   `SELECT item, content, version, seen_at FROM poller_item WHERE poller = ? AND item > ? ORDER BY item LIMIT ?`,
	ForgetItems: `DELETE FROM poller_item WHERE poller = ? AND seen_at < ?`,
	DeleteItems: `DELETE FROM poller_item WHERE poller = ?`,
}

const (
	putItemSQL = `INSERT INTO poller_item (poller, item, content, version, seen_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (poller, item) DO UPDATE SET content = excluded.content, version = excluded.version, seen_at = excluded.seen_at`

	pollerItemSQL = `SELECT item, content, version, seen_at FROM poller_item WHERE poller = ? AND item = ?`
)

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

// putItems writes what a poller knows of items, in place of what it knew.
func putItems(c row.Conn, poller hark.Ref, items []store.PollerItem) error {
	for i := range items {
		item := &items[i]
		if _, err := c.Exec(putItemSQL, poller, item.Item[:], item.Content[:], item.Version, item.SeenAt); err != nil {
			return err
		}
	}
	return nil
}
