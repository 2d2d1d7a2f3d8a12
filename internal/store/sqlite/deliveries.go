package sqlite

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// state is what became of a message at an endpoint.
type state struct {
	status   hark.AttemptStatus
	next     time.Time // of the queue row; zero without one
	attempts int64
	queued   bool
}

const deliveryStateSQL = `SELECT
  (SELECT count(*) FROM attempt WHERE endpoint = ?1 AND message = ?2),
  EXISTS (SELECT 1 FROM attempt WHERE endpoint = ?1 AND message = ?2 AND status = 0),
  (SELECT next_attempt FROM attempt WHERE endpoint = ?1 AND message = ?2 ORDER BY id DESC LIMIT 1),
  (SELECT min(max(due, retry_at)) FROM queue
   WHERE endpoint = ?1 AND message = ?2 AND due IN ` + queuedDues + `
     AND EXISTS (SELECT 1 FROM endpoint WHERE ref = ?1 AND deleted_at = 0))`

// deliveryState derives a delivery's state from its attempts and its queue row.
func deliveryState(c *conn, message, endpoint hark.Ref) (st state, err error) {
	err = c.query(func(r row) error {
		st = state{attempts: r.int(0), queued: !r.null(3), next: r.time(3)}
		succeeded, planned := r.bool(1), r.int(2) != 0
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
	attemptedRefs = `SELECT a.message
FROM attempt a INDEXED BY attempt_delivery CROSS JOIN message m ON m.ref = a.message
WHERE a.endpoint = ?1 AND a.message > ?2 AND a.message < ?3` + attemptFilter + attemptedTimes

	failedRefs = `SELECT a.message
FROM attempt a INDEXED BY attempt_failed_delivery CROSS JOIN message m ON m.ref = a.message
WHERE a.endpoint = ?1 AND a.status <> 0 AND a.message > ?2 AND a.message < ?3` + attemptFilter + attemptedTimes

	attemptedTimes = `
  AND m.created_at >= ?10 AND m.created_at < ?11
GROUP BY a.message ORDER BY a.message `

	attemptedRefsUpSQL   = attemptedRefs + `ASC LIMIT ?4`
	attemptedRefsDownSQL = attemptedRefs + `DESC LIMIT ?4`
	failedRefsUpSQL      = failedRefs + `ASC LIMIT ?4`
	failedRefsDownSQL    = failedRefs + `DESC LIMIT ?4`

	// The last message that is not newer than an id.
	refAtSQL = `SELECT ref, id FROM message
WHERE application = (SELECT application FROM endpoint WHERE ref = ?) AND id <= ? ORDER BY id DESC LIMIT 1`
)

// refRange is a part of the messages that an endpoint has attempts of.
type refRange struct {
	low, high hark.Ref // exclusive
	down      bool
	from, to  int64 // created in [from, to), milliseconds
}

// attempted reads the refs of messages that an endpoint has attempts of. The filter's status is
// not looked at here, it is the delivery's; but deliveries without success all have a failure.
func attempted(c *conn, endpoint hark.Ref, filter *store.AttemptFilter, r refRange, limit int) ([]hark.Ref, error) {
	up, down := attemptedRefsUpSQL, attemptedRefsDownSQL
	if filter.Status != nil && *filter.Status != hark.Succeeded {
		up, down = failedRefsUpSQL, failedRefsDownSQL
	}
	args := append([]any{endpoint, r.low, r.high, limit}, filterArgs(filter)...)
	args[4] = nil
	return collect(c, scanRef, pick(r.down, up, down), append(args, r.from, r.to)...)
}

// exclusive are the bounds of filter's times, which are exclusive both.
func exclusive(filter *store.AttemptFilter) (from, to int64) {
	return lowerBound(filter.After) + 1, upperBound(filter.Before)
}

// AttemptedMessages lists the messages that an endpoint has attempts of, newest first.
func (s *Store) AttemptedMessages(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, withPayload bool, page store.Page) (all []store.EndpointMessage, err error) {
	from, to := exclusive(&filter)
	r := refRange{low: 0, high: math.MaxInt64, down: !page.Backward && (!filter.OldestFirst || page.From != ""), from: from, to: to}
	err = s.view(ctx, func(c *conn) error {
		all = nil
		if err := r.startAt(c, endpoint, page.From); err != nil {
			return err
		}
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
			r.goOn(refs[len(refs)-1])
		}
		return nil
	})
	return turned(all, !r.down), err
}

// startAt begins the range behind the message with an id, or where it would stand.
func (r *refRange) startAt(c *conn, endpoint hark.Ref, id string) error {
	if id == "" {
		return nil
	}
	k, err := hark.ParseID(id, hark.MessagePrefix)
	if err != nil {
		return badIterator()
	}
	var ref hark.Ref
	exact := false
	if _, err := c.one(func(row row) error {
		ref, exact = row.int(0), string(row.blob(1)) == string(k[:])
		return nil
	}, refAtSQL, endpoint, k[:]); err != nil {
		return err
	}
	if r.down && !exact {
		ref++ // it is gone: the one before it is the first
	}
	r.goOn(ref)
	return nil
}

func (r *refRange) goOn(ref hark.Ref) {
	if r.down {
		r.high = ref
	} else {
		r.low = ref
	}
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
		m, err := tryFind(c, scanMessage, messageByRefSQL, ref)
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
	p := pageOfText(page)
	err = s.view(ctx, func(c *conn) error {
		all = nil
		eps, err := collect(c, s.scanEndpoint, pick(p.down, attemptedEndpointsUpSQL, attemptedEndpointsDownSQL), message, p.low, p.high, p.limit)
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
	return turned(all, p.turn), err
}

const matchedSQL = `SELECT matched FROM message WHERE ref = ?`

// DeliveryStates says what became of a message at each of the endpoints. Those that it was
// neither sent to nor queued for are left out.
func (s *Store) DeliveryStates(ctx context.Context, message hark.Ref, endpoints []hark.Ref) (states map[hark.Ref]store.MessageEndpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		states = make(map[hark.Ref]store.MessageEndpoint, len(endpoints))
		var matched []hark.Ref
		if _, err := c.one(func(r row) error { matched = decodeRefs(r.blob(0)); return nil }, matchedSQL, message); err != nil {
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
			ep, err := tryFind(c, s.scanEndpoint, endpointByRefSQL, ref)
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
	r := refRange{low: after, high: math.MaxInt64, from: lowerBound(since), to: upperBound(until)}
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		return attempted(c, endpoint, &store.AttemptFilter{Status: &failed}, r, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.status == hark.Failed || st.status == hark.Canceled, err
	})
}

// Missing pages through messages that were never attempted or queued at the endpoint.
func (s *Store) Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		return walkMessages(c, app, after, span{since, until}, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.attempts == 0 && !st.queued, err
	})
}

// Attempted pages through messages that the endpoint has attempts of.
func (s *Store) Attempted(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	from, to := exclusive(&filter)
	r := refRange{low: after, high: math.MaxInt64, from: from, to: to}
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
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
	err = s.view(ctx, func(c *conn) error {
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
		next = goOn(some, limit)
		return nil
	})
	slices.Sort(refs)
	return refs, next, err
}
