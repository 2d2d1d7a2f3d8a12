package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	keyColumns = `SELECT environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at FROM api_key `

	keySQL = keyColumns + `WHERE environment = ? AND id = ?`

	keyByHashSQL = keyColumns + `WHERE hash = ?`

	insertKeySQL = `INSERT INTO api_key (environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

	updateKeySQL = `UPDATE api_key SET name = ?, scope = ?, application = ?, expires_at = ?, revoked_at = ? WHERE environment = ? AND id = ?`

	listKeys        = keyColumns + `WHERE environment = ? AND id > ? AND id < ? `
	listKeysUpSQL   = listKeys + `ORDER BY id ASC LIMIT ?`
	listKeysDownSQL = listKeys + `ORDER BY id DESC LIMIT ?`
)

// InsertKey adds a key.
func (s *Store) InsertKey(ctx context.Context, key hark.Key) error {
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(insertKeySQL, row.KeyValues(&key)...)
		if err == nil && n == 0 {
			return row.Conflict("This key already exists", "")
		}
		return err
	})
}

// UpdateKey changes a key.
func (s *Store) UpdateKey(ctx context.Context, env hark.EnvironmentID, id hark.KeyID, change func(*hark.Key) error) (hark.Key, error) {
	var key hark.Key
	err := s.change(ctx, func(c *conn) (err error) {
		if key, err = row.Find(c.query, row.ScanKey, keySQL, string(env), string(id)); err != nil {
			return err
		}
		if err := change(&key); err != nil {
			return err
		}
		if _, err := c.exec(updateKeySQL, key.Name, string(key.Scope), string(key.ApplicationID), key.ExpiresAt, key.RevokedAt,
			string(env), string(id)); err != nil {
			return err
		}
		key, err = row.Find(c.query, row.ScanKey, keySQL, string(env), string(id))
		return err
	})
	return key, err
}

// KeyByHash finds a key by the hash of its text.
func (s *Store) KeyByHash(ctx context.Context, hash [32]byte) (hark.Key, error) {
	return row.Get(ctx, s.lend, row.ScanKey, keyByHashSQL, hash[:])
}

// ListKeys lists the keys of an environment.
func (s *Store) ListKeys(ctx context.Context, env hark.EnvironmentID, page store.Page) ([]hark.Key, error) {
	p := row.PageOfText(page)
	keys, err := row.List(ctx, s.lend, row.ScanKey, p.Query(listKeysUpSQL, listKeysDownSQL), p.Args(string(env))...)
	return row.Turned(keys, p.Turn), err
}
