package store

import (
	"context"
	"time"

	"github.com/harkhq/hark"
)

// Feed is what consumers read: per consumer one list of messages, numbered from 1 without holes in the
// order of the commits. So a number is an exact place: whoever has read up to it misses nothing that
// comes later, on whichever node. The list grows by Settle alone (Settlement.FedAt), and loses its
// oldest entries to retention.
type Feed interface {
	// ReadFeed reads a consumer's entries behind a number, in order, with their messages' payloads: up
	// to limit of them, and fewer when they are large.
	ReadFeed(ctx context.Context, consumer hark.Ref, after int64, limit int) ([]FeedEntry, error)
	// FeedEnds answers the number of the oldest entry that is kept and the last number given out; with
	// nothing kept the first is one more than the last.
	FeedEnds(ctx context.Context, consumer hark.Ref) (first, last int64, err error)
	// FeedLasts answers the last numbers given out of several feeds, for who waits for them.
	FeedLasts(ctx context.Context, consumers []hark.Ref) (map[hark.Ref]int64, error)
	// FeedAt answers the number before the first kept entry that was fed at or after a moment.
	FeedAt(ctx context.Context, consumer hark.Ref, at time.Time) (int64, error)
	// Cursor answers the place that a group of readers has kept; hark.ErrNotFound if it has none.
	Cursor(ctx context.Context, consumer hark.Ref, group string) (int64, error)
	// MoveCursor moves a group's place forwards, never back.
	MoveCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error
	// SeekCursor puts a group's place anywhere.
	SeekCursor(ctx context.Context, consumer hark.Ref, group string, seq int64, now time.Time) error
	// OnFed names the function that is told of consumers with new entries, after the commit, on every
	// node. It must not block, and may be told too much or, of other nodes' entries, too little. It is
	// set once, before the first write.
	OnFed(func(consumers []hark.Ref))
}

// FeedEntry is one message in a consumer's feed.
type FeedEntry struct {
	Seq int64
	// Message has no Ref when retention has taken it before its entry.
	Message hark.Message
}

// FeedBytes is how many payload bytes ReadFeed answers at once, about: the first entry always comes.
const FeedBytes = 4 << 20
