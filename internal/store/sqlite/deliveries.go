package sqlite

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// state is what became of a message at an endpoint.
type state struct {
	status   hark.AttemptStatus
	next     time.Time // of the queue row; zero without one
	attempts int64
	queued   bool
}

const deliveryStateSQL = `SELECT
  (SELECT count(*) FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2),
  EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2 AND status = 0),
  (SELECT next_attempt FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2 ORDER BY id DESC LIMIT 1),
  (SELECT min(max(due, retry_at)) FROM queue
   WHERE endpoint = ?1 AND message = ?2 AND due IN ` + queuedDues + `
     AND EXISTS (SELECT 1 FROM endpoint WHERE ref = ?1 AND deleted_at = 0))`

// deliveryState derives a delivery's state from its attempts and its queue row.
func deliveryState(c *conn, message, endpoint hark.Ref) (st state, err error) {
	err = c.query(func(r row.Row) error {
		st = state{attempts: r.Int(0), queued: !r.Null(3), next: r.Time(3)}
		succeeded, planned := r.Bool(1), r.Int(2) != 0
		switch {
		case succeeded:
			st.status = hark.Succeeded
		case st.queued && st.attempts == 0:
			st.status = hark.Pending
		case st.queued:
			st.status = hark.Sending
		case st.attempts == 0 || planned:
			st.status = hark.Canceled
		default:
			st.status = hark.Failed
		}
		return nil
	}, deliveryStateSQL, endpoint, message)
	return st, err
}

const (
	// Of an endpoint with few attempts: all of them, through the index alone.
	attemptedFew = `SELECT m.ref
FROM (SELECT DISTINCT message FROM attempt INDEXED BY attempt_endpoint WHERE listed = 1 AND endpoint = ?1) d
CROSS JOIN message m ON m.ref = d.message
WHERE m.id > ?2 AND m.id < ?3` + attemptedFilter

	// Of an endpoint with many: the application's messages in order, of which many are wanted.
	attemptedMany = `SELECT m.ref
FROM message m INDEXED BY message_id
WHERE m.listed = 1 AND m.application = (SELECT application FROM endpoint WHERE ref = ?1) AND m.id > ?2 AND m.id < ?3` + attemptedFilter

	// Of deliveries that are no success, all have a failure.
	attemptedFailed = `SELECT m.ref
FROM (SELECT DISTINCT message FROM attempt INDEXED BY attempt_failed_delivery WHERE listed = 1 AND endpoint = ?1 AND status <> 0) d
CROSS JOIN message m ON m.ref = d.message
WHERE m.id > ?2 AND m.id < ?3` + attemptedFilter

	attemptedFilter = `
  AND EXISTS (SELECT 1 FROM attempt a INDEXED BY attempt_delivery
    WHERE a.message = m.ref AND a.endpoint = ?1` + attemptFilter + `)
  AND m.created_at >= ?10 AND m.created_at < ?11
ORDER BY m.id `

	attemptedFewUpSQL      = attemptedFew + `ASC LIMIT ?4`
	attemptedFewDownSQL    = attemptedFew + `DESC LIMIT ?4`
	attemptedManyUpSQL     = attemptedMany + `ASC LIMIT ?4`
	attemptedManyDownSQL   = attemptedMany + `DESC LIMIT ?4`
	attemptedFailedUpSQL   = attemptedFailed + `ASC LIMIT ?4`
	attemptedFailedDownSQL = attemptedFailed + `DESC LIMIT ?4`

	countAttemptsSQL = `SELECT count(*) FROM (SELECT 1 FROM attempt INDEXED BY attempt_endpoint WHERE listed = 1 AND endpoint = ? LIMIT ?)`

	countFailuresSQL = `SELECT count(*) FROM (SELECT 1 FROM attempt INDEXED BY attempt_failed_delivery
WHERE listed = 1 AND endpoint = ? AND status <> 0 LIMIT ?)`
)

// fewAttempts are read and sorted as a whole, in some 20 ms.
const fewAttempts = 8_000

// refRange is a part of the messages that an endpoint has attempts of, in the order of their ids.
type refRange struct {
	low, high []byte // exclusive
	down      bool
	from, to  int64 // created in [from, to), milliseconds
}

