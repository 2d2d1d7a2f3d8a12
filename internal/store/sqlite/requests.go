package sqlite

import (
	"context"
	"fmt"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store/row"
)

// request is a hark.Request made ready for the writer.
type request struct {
	*hark.Request
	id      hark.KSUID
	message []byte // the id of its message
}

func prepareRequest(q *hark.Request) (p request, err error) {
	p = request{Request: q}
	if p.id, err = hark.ParseID(string(q.ID), hark.RequestPrefix); err != nil {
		return p, fmt.Errorf("keep request %q: %w", q.ID, err)
	}
	p.message, err = row.MessageKSUID(q.MessageID)
	return p, err
}

// InsertRequests keeps requests that did not become messages.
func (s *Store) InsertRequests(ctx context.Context, requests []hark.Request) error {
	if s.writer == nil {
		return errReadOnly
	}
	if len(requests) == 0 {
		return nil
	}
	op := &write{requests: make([]request, len(requests)), items: len(requests)}
	for i := range requests {
		p, err := prepareRequest(&requests[i])
		if err != nil {
			return err
		}
		op.requests[i] = p
		op.bytes += len(requests[i].Body) + len(requests[i].Head) + 512
	}
	return s.writer.submit(ctx, op)
}

const (
	insertRequestSQL = `INSERT OR ROLLBACK INTO request (source, id, received_at, outcome, cause, detail, secret, event_id, event_type, message, status, took, size, method, remote, expunged) VALUES `

	insertContentSQL = `INSERT OR ROLLBACK INTO request_content (source, id, head, body) VALUES `
)

// addRequest adds a request's row to the transaction.
func (w *writer) addRequest(q *request) error {
	term, err := w.term(q.EventType)
	if err != nil {
		return err
	}
	return w.requests.add(w.c, q.SourceRef, q.id[:], row.Millis(q.ReceivedAt), int64(q.Outcome), row.Nullable(string(q.Cause)), row.Nullable(q.Detail),
		int64(q.Secret), row.Nullable(q.EventID), term, q.message, int64(q.Status), row.Micros(q.Took), int64(q.Size), q.Method, q.Remote, truth(q.Expunged))
}

// addContent adds what a request brought that did not become a message.
func (w *writer) addContent(q *request) error {
	if q.Head == nil && q.Body == nil {
		return nil
	}
	return w.contents.add(w.c, q.SourceRef, q.id[:], q.Head, q.Body)
}

const (
	requestColumns = `SELECT r.source, s.id, r.id, r.received_at, r.outcome, r.cause, r.detail, r.secret, r.event_id, t.text, r.message, r.status, r.took,
  r.size, r.method, r.remote, r.expunged
`

	requestJoins = ` CROSS JOIN source s ON s.ref = r.source CROSS JOIN term t ON t.ref = r.event_type
`

	requestRange = `WHERE r.source = ?1 AND r.id > ?2 AND r.id < ?3
  AND (?5 < 0 OR r.outcome = ?5) AND (?6 = '' OR r.cause = ?6)
  AND (?7 IS NULL OR t.text IN (SELECT value FROM json_each(?7)))
  AND r.received_at > ?8 AND r.received_at < ?9
`

	allRequests = requestColumns + `FROM request r` + requestJoins + requestRange

	refusedRequests = requestColumns + `FROM request r INDEXED BY request_refused` + requestJoins + requestRange + `AND r.outcome <> 0 `
)

var requestSQL = row.RequestSQL{
	One: requestColumns + `FROM request r` + requestJoins + `WHERE r.source = ? AND r.id = ?`,
	Source: `SELECT s.id FROM source s CROSS JOIN request r ON r.source = s.ref AND r.id = ?2
WHERE s.environment = ?1 AND s.deleted_at = 0`,
	Content:     `SELECT head, body FROM request_content WHERE source = ? AND id = ?`,
	Application: `SELECT application FROM source WHERE ref = ?`,
	List: row.Listing{
		Up:   allRequests + `ORDER BY r.id ASC LIMIT ?4`,
		Down: allRequests + `ORDER BY r.id DESC LIMIT ?4`,
	},
	Refused: row.Listing{
		Up:   refusedRequests + `ORDER BY r.id ASC LIMIT ?4`,
		Down: refusedRequests + `ORDER BY r.id DESC LIMIT ?4`,
	},
	Count:         `SELECT count(*) FROM (SELECT 1 FROM request WHERE source = ? AND id >= ? LIMIT ?)`,
	Adopt:         `UPDATE request SET outcome = 0, message = ?3 WHERE source = ?1 AND id = ?2`,
	Expunge:       `UPDATE request SET expunged = 1 WHERE source = ? AND id = ? AND outcome <> 0`,
	DeleteContent: `DELETE FROM request_content WHERE source = ? AND id = ?`,
	Retentions: `SELECT s.ref, e.retention, s.deleted_at + a.deleted_at
FROM source s CROSS JOIN application a ON a.ref = s.application LEFT JOIN environment e ON e.id = s.environment
WHERE s.ref > ? ORDER BY s.ref LIMIT ?`,
	Old: `SELECT source, id FROM request WHERE source = ? AND id > ? AND id < ? ORDER BY id LIMIT ?`,
	Delete: []string{
		`DELETE FROM request WHERE source = ? AND id <= ?`,
		`DELETE FROM request_content WHERE source = ? AND id <= ?`,
	},
}
