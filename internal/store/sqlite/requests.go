package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
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
	requestSQL = requestColumns + `FROM request r` + requestJoins + `WHERE r.source = ? AND r.id = ?`

	requestRange = `WHERE r.source = ?1 AND r.id > ?2 AND r.id < ?3
  AND (?5 < 0 OR r.outcome = ?5) AND (?6 = '' OR r.cause = ?6)
  AND (?7 IS NULL OR t.text IN (SELECT value FROM json_each(?7)))
  AND r.received_at > ?8 AND r.received_at < ?9
`
	allRequests            = requestColumns + `FROM request r` + requestJoins + requestRange
	listRequestsUpSQL      = allRequests + `ORDER BY r.id ASC LIMIT ?4`
	listRequestsDownSQL    = allRequests + `ORDER BY r.id DESC LIMIT ?4`
	refusedRequests        = requestColumns + `FROM request r INDEXED BY request_refused` + requestJoins + requestRange + `AND r.outcome <> 0 `
	refusedRequestsUpSQL   = refusedRequests + `ORDER BY r.id ASC LIMIT ?4`
	refusedRequestsDownSQL = refusedRequests + `ORDER BY r.id DESC LIMIT ?4`

	requestContentSQL = `SELECT head, body FROM request_content WHERE source = ? AND id = ?`

	applicationOfSourceSQL = `SELECT application FROM source WHERE ref = ?`

	adoptRequestSQL = `UPDATE request SET outcome = 0, message = ? WHERE source = ? AND id = ?`

	expungeRequestSQL = `UPDATE request SET expunged = 1 WHERE source = ? AND id = ? AND outcome <> 0`

	deleteContentSQL = `DELETE FROM request_content WHERE source = ? AND id = ?`

	countRequestsSQL = `SELECT count(*) FROM (SELECT 1 FROM request WHERE source = ? AND id >= ? LIMIT ?)`
)

// Request finds a request, with head and body.
func (s *Store) Request(ctx context.Context, source hark.Ref, id hark.RequestID) (q hark.Request, err error) {
	k, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return q, hark.ErrNotFound
	}
	err = s.view(ctx, func(c *conn) (err error) {
		if q, err = row.Find(c.query, row.ScanRequest, requestSQL, source, k[:]); err != nil {
			return err
		}
		if q.Outcome != hark.RequestAccepted {
			return c.query(func(r row.Row) error { q.Head, q.Body = r.Blob(0), r.Blob(1); return nil }, requestContentSQL, source, k[:])
		}
		app, err := c.int(applicationOfSourceSQL, source)
		if err != nil {
			return err
		}
		m, err := findMessage(c, app, string(q.MessageID))
		if err == nil {
			err = loadPayload(c, &m)
		}
		q.Head, q.Body, q.Expunged = m.Head, m.Body(), m.Expunged || errors.Is(err, hark.ErrNotFound)
		if errors.Is(err, hark.ErrNotFound) {
			err = nil
		}
		return err
	})
	return q, err
}

// ListRequests reads one range for each source and merges them.
func (s *Store) ListRequests(ctx context.Context, sources []hark.Ref, filter store.RequestFilter, page store.Page) (all []hark.Request, err error) {
	p, err := row.PageOfIDs(page, hark.RequestPrefix, filter.After, filter.Before, filter.OldestFirst)
	if err != nil {
		return nil, err
	}
	outcome, query := int64(-1), row.Pick(p.Down, listRequestsUpSQL, listRequestsDownSQL)
	if filter.Outcome != nil {
		outcome = int64(*filter.Outcome)
	}
	if filter.Cause != "" || outcome > 0 {
		query = row.Pick(p.Down, refusedRequestsUpSQL, refusedRequestsDownSQL)
	}
	lists := make([][]hark.Request, 0, len(sources))
	err = s.view(ctx, func(c *conn) error {
		lists = lists[:0]
		for _, source := range sources {
			some, err := row.Collect(c.query, row.ScanRequest, query, source, p.Low, p.High, p.Limit, outcome, string(filter.Cause),
				row.Encode(filter.EventTypes), row.LowerBound(filter.After), row.UpperBound(filter.Before))
			if err != nil {
				return err
			}
			lists = append(lists, some)
		}
		return nil
	})
	return row.Turned(p.Merge(lists), p.Turn), err
}