// attempted reads the refs of messages that an endpoint has attempts of. The filter's status is
// not looked at here, it is the delivery's.
func attempted(c *conn, endpoint hark.Ref, filter *store.AttemptFilter, r refRange, limit int) ([]hark.Ref, error) {
	args := append([]any{endpoint, r.low, r.high, limit}, filterArgs(filter)...)
	args[4] = nil
	args = append(args, r.from, r.to)
	if filter.Status != nil && *filter.Status != hark.Succeeded {
		n, err := c.int(countFailuresSQL, endpoint, fewAttempts)
		if err != nil {
			return nil, err
		}
		if n < fewAttempts {
			return row.Collect(c.query, row.ScanRef, row.Pick(r.down, attemptedFailedUpSQL, attemptedFailedDownSQL), args...)
		}
	}
	n, err := c.int(countAttemptsSQL, endpoint, fewAttempts)
	if err != nil {
		return nil, err
	}
	if n < fewAttempts {
		return row.Collect(c.query, row.ScanRef, row.Pick(r.down, attemptedFewUpSQL, attemptedFewDownSQL), args...)
	}
	return row.Collect(c.query, row.ScanRef, row.Pick(r.down, attemptedManyUpSQL, attemptedManyDownSQL), args...)
}

// newRange is everything of the row.Span, behind the message with the ref after.
func newRange(c *conn, after hark.Ref, from, to int64) (refRange, error) {
	r := refRange{low: []byte{}, high: row.LastID(), from: from, to: to}
	if after == 0 {
		return r, nil
	}
	return r, r.goOn(c, after)
}

// goOn narrows the range to what is behind a message.
func (r *refRange) goOn(c *conn, ref hark.Ref) error {
	return c.query(func(m row.Row) error { r.startAt(m.Blob(0)); return nil }, messageIDSQL, ref)
}

func (r *refRange) startAt(id []byte) {
	if r.down {
		r.high = id
	} else {
		r.low = id
	}
}

// exclusive are the bounds of filter's times, which are exclusive both.
func exclusive(filter *store.AttemptFilter) (from, to int64) {
	return row.LowerBound(filter.After) + 1, row.UpperBound(filter.Before)
}

// AttemptedMessages lists the messages that an endpoint has attempts of, newest first.
func (s *Store) AttemptedMessages(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, withPayload bool, page store.Page) (all []store.EndpointMessage, err error) {
	from, to := exclusive(&filter)
	r := refRange{low: []byte{}, high: row.LastID(), down: !page.Backward && (!filter.OldestFirst || page.From != ""), from: from, to: to}
	if page.From != "" {
		id, err := hark.ParseID(page.From, hark.MessagePrefix)
		if err != nil {
			return nil, row.BadIterator()
		}
		r.startAt(id[:])
	}
	err = s.viewLists(ctx, func(c *conn) error {
		all = nil
		for len(all) < page.Limit {
			refs, err := attempted(c, endpoint, &filter, r, page.Limit)
			if err != nil {
				return err
			}
			if all, err = appendAttempted(c, all, endpoint, refs, &filter, withPayload, page.Limit); err != nil {
				return err
			}
			if len(refs) < page.Limit {
				return nil
			}
			if err := r.goOn(c, refs[len(refs)-1]); err != nil {
				return err
			}
		}
		return nil
	})
	return row.Turned(all, !r.down), err
}

func appendAttempted(c *conn, all []store.EndpointMessage, endpoint hark.Ref, refs []hark.Ref, filter *store.AttemptFilter, withPayload bool, limit int) ([]store.EndpointMessage, error) {
	for _, ref := range refs {
		st, err := deliveryState(c, ref, endpoint)
		if err != nil {
			return nil, err
		}
		if len(all) == limit || filter.Status != nil && *filter.Status != st.status {
			continue
		}
		m, err := row.Find(c.query, row.ScanMessage, messageByRefSQL, ref)
		if err != nil {
			return nil, err
		}
		if withPayload {
			if err := loadPayload(c, &m); err != nil {
				return nil, err
			}
		}
		all = append(all, store.EndpointMessage{Message: m, Status: st.status, NextAttempt: st.next})
	}
	return all, nil
}

