package postgres

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
	return s.writers.submit(ctx, op)
}

const (
	insertRequestsSQL = `INSERT INTO request (day, source, received_at, secret, took, size, status, outcome, expunged, id, message, event_type, event_id, cause, detail, method, remote)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::integer[], $6::integer[], $7::smallint[], $8::smallint[], $9::boolean[],
  $10::bytea[], $11::bytea[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])`

	insertContentsSQL = `INSERT INTO request_content (day, source, id, head, body)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[])`
)

// request adds a request's row.
func (t *tables) request(q *request) {
	c := t.requests.columns
	c[0].int8(dayOf(q.id) << dayShift)
	c[1].int8(q.SourceRef)
	c[2].int8(row.Millis(q.ReceivedAt))
	c[3].int4(int64(q.Secret))
	c[4].int4(row.Micros(q.Took))
	c[5].int4(int64(q.Size))
	c[6].int2(int64(q.Status))
	c[7].int2(int64(q.Outcome))
	c[8].bool(q.Expunged)
	c[9].bytes(q.id[:])
	c[10].bytes(q.message)
	c[11].word(q.EventType)
	c[12].word(q.EventID)
	c[13].word(string(q.Cause))
	c[14].word(q.Detail)
	c[15].word(q.Method)
	c[16].word(q.Remote)
}

// content adds what a request brought that did not become a message.
func (t *tables) content(q *request) {
	if q.Head == nil && q.Body == nil {
		return
	}
	c := t.contents.columns
	c[0].int8(dayOf(q.id) << dayShift)
	c[1].int8(q.SourceRef)
	c[2].bytes(q.id[:])
	c[3].bytes(q.Head)
	c[4].bytes(q.Body)
}

const (
	requestColumns = `SELECT r.source, s.id, r.id, r.received_at, r.outcome, r.cause, r.detail, r.secret, r.event_id, r.event_type, r.message, r.status, r.took,
  r.size, r.method, r.remote, r.expunged
FROM request r JOIN source s ON s.ref = r.source
`
	// The id says in which day's table a request is.
	requestSQL = requestColumns + `WHERE r.source = $1 AND r.id = $2 AND r.day = $3`

	requestRange = `WHERE r.source = $1 AND r.id > $2 AND r.id < $3
  AND ($5::integer < 0 OR r.outcome = $5) AND ($6::text = '' OR r.cause = $6)
  AND ($7::text[] IS NULL OR r.event_type = ANY ($7))
  AND r.received_at > $8 AND r.received_at < $9 AND r.day >= $10 AND r.day < $11
`
	allRequests            = requestColumns + requestRange
	listRequestsUpSQL      = allRequests + `ORDER BY r.id ASC LIMIT $4`
	listRequestsDownSQL    = allRequests + `ORDER BY r.id DESC LIMIT $4`
	refusedRequests        = requestColumns + requestRange + `AND r.outcome <> 0 `
	refusedRequestsUpSQL   = refusedRequests + `ORDER BY r.id ASC LIMIT $4`
	refusedRequestsDownSQL = refusedRequests + `ORDER BY r.id DESC LIMIT $4`

	requestContentSQL = `SELECT head, body FROM request_content WHERE source = $1 AND id = $2 AND day = $3`

	applicationOfSourceSQL = `SELECT application FROM source WHERE ref = $1`

	adoptRequestSQL = `UPDATE request SET outcome = 0, message = $4 WHERE source = $1 AND id = $2 AND day = $3`

	expungeRequestSQL = `UPDATE request SET expunged = true WHERE source = $1 AND id = $2 AND day = $3 AND outcome <> 0`

	deleteContentSQL = `DELETE FROM request_content WHERE source = $1 AND id = $2 AND day = $3`

	countRequestsSQL = `SELECT count(*) FROM (SELECT 1 FROM request WHERE source = $1 AND id >= $2 AND day >= $3 LIMIT $4) AS q`
)

