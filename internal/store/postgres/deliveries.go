package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const deliveryStatesSQL = `SELECT d.message, d.endpoint,
  (SELECT count(*) FROM attempt a WHERE a.message = d.message AND a.endpoint = d.endpoint)
    + (SELECT count(*) FROM feed f WHERE f.message = d.message AND f.consumer = d.endpoint),
  EXISTS (SELECT 1 FROM attempt a WHERE a.message = d.message AND a.endpoint = d.endpoint AND a.status = 0)
    OR EXISTS (SELECT 1 FROM feed f WHERE f.message = d.message AND f.consumer = d.endpoint)
      AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.message = d.message AND a.endpoint = d.endpoint),
  (SELECT CASE a.status WHEN 4 THEN 1 ELSE a.next_attempt END FROM attempt a WHERE a.message = d.message AND a.endpoint = d.endpoint ORDER BY a.id DESC LIMIT 1),
  (SELECT min(greatest(q.due, q.retry_at)) FROM queue q WHERE q.message = d.message AND q.endpoint = d.endpoint
     AND EXISTS (SELECT 1 FROM endpoint e WHERE e.ref = d.endpoint AND e.deleted_at = 0))
FROM unnest($1::bigint[], $2::bigint[]) AS d (message, endpoint)`

// delivery names a delivery: a message at an endpoint.
type delivery struct{ message, endpoint hark.Ref }

// deliveryStates derives deliveries' states from their attempts and their queue rows.
func deliveryStates(c *conn, deliveries []delivery) (map[delivery]row.State, error) {
	states := make(map[delivery]row.State, len(deliveries))
	if len(deliveries) == 0 {
		return states, nil
	}
	messages, endpoints := make([]hark.Ref, len(deliveries)), make([]hark.Ref, len(deliveries))
	for i, d := range deliveries {
		messages[i], endpoints[i] = d.message, d.endpoint
	}
	err := c.query(func(r row.Row) error {
		st, err := row.ScanState(r[2:])
		states[delivery{r.Int(0), r.Int(1)}] = st
		return err
	}, deliveryStatesSQL, messages, endpoints)
	return states, err
}

// statesAt is deliveryStates of many messages at one endpoint, by message.
func statesAt(c *conn, endpoint hark.Ref, messages []hark.Ref) (map[hark.Ref]row.State, error) {
	deliveries := make([]delivery, len(messages))
	for i, ref := range messages {
		deliveries[i] = delivery{ref, endpoint}
	}
	found, err := deliveryStates(c, deliveries)
	states := make(map[hark.Ref]row.State, len(found))
	for d, st := range found {
		states[d.message] = st
	}
	return states, err
}

const (
	// Of an endpoint with few attempts: all of them, through the index alone.
	attemptedFew = `SELECT m.ref
FROM (SELECT DISTINCT message FROM attempt WHERE endpoint = $1) d
JOIN message m ON m.ref = d.message
WHERE m.id > $2 AND m.id < $3` + attemptedFilter

	// Of an endpoint with many: the application's messages in order, of which many are wanted.
	attemptedMany = `SELECT m.ref
FROM message m
WHERE m.application = (SELECT application FROM endpoint WHERE ref = $1) AND m.id > $2 AND m.id < $3` + attemptedFilter

	// Of deliveries that are no success, all have a failure.
	attemptedFailed = `SELECT m.ref
FROM (SELECT DISTINCT message FROM attempt WHERE endpoint = $1 AND status <> 0) d
JOIN message m ON m.ref = d.message
WHERE m.id > $2 AND m.id < $3` + attemptedFilter

	attemptedFilter = `
  AND EXISTS (SELECT 1 FROM attempt a
    WHERE a.message = m.ref AND a.endpoint = $1` + attemptFilter + `)
  AND m.created_at >= $10 AND m.created_at < $11 AND m.ref >= $12 AND m.ref < $13
ORDER BY m.id `

	attemptedFewUpSQL      = attemptedFew + `ASC LIMIT $4`
	attemptedFewDownSQL    = attemptedFew + `DESC LIMIT $4`
	attemptedManyUpSQL     = attemptedMany + `ASC LIMIT $4`
	attemptedManyDownSQL   = attemptedMany + `DESC LIMIT $4`
	attemptedFailedUpSQL   = attemptedFailed + `ASC LIMIT $4`
	attemptedFailedDownSQL = attemptedFailed + `DESC LIMIT $4`

	countAttemptsSQL = `SELECT count(*) FROM (SELECT 1 FROM attempt WHERE endpoint = $1 LIMIT $2) AS a`

	countFailuresSQL = `SELECT count(*) FROM (SELECT 1 FROM attempt
WHERE endpoint = $1 AND status <> 0 LIMIT $2) AS a`
)

// fewAttempts are read and sorted as a whole, in some 20 ms.
const fewAttempts = 8_000

// attempted reads the refs of messages that an endpoint has attempts of. The filter's status is
// not looked at here, it is the delivery's.
func attempted(c *conn, endpoint hark.Ref, filter *store.AttemptFilter, r row.Attempted, limit int) ([]hark.Ref, error) {
	args := append([]any{endpoint, r.Low, r.High, limit}, filterArgs(filter)...)
	args[4] = nil
	first, end := refsBetween(r.Low, r.High)
	args = append(args, r.From, r.To, first, end)
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
	id, err := idOfMessage(c, ref)
	r.GoOn(id)
	return err
}

