package sqlite

import (
	"context"
	"time"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	// What has expired is overwritten, and so is a reservation; another answer stays.
	rememberSQL = `INSERT INTO answer (hash, fingerprint, status, header, body, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (hash) DO UPDATE SET fingerprint = ?2, status = ?3, header = ?4, body = ?5, expires_at = ?6
WHERE expires_at <= ?7 OR status = 0`

	reserveSQL = `INSERT INTO answer (hash, fingerprint, status, expires_at) VALUES (?1, ?2, 0, ?3)
ON CONFLICT (hash) DO UPDATE SET fingerprint = ?2, status = 0, header = NULL, body = NULL, expires_at = ?3
WHERE expires_at <= ?4`

	releaseSQL = `DELETE FROM answer WHERE hash = ?1 AND status = 0`

	recallSQL = `SELECT hash, fingerprint, status, header, body, expires_at FROM answer WHERE hash = ? AND expires_at > ?`
)

// Reserve takes a key for a request that is being worked on.
func (s *Store) Reserve(ctx context.Context, key store.IdempotencyKey, now time.Time) (reserved bool, err error) {
	err = s.change(ctx, func(c *conn) error {
		n, err := c.exec(reserveSQL, key.Hash[:], key.Fingerprint[:], key.ExpiresAt, now)
		reserved = n > 0
		return err
	})
	return reserved, err
}

// Release gives a reservation up.
func (s *Store) Release(ctx context.Context, hash [32]byte) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(releaseSQL, hash[:])
		return err
	})
}

// Remember keeps an answer until its key expires.
func (s *Store) Remember(ctx context.Context, answer store.Answer, now time.Time) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(rememberSQL, append(row.AnswerValues(&answer), now)...)
		return err
	})
}

// Recall finds an unexpired answer.
func (s *Store) Recall(ctx context.Context, hash [32]byte, now time.Time) (store.Answer, error) {
	return row.Get(ctx, s.lend, row.ScanAnswer, recallSQL, hash[:], now)
}
