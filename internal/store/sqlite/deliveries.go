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

const deliveryStateSQL = `SELECT
  (SELECT count(*) FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2)
    + (SELECT count(*) FROM feed WHERE message = ?2 AND consumer = ?1),
  EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2 AND status = 0)
    OR EXISTS (SELECT 1 FROM feed WHERE message = ?2 AND consumer = ?1)
      AND NOT EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2),
  (SELECT CASE status WHEN 4 THEN 1 ELSE next_attempt END FROM attempt INDEXED BY attempt_delivery WHERE endpoint = ?1 AND message = ?2 ORDER BY id DESC LIMIT 1),
  (SELECT min(max(due, retry_at)) FROM queue
   WHERE endpoint = ?1 AND message = ?2 AND due IN ` + queuedDues + `
     AND EXISTS (SELECT 1 FROM endpoint WHERE ref = ?1 AND deleted_at = 0))`

// deliveryState derives a delivery's state from its attempts and its queue row.
func deliveryState(c *conn, message, endpoint hark.Ref) (row.State, error) {
	return row.Find(c.query, row.ScanState, deliveryStateSQL, endpoint, message)
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

// attempted reads the refs of messages that an endpoint has attempts of. The filter's status is
// not looked at here, it is the delivery's.
func attempted(c *conn, endpoint hark.Ref, filter *store.AttemptFilter, r row.Attempted, limit int) ([]hark.Ref, error) {
	args := append([]any{endpoint, r.Low, r.High, limit}, filterArgs(filter)...)
	args[4] = nil
	args = append(args, r.From, r.To)
	if filter.Status != nil && *filter.Status != hark.Succeeded {
		n, err := c.int(countFailuresSQL, endpoint, fewAttempts)
		if err != nil {
			return nil, err
		}
		if n < fewAttempts {
			return row.Collect(c.query, row.ScanRef, row.Pick(r.Down, attemptedFailedUpSQL, attemptedFailedDownSQL), args...)
		}
	}
	n, err := c.int(countAttemptsSQL, endpoint, fewAttempts)
	if err != nil {
		return nil, err
	}
	if n < fewAttempts {
		return row.Collect(c.query, row.ScanRef, row.Pick(r.Down, attemptedFewUpSQL, attemptedFewDownSQL), args...)
	}
	return row.Collect(c.query, row.ScanRef, row.Pick(r.Down, attemptedManyUpSQL, attemptedManyDownSQL), args...)
}

// startBehind narrows a range to what is behind a message; 0 stands for none.
func startBehind(c *conn, r row.Attempted, after hark.Ref) (row.Attempted, error) {
	if after == 0 {
		return r, nil
	}
	err := goOn(c, &r, after)
	return r, err
}

// goOn narrows a range to what is behind a message.
func goOn(c *conn, r *row.Attempted, ref hark.Ref) error {
	return c.query(func(m row.Row) error { r.GoOn(m.Blob(0)); return nil }, messageIDSQL, ref)
}

// AttemptedMessages lists the messages that an endpoint has attempts of, newest first.
func (s *Store) AttemptedMessages(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, withPayload bool, page store.Page) (all []store.EndpointMessage, err error) {
	r, err := row.PageOfAttempted(&filter, page)
	if err != nil {
		return nil, err
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
			if err := goOn(c, &r, refs[len(refs)-1]); err != nil {
				return err
			}
		}
		return nil
	})
	return row.Turned(all, !r.Down), err
}

func appendAttempted(c *conn, all []store.EndpointMessage, endpoint hark.Ref, refs []hark.Ref, filter *store.AttemptFilter, withPayload bool, limit int) ([]store.EndpointMessage, error) {
	for _, ref := range refs {
		st, err := deliveryState(c, ref, endpoint)
		if err != nil {
			return nil, err
		}
		if len(all) == limit || !st.Passes(filter) {
			continue
		}
		m, err := row.Find(c.query, row.ScanMessage, messageByRefSQL, ref)
		if err != nil {
			return nil, err
		}
		if withPayload {
			if err := loadPayload(c.query, &m); err != nil {
				return nil, err
			}
		}
		all = append(all, store.EndpointMessage{Message: m, Status: st.Status, NextAttempt: st.Next})
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
			all = append(all, store.MessageEndpoint{Endpoint: ep, Status: st.Status, NextAttempt: st.Next})
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
			if st.IsUntouched() && !slices.Contains(matched, ref) {
				continue
			}
			ep, err := row.Find(c.query, s.seal.ScanEndpoint, endpointSQL.ByRef, ref)
			if errors.Is(err, hark.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			states[ref] = store.MessageEndpoint{Endpoint: ep, Status: st.Status, NextAttempt: st.Next}
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
		r, err := startBehind(c, row.AttemptedBetween(since, until), after)
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &store.AttemptFilter{Status: &failed}, r, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.IsOver(), err
	})
}

// Missing pages through messages that were never attempted or queued at the endpoint.
func (s *Store) Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		return walkMessages(c, app, after, row.Span{Since: since, Until: until}, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		st, err := deliveryState(c, ref, endpoint)
		return st.IsUntouched(), err
	})
}

// Attempted pages through messages that the endpoint has attempts of.
func (s *Store) Attempted(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, limit, func(c *conn) ([]hark.Ref, error) {
		r, err := startBehind(c, row.AttemptedBy(&filter), after)
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &filter, r, limit)
	}, func(c *conn, ref hark.Ref) (bool, error) {
		if filter.Status == nil {
			return true, nil
		}
		st, err := deliveryState(c, ref, endpoint)
		return st.Passes(&filter), err
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
