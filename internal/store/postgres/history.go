package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	attemptColumns = `SELECT a.id, e.application, a.message, a.endpoint, m.id, e.id, m.event_type, a.url, a.number, a.manual, a.status,
  a.status_code, a.error, a.started_at, a.duration, a.dns, a.connect, a.tls, a.first_byte, a.next_attempt, a.response, a.response_header
`
	attemptJoins = `
JOIN endpoint e ON e.ref = a.endpoint
LEFT JOIN message m ON m.ref = a.message
`
	attemptSQL = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.message = $1 AND e.application = $2 AND a.id = $3`

	// Parameters of the attempts' filter are $5 and up; $4 is the limit.
	attemptFilter = `
  AND ($5::smallint IS NULL OR a.status = $5)
  AND ($6::integer IS NULL OR a.status_code / 100 * 100 = $6)
  AND ($7::text[] IS NULL OR m.event_type = ANY ($7))
  AND ($8::text = '' OR m.channels::jsonb @> to_jsonb($8::text))
  AND ($9::text = '' OR m.tags::jsonb @> to_jsonb($9::text))
`
	attemptTimes = `
  AND a.started_at > $10 AND a.started_at < $11 AND ($12::bigint = 0 OR a.endpoint = $12)
`
	attemptRange = `AND a.id > $2 AND a.id < $3` + attemptFilter + attemptTimes

	// An attempt is never older than its message: the days behind need not be read.
	ofEndpoint             = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.endpoint = $1 AND a.message < $13 ` + attemptRange
	endpointAttemptsUpSQL  = ofEndpoint + `ORDER BY a.id ASC LIMIT $4`
	endpointAttemptsDnSQL  = ofEndpoint + `ORDER BY a.id DESC LIMIT $4`
	failuresOfEndpoint     = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.endpoint = $1 AND a.status <> 0 AND a.message < $13 ` + attemptRange
	endpointFailuresUpSQL  = failuresOfEndpoint + `ORDER BY a.id ASC LIMIT $4`
	endpointFailuresDnSQL  = failuresOfEndpoint + `ORDER BY a.id DESC LIMIT $4`
	ofMessage              = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.message = $1 AND a.message < $13 ` + attemptRange
	messageAttemptsUpSQL   = ofMessage + `ORDER BY a.id ASC LIMIT $4`
	messageAttemptsDownSQL = ofMessage + `ORDER BY a.id DESC LIMIT $4`
)

// Attempt finds one attempt of a message.
func (s *Store) Attempt(ctx context.Context, app, message hark.Ref, id hark.AttemptID) (hark.Attempt, error) {
	k, err := hark.ParseID(string(id), hark.AttemptPrefix)
	if err != nil {
		return hark.Attempt{}, hark.ErrNotFound
	}
	return row.Get(ctx, s.lend, row.ScanAttempt, attemptSQL, message, app, k[:])
}

// AttemptsByEndpoint lists an endpoint's attempts, newest first.
func (s *Store) AttemptsByEndpoint(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, page store.Page) ([]hark.Attempt, error) {
	up, down := endpointAttemptsUpSQL, endpointAttemptsDnSQL
	if row.OnlyFailures(&filter) {
		up, down = endpointFailuresUpSQL, endpointFailuresDnSQL // few among millions of successes
	}
	return s.listAttempts(ctx, endpoint, filter, page, up, down)
}

// AttemptsByMessage lists a message's attempts, newest first.
func (s *Store) AttemptsByMessage(ctx context.Context, message hark.Ref, filter store.AttemptFilter, page store.Page) ([]hark.Attempt, error) {
	return s.listAttempts(ctx, message, filter, page, messageAttemptsUpSQL, messageAttemptsDownSQL)
}

func (s *Store) listAttempts(ctx context.Context, ref hark.Ref, filter store.AttemptFilter, page store.Page, up, down string) (all []hark.Attempt, err error) {
	p, err := row.PageOfIDs(page, hark.AttemptPrefix, filter.After, filter.Before, filter.OldestFirst)
	if err != nil {
		return nil, err
	}
	_, end := refsBetween(p.Low, p.High)
	args := append([]any{ref, p.Low, p.High, p.Limit}, filterArgs(&filter)...)
	args = append(args, row.LowerBound(filter.After), row.UpperBound(filter.Before), filter.EndpointRef, end)
	err = s.view(ctx, func(c *conn) (err error) {
		all, err = row.Collect(c.query, row.ScanAttempt, row.Pick(p.Down, up, down), args...)
		return err
	})
	if !filter.WithResponse {
		for i := range all {
			all[i].Response, all[i].ResponseHeader = nil, nil
		}
	}
	return row.Turned(all, p.Turn), err
}

