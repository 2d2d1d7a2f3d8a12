package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	// One transaction after the other gives out a consumer's numbers: the row of its end is locked until
	// the commit. What is not in the queue any more was fed before.
	feedSQL = `WITH gone AS (
  DELETE FROM queue AS q
  USING unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS d (shard, endpoint, due, message, at)
  WHERE q.shard = d.shard AND q.endpoint = d.endpoint AND q.due = d.due AND q.message = d.message
  RETURNING q.endpoint, q.due, q.message, d.at
), counted AS (
  SELECT endpoint, count(*) AS n FROM gone GROUP BY endpoint
), ends AS (
  INSERT INTO feed_end AS f (consumer, seq) SELECT endpoint, n FROM counted ORDER BY endpoint
  ON CONFLICT (consumer) DO UPDATE SET seq = f.seq + excluded.seq RETURNING consumer, seq
)
INSERT INTO feed (consumer, seq, message, at)
SELECT g.endpoint, e.seq - c.n + row_number() OVER (PARTITION BY g.endpoint ORDER BY g.due, g.message), g.message, g.at
FROM counted AS c JOIN ends AS e ON e.consumer = c.endpoint JOIN gone AS g ON g.endpoint = c.endpoint`

	insertFeedSQL = `INSERT INTO feed (consumer, seq, message, at) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])`
)

// feedFrom adds the row of a settlement that feeds a consumer.
func (t *tables) feedFrom(s *settlement) {
	t.fed.place(&s.Delivery)
	t.fed.columns[4].int8(row.Millis(s.FedAt))
}

// fedBy are the consumers that a group has fed; it may count some whose rows were gone.
func fedBy(group []*write) (consumers []hark.Ref) {
	for _, op := range group {
		for i := range op.settle {
			s := &op.settle[i]
			if !s.FedAt.IsZero() && !s.Fenced && (len(consumers) == 0 || consumers[len(consumers)-1] != s.Delivery.EndpointRef) {
				consumers = append(consumers, s.Delivery.EndpointRef)
			}
		}
	}
	return consumers
}

// tellFed tells this node's hook, and rings for the readers of others.
func (ws *writers) tellFed(consumers []hark.Ref) {
	if len(consumers) == 0 {
		return
	}
	slices.Sort(consumers)
	consumers = slices.Compact(consumers)
	for _, ref := range consumers {
		ws.store.bell.fed(ref)
	}
	if f := ws.store.listeners.fed; f != nil {
		f(consumers)
	}
}

// OnFed names the function that is told of consumers with new entries.
func (s *Store) OnFed(f func([]hark.Ref)) { s.listeners.fed = f }

const (
	readFeedSQL = `SELECT f.seq, m.ref, m.application, m.id, m.event_type, m.created_at, m.deliver_at, m.payload_expires_at, m.expunged,
  m.event_id, m.channels, m.tags, m.matched,
  (SELECT coalesce(octet_length(p.body), 0) + coalesce(octet_length(p.raw), 0) FROM payload p WHERE p.message = m.ref)
FROM feed f LEFT JOIN message m ON m.ref = f.message
WHERE f.consumer = $1 AND f.seq > $2 ORDER BY f.seq LIMIT $3`

	feedEndsSQL = `SELECT coalesce((SELECT min(seq) FROM feed WHERE consumer = $1), 0), coalesce((SELECT seq FROM feed_end WHERE consumer = $1), 0)`

	fedAtSQL = `SELECT at FROM feed WHERE consumer = $1 AND seq >= $2 ORDER BY seq LIMIT 1`

	cursorSQL = `SELECT seq FROM cursor WHERE consumer = $1 AND name = $2`

	moveCursorSQL = `INSERT INTO cursor AS c (consumer, name, seq, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at WHERE c.seq < excluded.seq`

	seekCursorSQL = `INSERT INTO cursor (consumer, name, seq, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at`
)

// fedEntry is an entry with the size of its payload.
type fedEntry struct {
	store.FeedEntry
	bytes int64
}

// ReadFeed reads a consumer's entries behind a number.
func (s *Store) ReadFeed(ctx context.Context, consumer hark.Ref, after int64, limit int) (entries []store.FeedEntry, err error) {
	err = s.view(ctx, func(c *conn) error {
		some, err := row.Collect(c.query, func(r row.Row) (fedEntry, error) {
			e, err := row.ScanFeedEntry(r)
			return fedEntry{e, r.Int(13)}, err
		}, readFeedSQL, consumer, after, limit)
		if err != nil {
			return err
		}
		bytes := int64(0)
		for i := range some {
			if bytes += some[i].bytes; bytes > store.FeedBytes && i > 0 {
				some = some[:i]
				break
			}
		}
		if err := loadPayloads(c, some, func(e *fedEntry) *hark.Message { return &e.Message }); err != nil {
			return err
		}
		entries = make([]store.FeedEntry, len(some))
		loaded := make(map[hark.Ref]*hark.Message, len(some))
		for i := len(some) - 1; i >= 0; i-- { // of a message that was fed twice, the last entry got the payload
			m := &some[i].Message
			if last := loaded[m.Ref]; last != nil {
				m.Payload, m.RawBody, m.Head = last.Payload, last.RawBody, last.Head
			}
			loaded[m.Ref] = m
			entries[i] = some[i].FeedEntry
		}
		return nil
	})
	return entries, err
}

