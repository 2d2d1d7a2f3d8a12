package webhook

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Memory is a Store in memory: for tests, and for work that may be lost with the process. It holds a
// bounded number of events, and remembers keys for a bounded time.
type Memory struct {
	most     int
	remember time.Duration

	mu      sync.Mutex
	events  map[string]*remembered
	waiting []*remembered // by due
	open    int           // waiting or being worked on
	done    []*remembered // by when they ended
}

// remembered is an event and what became of it.
type remembered struct {
	event  *Event
	due    time.Time // waiting: not before; being worked on: when the lease ends
	ended  time.Time // zero: not yet
	reason string
}

// NewMemory makes a Memory that holds up to most events whose work is not done, and remembers the keys
// of as many times sixteen for up to remember after it was.
func NewMemory(most int, remember time.Duration) *Memory {
	return &Memory{most: most, remember: remember, events: map[string]*remembered{}}
}

// Accept keeps an event.
func (m *Memory) Accept(_ context.Context, e *Event) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(e.ReceivedAt)
	if _, known := m.events[e.Key]; known {
		return false, nil
	}
	if m.open >= m.most {
		return false, ErrFull
	}
	r := &remembered{event: e, due: e.ReceivedAt}
	m.events[e.Key] = r
	m.open++
	m.wait(r)
	return true, nil
}

// wait puts an event among those that wait.
func (m *Memory) wait(r *remembered) {
	i, _ := slices.BinarySearchFunc(m.waiting, r, func(a, b *remembered) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1 // behind what is due at the same time
	})
	m.waiting = slices.Insert(m.waiting, i, r)
}

// forget drops keys whose time is over, and the oldest when there are too many.
func (m *Memory) forget(now time.Time) {
	n := 0
	for n < len(m.done) && (now.Sub(m.done[n].ended) >= m.remember || len(m.done)-n > 16*m.most) {
		delete(m.events, m.done[n].event.Key)
		n++
	}
	m.done = slices.Delete(m.done, 0, n)
}

// Claim takes events that are due. A lease that ended makes its event due again.
func (m *Memory) Claim(_ context.Context, now time.Time, lease time.Duration, limit int) (events []*Event, next time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.waiting) > 0 && len(events) < limit && !m.waiting[0].due.After(now) {
		r := m.waiting[0]
		m.waiting = slices.Delete(m.waiting, 0, 1)
		claimed := *r.event // its worker's own
		r.event.Attempt++
		claimed.Attempt = r.event.Attempt
		r.due = now.Add(lease)
		m.wait(r)
		events = append(events, &claimed)
	}
	if len(m.waiting) > 0 {
		next = m.waiting[0].due
	}
	return events, next, nil
}

// take removes an event from those that wait; nil if its work is done.
func (m *Memory) take(key string) *remembered {
	r := m.events[key]
	if r == nil || !r.ended.IsZero() {
		return nil
	}
	if i := slices.Index(m.waiting, r); i >= 0 {
		m.waiting = slices.Delete(m.waiting, i, i+1)
	}
	return r
}

func (m *Memory) end(key string, now time.Time, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.take(key); r != nil {
		r.ended, r.reason = now, reason
		r.event = &Event{Key: key} // the key is all that is needed
		m.open--
		m.done = append(m.done, r)
	}
}

// Finish says that an event's work is done.
func (m *Memory) Finish(_ context.Context, key string, now time.Time) error {
	m.end(key, now, "")
	return nil
}

// Retry makes an event due again.
func (m *Memory) Retry(_ context.Context, key string, due time.Time, reason string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.take(key); r != nil {
		r.due, r.reason = due, reason
		m.wait(r)
	}
	return nil
}

// Fail gives an event up.
func (m *Memory) Fail(_ context.Context, key string, now time.Time, reason string) error {
	m.end(key, now, reason)
	return nil
}
