package row

import (
	"slices"
	"time"

	"github.com/harkhq/hark"
)

// RetryAfter is what callers are told when a store cannot take a write now: about as long as a full
// queue takes to be written.
const RetryAfter = time.Second

// ErrClosed is what calls get after Close.
var ErrClosed = &hark.Error{Code: hark.Unavailable, Detail: "The store is closed"}

// Waiting are the writes that wait for a writer, in the order in which they came. They are bounded, so
// that a disk that cannot follow is Overloaded, and memory is not. Whoever owns them locks them.
type Waiting[W comparable] struct {
	MaxItems, MaxBytes int

	Items, Bytes int // that wait
	all          []waiting[W]
}

type waiting[W comparable] struct {
	write        W
	items, bytes int
}

// Len is how many writes wait.
func (w *Waiting[W]) Len() int { return len(w.all) }

// Push adds a write of so many items and bytes. A fresh one is refused where there are too many: it is
// what makes a store grow, all else makes it smaller or is rare. One that is alone is taken however
// large it is.
func (w *Waiting[W]) Push(write W, items, bytes int, fresh bool) error {
	if fresh && w.Items > 0 && (w.Items+items > w.MaxItems || w.Bytes+bytes > w.MaxBytes) {
		return &hark.Error{Code: hark.Overloaded, Detail: "Too many writes are waiting", RetryAfter: RetryAfter}
	}
	w.all = append(w.all, waiting[W]{write, items, bytes})
	w.Items += items
	w.Bytes += bytes
	return nil
}

// Withdraw takes a write out again; false means that it does not wait any more.
func (w *Waiting[W]) Withdraw(write W) bool {
	i := slices.IndexFunc(w.all, func(one waiting[W]) bool { return one.write == write })
	if i >= 0 {
		w.cut(i, i+1)
	}
	return i >= 0
}

// Cut takes from the front, up to some bounds and at least one.
func (w *Waiting[W]) Cut(maxItems, maxBytes int) []W {
	n, items, bytes := 0, 0, 0
	for n < len(w.all) && (n == 0 || items < maxItems && bytes < maxBytes) {
		items += w.all[n].items
		bytes += w.all[n].bytes
		n++
	}
	return w.cut(0, n)
}

// All takes everything.
func (w *Waiting[W]) All() []W { return w.cut(0, len(w.all)) }

func (w *Waiting[W]) cut(from, to int) []W {
	writes := make([]W, 0, to-from)
	for _, one := range w.all[from:to] {
		writes = append(writes, one.write)
		w.Items -= one.items
		w.Bytes -= one.bytes
	}
	w.all = slices.Delete(w.all, from, to)
	return writes
}