// FeedEnds answers the oldest kept number and the last.
func (s *Store) FeedEnds(ctx context.Context, consumer hark.Ref) (first, last int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		first, last, err = feedEndsOf(c, consumer)
		return err
	})
	return first, last, err
}

func feedEndsOf(c *conn, consumer hark.Ref) (first, last int64, err error) {
	err = c.query(func(r row.Row) error { first, last = row.FeedEnds(r.Int(0), r.Int(1)); return nil }, feedEndsSQL, consumer)
	return first, last, err
}

const feedLastsSQL = `SELECT consumer, seq FROM feed_end WHERE consumer = ANY ($1)`

// FeedLasts answers the last numbers given out of several feeds.
func (s *Store) FeedLasts(ctx context.Context, consumers []hark.Ref) (lasts map[hark.Ref]int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		lasts = make(map[hark.Ref]int64, len(consumers))
		return c.query(func(r row.Row) error { lasts[r.Int(0)] = r.Int(1); return nil }, feedLastsSQL, consumers)
	})
	return lasts, err
}

// FeedAt answers the number before the first entry that was fed at or after a moment.
func (s *Store) FeedAt(ctx context.Context, consumer hark.Ref, at time.Time) (seq int64, err error) {
	err = s.view(ctx, func(c *conn) error {
		first, last, err := feedEndsOf(c, consumer)
		if err != nil {
			return err
		}
		seq, err = row.SearchFeed(first, last, at, func(seq int64) (int64, error) { return c.int(fedAtSQL, consumer, seq) })
		return err
	})
	return seq, err
}

// Cursor answers the place that a group has kept.
func (s *Store) Cursor(ctx context.Context, consumer hark.Ref, group string) (seq int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		seq, err = row.Find(c.query, row.ScanRef, cursorSQL, consumer, group)
		return err
	})
	return seq, err
}

// MoveCursor moves a group's place forwards.
func (s *Store) MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return s.setCursor(ctx, moveCursorSQL, consumer, group, seq, now)
}

// SeekCursor puts a group's place anywhere.
func (s *Store) SeekCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return s.setCursor(ctx, seekCursorSQL, consumer, group, seq, now)
}

func (s *Store) setCursor(ctx context.Context, query string, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return s.change(ctx, func(c *conn) error {
		_, err := c.exec(query, consumer, group, seq, now)
		return err
	})
}

const (
	feedRetentionsSQL = `SELECT f.consumer, v.retention, p.deleted_at + a.deleted_at
FROM feed_end f LEFT JOIN endpoint p ON p.ref = f.consumer LEFT JOIN application a ON a.ref = p.application
LEFT JOIN environment v ON v.id = a.environment
WHERE f.consumer > $1 ORDER BY f.consumer LIMIT $2`

	expireFeedSQL = `DELETE FROM feed WHERE consumer = $1 AND at < $2
AND seq IN (SELECT seq FROM feed WHERE consumer = $1 ORDER BY seq LIMIT $3)`

	deleteCursorsSQL = `DELETE FROM cursor WHERE consumer = $1`

	deleteFeedEndSQL = `DELETE FROM feed_end WHERE consumer = $1`
)

// expireFeeds goes on with the walk over the consumers.
func (s *Store) expireFeeds(ctx context.Context, now time.Time, limit int) (more bool, err error) {
	return s.walkFeeds.Go(limit, reclaimChunk*10, func(after hark.Ref, limit int) (all []row.FeedRetention, err error) {
		err = s.read(ctx, func(c *conn) error {
			all, err = row.Collect(c.query, row.ScanFeedRetention(now), feedRetentionsSQL, after, limit)
			return err
		})
		return all, err
	}, func(f row.FeedRetention, limit int) (n int, err error) {
		err = s.change(ctx, func(c *conn) error {
			gone, err := c.exec(expireFeedSQL, f.Ref, f.Before, limit)
			if n = int(gone); err != nil || !f.Gone || n == limit {
				return err
			}
			if _, err := c.exec(deleteCursorsSQL, f.Ref); err != nil {
				return err
			}
			_, err = c.exec(deleteFeedEndSQL, f.Ref)
			return err
		})
		return n, err
	})
}
