package row

import (
	"cmp"
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

// FeedRetention says before which moment a consumer's entries go.
type FeedRetention struct {
	Ref    hark.Ref
	Before int64 // milliseconds
	Gone   bool  // the consumer was deleted: all of it goes
}

// ScanFeedRetention reads a consumer, the retention of its environment, and whether it was deleted.
func ScanFeedRetention(now time.Time) func(Row) (FeedRetention, error) {
	return func(r Row) (FeedRetention, error) {
		f := FeedRetention{Ref: r.Int(0), Before: math.MaxInt64, Gone: r.Null(2) || r.Int(2) != 0}
		if !f.Gone {
			f.Before = now.Add(-cmp.Or(time.Duration(r.Int(1)), hark.DefaultRetention)).UnixMilli()
		}
		return f, nil
	}
}

// FeedWalk is where retention is in its walk over the consumers.
type FeedWalk struct{ consumer hark.Ref }

// Go goes on until limit entries were removed or the walk ends, chunk at a time. It asks consumers for
// those behind a ref, and expire to remove up to limit entries of one: it answers how many it removed.
func (w *FeedWalk) Go(limit, chunk int,
	consumers func(after hark.Ref, limit int) ([]FeedRetention, error),
	expire func(f FeedRetention, limit int) (int, error),
) (more bool, err error) {
	all, err := consumers(w.consumer, walkApplications)
	if err != nil {
		return false, err
	}
	for _, f := range all {
		for full := true; full; {
			if limit <= 0 {
				return true, nil
			}
			some := min(limit, chunk)
			n, err := expire(f, some)
			if err != nil {
				return false, err
			}
			limit -= n
			full = n == some
		}
		w.consumer = f.Ref
	}
	if len(all) < walkApplications {
		w.consumer = 0
		return false, nil
	}
	return true, nil
}

// ScanCursor reads name, seq, updated_at.
func ScanCursor(r Row) (store.Cursor, error) {
	return store.Cursor{Group: r.Text(0), Seq: r.Int(1), UpdatedAt: r.Time(2)}, nil
}

// FeedEnds are the ends of a feed whose oldest entry is first, 0 when there is none.
func FeedEnds(first, last int64) (int64, int64) {
	if first == 0 {
		first = last + 1
	}
	return first, last
}

// SearchFeed finds the number before the first of the entries first to last that was fed at or after a
// moment. A feed is in the order of time, but for a clock that was set back. at answers when the first
// entry was fed that is behind or at a number.
func SearchFeed(first, last int64, moment time.Time, at func(seq int64) (int64, error)) (int64, error) {
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

// feeds visits how far the consumers' feeds have come, in the order of their numbers.
func (e *Export) feeds(every *Everything) error {
	all, err := Collect(e.Query, func(r Row) (*store.MovedFeed, error) {
		return &store.MovedFeed{EndpointRef: r.Int(0), Last: r.Int(1)}, nil
	}, every.Feeds)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Cursors, err = Collect(e.Query, ScanCursor, every.Cursors, f.EndpointRef); err != nil {
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
