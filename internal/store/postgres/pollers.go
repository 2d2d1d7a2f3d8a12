package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	pollerColumns = `SELECT p.ref, a.environment, p.id, p.application, a.id, p.uid, p.settings, p.sealed, p.state, p.revision, p.due, p.paused,
  p.created_at, p.updated_at
FROM poller p JOIN application a ON a.ref = p.application
`

	listPollers = pollerColumns + `WHERE p.application = $1 AND p.id > $2 AND p.id < $3 AND a.deleted_at = 0 `
)

var pollerSQL = row.PollerSQL{
	Insert: `INSERT INTO poller (ref, application, id, uid, settings, sealed, state, revision, due, paused, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
	Update: `UPDATE poller SET uid = $1, settings = $2, sealed = $3, state = $4, revision = revision + 1, due = $5, paused = $6, updated_at = $7 WHERE ref = $8`,
	Delete: `DELETE FROM poller WHERE ref = $1`,
	Reseal: `UPDATE poller SET sealed = $1 WHERE ref = $2`,
	ByID:   pollerColumns + `WHERE p.application = $1 AND p.id = $2 AND a.deleted_at = 0`,
	ByUID:  pollerColumns + `WHERE p.application = $1 AND p.uid = $2 AND a.deleted_at = 0`,
	ByRef:  pollerColumns + `WHERE p.ref = $1 AND a.deleted_at = 0`,
	List: row.Listing{
		Up:   listPollers + `ORDER BY p.id ASC LIMIT $4`,
		Down: listPollers + `ORDER BY p.id DESC LIMIT $4`,
	},
	Every:       pollerColumns + `WHERE p.application = $1 ORDER BY p.id`,
	Sealed:      pollerColumns + `WHERE p.ref > $1 ORDER BY p.ref LIMIT 100`,
	Due:         `SELECT ref, application, due FROM poller WHERE NOT paused AND due > 0 AND due <= $1 ORDER BY due`,
	Next:        `SELECT coalesce(min(due), 0) FROM poller WHERE NOT paused AND due > 0 AND due > $1`,
	At:          `SELECT count(*) FROM (SELECT 1 FROM poller WHERE ref = $1 AND revision = $2 FOR UPDATE) AS q`,
	End:         `UPDATE poller SET state = $1, due = $2, revision = revision + 1 WHERE ref = $3`,
	EveryItem:   `SELECT item, content, version, seen_at FROM poller_item WHERE poller = $1 AND item > $2 ORDER BY item LIMIT $3`,
	ForgetItems: `DELETE FROM poller_item WHERE poller = $1 AND seen_at < $2`,
	DeleteItems: `DELETE FROM poller_item WHERE poller = $1`,
}

const (
	putItemSQL = `INSERT INTO poller_item (poller, item, content, version, seen_at) SELECT $1, * FROM unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[])
ON CONFLICT (poller, item) DO UPDATE SET content = excluded.content, version = excluded.version, seen_at = excluded.seen_at`

	pollerItemsSQL = `SELECT item, content, version, seen_at FROM poller_item WHERE poller = $1 AND item = ANY ($2::bytea[])`
)

// PollerItems finds what a poller knows of items.
func (s *Store) PollerItems(ctx context.Context, poller hark.Ref, items [][32]byte) ([]store.PollerItem, error) {
	keys := make([][]byte, len(items))
	for i := range items {
		keys[i] = items[i][:]
	}
	return row.List(ctx, s.lend, row.ScanPollerItem, pollerItemsSQL, poller, keys)
}

// putItems writes what a poller knows of items, in place of what it knew.
func putItems(c row.Conn, poller hark.Ref, items []store.PollerItem) error {
	if len(items) == 0 {
		return nil
	}
	n := len(items)
	keys, contents, versions, seen := make([][]byte, n), make([][]byte, n), make([]int64, n), make([]int64, n)
	for i := range items {
		item := &items[i]
		keys[i], contents[i], versions[i], seen[i] = item.Item[:], item.Content[:], item.Version, row.Millis(item.SeenAt)
	}
	_, err := c.Exec(putItemSQL, poller, keys, contents, versions, seen)
	return err
}
