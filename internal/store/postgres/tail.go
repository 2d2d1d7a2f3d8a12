package postgres

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// Nodes and writers commit in no order that a reader could follow, so a tail looks at the ids of the
// last seconds, by application, endpoint and source: these are indexes that are there for the lists.

const (
	tailApplicationsSQL = `SELECT ref FROM application WHERE environment = $1 AND ($2::bigint = 0 OR ref = $2) AND deleted_at = 0 LIMIT $3`

	tailEndpointsSQL = `SELECT ref FROM endpoint WHERE application = ANY ($1) AND (deleted_at = 0 OR deleted_at > $2) LIMIT $3`

	tailSourcesSQL = `SELECT ref, application FROM source WHERE environment = $1 AND application = ANY ($2) AND ($3::bigint = 0 OR ref = $3) AND deleted_at = 0 LIMIT $4`

	tailMessagesSQL = `SELECT k.id, k.ref, 0::bigint FROM unnest($1::bigint[]) o (application) CROSS JOIN LATERAL (
  SELECT id, ref FROM message m
  WHERE m.application = o.application AND m.id > $2 AND m.ref >= $3 AND ($5::text[] IS NULL OR m.event_type = ANY ($5))
  ORDER BY m.id DESC LIMIT $4) k
ORDER BY k.id DESC LIMIT $4`

	tailMessagesByRefSQL = messageColumns + `WHERE m.ref = ANY ($1)`

	tailAttemptsFrom = `SELECT k.id, k.message, k.endpoint FROM unnest($1::bigint[]) o (endpoint) CROSS JOIN LATERAL (
  SELECT id, message, endpoint FROM attempt a
  WHERE a.endpoint = o.endpoint AND a.id > $2 AND a.message >= $3`
	tailAttemptsTo = `
    AND ($5::text[] IS NULL OR EXISTS (SELECT 1 FROM message m WHERE m.ref = a.message AND m.event_type = ANY ($5)))
  ORDER BY a.id DESC LIMIT $4) k
ORDER BY k.id DESC LIMIT $4`

	tailAttemptsSQL = tailAttemptsFrom + tailAttemptsTo
	tailFailuresSQL = tailAttemptsFrom + ` AND a.status <> 0 AND a.status <> 4` + tailAttemptsTo

	tailAttemptsByKeySQL = attemptColumns + `FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) k (message, endpoint, id)
JOIN attempt a ON a.message = k.message AND a.endpoint = k.endpoint AND a.id = k.id` + attemptJoins

	tailRequestsSQL = `SELECT k.id, k.source, k.day FROM unnest($1::bigint[]) o (source) CROSS JOIN LATERAL (
  SELECT id, source, day FROM request r
  WHERE r.source = o.source AND r.id > $2 AND r.day >= $3 AND (NOT $6 OR r.outcome = 1) AND ($5::text[] IS NULL OR r.event_type = ANY ($5))
  ORDER BY r.id DESC LIMIT $4) k
ORDER BY k.id DESC LIMIT $4`

	tailRequestsByKeySQL = requestColumns + `JOIN unnest($1::bigint[], $2::bytea[], $3::bigint[]) k (source, id, day)
  ON r.source = k.source AND r.id = k.id AND r.day = k.day`
)

// tailOwners bounds how many applications, endpoints or sources a tail looks at.
const tailOwners = 5_000

// tail is a store.Tail.
type tail struct {
	s                            *Store
	scope                        store.TailScope
	messages, attempts, requests row.Window
}

// OpenTail watches what happens.
func (s *Store) OpenTail(scope store.TailScope, since time.Time) store.Tail {
	w := row.Window{Since: since}
	return &tail{s: s, scope: scope, messages: w, attempts: w, requests: w}
}

// Next answers what was committed since it was called last.
func (t *tail) Next(ctx context.Context, now time.Time, limit int) (entries []store.TailEntry, skipped int, err error) {
	var l look
	err = t.s.view(ctx, func(c *conn) error {
		l = look{tail: t, c: c, now: now, limit: limit}
		return l.all()
	})
	if err != nil {
		return nil, 0, err
	}
	t.messages.Keep(now, l.foundMessages)
	t.attempts.Keep(now, l.foundAttempts)
	t.requests.Keep(now, l.foundRequests)
	entries, more := row.LastEntries(l.entries, limit)
	return entries, l.skipped + more, nil
}

// look is one look of a tail.
type look struct {
	*tail
	c       *conn
	now     time.Time
	limit   int
	entries []store.TailEntry
	skipped int

	foundMessages, foundAttempts, foundRequests []row.TailKey
}

