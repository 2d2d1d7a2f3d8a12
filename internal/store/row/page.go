package row

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

// TextRange is the part of a list that a page asks for, where the key is text.
type TextRange struct {
	Low, High string
	Down      bool // read from the high end
	Turn      bool // the rows must be turned round before they are shown
	Limit     int
}

// PageOfText is the range of a page.
func PageOfText(p store.Page) TextRange {
	r := TextRange{High: maxText, Limit: p.Limit, Down: p.Descending != p.Backward, Turn: p.Backward}
	if p.From == "" {
		return r
	}
	if r.Down {
		r.High = p.From
	} else {
		r.Low = p.From
	}
	return r
}

// Within narrows the range to the ids of one prefix.
func (r TextRange) Within(prefix string) TextRange {
	r.Low = max(r.Low, prefix)
	r.High = min(r.High, prefix+maxText)
	return r
}

// Query chooses the one for the range's direction.
func (r TextRange) Query(upwards, downwards string) string { return Pick(r.Down, upwards, downwards) }

// Args are what a list of what somebody owns asks for: the owner, the range, what narrows it, the limit.
func (r TextRange) Args(owner any, narrow ...any) []any {
	return append(append([]any{owner, r.Low, r.High}, narrow...), r.Limit)
}

// IDRange is the part of a time-ordered list that a page asks for, where the key is a KSUID.
type IDRange struct {
	Low, High []byte
	Down      bool
	Turn      bool
	Limit     int
}

// slack is how much later than its row's time an id may have been made: an attempt may get its id
// when it starts or when it ends.
const slack = hark.MaxTimeout + 5*time.Second

// PageOfIDs narrows a list that is shown newest first to a page and a span of time. The span is
// only as sharp as ids are; queries look at the row's own time as well.
func PageOfIDs(p store.Page, prefix string, after, before time.Time, oldestFirst bool) (IDRange, error) {
	r := IDRange{Limit: p.Limit}
	r.Low, r.High = idsBetween(after, before)
	// Rows come newest first. A page before From, and the oldest of all, are read upwards.
	r.Down = !p.Backward && (!oldestFirst || p.From != "")
	r.Turn = !r.Down
	if p.From == "" {
		return r, nil
	}
	from, err := hark.ParseID(p.From, prefix)
	if err != nil {
		return r, badIterator()
	}
	if r.Down && bytes.Compare(from[:], r.High) < 0 {
		r.High = from[:]
	}
	if !r.Down && bytes.Compare(from[:], r.Low) > 0 {
		r.Low = from[:]
	}
	return r, nil
}

// idsBetween are the bounds of the ids that rows of a span of time may have; zero times leave it open.
func idsBetween(after, before time.Time) (low, high []byte) {
	low, high = []byte{}, LastID()
	if !after.IsZero() {
		k := hark.KSUIDFloor(after)
		low = k[:]
	}
	if !before.IsZero() {
		k := hark.KSUIDFloor(before.Add(slack))
		high = k[:]
	}
	return low, high
}

// LastID is behind every id.
func LastID() []byte { return bytes.Repeat([]byte{0xff}, len(hark.KSUID{})+1) }

// badIterator refuses a page that starts behind what is no id.
func badIterator() error {
	return hark.InvalidField("Invalid iterator", "query", "iterator")
}

// Pick chooses the query for a direction.
func Pick(down bool, upwards, downwards string) string {
	if down {
		return downwards
	}
	return upwards
}

// Turned puts rows into the order in which they are shown.
func Turned[T any](rows []T, turn bool) []T {
	if turn {
		slices.Reverse(rows)
	}
	return rows
}

// endOfTime stands for "no upper bound" among times in milliseconds.
const endOfTime = 1 << 62

// UpperBound is a time before which rows are wanted, in milliseconds; the zero time leaves it open.
func UpperBound(t time.Time) int64 {
	if t.IsZero() {
		return endOfTime
	}
	return t.UnixMilli()
}

// LowerBound is a time from which on rows are wanted, in milliseconds; the zero time leaves it open.
func LowerBound(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// Span is the time in which messages were created: [Since, Until), open where zero.
type Span struct{ Since, Until time.Time }

// Bounds are the span's ids, exclusive, and its times in milliseconds.
func (s Span) Bounds() (low, high []byte, from, to int64) {
	low, high = idsBetween(s.Since, s.Until)
	return low, high, LowerBound(s.Since), UpperBound(s.Until)
}

// GoOn is where a walk in pieces starts again after one that read these refs: 0 when there are no more.
func GoOn(refs []hark.Ref, limit int) hark.Ref {
	if len(refs) < limit {
		return 0
	}
	return refs[len(refs)-1]
}
