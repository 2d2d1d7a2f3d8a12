package sqlite

import (
	"context"
	"time"

	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	// An expired answer is overwritten, an unexpired one stays.
	rememberSQL = `INSERT INTO answer (hash, fingerprint, status, header, body, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (hash) DO UPDATE SET fingerprint = ?2, status = ?3, header = ?4, body = ?5, expires_at = ?6
WHERE expires_at <= ?7`

	recallSQL = `SELECT hash, fingerprint, status, header, body, expires_at FROM answer WHERE hash = ? AND expires_at > ?`
)

// Remember keeps an answer until its key expires.
func (s *Store) Remember(ctx context.Context, answer store.Answer, now time.Time) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(rememberSQL, answer.Key.Hash[:], answer.Key.Fingerprint[:], answer.Status, answer.Header, answer.Body,
			answer.Key.ExpiresAt, now)
		return err
	})
}

// Recall finds an unexpired answer.
func (s *Store) Recall(ctx context.Context, hash [32]byte, now time.Time) (answer store.Answer, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		answer, err = row.Find(c.query, row.ScanAnswer, recallSQL, hash[:], now)
		return err
	})
	return answer, err
}
