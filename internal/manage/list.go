package manage

import (
	"fmt"
	"strings"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// listing is a list request that was found right.
type listing struct {
	limit int
	page  store.Page
	// fromOldest: the page is taken from the oldest end of a list that shows the newest first.
	fromOldest bool
}

// list checks a list request; prefix is that of the ids in iterators, "" for names.
func (v *check) list(in ListIn, prefix string, descending bool) listing {
	l := listing{limit: in.Limit}
	switch {
	case in.Limit == 0:
		l.limit = DefaultLimit
	case in.Limit < 0 || in.Limit > MaxLimit:
		v.wrong(fmt.Sprintf("must be between 1 and %d", MaxLimit), "query", "limit")
	}
	l.page = store.Page{Limit: l.limit + 1, Descending: descending}
	if in.Descending != nil {
		l.page.Descending = *in.Descending
	}
	l.page.From, l.page.Backward = strings.CutPrefix(in.Iterator, "-")
	if l.page.From == "" {
		l.page.Backward = false
		return l
	}
	if prefix == "" {
		if !plainName(l.page.From, nameChars, maxName) {
			v.wrong("is not an iterator of this list", "query", "iterator")
		}
	} else if _, err := hark.ParseID(l.page.From, prefix); err != nil {
		v.wrong("is not an iterator of this list", "query", "iterator")
	}
	return l
}

// pageOf makes the answer from up to limit+1 rows: the one too many, which stands at the far end
// of the direction that was asked for, says that there is more.
func pageOf[T any](l listing, rows []T, id func(*T) string) Page[T] {
	p := Page[T]{Items: rows, Done: len(rows) <= l.limit}
	if !p.Done {
		if l.page.Backward || l.fromOldest {
			p.Items = rows[len(rows)-l.limit:]
		} else {
			p.Items = rows[:l.limit]
		}
	}
	if n := len(p.Items); n > 0 {
		p.Iterator = id(&p.Items[n-1])
		p.PrevIterator = "-" + id(&p.Items[0])
	}
	return p
}

const (
	// listWindow is how far back a list of messages or attempts looks from where it starts, so that
	// no request walks through years.
	listWindow = 90 * 24 * time.Hour
	// futureCap tolerates clocks that are ahead.
	futureCap = time.Hour
)

// window bounds a list that shows the newest first in time. With after alone it is the oldest
// matches behind that moment that are asked for.
func (l *listing) window(after, before time.Time, prefix string, now time.Time) (from, to time.Time) {
	to = now.Add(futureCap)
	if !before.IsZero() && before.Before(to) {
		to = before
	}
	if !after.IsZero() && before.IsZero() && l.page.From == "" {
		l.fromOldest = true
		if end := after.Add(listWindow); end.Before(to) {
			to = end
		}
		return after, to
	}
	base := now
	if !before.IsZero() {
		base = to
	}
	if id, err := hark.ParseID(l.page.From, prefix); err == nil {
		base = id.Time()
	}
	from = base.Add(-listWindow)
	if l.page.Backward { // towards the newer: from the iterator on
		from = base.Add(-time.Second)
		if end := base.Add(listWindow); end.Before(to) {
			to = end
		}
	}
	if after.After(from) {
		from = after
	}
	return from, to
}
