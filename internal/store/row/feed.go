package row

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// ScanFeedEntry reads what ScanMessage reads, all of it NULL where the message is gone, and seq before it.
func ScanFeedEntry(r Row) (e store.FeedEntry, err error) {
	e.Seq = r.Int(0)
	if !r.Null(1) {
		e.Message, err = ScanMessage(r[1:])
	}
	return e, err
}

// FeedSQL are the statements of consumers' feeds, but for those that fill and read them.
type FeedSQL struct {
	Ends        string // consumer; the oldest kept number and the last, 0 where there is none
	At          string // consumer, seq; when the first entry was fed that is behind or at a number
	SetEnd      string // consumer, seq; of one that has no end yet
	Every       string // consumer, seq of all ends; by consumer
	EveryCursor string // consumer; name, seq, updated_at, by name

	Cursor     string // consumer, name; seq
	MoveCursor string // consumer, name, seq, now; forwards only
	SeekCursor string // consumer, name, seq, now

	Retentions    string // behind a consumer, so many; consumer, retention of its environment, NULL or not 0 where it is deleted
	Expire        string // consumer, before a moment, so many of the oldest
	DeleteCursors string // consumer
	DeleteEnd     string // consumer
}

// feedRetention says before which moment a consumer's entries go.
type feedRetention struct {
	ref    hark.Ref
	before int64 // milliseconds
	gone   bool  // the consumer was deleted: all of it goes
}

func scanFeedRetention(now time.Time) func(Row) (feedRetention, error) {
	return func(r Row) (feedRetention, error) {
		f := feedRetention{ref: r.Int(0), before: math.MaxInt64, gone: r.Null(2) || r.Int(2) != 0}
		if !f.gone {
			f.before = now.Add(-cmp.Or(time.Duration(r.Int(1)), hark.DefaultRetention)).UnixMilli()
		}
		return f, nil
	}
}

// FeedWalk is where retention is in its walk over the consumers.
type FeedWalk struct{ consumer hark.Ref }

// Go goes on until limit entries were removed or the walk ends, chunk at a time.
func (w *FeedWalk) Go(ctx context.Context, k *Kinds, now time.Time, limit, chunk int) (more bool, err error) {
	all, err := List(ctx, k.access.Read, scanFeedRetention(now), k.sql.Feed.Retentions, w.consumer, walkApplications)
	if err != nil {
		return false, err
	}
	for _, f := range all {
		for full := true; full; {
			if limit <= 0 {
				return true, nil
			}
			some := min(limit, chunk)
			n, err := k.expireFeed(ctx, f, some)
			if err != nil {
				return false, err
			}
			limit -= n
			full = n == some
		}
		w.consumer = f.ref
	}
	if len(all) < walkApplications {
		w.consumer = 0
		return false, nil
	}
	return true, nil
}

// expireFeed removes up to limit entries of a consumer, and what is left of one that is gone.
func (k *Kinds) expireFeed(ctx context.Context, f feedRetention, limit int) (n int, err error) {
	sql := &k.sql.Feed
	err = k.access.Change(ctx, func(c Conn) error {
		gone, err := c.Exec(sql.Expire, f.ref, f.before, limit)
		if n = int(gone); err != nil || !f.gone || n == limit {
			return err
		}
		if _, err := c.Exec(sql.DeleteCursors, f.ref); err != nil {
			return err
		}
		_, err = c.Exec(sql.DeleteEnd, f.ref)
		return err
	})
	return n, err
}

func scanCursor(r Row) (store.Cursor, error) {
	return store.Cursor{Group: r.Text(0), Seq: r.Int(1), UpdatedAt: r.Time(2)}, nil
}

// FeedEnds answers the oldest kept number and the last.
func (k *Kinds) FeedEnds(ctx context.Context, consumer hark.Ref) (first, last int64, err error) {
	err = k.access.Read(ctx, func(q Query) error {
		first, last, err = k.sql.Feed.ends(q, consumer)
		return err
	})
	return first, last, err
}