// all looks for all that is to be shown.
func (l *look) all() error {
	apps, err := l.owners(tailApplicationsSQL, string(l.scope.EnvironmentID), l.scope.ApplicationRef)
	if err != nil {
		return err
	}
	if l.scope.Messages {
		if err := l.lookForMessages(apps); err != nil {
			return err
		}
	}
	if l.scope.Attempts {
		if err := l.lookForAttempts(apps); err != nil {
			return err
		}
	}
	if l.scope.Requests {
		return l.lookForRequests(apps)
	}
	return nil
}

// owners reads refs, not too many.
func (l *look) owners(query string, args ...any) ([]hark.Ref, error) {
	refs, err := row.Collect(l.c.query, row.ScanRef, query, append(args, tailOwners+1)...)
	if err == nil && len(refs) > tailOwners {
		err = hark.Errorf(hark.LimitReached, "That is more than %d applications, endpoints or sources: name one application to watch.", tailOwners)
	}
	return refs, err
}

// fresh are the newest of what was not seen before.
func (l *look) fresh(w *row.Window, found []row.TailKey) []row.TailKey {
	fresh := w.Fresh(found)
	l.skipped += max(len(fresh)-l.limit, 0)
	return fresh[:min(len(fresh), l.limit)]
}

func (l *look) lookForMessages(apps []hark.Ref) (err error) {
	floor := l.messages.Floor(l.now)
	first, _ := refsOfDay(dayOf(floor))
	l.foundMessages, err = row.Collect(l.c.query, row.ScanTailKey, tailMessagesSQL, apps, floor[:], first, row.TailRows, l.scope.EventTypes)
	fresh := l.fresh(&l.messages, l.foundMessages)
	if err != nil || len(fresh) == 0 {
		return err
	}
	refs := make([]hark.Ref, len(fresh))
	for i, k := range fresh {
		refs[i] = k.Ref
	}
	return l.show(tailMessagesByRefSQL, func(r row.Row) (store.TailEntry, error) {
		m, err := row.ScanMessage(r)
		return row.MessageEntry(m), err
	}, refs)
}

func (l *look) lookForAttempts(apps []hark.Ref) (err error) {
	endpoints, err := l.owners(tailEndpointsSQL, apps, row.Millis(l.now.Add(-time.Hour))) // attempts in flight outlive their endpoint
	if err != nil {
		return err
	}
	// An attempt may be of an old message, in whose day's table it is then: all days are looked through
	// when it looks far back only.
	floor, first := l.attempts.Floor(l.now), hark.Ref(0)
	if !l.attempts.IsFar(l.now) {
		first, _ = refsOfDay(dayOf(floor) - 1)
	}
	query := tailAttemptsSQL
	if l.scope.Failed {
		query = tailFailuresSQL
	}
	l.foundAttempts, err = row.Collect(l.c.query, row.ScanTailKey, query, endpoints, floor[:], first, row.TailRows, l.scope.EventTypes)
	fresh := l.fresh(&l.attempts, l.foundAttempts)
	if err != nil || len(fresh) == 0 {
		return err
	}
	messages, ends, ids := columnsOf(fresh)
	return l.show(tailAttemptsByKeySQL, func(r row.Row) (store.TailEntry, error) {
		a, err := row.ScanAttempt(r)
		return row.AttemptEntry(a), err
	}, messages, ends, ids)
}

func (l *look) lookForRequests(apps []hark.Ref) (err error) {
	appOf := map[hark.Ref]hark.Ref{}
	sources, err := row.Collect(l.c.query, func(r row.Row) (hark.Ref, error) {
		appOf[r.Int(0)] = r.Int(1)
		return r.Int(0), nil
	}, tailSourcesSQL, string(l.scope.EnvironmentID), apps, l.scope.SourceRef, tailOwners)
	if err != nil {
		return err
	}
	floor := l.requests.Floor(l.now)
	l.foundRequests, err = row.Collect(l.c.query, row.ScanTailKey, tailRequestsSQL, sources, floor[:], dayOf(floor)<<dayShift, row.TailRows,
		l.scope.EventTypes, l.scope.Failed)
	fresh := l.fresh(&l.requests, l.foundRequests)
	if err != nil || len(fresh) == 0 {
		return err
	}
	refs, days, ids := columnsOf(fresh)
	return l.show(tailRequestsByKeySQL, func(r row.Row) (store.TailEntry, error) {
		q, err := row.ScanRequest(r)
		return row.RequestEntry(q, appOf[q.SourceRef]), err
	}, refs, ids, days)
}

// columnsOf turns keys into columns.
func columnsOf(keys []row.TailKey) (refs, with []hark.Ref, ids [][]byte) {
	for _, k := range keys {
		refs, with, ids = append(refs, k.Ref), append(with, k.With), append(ids, k.ID[:])
	}
	return refs, with, ids
}

// show reads rows for the answer.
func (l *look) show(query string, entry func(row.Row) (store.TailEntry, error), args ...any) error {
	some, err := row.Collect(l.c.query, entry, query, args...)
	l.entries = append(l.entries, some...)
	return err
}
