package postgres

import (
	"context"
	"slices"

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
		if err := loadPayloads(c.query, some, func(e *fedEntry) *hark.Message { return &e.Message }); err != nil {
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

const feedLastsSQL = `SELECT consumer, seq FROM feed_end WHERE consumer = ANY ($1)`

// FeedLasts answers the last numbers given out of several feeds.
func (s *Store) FeedLasts(ctx context.Context, consumers []hark.Ref) (lasts map[hark.Ref]int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		lasts = make(map[hark.Ref]int64, len(consumers))
		return c.query(func(r row.Row) error { lasts[r.Int(0)] = r.Int(1); return nil }, feedLastsSQL, consumers)
	})
	return lasts, err
}

var feedsSQL = row.FeedSQL{
	Ends:        `SELECT coalesce((SELECT min(seq) FROM feed WHERE consumer = $1), 0), coalesce((SELECT seq FROM feed_end WHERE consumer = $1), 0)`,
	At:          `SELECT at FROM feed WHERE consumer = $1 AND seq >= $2 ORDER BY seq LIMIT 1`,
	SetEnd:      `INSERT INTO feed_end (consumer, seq) VALUES ($1, $2)`,
	Every:       `SELECT consumer, seq FROM feed_end ORDER BY consumer`,
	EveryCursor: `SELECT name, seq, updated_at FROM cursor WHERE consumer = $1 ORDER BY name`,
	Cursor:      `SELECT seq FROM cursor WHERE consumer = $1 AND name = $2`,
	MoveCursor: `INSERT INTO cursor AS c (consumer, name, seq, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at WHERE c.seq < excluded.seq`,
	SeekCursor: `INSERT INTO cursor (consumer, name, seq, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at`,
	Retentions: `SELECT f.consumer, v.retention, p.deleted_at + a.deleted_at
FROM feed_end f LEFT JOIN endpoint p ON p.ref = f.consumer LEFT JOIN application a ON a.ref = p.application
LEFT JOIN environment v ON v.id = a.environment
WHERE f.consumer > $1 ORDER BY f.consumer LIMIT $2`,
	Expire: `DELETE FROM feed WHERE consumer = $1 AND at < $2
AND seq IN (SELECT seq FROM feed WHERE consumer = $1 ORDER BY seq LIMIT $3)`,
	DeleteCursors: `DELETE FROM cursor WHERE consumer = $1`,
	DeleteEnd:     `DELETE FROM feed_end WHERE consumer = $1`,
}
