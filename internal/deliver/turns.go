package deliver

import "github.com/harkhq/hark"

// turns says whose lane is next: applications take turns, and within an application its endpoints
// do. An application with a thousand busy endpoints gets no more than one with a single one.
type turns struct {
	apps  ring[*appTurn]
	byApp map[hark.Ref]*appTurn
}

type appTurn struct {
	ref   hark.Ref
	lanes ring[*lane]
}

// add puts a lane at the end of its application's turns, unless it stands there already.
func (t *turns) add(l *lane) {
	if l.queued {
		return
	}
	l.queued = true
	app := t.byApp[l.app]
	if app == nil {
		app = &appTurn{ref: l.app}
		t.byApp[l.app] = app
		t.apps.push(app)
	}
	app.lanes.push(l)
}

// next takes the lane whose turn it is, or nil.
func (t *turns) next() *lane {
	if t.apps.len() == 0 {
		return nil
	}
	app := t.apps.pop()
	l := app.lanes.pop()
	l.queued = false
	if app.lanes.len() > 0 {
		t.apps.push(app)
	} else {
		delete(t.byApp, app.ref)
	}
	return l
}

// ring is a first-in first-out queue that reuses its memory.
type ring[T any] struct {
	items []T
	head  int
	count int
}

func (r *ring[T]) len() int { return r.count }

func (r *ring[T]) push(item T) {
	if r.count == len(r.items) {
		grown := make([]T, max(8, 2*len(r.items)))
		n := copy(grown, r.items[r.head:])
		copy(grown[n:], r.items[:r.head])
		r.items, r.head = grown, 0
	}
	r.items[(r.head+r.count)%len(r.items)] = item
	r.count++
}

// pop takes the oldest item; the ring must not be empty.
func (r *ring[T]) pop() T {
	var none T
	item := r.items[r.head]
	r.items[r.head] = none
	r.head = (r.head + 1) % len(r.items)
	r.count--
	return item
}