func (sql *FeedSQL) ends(q Query, consumer hark.Ref) (first, last int64, err error) {
	err = q(func(r Row) error { first, last = r.Int(0), r.Int(1); return nil }, sql.Ends, consumer)
	if first == 0 {
		first = last + 1
	}
	return first, last, err
}

// FeedAt answers the number before the first entry that was fed at or after a moment.
func (k *Kinds) FeedAt(ctx context.Context, consumer hark.Ref, at time.Time) (seq int64, err error) {
	sql := &k.sql.Feed
	err = k.access.View(ctx, func(q Query) error {
		first, last, err := sql.ends(q, consumer)
		if err != nil {
			return err
		}
		seq, err = searchFeed(first, last, at, func(seq int64) (fed int64, err error) {
			err = q(func(r Row) error { fed = r.Int(0); return nil }, sql.At, consumer, seq)
			return fed, err
		})
		return err
	})
	return seq, err
}

// searchFeed finds the number before the first of the entries first to last that was fed at or after a
// moment. A feed is in the order of time, but for a clock that was set back. at answers when the first
// entry was fed that is behind or at a number.
func searchFeed(first, last int64, moment time.Time, at func(seq int64) (int64, error)) (int64, error) {
	wanted := moment.UnixMilli()
	low, high := first, last+1
	for low < high {
		middle := low + (high-low)/2
		fed, err := at(middle)
		if err != nil {
			return 0, err
		}
		if fed < wanted {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1, nil
}

// Cursor answers the place that a group has kept.
func (k *Kinds) Cursor(ctx context.Context, consumer hark.Ref, group string) (seq int64, err error) {
	return Get(ctx, k.access.Read, ScanRef, k.sql.Feed.Cursor, consumer, group)
}

// MoveCursor moves a group's place forwards.
func (k *Kinds) MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return k.setCursor(ctx, k.sql.Feed.MoveCursor, consumer, group, seq, now)
}

// SeekCursor puts a group's place anywhere.
func (k *Kinds) SeekCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return k.setCursor(ctx, k.sql.Feed.SeekCursor, consumer, group, seq, now)
}

func (k *Kinds) setCursor(ctx context.Context, query string, consumer hark.Ref, group string, seq int64, now time.Time) error {
	return k.access.Change(ctx, func(c Conn) error {
		_, err := c.Exec(query, consumer, group, seq, now)
		return err
	})
}

// feeds visits how far the consumers' feeds have come, in the order of their numbers.
func (e *Export) feeds() error {
	all, err := Collect(e.Query, func(r Row) (*store.MovedFeed, error) {
		return &store.MovedFeed{EndpointRef: r.Int(0), Last: r.Int(1)}, nil
	}, e.kinds.sql.Feed.Every)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Cursors, err = Collect(e.Query, scanCursor, e.kinds.sql.Feed.EveryCursor, f.EndpointRef); err != nil {
			return err
		}
		f.EndpointRef = e.Endpoints[f.EndpointRef]
	}
	all = slices.DeleteFunc(all, func(f *store.MovedFeed) bool { return f.EndpointRef == 0 })
	slices.SortFunc(all, func(a, b *store.MovedFeed) int { return cmp.Compare(a.EndpointRef, b.EndpointRef) })
	for _, f := range all {
		if err := e.Visit(&store.Record{Feed: f}); err != nil {
			return err
		}
	}
	return nil
}

// sortFed makes refs numbers, leaves out what is no endpoint's any more, and puts the rest in order.
func sortFed(fed []store.Fed, endpoints Numbers) []store.Fed {
	for i := range fed {
		fed[i].EndpointRef = endpoints[fed[i].EndpointRef]
	}
	fed = slices.DeleteFunc(fed, func(f store.Fed) bool { return f.EndpointRef == 0 })
	slices.SortFunc(fed, func(a, b store.Fed) int {
		return cmp.Or(cmp.Compare(a.EndpointRef, b.EndpointRef), cmp.Compare(a.Seq, b.Seq))
	})
	if len(fed) == 0 {
		return nil
	}
	return fed
}