// AttemptedMessages lists the messages that an endpoint has attempts of, newest first.
func (s *Store) AttemptedMessages(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, withPayload bool, page store.Page) (all []store.EndpointMessage, err error) {
	r, err := row.PageOfAttempted(&filter, page)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(c *conn) error {
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
	states, err := statesAt(c, endpoint, refs)
	if err != nil {
		return nil, err
	}
	wanted := make([]hark.Ref, 0, len(refs))
	for _, ref := range refs {
		if len(all)+len(wanted) < limit && states[ref].Passes(filter) {
			wanted = append(wanted, ref)
		}
	}
	messages, err := row.Collect(c.query, row.ScanMessage, messagesByRefSQL, wanted)
	if err != nil {
		return nil, err
	}
	if withPayload {
		if err := loadPayloads(c.query, messages, itself); err != nil {
			return nil, err
		}
	}
	for _, m := range row.InOrder(messages, wanted, func(m *hark.Message) hark.Ref { return m.Ref }) {
		st := states[m.Ref]
		all = append(all, store.EndpointMessage{Message: m, Status: st.Status, NextAttempt: st.Next})
	}
	return all, nil
}

const (
	attemptedEndpoints = endpointColumns + `
WHERE endpoint.ref IN (SELECT endpoint FROM attempt WHERE message = $1) AND endpoint.id > $2 AND endpoint.id < $3
`
	attemptedEndpointsUpSQL   = attemptedEndpoints + `ORDER BY endpoint.id ASC LIMIT $4`
	attemptedEndpointsDownSQL = attemptedEndpoints + `ORDER BY endpoint.id DESC LIMIT $4`
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
		deliveries := make([]delivery, len(eps))
		for i, ep := range eps {
			deliveries[i] = delivery{message, ep.Ref}
		}
		states, err := deliveryStates(c, deliveries)
		if err != nil {
			return err
		}
		for i, ep := range eps {
			st := states[deliveries[i]]
			all = append(all, store.MessageEndpoint{Endpoint: ep, Status: st.Status, NextAttempt: st.Next})
		}
		return nil
	})
	return row.Turned(all, p.Turn), err
}

const matchedSQL = `SELECT matched FROM message WHERE ref = $1`

// DeliveryStates says what became of a message at each of the endpoints. Those that it was
// neither sent to nor queued for are left out.
func (s *Store) DeliveryStates(ctx context.Context, message hark.Ref, endpoints []hark.Ref) (states map[hark.Ref]store.MessageEndpoint, err error) {
	err = s.view(ctx, func(c *conn) error {
		states = make(map[hark.Ref]store.MessageEndpoint, len(endpoints))
		var matched []hark.Ref
		if _, err := c.one(func(r row.Row) error { matched = row.DecodeRefs(r.Blob(0)); return nil }, matchedSQL, message); err != nil {
			return err
		}
		deliveries := make([]delivery, len(endpoints))
		for i, ref := range endpoints {
			deliveries[i] = delivery{message, ref}
		}
		found, err := deliveryStates(c, deliveries)
		if err != nil {
			return err
		}
		eps, err := row.Collect(c.query, s.seal.ScanEndpoint, endpointsByRefSQL, endpoints)
		if err != nil {
			return err
		}
		for _, ep := range eps {
			st := found[delivery{message, ep.Ref}]
			if !st.IsUntouched() || slices.Contains(matched, ep.Ref) {
				states[ep.Ref] = store.MessageEndpoint{Endpoint: ep, Status: st.Status, NextAttempt: st.Next}
			}
		}
		return nil
	})
	return states, err
}

// The pages for replays. Each call looks at no more than limit messages.

// Failed pages through messages whose delivery to the endpoint failed for good or was canceled.
func (s *Store) Failed(ctx context.Context, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	failed := hark.Failed
	return s.selectRefs(ctx, endpoint, limit, func(c *conn) ([]hark.Ref, error) {
		r, err := startBehind(c, row.AttemptedBetween(since, until), after)
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &store.AttemptFilter{Status: &failed}, r, limit)
	}, row.State.IsOver)
}

// Missing pages through messages that were never attempted or queued at the endpoint.
func (s *Store) Missing(ctx context.Context, app, endpoint hark.Ref, since, until time.Time, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, endpoint, limit, func(c *conn) ([]hark.Ref, error) {
		return walkMessages(c, app, after, row.Span{Since: since, Until: until}, limit)
	}, row.State.IsUntouched)
}

// Attempted pages through messages that the endpoint has attempts of.
func (s *Store) Attempted(ctx context.Context, endpoint hark.Ref, filter store.AttemptFilter, after hark.Ref, limit int) (refs []hark.Ref, next hark.Ref, err error) {
	return s.selectRefs(ctx, endpoint, limit, func(c *conn) ([]hark.Ref, error) {
		r, err := startBehind(c, row.AttemptedBy(&filter), after)
		if err != nil {
			return nil, err
		}
		return attempted(c, endpoint, &filter, r, limit)
	}, func(st row.State) bool { return st.Passes(&filter) })
}

func (s *Store) selectRefs(ctx context.Context, endpoint hark.Ref, limit int, candidates func(*conn) ([]hark.Ref, error), wanted func(row.State) bool) (refs []hark.Ref, next hark.Ref, err error) {
	err = s.view(ctx, func(c *conn) error {
		some, err := candidates(c)
		if err != nil {
			return err
		}
		states, err := statesAt(c, endpoint, some)
		if err != nil {
			return err
		}
		refs = slices.DeleteFunc(slices.Clone(some), func(ref hark.Ref) bool { return !wanted(states[ref]) })
		next = row.GoOn(some, limit)
		return nil
	})
	slices.Sort(refs)
	return refs, next, err
}
