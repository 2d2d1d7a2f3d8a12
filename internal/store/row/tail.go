package row

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/store"
)

// Window is where a tail stands among rows that are kept by their ids. An id says when something began, but its
// row can be seen only once it is committed, which may be much later. So each look begins before the last one: a
// little before, every time, and now and then as far back as the slowest row can be late. It leaves out the ids
// that it has seen.
type Window struct {
	Since time.Time // zero: from the first look on

	known  map[uint64]uint32 // what is random in the ids, and their times in seconds
	looked time.Time         // the last look
	far    time.Time         // the last that went far back
}

const (
	windowNear = 5 * time.Second
	// windowFar is for attempts that take as long as they may, clocks that are apart, and commits that wait.
	windowFar   = hark.MaxTimeout + 15*time.Second
	windowEvery = 10 * time.Second

	// TailRows bounds how many ids one look reads, from the newest back.
	TailRows = 100_000
)

// Floor is the id behind which to look. Most of what was committed since the last look is behind the floor of a
// near look, and what was late is behind that of a far one.
func (w *Window) Floor(now time.Time) hark.KSUID {
	switch {
	case w.looked.IsZero() && !w.Since.IsZero() && w.Since.Before(now.Add(-windowFar)):
		return hark.KSUIDFloor(w.Since)
	case w.looked.IsZero():
		return hark.KSUIDFloor(now.Add(-windowFar))
	case w.IsFar(now):
		return hark.KSUIDFloor(w.far.Add(-windowFar))
	}
	return hark.KSUIDFloor(w.looked.Add(-windowNear))
}

// IsFar says whether a look at now goes far back.
func (w *Window) IsFar(now time.Time) bool { return now.Sub(w.far) >= windowEvery }

// Fresh are those of the found keys that were not seen before.
func (w *Window) Fresh(found []TailKey) []TailKey {
	var fresh []TailKey
	for _, k := range found {
		isOld := w.looked.IsZero() && (w.Since.IsZero() || k.ID.Time().Before(w.Since))
		if _, known := w.known[randomOf(k.ID)]; !isOld && !known {
			fresh = append(fresh, k)
		}
	}
	return fresh
}

// randomOf is enough of an id to know it again.
func randomOf(id hark.KSUID) uint64 { return binary.BigEndian.Uint64(id[len(id)-8:]) }

// Keep remembers what was found at now, once it is certain that it will be shown.
func (w *Window) Keep(now time.Time, found []TailKey) {
	if w.known == nil {
		w.known = map[uint64]uint32{}
	}
	isFar := w.IsFar(now)
	w.looked = now
	for _, k := range found {
		w.known[randomOf(k.ID)] = uint32(k.ID.Time().Unix())
	}
	if !isFar {
		return
	}
	w.far = now
	horizon := uint32(now.Add(-windowFar).Unix()) - 1 // no look goes farther back from here on
	for id, at := range w.known {
		if at < horizon {
			delete(w.known, id)
		}
	}
}

// TailKey names a row: by its id, and by the refs that it is found with.
type TailKey struct {
	ID        hark.KSUID
	Ref, With hark.Ref
}

// ScanTailKey reads an id and two refs.
func ScanTailKey(r Row) (k TailKey, err error) {
	copy(k.ID[:], r.Blob(0))
	k.Ref, k.With = r.Int(1), r.Int(2)
	return k, nil
}

// MessageEntry and its siblings are what a tail shows.
func MessageEntry(m hark.Message) store.TailEntry {
	return store.TailEntry{At: m.CreatedAt, ApplicationRef: m.ApplicationRef, Message: &m}
}

// AttemptEntry leaves the response out.
func AttemptEntry(a hark.Attempt) store.TailEntry {
	a.Response, a.ResponseHeader = nil, nil
	return store.TailEntry{At: a.StartedAt.Add(a.Duration), ApplicationRef: a.ApplicationRef, Attempt: &a}
}

// RequestEntry is a request of an application's source.
func RequestEntry(q hark.Request, app hark.Ref) store.TailEntry {
	return store.TailEntry{At: q.ReceivedAt, ApplicationRef: app, Request: &q}
}

// LastEntries are the last of some entries, in the order in which they happened, and how many that leaves out.
func LastEntries(entries []store.TailEntry, limit int) (last []store.TailEntry, skipped int) {
	slices.SortStableFunc(entries, func(a, b store.TailEntry) int { return a.At.Compare(b.At) })
	skipped = max(len(entries)-limit, 0)
	return entries[skipped:], skipped
}
