package postgres

import (
	"bytes"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Lists are ranges of a key, read from one end: (low, high), both exclusive. Every list query comes
// in two constants, upwards and downwards.

// maxText is behind every id and every name.
const maxText = "\U0010FFFF"

// textRange is the part of a list that a page asks for, where the key is text.
type textRange struct {
	low, high string
	down      bool // read from the high end
	turn      bool // the rows must be turned round before they are shown
	limit     int
}

func pageOfText(p store.Page) textRange {
	r := textRange{high: maxText, limit: p.Limit, down: p.Descending != p.Backward, turn: p.Backward}
	if p.From == "" {
		return r
	}
	if r.down {
		r.high = p.From
	} else {
		r.low = p.From
	}
	return r
}

// idRange is the part of a time-ordered list that a page asks for, where the key is a KSUID.
type idRange struct {
	low, high []byte
	down      bool
	turn      bool
	limit     int
}

// slack is how much later than its row's time an id may have been made: an attempt may get its id
// when it starts or when it ends.
const slack = hark.MaxTimeout + 5*time.Second

// pageOfIDs narrows a list that is shown newest first to a page and a span of time. The span is
// only as sharp as ids are; queries look at the row's own time as well.
func pageOfIDs(p store.Page, prefix string, after, before time.Time, oldestFirst bool) (idRange, error) {
	r := idRange{low: []byte{}, high: lastID(), limit: p.Limit}
	if !after.IsZero() {
		k := hark.KSUIDFloor(after)
		r.low = k[:]
	}
	if !before.IsZero() {
		k := hark.KSUIDFloor(before.Add(slack))
		r.high = k[:]
	}
	// Rows come newest first. A page before From, and the oldest of all, are read upwards.
	r.down = !p.Backward && (!oldestFirst || p.From != "")
	r.turn = !r.down
	if p.From == "" {
		return r, nil
	}
	from, err := hark.ParseID(p.From, prefix)
	if err != nil {
		return r, badIterator()
	}
	if r.down && bytes.Compare(from[:], r.high) < 0 {
		r.high = from[:]
	}
	if !r.down && bytes.Compare(from[:], r.low) > 0 {
		r.low = from[:]
	}
	return r, nil
}

// lastID is behind every id.
func lastID() []byte { return bytes.Repeat([]byte{0xff}, len(hark.KSUID{})+1) }

func badIterator() error {
	return hark.InvalidField("Invalid iterator", "query", "iterator")
}

// pick chooses the query for a direction.
func pick(down bool, upwards, downwards string) string {
	if down {
		return downwards
	}
	return upwards
}

// turned puts rows into the order in which they are shown.
func turned[T any](rows []T, turn bool) []T {
	if turn {
		slices.Reverse(rows)
	}
	return rows
}

// endOfTime stands for "no upper bound" among times in milliseconds.
const endOfTime = 1 << 62

func upperBound(t time.Time) int64 {
	if t.IsZero() {
		return endOfTime
	}
	return t.UnixMilli()
}

func lowerBound(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
