package deliver

import (
	"sync"

	"github.com/harkhq/hark"
	"github.com/harkhq/hark/internal/directory"
)

// mailbox is how everybody else talks to the owner: append and wake, never wait.
type mailbox struct {
	mu   sync.Mutex
	mail mail
	wake chan struct{} // capacity one
}

// mail is what came in since the owner last looked. The owner reads it in the order of the fields.
type mail struct {
	ended   []*job              // attempts that have ended (not yet settled)
	offered [][]hark.Delivery   // rows that were committed: the coming of a row is told before its end
	settled []*job              // attempts whose end is committed
	pages   []page              // reads of the queue that have come back
	changed []hark.Ref          // endpoints whose configuration changed
	failing []hark.Ref          // endpoints that have failed for too long
	loaded  []loadedApplication // directory loads that have come back

	// Where several nodes share the store:
	leases   []leases
	backlogs []look
	woken    []hark.Ref // endpoints for which another node has committed rows
	edited   []hark.Ref // applications whose configuration changed; 0: any may have
}

type loadedApplication struct {
	ref hark.Ref
	app *directory.Application // nil: it is gone
	err error
}

func (m *mailbox) send(put func(*mail)) {
	m.mu.Lock()
	put(&m.mail)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) offer(rows []hark.Delivery) {
	m.send(func(in *mail) { in.offered = append(in.offered, rows) })
}

func (m *mailbox) change(endpoint hark.Ref) {
	m.send(func(in *mail) { in.changed = append(in.changed, endpoint) })
}

// take swaps the mail for an empty one whose slices are reused.
func (m *mailbox) take(empty mail) mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	full := m.mail
	m.mail = empty
	return full
}

// emptied is the same mail with nothing in it, for reuse.
func (m mail) emptied() mail {
	clear(m.ended)
	clear(m.settled)
	clear(m.offered)
	clear(m.pages)
	clear(m.loaded)
	return mail{
		ended: m.ended[:0], offered: m.offered[:0], settled: m.settled[:0], pages: m.pages[:0],
		changed: m.changed[:0], failing: m.failing[:0], loaded: m.loaded[:0],
	}
}
