package postgres

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

	requestRange = `WHERE r.source = $1 AND r.id > $2 AND r.id < $3
  AND ($5::integer < 0 OR r.outcome = $5) AND ($6::text = '' OR r.cause = $6)
  AND ($7::text[] IS NULL OR r.event_type = ANY ($7))
  AND r.received_at > $8 AND r.received_at < $9 AND r.day >= $10 AND r.day < $11
`

	allRequests = requestColumns + requestRange

	refusedRequests = requestColumns + requestRange + `AND r.outcome <> 0 `
)

// The id says in which day's table a request is.
var requestSQL = row.RequestSQL{
	One: requestColumns + `WHERE r.source = $1 AND r.id = $2 AND r.day = $3`,
	Source: `SELECT s.id FROM source s JOIN request r ON r.source = s.ref AND r.id = $2 AND r.day = $3
WHERE s.environment = $1 AND s.deleted_at = 0`,
	Content:     `SELECT head, body FROM request_content WHERE source = $1 AND id = $2 AND day = $3`,
	Application: `SELECT application FROM source WHERE ref = $1`,
	List: row.Listing{
		Up:   allRequests + `ORDER BY r.id ASC LIMIT $4`,
		Down: allRequests + `ORDER BY r.id DESC LIMIT $4`,
	},
	Refused: row.Listing{
		Up:   refusedRequests + `ORDER BY r.id ASC LIMIT $4`,
		Down: refusedRequests + `ORDER BY r.id DESC LIMIT $4`,
	},
	Count:         `SELECT count(*) FROM (SELECT 1 FROM request WHERE source = $1 AND id >= $2 AND day >= $4 LIMIT $3) AS q`,
	Adopt:         `UPDATE request SET outcome = 0, message = $4 WHERE source = $1 AND id = $2 AND day = $3`,
	Expunge:       `UPDATE request SET expunged = true WHERE source = $1 AND id = $2 AND day = $3 AND outcome <> 0`,
	DeleteContent: `DELETE FROM request_content WHERE source = $1 AND id = $2 AND day = $3`,
	Retentions: `SELECT s.ref, e.retention, s.deleted_at + a.deleted_at
FROM source s JOIN application a ON a.ref = s.application LEFT JOIN environment e ON e.id = s.environment
WHERE s.ref > $1 ORDER BY s.ref LIMIT $2`,
	Old: `SELECT source, id FROM request WHERE source = $1 AND id > $2 AND id < $3 AND day >= $5 AND day < $6 ORDER BY id LIMIT $4`,
	Delete: []string{
		`DELETE FROM request WHERE source = $1 AND id <= $2 AND day >= $3 AND day < $4`,
		`DELETE FROM request_content WHERE source = $1 AND id <= $2 AND day >= $3 AND day < $4`,
	},
}