const (
	attemptedEndpoints = endpointColumns + `
WHERE endpoint.ref IN (SELECT endpoint FROM attempt WHERE message = ?) AND endpoint.id > ? AND endpoint.id < ?
`
	attemptedEndpointsUpSQL   = attemptedEndpoints + `ORDER BY endpoint.id ASC LIMIT ?`
	attemptedEndpointsDownSQL = attemptedEndpoints + `ORDER BY endpoint.id DESC LIMIT ?`
)

// AttemptedEndpoints lists the endpoints that a message has attempts at.
func (s *Store) AttemptedEndpoints(ctx context.Context, message hark.Ref, page store.Page) (all []store.MessageEndpoint, err error) {
	p := row.PageOfText(page)
	err = s.view(ctx, func(c *conn) error {
		all = nil
		eps, err := row.Collect(c.query, s.seal.ScanEndpoint, row.Pick(p.Down, attemptedEndpointsUpSQL, attemptedEndpointsDownSQL), message, p.Low, p.High, p.Limit)
		if err != nil {
			return err
		}
		for _, ep := range eps {
			st, err := deliveryState(c, message, ep.Ref)
			if err != nil {
				return err
			}
			all = append(all, store.MessageEndpoint{Endpoint: ep, Status: st.status, NextAttempt: st.next})
		}
		return nil
	})
	return row.Turned(all, p.Turn), err
}

const matchedSQL = `SELECT matched FROM message WHERE ref = ?`

// DeliveryStates says what became of a message at each of the endpoints. Those that it was
// neither sent to nor queued for are left out.
func (s *Store) DeliveryStates(ctx context.Context, message hark.Ref, endpoints []hark.Ref) (states map[hark.Ref]store.MessageEndpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		states = make(map[hark.Ref]store.MessageEndpoint, len(endpoints))
		var matched []hark.Ref
		if _, err := c.one(func(r row.Row) error { matched = row.DecodeRefs(r.Blob(0)); return nil }, matchedSQL, message); err != nil {
			return err
		}
		for _, ref := range endpoints {
			st, err := deliveryState(c, message, ref)
			if err != nil {
				return err
			}
			if st.attempts == 0 && !st.queued && !slices.Contains(matched, ref) {
				continue
			}
			ep, err := row.Find(c.query, s.seal.ScanEndpoint, endpointByRefSQL, ref)
			if errors.Is(err, hark.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			states[ref] = store.MessageEndpoint{Endpoint: ep, Status: st.status, NextAttempt: st.next}
		}
		return nil
	})
	return states, err
}

// The pages for replays. Each call looks at no more than limit messages.

// Failed pages through messages whose delivery to the endpoint failed for good or was canceled.
func (s *Store) Failed(ctx context.Context, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	failed := hark.Failed
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		r, err := newRange(c, after, row.LowerBound(since), row.UpperBound(until))
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &store.AttemptFilter{Status: &failed}, r, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.status == hark.Failed || st.status == hark.Canceled, err
	})
}

// Missing pages through messages that were never attempted or queued at the endpoint.
func (s *Store) Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		return walkMessages(c, app, after, row.Span{Since: since, Until: until}, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.attempts == 0 && !st.queued, err
	})
}

// Attempted pages through messages that the endpoint has attempts of.
func (s *Store) Attempted(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	from, to := exclusive(&filter)
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		r, err := newRange(c, after, from, to)
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &filter, r, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		if filter.Status == nil {
			return true, nil
		}
		st, err := deliveryState(c, ref, endpoint)
		return st.status == *filter.Status, err
	})
}

func (s *Store) selectRefs(ctx context.Context, limit int, candidates func(*conn) ([]hark.Ref, error), wanted func(*conn, hark.Ref) (bool, error)) (refs []hark.Ref, next hark.Ref, err error) {
	err = s.viewLists(ctx, func(c *conn) error {
		some, err := candidates(c)
		if err != nil {
			return err
		}
		for _, ref := range some {
			ok, err := wanted(c, ref)
			if err != nil {
				return err
			}
			if ok {
				refs = append(refs, ref)
			}
		}
		next = row.GoOn(some, limit)
		return nil
	})
	slices.Sort(refs)
	return refs, next, err
}
