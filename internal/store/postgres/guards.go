package postgres

import "github.com/harkhq/hark/internal/store/row"

var answerSQL = row.AnswerSQL{
	Reserve: `INSERT INTO answer (hash, fingerprint, status, expires_at) VALUES ($1, $2, 0, $3)
ON CONFLICT (hash) DO UPDATE SET fingerprint = $2, status = 0, header = NULL, body = NULL, expires_at = $3
WHERE answer.expires_at <= $4`,
	Release: `DELETE FROM answer WHERE hash = $1 AND status = 0`,
	Remember: `INSERT INTO answer (hash, fingerprint, status, header, body, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (hash) DO UPDATE SET fingerprint = $2, status = $3, header = $4, body = $5, expires_at = $6
WHERE answer.expires_at <= $7 OR answer.status = 0`,
	Recall: `SELECT hash, fingerprint, status, header, body, expires_at FROM answer WHERE hash = $1 AND expires_at > $2`,
	Every:  `SELECT hash, fingerprint, status, header, body, expires_at FROM answer ORDER BY hash`,
}

var messageKeySQL = row.MessageKeySQL{
	Insert: `INSERT INTO message_key (hash, fingerprint, message, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
	Every:  `SELECT hash, fingerprint, message, expires_at FROM message_key ORDER BY hash`,
}