// Request finds a request, with head and body.
func (s *Store) Request(ctx context.Context, source hark.Ref, id hark.RequestID) (q hark.Request, err error) {
	k, err := hark.ParseID(string(id), hark.RequestPrefix)
	if err != nil {
		return q, hark.ErrNotFound
	}
	err = s.view(ctx, func(c *conn) (err error) {
		if q, err = row.Find(c.query, row.ScanRequest, requestSQL, source, k[:], dayOf(k)<<dayShift); err != nil {
			return err
		}
		if q.Outcome != hark.RequestAccepted {
			return c.query(func(r row.Row) error { q.Head, q.Body = r.Blob(0), r.Blob(1); return nil }, requestContentSQL, source, k[:], dayOf(k)<<dayShift)
		}
		app, err := c.int(applicationOfSourceSQL, source)
		if err != nil {
			return err
		}
		one := make([]hark.Message, 1)
		if one[0], err = findMessage(c, app, string(q.MessageID)); err == nil {
			err = loadPayloads(c, one, itself)
		}
		m := &one[0]
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
	low, high := refsBetween(p.Low, p.High)
	err = s.view(ctx, func(c *conn) error {
		lists = lists[:0]
		for _, source := range sources {
			some, err := row.Collect(c.query, row.ScanRequest, query, source, p.Low, p.High, p.Limit, outcome, string(filter.Cause),
				filter.EventTypes, row.LowerBound(filter.After), row.UpperBound(filter.Before), low, high)
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
		return c.exec(adoptRequestSQL, source, k[:], dayOf(k)<<dayShift, m)
	})
}

// ExpungeRequest deletes what a request brought.
func (s *Store) ExpungeRequest(ctx context.Context, source hark.Ref, id hark.RequestID) error {
	return s.changeRequest(ctx, source, id, func(c *conn, k hark.KSUID) (int64, error) {
		return c.exec(expungeRequestSQL, source, k[:], dayOf(k)<<dayShift)
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
		_, err = c.exec(deleteContentSQL, source, k[:], dayOf(k)<<dayShift)
		return err
	})
}

// CountRequests counts a source's requests.
func (s *Store) CountRequests(ctx context.Context, source hark.Ref, since time.Time, limit int) (n int, err error) {
	low := hark.KSUIDFloor(since)
	err = s.read(ctx, func(c *conn) error {
		count, err := c.int(countRequestsSQL, source, low[:], dayOf(low)<<dayShift, limit)
		n = int(count)
		return err
	})
	return n, err
}

const (
	retentionsOfSourcesSQL = `SELECT s.ref, e.retention, s.deleted_at + a.deleted_at
FROM source s JOIN application a ON a.ref = s.application LEFT JOIN environment e ON e.id = s.environment
WHERE s.ref > $1 ORDER BY s.ref LIMIT $2`

	oldRequestsSQL = `SELECT source, id FROM request WHERE source = $1 AND id > $2 AND id < $3 AND day >= $5 AND day < $6 ORDER BY id LIMIT $4`

	deleteRequestsSQL = `DELETE FROM request WHERE source = $1 AND id <= $2 AND day < $3`

	deleteContentsSQL = `DELETE FROM request_content WHERE source = $1 AND id <= $2 AND day < $3`
)

// expireRequests goes on with the walk over the sources.
func (s *Store) expireRequests(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	return s.walkSources.Go(limit, reclaimChunk, row.Retentions(ctx, s.lend, now, retentionsOfSourcesSQL), func(source row.Retention, after []byte, limit int) ([]row.Old, error) {
		return s.expireSomeRequests(ctx, source, after, limit)
	})
}

// expireSomeRequests removes up to limit requests of a source behind an id; it answers them.
func (s *Store) expireSomeRequests(ctx context.Context, source row.Retention, after []byte, limit int) (old []row.Old, err error) {
	first, end := refsBetween(after, source.End)
	if err := s.read(ctx, func(c *conn) (err error) {
		old, err = row.Collect(c.query, row.ScanOld, oldRequestsSQL, source.Ref, after, source.End, limit, first, end)
		return err
	}); err != nil || len(old) == 0 {
		return nil, err
	}
	return old, s.change(ctx, func(c *conn) error {
		for _, query := range [...]string{deleteRequestsSQL, deleteContentsSQL} {
			if _, err := c.exec(query, source.Ref, old[len(old)-1].ID, end); err != nil {
				return err
			}
		}
		return nil
	})
}
