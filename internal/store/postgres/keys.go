package postgres

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	keyColumns = `SELECT environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at FROM api_key `

	keySQL = keyColumns + `WHERE environment = $1 AND id = $2`

	keyByHashSQL = keyColumns + `WHERE hash = $1`

	insertKeySQL = `INSERT INTO api_key (environment, id, name, scope, application, prefix, hash, created_at, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`

	updateKeySQL = `UPDATE api_key SET name = $1, scope = $2, application = $3, expires_at = $4, revoked_at = $5 WHERE environment = $6 AND id = $7`

	listKeys        = keyColumns + `WHERE environment = $1 AND id > $2 AND id < $3 `
	listKeysUpSQL   = listKeys + `ORDER BY id ASC LIMIT $4`
	listKeysDownSQL = listKeys + `ORDER BY id DESC LIMIT $4`
)

// InsertKey adds a key.
func (s *Store) InsertKey(ctx context.Context, key hark.Key) error {
	return s.configure(ctx, func(c *conn) (hark.Ref, error) {
		n, err := c.exec(insertKeySQL, row.KeyValues(&key)...)
		if err == nil && n == 0 {
			err = row.Conflict("This key already exists", "")
		}
		return 0, err
	})
}

// UpdateKey changes a key.
func (s *Store) UpdateKey(ctx context.Context, env hark.EnvironmentID, id hark.KeyID, change func(*hark.Key) error) (hark.Key, error) {
	var key hark.Key
	err := s.configure(ctx, func(c *conn) (_ hark.Ref, err error) {
		if key, err = row.Find(c.query, row.ScanKey, keySQL, string(env), string(id)); err != nil {
			return 0, err
		}
		if err := change(&key); err != nil {
			return 0, err
		}
		if _, err := c.exec(updateKeySQL, key.Name, string(key.Scope), string(key.ApplicationID), key.ExpiresAt, key.RevokedAt,
			string(env), string(id)); err != nil {
			return 0, err
		}
		key, err = row.Find(c.query, row.ScanKey, keySQL, string(env), string(id))
		return 0, err
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