// filterArgs are ?5 to ?9 of attemptFilter.
func filterArgs(filter *store.AttemptFilter) []any {
	var status, class any
	if filter.Status != nil {
		status = int16(*filter.Status)
	}
	if filter.StatusCodeClass != nil {
		class = *filter.StatusCodeClass
	}
	var types []string
	if len(filter.EventTypes) > 0 {
		types = filter.EventTypes
	}
	return []any{status, class, types, filter.Channel, filter.Tag}
}

const expungeResponseSQL = `UPDATE attempt SET response = 'EXPUNGED'::bytea, response_header = NULL
WHERE message = $1 AND id = $2 AND (SELECT application FROM endpoint WHERE ref = attempt.endpoint) = $3`

// ExpungeResponse replaces an attempt's response body, and forgets its header.
func (s *Store) ExpungeResponse(ctx context.Context, app, message hark.Ref, id hark.AttemptID) error {
	k, err := hark.ParseID(string(id), hark.AttemptPrefix)
	if err != nil {
		return hark.ErrNotFound
	}
	return s.change(ctx, func(c *conn) error {
		n, err := c.exec(expungeResponseSQL, message, k[:], app)
		if err == nil && n == 0 {
			return hark.ErrNotFound
		}
		return err
	})
}

const (
	// Answered by the index alone.
	attemptStatsSQL = `SELECT status, count(*) FROM attempt
WHERE endpoint = $1 AND id >= $2 AND id < $3 GROUP BY status`

	pendingSQL = `SELECT count(*) FROM queue
WHERE shard = $4 AND endpoint = $1 AND due >= $2 AND due < $3 AND attempts = 0 AND (SELECT deleted_at FROM endpoint WHERE ref = $1) = 0`
)

// AttemptStats counts an endpoint's attempts in [since, until); Pending are the deliveries that
// are due in it and were not attempted yet.
func (s *Store) AttemptStats(ctx context.Context, endpoint hark.Ref, since, until time.Time) (stats store.AttemptStats, err error) {
	low, high := hark.KSUIDFloor(since), hark.KSUIDFloor(until)
	err = s.view(ctx, func(c *conn) (err error) {
		stats = store.AttemptStats{}
		if err := c.query(row.CountAttempts(&stats), attemptStatsSQL, endpoint, low[:], high[:]); err != nil {
			return err
		}
		stats.Pending, err = c.int(pendingSQL, endpoint, row.LowerBound(since), row.UpperBound(until), store.ShardOf(endpoint))
		return err
	})
	return stats, err
}

const (
	lastAttemptSQL = `SELECT status FROM attempt
WHERE endpoint = $1 AND id >= $2 AND status <> 4 ORDER BY id DESC LIMIT 1`

	lastSuccessSQL = `SELECT id FROM attempt
WHERE endpoint = $1 AND id >= $2 AND status = 0 ORDER BY id DESC LIMIT 1`

	firstFailureSQL = `SELECT started_at FROM attempt
WHERE endpoint = $1 AND id >= $2 AND status <> 0 AND status <> 4 ORDER BY id LIMIT 1`
)

// FailingSince says since when an endpoint has had nothing but failed attempts.
func (s *Store) FailingSince(ctx context.Context, endpoint hark.Ref, floor time.Time) (since time.Time, ok bool, err error) {
	err = s.view(ctx, func(c *conn) error {
		since, ok = time.Time{}, false
		k := hark.KSUIDFloor(floor)
		from := k[:]
		failed := false
		found, err := c.one(func(r row.Row) error { failed = r.Int(0) != 0; return nil }, lastAttemptSQL, endpoint, from)
		if err != nil || !found || !failed {
			return err
		}
		if _, err := c.one(func(r row.Row) error { from = r.Blob(0); return nil }, lastSuccessSQL, endpoint, from); err != nil {
			return err
		}
		ok, err = c.one(func(r row.Row) error { since = r.Time(0); return nil }, firstFailureSQL, endpoint, from)
		return err
	})
	return since, ok, err
}
