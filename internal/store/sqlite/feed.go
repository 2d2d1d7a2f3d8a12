package sqlite

import (
	"context"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
	"github.com/harkhq/hark/internal/store/row"
)

const (
	takeQueueSQL = `DELETE FROM queue WHERE endpoint = ? AND due = ? AND message = ?`

	insertFeedSQL = `INSERT INTO feed (consumer, seq, message, at) VALUES `

	feedEndSQL = `SELECT seq FROM feed_end WHERE consumer = ?`

	setFeedEndSQL = `INSERT INTO feed_end (consumer, seq) VALUES (?1, ?2) ON CONFLICT (consumer) DO UPDATE SET seq = ?2`
)

// feedEnds are the last numbers of consumers' feeds, as far as the writer knows them.
type feedEnds struct {
	last map[hark.Ref]int64
	grew map[hark.Ref]bool // since they were written
}

// maxFeedEnds bounds the memory for them.
const maxFeedEnds = 50_000

func (e *feedEnds) forget() {
	e.last, e.grew = make(map[hark.Ref]int64), make(map[hark.Ref]bool)
}

// feed moves a queue row to the end of its consumer's feed, if it is still there.
func (w *writer) feed(s *settlement) error {
	d := &s.Delivery
	s.fed = false
	if err := w.queue.flush(w.c); err != nil {
		return err
	}
	gone, err := w.c.exec(takeQueueSQL, d.EndpointRef, d.Due, d.MessageRef)
	if err != nil || gone == 0 {
		return err
	}
	if err := w.removeStray(d); err != nil {
		return err
	}
	last, known := w.ends.last[d.EndpointRef]
	if !known {
		if last, err = w.c.int(feedEndSQL, d.EndpointRef); err != nil {
			return err
		}
	}
	last++
	w.ends.last[d.EndpointRef], w.ends.grew[d.EndpointRef], s.fed = last, true, true
	return w.feeds.add(w.c, d.EndpointRef, last, d.MessageRef, row.Millis(s.FedAt))
}

// writeFeedEnds brings the table up to what was given out.
func (w *writer) writeFeedEnds() error {
	for ref := range w.ends.grew {
		if _, err := w.c.exec(setFeedEndSQL, ref, w.ends.last[ref]); err != nil {
			return err
		}
	}
	clear(w.ends.grew)
	if len(w.ends.last) > maxFeedEnds {
		w.ends.forget()
	}
	return nil
}

// tellFed calls the hook of OnFed with the consumers that a group has fed.
func (w *writer) tellFed(group []*write) {
	if w.fedHook == nil {
		return
	}
	var consumers []hark.Ref
	var last hark.Ref
	for _, op := range group {
		for i := range op.settle {
			if s := &op.settle[i]; s.fed && s.Delivery.EndpointRef != last {
				last = s.Delivery.EndpointRef
				consumers = append(consumers, last)
			}
		}
	}
	if len(consumers) > 0 {
		w.fedHook(consumers)
	}
}

// OnFed names the function that is told of consumers with new entries.
func (s *Store) OnFed(hook func([]hark.Ref)) {
	if s.writer != nil {
		s.writer.fedHook = hook
	}
}

const (
	readFeedSQL = `SELECT f.seq, m.ref, m.application, m.id, t.text, m.created_at, m.deliver_at, m.payload_expires_at, m.expunged,
  m.event_id, m.channels, m.tags, m.matched
FROM feed f LEFT JOIN message m ON m.ref = f.message LEFT JOIN term t ON t.ref = m.event_type
WHERE f.consumer = ? AND f.seq > ? ORDER BY f.seq LIMIT ?`
)

// ReadFeed reads a consumer's entries behind a number.
func (s *Store) ReadFeed(ctx context.Context, consumer hark.Ref, after int64, limit int) (entries []store.FeedEntry, err error) {
	err = s.view(ctx, func(c *conn) error {
		if entries, err = row.Collect(c.query, row.ScanFeedEntry, readFeedSQL, consumer, after, limit); err != nil {
			return err
		}
		bytes := 0
		for i := range entries {
			m := &entries[i].Message
			if m.Ref == 0 {
				continue
			}
			if err := loadPayload(c.query, m); err != nil {
				return err
			}
			if bytes += len(m.Payload) + len(m.RawBody); bytes > store.FeedBytes {
				entries = entries[:max(i, 1)]
				break
			}
		}
		return nil
	})
	return entries, err
}

// FeedLasts answers the last numbers given out of several feeds.
func (s *Store) FeedLasts(ctx context.Context, consumers []hark.Ref) (lasts map[hark.Ref]int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		lasts = make(map[hark.Ref]int64, len(consumers))
		for _, ref := range consumers {
			if lasts[ref], err = c.int(feedEndSQL, ref); err != nil {
				return err
			}
		}
		return nil
	})
	return lasts, err
}

var feedSQL = row.FeedSQL{
	Ends:        `SELECT coalesce((SELECT min(seq) FROM feed WHERE consumer = ?1), 0), coalesce((SELECT seq FROM feed_end WHERE consumer = ?1), 0)`,
	At:          `SELECT at FROM feed WHERE consumer = ? AND seq >= ? ORDER BY seq LIMIT 1`,
	SetEnd:      setFeedEndSQL,
	Every:       `SELECT consumer, seq FROM feed_end ORDER BY consumer`,
	EveryCursor: `SELECT name, seq, updated_at FROM cursor WHERE consumer = ? ORDER BY name`,
	Cursor:      `SELECT seq FROM cursor WHERE consumer = ? AND name = ?`,
	MoveCursor: `INSERT INTO cursor (consumer, name, seq, updated_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = ?3, updated_at = ?4 WHERE seq < ?3`,
	SeekCursor: `INSERT INTO cursor (consumer, name, seq, updated_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (consumer, name) DO UPDATE SET seq = ?3, updated_at = ?4`,
	Retentions: `SELECT f.consumer, v.retention, p.deleted_at + a.deleted_at
FROM feed_end f LEFT JOIN endpoint p ON p.ref = f.consumer LEFT JOIN application a ON a.ref = p.application
LEFT JOIN environment v ON v.id = a.environment
WHERE f.consumer > ? ORDER BY f.consumer LIMIT ?`,
	Expire: `DELETE FROM feed WHERE consumer = ?1 AND at < ?2
AND seq IN (SELECT seq FROM feed WHERE consumer = ?1 ORDER BY seq LIMIT ?3)`,
	DeleteCursors: `DELETE FROM cursor WHERE consumer = ?`,
	DeleteEnd:     `DELETE FROM feed_end WHERE consumer = ?`,
}
