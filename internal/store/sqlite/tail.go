package sqlite

import (
	"context"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

// One writer gives out the refs of messages and attempts, and commits them in that order: what is new
// stands behind the last that was seen, and needs no list. Requests have no ref, but a row.Window.

const (
	lastMessageSQL = `SELECT coalesce(max(ref), 0) FROM message`

	lastAttemptRefSQL = `SELECT coalesce(max(ref), 0) FROM attempt`

	nextMessageTimeSQL = `SELECT ref, created_at FROM message WHERE ref >= ? ORDER BY ref LIMIT 1`

	nextAttemptTimeSQL = `SELECT ref, started_at + duration / 1000 FROM attempt WHERE ref >= ? ORDER BY ref LIMIT 1`

	tailScope = ` AND p.environment = ?3 AND (?4 = 0 OR p.ref = ?4)
  AND (?5 IS NULL OR m.event_type IN (SELECT ref FROM term WHERE text IN (SELECT value FROM json_each(?5))))
`
	tailMessagesSQL = `SELECT m.ref FROM message m CROSS JOIN application p ON p.ref = m.application
WHERE m.ref > ?1 AND m.ref <= ?2` + tailScope + `ORDER BY m.ref`

	tailAttemptsSQL = `SELECT a.ref FROM attempt a CROSS JOIN endpoint e ON e.ref = a.endpoint CROSS JOIN application p ON p.ref = e.application
CROSS JOIN message m ON m.ref = a.message
WHERE a.ref > ?1 AND a.ref <= ?2 AND (?6 = 0 OR a.status NOT IN (0, 4))` + tailScope + `ORDER BY a.ref`

	tailAttemptSQL = attemptColumns + `FROM attempt a` + attemptJoins + `WHERE a.ref = ?`

	tailSourcesSQL = `SELECT ref, application FROM source WHERE environment = ?1 AND (?2 = 0 OR application = ?2) AND (?3 = 0 OR ref = ?3)`

	tailRequestsSQL = `SELECT r.id, r.source, 0 FROM request r CROSS JOIN term t ON t.ref = r.event_type
WHERE r.source = ?1 AND r.id > ?2 AND (?3 = 0 OR r.outcome = 1) AND (?4 IS NULL OR t.text IN (SELECT value FROM json_each(?4)))
ORDER BY r.id DESC LIMIT ?5`
)

// tail is a store.Tail.
type tail struct {
	s        *Store
	scope    store.TailScope
	since    time.Time
	opened   bool
	place    tailPlace
	requests row.Window
}

// tailPlace is the last that was seen.
type tailPlace struct{ message, attempt hark.Ref }

// OpenTail watches what happens.
func (s *Store) OpenTail(scope store.TailScope, since time.Time) store.Tail {
	return &tail{s: s, scope: scope, since: since, requests: row.Window{Since: since}}
}

// Next answers what was committed since it was called last.
func (t *tail) Next(ctx context.Context, now time.Time, limit int) (entries []store.TailEntry, skipped int, err error) {
	var place tailPlace
	var found []row.TailKey
	err = t.s.view(ctx, func(c *conn) (err error) {
		l := look{tail: t, c: c, now: now, limit: limit}
		place, found = t.place, nil
		if t.scope.Messages {
			if place.message, err = l.messages(); err != nil {
				return err
			}
		}
		if t.scope.Attempts {
			if place.attempt, err = l.attempts(); err != nil {
				return err
			}
		}
		if t.scope.Requests {
			if found, err = l.requests(); err != nil {
				return err
			}
		}
		entries, skipped = l.entries, l.skipped
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	t.opened, t.place = true, place
	t.requests.Keep(now, found)
	entries, more := row.LastEntries(entries, limit)
	return entries, skipped + more, nil
}

// look is one look of a tail.
type look struct {
	*tail
	c       *conn
	now     time.Time
	limit   int
	entries []store.TailEntry
	skipped int
}

func (l *look) messages() (last hark.Ref, err error) {
	from, last, err := l.span(l.place.message, lastMessageSQL, nextMessageTimeSQL)
	if err != nil || from == last {
		return last, err
	}
	refs, err := row.Collect(l.c.query, row.ScanRef, tailMessagesSQL, from, last, string(l.scope.EnvironmentID), l.scope.ApplicationRef, row.Encode(l.scope.EventTypes))
	if err != nil {
		return 0, err
	}
	for _, ref := range newest(l, refs) {
		m, err := row.Find(l.c.query, row.ScanMessage, messageByRefSQL, ref)
		if err != nil {
			return 0, err
		}
		l.entries = append(l.entries, row.MessageEntry(m))
	}
	return last, nil
}

func (l *look) attempts() (last hark.Ref, err error) {
	from, last, err := l.span(l.place.attempt, lastAttemptRefSQL, nextAttemptTimeSQL)
	if err != nil || from == last {
		return last, err
	}
	refs, err := row.Collect(l.c.query, row.ScanRef, tailAttemptsSQL, from, last, string(l.scope.EnvironmentID), l.scope.ApplicationRef,
		row.Encode(l.scope.EventTypes), truth(l.scope.Failed))
	if err != nil {
		return 0, err
	}
	for _, ref := range newest(l, refs) {
		a, err := row.Find(l.c.query, row.ScanAttempt, tailAttemptSQL, ref)
		if err != nil {
			return 0, err
		}
		l.entries = append(l.entries, row.AttemptEntry(a))
	}
	return last, nil
}

// newest leaves out all but the last limit.
func newest[T any](l *look, all []T) []T {
	over := max(len(all)-l.limit, 0)
	l.skipped += over
	return all[over:]
}

// spanRows bounds how many rows one look goes over; the next goes on behind them.
const spanRows = 500_000

// span is (from, to]: what is new behind a place.
func (l *look) span(place hark.Ref, lastQuery, timeQuery string) (from, to hark.Ref, err error) {
	last, err := l.c.int(lastQuery)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case l.opened:
		from = place
	case l.since.IsZero():
		from = last
	default:
		from, err = l.lastBefore(l.since, last, timeQuery)
	}
	return from, max(from, min(last, from+spanRows)), err // retention may have taken the last
}

// lastBefore is the last ref of what is older than a time.
func (l *look) lastBefore(at time.Time, last hark.Ref, timeQuery string) (hark.Ref, error) {
	before, end := hark.Ref(0), last+1
	for before+1 < end {
		middle := before + (end-before)/2
		ref, then := end, time.Time{}
		if _, err := l.c.one(func(r row.Row) error { ref, then = r.Int(0), r.Time(1); return nil }, timeQuery, middle); err != nil {
			return 0, err
		}
		if ref < end && then.Before(at) {
			before = ref
		} else {
			end = middle
		}
	}
	return before, nil
}

func (l *look) requests() (found []row.TailKey, err error) {
	floor := l.tail.requests.Floor(l.now)
	apps := map[hark.Ref]hark.Ref{}
	var sources []hark.Ref
	err = l.c.query(func(r row.Row) error {
		sources = append(sources, r.Int(0))
		apps[r.Int(0)] = r.Int(1)
		return nil
	}, tailSourcesSQL, string(l.scope.EnvironmentID), l.scope.ApplicationRef, l.scope.SourceRef)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		some, err := row.Collect(l.c.query, row.ScanTailKey, tailRequestsSQL, source, floor[:], truth(l.scope.Failed), row.Encode(l.scope.EventTypes), row.TailRows)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
		fresh := l.tail.requests.Fresh(some)
		l.skipped += max(len(fresh)-l.limit, 0)
		for _, k := range fresh[:min(len(fresh), l.limit)] { // the newest come first
			q, err := row.Find(l.c.query, row.ScanRequest, requestSQL.One, source, k.ID[:])
			if err != nil {
				return nil, err
			}
			l.entries = append(l.entries, row.RequestEntry(q, apps[source]))
		}
	}
	return found, nil
}