// AdoptRequest says that a request became a message by hand.
func (s *Store) AdoptRequest(ctx context.Context, source hark.Ref, id hark.RequestID, message hark.MessageID) error {
	return s.changeRequest(ctx, source, id, func(c *conn, k hark.KSUID) (int64, error) {
		m, err := row.MessageKSUID(message)
		if err != nil {
			return 0, err
		}
		return c.exec(adoptRequestSQL, m, source, k[:])
	})
}

// ExpungeRequest deletes what a request brought.
func (s *Store) ExpungeRequest(ctx context.Context, source hark.Ref, id hark.RequestID) error {
	return s.changeRequest(ctx, source, id, func(c *conn, k hark.KSUID) (int64, error) {
		return c.exec(expungeRequestSQL, source, k[:])
	})
}

// changeRequest changes a request's row and deletes its content.
func (s *Store) changeRequest(ctx context.Context, source hark.Ref, id hark.RequestID, change func(*conn, hark.KSUID) (int64, error)) error {
	k, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return hark.ErrNotFound
	}
	return s.change(ctx, func(c *conn) error {
		n, err := change(c, k)
		if err != nil {
			return err
		}
		if n == 0 {
			return hark.ErrNotFound
		}
		_, err = c.exec(deleteContentSQL, source, k[:])
		return err
	})
}

// CountRequests counts a source's requests.
func (s *Store) CountRequests(ctx context.Context, source hark.Ref, since time.Time, limit int) (n int, err error) {
	low := hark.KSUIDFloor(since)
	err = s.read(ctx, func(c *conn) error {
		count, err := c.int(countRequestsSQL, source, low[:], limit)
		n = int(count)
		return err
	})
	return n, err
}

const (
	retentionsOfSourcesSQL = `SELECT s.ref, e.retention, s.deleted_at + a.deleted_at
FROM source s CROSS JOIN application a ON a.ref = s.application LEFT JOIN environment e ON e.id = s.environment
WHERE s.ref > ? ORDER BY s.ref LIMIT ?`

	oldRequestsSQL = `SELECT source, id FROM request WHERE source = ? AND id > ? AND id < ? ORDER BY id LIMIT ?`

	deleteRequestsSQL = `DELETE FROM request WHERE source = ? AND id <= ?`

	deleteContentsSQL = `DELETE FROM request_content WHERE source = ? AND id <= ?`
)

// expireRequests goes on with the walk over the sources.
func (s *Store) expireRequests(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	return s.walkSources.Go(limit, reclaimChunk, row.Retentions(ctx, s.lend, now, retentionsOfSourcesSQL), func(source row.Retention, after []byte, limit int) ([]row.Old, error) {
		return s.expireSomeRequests(ctx, source, after, limit)
	})
}

// expireSomeRequests removes up to limit requests of a source behind an id; it answers them.
func (s *Store) expireSomeRequests(ctx context.Context, source row.Retention, after []byte, limit int) (old []row.Old, err error) {
	if err := s.read(ctx, func(c *conn) (err error) {
		old, err = row.Collect(c.query, row.ScanOld, oldRequestsSQL, source.Ref, after, source.End, limit)
		return err
	}); err != nil || len(old) == 0 {
		return nil, err
	}
	return old, s.change(ctx, func(c *conn) error {
		for _, query := range [...]string{deleteRequestsSQL, deleteContentsSQL} {
			if _, err := c.exec(query, source.Ref, old[len(old)-1].ID); err != nil {
				return err
			}
		}
		return nil
	})
}
